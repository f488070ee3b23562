// What the perturbation rules share: copies of the network that run with noise, and how much worse they do.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "rules/rule.h"

namespace rules {

/// Fills `to`, a vector or a matrix column by column: normal numbers, or signs.
template <class M>
void draw(rnn::Draws& draws, bool signs, M& to) {
  for (Eigen::Index i = 0; i < to.size(); ++i)
    to.data()[i] = static_cast<typename M::Scalar>(signs ? draws.sign() : draws.normal());
}

/// The numbers that all perturbation rules take from Options, checked.
template <std::floating_point T>
struct Perturbing {
  rnn::Draws draws;
  std::size_t samples;  // perturbations averaged
  T sigma;              // standard deviation; default 1e-3, that of Garcia Fernandez, Keemink and van Gerven's code
  bool signs, antithetic, outputs;

  /// Throws std::invalid_argument unless samples >= 1 and sigma > 0.
  explicit Perturbing(const rnn::Options& options)
      : draws(options.draws),
        samples(static_cast<std::size_t>(options.samples)),
        sigma(static_cast<T>(options.sigma.value_or(1e-3))),
        signs(options.signs),
        antithetic(options.antithetic),
        outputs(options.perturb_outputs) {
    if (options.samples < 1)
      throw std::invalid_argument("rules: samples is " + std::to_string(options.samples) + ", but must be at least 1");
    if (!(sigma > 0))
      throw std::invalid_argument("rules: sigma is " + std::to_string(sigma) + ", but must be positive");
  }
};

/// L_t of the network as it is, from h_t.
template <class T>
T clean_loss(const rnn::Network<T>& net, const rnn::Transition<T>& t) {
  return t.asked ? loss_t(net.loss, output(net.parameters, t.h), t.target) : T(0);
}

/// The same network with noise: a second h_t, beside the network's own, which begins where that is when a sequence, or a
/// block of one, begins.
template <std::floating_point T>
class NoisyCopy {
 public:
  void reset() { begins_ = true; }

  /// One step with parameters theta, `on_u` (d) added to u_t and `on_v` (m, or empty) to v_t; returns L_t.
  template <class U, class V>
  T step(const rnn::Network<T>& net, const rnn::Parameters<T>& theta, const rnn::Transition<T>& t, const U& on_u,
         const V& on_v) {
    if (std::exchange(begins_, false)) h_ = t.h_before;
    u_.noalias() =
        theta.W_rec * h_ + theta.W_in * t.x + theta.b_rec;  // in the order of rnn::step: no noise, no difference
    u_ += on_u;
    activate(net.activation, u_, f_);
    h_ = (T(1) - net.alpha) * h_ + net.alpha * f_;
    output(theta, h_, v_);
    if (on_v.size() != 0) v_ += on_v;
    return t.asked ? loss_t(net.loss, v_, t.target) : T(0);
  }
  const rnn::VectorX<T>& u() const { return u_; }  // d
  const rnn::VectorX<T>& h() const { return h_; }  // d

 private:
  rnn::VectorX<T> h_, u_, f_, v_;
  bool begins_ = true;
};

/// A copy with the noise, and one with its sign turned.
template <std::floating_point T>
struct Pair {
  NoisyCopy<T> plus, minus;

  void reset() { plus.reset(), minus.reset(); }
  /// Delta L_t: L_t with noise less L_t without; or, antithetic, half of L_t(noise) - L_t(-noise).
  /// step(copy, sign) runs one copy and returns its L_t.
  template <class F>
  T difference(bool antithetic, const T& clean, F&& step) {
    const T with = step(plus, T(1));
    return antithetic ? (with - step(minus, T(-1))) / 2 : with - clean;
  }
};

}  // namespace rules
