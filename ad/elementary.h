// Turns each row of the table of derivatives into a class with a value and its partials, for any kind of number.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>

#include "ad/special.h"

namespace ad {

/// What an entry of a tape can be: an operation of the table, or one of the few that no formula describes.
enum class Op : std::uint32_t {
  input,     // an independent variable
  constant,  // a number that entered as a variable and has no derivative
  detach,    // the same value, but nothing flows through: an edit
  custom,    // value and partials given by the caller
  sub_mul,   // w - x * z as one entry; w + x * z is fma
#define AD_INFIX(name, ...) name,
#define AD_PREFIX(name, ...) name,
#define AD_UNARY(name, ...) name,
#define AD_BINARY(name, ...) name,
#define AD_TERNARY(name, ...) name,
#include "ad/derivatives.def"
};

// --- plain numbers ---------------------------------------------------------------------------------------------------

/// Numbers without derivatives: double, and exact rationals or other classes that std::numeric_limits knows.
template <class T>
concept Plain = std::numeric_limits<T>::is_specialized;

/// What may stand beside a number of type X (over T) in an expression without being one: 2 * x, x / 3.0.
template <class U, class X, class T>
concept Passive = std::convertible_to<U, T> && !std::derived_from<U, X>;

using std::abs, std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::cbrt, std::ceil,
    std::copysign, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::exp2, std::expm1, std::floor, std::fma,
    std::fmod, std::hypot, std::isfinite, std::isinf, std::isnan, std::lgamma, std::log, std::log10, std::log1p,
    std::log2, std::pow, std::round, std::sin, std::sinh, std::sqrt, std::tan, std::tanh, std::tgamma, std::trunc;

// The functions of the table that <cmath> lacks, or has with another convention (defined below, by their rows).
#define AD_OWN(f)    \
  template <Plain T> \
  auto f(const T& x);
#define AD_OWN2(f)            \
  template <Plain T, Plain U> \
  auto f(const T& x, const U& z);
AD_OWN(copy)
AD_OWN(sigmoid)
AD_OWN(softplus)
AD_OWN(relu)
AD_OWN(sign)
AD_OWN2(min)
AD_OWN2(max)
#undef AD_OWN
#undef AD_OWN2

/// a where the condition holds, else b. Both are evaluated, so that formulas can take this branch too.
template <std::same_as<bool> C, class A, class B>
std::common_type_t<A, B> select(C condition, const A& a, const B& b) {
  return condition ? a : b;
}

/// The plain number underneath, all levels of derivatives taken off.
template <Plain T>
T value(const T& x) {
  return x;
}
/// The same, for where value is the name of a member.
template <class T>
auto value_under(const T& x) {
  return value(x);
}

/// The same value with no derivative: nothing flows through it in either direction.
template <Plain T>
T detach(const T& x) {
  return x;
}

/// Zero, and constantly so: its derivatives vanish too. A number with derivatives answers by a member vanishes().
template <class T>
bool is_zero(const T& x) {
  if constexpr (requires { x.vanishes(); })
    return x.vanishes();
  else
    return x == 0;
}

/// exp(x) beside y = expm1(x): y + 1 has all its digits only where y is not near -1.
template <class T>
T exp_beside(const T& x, const T& y) {
  if constexpr (std::is_floating_point_v<T>)
    if (y > -0.5) [[likely]]
      return y + 1;
  return exp(x);
}

// --- one class per row: row::tanh_ has value(x) and dx(x, y); a binary row dx(x, z, y) and dz(x, z, y) ------------------

namespace row {

#define AD_FORMULA(name, formula, ...)                                                             \
  template <class T>                                                                               \
  [[gnu::always_inline]] static T name(__VA_ARGS__) {                                              \
    [[maybe_unused]] const auto select = [](const auto& condition, const auto& a, const auto& b) { \
      using ad::select;                                                                            \
      return select(condition, T(a), T(b));                                                        \
    };                                                                                             \
    return T(formula);                                                                             \
  }
#define AD_ARG [[maybe_unused]] const T&
#define AD_ROW1(name, value_, dx_)          \
  struct name##_ {                          \
    static constexpr Op op = Op::name;      \
    AD_FORMULA(value, value_, AD_ARG x)     \
    AD_FORMULA(dx, dx_, AD_ARG x, AD_ARG y) \
  };
#define AD_ROW2(name, value_, dx_, dz_)               \
  struct name##_ {                                    \
    static constexpr Op op = Op::name;                \
    AD_FORMULA(value, value_, AD_ARG x, AD_ARG z)     \
    AD_FORMULA(dx, dx_, AD_ARG x, AD_ARG z, AD_ARG y) \
    AD_FORMULA(dz, dz_, AD_ARG x, AD_ARG z, AD_ARG y) \
  };
#define AD_ROW3(name, dx_, dz_)             \
  struct name##_ {                          \
    static constexpr Op op = Op::name;      \
    AD_FORMULA(dx, dx_, AD_ARG x, AD_ARG z) \
    AD_FORMULA(dz, dz_, AD_ARG x, AD_ARG z) \
  };
// A formula with branches has no derivative of its own at the kink: numbers that carry one go by the row, by its name.
#define AD_BY_NAME(plain, call) \
  [&] {                         \
    if constexpr (Plain<T>)     \
      return T(plain);          \
    else                        \
      return call;              \
  }()
#define AD_INFIX(name, symbol, dx, dz, ...) AD_ROW2(name, x symbol z, dx, dz)
#define AD_PREFIX(name, symbol, dx, ...) AD_ROW1(name, symbol x, dx)
#define AD_UNARY(name, value, dx, ...) AD_ROW1(name, AD_BY_NAME(value, name(x)), dx)
#define AD_BINARY(name, value, dx, dz, ...) AD_ROW2(name, AD_BY_NAME(value, name(x, z)), dx, dz)
#define AD_TERNARY(name, value, dx, dz, ...) AD_ROW3(name, dx, dz)
#include "ad/derivatives.def"
#undef AD_ROW1
#undef AD_ROW2
#undef AD_ROW3
#undef AD_BY_NAME
#undef AD_ARG
#undef AD_FORMULA

}  // namespace row

#define AD_OWN(f)                                      \
  template <Plain T>                                   \
  auto f(const T& x) {                                 \
    if constexpr (std::is_integral_v<T>)               \
      return row::f##_::value(static_cast<double>(x)); \
    else                                               \
      return row::f##_::value(x);                      \
  }
#define AD_OWN2(f)                                   \
  template <Plain T, Plain U>                        \
  auto f(const T& x, const U& z) {                   \
    using C = std::common_type_t<T, U>;              \
    return row::f##_::template value<C>(C(x), C(z)); \
  }
AD_OWN(copy)
AD_OWN(sigmoid)
AD_OWN(softplus)
AD_OWN(relu)
AD_OWN(sign)
AD_OWN2(min)
AD_OWN2(max)
#undef AD_OWN
#undef AD_OWN2

// --- how a partial and a derivative combine ----------------------------------------------------------------------------

/// In one comparison: of the bits without the sign, less one, those of 0 are the largest, and next those of NaN and
/// infinity.
[[gnu::always_inline]] inline bool nonzero_and_finite(double x) {
  return (std::bit_cast<std::uint64_t>(x) << 1) - 1 < (std::uint64_t{0x7FF} << 53) - 1;
}

/// partial * derivative, where exactly zero on either side means that nothing flows: 0 * infinity = 0. Forward and
/// reverse mode share this rule, so they agree at poles, and what does not depend on x never turns into NaN.
template <class T>
[[gnu::always_inline]] inline T flow(const T& partial, const T& derivative) {
  if constexpr (std::is_floating_point_v<T>) {
    const T product = partial * derivative;
    if (product == product) [[likely]]
      return product;
  }
  return is_zero(partial) || is_zero(derivative) ? T(0) : T(partial * derivative);
}

/// flow(partial, derivative) of a partial that is known early, as beside a constant: nothing waits for this test.
template <class T>
[[gnu::always_inline]] inline T flow_early(const T& partial, const T& derivative) {
  if constexpr (std::is_same_v<T, double>)
    if (nonzero_and_finite(partial)) [[likely]]
      return partial * derivative;
  return is_zero(partial) || is_zero(derivative) ? T(0) : T(partial * derivative);
}

/// flow(p, d) + flow(q, e) with one test for both, and none where p and q are known, as in a sum. One expression, that a
/// compiler can turn into vector code without a branch.
template <class T>
[[gnu::always_inline]] inline T flow(const T& p, const T& d, const T& q, const T& e) {
  if constexpr (std::is_floating_point_v<T>) {
    const auto careful = [](T partial, T derivative) {
      return ((partial != 0) & (derivative != 0)) ? partial * derivative : T(0);
    };
    const T sum = p * d + q * e, scale = p * q;
    if (__builtin_constant_p(scale) && scale != 0 && scale - scale == 0) return sum;
    return __builtin_expect(sum == sum, 1) ? sum : careful(p, d) + careful(q, e);
  } else {
    return flow(p, d) + flow(q, e);
  }
}

}  // namespace ad
