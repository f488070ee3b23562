// e-prop (Bellec et al. 2020, Nat. Commun. 11:3625): eps_t = (ds_t/ds_{t-1}) eps_{t-1} + ds_t/dW; G = diag(q) (dz/ds) eps.
//
// s is a unit's hidden state, z what the others see of it; ds/ds means inside the unit, not through any connection. What
// comes out depends on where the unit keeps its memory:
//
//                     this network, (1.2)                    a membrane potential, low-passed before f
//   s_t               (1 - alpha) s_{t-1} + alpha f(u_t)     (1 - alpha) s_{t-1} + alpha u_t
//   z_t               s_t                                    f(s_t)
//   ds_t/ds_{t-1}     1 - alpha                              1 - alpha
//   ds_i/dW_il        alpha f'(u_i) z_l                      alpha z_l, the same for every unit i
//   E = (dz/ds) eps   (1 - alpha) E_{t-1} + M_t: RFLO        alpha f'(s_t) zbar_t^T, zbar_t = (1 - alpha) zbar_{t-1} + z_t
//   class             EProp                                  EPropPotential
//
// So the filter sits on the finished product, with the f' of then, or on the presynaptic term alone, with the f' of now.
#pragma once

#include "rules/rule.h"

namespace rules {

/// For this network: RFLO's trace. A leaky readout v_t = kappa v_{t-1} + W_out h_t + b_out makes each loss depend on the
/// past of h too, and low-passes E once more, with q_t = W_out^T e_t as before (or random feedback):
///   Ebar_t = kappa Ebar_{t-1} + E_t        G_t = diag(q_t) Ebar_t
/// Options: lambda is kappa, 0 unless set, as this network's readout has no memory. State: E (d x k), zeros unless given.
/// Memory and time O(d k).
template <class T = double>
class EProp {
 public:
  static constexpr Facing facing = Facing::past;

  explicit EProp(const rnn::Network<T>& net, const rnn::Options& options = {})
      : d_(net.d()), k_(net.d() + net.n() + 1), kappa_(options.lambda.value_or(0)), options_(options) {
    reset();
  }
  void reset() {
    E_ = options_.start("E", rnn::MatrixX<double>::Zero(d_, k_)).template cast<T>();
    if (kappa_ != T(0)) filtered_.setZero(d_, k_);
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    E_ *= T(1) - t.alpha;
    E_.noalias() += t.slope * z_.transpose();
    if (kappa_ != T(0)) filtered_ = kappa_ * filtered_ + E_;
    gradient_.noalias() = t.error.asDiagonal() * (kappa_ != T(0) ? filtered_ : E_);
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// E_t, d x k: the eligibility traces, before a leaky readout's filter.
  const rnn::MatrixX<T>& E() const { return E_; }

 private:
  Eigen::Index d_, k_;
  T kappa_;
  rnn::Options options_;
  rnn::MatrixX<T> E_, filtered_;
  rnn::VectorX<T> z_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

/// For units whose potential is low-passed before f; of its transitions, h_before = f(s_{t-1}), slope = alpha f'(s_t).
///   zbar_t = (1 - alpha) zbar_{t-1} + z_t        G_t = (q_t .* slope_t) zbar_t^T
/// Exact for them if W_rec = 0. Shown this network's transitions, it is another approximation than RFLO. Memory O(k).
template <class T = double>
class EPropPotential {
 public:
  static constexpr Facing facing = Facing::past;

  explicit EPropPotential(const rnn::Network<T>& net, const rnn::Options& = {}) : k_(net.d() + net.n() + 1) { reset(); }
  void reset() { filtered_.setZero(k_); }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    filtered_ = (T(1) - t.alpha) * filtered_ + z_;
    credit_ = t.error.cwiseProduct(t.slope);
    gradient_.noalias() = credit_ * filtered_.transpose();
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

 private:
  Eigen::Index k_;
  rnn::VectorX<T> filtered_, z_, credit_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
