// How variables move in many directions at once, where most of it is zero: what a forward sweep over matrices starts from.
#pragma once

#include <vector>

#include "ad/matrices.h"

namespace ad {

/// The tangents of a run of variables in the directions of a panel.
struct Moves {
  using Columns = Eigen::Map<const Eigen::MatrixXd, 0, Eigen::OuterStride<>>;

  bool at_all = true;
  bool one_by_one = false;  // element i moves alone, in the panel's direction column + i if there is one
  Eigen::Index column = 0;
  Columns tangents{nullptr, 0, 0, Eigen::OuterStride<>(0)};  // else: one column a direction

  /// One array without gaps.
  bool whole() const { return at_all && !one_by_one && tangents.outerStride() == tangents.rows(); }
};

/// Seeds of some directions: runs of variables move one by one or along given columns, all other inputs stand still.
class Seeds {
  using Index = Eigen::Index;

 public:
  /// Element i of a run moves alone, in direction `direction` + i.
  void move_each(Id first, Index size, Index direction) {
    seeds_.push_back({first, size, direction, size, nullptr, 0});
  }
  /// A run moves along column k, in direction `direction` + k. The columns are the caller's, and must stay.
  void move_along(Id first, Index direction, const Moves::Columns& columns) {
    seeds_.push_back({first, columns.rows(), direction, columns.cols(), columns.data(), columns.outerStride()});
  }
  /// The panel has `count` directions, from this one on.
  void begin_at(Index direction, Index count) {
    begin_ = direction;
    active_.clear();
    for (const Seed& s : seeds_)
      if (begin_ < s.direction + s.directions && s.direction < begin_ + count) active_.push_back(s);
  }

  /// How a run moves in the directions of a panel; written out as columns if asked to, until the call after the next.
  Moves of(const TapeOf<double>& t, const Panel<double>& d, Id first, Index size, bool written_out) const {
    const auto columns = [&](const double* at, Index stride) {
      return Moves{.tangents = {at, size, d.directions, Eigen::OuterStride<>(stride)}};
    };
    if (first >= d.origin) return recorded(t, d, first, size);
    const Seed* only = nullptr;
    for (const Seed& s : active_) {
      if (first + size <= s.first || s.first + s.size <= first) continue;
      const bool inside = s.first <= first && first + size <= s.first + s.size;
      const bool throughout = s.direction <= begin_ && begin_ + d.directions <= s.direction + s.directions;
      if (only || !inside || (s.columns && !throughout)) written_out = true;
      only = &s;
    }
    if (!only) return {.at_all = false};
    const Index element = Index{first} - only->first, k = begin_ - only->direction;
    if (!written_out && only->columns) return columns(only->columns + k * only->stride + element, only->stride);
    if (!written_out) return {.one_by_one = true, .column = element - k};
    static thread_local Array<double> written[2];  // two operands may be looked at together
    static thread_local int turn = 0;
    Array<double>& all = written[turn ^= 1];
    all.resize(static_cast<std::size_t>(size) * d.directions);
    for (Index j = 0; j < d.directions; ++j)
      for (Index i = 0; i < size; ++i)
        all[static_cast<std::size_t>(j * size + i)] = speed(first + static_cast<Id>(i), j);
    return columns(all.data(), size);
  }
  /// Those of variables that the panel has: part of a block, or one variable.
  static Moves recorded(const TapeOf<double>& t, const Panel<double>& d, Id first, Index size) {
    Id begin = first;
    Index rows = size;
    if (d.directions > 1)
      if (const auto* b = t.block_before(first); b && first < b->end) begin = b->first, rows = Index{b->rows} * b->cols;
    return {.tangents = {d.of(begin) + (first - begin), size, d.directions, Eigen::OuterStride<>(rows)}};
  }

 private:
  struct Seed {
    Id first;
    Index size;
    Index direction, directions;
    const double* columns;  // none: they move one by one
    Index stride;
  };
  std::vector<Seed> seeds_, active_;  // all, and those of the panel's directions
  Index begin_ = 0;

  /// The speed of variable i in the panel's direction k.
  double speed(Id i, Index k) const {
    double v = 0;
    for (const Seed& s : active_) {
      const Index e = Index{i} - s.first, column = begin_ + k - s.direction;
      if (0 <= e && e < s.size && 0 <= column && column < s.directions)
        v += s.columns ? s.columns[column * s.stride + e] : column == e ? 1 : 0;
    }
    return v;
  }
};

/// How a run of variables moves in the directions of a panel.
inline Moves moves(const TapeOf<double>& t, const Panel<double>& d, Id first, Eigen::Index size, bool written_out) {
  return d.seeds ? d.seeds->of(t, d, first, size, written_out) : Seeds::recorded(t, d, first, size);
}

}  // namespace ad
