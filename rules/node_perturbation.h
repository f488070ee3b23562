// Node perturbation (Williams 1992, Mach. Learn. 8:229; Fiete and Seung 2006, PRL 97:048104): G = Delta L / sigma  sum_t xi_t z_t^T, noise sigma xi_t on u_t.
//
// Noise on the d units instead of the d k weights. Online: e_t = e_{t-1} + xi_t z_t^T, G_t = Delta L_t / sigma e_t,
// which leaves out the noise that came after a loss and so could not have changed it: the same mean, less variance.
// Unbiased as sigma -> 0, the bias is O(sigma^2). Memory O(d k), time O(d^2 + d k) a step: a second run of the network.
#pragma once

#include <vector>

#include "rules/perturbation.h"

namespace rules {

/// Options: sigma (1e-3), samples (1), signs, antithetic, perturb_outputs (false); lambda. Without lambda the whole
/// sequence is judged at its end, Delta L = sum_t Delta L_t. With it the rule is online, its trace decays by lambda a
/// step: unbiased for lambda = 1; lambda = 0, the reference code's, is the gradient of each loss by the weights' use in
/// the very same step, sum_t dL_t/dtheta_t. Where the network changes, so does its copy. It must outlive the rule.
/// Draws, at each step: xi_t (d), then, if outputs are perturbed, the noise on v_t (m); one sample after the other.
template <std::floating_point T = double>
class NodePerturbation {
 public:
  static constexpr Facing facing = Facing::past;

  explicit NodePerturbation(const rnn::Network<T>& net, const rnn::Options& options = {})
      : net_(net), random_(options), online_(options.lambda), samples_(random_.samples) {
    gradient_.resize(net.d(), net.d() + net.n() + 1);
    xi_.resize(net.d());
    if (random_.outputs) on_v_.resize(net.m());
    reset();
  }
  void reset() {
    for (Sample& s : samples_) s.copies.reset(), s.trace.setZero(gradient_.rows(), gradient_.cols()), s.total = T(0);
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    random_.draws.next_step();
    presynaptic(t, z_);
    const T clean = clean_loss(net_, t);
    const T decay = static_cast<T>(online_.value_or(1));
    for (Sample& s : samples_) {
      draw(random_.draws, random_.signs, xi_), draw(random_.draws, random_.signs, on_v_);
      s.difference = s.copies.difference(random_.antithetic, clean, [&](NoisyCopy<T>& copy, T sign) {
        return copy.step(net_, net_.parameters, t, sign * random_.sigma * xi_, sign * random_.sigma * on_v_);
      });
      s.total += s.difference;
      s.trace *= decay;
      s.trace.noalias() += xi_ * z_.transpose();
    }
    return online_ ? average(&Sample::difference) : nothing_;
  }
  const Gradient<T>& finish() { return online_ ? nothing_ : average(&Sample::total); }

  /// e_t of one sample, d x k.
  const rnn::MatrixX<T>& trace(std::size_t sample = 0) const { return samples_[sample].trace; }
  /// Delta L_t.
  const T& difference(std::size_t sample = 0) const { return samples_[sample].difference; }

 private:
  struct Sample {
    Pair<T> copies;
    rnn::MatrixX<T> trace;
    T difference{0}, total{0};
  };
  const Gradient<T>& average(T Sample::*worse) {
    gradient_.setZero();
    for (const Sample& s : samples_)
      gradient_ += s.*worse / (random_.sigma * static_cast<T>(samples_.size())) * s.trace;
    return gradient_;
  }

  const rnn::Network<T>& net_;
  Perturbing<T> random_;
  std::optional<double> online_;  // lambda
  std::vector<Sample> samples_;
  rnn::VectorX<T> xi_, on_v_, z_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
