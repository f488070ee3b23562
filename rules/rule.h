// What a learning rule written by hand is, and the loop that shows it a sequence.
#pragma once

#include <concepts>
#include <string_view>
#include <vector>

#include "rnn/transition.h"
#include "rules/activation.h"
#include "rules/output_error.h"

namespace rules {

/// G (d x (d + n + 1)), the gradient by [W_rec | W_in | b_rec], which act on z_t = [h_{t-1}; x_t; 1]. Empty: nothing.
template <class T>
using Gradient = rnn::MatrixX<T>;

/// Which half of the double sum (1.7) a rule adds up first: losses of the future, or uses of the parameters in the past.
enum class Facing { past, future, neither };
inline constexpr std::string_view facing_names[] = {"past", "future", "neither"};

/// A rule sees one transition after the other, then the end. The readout is nobody's business: e_t h_t^T and e_t.
// clang-format off
template <class R, class T>
concept Rule = requires(R rule, const rnn::Transition<T>& transition) {
  { R::facing } -> std::convertible_to<Facing>;
  rule.reset();                                                             // a sequence begins
  { rule.observe(transition) } -> std::convertible_to<const Gradient<T>&>;  // what is released now
  { rule.finish() } -> std::convertible_to<const Gradient<T>&>;             // the rest, at the end
};
// clang-format on

/// A rule that keeps its part of each use of the parameters, dL/dtheta_s; times from 1, after finish().
template <class R, class T>
concept KeepsTimes = requires(const R& rule) {
  { rule.at(Eigen::Index{1}) } -> std::convertible_to<Gradient<T>>;
};

/// z_t = [h_{t-1}; x_t; 1]: what the columns of a Gradient act on.
template <class T>
void presynaptic(const rnn::Transition<T>& t, rnn::VectorX<T>& z) {
  z.resize(t.h_before.size() + t.x.size() + 1);
  z << t.h_before, t.x, T(1);
}

/// The gradient of a whole sequence, and its parts.
template <class T>
struct Learned {
  T loss;
  rnn::VectorX<T> losses;       // T
  rnn::Parameters<T> gradient;  // the sum of all parts
  /// [t-1], if asked for. Rules that face the future: dL/dtheta_t; others: dL_t/dtheta.
  std::vector<rnn::Parameters<T>> per_step;
};

/// Adds G to the three recurrent blocks. An empty G adds nothing.
template <class T>
void add(const Gradient<T>& g, rnn::Parameters<T>& to) {
  if (g.size() == 0) return;
  const Eigen::Index d = to.W_rec.rows(), n = to.W_in.cols();
  rnn::detail::require_size("rules::add", "the number of columns of the gradient", g.cols(), "d + n + 1", d + n + 1);
  to.W_rec += g.leftCols(d);
  to.W_in += g.middleCols(d, n);
  to.b_rec += g.col(d + n);
}

/// Runs the network over the sequence, shows each transition to the rule, and adds up what it releases, with the readout's
/// dW_out = sum_t e_t h_t^T, db_out = sum_t e_t. Weights stay fixed. Throws std::invalid_argument where sizes do not fit.
template <class R, class T>
requires Rule<R, T> Learned<T> learn(R& rule, const rnn::Network<T>& net, const rnn::Sequence<T>& sequence,
                                     bool per_step = false) {
  check(net, sequence);
  const auto& theta = net.parameters;
  const Eigen::Index length = sequence.length();
  const rnn::Parameters<T> zero = zeros_like(theta);
  Learned<T> r{T(0), rnn::VectorX<T>(length), zero, {}};
  rnn::VectorX<T> h_before = net.h_0;
  rule.reset();
  for (Eigen::Index t = 1; t <= length; ++t) {
    const rnn::VectorX<T> x = sequence.x.col(t - 1), target = sequence.target.col(t - 1);
    const rnn::Step<T> now = step(net, theta, h_before, x);
    const rnn::VectorX<T> v = output(theta, now.h);
    const rnn::VectorX<T> e = output_error(net.loss, v, target);
    const rnn::VectorX<T> q = theta.W_out.transpose() * e;  // dL_t/dh_t
    const rnn::VectorX<T> phi = slope(net.activation, net.alpha, now.u, now.f);
    r.losses(t - 1) = loss_t(net.loss, v, target);
    r.loss += r.losses(t - 1);

    rnn::Parameters<T> part = per_step ? zero : rnn::Parameters<T>{};
    rnn::Parameters<T>& to = per_step ? part : r.gradient;
    add(rule.observe({h_before, x, now.u, now.h, phi, theta.W_rec, net.alpha, q, e, target, t == length}), to);
    to.W_out += e * now.h.transpose();
    to.b_out += e;
    if (per_step) r.per_step.push_back(std::move(part));
    h_before = now.h;
  }
  const Gradient<T>& rest = rule.finish();
  if (!per_step) {
    add(rest, r.gradient);
    return r;
  }
  if constexpr (KeepsTimes<R, T>) {
    for (Eigen::Index s = 1; s <= length; ++s) add<T>(rule.at(s), r.per_step[static_cast<std::size_t>(s - 1)]);
  } else {
    add(rest, r.per_step.back());
  }
  for (const auto& part : r.per_step) r.gradient += part;
  return r;
}

}  // namespace rules
