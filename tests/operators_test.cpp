// The operators against differences and against each other, for every shape that x and f(x) may have.
#include "ad/operators.h"

#include <boost/test/unit_test.hpp>
#include <functional>

#include "ad/check.h"

using ad::Var;
using ad::VectorX;
using Eigen::Matrix2d;
using Eigen::MatrixXd;
using Eigen::Vector2d;
using Eigen::Vector3d;
using Eigen::VectorXd;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

// R^n -> R^m by elementary functions, any n and m; no two entries of the Jacobian alike
struct Curve {
  int m;
  template <class X>
  auto operator()(const X& x) const {
    VectorX<typename X::Scalar> y(m);
    for (int k = 0; k < m; ++k) {
      y[k] = 0.1 * k;
      for (Eigen::Index i = 0; i < x.size(); ++i) y[k] += sin((k + 1.) * x[i]) * exp(0.3 * x[(i + k) % x.size()]);
    }
    return y;
  }
};

// a loss in which every second derivative is there
const auto loss = [](const auto& x) {
  using S = typename std::decay_t<decltype(x)>::Scalar;
  S sum = 0;
  for (Eigen::Index i = 0; i < x.size(); ++i) sum += (1. + double(i)) * x(i) * tanh(sum + x(i));
  return log(1. + sum * sum);
};

MatrixXd jacobian_by_differences(const auto& f, const VectorXd& x, MatrixXd* error) {
  MatrixXd j;
  for (Eigen::Index i = 0; i < x.size(); ++i) {
    const auto d = ad::differences(f, x, VectorXd::Unit(x.size(), i));
    if (i == 0) j.resize(d.value.size(), x.size()), error->resize(d.value.size(), x.size());
    j.col(i) = d.value;
    error->col(i) = d.error;
  }
  return j;
}

bool equal(const MatrixXd& a, const MatrixXd& b) { return a.rows() == b.rows() && a.cols() == b.cols() && a == b; }

VectorXd point(Eigen::Index n, unsigned seed = 1) {
  std::srand(seed);
  return VectorXd::Random(n);
}

template <class E = std::invalid_argument>
auto says(std::string a, std::string b = "") {
  return [=](const E& e) {
    const std::string text = e.what();
    BOOST_TEST_MESSAGE(text);
    return text.find(a) != std::string::npos && text.find(b) != std::string::npos;
  };
}

double square(double x) { return x * x; }
Var square_of_var(const Var& x) { return x * x; }

}  // namespace

BOOST_AUTO_TEST_SUITE(operators)

// --- against differences and each other --------------------------------------------------------------------------------------

namespace {
void rectangular(int m, Eigen::Index n) {
  const VectorXd x = point(n, static_cast<unsigned>(10 * n + m));
  const Curve f{m};
  const MatrixXd j = ad::jacobian(f, x);
  MatrixXd error;
  const MatrixXd want = jacobian_by_differences([&](const VectorXd& a) { return VectorXd(f(a)); }, x, &error);
  const auto c = ad::compare("J", j, ad::Estimate<MatrixXd>{want, error});
  BOOST_TEST(c.ok, m << " x " << n << ": " << c.text);
  // rows by vjp, columns by jvp: the other direction than the one jacobian() took, too
  MatrixXd rows(m, n), columns(m, n);
  for (Eigen::Index k = 0; k < m; ++k) rows.row(k) = ad::vjp(f, x, VectorXd::Unit(m, k)).transpose();
  for (Eigen::Index i = 0; i < n; ++i) columns.col(i) = ad::jvp(f, x, VectorXd::Unit(n, i));
  for (const MatrixXd& other : {rows, columns}) {
    const auto same = ad::compare("J", other, j, 16 * eps);  // sums of n terms in another order
    BOOST_TEST(same.ok, m << " x " << n << ": " << same.text);
  }
}
}  // namespace

BOOST_AUTO_TEST_CASE(jacobians_of_all_proportions_rows_by_vjp_columns_by_jvp) {
  rectangular(1, 1);
  rectangular(1, 9);
  rectangular(3, 2);    // forward, a part of one pass
  rectangular(11, 8);   // forward, one full pass
  rectangular(11, 10);  // forward, two passes
  rectangular(3, 5);    // reverse
  rectangular(11, 20);  // reverse, two passes
}

BOOST_AUTO_TEST_CASE(gradients_are_those_of_differences_and_of_the_jacobian) {
  for (const Eigen::Index n : {1, 2, 7, 30}) {
    const VectorXd x = point(n);
    const auto [value, g] = ad::value_and_gradient(loss, x);
    BOOST_TEST(value == loss(x));
    BOOST_TEST(equal(ad::gradient(loss, x), g));
    const auto c = ad::compare("g", g, ad::difference_gradient(loss, x));
    BOOST_TEST(c.ok, c.text);
    const auto row = ad::compare("J", ad::jacobian(loss, x), MatrixXd(g.transpose()), 16 * eps);
    BOOST_TEST(row.ok, row.text);
    const VectorXd v = point(n, 2);
    BOOST_TEST(std::abs(ad::jvp(loss, x, v) - g.dot(v)) <= 64 * eps * g.norm() * v.norm());
    BOOST_TEST(bool(ad::compare("2g", ad::vjp(loss, x, 2.), VectorXd(2 * g), eps)));
  }
}

BOOST_AUTO_TEST_CASE(hessians_are_symmetric_and_those_of_differences_of_the_gradient) {
  for (const Eigen::Index n : {1, 3, 8, 11}) {
    const VectorXd x = point(n, 5), v = point(n, 6);
    const MatrixXd h = ad::hessian(loss, x);
    MatrixXd error;
    const MatrixXd want =
        jacobian_by_differences([](const VectorXd& a) { return VectorXd(ad::gradient(loss, a)); }, x, &error);
    const auto c = ad::compare("H", h, ad::Estimate<MatrixXd>{want, error});
    BOOST_TEST(c.ok, c.text);
    const double tolerance = 64 * eps;  // some twenty operations deep, each with a rounding of its own
    BOOST_TEST(bool(ad::compare("H^T", MatrixXd(h.transpose()), h, tolerance)));
    const auto product = ad::compare("H v", ad::hessian_vector_product(loss, x, v), VectorXd(h * v), tolerance);
    BOOST_TEST(product.ok, product.text);
    // the same by the other nestings: reverse over forward, forward over forward, the Jacobian of the gradient
    const VectorXd reverse = ad::gradient([&](const auto& a) { return ad::jvp(loss, a, v); }, x);
    BOOST_TEST(bool(ad::compare("H v", reverse, VectorXd(h * v), tolerance)));
    const double forward = ad::jvp([&](const auto& a) { return ad::jvp(loss, a, v); }, x, v);
    BOOST_TEST(std::abs(forward - v.dot(h * v)) <= tolerance * h.norm() * v.squaredNorm());
    const MatrixXd twice = ad::jacobian([](const auto& a) { return ad::gradient(loss, a); }, x);
    BOOST_TEST(bool(ad::compare("J of g", twice, h, tolerance)));
  }
}

// --- shapes ----------------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(derivatives_at_whole_numbers_are_none) {
  const auto ratio = [](const auto& x) { return x(0) / x(1); };
  BOOST_TEST((ad::gradient(ratio, Eigen::Vector2i(1, 2)) == Eigen::Vector2d(0.5, -0.25)));
  BOOST_TEST((ad::gradient([](const auto& x) { return x * x; }, 3) == 6));
}

BOOST_AUTO_TEST_CASE(derivatives_come_back_in_the_shape_of_x) {
  const auto sum_of_cubes = [](const auto& x) {
    using S = typename std::decay_t<decltype(x)>::Scalar;
    S s = 0;
    for (Eigen::Index j = 0; j < x.cols(); ++j)
      for (Eigen::Index i = 0; i < x.rows(); ++i) s += x(i, j) * x(i, j) * x(i, j);
    return s;
  };
  const auto check = [&](const auto& x) {
    using X = std::decay_t<decltype(x)>;
    const auto g = ad::gradient(sum_of_cubes, x);
    static_assert(std::is_same_v<std::remove_const_t<decltype(g)>, X>);
    BOOST_TEST((g.rows() == x.rows() && g.cols() == x.cols()));
    for (Eigen::Index j = 0; j < x.cols(); ++j)
      for (Eigen::Index i = 0; i < x.rows(); ++i) BOOST_TEST(std::abs(g(i, j) - 3 * x(i, j) * x(i, j)) <= 4 * eps);
    const auto h = ad::hessian_vector_product(sum_of_cubes, x, x);
    static_assert(std::is_same_v<std::remove_const_t<decltype(h)>, X>);
    BOOST_TEST(h.rows() == x.rows());
    const double along = ad::jvp(sum_of_cubes, x, x);
    BOOST_TEST(std::abs(along - 3 * sum_of_cubes(x)) <= 16 * eps);
  };
  std::srand(4);
  check(Vector3d::Random().eval());
  check(VectorXd::Random(5).eval());
  check(Eigen::RowVector3d::Random().eval());
  check(Matrix2d::Random().eval());
  check(MatrixXd::Random(2, 3).eval());
  check(Eigen::Array3d::Random().eval());
  check(Eigen::ArrayXXd::Random(3, 2).eval());
  check(Eigen::Matrix<double, 2, 3, Eigen::RowMajor>::Random().eval());
}

BOOST_AUTO_TEST_CASE(x_and_results_may_be_expressions) {
  const VectorXd a = point(4);
  const auto norm = [](const auto& x) { return x.squaredNorm(); };
  BOOST_TEST(equal(ad::gradient(norm, a.head(2) * 2), VectorXd(4 * a.head(2))));
  BOOST_TEST(equal(ad::gradient(norm, a.segment(1, 2)), VectorXd(2 * a.segment(1, 2))));
  const MatrixXd m = MatrixXd::Ones(4, 4);
  BOOST_TEST(equal(ad::gradient(norm, m.col(1)), VectorXd(2 * m.col(1))));
  const VectorXd twice = ad::jvp([](const auto& x) { return x + x; }, a, VectorXd::Ones(4));  // an expression comes out
  BOOST_TEST(equal(twice, VectorXd::Constant(4, 2)));
  BOOST_TEST(equal(ad::jacobian([](const auto& x) { return x + x; }, a), MatrixXd(2 * MatrixXd::Identity(4, 4))));
  BOOST_TEST(ad::gradient([](const auto& x) { return x * x; }, 3.) == 6);  // a Product comes out
  BOOST_TEST(equal(ad::gradient([](const auto& x) { return x[0] * x[1]; }, Vector2d(3, 4)), Vector2d(4, 3)));
}

BOOST_AUTO_TEST_CASE(jacobians_count_matrices_column_by_column) {
  const auto product = [](const auto& x) { return (x * x).eval(); };
  std::srand(8);
  const Matrix2d a = Matrix2d::Random();
  const MatrixXd j = ad::jacobian(product, a);
  BOOST_TEST((j.rows() == 4 && j.cols() == 4));
  for (int k = 0; k < 4; ++k) {
    Matrix2d e = Matrix2d::Zero();
    e(k % 2, k / 2) = 1;
    const Matrix2d want = e * a + a * e;
    BOOST_TEST((j.col(k) - Eigen::Map<const Eigen::Vector4d>(want.data())).norm() <= 4 * eps);
    BOOST_TEST((ad::jvp(product, a, e) - want).norm() <= 4 * eps);
  }
  const Matrix2d w = Matrix2d::Random();
  const Matrix2d pulled = ad::vjp(product, a, w);  // w a^T + a^T w
  BOOST_TEST((pulled - (w * a.transpose() + a.transpose() * w)).norm() <= 8 * eps);
}

BOOST_AUTO_TEST_CASE(functions_of_one_number) {
  const auto f = [](const auto& x) { return sin(x) * x; };
  const double want = std::cos(2.) * 2 + std::sin(2.);
  BOOST_TEST(std::abs(ad::derivative(f, 2.) - want) <= 4 * eps);
  BOOST_TEST(std::abs(ad::gradient(f, 2.) - want) <= 4 * eps);
  BOOST_TEST(ad::derivative(f, 2) == ad::derivative(f, 2.));  // a whole number is a double
  BOOST_TEST(ad::gradient(f, 2) == ad::gradient(f, 2.));
  BOOST_TEST(std::abs(ad::hessian(f, 2.)(0, 0) - (2 * std::cos(2.) - 2 * std::sin(2.))) <= 4 * eps);
  const auto circle = [](const auto& t) {
    Eigen::Matrix<std::decay_t<decltype(t)>, 2, 1> p;
    p << cos(t), sin(t);
    return p;
  };
  const Vector2d velocity = ad::derivative(circle, 0.5);
  BOOST_TEST(equal(velocity, Vector2d(-std::sin(0.5), std::cos(0.5))));
  BOOST_TEST(equal(ad::jacobian(circle, 0.5), velocity));
  BOOST_TEST(std::abs(ad::vjp(circle, 0.5, Vector2d(1, 2)) - Vector2d(1, 2).dot(velocity)) <= 2 * eps);
}

BOOST_AUTO_TEST_CASE(what_does_not_depend_on_x_has_derivative_zero) {
  const Vector3d x(1, 2, 3);
  BOOST_TEST(equal(ad::gradient([](const auto&) { return 5.; }, x), Vector3d::Zero()));
  BOOST_TEST(ad::value_and_gradient([](const auto&) { return 5; }, x).value == 5);
  BOOST_TEST(ad::gradient([](const auto& a) { return std::decay_t<decltype(a)>(5.); }, 1.) == 0);
  BOOST_TEST(ad::derivative([](const auto&) { return 5.; }, 1.) == 0);
  BOOST_TEST(equal(ad::jvp([](const auto&) { return Vector2d(1, 2); }, x, x), Vector2d::Zero()));
  BOOST_TEST(equal(ad::vjp([](const auto&) { return Vector2d(1, 2); }, x, Vector2d(1, 1)), Vector3d::Zero()));
  BOOST_TEST(equal(ad::jacobian([](const auto&) { return Vector2d(1, 2); }, x), MatrixXd::Zero(2, 3)));
  BOOST_TEST(equal(ad::hessian([](const auto& a) { return a.sum(); }, x), MatrixXd::Zero(3, 3)));
  const auto half = [](const auto& a) {  // some outputs depend on x, others do not; x itself is an output
    using S = typename std::decay_t<decltype(a)>::Scalar;
    Eigen::Matrix<S, 5, 1> y;
    y << S(1.), a[0], a[1] * a[1], S(2.), a[1] * a[1];
    return y;
  };
  MatrixXd want = MatrixXd::Zero(5, 3);
  want(1, 0) = 1, want(2, 1) = want(4, 1) = 4;
  BOOST_TEST(equal(ad::jacobian(half, x), want));
  BOOST_TEST(equal(ad::vjp(half, x, VectorXd::Ones(5)), Vector3d(1, 8, 0)));
}

BOOST_AUTO_TEST_CASE(nothing_in_nothing_out) {
  const VectorXd none(0);
  BOOST_TEST(ad::gradient([](const auto& x) { return x.sum(); }, none).size() == 0);
  const MatrixXd j = ad::jacobian([](const auto& x) { return (x * 2.).eval(); }, none);
  BOOST_TEST((j.rows() == 0 && j.cols() == 0));
  BOOST_TEST(ad::hessian([](const auto& x) { return x.sum(); }, none).size() == 0);
}

// --- callables ---------------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(any_callable_will_do) {
  BOOST_TEST(ad::gradient(square_of_var, 3.) == 6);
  BOOST_TEST(ad::gradient(&square_of_var, 3.) == 6);
  const std::function<Var(const Var&)> f = square_of_var;
  BOOST_TEST(ad::gradient(f, 3.) == 6);
  const std::function<Var(const VectorX<Var>&)> g = [](const VectorX<Var>& x) -> Var { return x.squaredNorm(); };
  BOOST_TEST(equal(ad::gradient(g, VectorXd::Ones(2).eval()), VectorXd::Constant(2, 2)));
  BOOST_TEST(
      equal(ad::jacobian([](const VectorX<Var>& x) { return x; }, VectorXd::Ones(2).eval()), MatrixXd::Identity(2, 2)));
  BOOST_TEST(ad::vjp([](const Var& x) { return x * x; }, 3., 2.) == 12);
  int calls = 0;
  auto counting = [&calls](const auto& x) mutable {
    ++calls;
    return x * x;
  };
  BOOST_TEST(ad::gradient(counting, 1.) == 2);
  BOOST_TEST(ad::jacobian(counting, 1.)(0, 0) == 2);
  BOOST_TEST(calls == 2);  // f runs once
  BOOST_TEST(square(3) == 9);
}

BOOST_AUTO_TEST_CASE(an_empty_function_is_refused) {
  const std::function<Var(const Var&)> none;
  Var (*const nowhere)(const Var&) = nullptr;
  BOOST_CHECK_EXCEPTION(ad::gradient(none, 1.), std::invalid_argument, says("gradient", "the function is empty"));
  BOOST_CHECK_EXCEPTION(ad::gradient(nowhere, 1.), std::invalid_argument, says("gradient", "the function is empty"));
  BOOST_CHECK_EXCEPTION(ad::vjp(none, 1., 1.), std::invalid_argument, says("vjp", "the function is empty"));
  BOOST_CHECK_EXCEPTION(ad::jacobian(none, 1.), std::invalid_argument, says("jacobian", "the function is empty"));
}

BOOST_AUTO_TEST_CASE(sizes_that_do_not_fit_are_named) {
  const VectorXd x = point(3);
  const Curve f{2};
  BOOST_CHECK_EXCEPTION(ad::jvp(f, x, point(2)), std::invalid_argument,
                        says("jvp: the direction has 2 elements", "x has 3"));
  BOOST_CHECK_EXCEPTION(ad::vjp(f, x, point(3)), std::invalid_argument,
                        says("vjp: the weight of the outputs has 3 elements", "f(x) has 2"));
  BOOST_CHECK_EXCEPTION(ad::gradient(f, x), std::invalid_argument, says("gradient: f(x) has 2 elements", "has 1"));
  BOOST_CHECK_EXCEPTION(ad::hessian_vector_product(loss, x, point(4)), std::invalid_argument,
                        says("hessian_vector_product: the direction has 4 elements", "x has 3"));
}

BOOST_AUTO_TEST_CASE(an_exception_inside_f_leaves_everything_as_it_was) {
  ad::Tape tape;
  const Var a = tape.input(2.);
  const auto thrower = [](const auto& x) {
    if (x * x > 0) throw std::runtime_error("from f");
    return x;
  };
  BOOST_CHECK_THROW(ad::gradient(thrower, 1.), std::runtime_error);
  const Var b = a * a;  // the outer tape is the active one again
  tape.reverse(b);
  BOOST_TEST(tape.adjoint(a) == 4);
}

BOOST_AUTO_TEST_SUITE_END()
