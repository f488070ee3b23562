// The tangent sweep in many directions, a panel of them at a time: products of matrices instead of one sweep a direction.
#pragma once

#include "ad/matrix.h"

namespace ad {

/// A forward sweep over the active recording. Variables up to `origin` move as they are told, those behind it as their
/// operands make them. What an input's tangents are is never written out: a matrix whose elements move one by one costs
/// what it touches.
class PanelSweep {
  using Index = Eigen::Index;

 public:
  using Columns = Moves::Columns;

  /// Throws std::invalid_argument where there are fewer variables, or the origin lies inside a matrix.
  PanelSweep(const Tape& t, Id origin) : t_(t), generation_(Matrices::generation(t)), origin_(origin + 1) {
    if (origin > t.length())
      throw std::invalid_argument("ad::PanelSweep: the origin is variable " + std::to_string(origin) + " of " +
                                  std::to_string(t.length()));
    if (const auto* b = t.block_before(origin); b && origin_ < b->end)
      throw std::invalid_argument("ad::PanelSweep: variable " + std::to_string(origin) +
                                  ", the origin, is part of the " + std::to_string(b->rows) + " x " +
                                  std::to_string(b->cols) + " matrix of variable " + std::to_string(b->first));
  }

  /// Element i of x moves alone, in direction `direction` + i.
  void move_each(const VarMatrix& x, Index direction) { seeds_.move_each(seeded(x), x.size(), direction); }
  /// x moves along column k, in direction `direction` + k. The columns must stay as long as the sweep.
  /// Throws std::invalid_argument unless they have as many rows as x has elements.
  void move_along(const VarMatrix& x, Index direction, const Columns& columns) {
    if (columns.rows() != x.size())
      throw std::invalid_argument("ad::PanelSweep: columns of " + std::to_string(columns.rows()) + " numbers for the " +
                                  x.shape() + " matrix");
    seeds_.move_along(seeded(x), direction, columns);
  }

  /// Directions first .. first + count - 1. Tangents of before are forgotten.
  /// Throws std::invalid_argument if the recording is another than when the sweep was made.
  void run(Index first, Index count) {
    require_same_recording();
    const Id size = end_ = t_.length() + 1;
    data_.resize(static_cast<std::size_t>(size - origin_) * static_cast<std::size_t>(count));
    seeds_.begin_at(first, count);
    panel_ = {data_.data(), origin_, static_cast<Id>(count), &seeds_};
    Id i = origin_;
    for (const Matrices::Block& b : t_.blocks()) {
      if (b.end <= i) continue;
      for (; i < b.before; ++i) scalar(i);
      b.rule->pushforward(t_, b, panel_);
      i = b.end;
    }
    for (; i < size; ++i) scalar(i);
  }

  /// The tangents of y, a row for each element and a column for each direction, until the next run().
  /// Throws std::invalid_argument if y is a constant, or was not there at the last run().
  Columns tangents(const VarMatrix& y) const {
    y.require_on(t_, "tangents");
    if (y.is_plain())
      throw std::invalid_argument("ad::PanelSweep: no tangents of a " + y.shape() + " matrix of constants");
    return Seeds::recorded(t_, panel_, swept(y.id(), y.size()), y.size()).tangents;
  }
  Columns tangents(const Var& y) const {
    return Seeds::recorded(t_, panel_, swept(Matrices::id(t_, y), 1), 1).tangents;
  }

  std::size_t bytes() const { return data_.size() * sizeof(double); }

 private:
  Id seeded(const VarMatrix& x) const {
    x.require_on(t_, "a seed");
    if (x.is_plain() || x.id() + static_cast<Id>(x.size()) > origin_)
      throw std::invalid_argument("ad::PanelSweep: the " + x.shape() +
                                  " matrix is not among the variables that are told");
    return x.id();
  }
  void require_same_recording() const {
    if (Matrices::generation(t_) != generation_)
      throw std::invalid_argument("ad::PanelSweep: the tape holds another recording than the one to be swept");
  }
  Id swept(Id i, Index size) const {
    require_same_recording();
    if (i < origin_ || i + size > end_)
      throw std::invalid_argument(
          "ad::PanelSweep: no tangents of variable " + std::to_string(i) +
          (end_ == 0 ? ": there was no run"
                     : ": the last run was over " + std::to_string(origin_) + " .. " + std::to_string(end_ - 1)));
    return i;
  }
  /// One number: its operands' tangents, weighed with its partials.
  void scalar(Id i) {
    const Entry<double> e = t_.entry_of(i);
    double* const to = panel_.of(i);
    std::fill_n(to, panel_.directions, 0.0);
    const auto add = [&](Id from, double p) {
      if (from == 0) return;
      const Moves dx = moves(t_, panel_, from, 1, true);
      for (Id k = 0; dx.at_all && k < panel_.directions; ++k) to[k] += flow(p, dx.tangents(0, k));
    };
    add(e.a, e.pa), add(e.b, e.pb), add(e.c, 1);
  }

  const Tape& t_;
  std::uint32_t generation_;
  Id origin_, end_ = 0;  // the first variable that is swept, and the first behind the last run
  Seeds seeds_;
  Array<double> data_;
  Panel<double> panel_{nullptr, 0, 0};
};

}  // namespace ad
