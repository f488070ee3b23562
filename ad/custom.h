// A function of one's own with derivatives of one's own, for every kind of number and in both directions.
//
//   auto cube = ad::custom([](const auto& x) { return x * x * x; },   // the value
//                          [](const auto& x) { return 3 * x * x; });  // its partial, one for each operand
//   auto y = cube(x);                                                 // x: double, Dual, Var, nested
//
// A partial takes the operands, and after them the result if it likes. It need not be the true one: both modes use what
// it says. Where numbers are nested, derivatives of a partial are those of its own formula.
#pragma once

#include <iterator>
#include <tuple>

#include "ad/dual.h"
#include "ad/tape.h"

namespace ad {

namespace detail {

/// The number that holds all of X...; a Product counts as the Variable it stands for, a whole number as double.
template <class... X>
using CommonNumber =
    decltype(detach(std::declval<std::common_type_t<std::conditional_t<std::is_integral_v<X>, double, X>...>>()));

/// One level of derivatives taken off; nothing to take off from a plain number.
template <class S>
struct LevelOf;
template <class T, int N, class Tag>
struct LevelOf<Dual<T, N, Tag>> {
  using type = T;
  static const T& under(const Dual<T, N, Tag>& x) { return x.value; }
  static bool constant(const Dual<T, N, Tag>&) { return false; }
};
template <class T, class Tag>
struct LevelOf<Variable<T, Tag>> {
  using type = T;
  static const T& under(const Variable<T, Tag>& x) { return x.value(); }
  static bool constant(const Variable<T, Tag>& x) { return x.id() == 0; }
};
template <class S>
inline constexpr bool has_level = requires {
  sizeof(LevelOf<S>);
};

/// f(x...) or f(x..., y), whichever f takes.
template <class F, class Y, class... X>
auto call_partial(const F& f, const Y& y, const X&... x) {
  if constexpr (std::is_invocable_v<const F&, const X&..., const Y&>)
    return f(x..., y);
  else
    return f(x...);
}

}  // namespace detail

/// What custom() returns.
template <class Value, class... Partials>
class Custom {
  Value value_;
  std::tuple<Partials...> partials_;

 public:
  explicit Custom(Value value, Partials... partials) : value_(std::move(value)), partials_(std::move(partials)...) {}

  /// The operands may be of different kinds, as in x * 2: plain numbers among them are constants.
  template <class... X>
  auto operator()(const X&... x) const {
    static_assert(sizeof...(X) == sizeof...(Partials), "a custom function takes one operand for each of its partials");
    using S = detail::CommonNumber<X...>;
    return at<S>(S(x)...);
  }

 private:
  template <class S, class... X>  // X... are all S
  S at(const X&... x) const {
    if constexpr (!detail::has_level<S>) {
      return S(value_(x...));
    } else {
      using L = detail::LevelOf<S>;
      using T = typename L::type;
      const T y = at<T>(L::under(x)...);
      std::array<std::pair<S, T>, sizeof...(X)> terms;
      std::size_t n = 0;
      const auto add = [&](const S& operand, const auto& partial) {
        if (!L::constant(operand)) terms[n++] = {operand, T(detail::call_partial(partial, y, L::under(x)...))};
      };
      std::apply([&](const auto&... partial) { (add(x, partial), ...); }, partials_);
      return S::linear(y, {terms.data(), n});
    }
  }
};

/// The function with this value and these partials, one for each of its operands.
template <class Value, class... Partials>
auto custom(Value value, Partials... partials) {
  return Custom<Value, Partials...>(std::move(value), std::move(partials)...);
}

/// What custom_of_vector() returns.
template <class Value, class Gradient>
class CustomOfVector {
  Value value_;
  Gradient gradient_;

 public:
  CustomOfVector(Value value, Gradient gradient) : value_(std::move(value)), gradient_(std::move(gradient)) {}

  /// x: an Eigen vector, a std::vector, a span, ...
  /// Throws std::invalid_argument if the gradient has another size than x.
  template <class X>
  auto operator()(const X& x) const {
    using S = detail::CommonNumber<std::iter_value_t<decltype(x.begin())>>;
    return at<S>(std::vector<S>(x.begin(), x.end()));
  }

 private:
  template <class S>
  S at(const std::vector<S>& x) const {
    if constexpr (!detail::has_level<S>) {
      return S(value_(std::span<const S>(x)));
    } else {
      using L = detail::LevelOf<S>;
      using T = typename L::type;
      std::vector<T> under;
      for (const S& operand : x) under.push_back(L::under(operand));
      const T y = at<T>(under);
      const auto gradient = detail::call_partial(gradient_, y, std::span<const T>(under));
      if (static_cast<std::size_t>(gradient.size()) != x.size())
        throw std::invalid_argument("ad::custom_of_vector: the gradient has " + std::to_string(gradient.size()) +
                                    " elements, but the function was called with " + std::to_string(x.size()));
      std::vector<std::pair<S, T>> terms;
      auto partial = gradient.begin();
      for (const S& operand : x) {
        if (!L::constant(operand)) terms.emplace_back(operand, T(*partial));
        ++partial;
      }
      return S::linear(y, terms);
    }
  }
};

/// The same for a vector of operands: value(x) and gradient(x), or gradient(x, y), of a std::span of numbers.
template <class Value, class Gradient>
auto custom_of_vector(Value value, Gradient gradient) {
  return CustomOfVector<Value, Gradient>(std::move(value), std::move(gradient));
}

}  // namespace ad
