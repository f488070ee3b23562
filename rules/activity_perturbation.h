// Activity-based node perturbation (Garcia Fernandez, Keemink and van Gerven 2024, Front. Neurosci. 18:1439155): G_t = Delta L_t sqrt(n + d + m) du_t / |du_t|^2 z_t^T.
//
// du_t = u_t(noisy) - u_t: what the noise, now and before, did to the units; the noise itself need not be known. Each
// loss is credited to its own step alone, and the scale is not the gradient's: biased.
// Memory O(d k), time O(d^2 + d k) a step: a second run of the network.
#pragma once

#include <cmath>
#include <vector>

#include "rules/perturbation.h"

namespace rules {

/// Options: sigma (1e-3), samples (1), signs, perturb_outputs (false; true in the paper); antithetic averages the rule
/// over the noise and the noise with its sign turned. Where du_t = 0 nothing is learned. The network must outlive the
/// rule.
/// Draws, at each step: xi_t (d), then, if outputs are perturbed, the noise on v_t (m); one sample after the other.
template <std::floating_point T = double>
class ActivityPerturbation {
 public:
  static constexpr Facing facing = Facing::past;

  explicit ActivityPerturbation(const rnn::Network<T>& net, const rnn::Options& options = {})
      : net_(net), random_(options), samples_(random_.samples), xi_(net.d()) {
    if (random_.outputs) on_v_.resize(net.m());
    reset();
  }
  void reset() {
    for (Pair<T>& copies : samples_) copies.reset();
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    random_.draws.next_step();
    presynaptic(t, z_);
    const T clean = clean_loss(net_, t);
    const T runs = static_cast<T>(samples_.size() * (random_.antithetic ? 2 : 1));
    const T scale = std::sqrt(static_cast<T>(net_.n() + net_.d() + net_.m())) / runs;
    credit_.setZero(net_.d());
    for (Pair<T>& copies : samples_) {
      draw(random_.draws, random_.signs, xi_), draw(random_.draws, random_.signs, on_v_);
      const auto run = [&](NoisyCopy<T>& copy, T sign) {
        const T worse =
            copy.step(net_, net_.parameters, t, sign * random_.sigma * xi_, sign * random_.sigma * on_v_) - clean;
        moved_ = copy.u() - t.u;
        const T square = moved_.squaredNorm();
        if (square > 0) credit_ += scale * worse / square * moved_;
      };
      run(copies.plus, T(1));
      if (random_.antithetic) run(copies.minus, T(-1));
    }
    gradient_.noalias() = credit_ * z_.transpose();
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

 private:
  const rnn::Network<T>& net_;
  Perturbing<T> random_;
  std::vector<Pair<T>> samples_;
  rnn::VectorX<T> xi_, on_v_, z_, credit_, moved_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
