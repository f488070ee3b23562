// The table of derivatives as test cases: every row as a function of any kind of number, with the interval to sample.
#pragma once

#include <array>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "ad/elementary.h"

namespace tests {

/// One row for numbers S. Functions take up to three operands; those of `passive` take one plain number among them.
template <class S>
struct Row {
  const char* name;
  int operands;
  std::array<double, 3> from, to;
  S (*f)(const S* x);
  S (*right)(const S& x, double z);  // f(x, 1.5), f(x, 2): binary rows only
  S (*right_int)(const S& x, int z);
  S (*left)(double x, const S& z);
  S (*left_int)(int x, const S& z);

  /// An operand that is a whole number and nothing else: no derivative along it.
  bool fixed(int k) const { return from[static_cast<std::size_t>(k)] == to[static_cast<std::size_t>(k)]; }
};

/// All rows of ad/derivatives.def.
template <class S>
std::vector<Row<S>> rows() {
  using namespace ad;  // NOLINT: the functions of the table
#define AD_BOTH(f_, x0, x1, z0, z1)                                                                        \
  2, {x0, z0, 0}, {x1, z1, 0}, [](const S* x) -> S { return f_(x[0], x[1]); },                             \
      [](const S& x, double z) -> S { return f_(x, z); }, [](const S& x, int z) -> S { return f_(x, z); }, \
      [](double x, const S& z) -> S { return f_(x, z); }, [](int x, const S& z) -> S { return f_(x, z); }
  return {
#define AD_INFIX(name, symbol, dx, dz, x0, x1, z0, z1)         \
  Row<S>{#name,                                                \
         2,                                                    \
         {x0, z0, 0},                                          \
         {x1, z1, 0},                                          \
         [](const S* x) -> S { return x[0] symbol x[1]; },     \
         [](const S& x, double z) -> S { return x symbol z; }, \
         [](const S& x, int z) -> S { return x symbol z; },    \
         [](double x, const S& z) -> S { return x symbol z; }, \
         [](int x, const S& z) -> S { return x symbol z; }},
#define AD_PREFIX(name, symbol, dx, x0, x1) \
  Row<S>{#name, 1, {x0, 0, 0}, {x1, 0, 0}, [](const S* x) -> S { return symbol x[0]; }, {}, {}, {}, {}},
#define AD_UNARY(name, value, dx, x0, x1) \
  Row<S>{#name, 1, {x0, 0, 0}, {x1, 0, 0}, [](const S* x) -> S { return name(x[0]); }, {}, {}, {}, {}},
#define AD_BINARY(name, value, dx, dz, x0, x1, z0, z1) Row<S>{#name, AD_BOTH(name, x0, x1, z0, z1)},
#define AD_TERNARY(name, value, dx, dz, dw) \
  Row<S>{#name, 3, {-2, -2, -2}, {2, 2, 2}, [](const S* x) -> S { return name(x[0], x[1], x[2]); }, {}, {}, {}, {}},
#include "ad/derivatives.def"
  };
#undef AD_BOTH
}

/// The partials of every row as the table states them, for numbers S; the operands come as an array, y is f of them.
template <class S>
struct Partials {
  const char* name;
  std::array<S (*)(const S* x, const S& y), 3> d;
};
template <class S>
std::vector<Partials<S>> partials() {
  using Take = const S*;
  return {
#define AD_ONE(name) \
  Partials<S>{#name, {[](Take x, const S& y) -> S { return ad::row::name##_::dx(x[0], y); }, {}, {}}},
#define AD_TWO(name)                                                                        \
  Partials<S>{#name,                                                                        \
              {[](Take x, const S& y) -> S { return ad::row::name##_::dx(x[0], x[1], y); }, \
               [](Take x, const S& y) -> S { return ad::row::name##_::dz(x[0], x[1], y); }, \
               {}}},
#define AD_INFIX(name, ...) AD_TWO(name)
#define AD_PREFIX(name, ...) AD_ONE(name)
#define AD_UNARY(name, ...) AD_ONE(name)
#define AD_BINARY(name, ...) AD_TWO(name)
#define AD_PARTIAL(formula)                                                  \
  [](Take operand, const S&) -> S {                                          \
    [[maybe_unused]] const S x = operand[0], z = operand[1], w = operand[2]; \
    return S(formula);                                                       \
  }
#define AD_TERNARY(name, value, dx, dz, dw) Partials<S>{#name, {AD_PARTIAL(dx), AD_PARTIAL(dz), AD_PARTIAL(dw)}},
#include "ad/derivatives.def"
#undef AD_ONE
#undef AD_TWO
#undef AD_PARTIAL
  };
}

/// The conventions at kinks and poles: rows AD_AT and AD_AT2.
struct Convention {
  const char* name;
  int operands;
  std::array<double, 2> x;
  double value;
  std::array<double, 2> d;
};
inline std::vector<Convention> conventions() {
  [[maybe_unused]] constexpr double inf = std::numeric_limits<double>::infinity();
  return {
#define AD_AT(name, x, value, dx) Convention{#name, 1, {x, 0}, value, {dx, 0}},
#define AD_AT2(name, x, z, value, dx, dz) Convention{#name, 2, {x, z}, value, {dx, dz}},
#include "ad/derivatives.def"
  };
}

/// The row of that name.
template <class S>
const Row<S>& row(const std::vector<Row<S>>& rows, const std::string& name) {
  for (const Row<S>& r : rows)
    if (r.name == name) return r;
  throw std::invalid_argument("no row " + name);
}

/// A point of the row's intervals; the same sequence every time for the same generator.
template <class S>
std::array<double, 3> sample(const Row<S>& r, std::mt19937& random) {
  std::array<double, 3> x{};
  for (std::size_t k = 0; k < static_cast<std::size_t>(r.operands); ++k)
    x[k] = r.from[k] + (r.to[k] - r.from[k]) * std::generate_canonical<double, 53>(random);
  return x;
}

}  // namespace tests
