// An operation on whole vectors or matrices, as the tape sees it: a run of variables and a rule. (Rules: ad/matrix.h.)
#pragma once

#include <cstddef>

#include "ad/annotations.h"

namespace ad {

/// How a variable is known: its id in the lower half, the generation of its recording in the upper. In one word, since
/// every operation compares the one and stores the other.
using Key = std::uint64_t;
constexpr Id id_of(Key k) { return static_cast<Id>(k); }
constexpr std::uint32_t generation_of(Key k) { return static_cast<std::uint32_t>(k >> 32); }
constexpr Key key(std::uint32_t generation, Id id) { return Key{generation} << 32 | id; }

template <class T>
class TapeOf;
class Seeds;

/// Tangents in several directions at once. Those of the n variables of a block, or of one variable, are a matrix with a row
/// for each variable and a column for each direction, column by column.
template <class T>
struct Panel {
  T* data;
  Id origin, directions;
  const Seeds* seeds = nullptr;  // if any, they say how the variables before origin move: those have no place in data

  T* of(Id first) const { return data + std::size_t{first - origin} * directions; }
};

/// A run of variables, or of plain numbers, in the shape of a matrix, column by column. Two words, so that it is handed over
/// in two registers and never goes through memory on the way.
class Run {
  static constexpr Id plain_bit = Id{1} << 31;
  static constexpr std::uint64_t transposed_bit = std::uint64_t{1} << 63;
  std::uint64_t shape_ = 0;      // columns, rows; the highest bit: transposed
  Key key_ = key(0, plain_bit);  // of the first variable; or, with a mark, the place of the first plain number

  friend class BlockOperand;
  [[gnu::always_inline]] Run(std::uint64_t shape, Key k) : shape_(shape), key_(k) {}

 public:
  static constexpr Id most = plain_bit - 1;  // ids, rows, columns

  Run() = default;
  [[gnu::always_inline]] Run(Id first, Id rows, Id cols, bool plain, std::uint32_t generation)
      : shape_(std::uint64_t{cols} << 32 | rows), key_(key(generation, plain ? first | plain_bit : first)) {}
  Id first() const { return id_of(key_) & ~plain_bit; }
  Id rows() const { return static_cast<Id>(shape_); }
  Id cols() const { return static_cast<Id>(shape_ >> 32) & most; }
  bool plain() const { return (id_of(key_) & plain_bit) != 0; }
  /// As left factor of a product: W^T X.
  bool transposed() const { return (shape_ & transposed_bit) != 0; }
  [[gnu::always_inline]] Run transpose() const {
    Run r = *this;
    r.shape_ ^= transposed_bit;
    return r;
  }
  std::uint32_t generation() const { return generation_of(key_); }
  /// Of that shape, of variables from `first` on. For a run without a place: one that begins at 0.
  [[gnu::always_inline]] Run at(Id first) const { return Run(shape_, key_ | first); }
  bool same_shape(Run x) const { return shape_ == x.shape_; }
  /// The same place and shape on any recording.
  bool is(Run x) const { return (shape_ ^ x.shape_) << 1 == 0 && id_of(key_) == id_of(x.key_); }
};

/// A run that takes part in a block, with its coefficient; that of a product stands with the left factor.
class BlockOperand {
  std::uint64_t shape_ = 0;

 public:
  // Between the two words of the run: side by side, g++ would store them as one vector, which it makes from two registers
  // by way of memory, and then the processor waits.
  double s = 1;

 private:
  Key key_ = 0;

 public:
  BlockOperand() = default;
  [[gnu::always_inline]] BlockOperand(Run x, double s_) : shape_(x.shape_), s(s_), key_(x.key_) {}
  [[gnu::always_inline]] Run run() const { return Run(shape_, key_); }
  [[gnu::always_inline]] operator Run() const { return run(); }
  Id first() const { return run().first(); }
  Id rows() const { return run().rows(); }
  Id cols() const { return run().cols(); }
  bool plain() const { return run().plain(); }
  bool transposed() const { return run().transposed(); }
};

/// What a sweep down adds to adjoints later, much of it at once. The tape asks when it comes to what something waits for.
template <class T>
struct Waiting {
  Id from = 0;  // something waits for a run that begins here, and for none that begins later; 0: nothing waits
  void (*add)(Waiting&, Id from, T* adjoint) = nullptr;  // adds all that waits for runs from here on
  void (*take_in)(Waiting&) = nullptr;  // copies what stands in arrays of adjoints and of a tape: then these may go
};

/// One operation whose result is a whole vector or matrix: the run of variables first .. end - 1, column by column. What
/// it computes is known to its rule alone (ad/matrix.h); the tape knows where it stands.
template <class T>
struct Block {
  struct Rule {
    const char* name;
    void (*pullback)(const TapeOf<T>&, const Block&, T* adjoint,
                     Waiting<T>*&);  // makes what waits, if it needs it first
    void (*pushforward)(const TapeOf<T>&, const Block&, Panel<T>);
  };
  const Rule* rule;
  Id first, rows, cols;  // the run; from eight variables on it begins on a cache line
  Id before, end;        // size of the tape before and after
  Id shift;              // how many more variables than entries there are after it
  Id operand, operands;  // its operands: from here on, this many
  Id extra = 0;          // a number the rule wants to remember
};

}  // namespace ad
