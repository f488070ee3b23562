// Readout only (the control of Marschall, Cho and Savin 2020): G = 0; W_out and b_out learn, the recurrent layer stays as drawn.
#pragma once

#include "rules/rule.h"

namespace rules {

/// No state. What a network of fixed random connections can do (a reservoir) is what every other rule must beat.
template <class T = double>
class Readout {
 public:
  static constexpr Facing facing = Facing::neither;

  explicit Readout(const rnn::Network<T>&, const rnn::Options& = {}) {}
  void reset() {}
  const Gradient<T>& observe(const rnn::Transition<T>&) { return nothing_; }
  const Gradient<T>& finish() { return nothing_; }

 private:
  const Gradient<T> nothing_;
};

}  // namespace rules
