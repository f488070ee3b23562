// RFLO (Murray 2019, eLife 8:e43299): E_t = (1 - alpha) E_{t-1} + M_t, E_0 = 0; G_t = diag(q_t) E_t.
//
// RTRL whose J_t keeps only the leak: what a synapse did to its own unit fades with the unit's memory, and what came back
// through other units is forgotten. Exact if W_rec = 0; at alpha = 1 it is truncation to one step. In the paper q_t = B e_t
// with fixed random B (given to learn() or Training as B^T). Memory and time O(d k).
#pragma once

#include "rules/rule.h"

namespace rules {

/// State: E (d x k), zeros unless given. Throws std::invalid_argument for a start of another shape.
template <class T = double>
class Rflo {
 public:
  static constexpr Facing facing = Facing::past;

  explicit Rflo(const rnn::Network<T>& net, const rnn::Options& options = {})
      : d_(net.d()), k_(net.d() + net.n() + 1), options_(options) {
    reset();
  }
  void reset() { E_ = options_.start("E", rnn::MatrixX<double>::Zero(d_, k_)).template cast<T>(); }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    E_ *= T(1) - t.alpha;
    E_.noalias() += t.slope * z_.transpose();  // M_t = phi_t z_t^T
    gradient_.noalias() = t.error.asDiagonal() * E_;
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// E_t, d x k: the eligibility traces (適格度トレース), row i for the weights onto unit i.
  const rnn::MatrixX<T>& E() const { return E_; }

 private:
  Eigen::Index d_, k_;
  rnn::Options options_;
  rnn::MatrixX<T> E_;
  rnn::VectorX<T> z_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
