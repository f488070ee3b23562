// Every learning rule derived: an edit of reverse mode (BPTT) or of forward mode (RTRL) over the unrolled network.
//
// No derivative is written here: all that is added, dropped, replaced or projected comes up or down a recorded step.
#pragma once

#include <optional>

#include "rnn/options.h"
#include "rnn/surgery_edit.h"
#include "rnn/surgery_step.h"

namespace rnn {

enum class Direction { reverse, forward, both };
inline constexpr std::string_view direction_names[] = {"reverse", "forward", "both"};

/// One row of surgery.def.
struct EditRow {
  std::string_view id;
  Direction direction;
  std::string_view edit;  // "-" where no Edit says it
  std::string_view what;
};
inline constexpr auto edits = std::to_array<EditRow>({
#define UNROLL_EDIT(id, direction, edit, what) {id, Direction::direction, edit, what},
#include "rnn/surgery.def"
});

/// The gradient of a whole sequence, and its parts.
struct Derived {
  double loss = 0;
  VectorX<double> losses;       // T
  Parameters<double> gradient;  // the sum of all parts
  /// [t-1]: of forward mode dL_t/dtheta, of reverse mode dL/dtheta_t; where the tape is cut into blocks, a block's share at
  /// its end.
  std::vector<Parameters<double>> per_step;
};

namespace detail {

/// A run of recorded steps, and the gradient that is being put together from it.
class Surgery {
 public:
  using Index = Eigen::Index;
  using Vector = VectorX<double>;
  using Matrix = MatrixX<double>;

  Surgery(const Network<double>& network, const Sequence<double>& shown, const Options& o, Path path = Path::full)
      : net(network),
        sequence(shown),
        options(o),
        steps(record_steps(network, shown, path, o.feedback)),
        T(shown.length()),
        d(network.d()),
        k(network.d() + network.n() + 1) {
    result.losses.resize(T);
    result.gradient = zeros_like(net.parameters);
    for (Index t = 1; t <= T; ++t) {
      result.losses(t - 1) = at(t).loss;
      result.loss += at(t).loss;
      result.per_step.push_back(at(t).readout);
    }
  }

  const Network<double>& net;
  const Sequence<double>& sequence;
  const Options& options;
  EditedSteps steps;
  const Index T, d, k;
  Derived result;

  const EditedStep& at(Index t) const { return steps[static_cast<std::size_t>(t - 1)]; }
  const Vector& h(Index t) const { return t == 0 ? net.h_0 : at(t).h; }
  /// G (d x k), or d k numbers column by column, becomes part of what time t is told.
  template <class G>
  void give(Index t, const Eigen::MatrixBase<G>& g) {
    const Matrix W = g.reshaped(d, k);
    auto& part = result.per_step[static_cast<std::size_t>(t - 1)];
    part.W_rec += W.leftCols(d);
    part.W_in += W.middleCols(d, k - d - 1);
    part.b_rec += W.col(k - 1);
  }
  Derived sum() {
    for (const auto& part : result.per_step) result.gradient += part;
    return std::move(result);
  }

  /// Reverse mode from h_last down to h_{first-1}: starts with c, gathers every q_s unless told not to, hands what comes to
  /// theta_s to each(s, G), and returns what comes out below.
  template <class F>
  Vector sweep(Index first, Index last, Vector c, bool losses, F&& each) const {
    for (Index s = last; s >= first; --s) {
      if (losses) c += at(s).credit;
      EditedStep::Pulled pulled = at(s).pull(c);
      each(s, pulled.theta);
      c = std::move(pulled.before);
    }
    return c;
  }
  Vector nothing() const { return Vector::Zero(d); }
  /// Each weight moves by itself: d k directions.
  auto each_weight() const { return Matrix::Identity(d * k, d * k); }
};

}  // namespace detail

/// Which units keep a tangent of the weights into unit l: (i, l) is true if i is reached from l in at most n - 1 of the
/// connections that W_rec has, d x d.
inline MatrixX<bool> reached(const MatrixX<double>& W_rec, Eigen::Index n) {
  MatrixX<bool> there = MatrixX<bool>::Identity(W_rec.rows(), W_rec.rows());
  for (Eigen::Index step = 1; step < n; ++step) {
    const MatrixX<bool> before = there;
    for (Eigen::Index l = 0; l < there.cols(); ++l)
      for (Eigen::Index j = 0; j < there.rows(); ++j)
        if (before(j, l)) there.col(l).array() = there.col(l).array() || (W_rec.col(j).array() != 0);
    if (there == before) break;
  }
  return there;
}

inline Path path_of(Edit::J j) {
  return j == Edit::J::leak       ? Path::leak
         : j == Edit::J::diagonal ? Path::diagonal
         : j == Edit::J::none     ? Path::none
                                  : Path::full;
}

namespace detail {

/// Forward mode, J edited: P_t = J_t P_{t-1} + P~_t, masked.
inline Derived carry(Surgery& run, const Edit& edit) {
  const bool masked = edit.j == Edit::J::mask;
  const MatrixX<bool> there = masked ? reached(run.net.parameters.W_rec, edit.mask) : MatrixX<bool>();
  MatrixX<double> P = MatrixX<double>::Zero(run.d, run.d * run.k);
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    P = run.at(t).push(P, run.each_weight());
    if (masked)
      for (Eigen::Index c = 0; c < P.cols(); ++c) P.col(c) = there.col(c % run.d).select(P.col(c), 0.0);
    run.give(t, P.transpose() * run.at(t).credit);
  }
  return run.sum();
}

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
    const VectorX<double> below = run.at(t).pull(run.at(t).credit).before;
    run.give(t, run.at(t).pull(run.at(t).credit).theta);
    run.sweep(1, t - 1, below, false, [&](Eigen::Index, const auto& g) { run.give(t, g); });
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

}  // namespace detail

/// The words of a row with the options in place of T', h and n; nothing where no Edit says what the rule does, or if there is
/// no such rule. h is Options::block, or d.
inline std::optional<Edit> edit_of(std::string_view id, const Options& options, Eigen::Index d) {
  for (const EditRow& row : edits) {
    if (row.id != id || row.edit == "-") continue;
    std::string words(row.edit);
    const auto put = [&](std::string_view letter, Eigen::Index number) {
      if (const std::size_t i = words.find(letter); i != std::string::npos)
        words.replace(i, letter.size(), std::to_string(number));
    };
    put("T'", options.truncation);
    if (words.find("every h") != std::string::npos) put("h", options.block > 0 ? options.block : d);
    if (words.find("n-step") != std::string::npos) put("n", options.n);
    return parse_edit(words);
  }
  return std::nullopt;
}

/// The gradient by the rule of this id (of surgery.def, as in rules/registry.def), derived. Throws std::invalid_argument for
/// an id that is not there, naming those that are, and where sizes or options do not fit.
inline Derived derived(std::string_view id, const Network<double>& net, const Sequence<double>& sequence,
                       const Options& options = {}) {
  std::string ids;
  bool known = false;
  for (const EditRow& row : edits) {
    ids += (ids.empty() ? "" : ", ") + std::string(row.id);
    known = known || row.id == id;
  }
  if (!known)
    throw std::invalid_argument("rnn::derived: there is no rule \"" + std::string(id) + "\"; there are " + ids);
  const std::optional<Edit> edit = edit_of(id, options, net.d());
  detail::Surgery run(net, sequence, options, edit ? path_of(edit->j) : Path::full);
  if (id == "readout") return run.sum();
  if (id == "double-sum") return detail::block_by_block(run);
  if (id == "hybrid") return detail::hybrid(run, edit->steps);
  if (id == "bptt" || id == "e-bptt" || id == "f-bptt") return detail::send_down(run, *edit);
  if (id == "rtrl" || id == "snap" || id == "rflo" || id == "e-prop") return detail::carry(run, *edit);
  throw std::invalid_argument("rnn::derived: " + std::string(id) + " is not derived yet");
}

}  // namespace rnn
