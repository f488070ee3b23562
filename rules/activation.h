// f'(u) of every activation, and alpha f'(u) of a layer: written out by hand, apart from the engine's table.
#pragma once

#include "rnn/network.h"

namespace rules {

/// f'(u), given u and f = f(u). At its kink relu has slope 0.
template <class T>
T derivative(rnn::Activation activation, const T& u, const T& f) {
  if (activation == rnn::Activation::identity) return T(1);
  if (activation == rnn::Activation::relu) return T(u > 0 ? 1 : 0);
  if constexpr (rnn::detail::is_exact<T>()) {
    rnn::detail::not_exact(rnn::activation_names[static_cast<int>(activation)]);
  } else {
    if (activation == rnn::Activation::tanh) return T(1) - f * f;
    if (activation == rnn::Activation::sigmoid) return f * (T(1) - f);
    using ad::exp;
    if (u > 0) return T(1) / (T(1) + exp(T(-u)));  // softplus: 1 / (1 + exp(-u)), without overflow
    const T e = exp(u);
    return e / (T(1) + e);
  }
}

/// phi_t = alpha f'(u_t), d. The only place where alpha enters a rule beside the leak 1 - alpha.
template <class T>
void slope(rnn::Activation activation, const T& alpha, const rnn::VectorX<T>& u, const rnn::VectorX<T>& f,
           rnn::VectorX<T>& phi) {
  phi.resize(u.size());
  for (Eigen::Index i = 0; i < u.size(); ++i) phi(i) = alpha * derivative(activation, u(i), f(i));
}
template <class T>
rnn::VectorX<T> slope(rnn::Activation activation, const T& alpha, const rnn::VectorX<T>& u, const rnn::VectorX<T>& f) {
  rnn::VectorX<T> phi;
  slope(activation, alpha, u, f, phi);
  return phi;
}

}  // namespace rules
