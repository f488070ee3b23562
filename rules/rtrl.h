// RTRL (Williams and Zipser 1989, Neural Comput. 1:270; notes (1.17)): P_t = J_t P_{t-1} + P~_t, P_0 = 0; G_t = q_t^T P_t.
//
// P is d x (d k), k = d + n + 1: column c d + i holds dh/dW_ic, W = [W_rec | W_in | b_rec]. The immediate sensitivity P~_t
// has one number in each column: dh_i/dW_ic gains phi_i z_c. Memory d^2 k whatever the length; time d^3 k a step, that of the
// one product J_t P_{t-1}: it is done for two columns of W at a time, 2 d columns of P that stay in the cache until the
// immediate part is added and the gradient taken. Faster than the bare product of all at once where P is large.
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
    P_.setZero(d_, d_ * k_);
    before_.resize(d_, 2 * d_);
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    J_ = t.slope.asDiagonal() * t.W_rec;
    J_.diagonal().array() += T(1) - t.alpha;
    gradient_.resize(d_, k_);
    for (Eigen::Index first = 0, count; first < k_; first += count) {
      count = std::min<Eigen::Index>(2, k_ - first);
      auto both = P_.middleCols(first * d_, count * d_);
      auto before = before_.leftCols(count * d_);
      before = both;
      both.noalias() = J_ * before;
      for (Eigen::Index c = first; c < first + count; ++c) {
        auto P = P_.middleCols(c * d_, d_);  // dh/dW_.c, d x d
        P.diagonal() += z_(c) * t.slope;
        gradient_.col(c).noalias() = P.transpose() * t.error;
      }
    }
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// P_t, d x (d k).
  const rnn::MatrixX<T>& P() const { return P_; }
  /// J_t of the last transition, d x d.
  const rnn::MatrixX<T>& J() const { return J_; }

 private:
  Eigen::Index d_, k_;
  rnn::MatrixX<T> P_, J_;
  rnn::MatrixX<T> before_;  // d x 2d, of P_{t-1}
  rnn::VectorX<T> z_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
