// Forward mode: a number that carries its own derivatives along, f(a + b e) = f(a) + f'(a) b e with e^2 = 0.
#pragma once

#include <algorithm>
#include <bit>
#include <iosfwd>
#include <span>
#include <utility>

#include "ad/elementary.h"

namespace ad {

/// N derivatives side by side, scaled and added together. For double they lie in blocks of up to eight, as many as a
/// processor multiplies at once, on the boundaries it loads them from; the last block is filled up with zeros.
template <class T, int N>
class Tangents {
  static_assert(N >= 1, "at least one direction");
  static constexpr int width = !std::is_same_v<T, double> ? 1 : N >= 8 ? 8 : N >= 4 ? 4 : 2;
  static constexpr int blocks = (N + width - 1) / width;

  // of a whole register, which is also what Eigen aligns its memory to
  static constexpr std::size_t alignment = std::min<std::size_t>(sizeof(T) * width, __BIGGEST_ALIGNMENT__);

  template <class U, int W>
  struct Lane {
    typedef U type __attribute__((vector_size(sizeof(U) * W), aligned(alignment)));
  };
  template <class U>
  struct Lane<U, 1> {
    using type = U;
  };
  typename Lane<T, width>::type block_[blocks]{};

 public:
  Tangents() = default;
  /// The same number in every direction: zero, as a rule.
  Tangents(const T& all) {
    for (int i = 0; i < N; ++i) (*this)[i] = all;
  }

  static constexpr int size() { return N; }
  T& operator[](int i) { return reinterpret_cast<T*>(block_)[i]; }
  const T& operator[](int i) const { return reinterpret_cast<const T*>(block_)[i]; }

  [[gnu::always_inline]] Tangents& operator+=(const Tangents& d) {
    for (int i = 0; i < blocks; ++i) block_[i] += d.block_[i];
    return *this;
  }

  /// flow(p, d), one test for all directions.
  [[gnu::always_inline]] friend Tangents flow(const T& p, const Tangents& d) {
    Tangents r;
    if (simple(p)) [[likely]]
      for (int i = 0; i < blocks; ++i) r.block_[i] = p * d.block_[i];
    else
      r.add_flow(p, d);
    return r;
  }
  [[gnu::always_inline]] friend Tangents flow_early(const T& p, const Tangents& d) { return flow(p, d); }
  [[gnu::always_inline]] friend Tangents flow(const T& p, const Tangents& d, const T& q, const Tangents& e) {
    Tangents r;
    if (simple(p * q)) [[likely]]  // then both are
      for (int i = 0; i < blocks; ++i) r.block_[i] = p * d.block_[i] + q * e.block_[i];
    else
      r.add_flow(p, d), r.add_flow(q, e);
    return r;
  }
  bool vanishes() const {
    for (int i = 0; i < N; ++i)
      if (!is_zero((*this)[i])) return false;
    return true;
  }

 private:
  // Plain multiplication is then flow() already.
  [[gnu::always_inline]] static bool simple(const T& p) {
    if constexpr (std::is_same_v<T, double>)
      return nonzero_and_finite(p);
    else
      return false;
  }
  // By whole blocks: where directions are picked one by one, a compiler keeps them in memory, also on the likely way.
  [[gnu::always_inline]] void add_flow(const T& p, const Tangents& d) {
    if constexpr (width == 1) {
      for (int i = 0; i < N; ++i) block_[i] += flow(p, d.block_[i]);
    } else if (p != 0) {
      for (int i = 0; i < blocks; ++i) {
        const auto product = p * d.block_[i];
        block_[i] += d.block_[i] == 0 ? decltype(product){} : product;
      }
    }
  }
};

/// A value and its derivatives in N directions. Tag keeps nested differentiations apart: numbers of two different ones
/// do not mix unless one is written over the other, Dual<Dual<double, 1, Outer>, 1, Inner>.
/// Comparisons look at values only.
template <class T = double, int N = 1, class Tag = void>
struct Dual {
  using Tangent = std::conditional_t<N == 1, T, Tangents<T, N>>;

  T value{0};  // first: an array of duals is then read from front to back, which caches expect
  Tangent tangent{T(0)};

  Dual() = default;
  template <Passive<Dual, T> U>
  Dual(const U& v) : value(static_cast<T>(v)) {}
  Dual(const T& v, const Tangent& d) : value(v), tangent(d) {}

  /// The derivative in direction i.
  const T& derivative(int i = 0) const {
    if constexpr (N == 1)
      return tangent;
    else
      return tangent[i];
  }
  bool vanishes() const { return is_zero(value) && is_zero(tangent); }

  /// The result of a function of one's own: its value y, and its partial derivative for each operand (ad/custom.h).
  static Dual linear(const T& y, std::span<const std::pair<Dual, T>> terms) {
    Dual r(y);
    for (const auto& [x, px] : terms) r.tangent += flow(px, x.tangent);
    return r;
  }

  friend auto value(const Dual& x) { return value_under(x.value); }
  friend Dual detach(const Dual& x) { return Dual(detach(x.value)); }
  /// Prints the value.
  friend std::ostream& operator<<(std::ostream& out, const Dual& x) { return out << x.value; }

#define AD_CHAIN1(name)                     \
  const T y = row::name##_::value(x.value); \
  return Dual(y, flow(row::name##_::dx(x.value, y), x.tangent));
#define AD_CHAIN2(f, name)                                                                                            \
  friend Dual f(const Dual& x, const Dual& z) {                                                                       \
    const T y = row::name##_::value(x.value, z.value);                                                                \
    return Dual(                                                                                                      \
        y, flow(row::name##_::dx(x.value, z.value, y), x.tangent, row::name##_::dz(x.value, z.value, y), z.tangent)); \
  }                                                                                                                   \
  template <Passive<Dual, T> U>                                                                                       \
  friend Dual f(const Dual& x, const U& c) {                                                                          \
    const T z(c), y = row::name##_::value(x.value, z);                                                                \
    return Dual(y, flow_early(row::name##_::dx(x.value, z, y), x.tangent));                                           \
  }                                                                                                                   \
  template <Passive<Dual, T> U>                                                                                       \
  friend Dual f(const U& c, const Dual& z) {                                                                          \
    const T x(c), y = row::name##_::value(x, z.value);                                                                \
    return Dual(y, flow_early(row::name##_::dz(x, z.value, y), z.tangent));                                           \
  }
#define AD_INFIX(name, symbol, ...)      \
  AD_CHAIN2(operator symbol, name)       \
  template <class U>                     \
  Dual& operator symbol##=(const U& z) { \
    return *this = *this symbol z;       \
  }
#define AD_PREFIX(name, symbol, ...) \
  friend Dual operator symbol(const Dual& x) { AD_CHAIN1(name) }
#define AD_UNARY(name, ...) \
  friend Dual name(const Dual& x) { AD_CHAIN1(name) }
#define AD_BINARY(name, ...) AD_CHAIN2(name, name)
#include "ad/derivatives.def"
#undef AD_CHAIN1
#undef AD_CHAIN2

  friend Dual operator+(const Dual& x) { return x; }
  friend bool isfinite(const Dual& x) { return isfinite(x.value); }
  friend bool isinf(const Dual& x) { return isinf(x.value); }
  friend bool isnan(const Dual& x) { return isnan(x.value); }

  /// x * z + w
  friend Dual fma(const Dual& x, const Dual& z, const Dual& w) { return x * z + w; }

#define AD_COMPARE(op)                                                                 \
  friend auto operator op(const Dual& x, const Dual& z) { return x.value op z.value; } \
  template <Passive<Dual, T> U>                                                        \
  friend auto operator op(const Dual& x, const U& z) {                                 \
    return x.value op T(z);                                                            \
  }                                                                                    \
  template <Passive<Dual, T> U>                                                        \
  friend auto operator op(const U& x, const Dual& z) {                                 \
    return T(x) op z.value;                                                            \
  }
  AD_COMPARE(<)
  AD_COMPARE(>)
  AD_COMPARE(<=)
  AD_COMPARE(>=)
  AD_COMPARE(==)
  AD_COMPARE(!=)
#undef AD_COMPARE

  /// Over formulas a comparison is a formula too: both branches, value and tangent.
  template <class C>
  requires(!std::same_as<C, bool>) friend Dual select(const C& condition, const Dual& a, const Dual& b) {
    Dual r(select(condition, a.value, b.value));
    if constexpr (N == 1)
      r.tangent = select(condition, a.tangent, b.tangent);
    else
      for (int i = 0; i < N; ++i) r.tangent[i] = select(condition, a.tangent[i], b.tangent[i]);
    return r;
  }
};

}  // namespace ad
