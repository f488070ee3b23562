// Forward mode: every row of the table in Dual, one direction and many, with plain numbers on either side.
#include "ad/dual.h"

#include <boost/test/unit_test.hpp>

#include "tests/rows.h"

using ad::Dual;
using ad::Tangents;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr int samples = 20;

const auto plain = tests::rows<double>();
const auto partials = tests::partials<double>();

/// Equal but for the rounding of a product and a sum, which a compiler may fuse.
bool same(double a, double b, double scale = 1) {
  return a == b || std::abs(a - b) <= 2 * eps * std::max({std::abs(a), std::abs(b), scale});
}

struct Point {
  std::array<double, 3> x{};
  double y = 0;
  std::array<double, 3> d{};  // partials as the table states them
};
Point point(std::size_t i, const std::array<double, 3>& x) {
  Point p{x, plain[i].f(x.data()), {}};
  for (std::size_t k = 0; k < static_cast<std::size_t>(plain[i].operands); ++k)
    p.d[k] = partials[i].d[k](x.data(), p.y);
  return p;
}

/// Every row in Dual<double, N>: operand k moves in direction j with velocity v[k][j].
template <int N>
void every_row() {
  const auto rows = tests::rows<Dual<double, N>>();
  BOOST_REQUIRE(rows.size() == plain.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::mt19937 random(static_cast<unsigned>(i));
    std::uniform_real_distribution velocity(-2., 2.);
    for (int n = 0; n < samples; ++n) {
      const Point p = point(i, tests::sample(plain[i], random));
      Dual<double, N> x[3];
      for (std::size_t k = 0; k < 3; ++k) {
        x[k] = p.x[k];
        for (int j = 0; j < N; ++j) {
          const double v = n % 3 == 0 ? j % 3 == static_cast<int>(k) : velocity(random);  // unit directions, then any
          if constexpr (N == 1)
            x[k].tangent = v;
          else
            x[k].tangent[j] = v;
        }
      }
      const Dual<double, N> y = rows[i].f(x);
      BOOST_TEST(same(y.value, p.y), plain[i].name << ": value " << y.value << ", not " << p.y);
      for (int j = 0; j < N; ++j) {
        double want = 0, scale = 0;
        for (std::size_t k = 0; k < 3; ++k) {
          want += p.d[k] * x[k].derivative(j);
          scale += std::abs(p.d[k] * x[k].derivative(j));
        }
        BOOST_TEST(same(y.derivative(j), want, scale),
                   plain[i].name << ": direction " << j << " of " << N << ": " << y.derivative(j) << ", not " << want);
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(dual)

BOOST_AUTO_TEST_CASE(every_row_in_one_direction) { every_row<1>(); }
BOOST_AUTO_TEST_CASE(every_row_in_three_directions_a_block_that_is_not_full) { every_row<3>(); }
BOOST_AUTO_TEST_CASE(every_row_in_eight_directions_one_block) { every_row<8>(); }

BOOST_AUTO_TEST_CASE(a_plain_number_on_either_side_is_a_constant) {
  const auto rows = tests::rows<Dual<>>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].operands != 2) continue;
    std::mt19937 random(static_cast<unsigned>(i));
    for (int n = 0; n < samples; ++n) {
      const auto x = tests::sample(plain[i], random);
      const auto check = [&](const Dual<>& y, const Point& p, std::size_t k, const char* what) {
        BOOST_TEST(same(y.value, p.y), plain[i].name << what << y.value << ", not " << p.y);
        BOOST_TEST(same(y.tangent, 3 * p.d[k], std::abs(3 * p.d[k])), plain[i].name << what << y.tangent);
      };
      check(rows[i].right(Dual<>(x[0], 3), 1.5), point(i, {x[0], 1.5}), 0, "(x, 1.5): ");
      check(rows[i].right_int(Dual<>(x[0], 3), 2), point(i, {x[0], 2}), 0, "(x, 2): ");
      check(rows[i].left_int(2, Dual<>(x[1], 3)), point(i, {2, x[1]}), 1, "(2, z): ");
      if (rows[i].fixed(0)) continue;  // an order of 1.5 there is not
      check(rows[i].left(1.5, Dual<>(x[1], 3)), point(i, {1.5, x[1]}), 1, "(1.5, z): ");
    }
  }
}

BOOST_AUTO_TEST_CASE(conventions_hold_in_one_and_many_directions) {
  const auto rows = tests::rows<Dual<>>();
  const auto wide = tests::rows<Dual<double, 3>>();
  for (const auto& c : tests::conventions())
    for (std::size_t k = 0; k < static_cast<std::size_t>(c.operands); ++k) {
      Dual<> x[3] = {c.x[0], c.x[1]};
      x[k].tangent = 2;
      const Dual<> y = tests::row(rows, c.name).f(x);
      BOOST_TEST(y.value == c.value, c.name << " = " << y.value);
      BOOST_TEST(y.tangent == 2 * c.d[k], c.name << ": along operand " << k << " " << y.tangent);
      x[k].tangent = 0;  // what does not move stays, even at a pole
      BOOST_TEST(tests::row(rows, c.name).f(x).tangent == 0, c.name << ": a constant moved");

      Dual<double, 3> w[3] = {c.x[0], c.x[1]};
      w[k].tangent[1] = 2;
      const Dual<double, 3> z = tests::row(wide, c.name).f(w);
      BOOST_TEST((z.derivative(0) == 0 && z.derivative(1) == 2 * c.d[k] && z.derivative(2) == 0),
                 c.name << ": " << z.derivative(0) << " " << z.derivative(1) << " " << z.derivative(2));
    }
}

BOOST_AUTO_TEST_CASE(no_nan_where_the_derivative_is_finite) {
  const Dual<> zero(0, 1), minus(-2, 1), constant_zero(0, 0);
  BOOST_TEST(pow(zero, 2).tangent == 0);
  BOOST_TEST(pow(zero, 1).tangent == 1);
  BOOST_TEST(pow(minus, 3).tangent == 12);          // x < 0: log x does not exist, and is not asked for
  BOOST_TEST(pow(minus, Dual<>(3)).tangent == 12);  // nor where the exponent is a constant
  BOOST_TEST(pow(zero, Dual<>(2)).tangent == 0);
  BOOST_TEST(pow(0, Dual<>(2, 1)).tangent == 0);
  BOOST_TEST((zero * inf).tangent == inf);
  BOOST_TEST((sqrt(constant_zero) + zero).tangent == 1);
  BOOST_TEST((log(constant_zero) * 0 + zero * 2).tangent == 2);
  BOOST_TEST((zero + sqrt(zero * 0)).tangent == 1);  // sqrt'(0) is infinite, and x * 0 does not move
  BOOST_TEST(abs(zero * zero).tangent == 0);
  BOOST_TEST(!std::signbit(abs(Dual<>(-0.)).value));
  BOOST_TEST(hypot(zero, 3).tangent == 0);
  BOOST_TEST(atan2(zero, -1).tangent == -1);
  BOOST_TEST(sigmoid(Dual<>(-800, 1)).tangent == 0);
  BOOST_TEST(sigmoid(Dual<>(800, 1)).tangent == 0);
  BOOST_TEST(softplus(Dual<>(800, 1)).value == 800);
  BOOST_TEST(softplus(Dual<>(800, 1)).tangent == 1);
  BOOST_TEST(softplus(Dual<>(-800, 1)).tangent == 0);
  BOOST_TEST(tanh(Dual<>(400, 1)).tangent == 0);
  BOOST_TEST(hypot(Dual<>(1e200, 1), 1e200).tangent == std::sqrt(0.5), boost::test_tools::tolerance(2 * eps));
  BOOST_TEST(atan2(Dual<>(1e200, 1e200), 1e200).tangent == 0.5, boost::test_tools::tolerance(4 * eps));
  Dual<double, 3> a(0.);
  a.tangent[1] = 1;
  const auto r = sqrt(a);  // only the direction that moves meets the pole
  BOOST_TEST((r.derivative(0) == 0 && r.derivative(1) == inf && r.derivative(2) == 0));
}

/// Zero times infinity or NaN is zero, in every product of a loop that a compiler may turn into vector code.
BOOST_AUTO_TEST_CASE(nothing_flows_through_zero_in_a_loop_of_products) {
  const double special[] = {0, -0., 1.5, -2, inf, -inf, std::nan("")};
  std::vector<Dual<>> x, z, products, sums, scaled;
  std::vector<double> c;
  for (double xv : special)
    for (double xt : special)
      for (double zv : special)
        for (double zt : special) {
          x.emplace_back(xv, xt);
          z.emplace_back(zv, zt);
          c.push_back(zv);
        }
  products.resize(x.size());
  sums.resize(x.size());
  scaled.resize(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) products[i] = x[i] * z[i];
  for (std::size_t i = 0; i < x.size(); ++i) sums[i] = x[i] + z[i];
  for (std::size_t i = 0; i < x.size(); ++i) scaled[i] = c[i] * x[i];

  const auto term = [](double p, double d) { return p == 0 || d == 0 ? 0 : p * d; };
  const auto check = [&](std::size_t i, const char* what, double got, double expected) {
    BOOST_TEST((got == expected || (std::isnan(got) && std::isnan(expected))),
               x[i].value << " + " << x[i].tangent << "e " << what << " " << z[i].value << " + " << z[i].tangent
                          << "e: the derivative is " << got << ", not " << expected);
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    check(i, "*", products[i].tangent, term(z[i].value, x[i].tangent) + term(x[i].value, z[i].tangent));
    check(i, "+", sums[i].tangent, x[i].tangent + z[i].tangent);
    check(i, "* with the constant", scaled[i].tangent, term(c[i], x[i].tangent));
  }
}

BOOST_AUTO_TEST_CASE(compound_assignment_and_mixed_arithmetic) {
  Dual<> x(3, 1);
  x += 2, x *= 2., x -= Dual<>(1, 10), x /= 3;  // ((x + 2) 2 - c) / 3
  BOOST_TEST((x.value == 3 && x.tangent == (2 - 10) / 3.));
  x = 5;
  BOOST_TEST((x.value == 5 && x.tangent == 0));
  const Dual<> y(2, 1);
  BOOST_TEST((7 - y).tangent == -1);
  BOOST_TEST((8 / y).tangent == -2);
  BOOST_TEST((-y).tangent == -1);
  BOOST_TEST((y * y * y).tangent == 12);
  BOOST_TEST(fma(y, y, y).tangent == 5);
  BOOST_TEST(fma(y, 3, 1.).tangent == 3);
  BOOST_TEST(min(y, 3).tangent == 1);
  BOOST_TEST(max(1, y).tangent == 1);
}

BOOST_AUTO_TEST_CASE(comparisons_look_at_values_only) {
  const Dual<> x(2, 1), z(2, 5), w(3, 0);
  BOOST_TEST((x == z && !(x != z) && x <= z && x >= z && x < w && w > x && !(x > w)));
  BOOST_TEST((x == 2 && 2 == x && x < 2.5 && 1 < x && x != 3 && 3 >= x && x <= 2));
}

BOOST_AUTO_TEST_CASE(detach_stops_and_value_takes_off) {
  const Dual<> x(3, 1);
  BOOST_TEST((detach(x).value == 3 && detach(x).tangent == 0));
  BOOST_TEST((x * detach(x)).tangent == 3);
  BOOST_TEST(value(x) == 3);
  const Dual<Dual<>> n(x, Dual<>(1));
  static_assert(std::is_same_v<decltype(value(n)), double>);
  BOOST_TEST(value(n) == 3);
  BOOST_TEST((detach(n).value.tangent == 0 && detach(n).tangent.value == 0));  // on every level
}

BOOST_AUTO_TEST_CASE(other_plain_numbers) {
  const Dual<float> f(2.f, 1.f);
  BOOST_TEST((f * f).tangent == 4.f);
  static_assert(std::is_same_v<decltype(sin(f).tangent), float>);
  const Dual<long double, 3> l(2.L);
  BOOST_TEST(exp(l).derivative(2) == 0);
  const Dual<long double> g(2, 1);
  BOOST_TEST(std::abs(tanh(g).tangent - (1 - std::tanh(2.L) * std::tanh(2.L))) < 1e-18L);
}

BOOST_AUTO_TEST_CASE(many_directions_are_as_large_as_they_must_be) {
  static_assert(sizeof(Tangents<double, 2>) == 2 * sizeof(double));
  static_assert(sizeof(Tangents<double, 4>) == 4 * sizeof(double));
  static_assert(sizeof(Tangents<double, 8>) == 8 * sizeof(double));
  static_assert(sizeof(Tangents<double, 9>) == 16 * sizeof(double));  // a second block
  Tangents<double, 9> t(2.);
  t += t;
  for (int i = 0; i < 9; ++i) BOOST_TEST(t[i] == 4);
  BOOST_TEST((!t.vanishes() && Tangents<double, 9>().vanishes()));
}

BOOST_AUTO_TEST_SUITE_END()
