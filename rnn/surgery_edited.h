// Any composed edit: its gradient, every block of its double sum, its angle to the exact gradient, what it costs.
#pragma once

#include "rnn/alignment.h"
#include "rnn/surgery.h"

namespace rnn {

/// What is left of the gradient when it is edited. Blocks are dL_t/dtheta_s, of the recurrent weights.
struct Edited {
  double loss = 0;
  VectorX<double> losses;       // T
  Parameters<double> gradient;  // the sum of all blocks and predictions, and the readout's own, which is never edited
  /// [t-1]: the sum of row t of the blocks; [s-1]: of column s, with what is predicted there. Both with the readout's.
  std::vector<Parameters<double>> past, future;
  MatrixX<double> credit;     // T x T: norm of block (t, s), zero where it is cut
  VectorX<double> predicted;  // T: norm of what is predicted to come from later, at s; empty without
  MatrixX<double> Theta;      // d x (d + 1): of the prediction, as learned at the end; empty without
};

/// The matrix that errors go back through, m x d, empty for W_out: random is Options::feedback, or drawn, N(0, 1/d).
inline MatrixX<double> feedback_of(const Edit& edit, const Network<double>& net, Draws& draws, const Options& options) {
  const Eigen::Index d = net.d(), m = net.m();
  if (edit.feedback == Edit::Feedback::sign)
    return net.parameters.W_out.unaryExpr([](double w) { return double(w > 0) - double(w < 0); });
  if (edit.feedback == Edit::Feedback::transpose) return {};
  if (options.feedback.size() != 0) return options.feedback;
  return draws.normals(m * d).reshaped(m, d) / std::sqrt(static_cast<double>(d));
}

/// Whether something is lost, or predicted, at the edit's cuts.
inline bool is_cut(const Edit& edit) { return edit.cut != Edit::Cut::never && edit.future != Edit::Future::actual; }
/// The time of the last loss that the use of the parameters at s is told of, if the sequence is long enough.
inline Eigen::Index last_before_cut(const Edit& edit, Eigen::Index s, Eigen::Index length) {
  if (!is_cut(edit)) return length;
  return edit.cut == Edit::Cut::after ? s - 1 + edit.steps : ((s - 1) / edit.steps + 1) * edit.steps;
}

/// Block by block: theta_s is moved at s alone, and its tangents are carried from there as far as the edit lets them.
/// As the weights of unit i act through u_i alone, one kick of each u_i serves all of them.
/// Options: feedback (m x d); gamma, lambda, lr, sg_factor, Theta of the prediction, as bp-lambda has them.
/// Draws, one entry: random feedback, m d normal numbers; the direction of a projection, d k signs or normal numbers.
/// Throws std::invalid_argument where sizes do not fit, and for a mask of one tangent.
inline Edited edited(const Network<double>& net, const Sequence<double>& sequence, const Edit& edit,
                     const Options& options = {}) {
  using Matrix = MatrixX<double>;
  using Eigen::Index;
  const bool one = edit.projection != Edit::Projection::none, masked = edit.j == Edit::J::mask;
  if (one && masked)
    throw std::invalid_argument("edit: a mask keeps some tangents of each weight, but projection = " +
                                std::string(edit.projection == Edit::Projection::signs ? "signs" : "Gaussian") +
                                " leaves one tangent for all weights together");
  check(net, sequence);
  Draws draws = options.draws;
  draws.next_step();
  const Matrix feedback = feedback_of(edit, net, draws, options);
  detail::Surgery run(net, sequence, options, path_of(edit.j), feedback);
  const Index d = run.d, k = run.k, T = run.T;
  Matrix V;  // d k
  if (one) V = edit.projection == Edit::Projection::signs ? draws.signs(d * k) : draws.normals(d * k);
  const MatrixX<bool> there = masked ? reached(net.parameters.W_rec, edit.mask) : MatrixX<bool>::Ones(d, d).eval();
  detail::Predicted prediction;
  if (edit.future == Edit::Future::predicted) prediction = detail::predict(run);
  const Matrix later = options.sg_factor.value_or(1) * prediction.later;

  Edited r;
  r.loss = run.result.loss, r.losses = run.result.losses;
  r.past = r.future = run.result.per_step;
  r.gradient = zeros_like(net.parameters);
  r.credit.setZero(T, T);
  if (later.size() != 0) r.predicted.setZero(T);
  r.Theta = prediction.Theta;
  const auto mask = [&](const Matrix& X) -> Matrix { return one ? X : there.select(X, Matrix::Zero(d, d)); };
  for (Index s = 1; s <= T; ++s) {
    const Index last = std::min(T, last_before_cut(edit, s, T));
    Matrix X = one ? run.at(s).push(Matrix::Zero(d, 1), V)
                   : mask(run.at(s).push_u(Matrix::Zero(d, d), Matrix::Identity(d, d)));
    const auto block = [&](const VectorX<double>& adjoint) -> Matrix {  // of h_t, handed down to the weights
      Matrix g =
          one ? Matrix(adjoint.dot(X.col(0)) * V.reshaped(d, k)) : run.at(s).pull_u(X.transpose() * adjoint).theta;
      if (masked)
        for (Index i = 0; i < d * d; ++i)
          if (net.parameters.W_rec.data()[i] == 0) g.data()[i] = 0;
      return g;
    };
    const auto add = [&](const Matrix& g, Parameters<double>& to) {
      to.W_rec += g.leftCols(d), to.W_in += g.middleCols(d, k - d - 1), to.b_rec += g.col(k - 1);
    };
    for (Index t = s; t <= last; ++t) {
      if (t > s) X = mask(run.at(t).push(X));
      const Matrix g = block(run.at(t).credit);
      r.credit(t - 1, s - 1) = g.norm();
      add(g, r.past[static_cast<std::size_t>(t - 1)]);
      add(g, r.future[static_cast<std::size_t>(s - 1)]);
    }
    if (later.size() != 0 && last < T) {
      const Matrix g = block(later.col(last - 1));
      r.predicted(s - 1) = g.norm();
      add(g, r.future[static_cast<std::size_t>(s - 1)]);
    }
  }
  for (const auto& part : r.future) r.gradient += part;
  return r;
}

/// The options with a prediction (Theta) that has seen the sequence `passes` times, and is then asked only.
inline Options with_prediction(const Network<double>& net, const Sequence<double>& sequence, const Edit& edit,
                               Options options, Eigen::Index passes) {
  Draws draws = options.draws;
  draws.next_step();
  const detail::Surgery run(net, sequence, options, path_of(edit.j), feedback_of(edit, net, draws, options));
  for (Eigen::Index pass = 0; pass < passes; ++pass) options.state["Theta"] = detail::predict(run).Theta;
  options.learn_at_end = true;
  return options;
}

/// The ids of the rules that are this edit; that it feeds errors back in another way does not change a rule's name. The
/// exact gradient is bptt, rtrl and double-sum.
inline std::vector<std::string_view> names_of(Edit edit, Eigen::Index d) {
  edit.feedback = Edit::Feedback::transpose;
  if (edit.cut == Edit::Cut::after && edit.future == Edit::Future::actual) edit.cut = Edit::Cut::never, edit.steps = 0;
  if (edit.j == Edit::J::diagonal) edit.j = Edit::J::mask, edit.mask = 1;
  if (edit.j == Edit::J::none && edit.future != Edit::Future::predicted)
    edit.j = Edit::J::full, edit.cut = Edit::Cut::every, edit.steps = 1, edit.future = Edit::Future::none;
  Options options;
  if (edit.steps > 0) options.truncation = options.block = edit.steps;
  options.n = edit.mask;
  options.signs = edit.projection == Edit::Projection::signs;
  std::vector<std::string_view> names;
  for (const EditRow& row : edits)
    if (edit_of(row.id, options, d) == edit) names.push_back(row.id);
  return names;
}

/// What the recurrent weights' gradient costs: multiplications a step, numbers held from one step to the next.
struct Cost {
  double multiplications, held;
};
/// By forward mode, if it can be done so: not where adjoints are cut after each loss by itself, or predicted. Where
/// blocks hand on what truly comes it is the hybrid, adjoints inside and tangents across.
inline std::optional<Cost> forward_cost(const Edit& edit, const Network<double>& net) {
  const double d = static_cast<double>(net.d()), k = static_cast<double>(net.d() + net.n() + 1);
  const bool cut = is_cut(edit);
  if (edit.future == Edit::Future::predicted) return std::nullopt;
  if (edit.j == Edit::J::none || (cut && edit.steps == 1)) return Cost{d + d * k, 0};
  if (cut && edit.cut == Edit::Cut::after) return std::nullopt;
  const bool own = edit.j == Edit::J::leak || edit.j == Edit::J::diagonal;
  if (edit.projection != Edit::Projection::none) return Cost{(own ? d : d * d + d) + 2 * d * k + 2 * d, d * k + d};
  if (own) return Cost{3 * d * k, d * k};
  if (edit.j == Edit::J::full && edit.cut == Edit::Cut::every && !cut) {
    const double h = static_cast<double>(edit.steps);
    return Cost{(d * d * d * k + d * d * k) / h + d * d * k + d * d * d + d * d + d + d * k, d * d * k + h * (k - 1)};
  }
  const MatrixX<bool> there =
      edit.j == Edit::J::mask ? reached(net.parameters.W_rec, edit.mask) : MatrixX<bool>::Ones(net.d(), net.d()).eval();
  Cost cost{0, 0};
  for (Eigen::Index j = 0; j < net.d(); ++j) {
    const double units = static_cast<double>(there.col(j).count());
    const auto absent = (net.parameters.W_rec.row(j).array() == 0).count();
    const double weights = edit.j == Edit::J::mask ? k - static_cast<double>(absent) : k;
    cost.multiplications += units * units * weights + weights + units * weights;  // J P, P~, q^T P
    cost.held += units * weights;
  }
  return cost;
}
/// By reverse mode, if it can be done so: not under a mask, or in one direction. `length` is that of the sequence.
inline std::optional<Cost> reverse_cost(const Edit& edit, const Network<double>& net, Eigen::Index length) {
  const double d = static_cast<double>(net.d()), n = static_cast<double>(net.n()), k = d + n + 1;
  if (edit.j == Edit::J::mask || edit.projection != Edit::Projection::none) return std::nullopt;
  const bool own = edit.j == Edit::J::leak || edit.j == Edit::J::diagonal;
  const bool cut = is_cut(edit);
  const double window = static_cast<double>(cut ? std::min(edit.steps, length) : length);
  const double pull = edit.j == Edit::J::none || window == 1 ? 0 : own ? d : d * d + d;
  const double again = cut && edit.cut == Edit::Cut::after ? window - 1 : 1;  // a sweep of its own for each use
  Cost cost{again * pull + d + d * k, pull == 0 ? 0 : window * (d + n)};
  if (edit.future == Edit::Future::predicted) {
    cost.multiplications += 3 * d * (d + 1) + (d * d + d);          // asked three times a step; J^T
    cost.multiplications += d * d * d * (d + 1) + d * d * (d + 1);  // the trace carried on, and learned from
    cost.held += d * (d + 1) + d * d * (d + 1);
  }
  return cost;
}

}  // namespace rnn
