// Derivatives of derivatives: in every nesting each row has the second derivatives that differences of its partials have,
// and perturbations are not confused.
#include <boost/test/unit_test.hpp>

#include "ad/check.h"
#include "ad/operators.h"
#include "tests/rows.h"

using ad::derivative;
using ad::Dual;
using ad::gradient;
using ad::Tape;
using ad::TapeOf;
using ad::Var;
using ad::Variable;
using Eigen::Vector2d;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr int samples = 12;

const auto plain = tests::rows<double>();
const auto partials = tests::partials<double>();

using Numbers = std::array<double, 3>;

/// d2f / dx_i dx_j of one row, at x.
template <class S>
struct Second;
template <>
struct Second<Dual<Dual<>>> {  // forward over forward
  static double at(const tests::Row<Dual<Dual<>>>& row, const Numbers& x, std::size_t i, std::size_t j) {
    Dual<Dual<>> a[3];
    for (std::size_t k = 0; k < 3; ++k) a[k] = {Dual<>(x[k], k == j), Dual<>(k == i, 0)};
    return row.f(a).tangent.tangent;
  }
};
template <>
struct Second<Variable<Dual<>>> {  // forward over reverse: a tape of dual numbers
  static double at(const tests::Row<Variable<Dual<>>>& row, const Numbers& x, std::size_t i, std::size_t j) {
    TapeOf<Dual<>> tape;
    Variable<Dual<>> a[3];
    for (std::size_t k = 0; k < 3; ++k) a[k] = tape.input(Dual<>(x[k], k == j));
    tape.reverse(row.f(a));
    return tape.adjoint(a[i]).tangent;
  }
};
template <>
struct Second<Dual<Var>> {  // reverse over forward: the tangent is recorded
  static double at(const tests::Row<Dual<Var>>& row, const Numbers& x, std::size_t i, std::size_t j) {
    Tape tape;
    Dual<Var> a[3];
    for (std::size_t k = 0; k < 3; ++k) a[k] = {tape.input(x[k]), Var(k == i)};
    const Var d = row.f(a).tangent;
    if (d.id() == 0) return 0;
    tape.reverse(d);
    return tape.adjoint(a[j].value);
  }
};
template <>
struct Second<Variable<Var>> {  // reverse over reverse: the adjoint sweep is recorded
  static double at(const tests::Row<Variable<Var>>& row, const Numbers& x, std::size_t i, std::size_t j) {
    Tape outer;
    TapeOf<Var> inner;
    Var b[3];
    Variable<Var> a[3];
    for (std::size_t k = 0; k < 3; ++k) a[k] = inner.input(b[k] = outer.input(x[k]));
    inner.reverse(row.f(a));
    const Var d = inner.adjoint(a[i]);
    if (d.id() == 0) return 0;
    outer.reverse(d);
    return outer.adjoint(b[j]);
  }
};

template <class S>
void second_derivatives_of_every_row() {
  const auto rows = tests::rows<S>();
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::mt19937 random(static_cast<unsigned>(r));
    const auto n = static_cast<std::size_t>(rows[r].operands);
    for (int sample = 0; sample < samples; ++sample) {
      const auto x = tests::sample(plain[r], random);
      for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j) {
          if (rows[r].fixed(static_cast<int>(i)) || rows[r].fixed(static_cast<int>(j))) continue;
          const double got = Second<S>::at(rows[r], x, i, j);
          const auto partial = [&](double t) {
            Numbers at = x;
            at[j] = t;
            return partials[r].d[i](at.data(), plain[r].f(at.data()));
          };
          const auto judge = ad::differences(partial, x[j]);
          // the chain inside a partial adds a few roundings of its own size, and of the partial's
          const double own = 16 * eps * std::max({1., std::abs(got), std::abs(partial(x[j]))});
          BOOST_TEST(std::abs(got - judge.value) <= judge.error + own,
                     rows[r].name << "(" << x[0] << ", " << x[1] << "): second derivative " << i << j << " is " << got
                                  << ", differences say " << judge.value << " +- " << judge.error);
        }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(nested)

BOOST_AUTO_TEST_CASE(forward_over_forward) { second_derivatives_of_every_row<Dual<Dual<>>>(); }
BOOST_AUTO_TEST_CASE(forward_over_reverse) { second_derivatives_of_every_row<Variable<Dual<>>>(); }
BOOST_AUTO_TEST_CASE(reverse_over_forward) { second_derivatives_of_every_row<Dual<Var>>(); }
BOOST_AUTO_TEST_CASE(reverse_over_reverse) { second_derivatives_of_every_row<Variable<Var>>(); }

BOOST_AUTO_TEST_CASE(conventions_hold_in_every_nesting) {
  const auto rows = tests::rows<Dual<Dual<>>>();
  for (const auto& c : tests::conventions())
    for (std::size_t k = 0; k < static_cast<std::size_t>(c.operands); ++k) {
      Dual<Dual<>> x[3] = {Dual<>(c.x[0]), Dual<>(c.x[1])};
      x[k] = {Dual<>(c.x[k], 1), Dual<>(1, 0)};
      const auto y = tests::row(rows, c.name).f(x);
      BOOST_TEST((y.value.value == c.value && y.value.tangent == c.d[k] && y.tangent.value == c.d[k]),
                 c.name << ": " << y.value.value << " " << y.value.tangent << " " << y.tangent.value);
      BOOST_TEST(!std::isnan(y.tangent.tangent), c.name << ": its second derivative is not a number");
    }
}

BOOST_AUTO_TEST_CASE(second_derivatives_at_zeros_and_kinks) {
  const auto second = [](auto f, double at) {
    return derivative([&](const auto& x) { return derivative([&](const auto& z) { return f(z); }, x); }, at);
  };
  BOOST_TEST(second([](const auto& x) { return pow(x, 2); }, 0.) == 2);
  BOOST_TEST(second([](const auto& x) { return pow(x, 1); }, 0.) == 0);
  BOOST_TEST(second([](const auto& x) { return pow(x, 3); }, 0.) == 0);
  BOOST_TEST(second([](const auto& x) { return pow(x, 3); }, -2.) == -12);
  BOOST_TEST(second([](const auto& x) { return abs(x) * abs(x); }, -1.) == 2);
  BOOST_TEST(second([](const auto& x) { return relu(x) * x; }, 2.) == 2);
  BOOST_TEST(second([](const auto& x) { return relu(x); }, 0.) == 0);
  BOOST_TEST(second([](const auto& x) { return softplus(x); }, 0.) == 0.25);
  BOOST_TEST(second([](const auto& x) { return max(x * x, x); }, 3.) == 2);
  BOOST_TEST(second([](const auto& x) { return hypot(x, 2); }, 0.) == 0.5);
  BOOST_TEST(second([](const auto& x) { return floor(x) * x * x; }, 2.5) == 4);
  const auto power = [](const auto& x) { return pow(x[0], x[1]); };  // d2 x^z / dx dz = x^(z-1) (1 + z log x)
  const Eigen::Matrix2d expected{{0, 0.5}, {0.5, std::log(2) * std::log(2)}};
  BOOST_TEST((ad::hessian(power, Vector2d(2, 0)) - expected).cwiseAbs().maxCoeff() <= eps);
}

BOOST_AUTO_TEST_CASE(a_sum_begins_with_zero_as_plain_numbers_do) {  // 0 + -0
  const auto f = [](const auto& x) {
    typename std::decay_t<decltype(x)>::Scalar s(0);
    s += x[0] * x[1];
    return copysign(1 * x[2], s);
  };
  const Eigen::Vector3d at(-0.5, 0, 2);
  BOOST_TEST(f(at) == 2);
  const auto slope_times_x = [&](const auto& x) { return ad::gradient(f, x)[2] * x[2]; };
  BOOST_TEST(ad::gradient(slope_times_x, at)[2] == 1);
  const Eigen::Matrix<Dual<>, 3, 1> moving{Dual<>(-0.5), Dual<>(0), Dual<>(2, 1)};
  BOOST_TEST(ad::gradient(f, moving)[2].value == 1);
}

namespace {
/// dy/dx of y = x + sqrt(w^2) at w = 0, by the tangent sweep of a tape of numbers T: w does not move.
template <class T>
T beside_a_pole(const T& at_x, const T& at_w) {
  struct Inner;
  TapeOf<T> tape;
  const Variable<T, Inner> x = tape.template input<Inner>(at_x), w = tape.template input<Inner>(at_w);
  const Variable<T, Inner> y = x + sqrt(w * w);
  tape.forward(x);
  return tape.tangent(y);
}
}  // namespace

BOOST_AUTO_TEST_CASE(what_does_not_move_stays_zero_in_every_nesting) {
  BOOST_TEST(beside_a_pole(1.0, 0.0) == 1);
  BOOST_TEST(beside_a_pole(Dual<>(1, 1), Dual<>(0)).value == 1);
  Tape outer;
  const Var x = outer.input(1.0), w = outer.input(0.0);
  BOOST_TEST(beside_a_pole(x, w).value() == 1);
  const Dual<Var> moving(x, Var(1)), still(w);
  BOOST_TEST(Dual<Var>(moving + sqrt(still * still)).tangent.value() == 1);
  const ad::Id before = outer.length();
  Var zero = 0;
  for (int i = 0; i < 100; ++i) zero += zero * zero;
  BOOST_TEST(outer.length() == before);
}

// --- perturbation confusion --------------------------------------------------------------------------------------------
// Siskind and Pearlmutter, Perturbation confusion and referential transparency (2005). A number of the outer
// differentiation enters the inner one by lifting: the inner point is written in the outer's numbers.

namespace {
/// v in the numbers of x.
template <class X>
X lift(const X&, double v) {
  return X(v);
}
}  // namespace

BOOST_AUTO_TEST_CASE(an_inner_derivative_does_not_see_the_outer_perturbation) {
  // d/dx [ x d/dy (x + y) ] = 1; confused, 2
  BOOST_TEST(derivative([](const auto& x) { return x * derivative([&](const auto& y) { return x + y; }, lift(x, 1)); },
                        1.) == 1);
  // d/dx [ x d/dy (x y) ] = 2x
  BOOST_TEST(derivative([](const auto& x) { return x * derivative([&](const auto& y) { return x * y; }, lift(x, 2)); },
                        3.) == 6);
  // d/dx [ d/dy (x^2 y^3) at y = x ] = d/dx [ 3 x^4 ] = 12 x^3
  BOOST_TEST(derivative([](const auto& x) { return derivative([&](const auto& y) { return x * x * y * y * y; }, x); },
                        2.) == 96);
  // an inner derivative that does not depend on x
  BOOST_TEST(derivative([](const auto& x) { return x * derivative([](const auto& y) { return y * y; }, 3.); }, 1.) ==
             6);
  // what the inner function ignores
  BOOST_TEST(derivative([](const auto& x) { return derivative([&](const auto&) { return x; }, lift(x, 1)); }, 1.) == 0);
}

BOOST_AUTO_TEST_CASE(detach_reaches_through_every_level) {
  // d/dx [ d/dy (detach(x) y) ] = d/dx [ detach(x) ] = 0, also where x is a constant of the inner derivative
  const auto inside = [](const auto& x) {
    return [&](const auto& y) { return detach(std::decay_t<decltype(y)>(x)) * y; };
  };
  const auto forward = [&](const auto& x) { return derivative(inside(x), lift(x, 1)); };
  const auto reverse = [&](const auto& x) { return gradient(inside(x), lift(x, 1)); };
  BOOST_TEST((derivative(forward, 2.) == 0 && derivative(reverse, 2.) == 0));
  BOOST_TEST((gradient(forward, 2.) == 0 && gradient(reverse, 2.) == 0));
}

BOOST_AUTO_TEST_CASE(a_gradient_inside_a_gradient) {
  const auto confused = [](const auto& x) { return x * gradient([&](const auto& y) { return x + y; }, lift(x, 1)); };
  BOOST_TEST(gradient(confused, 1.) == 1);
  BOOST_TEST(
      gradient([](const auto& x) { return gradient([&](const auto& y) { return x * x * y * y * y; }, x); }, 2.) == 96);

  // a step of descent inside a loss: x - a grad g(x), with g = (x0^2 + 3 x1^2) / 2
  const auto after_step = [](const auto& x) {
    const auto g = gradient([](const auto& z) { return 0.5 * z[0] * z[0] + 1.5 * z[1] * z[1]; }, x);
    return (x - 0.1 * g).squaredNorm();
  };
  const Vector2d d = gradient(after_step, Vector2d(1, 2));  // 2 (1 - a k)^2 x
  BOOST_TEST((d - Vector2d(2 * 0.9 * 0.9, 4 * 0.7 * 0.7)).norm() < 4 * eps);
}

BOOST_AUTO_TEST_CASE(the_outer_recording_stays_good_after_an_inner_one) {
  const auto f = [](const auto& x) {
    const auto before = x * x;
    const auto inner = gradient([&](const auto& y) { return sin(y) * x; }, x);  // cos(y) x at y = x
    const auto after = before + x;
    return before * inner + after;
  };
  const double x = 0.7, c = std::cos(x), s = std::sin(x);  // x^3 cos x + x^2 + x
  BOOST_TEST(std::abs(gradient(f, x) - (3 * x * x * c - x * x * x * s + 2 * x + 1)) < 8 * eps);

  Tape tape;  // by hand, and the tape of numbers of other code is not disturbed
  const Var a = tape.input(2.0), b = a * a;
  const Vector2d g = gradient([](const auto& z) { return z[0] * z[1]; }, Vector2d(5, 7));
  const Var y = b * g[0];
  tape.reverse(y);
  BOOST_TEST(tape.adjoint(a) == 28);
}

BOOST_AUTO_TEST_CASE(what_the_compiler_cannot_see_the_tape_refuses) {
  // functions for Var only: both recordings have the same type
  BOOST_CHECK_THROW(
      gradient([](const Var& x) { return x * gradient([&](const Var& y) { return Var(x + y); }, 1.); }, 1.),
      std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(directions_mix_forward_in_reverse_and_reverse_in_forward) {
  const auto f = [](const auto& x) { return exp(x * 2.0) * sin(x); };
  const double x = 0.3, e = std::exp(2 * x), want = e * (3 * std::sin(x) + 4 * std::cos(x));
  const auto close = [&](double got) { return std::abs(got - want) < 16 * eps * e; };
  BOOST_TEST(close(derivative([&](const auto& a) { return derivative([&](const auto& b) { return f(b); }, a); }, x)));
  BOOST_TEST(close(derivative([&](const auto& a) { return gradient([&](const auto& b) { return f(b); }, a); }, x)));
  BOOST_TEST(close(gradient([&](const auto& a) { return derivative([&](const auto& b) { return f(b); }, a); }, x)));
  BOOST_TEST(close(gradient([&](const auto& a) { return gradient([&](const auto& b) { return f(b); }, a); }, x)));
}

BOOST_AUTO_TEST_CASE(three_deep) {
  const auto cube = [](const auto& x) { return x * x * x * x * x; };  // x^5
  const auto one = [&](const auto& x) { return derivative([&](const auto& z) { return cube(z); }, x); };
  const auto two = [&](const auto& x) { return derivative([&](const auto& z) { return one(z); }, x); };
  BOOST_TEST(derivative([&](const auto& x) { return two(x); }, 2.) == 240);  // 60 x^2
  BOOST_TEST(gradient([&](const auto& x) { return two(x); }, 2.) == 240);
  const auto mixed = [&](const auto& x) { return gradient([&](const auto& z) { return one(z); }, x); };
  BOOST_TEST(derivative([&](const auto& x) { return mixed(x); }, 2.) == 240);

  // the same function thrice: its tag comes at every level
  BOOST_TEST(derivative([&](const auto& x) { return derivative(cube, derivative(cube, x) / x); }, 1.) ==
             5 * 4 * 125 * 15);
  const Dual<Dual<Dual<>>> x(Dual<Dual<>>(Dual<>(0.5, 1), Dual<>(1)), Dual<Dual<>>(Dual<>(1)));
  BOOST_TEST(std::abs(sin(x).tangent.tangent.tangent + std::cos(0.5)) < eps);

  // d/dz d/dy d/dx of x y^2 z^3 at (1, 2, 3): 2 y 3 z^2
  BOOST_TEST(derivative(
                 [](const auto& z) {
                   return derivative(
                       [&](const auto& y) {
                         return derivative([&](const auto& a) { return a * y * y * z * z * z; }, lift(y, 1));
                       },
                       lift(z, 2));
                 },
                 3.) == 2 * 2 * 27);
}

BOOST_AUTO_TEST_SUITE_END()
