// KeRNL (Roth, Kanitscheider and Fiete 2019, ICLR): G_t = diag(A^T q_t) E_t, E_t = diag(kappa) E_{t-1} + M_t, kappa = 1 - gamma.
//
// How far a unit moves the others later on is guessed as a kernel, A_ij kappa_j^s after s steps, and learned from a copy of
// the network disturbed by noise:
//   h^_t = F(h^_{t-1} + zeta_{t-1}, x_t)                         F: one step of the network, with its weights
//   zeta_t = sigma * (d normal numbers)
//   Gamma_t = diag(kappa) Gamma_{t-1} - Omega_{t-1}              dOmega/dgamma
//   Omega_t = diag(kappa) Omega_{t-1} + zeta_t                   the noise, filtered as E filters M
//   err = A Omega_t - (h^_t - h_t)                               predicted less observed: |err|^2 / 2 goes downhill
//   gamma <- gamma - lr (A^T err) .* Gamma_t,  A <- A - lr err Omega_t^T
// In the reference code (Timing::reference) Omega_t holds zeta_t, which h^_t does not feel yet. Timing::aligned compares
// h^_t + zeta_t instead. For one unit with J = 0.6 and kappa = 0.6 the best A is then 1, as it should; the reference's J^2.
// Memory O(d^2 + d k), time O(d^2 + d k) a step.
#pragma once

#include <utility>

#include "rules/rule.h"

namespace rules {

/// Draws: zeta_t, d numbers a step, as they are added to the copy: sigma has no part in a record. Options: lr (5), sigma
/// (0.001), timing. State: A (d x d, identity), gamma (d x 1, 0.8); zeta (d x 1), the noise zeta_0 the copy starts with,
/// beside the network's h; E (d x k), Omega, Gamma (d x 1); these four zeros. reset() begins all but A and gamma anew: what
/// has been learned stays. kappa is kept at or above 0. Throws std::invalid_argument for a start of another shape. The network must outlive
/// the rule.
template <std::floating_point T = double>
class Kernl {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Kernl(const rnn::Network<T>& net, const rnn::Options& options = {})
      : net_(net), d_(net.d()), k_(net.d() + net.n() + 1), options_(options) {
    A_ = options_.start("A", rnn::MatrixX<double>::Identity(d_, d_)).template cast<T>();
    gamma_ = options_.start("gamma", rnn::MatrixX<double>::Constant(d_, 1, 0.8)).template cast<T>();
    reset();
  }
  void reset() {
    zeta_ = options_.start("zeta", rnn::MatrixX<double>::Zero(d_, 1)).template cast<T>();
    begins_ = true;
    Omega_ = options_.start("Omega", rnn::MatrixX<double>::Zero(d_, 1)).template cast<T>();
    Gamma_ = options_.start("Gamma", rnn::MatrixX<double>::Zero(d_, 1)).template cast<T>();
    E_ = options_.start("E", rnn::MatrixX<double>::Zero(d_, k_)).template cast<T>();
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    const T lr = T(options_.lr.value_or(5)), sigma = T(options_.sigma.value_or(1e-3));
    const bool aligned = options_.timing == rnn::Timing::aligned;
    presynaptic(t, z_);
    options_.draws.next_step();
    if (std::exchange(begins_, false)) noisy_ = t.h_before + zeta_;
    rnn::step(net_, net_.parameters, noisy_, t.x, copy_);
    for (T& zeta : zeta_) zeta = T(options_.draws.noise(sigma));
    noisy_ = copy_.h + zeta_;

    kappa_ = (T(1) - gamma_.array()).max(T(0));
    Gamma_ = kappa_.cwiseProduct(Gamma_) - Omega_;
    Omega_ = kappa_.cwiseProduct(Omega_) + zeta_;
    err_.noalias() = A_ * Omega_;
    err_ -= (aligned ? noisy_ : copy_.h) - t.h;
    blame_.noalias() = A_.transpose() * err_;
    gamma_ -= lr * blame_.cwiseProduct(Gamma_);
    A_.noalias() -= (lr * err_) * Omega_.transpose();

    E_ = kappa_.asDiagonal() * E_;
    E_.noalias() += t.slope * z_.transpose();
    credit_.noalias() = A_.transpose() * t.error;
    gradient_.noalias() = credit_.asDiagonal() * E_;
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  const rnn::MatrixX<T>& A() const { return A_; }           // d x d
  const rnn::VectorX<T>& gamma() const { return gamma_; }   // d
  const rnn::MatrixX<T>& E() const { return E_; }           // d x k
  const rnn::VectorX<T>& Omega() const { return Omega_; }   // d
  const rnn::VectorX<T>& Gamma() const { return Gamma_; }   // d
  const rnn::VectorX<T>& zeta() const { return zeta_; }     // d, of the last step
  const rnn::VectorX<T>& h_hat() const { return copy_.h; }  // d, before zeta_t

 private:
  const rnn::Network<T>& net_;
  Eigen::Index d_, k_;
  rnn::Options options_;
  rnn::MatrixX<T> A_, E_;
  rnn::VectorX<T> gamma_, kappa_, zeta_, Omega_, Gamma_;
  rnn::Step<T> copy_;      // h^_t
  rnn::VectorX<T> noisy_;  // h^_t + zeta_t
  rnn::VectorX<T> err_, blame_, credit_, z_;
  bool begins_ = true;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
