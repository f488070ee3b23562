// R-KF-RTRL, "reverse" KF-RTRL (Marschall, Cho and Savin 2020, JMLR 21:135): P_t in expectation P_{i,(j,l)} = A_j B_il.
//
//   A_t = p0 A_{t-1} + p1 nu                            p0 = sqrt(|J_t B_{t-1}| / |A_{t-1}|)
//   B_t = J_t B_{t-1} / p0 + diag(nu) M_t / p1          p1 = sqrt(|diag(nu) M_t| / sqrt d)
//   G_t = A_t (q_t^T B_t)                               nu: d signs, new at each step
// The same two kinds of index as in KF-RTRL, the other way round: A stands for the unit a weight belongs to. Unbiased.
// Memory O(d k), time d^2 k a step.
#pragma once

#include "rules/balance.h"
#include "rules/rule.h"

namespace rules {

/// Draws: d signs a step, nu. State: A (d x 1), B (d x k), zeros unless given. Throws std::invalid_argument for a start
/// of another shape.
template <std::floating_point T = double>
class RKfRtrl {
 public:
  static constexpr Facing facing = Facing::past;

  explicit RKfRtrl(const rnn::Network<T>& net, const rnn::Options& options = {})
      : d_(net.d()), k_(net.d() + net.n() + 1), options_(options), nu_(d_) {
    reset();
  }
  void reset() {
    A_ = options_.start("A", rnn::MatrixX<double>::Zero(d_, 1)).template cast<T>();
    B_ = options_.start("B", rnn::MatrixX<double>::Zero(d_, k_)).template cast<T>();
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    options_.draws.next_step();
    for (T& sign : nu_) sign = T(options_.draws.sign());
    JB_.noalias() = t.W_rec * B_;
    JB_ = (T(1) - t.alpha) * B_ + t.slope.asDiagonal() * JB_;
    noise_ = nu_.cwiseProduct(t.slope);  // diag(nu) M_t = noise z_t^T
    p0_ = balance(JB_.norm(), A_.norm());
    p1_ = balance(noise_.norm() * z_.norm(), std::sqrt(T(d_)));
    A_ = p0_ * A_ + p1_ * nu_;
    noise_ /= p1_;
    B_ = 1 / p0_ * JB_;
    B_.noalias() += noise_ * z_.transpose();
    qB_.noalias() = B_.transpose() * t.error;
    gradient_.noalias() = A_ * qB_.transpose();
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  const rnn::VectorX<T>& A() const { return A_; }  // d
  const rnn::MatrixX<T>& B() const { return B_; }  // d x k
  T p0() const { return p0_; }                     // of the last step
  T p1() const { return p1_; }

 private:
  Eigen::Index d_, k_;
  rnn::Options options_;
  rnn::VectorX<T> nu_, A_, noise_, z_, qB_;
  rnn::MatrixX<T> B_, JB_;
  T p0_ = 1, p1_ = 1;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
