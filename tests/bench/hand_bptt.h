// BPTT written by hand with Eigen, as fast as one gets it: what the tape of whole vectors is measured against.
#pragma once

#include "ad/kernels.h"
#include "rnn/network.h"

namespace bench {

/// tanh as the tape has it, eight numbers at a time.
struct PacketTanh {
  template <class U>
  void operator()(U&& u) const {
    ad::kernels::tanh(u.data(), u.data(), u.size());
  }
};
/// tanh as Eigen has it for double: the standard library's, number by number.
struct EigenTanh {
  template <class U>
  void operator()(U&& u) const {
    u = u.array().tanh().matrix();
  }
};

/// The gradient of the leaky tanh network with squared loss. Buffers are kept from call to call, and whatever need not
/// wait for the step before is one product over all times. Column t-1 belongs to time t, but column t of h_.
template <class Tanh>
class HandBptt {
  using Matrix = rnn::MatrixX<double>;

 public:
  /// Returns L and fills the gradient; h_0 is a constant.
  double operator()(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence,
                    rnn::Parameters<double>& gradient) {
    const double loss = forward(net, sequence);
    backward(net);
    gradient.W_rec.noalias() = du_ * h_.leftCols(sequence.length()).transpose();
    gradient.W_in.noalias() = du_ * sequence.x.transpose();
    gradient.b_rec = du_.rowwise().sum();
    gradient.W_out.noalias() = dv_ * h_.rightCols(sequence.length()).transpose();
    gradient.b_out = dv_.rowwise().sum();
    return loss;
  }

 private:
  double forward(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence) {
    const auto& [W_rec, W_in, b_rec, W_out, b_out] = net.parameters;
    const Eigen::Index T = sequence.length();
    h_.resize(net.d(), T + 1);
    h_.col(0) = net.h_0;
    f_.noalias() = W_in * sequence.x;
    f_.colwise() += b_rec;
    for (Eigen::Index t = 0; t < T; ++t) {
      auto f = f_.col(t);  // first u_t, then tanh(u_t)
      f.noalias() += W_rec * h_.col(t);
      Tanh()(f);
      h_.col(t + 1) = (1 - net.alpha) * h_.col(t) + net.alpha * f;
    }
    dv_.noalias() = W_out * h_.rightCols(T);  // v_t, and then dL/dv_t = v_t - y*_t
    dv_.colwise() += b_out;
    dv_ -= sequence.target;
    return 0.5 * dv_.squaredNorm();
  }

  /// delta_t = W_out^T dL/dv_t + (1 - alpha) delta_{t+1} + W_rec^T dL/du_{t+1},  dL/du_t = alpha (1 - tanh^2 u_t) delta_t
  void backward(const rnn::Network<double>& net) {
    const Eigen::Index T = f_.cols();
    direct_.noalias() = net.parameters.W_out.transpose() * dv_;
    du_.resize(net.d(), T);
    delta_.setZero(net.d());
    for (Eigen::Index t = T; t-- > 0;) {
      delta_ += direct_.col(t);
      du_.col(t) = net.alpha * delta_.array() * (1 - f_.col(t).array().square());
      delta_ *= 1 - net.alpha;
      delta_.noalias() += net.parameters.W_rec.transpose() * du_.col(t);
    }
  }

  Matrix h_, f_, dv_, direct_, du_;
  rnn::VectorX<double> delta_;
};

}  // namespace bench
