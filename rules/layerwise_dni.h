// Layer-wise DNI (Jaderberg et al. 2017, ICML): dL/dW_l is taken to be (Theta_l [h_l; 1] .* f'(u_l)) h_{l-1}^T, for each hidden layer l on its own.
//
// The notes' decoupled layers: a layer that has computed h_l asks its own small model M_l(h_l) = Theta_l [h_l; 1] for
// dL/dh_l and is ready to learn, without waiting for the layers above. When the true dL/dh_l has come down, M_l is
// drawn to it: Theta_l <- Theta_l - lr (M_l(h_l) - dL/dh_l) [h_l; 1]^T. A network without time: not a Rule, a class of
// its own.
#pragma once

#include <array>
#include <stdexcept>
#include <string>

#include "rules/activation.h"
#include "rules/output_error.h"

namespace rules {

/// u_l = W h_{l-1} + b.
template <class T>
struct Layer {
  rnn::MatrixX<T> W;  // d_l x d_{l-1}
  rnn::VectorX<T> b;  // d_l
};
/// h_1 = f(u_1), h_2 = f(u_2), v = u_3; h_0 = x (n), d_3 = m.
template <class T>
using ThreeLayers = std::array<Layer<T>, 3>;

template <std::floating_point T = double>
class LayerwiseDni {
 public:
  /// The layers must outlive this object; they may change between one forward() and the next, see learn(). Theta_l
  /// begins at 0, as in the paper: at first nothing but the last layer learns. lr: of both models. Throws
  /// std::invalid_argument where sizes do not fit.
  LayerwiseDni(const ThreeLayers<T>& layers, rnn::Activation activation, rnn::Loss loss, T lr = T(0.01))
      : layers_(layers), activation_(activation), loss_(loss), lr_(lr) {
    for (std::size_t l = 0; l < 3; ++l) {
      rnn::detail::require_size("rules::LayerwiseDni", "the size of b of layer " + std::to_string(l + 1),
                                layers[l].b.size(), "the number of rows of its W", layers[l].W.rows());
      if (l > 0)
        rnn::detail::require_size("rules::LayerwiseDni", "the number of columns of W of layer " + std::to_string(l + 1),
                                  layers[l].W.cols(), "the size of the layer below", layers[l - 1].W.rows());
    }
    for (std::size_t l = 0; l < 2; ++l) Theta[l].setZero(layers[l].W.rows(), layers[l].W.rows() + 1);
  }

  /// Shows x (n) and y* (m) to the network. Returns L.
  T forward(const rnn::VectorX<T>& x, const rnn::VectorX<T>& target) {
    rnn::detail::require_size("rules::LayerwiseDni", "the size of x", x.size(), "n", layers_[0].W.cols());
    h_[0] = x;
    for (std::size_t l = 0; l < 3; ++l) {
      u_[l] = layers_[l].W * h_[l] + layers_[l].b;
      if (l == 2) break;
      h_[l + 1] = u_[l].unaryExpr([&](const T& u) { return rnn::activate(activation_, u); });
      slope_[l] = slope(activation_, T(1), u_[l], h_[l + 1]);
    }
    error_ = output_error(loss_, u_[2], target);
    return loss_t(loss_, u_[2], target);
  }

  /// M_l(h_l) for l = 1 or 2: what layer l takes for dL/dh_l, known as soon as h_l is.
  rnn::VectorX<T> synthetic(std::size_t l) const {
    const auto& M = Theta[l - 1];
    return M.leftCols(h_[l].size()) * h_[l] + M.col(h_[l].size());
  }
  /// The gradient that layer l = 1, 2, 3 learns from; the last one's is the true one, e h_2^T and e.
  Layer<T> gradient(std::size_t l) const {
    const rnn::VectorX<T> by_u = l == 3 ? error_ : rnn::VectorX<T>(slope_[l - 1].cwiseProduct(synthetic(l)));
    return {by_u * h_[l - 1].transpose(), by_u};
  }

  /// dL/dh_l for l = 1 or 2, come down from above: (W_{l+1})^T dL/du_{l+1}.
  rnn::VectorX<T> truth(std::size_t l) const {
    const rnn::VectorX<T> above = layers_[2].W.transpose() * error_;
    if (l == 2) return above;
    return layers_[1].W.transpose() * slope_[1].cwiseProduct(above);
  }
  /// The true gradients arrive: both models are drawn to them. To be called before the layers change, since the truth
  /// is that of the weights of forward().
  void learn() {
    for (std::size_t l = 1; l <= 2; ++l) {
      const rnn::VectorX<T> miss = lr_ * (synthetic(l) - truth(l));
      Theta[l - 1].leftCols(h_[l].size()) -= miss * h_[l].transpose();
      Theta[l - 1].col(h_[l].size()) -= miss;
    }
  }

  std::array<rnn::MatrixX<T>, 2> Theta;  // of M_1 and M_2: d_l x (d_l + 1)

 private:
  const ThreeLayers<T>& layers_;
  rnn::Activation activation_;
  rnn::Loss loss_;
  T lr_;
  std::array<rnn::VectorX<T>, 3> h_, u_;  // h_0 = x, h_1, h_2; u_1, u_2, u_3 = v
  std::array<rnn::VectorX<T>, 2> slope_;
  rnn::VectorX<T> error_;
};

}  // namespace rules
