// e_t = dL_t/dv_t for every loss, by hand; a row in the notes (delta_t^out), a column here.
#pragma once

#include "rnn/network.h"

namespace rules {

/// e_t (m) from v_t (m) and the target y*_t (m):
///   squared       v - y*
///   softmax_ce    softmax(v) sum_k y*_k - y*     the full Jacobian of softmax is in it: no elementwise g' would do
///   sigmoid_ce    sigmoid(v) - y*
///   tanh_squared  (y - y*) (1 - y^2), y = tanh(v)
template <class T, class Y>
void output_error(rnn::Loss loss, const rnn::VectorX<T>& v, const Eigen::MatrixBase<Y>& target_, rnn::VectorX<T>& e) {
  const auto& target = target_.derived();
  rnn::detail::require_size("rules::output_error", "the size of target", target.size(), "that of v", v.size());
  e.resize(v.size());
  if (loss == rnn::Loss::squared) {
    e = v - target;
    return;
  }
  if constexpr (rnn::detail::is_exact<T>()) {
    rnn::detail::not_exact(rnn::loss_names[static_cast<int>(loss)]);
  } else {
    using ad::exp, ad::tanh;
    if (loss == rnn::Loss::softmax_ce) {
      T top = v(0), sum(0), given(0);
      for (Eigen::Index k = 1; k < v.size(); ++k)
        if (v(k) > top) top = v(k);
      for (Eigen::Index k = 0; k < v.size(); ++k) {
        e(k) = exp(T(v(k) - top));
        sum += e(k);
        given += target(k);
      }
      for (Eigen::Index k = 0; k < v.size(); ++k) e(k) = e(k) / sum * given - target(k);
    } else if (loss == rnn::Loss::sigmoid_ce) {
      for (Eigen::Index k = 0; k < v.size(); ++k) {
        const T small = exp(T(v(k) > 0 ? T(-v(k)) : v(k)));  // exp(-|v|): no overflow
        e(k) = (v(k) > 0 ? T(1) : small) / (T(1) + small) - target(k);
      }
    } else {
      for (Eigen::Index k = 0; k < v.size(); ++k) {
        const T y = tanh(v(k));
        e(k) = (y - target(k)) * (T(1) - y * y);
      }
    }
  }
}
template <class T, class Y>
rnn::VectorX<T> output_error(rnn::Loss loss, const rnn::VectorX<T>& v, const Eigen::MatrixBase<Y>& target) {
  rnn::VectorX<T> e;
  output_error(loss, v, target, e);
  return e;
}

}  // namespace rules
