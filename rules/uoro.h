// UORO (Tallec and Ollivier 2018, ICLR): P_t in expectation a product of rank one, P_{i,(j,l)} = A_i B_jl.
//
//   A_t = p0 J_t A_{t-1} + p1 nu                    p0 = sqrt(|B_{t-1}| / |J_t A_{t-1}|)
//   B_t = B_{t-1} / p0 + diag(nu) M_t / p1          p1 = sqrt(|diag(nu) M_t| / sqrt d)
//   G_t = (q_t . A_t) B_t                           nu: d signs, new at each step
// The mean over nu of nu_i nu_j is 1 if i = j and else 0, so that the mean of A B is RTRL's P. Unbiased, and noisy.
// Memory O(d k), time O(d^2 + d k) a step.
#pragma once

#include "rules/balance.h"
#include "rules/rule.h"

namespace rules {

/// Draws: d signs a step, nu. State: A (d x 1), B (d x k), zeros unless given, as in the paper. Throws
/// std::invalid_argument for a start of another shape.
template <std::floating_point T = double>
class Uoro {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Uoro(const rnn::Network<T>& net, const rnn::Options& options = {})
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
    JA_.noalias() = t.W_rec * A_;
    JA_ = (T(1) - t.alpha) * A_ + t.slope.cwiseProduct(JA_);
    noise_ = nu_.cwiseProduct(t.slope);  // diag(nu) M_t = noise z_t^T
    p0_ = balance(B_.norm(), JA_.norm());
    p1_ = balance(noise_.norm() * z_.norm(), std::sqrt(T(d_)));
    A_ = p0_ * JA_ + p1_ * nu_;
    B_ *= 1 / p0_;
    noise_ /= p1_;
    B_.noalias() += noise_ * z_.transpose();
    gradient_ = t.error.dot(A_) * B_;
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
  rnn::VectorX<T> nu_, A_, JA_, noise_, z_;
  rnn::MatrixX<T> B_;
  T p0_ = 1, p1_ = 1;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
