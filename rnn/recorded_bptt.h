// BPTT on one tape of whole vectors: the way to a gradient that costs about what it costs by hand.
#pragma once

#include "rnn/recorded_step.h"

namespace rnn {

/// L, and dL/dtheta into `gradient`, whatever its sizes were; h_0 is a constant. source(t), t = 1 .. T, returns a pair: x_t (n)
/// and the target y*_t (m), Eigen vectors of double. The tape grows with T (in little memory: rnn/long_sequence.h); its
/// memory is kept for the next call, and `bytes`, if given, is told how much that is.
/// Throws std::invalid_argument where sizes do not fit and for T < 1.
template <class Source>
double recorded_bptt(const Network<double>& net, Eigen::Index T, const Source& source, Parameters<double>& gradient,
                     std::size_t* bytes = nullptr) {
  check(net);
  if (T < 1) throw std::invalid_argument("rnn::recorded_bptt: T = " + std::to_string(T) + " steps");
  ad::Tape tape;
  const auto& [W_rec, W_in, b_rec, W_out, b_out] = net.parameters;
  const std::tuple theta(input(tape, W_rec), input(tape, W_in), input(tape, b_rec), input(tape, W_out),
                         input(tape, b_out));
  ad::VarMatrix h = net.h_0;
  ad::Var loss;
  for (Eigen::Index t = 1; t <= T; ++t) {
    const auto& [x, target] = source(t);
    const auto [h_t, loss_t] = recorded_step(net, theta, h, x, target);
    h = h_t;
    loss = t == 1 ? loss_t : ad::Var(loss + loss_t);
  }
  tape.reverse(loss);
  std::apply([&](const auto&... on_tape) { gradient = {adjoint(tape, on_tape)...}; }, theta);
  if (bytes) *bytes = tape.bytes();
  return loss.value();
}

/// The same for a sequence that is held.
inline double recorded_bptt(const Network<double>& net, const Sequence<double>& sequence, Parameters<double>& gradient,
                            std::size_t* bytes = nullptr) {
  check(net, sequence);
  const auto source = [&](Eigen::Index t) { return std::pair(sequence.x.col(t - 1), sequence.target.col(t - 1)); };
  return recorded_bptt(net, sequence.length(), source, gradient, bytes);
}

}  // namespace rnn
