// Edits of reverse mode: adjoints handed down the steps, with the tape cut, and something else arriving at the cut.
#pragma once

#include <algorithm>

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

/// Adjoints inside a block, tangents across its end: P_last = J_last ... J_first P_{first-1} + what theta did inside.
inline Derived hybrid(Surgery& run, Eigen::Index block) {
  MatrixX<double> P = MatrixX<double>::Zero(run.d, run.d * run.k);
  for (Eigen::Index first = 1; first <= run.T; first += block) {
    const Eigen::Index last = std::min(first + block - 1, run.T);
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

}  // namespace rnn::detail
