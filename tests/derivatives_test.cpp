// Every row of the table: its value against <cmath>, its partials against differences and complex steps.
#include <boost/test/unit_test.hpp>
#include <complex>

#include "ad/annotations.h"
#include "ad/check.h"
#include "tests/rows.h"

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr int samples = 60;  // of every row

using Long = long double;
using Complex = std::complex<double>;

// What <cmath> lacks, in long double, written in another way than the table does.
namespace definitions {
Long add(Long x, Long z) { return x + z; }
Long sub(Long x, Long z) { return x - z; }
Long mul(Long x, Long z) { return x * z; }
Long div(Long x, Long z) { return x / z; }
Long neg(Long x) { return -x; }
Long copy(Long x) { return x; }
Long sigmoid(Long x) { return (1 + std::tanh(x / 2)) / 2; }
Long softplus(Long x) { return std::log(1 + std::exp(x)); }
Long relu(Long x) { return (x + std::abs(x)) / 2; }
Long sign(Long x) { return x == 0 ? 0 : std::copysign(Long(1), x); }
Long min(Long x, Long z) { return std::fmin(x, z); }
Long max(Long x, Long z) { return std::fmax(x, z); }
}  // namespace definitions

// What std::complex lacks, as the analytic function that the row is on its interval.
namespace analytic {
Complex add(Complex x, Complex z) { return x + z; }
Complex sub(Complex x, Complex z) { return x - z; }
Complex mul(Complex x, Complex z) { return x * z; }
Complex div(Complex x, Complex z) { return x / z; }
Complex neg(Complex x) { return -x; }
Complex copy(Complex x) { return x; }
Complex fma(Complex x, Complex z, Complex w) { return x * z + w; }
Complex cbrt(Complex x) { return std::pow(x, 1. / 3); }
Complex hypot(Complex x, Complex z) { return std::sqrt(x * x + z * z); }
Complex exp2(Complex x) { return std::exp(std::log(2.) * x); }
Complex expm1(Complex x) { return std::exp(x) - 1.; }
Complex log2(Complex x) { return std::log(x) / std::log(2.); }
Complex log1p(Complex x) { return std::log(1. + x); }
Complex atan2(Complex x, Complex z) { return std::atan(x / z); }  // z > 0
Complex sigmoid(Complex x) { return 1. / (1. + std::exp(-x)); }
Complex softplus(Complex x) { return std::log(1. + std::exp(x)); }
Complex relu(Complex x) { return x; }
Complex abs(Complex x) { return -x; }  // x < 0
Complex min(Complex x, Complex) { return x; }
Complex max(Complex, Complex z) { return z; }
Complex erf(Complex x) {  // A. and S. 7.1.5
  Complex sum = 0, power = x;
  for (int n = 0; n < 60; ++n, power *= -x * x / double(n)) sum += power / (2. * n + 1);
  return 2 * std::numbers::inv_sqrtpi * sum;
}
Complex erfc(Complex x) { return 1. - erf(x); }
}  // namespace analytic

/// The row by another definition, or not a number where there is none.
template <class Number>
struct Other {
  const char* name;
  Number (*f)(const Number* x);
};
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

#define AD_OTHER(N, place, name, ...)            \
  {#name, [](const auto* x) {                    \
     using namespace std;   /* NOLINT */         \
     using namespace place; /* NOLINT */         \
     constexpr bool known = requires {           \
       { name(__VA_ARGS__) } -> std::same_as<N>; \
     };                                          \
     if constexpr (known)                        \
       return name(__VA_ARGS__);                 \
     else                                        \
       return nan * *x;                          \
   }},
const Other<Long> cmath[] = {
#define AD_INFIX(name, ...) AD_OTHER(Long, definitions, name, x[0], x[1])
#define AD_PREFIX(name, ...) AD_OTHER(Long, definitions, name, x[0])
#define AD_UNARY(name, ...) AD_OTHER(Long, definitions, name, x[0])
#define AD_BINARY(name, ...) AD_OTHER(Long, definitions, name, x[0], x[1])
#define AD_TERNARY(name, ...) AD_OTHER(Long, definitions, name, x[0], x[1], x[2])
#include "ad/derivatives.def"
};
const Other<Complex> complex[] = {
#define AD_INFIX(name, ...) AD_OTHER(Complex, analytic, name, x[0], x[1])
#define AD_PREFIX(name, ...) AD_OTHER(Complex, analytic, name, x[0])
#define AD_UNARY(name, ...) AD_OTHER(Complex, analytic, name, x[0])
#define AD_BINARY(name, ...) AD_OTHER(Complex, analytic, name, x[0], x[1])
#define AD_TERNARY(name, ...) AD_OTHER(Complex, analytic, name, x[0], x[1], x[2])
#include "ad/derivatives.def"
};
#undef AD_OTHER

const auto rows = tests::rows<double>();
const auto partials = tests::partials<double>();

/// f along its operand k, at x.
template <class Number>
auto along(Number (*f)(const Number*), const std::array<double, 3>& x, int k) {
  return [=](Number t) {
    Number at[3] = {Number(x[0]), Number(x[1]), Number(x[2])};
    at[k] = t;
    return f(at);
  };
}

struct Verdict {
  int refused = 0, moving = 0;  // of the samples: partials refused; partials that are not zero
  double worst = 0;
};

/// Row i's partial along operand k, multiplied by `factor`, before the judge.
Verdict differences(std::size_t i, int k, double factor) {
  Verdict v;
  std::mt19937 random(static_cast<unsigned>(i));
  for (int n = 0; n < samples; ++n) {
    const auto x = tests::sample(rows[i], random);
    const double d = factor * partials[i].d[static_cast<std::size_t>(k)](x.data(), rows[i].f(x.data()));
    const auto judge = ad::differences(along(rows[i].f, x, k), x[static_cast<std::size_t>(k)]);
    // the partial's own rounding: it is computed from a few numbers of size 1 and of its own size
    const double off = std::abs(d - judge.value), allowed = judge.error + 8 * eps * std::max(1., std::abs(d));
    v.refused += !(off <= allowed);
    v.moving += d != 0;
    v.worst = std::max(v.worst, off - allowed);
  }
  return v;
}

/// The same before the complex step, which knows no error but rounding.
Verdict complex_step(std::size_t i, int k, double factor) {
  Verdict v;
  std::mt19937 random(static_cast<unsigned>(i));
  for (int n = 0; n < samples; ++n) {
    const auto x = tests::sample(rows[i], random);
    const double d = factor * partials[i].d[static_cast<std::size_t>(k)](x.data(), rows[i].f(x.data()));
    const double judge = ad::complex_step(along(complex[i].f, x, k), x[static_cast<std::size_t>(k)]);
    if (std::isnan(judge)) return {};
    const double off = std::abs(d - judge) / std::max(1., std::abs(judge));
    v.refused += !(off <= 16 * eps);
    v.moving += d != 0;
    v.worst = std::max(v.worst, off);  // two units, and erfc twelve: its series above sums terms up to 50
  }
  return v;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(derivatives)

BOOST_AUTO_TEST_CASE(the_three_readings_of_the_table_are_in_the_same_order) {
  BOOST_TEST(rows.size() >= 50);
  BOOST_TEST(std::size(cmath) == rows.size());
  BOOST_TEST(std::size(complex) == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) BOOST_TEST(rows[i].name == std::string(partials[i].name));
}

BOOST_AUTO_TEST_CASE(values_are_those_of_cmath) {
  int compared = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::mt19937 random(static_cast<unsigned>(i));
    for (int n = 0; n < samples; ++n) {
      const auto x = tests::sample(rows[i], random);
      const Long at[3] = {x[0], x[1], x[2]};
      const double y = rows[i].f(x.data()), want = static_cast<double>(cmath[i].f(at));
      if (std::isnan(want)) break;
      if (n == 0) ++compared;
      // the C library is good to a few units in the last place, lgamma near its zeros to as many of 1
      BOOST_TEST(std::abs(y - want) <= 4 * eps * std::max(1., std::abs(want)),
                 rows[i].name << "(" << x[0] << ", " << x[1] << ") = " << y << ", not " << want);
    }
  }
  BOOST_TEST(compared == static_cast<int>(rows.size()) - 2);  // all but digamma and polygamma, below
}

BOOST_AUTO_TEST_CASE(partials_are_those_of_differences) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (int k = 0; k < rows[i].operands; ++k) {
      if (rows[i].fixed(k)) continue;
      const Verdict v = differences(i, k, 1);
      BOOST_TEST(v.refused == 0, rows[i].name << ": partial " << k << " is off by " << v.worst << " more than allowed");
    }
}

BOOST_AUTO_TEST_CASE(partials_are_those_of_the_complex_step) {
  int judged = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (int k = 0; k < rows[i].operands; ++k) {
      const Verdict v = complex_step(i, k, 1);
      judged += v.moving > 0;
      BOOST_TEST(v.refused == 0, rows[i].name << ": partial " << k << " is off by " << v.worst);
    }
  BOOST_TEST(judged >= 48);  // along every operand of every analytic row but the gamma functions
}

// A test that passes says nothing unless it could have failed.
BOOST_AUTO_TEST_CASE(a_partial_off_by_a_ten_thousandth_or_of_the_wrong_sign_is_refused) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (int k = 0; k < rows[i].operands; ++k)
      for (const double factor : {1.0001, 0.9999, -1.}) {
        if (rows[i].fixed(k)) continue;
        const Verdict v = differences(i, k, factor);
        BOOST_TEST(4 * v.refused >= v.moving, rows[i].name << ": partial " << k << " times " << factor << " passed "
                                                           << v.moving - v.refused << " of " << v.moving << " times");
        const Verdict c = complex_step(i, k, factor);
        BOOST_TEST(2 * c.refused >= c.moving,
                   rows[i].name << ": partial " << k << " times " << factor << " passed the complex step");
      }
}

BOOST_AUTO_TEST_CASE(partials_hold_outside_the_sampled_intervals_too) {
  struct Stretch {
    const char* name;
    std::array<double, 2> from, to;
  };
  const Stretch more[] = {
      {"div", {-2, -2}, {2, -0.5}},
      {"cbrt", {-4}, {-0.1}},
      {"hypot", {-2, -2}, {2, -0.1}},
      {"atan2", {0.1, -2}, {2, 2}},
      {"atan2", {-2, -2}, {-0.1, 2}},
      {"tgamma", {-1.9}, {-1.1}},
      {"lgamma", {-2.9}, {-2.1}},
      {"digamma", {-3.9}, {-3.1}},
      {"digamma", {-30.8}, {-30.2}},
      {"polygamma", {3, -1.9}, {3, -1.1}},
      {"polygamma", {0, 0.5}, {0, 20}},
      {"polygamma", {4, 1}, {4, 40}},
      {"sigmoid", {-40}, {40}},
      {"softplus", {-40}, {40}},
      {"relu", {-2}, {-0.1}},
      {"abs", {0.1}, {2}},
      {"sign", {-2}, {-0.1}},
      {"min", {0.1, -2}, {2, 0}},
      {"max", {0.1, -2}, {2, 0}},
      {"fmod", {-2.9, 0.8}, {-2.1, 1}},
      {"fmod", {2.1, -1}, {2.9, -0.8}},
      {"fmod", {-0.5, 2}, {0.5, 3}},
      {"copysign", {0.1, -2}, {2, 2}},
      {"floor", {-0.9}, {-0.1}},
      {"round", {-1.4}, {-0.6}},
      {"tanh", {-20}, {20}},
      {"exp", {-30}, {30}},
      {"expm1", {-1e-6}, {1e-6}},
      {"log1p", {-1e-6}, {1e-6}},
      {"acosh", {1e3}, {1e6}},
      {"asinh", {-1e6}, {1e6}},
      {"erfc", {2}, {5}},
      {"log", {1e-6}, {1e-3}},
  };
  for (const Stretch& m : more) {
    std::size_t i = 0;
    while (rows[i].name != std::string(m.name)) ++i;
    auto row = rows[i];
    for (std::size_t k = 0; k < 2; ++k) row.from[k] = m.from[k], row.to[k] = m.to[k];
    std::mt19937 random(1);
    for (int n = 0; n < samples; ++n) {
      const auto x = tests::sample(row, random);
      for (int k = 0; k < row.operands; ++k) {
        if (row.fixed(k)) continue;
        const double d = partials[i].d[static_cast<std::size_t>(k)](x.data(), row.f(x.data()));
        const auto judge = ad::differences(along(row.f, x, k), x[static_cast<std::size_t>(k)]);
        BOOST_TEST(std::abs(d - judge.value) <= judge.error + 8 * eps * std::max(1., std::abs(d)),
                   m.name << "(" << x[0] << ", " << x[1] << "): partial " << k << " is " << d << ", differences say "
                          << judge.value << " +- " << judge.error);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(conventions_are_kept_by_the_formulas_themselves) {
  const auto table = tests::conventions();
  BOOST_TEST(table.size() >= 25);
  for (const auto& c : table) {
    std::size_t i = 0;
    while (rows[i].name != std::string(c.name)) ++i;
    const double y = rows[i].f(c.x.data());
    BOOST_TEST(std::abs(rows[i].operands - c.operands) == 0);
    BOOST_TEST(y == c.value, c.name << "(" << c.x[0] << ", " << c.x[1] << ") = " << y << ", not " << c.value);
    for (std::size_t k = 0; k < static_cast<std::size_t>(c.operands); ++k) {
      const double d = partials[i].d[k](c.x.data(), y);
      BOOST_TEST(d == c.d[k],
                 c.name << "(" << c.x[0] << ", " << c.x[1] << "): partial " << k << " = " << d << ", not " << c.d[k]);
    }
  }
}

// psi and its derivatives at points where they are known, and by their recurrence (A. and S. 6.3, 6.4).
BOOST_AUTO_TEST_CASE(digamma_and_polygamma_are_what_tables_say) {
  using ad::digamma, ad::polygamma, std::numbers::egamma, std::numbers::ln2, std::numbers::pi;
  const auto near = [](double got, double want, double units) {
    BOOST_TEST(std::abs(got - want) <= units * eps * std::max(1., std::abs(want)), got << " is not " << want);
  };
  near(digamma(1), -egamma, 4);
  near(digamma(0.5), -egamma - 2 * ln2, 4);
  near(digamma(0.25), -egamma - pi / 2 - 3 * ln2, 4);
  near(digamma(1.4616321449683623), 0, 4);
  near(digamma(-0.5), 2 - egamma - 2 * ln2, 8);
  near(digamma(1e10), std::log(1e10) - 0.5e-10, 4);
  near(polygamma(0, 0.5), -egamma - 2 * ln2, 4);
  near(polygamma(1, 1), pi * pi / 6, 8);
  near(polygamma(1, 0.5), pi * pi / 2, 8);
  near(polygamma(2, 1), -2.404113806319188570799476, 8);  // -2 zeta(3)
  near(polygamma(2, 0.5), -14 * 1.202056903159594285, 8);
  near(polygamma(3, 1), std::pow(pi, 4) / 15, 8);
  near(polygamma(1, 1e8) * 1e8, 1, 1e8 * 0.5);  // 1/x + 1/(2x^2): the second term is left
  std::mt19937 random(7);
  for (int n = 0; n < 200; ++n) {
    const double x = std::uniform_real_distribution(-15., 15.)(random);
    if (std::abs(x - std::round(x)) < 0.05) continue;  // poles magnify rounding, the n-th derivative by (1/0.05)^n
    near(digamma(x + 1), digamma(x) + 1 / x, 100);
    for (const double order : {1., 2., 3.})
      near(polygamma(order, x + 1) / std::max(1., std::pow(std::abs(x), -order - 1)),
           (polygamma(order, x) + std::pow(-1, order) * std::tgamma(order + 1) * std::pow(x, -order - 1)) /
               std::max(1., std::pow(std::abs(x), -order - 1)),
           4000);
  }
  for (const double pole : {0., -1., -20.}) {
    BOOST_TEST(std::isnan(digamma(pole)));
    BOOST_TEST(std::isnan(polygamma(2, pole)));
  }
  BOOST_TEST(std::isnan(polygamma(-1, 1)));
  BOOST_TEST(std::isnan(polygamma(0.5, 1)));
}

BOOST_AUTO_TEST_CASE(the_slope_of_expm1_is_exp_to_the_last_digits) {  // also where expm1 itself is -1 to the last digit
  for (double x = -700; x < 20; x += 0.37)
    BOOST_TEST(std::abs(ad::row::expm1_::dx(x, std::expm1(x)) / std::exp(x) - 1) <= 4 * eps, x);
}

BOOST_AUTO_TEST_CASE(names_of_operations_are_those_of_the_table) {
  using ad::Op, ad::op_text;
  BOOST_TEST((op_text(Op::mul).name == "*" && op_text(Op::mul).infix && op_text(Op::mul).operands == 2));
  BOOST_TEST((op_text(Op::neg).name == "-" && op_text(Op::neg).operands == 1));
  BOOST_TEST((op_text(Op::tanh).name == "tanh" && op_text(Op::tanh).dx == "1 - y * y" && !op_text(Op::tanh).infix));
  BOOST_TEST((op_text(Op::fma).name == "fma" && op_text(Op::fma).operands == 3));
  BOOST_TEST((op_text(Op::trunc).name == "trunc"));  // the last row: nothing is missing before it
}

BOOST_AUTO_TEST_SUITE_END()
