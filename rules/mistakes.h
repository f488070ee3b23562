// The known mistakes of a hand derivation: their table, and how each is made with the parts of derivation.h.
#pragma once

#include <fmt/format.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rules/derivation.h"

namespace rules {

/// `array`: of any array of numbers; `derivation`: of a step of BPTT by hand.
enum class MistakeKind { array, derivation };

/// One row of mistakes.def.
struct MistakeFacts {
  std::string_view id;
  MistakeKind kind;
  std::string_view what, right, needs;
};

inline constexpr auto mistakes = std::to_array<MistakeFacts>({
#define UNROLL_MISTAKE(id, kind, what, right, needs) {id, MistakeKind::kind, what, right, needs},
#include "rules/mistakes.def"
});

/// The row of this id. Throws std::invalid_argument if there is none.
inline const MistakeFacts& mistake(std::string_view id) {
  for (const auto& row : mistakes)
    if (row.id == id) return row;
  throw std::invalid_argument("rules::mistake: there is no mistake \"" + std::string(id) + "\"");
}

/// Families of mistakes (a step, or a number of steps) go so far, however long the sequence is.
inline constexpr Eigen::Index longest_family = 100;

/// One way of making a mistake: what it changes, and where.
struct Mistake {
  std::string_view id;  // of mistakes.def
  std::string how;      // empty: there is only one way
  std::function<void(Derivation&)> make;
  bool many = false;    // one of a family
  bool aside = false;   // where it shows is no sign that the mistake shows as it is commonly made
  bool reruns = false;  // it begins with another forward run: of two mistakes, it is made first
};

/// Every known mistake of a derivation, in every way it is known to be made with this network and sequence; each is made
/// on a copy of `right`. `feedback` (m x d) may be empty: then nobody can have used it for W_out^T.
inline std::vector<Mistake> known_mistakes(const Derivation& right, const rnn::MatrixX<double>& feedback = {}) {
  using D = Derivation;
  using M = rnn::MatrixX<double>;
  using V = rnn::VectorX<double>;
  const Eigen::Index T = right.length(), d = right.net.d();
  const double alpha = right.net.alpha;
  std::vector<Mistake> all;
  const auto add = [&](std::string_view id, std::string how, std::function<void(D&)> make, bool many = false) {
    all.push_back({id, std::move(how), std::move(make), many});
  };
  const auto aside = [&] { all.back().aside = true; };
  /// A matrix (columns are times) whose column t is that of t - k; what comes from outside 1 .. T is zero, or wraps.
  const auto shifted = [](const M& m, Eigen::Index k, bool wrap) {
    M s = M::Zero(m.rows(), m.cols());
    for (Eigen::Index t = 0; t < m.cols(); ++t) {
      const Eigen::Index from = t - k;
      if (from >= 0 && from < m.cols())
        s.col(t) = m.col(from);
      else if (wrap)
        s.col(t) = m.col((from + m.cols()) % m.cols());
    }
    return s;
  };
  /// A slope made wrong, phi (d x T): in one of the two places where it is needed, or in both.
  const auto slopes = [&](std::string_view id, const std::string& how, const M& phi) {
    const std::string what = how.empty() ? "" : how + " ";
    add(id, what + "in the recursion and in the outer product", [phi](D& r) { r.slope = r.slope_back = phi; });
    add(id, what + "in the recursion", [phi](D& r) { r.slope_back = phi; });
    add(id, what + "in the outer product", [phi](D& r) { r.slope = phi; });
  };
  /// An error made wrong, e (m x T): everywhere, or on its way to h alone.
  const auto errors = [&](std::string_view id, const std::string& how, const M& e) {
    const std::string comma = how.empty() ? "" : how + ", ";
    add(id, how, [e](D& r) { r.e_readout = r.e_back = e; });
    add(id, comma + "on the way back to h alone", [e](D& r) { r.e_back = e; });
  };
  /// The whole run with another network.
  const auto rerun = [&](std::string_view id, const std::string& how,
                         std::function<void(rnn::Network<double>&)> change) {
    add(id, how, [change](D& r) {
      rnn::Network<double> other = r.net;
      change(other);
      r = D(other, r.sequence);
    });
    all.back().reruns = true;
  };

  // the recursion
  add("recursion-not-transposed", "", [](D& r) { r.back.transposeInPlace(); });
  add("leak-dropped", "", [](D& r) { r.leak = 0; });
  add("leak-dropped", "and alpha with it, as if it were 1",
      [](D& r) { r.leak = 0, r.slope = r.slope_back = r.f_prime; });
  aside();
  rerun("leak-dropped", "alpha taken as 1 in the forward run too", [](rnn::Network<double>& n) { n.alpha = 1; });
  aside();
  add("leak-dropped", "1 in place of 1 - alpha", [](D& r) { r.leak = 1; });
  aside();
  if (right.net.m() == d) {
    add("recursion-not-transposed", "W_out, in q_t", [](D& r) { r.B.transposeInPlace(); });
    aside();
  }
  add("recurrent-path-dropped", "", [](D& r) { r.back.setZero(); });
  add("recurrent-path-dropped", "and the leak with it", [](D& r) { r.back.setZero(), r.leak = 0; });
  add("factor-one-minus-alpha", "missing before the leak", [](D& r) { r.leak = 1; });
  add("factor-one-minus-alpha", "and alpha, each in the other's place, in the recursion",
      [alpha](D& r) { r.leak = alpha, r.slope_back = (1 - alpha) * r.f_prime; });
  add("factor-one-minus-alpha", "and alpha, each in the other's place",
      [alpha](D& r) { r.leak = alpha, r.slope = r.slope_back = (1 - alpha) * r.f_prime; });
  rerun("factor-one-minus-alpha", "and alpha, each in the other's place, in the forward run too",
        [](rnn::Network<double>& n) { n.alpha = 1 - n.alpha; });
  add("sign", "of what comes from t + 1", [](D& r) { r.leak = -r.leak, r.back = -r.back; });
  add("sign", "of what comes through W_rec", [](D& r) { r.back = -r.back; });

  // f'
  slopes("slope-forgotten", "", M::Constant(d, T, alpha));
  // f' = 1 - f^2, f (1 - f), 1 - exp(-f) of tanh, sigmoid, softplus, with something else put in for f
  const auto slope_by_f = [&](const V& f) -> V {
    if (right.net.activation == rnn::Activation::softplus) return alpha * (1 - (-f.array()).exp());
    return rules::slope(right.net.activation, alpha, f, f);
  };
  M at_h(d, T), h_for_f(d, T), at_h_before(d, T), h_before_for_f(d, T), at_f(d, T);
  for (Eigen::Index t = 0; t < T; ++t) {
    const V h = right.run.h.col(t + 1), h_before = right.run.h.col(t);
    V f;
    activate(right.net.activation, V(right.run.u.col(t)), f);
    at_h.col(t) = alpha * right.slope_at(h);
    h_for_f.col(t) = slope_by_f(h);
    at_h_before.col(t) = alpha * right.slope_at(h_before);
    h_before_for_f.col(t) = slope_by_f(h_before);
    at_f.col(t) = alpha * right.slope_at(f);
  }
  slopes("slope-at-h", "f'(h_t)", at_h);
  slopes("slope-at-h", "h_t for f(u_t)", h_for_f);
  slopes("slope-at-h", "f'(h_{t-1})", at_h_before);
  slopes("slope-at-h", "h_{t-1} for f(u_t)", h_before_for_f);
  slopes("slope-at-h", "f'(f(u_t))", at_f);
  M earlier = shifted(right.slope, 1, false), at_zero = earlier, same = earlier;
  at_zero.col(0) = alpha * right.slope_at(V::Zero(d));
  same.col(0) = right.slope.col(0);
  // in the recursion phi_1 is not needed; in the outer product something must stand for u_0
  add("slope-at-previous-u", "in the recursion", [earlier](D& r) { r.slope_back = earlier; });
  const std::pair<const char*, M> firsts[] = {{"u_0 = 0", at_zero},
                                              {"nothing at t = 1", earlier},
                                              {"u_1 at t = 1", same},
                                              {"u_T at t = 1", shifted(right.slope, 1, true)}};
  for (const auto& [how, phi] : firsts) {
    add("slope-at-previous-u", fmt::format("in the recursion and in the outer product, {}", how),
        [phi = phi](D& r) { r.slope = r.slope_back = phi; });
    add("slope-at-previous-u", fmt::format("in the outer product, {}", how), [phi = phi](D& r) { r.slope = phi; });
  }
  slopes("slope-at-previous-u", "f'(u_{t+1})", shifted(right.slope, -1, false));
  slopes("slope-twice", "f'", right.slope.cwiseProduct(right.f_prime));
  add("slope-wrong-axis", "in the recursion: phi_{t+1} behind W_rec^T", [](D& r) { r.slope_behind = true; });
  add("slope-wrong-axis", "in the recursion: phi_t behind W_rec^T",
      [earlier](D& r) { r.slope_behind = true, r.slope_back = earlier; });
  add("slope-wrong-axis", "in the outer product: phi scales columns", [](D& r) { r.slope_on_columns = true; });

  // alpha
  add("alpha-missing-in-outer", "", [](D& r) { r.slope = r.f_prime; });
  add("alpha-missing-in-recursion", "", [](D& r) { r.slope_back = r.f_prime; });
  slopes("alpha-twice", "", alpha * right.slope);
  add("alpha-twice", "in q_t", [alpha](D& r) { r.q_factor = alpha; });

  // the outer product
  add("h-after-for-before", "", [T](D& r) { r.h_before = r.run.h.rightCols(T); });
  add("h-after-for-before", "h_{t-2} for h_{t-1}", [m = shifted(right.h_before, 1, false)](D& r) { r.h_before = m; });
  add("h-after-for-before", "the other way round, in dL/dW_out", [T](D& r) { r.h_after = r.run.h.leftCols(T); });
  aside();
  add("x-previous", "x_0 = 0", [m = shifted(right.x, 1, false)](D& r) { r.x = m; });
  add("x-previous", "x_T at t = 1", [m = shifted(right.x, 1, true)](D& r) { r.x = m; });
  M clamped = shifted(right.x, 1, false);
  clamped.col(0) = right.x.col(0);
  add("x-previous", "x_1 at t = 1", [clamped](D& r) { r.x = clamped; });
  add("x-previous", "the next one: x_{t+1}", [m = shifted(right.x, -1, false)](D& r) { r.x = m; });
  add("dw-transposed", "", [](D& r) { r.W_rec_transposed = true; });
  if (right.net.n() == d || right.net.m() == d)
    add("dw-transposed", "every square matrix",
        [](D& r) { r.W_rec_transposed = r.W_in_transposed = r.W_out_transposed = true; });
  add("h0-ignored", "in the outer product", [](D& r) { r.h_before.col(0).setZero(); });
  add("h0-ignored", "h_T in its place", [T](D& r) { r.h_before.col(0) = r.run.h.col(T); });
  aside();
  rerun("h0-ignored", "in the forward run too", [](rnn::Network<double>& n) { n.h_0.setZero(); });
  add("bias-forgotten", "dL/db_rec", [](D& r) { r.one.setZero(); });
  add("bias-forgotten", "dL/db_out", [](D& r) { r.keep_b_out = false; });
  add("bias-forgotten", "dL/db_rec and dL/db_out", [](D& r) { r.one.setZero(), r.keep_b_out = false; });
  rerun("bias-forgotten", "b_rec in the forward run", [](rnn::Network<double>& n) { n.parameters.b_rec.setZero(); });
  rerun("bias-forgotten", "b_out in the forward run", [](rnn::Network<double>& n) { n.parameters.b_out.setZero(); });
  rerun("bias-forgotten", "both in the forward run",
        [](rnn::Network<double>& n) { n.parameters.b_rec.setZero(), n.parameters.b_out.setZero(); });
  add("direct-term-missing", "W_out and b_out", [](D& r) { r.keep_W_out = r.keep_b_out = false; });
  add("direct-term-missing", "W_out", [](D& r) { r.keep_W_out = false; });
  add("direct-term-missing", "b_out", [](D& r) { r.keep_b_out = false; });
  add("direct-term-missing", "W_rec, W_in and b_rec", [](D& r) { r.weight.setZero(); });
  add("direct-term-missing", "q_t in c_t", [](D& r) { r.own_missing = true; });

  // which steps are there
  const auto only = [T](Eigen::Index t) -> V { return V::Unit(T, t - 1); };
  const auto all_but = [T](Eigen::Index t) -> V { return V::Ones(T) - V::Unit(T, t - 1); };
  add("first-step-skipped", "", [w = all_but(1)](D& r) { r.weight = w; });
  add("first-step-skipped", "in the readout too", [w = all_but(1)](D& r) { r.weight = r.weight_readout = w; });
  add("overwritten", "t = 1 stays", [w = only(1)](D& r) { r.weight = r.weight_readout = w; });
  add("overwritten", "t = T stays", [w = only(T)](D& r) { r.weight = r.weight_readout = w; });
  add("overwritten", "t = 1 stays, of the readout t = T",
      [w = only(1), v = only(T)](D& r) { r.weight = w, r.weight_readout = v; });
  add("overwritten", "t = 1 stays, the readout adds", [w = only(1)](D& r) { r.weight = w; });
  add("overwritten", "t = T stays, the readout adds", [w = only(T)](D& r) { r.weight = w; });
  const auto e = [&](const V& weight) -> M { return right.e_back * weight.asDiagonal(); };
  errors("overwritten", "the last loss stays", e(only(T)));  // RTRL with =: the same numbers as only-last-loss
  errors("first-step-skipped", "its loss", e(all_but(1)));
  errors("last-loss-dropped", "", e(all_but(T)));
  add("last-loss-dropped", "the use of the parameters at t = T", [w = all_but(T)](D& r) { r.weight = w; });
  aside();
  add("direct-term-missing", "q_t in the recursion, but for q_T", [m = e(only(T))](D& r) { r.e_back = m; });
  aside();
  add("overwritten", "P_t: by its immediate part", [](D& r) { r.back.setZero(), r.leak = 0; });
  aside();
  errors("only-last-loss", "", e(only(T)));
  for (const Eigen::Index k : {1, -1}) {
    const std::string whose = k > 0 ? "of t - 1" : "of t + 1";
    errors("error-shifted", "e " + whose, shifted(right.e_back, k, false));
    errors("error-shifted", "e " + whose + " (wraps)", shifted(right.e_back, k, true));
    for (const bool wrap : {false, true}) {
      const M target = shifted(right.sequence.target, k, wrap);
      M wrong = right.e_back;
      for (Eigen::Index t = 0; t < T; ++t) wrong.col(t) = right.error(right.run.v.col(t), target.col(t));
      errors("error-shifted", "y* " + whose + (wrap ? " (wraps)" : ""), wrong);
    }
  }
  add("total-for-immediate", "", [](D& r) { r.total_for_immediate = true; });

  // the errors
  const auto outputs = [&](auto&& of) {  // e_t from v_t and y*_t
    M wrong = right.e_back;
    for (Eigen::Index t = 0; t < T; ++t) {
      const V y = prediction(right.net.loss, V(right.run.v.col(t)));
      wrong.col(t) = of(y.array(), right.sequence.target.col(t).array());
    }
    return wrong;
  };
  using rnn::Loss;
  if (right.net.loss == Loss::softmax_ce) {
    M one_by_one = right.e_back;
    for (Eigen::Index t = 0; t < T; ++t)
      one_by_one.col(t) = output_error(Loss::sigmoid_ce, V(right.run.v.col(t)), right.sequence.target.col(t));
    errors("softmax-elementwise", "sigmoid(v) - y*", one_by_one);
    errors("softmax-elementwise", "-y* (1 - y)", outputs([](const auto& y, const auto& t) { return -t * (1 - y); }));
    errors("softmax-elementwise", "(y - y*) y (1 - y)",
           outputs([](const auto& y, const auto& t) { return (y - t) * y * (1 - y); }));
  }
  if (right.net.loss == Loss::sigmoid_ce)
    errors("slope-twice", "at the output, (y - y*) y (1 - y)",
           outputs([](const auto& y, const auto& t) { return (y - t) * y * (1 - y); }));
  if (right.net.loss == Loss::tanh_squared) {
    errors("output-slope-forgotten", "and tanh with it, v - y*", right.run.v - right.sequence.target);
    errors("output-slope-forgotten", "", outputs([](const auto& y, const auto& t) { return y - t; }));
    errors("slope-twice", "at the output, (y - y*) (1 - y^2)^2",
           outputs([](const auto& y, const auto& t) { return (y - t) * (1 - y * y).square(); }));
  }
  if (feedback.size() != 0) add("feedback-for-transpose", "", [feedback](D& r) { r.B = feedback; });

  // families
  for (Eigen::Index K = 1; K < std::min(T, longest_family); ++K) {
    const auto cut = [&](const std::string& where, D::Cut how) {
      add(
          "truncated-K", fmt::format("K = {}{}", K, where), [how, K](D& r) { r.cut = how, r.K = K; }, true);
    };
    cut(", from every loss (F-BPTT)", D::Cut::band);
    if (K > 1) cut(", in blocks (E-BPTT)", D::Cut::blocks);
    if (K > 1 && T % K != 0) cut(", in blocks counted from the end", D::Cut::blocks_from_end);
    const V first = (V(T) << V::Ones(T - K + 1), V::Zero(K - 1)).finished(),
            whole = (V(T) << V::Ones(T / K * K), V::Zero(T % K)).finished();
    if (K > 1)
      add(
          "truncated-K", fmt::format("K = {}, from every loss (F-BPTT), the last K - 1 uses never released", K),
          [K, first](D& r) { r.cut = D::Cut::band, r.K = K, r.weight = first; }, true);
    if (K > 1 && T % K != 0)
      add(
          "truncated-K", fmt::format("K = {}, in blocks (E-BPTT), the tail never released", K),
          [K, whole](D& r) { r.cut = D::Cut::blocks, r.K = K, r.weight = whole; }, true);
    cut(", the last K steps alone", D::Cut::window);
  }
  for (Eigen::Index t = 1; t <= std::min(T, longest_family); ++t) {
    const std::string step = fmt::format("the use of the parameters at t = {}", t),
                      loss = fmt::format("the loss at t = {}", t);
    add(
        "block-missing", step, [w = all_but(t)](D& r) { r.weight = w; }, true);
    add(
        "block-doubled", step, [w = V(V::Ones(T) + only(t))](D& r) { r.weight = w; }, true);
    add(
        "block-missing", loss, [m = e(all_but(t))](D& r) { r.e_readout = r.e_back = m; }, true);
    add(
        "block-doubled", loss, [m = e(V::Ones(T) + only(t))](D& r) { r.e_readout = r.e_back = m; }, true);
  }
  return all;
}

}  // namespace rules
