// An operation on whole vectors or matrices, as the tape sees it: a run of variables and a rule. (Rules: ad/matrix.h.)
#pragma once

#include <cstddef>

#include "ad/annotations.h"

namespace ad {

template <class T>
class TapeOf;

/// Tangents in several directions: direction k of variable i is data[k * stride + i].
template <class T>
struct Panel {
  T* data;
  std::size_t stride;
  Id count;
};

/// One operation whose result is a whole vector or matrix: the run of variables first .. end - 1, column by column. What
/// it computes is known to its rule alone (ad/matrix.h); the tape knows where it stands.
template <class T>
struct Block {
  struct Rule {
    const char* name;
    void (*pullback)(const TapeOf<T>&, const Block&, T* adjoint);
    void (*pushforward)(const TapeOf<T>&, const Block&, Panel<T>);
  };
  const Rule* rule;
  Id first, rows, cols;  // the run begins on a cache line
  Id before, end;        // size of the tape before and after
  Id shift;              // how many more variables than entries there are after it
  Id operand, operands;  // its operands: from here on, this many
  Id extra = 0;          // a number the rule wants to remember
  T s{}, t{};            // plain numbers of the operation
  // as a factor of products: their chain, and the function that adds their part to the adjoint of this run
  Id last_use = 0, uses = 0;
  void (*gather)(const TapeOf<T>&, const Block&, T* adjoint) = nullptr;
  mutable Id transposed = 0;  // where among the tape's plain numbers its transpose is kept, plus one
};

/// A run of variables (or of plain numbers: owner is none) that takes part in a block.
struct BlockOperand {
  static constexpr Id none = UINT32_MAX;
  Id first, rows, cols;
  Id owner;        // index of the block whose result it is, or lies in
  Id user = 0;     // index of the block it takes part in
  Id earlier = 0;  // the use before, of the same owner as a factor, plus one
};

}  // namespace ad
