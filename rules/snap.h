// SnAp-n (Menick et al. 2021, ICLR): P_t = mask(J_t P_{t-1} + P~_t), P_0 = 0; G_t = q_t^T P_t.
//
// RTRL that keeps dh_i/dW_jl only where unit i can be reached from unit j in at most n - 1 connections, j itself always.
// Only what is kept is stored and computed: for each unit j a matrix P^j, |R_j| x |C_j|, with R_j the units reached from j
// and C_j the weights onto j that exist. Weights of W_rec that are zero when a sequence begins do not exist and get no
// gradient. Memory sum_j |R_j| |C_j|, time sum_j |R_j|^2 |C_j|. On dense W_rec SnAp-1 is d k and SnAp-2 is RTRL.
#pragma once

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rules/rule.h"

namespace rules {

/// n is Options::n, 1 unless set. Throws std::invalid_argument for n < 1.
template <class T = double>
class Snap {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Snap(const rnn::Network<T>& net, const rnn::Options& options = {}) : net_(net), n_(options.n) {
    if (n_ < 1) throw std::invalid_argument("rules::Snap: n is " + std::to_string(n_) + ", but must be at least 1");
    reset();
  }

  /// P = 0; which weights exist is read from W_rec.
  void reset() {
    const auto& W = net_.parameters.W_rec;
    const Eigen::Index d = net_.d(), k = d + net_.n() + 1;
    influence_.resize(static_cast<std::size_t>(d));
    for (Eigen::Index j = 0; j < d; ++j) {
      auto& [units, weights, own, P] = influence_[static_cast<std::size_t>(j)];
      units = reached(W, j);
      weights.clear();
      for (Eigen::Index l = 0; l < k; ++l)
        if (l >= d || W(j, l) != T(0)) weights.push_back(l);
      own = std::find(units.begin(), units.end(), j) - units.begin();
      P.setZero(size(units), size(weights));
      if (J_.size() < size(units) * size(units)) J_.resize(size(units) * size(units));
      if (before_.size() < P.size()) before_.resize(P.size());
    }
    gradient_.setZero(d, k);
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    const Indices* gathered = nullptr;  // the units whose part of J_t is in J
    for (Eigen::Index j = 0; j < net_.d(); ++j) {
      auto& [R, C, own, P] = influence_[static_cast<std::size_t>(j)];
      const T leak = T(1) - t.alpha;
      if (R.size() == 1) {  // j alone: J_jj is a number
        const T J_jj = leak + t.slope(j) * t.W_rec(j, j);
        for (Eigen::Index l = 0; l < size(C); ++l) {
          const Eigen::Index c = C[static_cast<std::size_t>(l)];
          P(l) = J_jj * P(l) + t.slope(j) * z_(c);
          gradient_(j, c) = t.error(j) * P(l);
        }
        continue;
      }
      const std::span units(R), weights(C);
      Eigen::Map<rnn::MatrixX<T>> J(J_.data(), size(R), size(R)), before(before_.data(), size(R), size(C));
      if (gathered == nullptr || *gathered != R) {
        J = t.slope(units).asDiagonal() * t.W_rec(units, units);
        J.diagonal().array() += leak;
        gathered = &R;
      }
      before = P;
      P.noalias() = J * before;
      P.row(own) += t.slope(j) * z_(weights).transpose();
      gradient_(j, weights) = t.error(units).transpose() * P;
    }
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// How many numbers are kept from one step to the next: sum_j |R_j| |C_j|.
  Eigen::Index kept() const {
    Eigen::Index count = 0;
    for (const auto& influence : influence_) count += influence.P.size();
    return count;
  }
  /// P_t laid out as RTRL's, d x (d k): column l d + j holds dh/dW_jl; zero where nothing is kept.
  rnn::MatrixX<T> dense() const {
    const auto d = static_cast<Eigen::Index>(influence_.size());
    rnn::MatrixX<T> all = rnn::MatrixX<T>::Zero(d, d * gradient_.cols());
    for (Eigen::Index j = 0; j < d; ++j) {
      const auto& [units, weights, own, P] = influence_[static_cast<std::size_t>(j)];
      for (Eigen::Index l = 0; l < size(weights); ++l)
        all(units, weights[static_cast<std::size_t>(l)] * d + j) = P.col(l);
    }
    return all;
  }

 private:
  using Indices = std::vector<Eigen::Index>;
  struct Influence {
    Indices units, weights;  // R_j and C_j, ascending
    Eigen::Index own;        // the row of j itself
    rnn::MatrixX<T> P;       // |R_j| x |C_j|: dh_i/dW_jl
  };
  static Eigen::Index size(const Indices& i) { return static_cast<Eigen::Index>(i.size()); }

  /// The units reached from j in at most n - 1 connections. W_ij connects j to i.
  Indices reached(const rnn::MatrixX<T>& W, Eigen::Index j) const {
    Indices all = {j};
    std::vector<bool> seen(static_cast<std::size_t>(W.rows()));
    seen[static_cast<std::size_t>(j)] = true;
    for (std::size_t first = 0, steps = 1; static_cast<Eigen::Index>(steps) < n_ && first < all.size(); ++steps)
      for (const std::size_t last = all.size(); first < last; ++first)
        for (Eigen::Index i = 0; i < W.rows(); ++i)
          if (W(i, all[first]) != T(0) && !seen[static_cast<std::size_t>(i)]) {
            seen[static_cast<std::size_t>(i)] = true;
            all.push_back(i);
          }
    std::sort(all.begin(), all.end());
    return all;
  }

  const rnn::Network<T>& net_;
  Eigen::Index n_;
  std::vector<Influence> influence_;  // [j]
  rnn::VectorX<T> z_, J_, before_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

/// SnAp-1 in compact form: the one number kept of each weight, dh_i/dW_il, as E (d x k).
///   E_t = diag(J_t) E_{t-1} + M_t        G_t = diag(q_t) E_t
/// RFLO with phi_i W_ii added to the decay 1 - alpha. Weights that are zero by structure are masked from the gradient.
template <class T = double>
class Snap1 {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Snap1(const rnn::Network<T>& net, const rnn::Options& = {}) : net_(net) { reset(); }
  void reset() {
    const Eigen::Index d = net_.d(), k = d + net_.n() + 1;
    E_.setZero(d, k);
    absent_.clear();
    for (Eigen::Index l = 0; l < d; ++l)
      for (Eigen::Index j = 0; j < d; ++j)
        if (net_.parameters.W_rec(j, l) == T(0)) absent_.push_back({j, l});
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    decay_ = t.slope.cwiseProduct(t.W_rec.diagonal());
    decay_.array() += T(1) - t.alpha;
    E_ = decay_.asDiagonal() * E_;
    E_.noalias() += t.slope * z_.transpose();
    gradient_.noalias() = t.error.asDiagonal() * E_;
    for (const auto& [j, l] : absent_) gradient_(j, l) = T(0);
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// E_t, d x k; also for weights that do not exist, whose entries go nowhere.
  const rnn::MatrixX<T>& E() const { return E_; }

 private:
  const rnn::Network<T>& net_;
  rnn::MatrixX<T> E_;
  std::vector<std::pair<Eigen::Index, Eigen::Index>> absent_;
  rnn::VectorX<T> z_, decay_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
