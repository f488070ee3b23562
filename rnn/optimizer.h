// How a gradient becomes a change of the parameters: plain descent, descent with momentum, Adam.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "rnn/network.h"

namespace rnn {

/// theta <- theta - rate g (stochastic gradient descent; Robbins and Monro 1951).
class Descent {
 public:
  explicit Descent(double rate) : rate_(rate) {}
  void step(Parameters<double>& theta, const Parameters<double>& g) {
    for_each_block([&](auto, auto& to, const auto& by) { to.noalias() -= rate_ * by; }, theta, g);
  }

 private:
  double rate_;
};

/// v <- mu v + g; theta <- theta - rate v (the heavy ball: Polyak 1964; mu = 0.9: Rumelhart, Hinton and Williams 1986).
class Momentum {
 public:
  explicit Momentum(double rate, double mu = 0.9) : rate_(rate), mu_(mu) {}
  void step(Parameters<double>& theta, const Parameters<double>& g) {
    if (size(v_) == 0) v_ = zeros_like(theta);
    for_each_block(
        [&](auto, auto& to, auto& v, const auto& by) {
          v = mu_ * v + by;
          to.noalias() -= rate_ * v;
        },
        theta, v_, g);
  }

 private:
  double rate_, mu_;
  Parameters<double> v_;
};

/// m <- beta1 m + (1 - beta1) g; s <- beta2 s + (1 - beta2) g^2;
/// theta <- theta - rate (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)
/// (Adam: Kingma and Ba 2015, Algorithm 1, with its defaults; its rate is 0.001.)
class Adam {
 public:
  explicit Adam(double rate, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
      : rate_(rate), beta1_(beta1), beta2_(beta2), epsilon_(epsilon) {}
  void step(Parameters<double>& theta, const Parameters<double>& g) {
    if (size(m_) == 0) m_ = s_ = zeros_like(theta);
    power1_ *= beta1_, power2_ *= beta2_;  // beta^t
    for_each_block(
        [&](auto, auto& to, auto& m, auto& s, const auto& by) {
          m = beta1_ * m + (1 - beta1_) * by;
          s = beta2_ * s + (1 - beta2_) * by.cwiseAbs2();
          to.array() -= rate_ * (m.array() / (1 - power1_)) / ((s.array() / (1 - power2_)).sqrt() + epsilon_);
        },
        theta, m_, s_, g);
  }

 private:
  double rate_, beta1_, beta2_, epsilon_, power1_ = 1, power2_ = 1;
  Parameters<double> m_, s_;
};

/// Any of them. step(optimizer, theta, g) moves theta (all five blocks) by the gradient g in the same shapes.
using Optimizer = std::variant<Descent, Momentum, Adam>;
inline void step(Optimizer& optimizer, Parameters<double>& theta, const Parameters<double>& g) {
  std::visit([&](auto& o) { o.step(theta, g); }, optimizer);
}

inline constexpr std::string_view optimizer_names[] = {"sgd", "momentum", "adam"};

/// The optimizer of this name with this learning rate. Throws std::invalid_argument for another name, or a rate that is
/// not a positive number.
inline Optimizer make_optimizer(std::string_view name, double rate) {
  if (!(rate > 0) || !std::isfinite(rate))
    throw std::invalid_argument("rnn::make_optimizer: the learning rate is " + std::to_string(rate));
  if (name == "sgd") return Descent(rate);
  if (name == "momentum") return Momentum(rate);
  if (name == "adam") return Adam(rate);
  throw std::invalid_argument("rnn::make_optimizer: there is no optimizer \"" + std::string(name) +
                              "\"; there are sgd, momentum, adam");
}

}  // namespace rnn
