// One step of the network on a tape of its own, with only the paths an edit leaves: tangents go up it, adjoints down.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "ad/eigen.h"
#include "rnn/network.h"

namespace rnn {

/// Which paths lead from h_{t-1} to h_t; the others are detached, so J_t = dh_t/dh_{t-1} loses them in both directions.
enum class Path {
  full,      // W_rec and the leak
  diagonal,  // the leak, and W_rec from a unit to itself
  leak,      // the leak alone: h_{t-1} -> u_t is detached
  none       // h_{t-1} is a plain number
};

/// h_{t-1} -> u_t -> h_t -> v_t -> L_t, recorded with theta. Vectors of parameters have d k numbers, k = d + n + 1: W =
/// [W_rec | W_in | b_rec] column by column, as in a d x k matrix.
class EditedStep {
  using V = ad::Var;

 public:
  /// `feedback` (m x d), if not empty, is what v_t hands down to h_t in place of W_out. Sizes are the caller's.
  EditedStep(const Network<double>& net, const VectorX<double>& h_before, const VectorX<double>& x,
             const VectorX<double>& target, Path path = Path::full, const MatrixX<double>& feedback = {})
      : d_(net.d()), k_(net.d() + net.n() + 1) {
    const auto& theta = net.parameters;
    const auto W_rec = tape_.input(theta.W_rec);  // variables 1 .. d k are W, column by column
    const auto W_in = tape_.input(theta.W_in);
    const auto b_rec = tape_.input(theta.b_rec);
    const auto before = tape_.input(h_before);  // the next d
    const auto W_out = tape_.input(theta.W_out);
    const auto b_out = tape_.input(theta.b_out);
    u_.resize(d_), h_.resize(d_), v_.resize(net.m());
    for (Eigen::Index i = 0; i < d_; ++i) {
      V sum = b_rec(i);
      for (Eigen::Index j = 0; j < d_; ++j) {
        const bool felt = path == Path::full || (path == Path::diagonal && i == j);
        sum += W_rec(i, j) * (felt ? before(j) : detach(before(j)));
      }
      for (Eigen::Index l = 0; l < x.size(); ++l) sum += W_in(i, l) * x(l);
      u_(i) = copy(sum);
      const V carried = path == Path::none ? detach(before(i)) : before(i);
      h_(i) = (1 - net.alpha) * carried + net.alpha * activate(net.activation, u_(i));
    }
    for (Eigen::Index k = 0; k < net.m(); ++k) {
      V sum = b_out(k);
      for (Eigen::Index j = 0; j < d_; ++j) sum += W_out(k, j) * h_(j);
      v_(k) = feedback.size() == 0 ? sum : handing_down(feedback.row(k), sum.value(), W_out.row(k), b_out(k));
    }
    loss_ = loss_t(net.loss, v_, target);

    tape_.reverse(loss_);
    credit = ad::adjoint(tape_, h_);
    readout = zeros_like(theta);
    readout.W_out = ad::adjoint(tape_, W_out);
    readout.b_out = ad::adjoint(tape_, b_out);
    const auto value = [](const V& s) { return s.value(); };
    u = u_.unaryExpr(value), h = h_.unaryExpr(value);
    loss = loss_.value();
  }

  VectorX<double> u, h;        // d
  double loss;                 // L_t
  VectorX<double> credit;      // d: q_t, the adjoint of h_t in this step alone
  Parameters<double> readout;  // dL_t by W_out and by b_out, which is e_t; zero for the others

  /// J_t H: the tangents of h_t when h_{t-1} moves along each column of H (d x N).
  MatrixX<double> push(const MatrixX<double>& H) const {
    return up(h_, H.cols(), [&](Eigen::Index j, double* tangent) { seed_before(H, j, tangent); });
  }
  /// J_t H + P~_t directions: the parameters move too, along each column of `directions` (d k x N).
  template <class M>
  MatrixX<double> push(const MatrixX<double>& H, const Eigen::MatrixBase<M>& directions) const {
    return up(h_, H.cols(), [&](Eigen::Index j, double* tangent) {
      seed_before(H, j, tangent);
      for (Eigen::Index i = 0; i < directions.rows(); ++i) tangent[1 + i] = directions(i, j);
    });
  }
  /// J_t H + diag(phi_t) U: u_t is moved along each column of U (d x N), by noise or by a kick.
  MatrixX<double> push_u(const MatrixX<double>& H, const MatrixX<double>& U) const { return up(h_, H, U); }
  /// How u_t itself moves then: W_rec H + U.
  MatrixX<double> movement_of_u(const MatrixX<double>& H, const MatrixX<double>& U) const { return up(u_, H, U); }

  struct Pulled {
    VectorX<double> before;  // d: what comes down to h_{t-1}
    MatrixX<double> theta;   // d x k: what comes down to W
  };
  /// From adjoints c of h_t (d): J_t^T c, and c^T P~_t in the shape of W.
  Pulled pull(const VectorX<double>& c) const { return down(h_, c); }
  /// From adjoints of u_t (d): the step above u_t left out.
  Pulled pull_u(const VectorX<double>& c) const { return down(u_, c); }

 private:
  /// v_k as it is, but for the adjoint of h: B_k instead of the row of W_out.
  template <class B, class W>
  V handing_down(const B& row, double value, const W& W_out, const V& b_out) const {
    std::vector<std::pair<V, double>> terms = {{b_out, 1.0}};
    for (Eigen::Index j = 0; j < d_; ++j) {
      terms.emplace_back(W_out(j), h_(j).value());
      terms.emplace_back(h_(j), row(j));
    }
    return V::linear(value, terms);
  }

  void seed_before(const MatrixX<double>& H, Eigen::Index j, double* tangent) const {
    for (Eigen::Index i = 0; i < d_; ++i) tangent[1 + d_ * k_ + i] = H(i, j);
  }
  MatrixX<double> up(const VectorX<V>& to, const MatrixX<double>& H, const MatrixX<double>& U) const {
    return up(to, H.cols(), [&](Eigen::Index j, double* tangent) {
      seed_before(H, j, tangent);
      for (Eigen::Index i = 0; i < d_; ++i) tangent[u_(i).id()] = U(i, j);
    });
  }
  template <class Seed>
  MatrixX<double> up(const VectorX<V>& to, Eigen::Index count, Seed&& seed) const {
    MatrixX<double> result(d_, count);
    std::vector<double> tangent;
    for (Eigen::Index j = 0; j < count; ++j) {
      tangent.assign(tape_.length() + std::size_t{1}, 0.0);
      seed(j, tangent.data());
      tape_.sweep_up(tangent.data());
      for (Eigen::Index i = 0; i < d_; ++i) result(i, j) = tangent[to(i).id()];
    }
    return result;
  }
  Pulled down(const VectorX<V>& from, const VectorX<double>& c) const {
    std::vector<double> adjoint(tape_.length() + std::size_t{1}, 0.0);
    for (Eigen::Index i = 0; i < d_; ++i) adjoint[from(i).id()] += c(i);
    tape_.sweep_down(adjoint.data(), from(d_ - 1).id());
    return {Eigen::Map<const VectorX<double>>(adjoint.data() + 1 + d_ * k_, d_),
            Eigen::Map<const MatrixX<double>>(adjoint.data() + 1, d_, k_)};
  }

  Eigen::Index d_, k_;
  ad::Tape tape_;
  VectorX<V> u_, h_, v_;
  V loss_;
};

/// All steps of a sequence. Their tapes are kept while they are few; of a long sequence h_{t-1} is, and a step that is
/// asked for again is recorded again, to the same bits. What is held stays below some 80 MB, but for 16 steps.
class EditedSteps {
 public:
  /// Runs the network over the sequence; both must outlive this object. Throws std::invalid_argument where sizes do not
  /// fit.
  EditedSteps(const Network<double>& net, const Sequence<double>& sequence, Path path = Path::full,
              MatrixX<double> feedback = {})
      : net_(net), sequence_(sequence), path_(path), feedback_(std::move(feedback)) {
    check(net, sequence);
    if (feedback_.size() != 0) {
      detail::require_size("rnn::EditedSteps", "the number of rows of feedback", feedback_.rows(), "m", net.m());
      detail::require_size("rnn::EditedSteps", "the number of columns of feedback", feedback_.cols(), "d", net.d());
    }
    const Eigen::Index length = sequence.length(), weights = net.d() * (net.d() + net.n() + 1);
    kept_ = std::vector<Kept>(static_cast<std::size_t>(std::min(length, std::max<Eigen::Index>(16, most / weights))));
    h_.resize(net.d(), length + 1);
    h_.col(0) = net.h_0;
    for (Eigen::Index t = 1; t <= length; ++t) h_.col(t) = at(t).h;
  }

  /// Step t, from 1. The reference is good as long as no step 16 or more away is asked for.
  const EditedStep& at(Eigen::Index t) const {
    Kept& kept = kept_[static_cast<std::size_t>(t - 1) % kept_.size()];
    if (kept.t != t) {
      kept.step.emplace(net_, h_.col(t - 1), sequence_.x.col(t - 1), sequence_.target.col(t - 1), path_, feedback_);
      kept.t = t;
    }
    return *kept.step;
  }

  static constexpr Eigen::Index most = 500'000;  // weights on all tapes together; each takes some 150 bytes

 private:
  struct Kept {
    Eigen::Index t = 0;
    std::optional<EditedStep> step;
  };
  const Network<double>& net_;
  const Sequence<double>& sequence_;
  Path path_;
  MatrixX<double> feedback_, h_;  // m x d; d x (T + 1)
  mutable std::vector<Kept> kept_;
};

}  // namespace rnn
