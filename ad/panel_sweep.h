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
  PanelSweep(const Tape& t, Id origin) : t_(t), origin_(origin + 1) {
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
  void run(Index first, Index count) {
    const Id size = t_.length() + 1;
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
  Columns tangents(const VarMatrix& y) const {
    y.require_on(t_, "tangents");
    return Seeds::recorded(t_, panel_, swept(y.id()), y.size()).tangents;
  }
  Columns tangents(const Var& y) const { return Seeds::recorded(t_, panel_, swept(Matrices::id(t_, y)), 1).tangents; }

  std::size_t bytes() const { return data_.size() * sizeof(double); }

 private:
  Id seeded(const VarMatrix& x) const {
    x.require_on(t_, "a seed");
    if (x.is_plain() || x.id() + static_cast<Id>(x.size()) > origin_)
      throw std::invalid_argument("ad::PanelSweep: the " + x.shape() +
                                  " matrix is not among the variables that are told");
    return x.id();
  }
  Id swept(Id i) const {
    if (i < origin_ || panel_.directions == 0)
      throw std::invalid_argument("ad::PanelSweep: no tangents of variable " + std::to_string(i) +
                                  ": the sweep begins at " + std::to_string(origin_));
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
  Id origin_;  // the first variable that is swept
  Seeds seeds_;
  Array<double> data_;
  Panel<double> panel_{nullptr, 0, 0};
};

}  // namespace ad
