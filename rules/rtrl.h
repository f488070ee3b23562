// RTRL (Williams and Zipser 1989, Neural Comput. 1:270; notes (1.17)): P_t = J_t P_{t-1} + P~_t, P_0 = 0; G_t = q_t^T P_t.
//
// P is d x (d k), k = d + n + 1: column c d + i holds dh/dW_ic, W = [W_rec | W_in | b_rec]. The immediate sensitivity P~_t
// has one number in each column: dh_i/dW_ic gains phi_i z_c. Memory d^2 k whatever the length; time d^3 k a step, that of the
// one product J_t P_{t-1}: it is done for a column or two of W at a time, whose columns of P stay in the cache until the
// immediate part is added and the gradient taken. What it is written to is free: P has some columns of room, and moves along
// by these, at one step to the left and at the next to the right. So nothing is copied.
#pragma once

#include "rules/rule.h"

namespace rules {

template <class T = double>
class Rtrl {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Rtrl(const rnn::Network<T>& net, const rnn::Options& = {}) : d_(net.d()), k_(net.d() + net.n() + 1) {
    reset();
  }
  void reset() {
    memory_.setZero(d_, d_ * (k_ + room_));
    begin_ = 0;
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    J_ = t.slope.asDiagonal() * t.W_rec;
    J_.diagonal().array() += T(1) - t.alpha;
    gradient_.resize(d_, k_);
    const bool to_the_left = begin_ > 0;
    const Eigen::Index before = begin_;
    begin_ = to_the_left ? 0 : room_;
    for (Eigen::Index done = 0, count; done < k_; done += count) {
      count = std::min(room_, k_ - done);
      const Eigen::Index first = to_the_left ? done : k_ - done - count;
      auto both = columns(begin_ + first, count);
      both.noalias() = J_ * columns(before + first, count);
      for (Eigen::Index c = first; c < first + count; ++c) {
        auto P = columns(begin_ + c, 1);  // dh/dW_.c, d x d
        P.diagonal() += z_(c) * t.slope;
        gradient_.col(c).noalias() = P.transpose() * t.error;
      }
    }
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// P_t, d x (d k), until the next step.
  Eigen::Ref<const rnn::MatrixX<T>> P() const { return memory_.middleCols(begin_ * d_, k_ * d_); }
  /// J_t of the last transition, d x d.
  const rnn::MatrixX<T>& J() const { return J_; }

 private:
  /// Those of P that belong to columns of W, as places in the memory go.
  auto columns(Eigen::Index first, Eigen::Index count) { return memory_.middleCols(first * d_, count * d_); }

  Eigen::Index d_, k_;
  Eigen::Index room_ = d_ < 64 ? 1 : 2;  // columns of W
  Eigen::Index begin_ = 0;               // where P's first are: 0 or room_
  rnn::MatrixX<T> memory_, J_;
  rnn::VectorX<T> z_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
