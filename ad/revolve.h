// Where to keep states so that reverse mode over many steps computes few of them again: binomial checkpointing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>

namespace ad {

/// How much a gradient through time may hold; and, where not 0, how the time is divided up.
struct Memory {
  std::size_t bytes = std::size_t{16} << 20;
  std::ptrdiff_t segment = 0;  // steps recorded at once
  std::ptrdiff_t states = 0;   // kept at once, h_0 among them
};

/// Time is cut into segments, and the states before some of them are kept. Segments are done from the last to the first,
/// each computed again from the nearest state before it. Griewank & Walther (2000), Algorithm 799: revolve, ACM Trans.
/// Math. Softw. 26, 19-45.
struct Revolve {
  using Index = std::ptrdiff_t;

  /// C(states + r, r): so many segments need not be computed again more than r times.
  static double most(Index states, Index r) {
    double n = 1;
    for (Index i = 1; i <= r; ++i) n = n * static_cast<double>(states + i) / static_cast<double>(i);
    return n;
  }
  /// The smallest r that is enough for so many segments.
  static Index repeats(Index segments, Index states) {
    Index r = 0;
    for (double n = 1; n < static_cast<double>(segments);) {
      ++r;
      n = n * static_cast<double>(states + r) / static_cast<double>(r);
    }
    return r;
  }
  /// How many segments are computed again, each time counted: r segments - C(states + r, r - 1), and no fewer can be.
  static double recomputed(Index segments, Index states) {
    const Index r = repeats(segments, states);
    return r == 0 ? 0 : static_cast<double>(r) * static_cast<double>(segments) - most(states + 1, r - 1);
  }
  /// How many segments to go forward, from the first of `states` >= 2 states, before the next is kept: these are repeated
  /// once less, those behind them have one state less.
  static Index split(Index segments, Index states) {
    const Index r = repeats(segments, states);
    return static_cast<Index>(std::min(most(states, r - 1), static_cast<double>(segments) - most(states - 1, r - 1)));
  }

  /// The division of time, and bytes: a step on the tape; a state; all that does not grow with time.
  struct Division {
    Index segment, states;
  };
  struct Bytes {
    std::size_t step, state, fixed;
  };
  /// Divides T steps so that least is computed again. Throws std::invalid_argument if the memory is too small, with the
  /// number of bytes that are needed, and for numbers below zero.
  static Division divide(Index T, const Memory& memory, const Bytes& bytes) {
    if (memory.segment < 0 || memory.states < 0)
      throw std::invalid_argument("ad::Memory: segment = " + std::to_string(memory.segment) +
                                  ", states = " + std::to_string(memory.states) + ": 0 or more is meant");
    constexpr std::size_t cache = std::size_t{1} << 20;
    Division best{0, 0};
    double least = std::numeric_limits<double>::infinity();
    std::size_t needed = std::numeric_limits<std::size_t>::max();
    for (Index segment = std::min(T, std::max<Index>(1, memory.segment));; segment = std::min(T, 2 * segment)) {
      const Index segments = (T - 1) / segment + 1;
      const std::size_t tape = bytes.step * static_cast<std::size_t>(segment);
      const std::size_t others = bytes.fixed + 2 * tape;  // its arrays grow by doubling
      const std::size_t room = memory.bytes - std::min(memory.bytes, others);
      const Index fitting = static_cast<Index>(room / std::max<std::size_t>(1, bytes.state));
      const Index states =
          std::clamp<Index>(memory.states > 0 ? memory.states : fitting, 1, std::max<Index>(1, segments - 1));
      const std::size_t all = others + bytes.state * static_cast<std::size_t>(states);
      needed = std::min(needed, all);
      const double work = static_cast<double>(segment) * recomputed(segments, states)  // in steps
                          + 2 * static_cast<double>(segments)                          // a tape is begun
                          + (tape > cache ? 0.2 * static_cast<double>(T) : 0);         // and waits for memory
      if (all <= memory.bytes && work < least) {
        least = work;
        best = {segment, states};
      }
      if (segment == T || memory.segment > 0) break;
    }
    if (best.segment == 0)
      throw std::invalid_argument("ad::gradient_through_time: " + std::to_string(memory.bytes) +
                                  " bytes are too few, at least " + std::to_string(needed) + " are needed (" +
                                  std::to_string(bytes.step) + " for a step on the tape, " +
                                  std::to_string(bytes.state) + " for a state, " + std::to_string(bytes.fixed) +
                                  " for all that does not grow with time)");
    return best;
  }
};

}  // namespace ad
