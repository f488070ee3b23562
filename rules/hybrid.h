// The hybrid of BPTT and RTRL (Schmidhuber 1992, Neural Comput. 4:243): exact, with RTRL's memory, at one power of d less.
//
// The sequence is cut into blocks t_0 + 1 .. t_1 of h steps. Inside a block it is BPTT, across its ends RTRL's P is carried:
//   c_s = q_s + J_{s+1}^T c_{s+1} back to c_{t_0}:   G = sum_s diag(c_s) M_s + c_{t_0}^T P_{t_0}        the block's gradient
//   C_s = J_{t_1} ... J_{s+1}:                       P_{t_1} = C_{t_0} P_{t_0} + sum_s C_s P~_s         once a block
// P~_s is one number in each column, so that the last sum is products of columns C_s diag(phi_s) with z_s^T.
// Memory d^2 k + O(h (d + n) + d^2); time O(d^3 k / h + d^2 k + d^3) a step, with h = d: O(d^2 k).
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "rules/history.h"

namespace rules {

/// h is Options::block, d unless set. What a block adds to the gradient is released at its end, or by finish(). Throws
/// std::invalid_argument for a negative block.
template <class T = double>
class Hybrid {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Hybrid(const rnn::Network<T>& net, const rnn::Options& options = {})
      : d_(net.d()), k_(net.d() + net.n() + 1), block_(options.block == 0 ? net.d() : options.block) {
    if (block_ < 0)
      throw std::invalid_argument("rules::Hybrid: block is " + std::to_string(block_) + ", but must not be negative");
    reset();
  }
  void reset() {
    P_.setZero(d_, d_ * k_);
    since_.clear();
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    if (since_.length() == 0) across_.setIdentity(d_, d_);
    since_.add(t);
    across_ = t.push(across_);  // J_t ... J_{t_0 + 1}, at last C_{t_0}
    return since_.length() == block_ ? end_of_block() : nothing_;
  }
  const Gradient<T>& finish() { return since_.length() > 0 ? end_of_block() : nothing_; }

  /// P at the end of the last block, laid out as RTRL's, d x (d k).
  const rnn::MatrixX<T>& P() const { return P_; }

 private:
  using Map = Eigen::Map<rnn::MatrixX<T>>;

  const Gradient<T>& end_of_block() {
    backpropagate();
    transport();
    since_.clear();
    return gradient_;
  }

  /// The block's gradient, from P_{t_0}.
  void backpropagate() {
    local_.resize(d_, since_.length());
    c_.setZero(d_);
    for (Eigen::Index s = since_.length(); s >= 1; --s) {
      c_ += since_.error[s];
      local_.col(s - 1) = since_.slope[s].cwiseProduct(c_);
      c_ *= T(1) - since_.alpha;
      c_.noalias() += since_.W_rec.transpose() * local_.col(s - 1);
    }
    gradient_.noalias() = local_ * since_.z.all().transpose();
    Map(gradient_.data(), d_ * k_, 1).noalias() += P_.transpose() * c_;  // c_ is c_{t_0} now
  }

  /// P_{t_1} from P_{t_0}.
  void transport() {
    for (Eigen::Index c = 0; c < k_; ++c) {  // C_{t_0} P_{t_0}, one column of W after the other
      auto P = P_.middleCols(c * d_, d_);
      before_ = P;
      P.noalias() = across_ * before_;
    }
    C_.setIdentity(d_, d_);  // C_{t_1}
    for (Eigen::Index last = since_.length(); last >= 1; last -= panel) {
      const Eigen::Index count = std::min(panel, last), first = last - count + 1;
      immediate_.resize(d_ * d_, count);
      for (Eigen::Index s = last; s >= first; --s) {
        Map moved(immediate_.col(s - first).data(), d_, d_);
        moved = C_ * since_.slope[s].asDiagonal();
        C_ *= T(1) - since_.alpha;
        C_.noalias() += moved * since_.W_rec;  // C_s J_s
      }
      Map(P_.data(), d_ * d_, k_).noalias() += immediate_ * since_.z.all().middleCols(first - 1, count).transpose();
    }
  }

  static constexpr Eigen::Index panel = 4;  // steps added to P at a time
  Eigen::Index d_, k_, block_;
  History<T> since_;  // t_0, not longer than a block
  rnn::MatrixX<T> P_, across_;
  rnn::MatrixX<T> before_, C_, immediate_, local_;
  rnn::VectorX<T> c_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
