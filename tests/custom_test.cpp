// A function with derivatives of one's own behaves, for every kind of number, as if it stood in the table.
#include "ad/custom.h"

#include <Eigen/Dense>
#include <boost/test/unit_test.hpp>

#include "ad/eigen.h"
#include "ad/operators.h"

using ad::Dual;
using ad::Tape;
using ad::TapeOf;
using ad::Var;
using ad::Variable;
using Eigen::Vector3d;

namespace {

const auto cube = ad::custom([](const auto& x) { return x * x * x; }, [](const auto& x) { return 3 * x * x; });

// y = x exp(z); partials by the operands and the result
const auto grow = ad::custom([](const auto& x, const auto& z) { return x * exp(z); },
                             [](const auto&, const auto& z) { return exp(z); },
                             [](const auto&, const auto&, const auto& y) { return y; });

// f(a, b, c) = a b c + c
const auto triple = ad::custom([](const auto& a, const auto& b, const auto& c) { return a * b * c + c; },
                               [](const auto&, const auto& b, const auto& c) { return b * c; },
                               [](const auto& a, const auto&, const auto& c) { return a * c; },
                               [](const auto& a, const auto& b, const auto&) { return a * b + 1; });

// an edit: the value of tanh, the derivative 7
const auto fake = ad::custom([](const auto& x) { return tanh(x); }, [](const auto& x) { return 0 * x + 7; });

const auto norm = ad::custom_of_vector(
    [](auto x) {
      auto sum = x[0] * x[0] * 1.;
      for (std::size_t i = 1; i < x.size(); ++i) sum += x[i] * x[i];
      return sqrt(sum);
    },
    [](auto x, const auto& y) {
      using T = std::remove_cvref_t<decltype(y)>;
      std::vector<T> g;
      for (const T& s : x) g.push_back(T(s / y));
      return g;
    });

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(custom)

BOOST_AUTO_TEST_CASE(on_plain_numbers_it_is_its_value) {
  BOOST_TEST(cube(2.0) == 8);
  BOOST_TEST(cube(2) == 8);
  static_assert(std::is_same_v<decltype(cube(2)), double>);
  BOOST_TEST(triple(2, 3.0, 4) == 28);
  BOOST_TEST(norm(std::vector{3., 4.}) == 5);
  BOOST_TEST(norm(Vector3d(2, 3, 6)) == 7);
}

BOOST_AUTO_TEST_CASE(forward_mode_uses_the_given_partials) {
  BOOST_TEST(cube(Dual<>(2, 1)).tangent == 12);
  BOOST_TEST(triple(Dual<>(2, 1), Dual<>(3, 10), Dual<>(4, 100)).tangent == 12 + 80 + 700);
  BOOST_TEST(triple(2, Dual<>(3, 1), 4.).tangent == 8);  // plain numbers among the operands
  Dual<double, 3> x(2.);
  x.tangent[0] = 1, x.tangent[2] = -2;
  BOOST_TEST((cube(x).derivative(0) == 12 && cube(x).derivative(1) == 0 && cube(x).derivative(2) == -24));
  BOOST_TEST(fake(Dual<>(0.5, 2)).tangent == 14);
  BOOST_TEST(fake(Dual<>(0.5, 2)).value == std::tanh(0.5));
}

BOOST_AUTO_TEST_CASE(reverse_mode_uses_the_same_partials) {
  Tape tape;
  const Var x = tape.input(2.0), z = tape.input(3.0), w = tape.input(4.0);
  const ad::Id before = tape.length();
  const Var y = cube(x);
  BOOST_TEST(tape.length() == before + 1);
  BOOST_TEST((tape.entry_of(y.id()).op == ad::Op::custom));
  tape.reverse(y);
  BOOST_TEST(tape.adjoint(x) == 12);

  const Var t = triple(x, z, w);  // two partials an entry: two entries
  BOOST_TEST(tape.length() == before + 3);
  BOOST_TEST((t.value() == 28 && tape.value_of(t.id()) == 28));
  tape.reverse(t);
  BOOST_TEST((tape.adjoint(x) == 12 && tape.adjoint(z) == 8 && tape.adjoint(w) == 7));
  tape.forward(w);
  BOOST_TEST(tape.tangent(t) == 7);

  const Var m = triple(2, z, 4.);  // plain numbers are not recorded
  BOOST_TEST(tape.length() == before + 4);
  tape.reverse(m);
  BOOST_TEST(tape.adjoint(z) == 8);

  const Var p = cube(x * z), q = grow(x * z, w + 0);  // products that are not yet recorded
  tape.reverse(p);
  BOOST_TEST(tape.adjoint(x) == 3 * 36 * 3);
  tape.reverse(q);
  BOOST_TEST((tape.adjoint(x) == 3 * std::exp(4.) && tape.adjoint(w) == 6 * std::exp(4.)));

  const Var f = fake(x);
  tape.reverse(f);
  tape.forward(x);
  BOOST_TEST((tape.adjoint(x) == 7 && tape.tangent(f) == 7));

  const Var c = cube(Var(2.0));
  BOOST_TEST((c.value() == 8 && c.id() == 0));  // of constants: a constant, on no tape
}

BOOST_AUTO_TEST_CASE(the_same_operand_may_come_twice) {
  Tape tape;
  const Var x = tape.input(3.0), y = triple(x, x, x);  // x^3 + x
  tape.reverse(y);
  BOOST_TEST(tape.adjoint(x) == 28);
}

BOOST_AUTO_TEST_CASE(of_a_vector_of_operands) {
  const Vector3d x(2, 3, 6), v(1, -1, 2);
  BOOST_TEST(((ad::gradient([](const auto& a) { return norm(a); }, x) - x / 7).norm() < 1e-15));
  BOOST_TEST(std::abs(ad::jvp([](const auto& a) { return norm(a); }, x, v) - x.dot(v) / 7) < 1e-15);
  const Eigen::Matrix3d h = ad::hessian([](const auto& a) { return norm(a); }, x);
  BOOST_TEST(((h - (Eigen::Matrix3d::Identity() - x * x.transpose() / 49) / 7).norm() < 1e-15));

  Tape tape;
  const std::vector<Var> some{tape.input(3.0), Var(4.0)};  // a constant among the operands
  const Var y = norm(some);
  BOOST_TEST(tape.length() == 2u);
  tape.reverse(y);
  BOOST_TEST(tape.adjoint(some[0]) == 0.6);

  const auto wrong =
      ad::custom_of_vector([](auto a) { return a[0] * 1.; }, [](auto) { return std::vector<double>(2); });
  BOOST_TEST(wrong(std::vector{1., 2., 3.}) == 1);
  BOOST_CHECK_EXCEPTION(wrong(std::vector{Dual<>(1), Dual<>(2), Dual<>(3)}), std::invalid_argument, [](const auto& e) {
    return has(e.what(), "the gradient has 2 elements") && has(e.what(), "called with 3");
  });
}

BOOST_AUTO_TEST_CASE(nested_numbers_differentiate_the_partials_formula) {
  const auto second = [](const auto& f, double at) {
    return ad::derivative([&](const auto& x) { return ad::derivative([&](const auto& z) { return f(z); }, x); }, at);
  };
  BOOST_TEST(second(cube, 2.0) == 12);  // 6 x
  BOOST_TEST(second(fake, 2.0) == 0);   // 7' = 0
  const auto edited = ad::custom([](const auto& x) { return sin(x); }, [](const auto& x) { return x * x; });
  BOOST_TEST(second(edited, 3.0) == 6);  // (x^2)'

  const auto self = [](const auto& x) { return grow(x(0), x(1)); };
  const Eigen::Vector2d at(2, 0.5);
  const double e = std::exp(0.5);
  BOOST_TEST(
      ((ad::hessian(self, at) - (Eigen::Matrix2d() << 0, e, e, 2 * e).finished()).norm() < 1e-15));  // fwd over rev

  TapeOf<Var> inner;  // reverse over reverse, by hand: Variable<Var>
  Tape outer;
  const Var x = outer.input(2.0);
  const Variable<Var> z = inner.input(x), y = cube(z);
  inner.reverse(y);
  const Var slope = inner.adjoint(z);
  BOOST_TEST(slope.value() == 12);
  outer.reverse(slope);
  BOOST_TEST(outer.adjoint(x) == 12);

  Tape tape;  // Dual<Var>
  const Var s = tape.input(2.0);
  const Dual<Var> d = fake(Dual<Var>(s, Var(1.0))), c = cube(Dual<Var>(s, Var(1.0)));
  BOOST_TEST((d.tangent.value() == 7 && c.tangent.value() == 12));
  tape.reverse(c.tangent);
  BOOST_TEST(tape.adjoint(s) == 12);
}

BOOST_AUTO_TEST_CASE(a_partial_of_infinity_meets_what_does_not_move) {
  const auto root = ad::custom([](const auto& x) { return sqrt(x); }, [](const auto& x) { return 0.5 / sqrt(x); });
  BOOST_TEST(root(Dual<>(0, 0)).tangent == 0);
  BOOST_TEST(std::isinf(root(Dual<>(0, 1)).tangent));
}

BOOST_AUTO_TEST_SUITE_END()
