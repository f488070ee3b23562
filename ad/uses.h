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

/// Products whose left factors have yet to get their part, dW += s G X^T. Where columns of G and X stand is noted as the
/// sweep comes down, and they are multiplied many at a time. Groups of at most `narrow` columns are summed apart from what
/// else an adjoint is made of, so that a sweep may be interrupted and taken up on another tape (ad/checkpoint.h), and gives
/// the same bits.
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
    std::vector<kernels::Outer<T>> terms{};  // the first `waiting` of them: columns where they were computed,
    Array<T> G{}, X{};                       // or of these
    Array<T> sum{};                          // of the groups before; empty as long as there are none
    Index waiting = 0;

    Index rows() const { return W.rows(); }
    Index cols() const { return W.cols(); }
    void begin(Run of) {
      W = of;
      terms.resize(static_cast<std::size_t>(narrow));
      sum.clear();
      waiting = 0;
    }
    [[gnu::always_inline]] void take(T s, const T* g, const T* x, Index n) {
      if (n == 1 && s == 1 && waiting < narrow) [[likely]]
        terms[static_cast<std::size_t>(waiting++)] = {g, x};
      else
        take_many(s, g, x, n);
    }
    [[gnu::noinline]] void take_many(T s, const T* g, const T* x, Index n) {
      for (; n-- > 0; g += rows(), x += cols()) {
        if (waiting == narrow) multiply();
        const T* const left = s == 1 ? g : kept(G, rows(), s, g);  // before waiting++: g++ 12 has that done too early
        terms[static_cast<std::size_t>(waiting++)] = {left, x};
      }
    }
    /// s x in the place among `all` that belongs to the next term.
    const T* kept(Array<T>& all, Index size, T s, const T* x) const {
      all.resize(static_cast<std::size_t>(narrow * size));
      T* const place = all.data() + waiting * size;
      if (place != x) kernels::set(place, s, x, size);
      return place;
    }
    /// After this the tape may go.
    void take_in() {
      const Index n = std::exchange(waiting, 0);
      for (; waiting < n; ++waiting) {
        kernels::Outer<T>& term = terms[static_cast<std::size_t>(waiting)];
        term = {kept(G, rows(), 1, term.g), kept(X, cols(), 1, term.x)};
      }
    }
    void multiply() {
      if (sum.empty()) sum.assign(static_cast<std::size_t>(rows() * cols()), 0.0);
      multiply(sum.data());
    }
    void multiply(T* to) { kernels::add_outer_products(to, rows(), cols(), terms.data(), std::exchange(waiting, 0)); }
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
    return (narrow * (rows + cols) + rows * cols) * sizeof(T) + narrow * sizeof(kernels::Outer<T>);
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
