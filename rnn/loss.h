// What the network's outputs cost: L_t(y_t, y*_t) of (1.5), written so that large inputs neither overflow nor cancel.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ad/elementary.h"

namespace rnn {

template <class S>
using VectorX = Eigen::Matrix<S, Eigen::Dynamic, 1>;
template <class S>
using MatrixX = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;

/// The output y = g(v) and its loss, with y* the target:
///   squared       y = v           1/2 sum_k (y_k - y*_k)^2
///   softmax_ce    y = softmax(v)  -sum_k y*_k log y_k
///   sigmoid_ce    y = sigmoid(v)  -sum_k y*_k log y_k + (1 - y*_k) log(1 - y_k)
///   tanh_squared  y = tanh(v)     1/2 sum_k (y_k - y*_k)^2
enum class Loss { squared, softmax_ce, sigmoid_ce, tanh_squared };
inline constexpr std::string_view loss_names[] = {"squared", "softmax_ce", "sigmoid_ce", "tanh_squared"};

namespace detail {

/// Fractions, with or without derivatives: numbers that have no exp and no tanh.
template <class S>
constexpr bool is_exact() {
  using ad::value;
  if constexpr (requires(const S& s) { value(s); })
    return std::numeric_limits<std::decay_t<decltype(value(std::declval<const S&>()))>>::is_exact;
  else
    return false;
}

[[noreturn]] inline void not_exact(std::string_view name) {
  throw std::invalid_argument("rnn: " + std::string(name) + " has no exact value for fractions");
}

inline void require_size(const char* who, std::string_view what, Eigen::Index got, std::string_view of,
                         Eigen::Index want) {
  if (got != want)
    throw std::invalid_argument(std::string(who) + ": " + std::string(what) + " is " + std::to_string(got) + ", but " +
                                std::string(of) + " is " + std::to_string(want));
}

/// The largest element's place.
template <class V>
Eigen::Index largest(const V& v) {
  Eigen::Index a = 0;
  for (Eigen::Index k = 1; k < v.size(); ++k)
    if (v(k) > v(a)) a = k;
  return a;
}

/// log sum_k exp(v_k) - v_a, where v_a is the largest: the sum's other terms are at most 1.
template <class V>
typename V::Scalar log_sum_exp_above(const V& v, Eigen::Index a) {
  using ad::exp, ad::log1p;
  typename V::Scalar others(0);
  for (Eigen::Index k = 0; k < v.size(); ++k)
    if (k != a) others += exp(v(k) - v(a));
  return log1p(others);
}

}  // namespace detail

/// L_t from v_t = W_out h_t + b_out (m) and the target y*_t (m).
/// Throws std::invalid_argument where their sizes differ.
template <class V, class Y>
typename V::Scalar loss_t(Loss loss, const Eigen::MatrixBase<V>& v_, const Eigen::MatrixBase<Y>& target_) {
  using S = typename V::Scalar;
  const auto& v = v_.derived();
  const auto& target = target_.derived();
  detail::require_size("rnn::loss_t", "the size of target", target.size(), "that of v", v.size());
  S sum(0);
  if (loss == Loss::squared) {
    for (Eigen::Index k = 0; k < v.size(); ++k) {
      const S r = v(k) - target(k);
      sum += r * r;
    }
    return sum / 2;
  }
  if constexpr (detail::is_exact<S>()) {
    detail::not_exact(loss_names[static_cast<int>(loss)]);
  } else {
    using ad::softplus, ad::tanh;
    if (loss == Loss::softmax_ce) {
      const Eigen::Index a = detail::largest(v);
      const S above = detail::log_sum_exp_above(v, a);
      for (Eigen::Index k = 0; k < v.size(); ++k) sum += target(k) * S((v(a) - v(k)) + above);  // -log y_k
      return sum;
    }
    if (loss == Loss::sigmoid_ce) {
      for (Eigen::Index k = 0; k < v.size();
           ++k) {  // -log sigmoid(v) = softplus(-v), -log(1 - sigmoid(v)) = softplus(v)
        sum += target(k) * softplus(S(-v(k)));
        sum += (1 - target(k)) * softplus(v(k));
      }
      return sum;
    }
    for (Eigen::Index k = 0; k < v.size(); ++k) {
      const S r = tanh(v(k)) - target(k);
      sum += r * r;
    }
    return sum / 2;
  }
}

/// y_t = g(v_t) of (1.4), m.
template <class V>
VectorX<typename V::Scalar> prediction(Loss loss, const Eigen::MatrixBase<V>& v_) {
  using S = typename V::Scalar;
  VectorX<S> y = v_.derived();
  if (loss == Loss::squared) return y;
  if constexpr (detail::is_exact<S>()) {
    detail::not_exact(loss_names[static_cast<int>(loss)]);
  } else {
    using ad::exp, ad::sigmoid, ad::tanh;
    if (loss == Loss::softmax_ce) {
      const VectorX<S> v = y;
      const Eigen::Index a = detail::largest(v);
      const S above = detail::log_sum_exp_above(v, a);
      for (Eigen::Index k = 0; k < v.size(); ++k) y(k) = exp((v(k) - v(a)) - above);
    } else {
      for (Eigen::Index k = 0; k < y.size(); ++k) y(k) = loss == Loss::sigmoid_ce ? S(sigmoid(y(k))) : S(tanh(y(k)));
    }
    return y;
  }
}

}  // namespace rnn
