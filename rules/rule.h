// What a learning rule written by hand is, and the loop that shows it a sequence.
#pragma once

#include <concepts>
#include <string_view>
#include <vector>

#include "rnn/options.h"
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
concept Rule = requires(R& rule, const rnn::Transition<T>& transition) {
  { rule.facing } -> std::convertible_to<Facing>;
  rule.reset();                                                             // a sequence begins
  { rule.observe(transition) } -> std::convertible_to<const Gradient<T>&>;  // what is released now
  { rule.finish() } -> std::convertible_to<const Gradient<T>&>;             // the rest, at the end
};
// clang-format on

/// A rule that keeps its part of each use of the parameters, dL/dtheta_s; times from 1, after finish(). It may want to be
/// asked for it before the sequence: keep_times().
template <class R, class T>
concept KeepsTimes = requires(const R& rule) {
  { rule.at(Eigen::Index{1}) } -> std::convertible_to<Gradient<T>>;
};
/// Of a rule chosen while the program runs, the rule itself must be asked.
template <class R>
bool keeps_times(const R& rule) {
  if constexpr (requires { rule.keeps_times(); })
    return rule.keeps_times();
  else
    return requires { rule.at(Eigen::Index{1}); };
}

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
  /// [t-1], if asked for. Rules that face the future: dL/dtheta_t, as far as they keep it; others, what they release at t:
  /// dL_t/dtheta, or of those that release at the end of a block or sequence, that sum.
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

/// The network running beside a rule: step by step, the parameters may change between two steps.
template <class T>
class Loop {
 public:
  /// The network must outlive the loop. `feedback`: B (m x d) in q_t = B^T e_t, or empty for W_out. Throws
  /// std::invalid_argument where sizes do not fit.
  explicit Loop(const rnn::Network<T>& net, const rnn::MatrixX<T>& feedback = {}) : net_(net), feedback_(feedback) {
    rnn::check(net);
    if (feedback.size() != 0) {
      rnn::detail::require_size("rules::Loop", "the number of rows of feedback", feedback.rows(), "m", net.m());
      rnn::detail::require_size("rules::Loop", "the number of columns of feedback", feedback.cols(), "d", net.d());
    }
    restart();
  }
  /// A sequence begins: h = h_0.
  void restart() { now_.h = net_.h_0; }

  /// One step with x (n) and target (m), shown to the rule: what it releases. Where the network is not asked, nothing it
  /// says costs: L_t = 0, e_t = 0.
  template <class R>
  requires Rule<R, T>
  const Gradient<T>& advance(R& rule, const Eigen::Ref<const rnn::VectorX<T>>& x,
                             const Eigen::Ref<const rnn::VectorX<T>>& target, bool last, bool asked = true) {
    const auto& theta = net_.parameters;
    h_before_.swap(now_.h);
    rnn::step(net_, theta, h_before_, x, now_);
    output(theta, now_.h, v_);
    output_error(net_.loss, v_, target, error_);
    loss_ = loss_t(net_.loss, v_, target);
    if (!asked) error_.setZero(), loss_ = T(0);
    credit_.noalias() = (feedback_.size() == 0 ? theta.W_out : feedback_).transpose() * error_;
    slope(net_.activation, net_.alpha, now_.u, now_.f, slope_);
    return rule.observe(
        {h_before_, x, now_.u, now_.h, slope_, theta.W_rec, net_.alpha, credit_, error_, target, last, asked});
  }
  /// The same; what the rule releases and the readout's e_t h_t^T, e_t are added to `to`.
  template <class R>
  requires Rule<R, T>
  void step(R& rule, const Eigen::Ref<const rnn::VectorX<T>>& x, const Eigen::Ref<const rnn::VectorX<T>>& target,
            bool last, rnn::Parameters<T>& to) {
    add(advance(rule, x, target, last), to);
    to.W_out.noalias() += error_ * now_.h.transpose();
    to.b_out += error_;
  }
  const T& loss() const { return loss_; }                  // L_t
  const rnn::VectorX<T>& h() const { return now_.h; }      // d
  const rnn::VectorX<T>& v() const { return v_; }          // m
  const rnn::VectorX<T>& error() const { return error_; }  // m, e_t

 private:
  const rnn::Network<T>& net_;
  rnn::MatrixX<T> feedback_;
  rnn::Step<T> now_;
  rnn::VectorX<T> h_before_, v_, error_, credit_, slope_;
  T loss_{0};
};

/// Runs the network over the sequence, shows each transition to the rule, and adds up what it releases, with the readout's
/// dW_out = sum_t e_t h_t^T, db_out = sum_t e_t. Weights stay fixed. `feedback`: see Loop. Throws std::invalid_argument
/// where sizes do not fit.
template <class R, class T>
requires Rule<R, T> Learned<T> learn(R& rule, const rnn::Network<T>& net, const rnn::Sequence<T>& sequence,
                                     bool per_step = false, const rnn::MatrixX<T>& feedback = {}) {
  check(net, sequence);
  const Eigen::Index length = sequence.length();
  const rnn::Parameters<T> zero = zeros_like(net.parameters);
  Learned<T> r{T(0), rnn::VectorX<T>(length), zero, {}};
  Loop<T> loop(net, feedback);
  if constexpr (requires { rule.keep_times(); })
    if (per_step) rule.keep_times();
  rule.reset();
  for (Eigen::Index t = 1; t <= length; ++t) {
    if (per_step) r.per_step.push_back(zero);
    loop.step(rule, sequence.x.col(t - 1), sequence.target.col(t - 1), t == length,
              per_step ? r.per_step.back() : r.gradient);
    r.losses(t - 1) = loop.loss();
    r.loss += loop.loss();
  }
  const Gradient<T>& rest = rule.finish();
  if (!per_step) {
    add(rest, r.gradient);
    return r;
  }
  bool by_time = false;
  if constexpr (KeepsTimes<R, T>) {
    by_time = keeps_times(rule);
    for (Eigen::Index s = 1; by_time && s <= length; ++s) {
      auto& part = r.per_step[static_cast<std::size_t>(s - 1)];
      part.W_rec.setZero(), part.W_in.setZero(), part.b_rec.setZero();  // not when released, but when used
      add<T>(rule.at(s), part);
    }
  }
  if (!by_time) add(rest, r.per_step.back());
  for (const auto& part : r.per_step) r.gradient += part;
  return r;
}

}  // namespace rules
