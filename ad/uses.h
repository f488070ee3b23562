// Products of one matrix again and again, as in a loop over time: their parts of its adjoint, added many at a time.
#pragma once

#include <tuple>
#include <vector>

#include "ad/kernels.h"
#include "ad/matrices.h"

namespace ad::detail {

using Tape = Matrices::Tape;
using Block = Matrices::Block;
using M = Matrices;
using Eigen::Index;

/// The rule of sums of products: its first operands are pairs W, X, as many as `extra` says.
inline constexpr const char* affine = "affine";

/// Products whose left factors have yet to get their part, dW += s G X^T. Columns of G and X are taken in as the sweep comes
/// down, and multiplied many at a time. Groups of at most `narrow` columns are summed apart from what else an adjoint is
/// made of, so that a sweep may be interrupted and taken up on another tape (ad/checkpoint.h), and gives the same bits.
template <class T = double>
class Uses : public ad::Waiting<T> {
 public:
  static constexpr Index narrow = 256;

  Uses() {
    this->add = [](ad::Waiting<T>& w, Id first, T* adjoint) { static_cast<Uses&>(w).finish(first, adjoint); };
    this->take_in = [](ad::Waiting<T>& w) { static_cast<Uses&>(w).take_all_in(); };
  }

  /// Factors among the variables up to this one wait until finish(0, ...), whatever tapes are swept before.
  void keep_up_to(Id variable) { kept_ = variable; }
  void forget() { waiting_ = this->from = kept_ = 0; }
  void take_all_in() {
    for (Id i = 0; i < waiting_; ++i) parts_[i].take_in();
  }

  /// dW += W.s G X^T, with n columns in G and X.
  void take(const BlockOperand& W, const T* G, const T* X, Index n) {
    Id& at = recent_[(W.first() + W.cols()) * 2654435769u >> 28];  // Fibonacci hashing
    if (at >= waiting_ || !parts_[at].W.is(W)) [[unlikely]]
      at = place_of(W);
    parts_[at].take(W.s, G, X, n);
  }
  /// Adds to the adjoint of each factor from this variable on what waits for it, whatever the order in which it came.
  void finish(Id first, T* adjoint) {
    const auto end = parts_.begin() + waiting_;
    const auto done = std::partition(parts_.begin(), end, [&](const Part& p) { return p.W.first() < first; });
    std::sort(done, end, [](const Part& p, const Part& q) { return before(p.W, q.W); });
    for (auto p = done; p != end; ++p) p->finish(adjoint + p->W.first());
    waiting_ = static_cast<Id>(done - parts_.begin());
    this->from = 0;
    for (auto p = parts_.begin(); p != done; ++p) look_out_for(p->W);
  }

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (Id i = 0; i < waiting_; ++i) sum += bytes(parts_[i].W);
    return sum;
  }
  /// Bytes that uses of matrices among the variables up to `last` may take, if all steps use them as this recording does.
  static std::size_t bytes(const Tape& t, Id last) {
    std::vector<Run> all;
    for (const Block& b : t.blocks())
      if (b.before > last)
        for (Id k = 0; k < 2 * b.extra && b.rule->name == affine; k += 2)
          if (const Run W = M::operands(t, b)[k]; !W.plain() && W.first() <= last) all.push_back(W);
    for (const Block& b : t.blocks())  // perhaps used as a whole by a later step
      if (b.before <= last &&
          std::none_of(all.begin(), all.end(), [&](Run W) { return t.block_before(W.first()) == &b; }))
        all.emplace_back(b.first, b.rows, b.cols, false, 0);
    std::sort(all.begin(), all.end(), before);
    all.erase(std::unique(all.begin(), all.end(), [](Run x, Run z) { return x.is(z); }), all.end());
    std::size_t sum = 0;
    for (const Run& W : all) sum += bytes(W);
    return sum;
  }

 private:
  struct Part {
    Run W;
    Array<T> G{}, X{};  // columns taken in
    Array<T> sum{};     // of the groups before; empty as long as there are none
    Index waiting = 0;
    // behind these, columns that still stand where they were computed, at equal distances: in a loop over time they do
    Index standing = 0, from_g = 0, from_x = 0;
    const T *g_0 = nullptr, *x_0 = nullptr, *g_next = nullptr, *x_next = nullptr;
    T s_0{};

    Index rows() const { return W.rows(); }
    Index cols() const { return W.cols(); }
    void begin(Run of) {
      W = of;
      G.resize(static_cast<std::size_t>(narrow * rows()));
      X.resize(static_cast<std::size_t>(narrow * cols()));
      sum.clear();
      waiting = standing = 0;
    }
    [[gnu::always_inline]] void take(T s, const T* g, const T* x, Index n) {
      if (g == g_next && x == x_next && s == s_0 && n == 1 && standing > 1 && waiting + standing < narrow) [[likely]]
        ++standing, g_next += from_g, x_next += from_x;
      else
        take_another(s, g, x, n);
    }
    [[gnu::noinline]] void take_another(T s, const T* g, const T* x, Index n) {
      if (standing == 1 && n == 1 && s == s_0 && waiting < narrow - 1) {
        from_g = g - g_0, from_x = x - x_0;
        g_next = g + from_g, x_next = x + from_x;
        standing = 2;
        return;
      }
      take_in();
      if (waiting + n > narrow) multiply();
      if (n == 1) {
        g_0 = g, x_0 = x, s_0 = s;
        standing = 1;
        return;
      }
      for (; n > narrow; n -= narrow, g += narrow * rows(), x += narrow * cols()) append(s, g, x, narrow), multiply();
      append(s, g, x, n);
    }
    /// After this the tape may go.
    void take_in() {
      for (Index i = 0; i < standing; ++i) append(s_0, g_0 + i * from_g, x_0 + i * from_x, 1);
      standing = 0;
    }
    void append(T s, const T* g, const T* x, Index n) {
      kernels::set(G.data() + waiting * rows(), s, g, n * rows());
      kernels::set(X.data() + waiting * cols(), 1, x, n * cols());
      waiting += n;
    }
    void multiply() {
      if (sum.empty()) sum.assign(static_cast<std::size_t>(rows() * cols()), 0.0);
      multiply(sum.data());
    }
    void multiply(T* to) {
      if (waiting > 0 || s_0 != 1) take_in();
      using Group = Eigen::Map<const MatrixX<T>, 0, Eigen::OuterStride<>>;
      const bool in_place = standing > 0;
      const Index n = in_place ? standing : waiting;
      const Group g(in_place ? g_0 : G.data(), rows(), n, Eigen::OuterStride<>(in_place ? from_g : rows()));
      const Group x(in_place ? x_0 : X.data(), cols(), n, Eigen::OuterStride<>(in_place ? from_x : cols()));
      Eigen::Map<MatrixX<T>>(to, rows(), cols()).noalias() += g * x.transpose();
      waiting = standing = 0;
    }
    void finish(T* to) {
      if (sum.empty()) return multiply(to);
      multiply();
      kernels::add(to, 1, sum.data(), rows() * cols());
    }
  };
  std::vector<Part> parts_;  // the first waiting_ of them; those behind are memory for others
  Id waiting_ = 0, kept_ = 0;
  std::array<Id, 16> recent_{};  // where to look first

  static bool before(Run x, Run z) {
    return std::tuple(x.first(), x.cols(), x.rows()) < std::tuple(z.first(), z.cols(), z.rows());
  }
  static std::size_t bytes(Run W) {
    const std::size_t rows = W.rows(), cols = W.cols();
    return (narrow * (rows + cols) + rows * cols) * sizeof(T);
  }
  [[gnu::noinline]] Id place_of(Run W) {
    for (Id i = waiting_; i-- > 0;)
      if (parts_[i].W.is(W)) return i;
    if (waiting_ == parts_.size()) parts_.emplace_back();
    parts_[waiting_].begin(W);
    look_out_for(W);
    return waiting_++;
  }
  void look_out_for(Run W) {
    if (W.first() > kept_) this->from = std::max(this->from, W.first());
  }
};
template <class T = double>
[[gnu::noinline]] Waiting<double>* new_uses() {
  static thread_local Uses<T> own;
  own.forget();
  return &own;
}
/// Those of the sweep that goes on.
inline Uses<>& uses(Waiting<double>*& waiting) {
  if (!waiting) [[unlikely]]
    waiting = new_uses();
  return static_cast<Uses<>&>(*waiting);
}

}  // namespace ad::detail
