// KF-RTRL (Mujika, Meier and Steger 2018, NeurIPS): P_t in expectation a Kronecker product, P_{i,(j,l)} = A_l B_ij.
//
//   A_t = nu_0 p0 A_{t-1} + nu_1 p1 z_t                         p0 = sqrt(|J_t B_{t-1}| / |A_{t-1}|)
//   B_t = nu_0 J_t B_{t-1} / p0 + nu_1 diag(phi_t) / p1         p1 = sqrt(|phi_t| / |z_t|)
//   G_t = (B_t^T q_t) A_t^T                                     nu_0, nu_1: two signs, new at each step
// P~_t is such a product itself, z_t with diag(phi_t); the signs cancel the mixed terms in the mean. Unbiased.
// Memory O(d^2 + k), time d^3 a step.
#pragma once

#include "rules/balance.h"
#include "rules/rule.h"

namespace rules {

/// Draws: nu_0, nu_1 a step. State: A (k x 1), B (d x d), zeros unless given, as in the paper. Throws
/// std::invalid_argument for a start of another shape.
template <std::floating_point T = double>
class KfRtrl {
 public:
  static constexpr Facing facing = Facing::past;

  explicit KfRtrl(const rnn::Network<T>& net, const rnn::Options& options = {})
      : d_(net.d()), k_(net.d() + net.n() + 1), options_(options) {
    reset();
  }
  void reset() {
    A_ = options_.start("A", rnn::MatrixX<double>::Zero(k_, 1)).template cast<T>();
    B_ = options_.start("B", rnn::MatrixX<double>::Zero(d_, d_)).template cast<T>();
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    options_.draws.next_step();
    const T nu0 = T(options_.draws.sign()), nu1 = T(options_.draws.sign());
    JB_.noalias() = t.W_rec * B_;
    JB_ = (T(1) - t.alpha) * B_ + t.slope.asDiagonal() * JB_;
    p0_ = balance(JB_.norm(), A_.norm());
    p1_ = balance(t.slope.norm(), z_.norm());
    A_ = nu0 * p0_ * A_ + nu1 * p1_ * z_;
    B_ = nu0 / p0_ * JB_;
    B_.diagonal() += nu1 / p1_ * t.slope;
    Bq_.noalias() = B_.transpose() * t.error;
    gradient_.noalias() = Bq_ * A_.transpose();
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  const rnn::VectorX<T>& A() const { return A_; }  // k
  const rnn::MatrixX<T>& B() const { return B_; }  // d x d
  T p0() const { return p0_; }                     // of the last step
  T p1() const { return p1_; }

 private:
  Eigen::Index d_, k_;
  rnn::Options options_;
  rnn::VectorX<T> A_, z_, Bq_;
  rnn::MatrixX<T> B_, JB_;
  T p0_ = 1, p1_ = 1;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
