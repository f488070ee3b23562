// One step of the network with whole vectors as entries of the tape: u_t, h_t, v_t and L_t are one entry each, or few.
#pragma once

#include <tuple>

#include "ad/matrix.h"
#include "rnn/network.h"

namespace rnn {

/// theta as ad/parts.h takes it, in the order of Blocks: W_rec, W_in, b_rec, W_out, b_out.
using ParameterTuple = std::tuple<MatrixX<double>, MatrixX<double>, VectorX<double>, MatrixX<double>, VectorX<double>>;
inline ParameterTuple to_tuple(const Parameters<double>& p) { return {p.W_rec, p.W_in, p.b_rec, p.W_out, p.b_out}; }
inline Parameters<double> from_tuple(const ParameterTuple& t) {
  return std::apply([](const auto&... block) { return Parameters<double>{block...}; }, t);
}

/// L_t from v_t and the target. Throws std::invalid_argument where their sizes differ.
inline ad::Var loss_t(Loss loss, ad::VarMatrix v, ad::VarMatrix target) {
  switch (loss) {
    case Loss::softmax_ce:
      return softmax_cross_entropy(v, target);
    case Loss::sigmoid_ce: {  // as in rnn/loss.h: softplus(v) - v y* would cancel
      const auto ones = MatrixX<double>::Ones(target.rows(), target.cols());
      const ad::VarMatrix others = target.is_plain() ? ad::VarMatrix((ones - target.values()).eval())
                                                     : ad::VarMatrix(ad::VarMatrix(ones) - target);
      return softplus(-v).dot(target) + softplus(v).dot(others);
    }
    case Loss::tanh_squared:
      return squared_distance(tanh(v), target, 0.5);
    default:
      return squared_distance(v, target, 0.5);
  }
}

/// h_t and L_t from h_{t-1}, x_t and the target: (1.1) to (1.5). theta is the tuple of five on the tape.
template <class Theta>
[[gnu::always_inline]] inline std::pair<ad::VarMatrix, ad::Var> recorded_step(const Network<double>& net,
                                                                              const Theta& theta,
                                                                              ad::VarMatrix h_before, ad::VarMatrix x,
                                                                              ad::VarMatrix target) {
  const auto& [W_rec, W_in, b_rec, W_out, b_out] = theta;
  const Blocks<const ad::VarMatrix&> blocks{W_rec, W_in, b_rec, W_out, b_out};
  const ad::VarMatrix u = preactivation(blocks, h_before, x);
  const ad::VarMatrix h = leaky(net.alpha, h_before, activate(net.activation, u));
  return {h, loss_t(net.loss, readout(blocks, h), target)};
}

}  // namespace rnn
