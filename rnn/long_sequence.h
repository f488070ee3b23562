// BPTT over a sequence of any length in little memory; the sequence itself need not be held either.
#pragma once

#include "ad/checkpoint.h"
#include "rnn/recorded_step.h"

namespace rnn {

struct LongBptt {
  double loss;
  Parameters<double> gradient;  // dL/dtheta
  VectorX<double> h_0, h_T;     // dL/dh_0; the last state
  ad::MemoryUse memory;
};

/// source(t), t = 1 .. T, returns a pair: x_t (n) and the target y*_t (m), Eigen vectors of double. It is asked for some
/// steps more than once and must answer the same. Throws std::invalid_argument where sizes do not fit, for T < 1, and if
/// the memory is too small, with the number of bytes needed; std::runtime_error if source is seen to answer differently.
template <class Source>
LongBptt long_bptt(const Network<double>& net, Eigen::Index T, const Source& source, const ad::Memory& memory = {}) {
  check(net);
  const auto r = ad::gradient_through_time(
      T, to_tuple(net.parameters), net.h_0,
      [&](Eigen::Index t, const auto& theta, const ad::VarMatrix& h) {
        const auto& [x, target] = source(t);
        return recorded_step(net, theta, h, x, target);
      },
      memory);
  return {r.loss, from_tuple(r.gradient), r.h_0_adjoint, r.h_T, r.memory};
}

/// The same for a sequence that is held.
inline LongBptt long_bptt(const Network<double>& net, const Sequence<double>& sequence, const ad::Memory& memory = {}) {
  check(net, sequence);
  const auto source = [&](Eigen::Index t) { return std::pair(sequence.x.col(t - 1), sequence.target.col(t - 1)); };
  return long_bptt(net, sequence.length(), source, memory);
}

}  // namespace rnn
