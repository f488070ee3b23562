// The gradient of the network as a user's fast path takes it: one tape of whole vectors, cleared between recordings.
#pragma once

#include "rnn/recorded_step.h"

namespace bench {

class RecordedBptt {
 public:
  /// Returns L and fills the gradient; h_0 is a constant. source(t), t = 1 .. T, returns the pair x_t, y*_t.
  template <class Source>
  double operator()(const rnn::Network<double>& net, Eigen::Index T, const Source& source,
                    rnn::Parameters<double>& gradient) {
    tape_.clear();
    const auto& [W_rec, W_in, b_rec, W_out, b_out] = net.parameters;
    const std::tuple theta(input(tape_, W_rec), input(tape_, W_in), input(tape_, b_rec), input(tape_, W_out),
                           input(tape_, b_out));
    ad::VarMatrix h = net.h_0;
    ad::Var loss;
    for (Eigen::Index t = 1; t <= T; ++t) {
      const auto& [x, target] = source(t);
      const auto [h_t, loss_t] = recorded_step(net, theta, h, x, target);
      h = h_t;
      loss = t == 1 ? loss_t : ad::Var(loss + loss_t);
    }
    tape_.reverse(loss);
    const auto read = [&](auto& to, const ad::VarMatrix& from) { to = adjoint(tape_, from); };
    read(gradient.W_rec, std::get<0>(theta));
    read(gradient.W_in, std::get<1>(theta));
    read(gradient.b_rec, std::get<2>(theta));
    read(gradient.W_out, std::get<3>(theta));
    read(gradient.b_out, std::get<4>(theta));
    return loss.value();
  }
  double operator()(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence,
                    rnn::Parameters<double>& gradient) {
    const auto source = [&](Eigen::Index t) { return std::pair(sequence.x.col(t - 1), sequence.target.col(t - 1)); };
    return (*this)(net, sequence.length(), source, gradient);
  }
  /// Of the last recording, with its adjoints.
  std::size_t bytes() const { return tape_.bytes(); }

 private:
  ad::Tape tape_;
};

}  // namespace bench
