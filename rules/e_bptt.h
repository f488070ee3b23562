// E-BPTT (Williams and Peng 1990, Neural Comput. 2:490; Marschall, Cho and Savin 2020): BPTT inside blocks of T' steps, c = 0 at each block's end.
//
// Of the double sum it keeps the blocks' triangles: the pairs s <= t inside one block. G is released at each block's
// end; a last block shorter than T' is released by finish().
// Memory O(T' (d + n)), time O(d^2 + d n) a step, spent at the blocks' ends.
#pragma once

#include <stdexcept>
#include <string>

#include "rules/bptt.h"

namespace rules {

/// Options: truncation, T' >= 1 (throws std::invalid_argument below). Where weights change inside a block, J_t is made
/// of the slopes seen at t and of W_rec as it was at the block's first step.
template <class T = double>
class EBptt {
 public:
  static constexpr Facing facing = Facing::neither;

  explicit EBptt(const rnn::Network<T>& net, const rnn::Options& options = {})
      : block_(net), truncation_(options.truncation) {
    if (truncation_ < 1)
      throw std::invalid_argument("rules::EBptt: truncation is " + std::to_string(truncation_) +
                                  ", but a block has at least 1 step");
  }
  void reset() { begin_block(); }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    block_.observe(t);
    return ++steps_ == truncation_ ? finish() : nothing_;
  }
  const Gradient<T>& finish() {
    if (steps_ == 0) return nothing_;
    const Gradient<T>& released = block_.finish();
    begin_block();
    return released;
  }

 private:
  void begin_block() { block_.reset(), steps_ = 0; }

  Bptt<T> block_;
  Eigen::Index truncation_, steps_ = 0;
  const Gradient<T> nothing_;
};

}  // namespace rules
