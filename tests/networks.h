// Networks at points where no mistake hides, and how far two arrays are from each other.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "rnn/task.h"

namespace tests {

/// The largest difference over the largest expected number; infinite where sizes differ or something is not finite. An
/// expectation of zeros is met by zeros only.
template <class A, class B>
double relative(const Eigen::MatrixBase<A>& got, const Eigen::MatrixBase<B>& expected) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  if (got.rows() != expected.rows() || got.cols() != expected.cols()) return inf;
  if (got.size() == 0) return 0;
  if (!got.allFinite() || !expected.allFinite()) return inf;
  const double difference = (got - expected).cwiseAbs().maxCoeff(), scale = expected.cwiseAbs().maxCoeff();
  return difference == 0 ? 0 : difference / scale;
}
/// The worst of the five blocks.
inline double relative(const rnn::Parameters<double>& got, const rnn::Parameters<double>& expected) {
  double worst = 0;
  rnn::for_each_block([&](auto, const auto& a, const auto& b) { worst = std::max(worst, relative(a, b)); }, got,
                      expected);
  return worst;
}

/// A generic point: n, d, m all different, alpha < 1, W_rec neither symmetric nor small, nothing zero, targets that do not
/// sum to one. At alpha = 1 or W = W^T whole families of mistakes look right.
inline rnn::Network<double> generic_network(rnn::Activation activation, rnn::Loss loss, std::uint64_t seed = 1,
                                            Eigen::Index n = 3, Eigen::Index d = 5, Eigen::Index m = 2) {
  rnn::Random random(seed);
  rnn::Network<double> net;
  net.parameters = {random.normal(d, d, 0.6), random.normal(d, n), random.normal(d, 1, 0.5), random.normal(m, d),
                    random.normal(m, 1)};
  net.alpha = 0.3;
  net.activation = activation;
  net.loss = loss;
  net.h_0 = random.normal(d, 1, 0.7);
  return net;
}
/// No u comes near the kink of relu.
inline rnn::Sequence<double> generic_sequence(const rnn::Network<double>& net, Eigen::Index length = 7,
                                              std::uint64_t seed = 2) {
  rnn::Random random(seed);
  rnn::Sequence<double> sequence{random.normal(net.n(), length), random.normal(net.m(), length)};
  if (net.loss != rnn::Loss::squared)
    sequence.target = (0.5 + 0.3 * sequence.target.array().max(-1.5).min(1.5)).matrix();
  const bool kink = net.activation == rnn::Activation::relu && rnn::run(net, sequence).u.cwiseAbs().minCoeff() < 0.05;
  return kink ? generic_sequence(net, length, seed + 1) : sequence;
}

/// df/dt at t = 0 from four values of f. With h = 1e-3, truncation h^4 f^(5) / 30 and rounding 1e-16 |f| / h are both some
/// 1e-13 of f: `by_differences` is the tolerance with room for a sum over a sequence.
template <class F>
double slope(F&& f) {
  constexpr double h = 1e-3;
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}
inline constexpr double by_differences = 1e-9;

/// The gradient at `at`: f is called with one number moved at a time.
template <class F>
rnn::VectorX<double> slopes(F&& f, const rnn::VectorX<double>& at) {
  rnn::VectorX<double> g(at.size());
  for (Eigen::Index i = 0; i < at.size(); ++i)
    g(i) = slope([&](double t) {
      rnn::VectorX<double> moved = at;
      moved(i) += t;
      return f(moved);
    });
  return g;
}

/// How a gradient changes as `at` moves along V.
template <class F>
rnn::VectorX<double> slope_of_gradient(F&& gradient, const rnn::VectorX<double>& at, const rnn::VectorX<double>& V) {
  constexpr double h = 1e-3;
  const auto g = [&](double t) -> rnn::VectorX<double> { return gradient(at + t * V); };
  return (8 * (g(h) - g(-h)) - (g(2 * h) - g(-2 * h))) / (12 * h);
}

inline constexpr rnn::Activation activations[] = {rnn::Activation::tanh, rnn::Activation::relu,
                                                  rnn::Activation::sigmoid, rnn::Activation::softplus,
                                                  rnn::Activation::identity};
inline constexpr rnn::Loss losses[] = {rnn::Loss::squared, rnn::Loss::softmax_ce, rnn::Loss::sigmoid_ce,
                                       rnn::Loss::tanh_squared};

/// f(network, sequence, "tanh, squared") for every activation with every loss.
template <class F>
void for_each_kind(F&& f) {
  for (const auto a : activations)
    for (const auto l : losses) {
      const auto net = generic_network(a, l);
      f(net, generic_sequence(net),
        std::string(rnn::activation_names[static_cast<int>(a)]) + ", " +
            std::string(rnn::loss_names[static_cast<int>(l)]));
    }
}

}  // namespace tests
