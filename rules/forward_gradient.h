// Forward gradient (Baydin et al. 2022, arXiv:2202.08587): hdot_t = J_t hdot_{t-1} + phi_t .* (V z_t), hdot_0 = 0; G_t = (q_t . hdot_t) V.
//
// One tangent, that of h_t in one random direction V of the weights, instead of RTRL's d k of them. q_t . hdot_t is the
// derivative of L_t in that direction, and E[V V^T] = I makes G_t unbiased. Over all directions the variance of G is
// |g|^2 times P - 1 for signs, P + 1 for normal numbers, P = d k.
// Memory O(d k), time O(d^2 + d k) a step.
#pragma once

#include <vector>

#include "rules/perturbation.h"

namespace rules {

/// Options: samples (1), directions averaged; signs (false). The numbers are normal in the paper.
/// Draws, at the first step of a sequence: V (d x k) column by column, one sample after the other.
template <std::floating_point T = double>
class ForwardGradient {
 public:
  static constexpr Facing facing = Facing::past;

  explicit ForwardGradient(const rnn::Network<T>& net, const rnn::Options& options = {}) : random_(options) {
    const Eigen::Index d = net.d(), k = d + net.n() + 1;
    samples_.assign(random_.samples, {rnn::MatrixX<T>::Zero(d, k), rnn::VectorX<T>::Zero(d)});
    gradient_.resize(d, k);
  }
  void reset() { begins_ = true; }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    random_.draws.next_step();
    presynaptic(t, z_);
    gradient_.setZero();
    for (auto& [V, hdot] : samples_) {
      if (begins_) draw(random_.draws, random_.signs, V), hdot.setZero();
      forced_.noalias() = t.W_rec * hdot;
      forced_.noalias() += V * z_;
      hdot = (T(1) - t.alpha) * hdot + t.slope.cwiseProduct(forced_);
      gradient_ += t.error.dot(hdot) / static_cast<T>(samples_.size()) * V;
    }
    begins_ = false;
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// V of one sample, d x k.
  const rnn::MatrixX<T>& direction(std::size_t sample = 0) const { return samples_[sample].V; }
  /// hdot_t = dh_t/dtheta V, d.
  const rnn::VectorX<T>& tangent(std::size_t sample = 0) const { return samples_[sample].hdot; }

 private:
  struct Sample {
    rnn::MatrixX<T> V;
    rnn::VectorX<T> hdot;
  };
  Perturbing<T> random_;
  std::vector<Sample> samples_;
  rnn::VectorX<T> z_, forced_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
  bool begins_ = true;
};

}  // namespace rules
