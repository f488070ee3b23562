// Weight perturbation (Jabri and Flower 1992, IEEE Trans. Neural Netw. 3:154): G_t = Delta L_t / sigma  xi, noise sigma xi on the weights [W_rec | W_in | b_rec].
//
// The forward gradient's limit by finite differences: as sigma -> 0, Delta L_t / sigma is the derivative of L_t in the
// direction xi. Its bias is O(sigma^2) with signs or normal numbers; single samples differ by O(sigma), antithetic ones
// by O(sigma^2). Memory O(d k), time O(d^2 + d k) a step: a second run of the network.
#pragma once

#include <vector>

#include "rules/perturbation.h"

namespace rules {

/// Options: sigma (1e-3), samples (1), signs, antithetic, perturb_outputs (false); lambda. Without lambda, xi stays the
/// same through a sequence. With it, xi_t is drawn at every step and G_t = Delta L_t / sigma e_t, with the trace
/// e_t = lambda e_{t-1} + xi_t: unbiased for lambda = 1, and the reference code's for lambda = 0, which credits only
/// the weights' use in the very step of each loss. Where the network changes, so does its copy; it must outlive the
/// rule.
/// Draws: xi (d x k) column by column, then, if outputs are perturbed, W_out's (m x d) column by column and b_out's
/// (m); one sample after the other; at the first step of a sequence, or with lambda at every step.
template <std::floating_point T = double>
class WeightPerturbation {
 public:
  static constexpr Facing facing = Facing::past;

  explicit WeightPerturbation(const rnn::Network<T>& net, const rnn::Options& options = {})
      : net_(net), random_(options), each_step_(options.lambda), samples_(random_.samples) {
    gradient_.resize(net.d(), net.d() + net.n() + 1);
    reset();
  }
  void reset() {
    begins_ = true;
    for (Sample& s : samples_) s.copies.reset(), s.trace.setZero(gradient_.rows(), gradient_.cols());
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    random_.draws.next_step();
    const T clean = clean_loss(net_, t);
    gradient_.setZero();
    for (Sample& s : samples_) {
      if (begins_ || each_step_) draw_noise(s);
      s.difference = s.copies.difference(random_.antithetic, clean, [&](NoisyCopy<T>& copy, T sign) {
        noisy_ = net_.parameters;
        add<T>(sign * random_.sigma * s.xi, noisy_);
        if (random_.outputs) {
          noisy_.W_out += sign * random_.sigma * s.on_W_out;
          noisy_.b_out += sign * random_.sigma * s.on_b_out;
        }
        return copy.step(net_, noisy_, t, rnn::VectorX<T>::Zero(net_.d()), rnn::VectorX<T>());
      });
      gradient_ += s.difference / (random_.sigma * static_cast<T>(samples_.size())) * s.trace;
    }
    begins_ = false;
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// xi of one sample, d x k; and e_t, which is xi itself without lambda.
  const rnn::MatrixX<T>& noise(std::size_t sample = 0) const { return samples_[sample].xi; }
  const rnn::MatrixX<T>& trace(std::size_t sample = 0) const { return samples_[sample].trace; }
  /// Delta L_t.
  const T& difference(std::size_t sample = 0) const { return samples_[sample].difference; }

 private:
  struct Sample {
    Pair<T> copies;
    rnn::MatrixX<T> xi, trace, on_W_out;
    rnn::VectorX<T> on_b_out;
    T difference{0};
  };
  void draw_noise(Sample& s) {
    s.xi.resize(gradient_.rows(), gradient_.cols());
    draw(random_.draws, random_.signs, s.xi);
    if (random_.outputs) {
      s.on_W_out.resize(net_.m(), net_.d()), s.on_b_out.resize(net_.m());
      draw(random_.draws, random_.signs, s.on_W_out), draw(random_.draws, random_.signs, s.on_b_out);
    }
    s.trace = static_cast<T>(each_step_.value_or(0)) * s.trace + s.xi;
  }

  const rnn::Network<T>& net_;
  Perturbing<T> random_;
  std::optional<double> each_step_;  // lambda
  std::vector<Sample> samples_;
  rnn::Parameters<T> noisy_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
  bool begins_ = true;
};

}  // namespace rules
