// Over exact rational numbers derivatives of rational functions are exact: every comparison here is ==.
#include <Eigen/LU>
#include <boost/test/unit_test.hpp>

#include "ad/check.h"
#include "ad/custom.h"
#include "ad/operators.h"
#include "tests/fractions.h"

using Rational = boost::multiprecision::cpp_rational;  // with Boost's expression templates: x * x is no Rational yet

using ad::Dual;
using ad::TapeOf;
using ad::Variable;
using ad::VectorX;

namespace {

using V = Variable<Rational>;

Rational q(int n, int d = 1) { return Rational(n, d); }

// (3x^2 - 2) / (x + 5/7), by the quotient rule, and its second derivative
const auto f = [](const auto& x) { return (3 * x * x - 2) / (x + q(5, 7)); };
Rational df(const Rational& x) {
  const Rational d = x + q(5, 7);
  return (6 * x * d - (3 * x * x - 2)) / (d * d);
}
Rational ddf(const Rational& x) {
  const Rational d = x + q(5, 7);
  return (6 * d * d - 12 * x * d + 2 * (3 * x * x - 2)) / (d * d * d);
}

// g(x) = x0 x1^2 / (1 + x2^2) - x0 / x1
const auto g = [](const auto& x) { return x[0] * x[1] * x[1] / (1 + x[2] * x[2]) - x[0] / x[1]; };

}  // namespace

BOOST_AUTO_TEST_SUITE(exact)

BOOST_AUTO_TEST_CASE(forward) {
  const Rational x = q(3, 11);
  const auto y = f(Dual<Rational>(x, 1));
  BOOST_TEST((y.value == f(x) && y.tangent == df(x)));
  BOOST_TEST((f(Dual<Rational>(x, q(-2, 3))).tangent == q(-2, 3) * df(x)));
  Dual<Rational, 3> w(x);
  w.tangent[0] = 1, w.tangent[2] = q(1, 9);
  const auto z = f(w);
  BOOST_TEST((z.derivative(0) == df(x) && z.derivative(1) == 0 && z.derivative(2) == df(x) / 9));
  Dual<Rational> s(x, 1);
  s += 1, s *= q(2, 3), s -= Dual<Rational>(q(1, 2), 5), s /= 7;
  BOOST_TEST((s.tangent == (q(2, 3) - 5) / 7));
}

BOOST_AUTO_TEST_CASE(reverse) {
  TapeOf<Rational> tape;
  const V x = tape.input(q(3, 11), "x"), y = f(x);
  tape.reverse(y);
  BOOST_TEST((y.value() == f(q(3, 11)) && tape.adjoint(x) == df(q(3, 11))));
  tape.forward(x);
  BOOST_TEST((tape.tangent(y) == df(q(3, 11))));
  const auto pairing = ad::pairing(tape, y);
  BOOST_TEST(pairing.ok, pairing.text);
  for (const Rational& sum : pairing.cut) BOOST_TEST((sum == df(q(3, 11))));  // nothing is forgiven
}

BOOST_AUTO_TEST_CASE(the_tape_owns_numbers_that_need_memory) {
  TapeOf<Rational> tape;
  for (int round = 0; round < 3; ++round) {
    tape.clear();
    const V x = tape.input(q(1, 3));
    V y = x;
    Rational value = q(1, 3), slope = 1;
    for (int i = 0; i < 1500; ++i) {  // longer than the first room
      const int sign = i % 2 ? 1 : -1;
      y = y + sign * x;
      value += sign * q(1, 3), slope += sign;
    }
    y = y * y - y * x;
    tape.reverse(y, q(1, 5));
    BOOST_TEST((y.value() == value * value - value / 3));
    BOOST_TEST((tape.adjoint(x) == (2 * value * slope - slope / 3 - value) / 5));
  }
  { TapeOf<Rational> another; }
  TapeOf<Rational> third;
  const V a = third.input(q(1)), b = a + 1;
  third.reverse(b);
  BOOST_TEST((third.adjoint(a) == 1));
}

BOOST_AUTO_TEST_CASE(products_and_fused_entries) {
  TapeOf<Rational> tape;
  const V x = tape.input(q(2, 3)), z = tape.input(q(-5, 7)), w = tape.input(q(1, 9));
  const V y = w + x * z - z * z * 2 + x * q(1, 2);
  tape.reverse(y);
  BOOST_TEST((tape.adjoint(x) == q(-5, 7) + q(1, 2)));
  BOOST_TEST((tape.adjoint(z) == q(2, 3) + q(20, 7)));
  BOOST_TEST((tape.adjoint(w) == 1));
  V s = 0;
  for (int i = 1; i < 5; ++i) s += i * x * x;
  tape.reverse(s);
  BOOST_TEST((tape.adjoint(x) == 10 * 2 * q(2, 3)));
  const V stopped = detach(x) * x;
  tape.reverse(stopped);
  BOOST_TEST((tape.adjoint(x) == q(2, 3)));
}

BOOST_AUTO_TEST_CASE(rows_that_are_rational) {
  const auto slope = [](auto h, const Rational& at) {
    TapeOf<Rational> tape;
    const V x = tape.input(at), y = h(x);
    tape.reverse(y);
    const Rational forward = h(Dual<Rational>(at, 1)).tangent;
    BOOST_TEST((forward == tape.adjoint(x)));
    return forward;
  };
  BOOST_TEST((slope([](const auto& x) { return relu(x); }, q(1, 3)) == 1));
  BOOST_TEST((slope([](const auto& x) { return relu(x); }, q(-1, 3)) == 0));
  BOOST_TEST((slope([](const auto& x) { return relu(x); }, q(0)) == 0));
  BOOST_TEST((slope([](const auto& x) { return copy(x); }, q(1, 3)) == 1));
  BOOST_TEST((slope([](const auto& x) { return max(x, q(1, 4)); }, q(1, 3)) == 1));
  BOOST_TEST((slope([](const auto& x) { return max(x, q(1, 3)); }, q(1, 3)) == q(1, 2)));
  BOOST_TEST((slope([](const auto& x) { return min(x, q(1, 4)); }, q(1, 3)) == 0));
  BOOST_TEST((slope([](const auto& x) { return abs(x); }, q(-1, 3)) == -1));
  BOOST_TEST((slope([](const auto& x) { return -x; }, q(1, 3)) == -1));
  BOOST_TEST((slope([](const auto& x) { return fma(x, x, x); }, q(1, 3)) == q(5, 3)));
}

BOOST_AUTO_TEST_CASE(nested) {
  const Rational x = q(-4, 9);
  using D = Dual<Rational>;
  BOOST_TEST((f(Dual<D>(D(x, 1), D(1))).tangent.tangent == ddf(x)));
  TapeOf<D> tape;
  const Variable<D> v = tape.input(D(x, 1)), y = f(v);
  tape.reverse(y);
  BOOST_TEST((tape.adjoint(v).value == df(x) && tape.adjoint(v).tangent == ddf(x)));
  TapeOf<Rational> outer;
  const V u = outer.input(x);
  const Dual<V> d = f(Dual<V>(u, V(1)));
  outer.reverse(d.tangent);
  BOOST_TEST((d.tangent.value() == df(x) && outer.adjoint(u) == ddf(x)));
}

BOOST_AUTO_TEST_CASE(operators) {
  const Rational x = q(7, 5);
  BOOST_TEST((ad::derivative(f, x) == df(x)));
  BOOST_TEST((ad::gradient(f, x) == df(x)));
  BOOST_TEST((ad::derivative([](const auto& a) { return ad::gradient(f, a); }, x) == ddf(x)));
  BOOST_TEST(
      (ad::gradient([](const auto& a) { return ad::gradient([](const auto& b) { return f(b); }, a); }, x) == ddf(x)));

  VectorX<Rational> at(3), v(3);
  at << q(1, 2), q(-3, 4), q(5, 6);
  v << q(1), q(-2, 7), q(3);
  const Rational a = at[0], b = at[1], s = 1 + at[2] * at[2];
  VectorX<Rational> grad(3);
  grad << b * b / s - 1 / b, 2 * a * b / s + a / (b * b), -2 * a * b * b * at[2] / (s * s);
  const auto same = [](const auto& p, const auto& r) {
    BOOST_REQUIRE((p.rows() == r.rows() && p.cols() == r.cols()));
    for (Eigen::Index j = 0; j < p.cols(); ++j)
      for (Eigen::Index i = 0; i < p.rows(); ++i) BOOST_TEST((p(i, j) == r(i, j)));
  };
  same(ad::gradient(g, at), grad);
  BOOST_TEST((ad::jvp(g, at, v) == grad[0] * v[0] + grad[1] * v[1] + grad[2] * v[2]));
  same(ad::jacobian([](const auto& z) { return ad::gradient(g, z); }, at), ad::hessian(g, at));
  const auto h = ad::hessian(g, at);
  same(h, h.transpose());
  BOOST_TEST((h(0, 1) == 2 * b / s + 1 / (b * b)));
  BOOST_TEST((h(1, 1) == 2 * a / s - 2 * a / (b * b * b)));
  VectorX<Rational> hv(3);
  for (int i = 0; i < 3; ++i) hv[i] = h(i, 0) * v[0] + h(i, 1) * v[1] + h(i, 2) * v[2];
  same(ad::hessian_vector_product(g, at, v), hv);
}

BOOST_AUTO_TEST_CASE(matrices) {
  using M = ad::MatrixX<Rational>;
  M w(2, 3);
  w << q(1, 2), q(2, 3), q(-1), q(3, 4), q(0), q(5, 6);
  VectorX<Rational> x(3);
  x << q(1, 7), q(-2), q(3, 5);
  const auto loss = [&](const auto& weights) {  // |W x|^2, its gradient 2 W x x^T
    using S = typename std::decay_t<decltype(weights)>::Scalar;
    const VectorX<S> y = weights * ad::cast<S>(x);
    S sum(0);
    for (Eigen::Index i = 0; i < y.size(); ++i) sum += y[i] * y[i];
    return sum;
  };
  const M got = ad::gradient(loss, w);
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      BOOST_TEST((got(i, j) == 2 * (w(i, 0) * x[0] + w(i, 1) * x[1] + w(i, 2) * x[2]) * x[j]));
}

BOOST_AUTO_TEST_CASE(decompositions) {  // d det A = det A tr(A^-1 dA)
  using Q = tests::Fraction;
  tests::Fractions fractions;
  const ad::MatrixX<Q> a = fractions.matrix(5, 5), da = fractions.matrix(5, 5), inverse = a.partialPivLu().inverse();
  ad::MatrixX<Dual<Q>> moving = ad::cast<Dual<Q>>(a);
  for (Eigen::Index i = 0; i < a.size(); ++i) moving.data()[i].tangent = da.data()[i];
  const Dual<Q> det = moving.determinant();
  BOOST_TEST((det.value == a.partialPivLu().determinant() && det.tangent == det.value * (inverse * da).trace()));
  const ad::MatrixX<Dual<Q>> moved = moving.partialPivLu().solve(ad::cast<Dual<Q>>(da));
  const ad::MatrixX<Q> expected = -inverse * da * inverse * da;
  for (Eigen::Index i = 0; i < a.size(); ++i) BOOST_TEST((moved.data()[i].tangent == expected.data()[i]));
}

BOOST_AUTO_TEST_CASE(custom_functions) {
  const auto inverse =
      ad::custom([](const auto& x) { return 1 / x; }, [](const auto&, const auto& y) { return -y * y; });
  BOOST_TEST((ad::derivative([&](const auto& x) { return inverse(x); }, q(2, 3)) == q(-9, 4)));
  BOOST_TEST((ad::gradient([&](const auto& x) { return inverse(x) * x; }, q(2, 3)) == 0));
}

BOOST_AUTO_TEST_SUITE_END()
