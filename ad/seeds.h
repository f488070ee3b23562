// How variables move in many directions at once, where most of it is zero: what a forward sweep over matrices starts from.
#pragma once

#include <vector>

#include "ad/matrices.h"

namespace ad {

/// The tangents of an operand in the directions of a panel.
struct Moves {
  using Columns = Eigen::Map<const Eigen::MatrixXd, 0, Eigen::OuterStride<>>;

  bool at_all = true;
  bool one_by_one = false;  // element i moves alone, in the panel's direction column + i if there is one
  Eigen::Index column = 0;
  Columns tangents{nullptr, 0, 0, Eigen::OuterStride<>(0)};  // else: one column a direction
};

/// Seeds of a panel's directions first .. first + count - 1; variables from `origin` on have tangents of their own.
class Seeds {
 protected:
  using Index = Eigen::Index;
  struct Seed {
    Id variable;
    Index size;
    Index direction, directions;
    const double* columns;  // direction + k moves the variables along column k; none: they move one by one
    Index stride;

    double speed(Index i, Index direction_) const {
      const Index k = direction_ - direction;
      return k < 0 || k >= directions ? 0 : columns ? columns[k * stride + i] : k == i ? 1 : 0;
    }
  };
  std::vector<Seed> seeds_;
  Id origin_ = 0;
  Index first_ = 0;

 public:
  /// The speed of variable i in the panel's direction k.
  double speed(const Panel<double>& d, Id i, Index k) const {
    if (i >= origin_) return d.data[static_cast<std::size_t>(k) * d.stride + i];
    double v = 0;
    for (const Seed& s : seeds_)
      if (i - s.variable < s.size) v += s.speed(i - s.variable, first_ + k);
    return v;
  }

  /// How the variables first .. first + size - 1 move; written out as columns if asked to.
  Moves moves(const Panel<double>& d, Id first, Index size, bool written_out) const {
    const auto columns = [&](const double* at, Index stride) {
      return Moves{.tangents = {at, size, d.count, Eigen::OuterStride<>(stride)}};
    };
    if (first >= origin_) return columns(d.data + first, static_cast<Index>(d.stride));
    const Seed* only = nullptr;
    for (const Seed& s : seeds_) {
      if (first + size <= s.variable || s.variable + s.size <= first) continue;
      if (first_ + d.count <= s.direction || s.direction + s.directions <= first_) continue;
      const bool inside = s.variable <= first && first + size <= s.variable + s.size;
      const bool throughout = s.direction <= first_ && first_ + d.count <= s.direction + s.directions;
      if (only || !inside || (s.columns && !throughout)) written_out = true;
      only = &s;
    }
    if (!only) return {.at_all = false};
    const Index element = Index{first} - only->variable, k = first_ - only->direction;
    if (!written_out && only->columns) return columns(only->columns + k * only->stride + element, only->stride);
    if (!written_out) return {.one_by_one = true, .column = element - k};
    static thread_local Array<double> all;
    all.resize(static_cast<std::size_t>(size) * d.count);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto n = static_cast<std::size_t>(size);
      all[i] = speed(d, first + static_cast<Id>(i % n), static_cast<Index>(i / n));
    }
    return columns(all.data(), size);
  }
};

}  // namespace ad
