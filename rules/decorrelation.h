// Decorrelation (Ahmad, Schrader and van Gerven 2023, TMLR, arXiv:2203.13203): xhat = R h; R <- R - eps offdiag(xhat xhat^T) R.
//
// Units whose activities are correlated share the blame that noise finds; perturbation rules learn faster from xhat_t
// than from h_t. Not a rule: a change of the network beside any rule. Where xhat takes the place of h, in
// u_t = W_rec xhat_{t-1} + ... and v_t = W_out xhat_t + b_out, the network is an ordinary one with the weights W_rec R
// and W_out R. So: run any rule on folded(net), unfold the gradient, show observe() each h_t.
#pragma once

#include <concepts>

#include "rnn/network.h"

namespace rules {

/// State R, d x d, I at first. Memory O(d^2), time O(d^2) a step.
template <std::floating_point T = double>
class Decorrelation {
 public:
  /// eps: 1e-4, that of Garcia Fernandez, Keemink and van Gerven's code (2024).
  explicit Decorrelation(Eigen::Index d, T eps = T(1e-4)) : R_(rnn::MatrixX<T>::Identity(d, d)), eps_(eps) {}
  explicit Decorrelation(rnn::MatrixX<T> R, T eps = T(1e-4)) : R_(std::move(R)), eps_(eps) {}

  /// The network whose units hand on xhat = R h. Throws std::invalid_argument if R is of another size.
  rnn::Network<T> folded(const rnn::Network<T>& net) const {
    rnn::detail::require_size("rules::Decorrelation", "the size of R", R_.rows(), "d", net.d());
    rnn::Network<T> with = net;
    with.parameters.W_rec = net.parameters.W_rec * R_;
    with.parameters.W_out = net.parameters.W_out * R_;
    return with;
  }
  /// A gradient by the folded network's parameters becomes one by the network's own: dL/dW = dL/d(W R) R^T.
  void unfold(rnn::Parameters<T>& gradient) const {
    gradient.W_rec = (gradient.W_rec * R_.transpose()).eval();
    gradient.W_out = (gradient.W_out * R_.transpose()).eval();
  }
  /// One update of R from h (d).
  void observe(const Eigen::Ref<const rnn::VectorX<T>>& h) {
    const rnn::VectorX<T> xhat = R_ * h, mixed = R_.transpose() * xhat, own = xhat.array().square();
    R_ += eps_ *
          (own.asDiagonal() * R_ - xhat * mixed.transpose());  // offdiag(xhat xhat^T) R without a d x d x d product
  }
  const rnn::MatrixX<T>& R() const { return R_; }

 private:
  rnn::MatrixX<T> R_;
  T eps_;
};

}  // namespace rules
