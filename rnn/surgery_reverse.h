// Edits of reverse mode: adjoints handed down the steps, with the tape cut, and something else arriving at the cut.
#pragma once

#include <algorithm>
#include <cmath>

#include "rnn/surgery_edit.h"
#include "rnn/surgery_run.h"

namespace rnn::detail {

/// Reverse mode, the tape cut.
inline Derived send_down(Surgery& run, const Edit& edit) {
  const auto give = [&](Eigen::Index s, const auto& g) { run.give(s, g); };
  if (edit.cut == Edit::Cut::never) {
    run.sweep(1, run.T, run.nothing(), true, give);
  } else if (edit.cut == Edit::Cut::every) {
    for (Eigen::Index first = 1; first <= run.T; first += edit.steps) {
      const Eigen::Index last = std::min(first + edit.steps - 1, run.T);
      run.sweep(first, last, run.nothing(), true, [&](Eigen::Index, const auto& g) { run.give(last, g); });
    }
  } else {
    for (Eigen::Index s = 1; s <= run.T; ++s)
      run.sweep(s, std::min(s + edit.steps - 1, run.T), run.nothing(), true, [&](Eigen::Index at, const auto& g) {
        if (at == s) run.give(s, g);
      });
  }
  return run.sum();
}

/// The double sum: every L_t swept alone. (t, s) belongs to neither time; it is told at t.
inline Derived block_by_block(Surgery& run) {
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    const EditedStep::Pulled own = run.at(t).pull(run.at(t).credit);
    run.give(t, own.theta);
    run.sweep(1, t - 1, own.before, false, [&](Eigen::Index, const auto& g) { run.give(t, g); });
  }
  return run.sum();
}

/// The hybrid: adjoints inside a block, tangents across its end,
///   P_last = J_last ... J_first P_{first-1} + what theta did inside
inline Derived across_blocks(Surgery& run, const Edit& edit) {
  MatrixX<double> P = MatrixX<double>::Zero(run.d, run.d * run.k);
  for (Eigen::Index first = 1; first <= run.T; first += edit.steps) {
    const Eigen::Index last = std::min(first + edit.steps - 1, run.T);
    const auto to_end = [&](Eigen::Index, const auto& g) { run.give(last, g); };
    run.give(last, P.transpose() * run.sweep(first, last, run.nothing(), true, to_end));
    MatrixX<double> J(run.d, run.d), inside = MatrixX<double>::Zero(run.d, run.d * run.k);
    for (Eigen::Index i = 0; i < run.d; ++i)
      J.row(i) = run.sweep(first, last, VectorX<double>::Unit(run.d, i), false,
                           [&](Eigen::Index, const auto& g) { inside.row(i) += g.reshaped().transpose(); });
    P = J * P + inside;
  }
  return run.sum();
}

struct Predicted {
  MatrixX<double> later;  // d x T: g_t
  MatrixX<double> Theta;  // d x (d + 1), at the end
};
/// What BP(lambda)'s synthesiser, g(h) = Theta [h; 1], says of dL_{>t}/dh_t at each t, g_T = 0. It learns on the way,
/// by delta_t = J_t^T (q_t + gamma g_t) - g_{t-1}, laid along a trace that J carries, and is asked at t when it has
/// learned at t; or, learn_at_end, it is the same all the way.
inline Predicted predict(const Surgery& run) {
  using Matrix = MatrixX<double>;
  const Options& o = run.options;
  const Eigen::Index d = run.d;
  const double gamma = o.gamma.value_or(1), lambda = o.lambda.value_or(1), lr = o.lr.value_or(0.01);
  Matrix Theta = o.start("Theta", Matrix::Zero(d, d + 1)), change = Matrix::Zero(d, d + 1);
  Matrix E = Matrix::Zero(d, d * (d + 1)), all = Matrix::Zero(d, run.T);  // E: column b d + a stands for Theta_ab
  const auto with_one = [&](Eigen::Index t) { return (VectorX<double>(d + 1) << run.h(t), 1).finished(); };
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    if (t >= 2) {
      const VectorX<double> before = with_one(t - 1), now = with_one(t);
      E = gamma * lambda * run.at(t - 1).push(E);
      for (Eigen::Index a = 0; a < d; ++a)
        for (Eigen::Index b = 0; b <= d; ++b) E(a, b * d + a) += before(b);
      const VectorX<double> later = t == run.T ? run.nothing() : VectorX<double>(Theta * now);
      const VectorX<double> delta = run.at(t).pull(run.at(t).credit + gamma * later).before - Theta * before;
      (o.learn_at_end ? change : Theta) += (lr * E.transpose() * delta).reshaped(d, d + 1);
    }
    if (t < run.T) all.col(t - 1) = Theta * with_one(t);
  }
  return {all, Theta + change};
}

/// BP(lambda): the tape cut after every step, the prediction arriving at the cut.
inline Derived predicted_future(Surgery& run) {
  const MatrixX<double> later = predict(run).later;
  for (Eigen::Index t = 1; t <= run.T; ++t)
    run.give(t, run.at(t).pull(run.at(t).credit + run.options.sg_factor.value_or(1) * later.col(t - 1)).theta);
  return run.sum();
}

/// DNI: the tape cut after every step, where Theta [h_t; y*_t; 1] predicts the whole adjoint of h_t. It learns from its
/// own next prediction, handed down one step: by the tape's J_t^T, or (DNI(b)) by a J learned from h itself.
inline Derived predicted_adjoints(Surgery& run, bool learns_J) {
  using Matrix = MatrixX<double>;
  using Vector = VectorX<double>;
  const Options& o = run.options;
  const Eigen::Index d = run.d, size = d + run.net.m() + 1;
  if (o.refresh < 1)
    throw std::invalid_argument("rnn::derived: refresh is " + std::to_string(o.refresh) + ", but must be at least 1");
  const double lr = o.lr.value_or(0.001), J_lr = o.J_lr.value_or(0.001);
  Matrix Theta = Matrix::Zero(d, size);
  if (!o.state.contains("Theta")) {
    Draws draws = o.draws;
    draws.next_step();
    Theta = draws.normals(d * size).reshaped(d, size) / std::sqrt(static_cast<double>(size));
  }
  Theta = o.start("Theta", Theta);
  Matrix Thetabar = o.start("Thetabar", Theta), J = o.start("Jt", run.net.parameters.W_rec);
  const auto seen = [&](Eigen::Index t) {  // [h_t; y*_t; 1], with y*_0 = y*_1
    return (Vector(size) << run.h(t), run.sequence.target.col(std::max<Eigen::Index>(t, 1) - 1), 1).finished();
  };
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    const Vector before = seen(t - 1), now = seen(t), q_before = t == 1 ? run.nothing() : run.at(t - 1).credit;
    Vector predicted = Thetabar * now, target;
    if (learns_J) {
      J -= J_lr * (J * run.h(t - 1) - run.h(t)) * run.h(t - 1).transpose();
      target = q_before + J.transpose() * predicted.array().tanh().matrix();
    } else {
      target = q_before + run.at(t).pull(predicted).before;
    }
    Theta -= lr * (Theta * before - target) * before.transpose();
    if (t % o.refresh == 0) Thetabar = Theta;
    run.give(t, run.at(t).pull(Theta * now).theta);
  }
  return run.sum();
}

}  // namespace rnn::detail
