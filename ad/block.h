// An operation on whole vectors or matrices, as the tape sees it: a run of variables and a rule. (Rules: ad/matrix.h.)
#pragma once

#include <cstddef>

#include "ad/annotations.h"

namespace ad {

template <class T>
class TapeOf;
class Seeds;

/// Tangents in several directions: direction k of variable i is data[k * stride + i].
template <class T>
struct Panel {
  T* data;
  std::size_t stride;
  Id count;
  const Seeds* seeds = nullptr;  // if any, they say how the first variables move: those have no place in data
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
  Id first, rows, cols;  // the run; from eight variables on it begins on a cache line
  Id before, end;        // size of the tape before and after
  Id shift;              // how many more variables than entries there are after it
  Id operand, operands;  // its operands: from here on, this many
  Id extra = 0;          // a number the rule wants to remember
  Id factor = 0;         // the first of its Factors, plus one
  void (*gather)(const TapeOf<T>&, const Block&, T* adjoint) = nullptr;  // adds what these have in its adjoint
};

/// A run of variables, or of plain numbers, that takes part in a block.
struct BlockOperand {
  Id first, rows, cols;
  bool plain;
  bool transposed = false;  // as left factor of a product: W^T X
  double s = 1;             // its coefficient; that of a product stands with the left factor
  Id factor = 0;            // as left factor of a product, which Factor, plus one; 0: its adjoint is not gathered
  Id result = 0;            // the first variable of the sum that product is a term of
  Id earlier = 0;           // the use before, of the same Factor, plus one
};

/// A matrix, or some columns of one, that is the left factor of products.
struct Factor {
  Id first, rows, cols;
  Id next;          // another one in the same block, plus one
  Id last_use = 0;  // index among all operands, plus one
  mutable Id transposed = 0;  // where a sweep has written its transpose, plus one
};

}  // namespace ad
