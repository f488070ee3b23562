// Every operation on whole matrices: its value, and its two sweeps against each other and against differences.
#include <boost/test/unit_test.hpp>
#include <random>
#include <thread>

#include "ad/panel_sweep.h"

namespace {

using ad::Tape, ad::Var, ad::VarMatrix;
using Matrix = Eigen::MatrixXd;
using Index = Eigen::Index;

Matrix random(Index rows, Index cols, double low = -1, double high = 1) {
  static std::mt19937_64 generator(7);
  std::uniform_real_distribution<double> draw(low, high);
  return Matrix::NullaryExpr(rows, cols, [&] { return draw(generator); });
}

/// A number that depends on every element of the result, each with a weight of its own.
Var weighed(const Var& y) { return y; }
Var weighed(const VarMatrix& y) {
  Matrix w(y.rows(), y.cols());
  for (Index i = 0; i < w.size(); ++i) w.data()[i] = std::cos(1.0 + 2.0 * static_cast<double>(i));
  return y.dot(VarMatrix(w));
}

/// In panels, x moving one by one and z along columns: each direction as a sweep of its own gives it.
void judge_panels(Tape& tape, const VarMatrix& x, const VarMatrix& z, const Var& y, Index width) {
  const Matrix dZ = random(z.size(), 3);
  const Index all = x.size() + dZ.cols();
  ad::PanelSweep sweep(tape, z.id() + static_cast<ad::Id>(z.size()) - 1);
  sweep.move_each(x, 0);
  sweep.move_along(z, x.size(), {dZ.data(), dZ.rows(), dZ.cols(), Eigen::OuterStride<>(dZ.rows())});
  for (Index first = 0; first < all; first += width) {
    const Index count = std::min(width, all - first);
    sweep.run(first, count);
    for (Index k = 0; k < count; ++k) {
      std::vector<std::pair<Var, double>> direction;
      const Index j = first + k - x.size();
      if (j < 0) direction.emplace_back(x((first + k) % x.rows(), (first + k) / x.rows()), 1.0);
      for (Index i = 0; j >= 0 && i < z.size(); ++i) direction.emplace_back(z(i % z.rows(), i / z.rows()), dZ(i, j));
      tape.forward(std::span<const std::pair<Var, double>>(direction));
      const double alone = tape.tangent(y), together = sweep.tangents(y)(0, k);
      BOOST_TEST(std::abs(together - alone) <= 1e-13 * (1 + std::abs(alone)));  // sums in another order
    }
  }
}

/// d weighed(f(x, z)): adjoints, tangents and a central difference along a random direction must agree.
template <class F>
void judge(const std::string& what, F f, const Matrix& X, const Matrix& Z) {
  BOOST_TEST_CONTEXT(what) {
    const auto value = [&](const Matrix& at_x, const Matrix& at_z) {
      Tape tape;
      const VarMatrix x = ad::input(tape, at_x), z = ad::input(tape, at_z);
      return weighed(f(x, z)).value();
    };
    const Matrix dX = random(X.rows(), X.cols()), dZ = random(Z.rows(), Z.cols());
    Tape tape;
    const VarMatrix x = ad::input(tape, X), z = ad::input(tape, Z);
    const Var y = weighed(f(x, z));
    tape.reverse(y);
    const Matrix gx = ad::adjoint(tape, x), gz = ad::adjoint(tape, z);
    const double by_adjoints = gx.cwiseProduct(dX).sum() + gz.cwiseProduct(dZ).sum();
    std::vector<std::pair<Var, double>> direction;
    for (Index i = 0; i < X.size(); ++i) direction.emplace_back(x(i % X.rows(), i / X.rows()), dX.data()[i]);
    for (Index i = 0; i < Z.size(); ++i) direction.emplace_back(z(i % Z.rows(), i / Z.rows()), dZ.data()[i]);
    tape.forward(std::span<const std::pair<Var, double>>(direction));
    const double size = 1e-3 + gx.cwiseProduct(dX).cwiseAbs().sum() + gz.cwiseProduct(dZ).cwiseAbs().sum();
    BOOST_TEST(std::abs(tape.tangent(y) - by_adjoints) < 1e-13 * size);  // the same numbers, summed in another order
    for (const Index width : {1, 2, 7, 1000}) judge_panels(tape, x, z, y, width);
    const auto slope = [&](double h) {
      return (value(X + h * dX, Z + h * dZ) - value(X - h * dX, Z - h * dZ)) / (2 * h);
    };
    const double difference = (4 * slope(1e-5) - slope(2e-5)) / 3;
    BOOST_TEST(std::abs(difference - by_adjoints) < 1e-7 * size);  // h^4 and rounding / h; a factor of 1.0001 is 1e-4
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(matrix)

BOOST_AUTO_TEST_CASE(the_table_element_by_element) {
#define AD_UNARY(name, value, dx, x0, x1) \
  judge(                                  \
      #name, [](auto& x, auto&) { return ad::name(x); }, random(3, 2, x0, x1), random(1, 1));
// polygamma has no derivative along its order, so differences along it are no judge
#define AD_BINARY(name, value, dx, dz, x0, x1, z0, z1) \
  if (ad::Op::name != ad::Op::polygamma)               \
    judge(                                             \
        #name, [](auto& x, auto& z) { return ad::name(x, z); }, random(3, 2, x0, x1), random(3, 2, z0, z1));
#include "ad/derivatives.def"
}

BOOST_AUTO_TEST_CASE(products_and_sums) {
  const Matrix b = random(3, 1), W = random(3, 4);
  judge(
      "W X", [](auto& x, auto& z) { return VarMatrix(x * z); }, random(3, 4), random(4, 2));
  judge(
      "W x", [](auto& x, auto& z) { return VarMatrix(x * z); }, random(19, 7), random(7, 1));
  judge(
      "one row", [](auto& x, auto& z) { return VarMatrix(x * z); }, random(1, 7), random(7, 1));
  judge(
      "W x + b, b plain", [&](auto& x, auto& z) { return VarMatrix(x * z + VarMatrix(b)); }, random(3, 4),
      random(4, 1));
  judge(
      "plain W", [&](auto& x, auto& z) { return VarMatrix(VarMatrix(W) * x + z); }, random(4, 1), random(3, 1));
  judge(
      "bias beside several columns", [&](auto& x, auto& z) { return VarMatrix(VarMatrix(W) * x + z); }, random(4, 5),
      random(3, 1));
  judge(
      "two products", [&](auto& x, auto& z) { return VarMatrix(x * z + x * z + VarMatrix(b)); }, random(3, 4),
      random(4, 1));
  judge(
      "s x + t z", [](auto& x, auto& z) { return 0.3 * x + 1.7 * z; }, random(3, 2), random(3, 2));
  judge(
      "x - z", [](auto& x, auto& z) { return x - z; }, random(3, 2), random(3, 2));
  judge(
      "-x / 3", [](auto& x, auto&) { return VarMatrix(-VarMatrix(x / 3)); }, random(3, 2), random(1, 1));
  judge(
      "Var times matrix", [](auto& x, auto& z) { return z(0) * x; }, random(3, 2), random(1, 1));
  judge(
      "elementwise", [](auto& x, auto& z) { return x.cwiseProduct(z).cwiseQuotient(exp(z)); }, random(3, 2),
      random(3, 2));
  judge(
      "outer", [](auto& x, auto& z) { return ad::outer(x, z); }, random(3, 1), random(4, 1));
}

BOOST_AUTO_TEST_CASE(numbers_of_a_matrix) {
  judge(
      "sum", [](auto& x, auto&) { return x.sum(); }, random(3, 2), random(1, 1));
  judge(
      "mean", [](auto& x, auto&) { return x.mean(); }, random(3, 2), random(1, 1));
  judge(
      "dot", [](auto& x, auto& z) { return x.dot(z); }, random(3, 2), random(3, 2));
  judge(
      "squared norm", [](auto& x, auto&) { return x.squaredNorm(); }, random(3, 2), random(1, 1));
  judge(
      "squared distance", [](auto& x, auto& z) { return ad::squared_distance(x, z, 0.5); }, random(3, 2), random(3, 2));
  judge(
      "log sum exp", [](auto& x, auto&) { return ad::log_sum_exp(x); }, random(3, 2, -3, 3), random(1, 1));
  judge(
      "log softmax", [](auto& x, auto&) { return ad::log_softmax(x); }, random(3, 2, -3, 3), random(1, 1));
  judge(
      "softmax cross-entropy",
      [](auto& x, auto&) { return ad::softmax_cross_entropy(x, VarMatrix(Matrix::Constant(3, 2, 0.2))); },
      random(3, 2, -3, 3), random(1, 1));
  judge(
      "softmax cross-entropy with a target that moves",
      [](auto& x, auto& z) { return ad::softmax_cross_entropy(x, z); }, random(3, 2, -3, 3), random(3, 2, 0, 1));
  Tape tape;
  const VarMatrix v = ad::input(tape, Eigen::Vector3d(1000, 0, -1000));
  const Var loss = ad::softmax_cross_entropy(v, VarMatrix(Matrix(Eigen::Vector3d(0, 1, 0))));
  tape.reverse(loss);
  BOOST_TEST(loss.value() == 1000);
  BOOST_TEST((ad::adjoint(tape, v) == Matrix(Eigen::Vector3d(1, -1, 0))));  // exp(-2000) is 0
}

BOOST_AUTO_TEST_CASE(log_sum_exp_of_infinities) {
  constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const auto of = [](const Eigen::VectorXd& x) { return ad::log_sum_exp(VarMatrix(x))(0).value(); };
  Tape tape;
  for (const Index n : {3, 8, 11}) {
    Eigen::VectorXd x = Eigen::VectorXd::Zero(n);
    x[1] = -inf;  // masked
    const VarMatrix masked = ad::input(tape, x);
    const Var y = ad::log_sum_exp(masked)(0);
    BOOST_TEST(std::abs(y.value() - std::log(static_cast<double>(n - 1))) < 1e-15);
    tape.reverse(y);
    BOOST_TEST((ad::adjoint(tape, masked)(1) == 0 && std::abs(ad::adjoint(tape, masked).sum() - 1) < 1e-15));
    x[2] = inf;
    BOOST_TEST(of(x) == inf);
    x[0] = nan;
    BOOST_TEST(std::isnan(of(x)));
    BOOST_TEST(of(Eigen::VectorXd::Constant(n, -inf)) == -inf);
  }
}

/// y, and its derivatives by both sweeps.
template <class F>
void judge_at_pole(const std::string& what, F f, const Matrix& X, double value, const Matrix& expected) {
  BOOST_TEST_CONTEXT(what) {
    Tape tape;
    const VarMatrix x = ad::input(tape, X);
    const Var y = f(x);
    BOOST_TEST((y.value() == value || std::abs(y.value() - value) < 1e-15));
    tape.reverse(y);
    const Matrix adjoints = ad::adjoint(tape, x);
    for (Index j = 0; j < X.cols(); ++j)
      for (Index i = 0; i < X.rows(); ++i) {
        tape.forward(x(i, j));
        for (const double derivative : {adjoints(i, j), tape.tangent(y)})
          BOOST_TEST((derivative == expected(i, j) || std::abs(derivative - expected(i, j)) < 1e-15),
                     "dy/dx" << i << j << " = " << derivative << ", not " << expected(i, j));
      }
  }
}

BOOST_AUTO_TEST_CASE(zero_times_infinity_is_zero_as_for_single_numbers) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const Eigen::Vector2d zeros(0, 0), ones(1, 1), half(0.5, 0.5);
  judge_at_pole(
      "norm", [](auto& x) { return sqrt(x.squaredNorm()); }, zeros, 0, zeros);
  judge_at_pole(
      "distance", [&](auto& x) { return sqrt(ad::squared_distance(x, VarMatrix(ones))); }, ones, 0, zeros);
  judge_at_pole(
      "distance from an input", [&](auto& x) { return sqrt(ad::squared_distance(VarMatrix(ones), x, 2)); }, ones, 0,
      zeros);
  judge_at_pole(
      "masked dot", [](auto& x) { return sqrt(x.dot(VarMatrix(Eigen::Vector2d(0, 1)))); }, Eigen::Vector2d(1, 0), 0,
      Eigen::Vector2d(0, inf));
  judge_at_pole(
      "root of 0 x", [](auto& x) { return sqrt(VarMatrix(0.0 * x)).sum(); }, ones, 0, zeros);
  judge_at_pole(
      "root of 0 x in a sum", [](auto& x) { return sqrt(VarMatrix(0.0 * x + 0.0 * x)).sum(); }, ones, 0, zeros);
  judge_at_pole(
      "0 roots", [](auto& x) { return VarMatrix(0.0 * sqrt(x)).sum(); }, Eigen::Vector2d(0, 1), 0, zeros);
  judge_at_pole(
      "x^(3/2)", [](auto& x) { return x.dot(sqrt(x)); }, Eigen::Vector2d(0, 4), 8, Eigen::Vector2d(0, 3));
  judge_at_pole(
      "roots' distance", [](auto& x) { return ad::squared_distance(sqrt(x), VarMatrix(Eigen::Vector2d(0, 1)), 0.5); },
      Eigen::Vector2d(0, 4), 0.5, Eigen::Vector2d(0, 0.25));

  Matrix columns(2, 2);
  columns << -inf, 1, -inf, 2;
  const double p = 1 / (1 + std::exp(1));
  judge_at_pole(
      "log sum exp beside a column that is masked", [](auto& x) { return ad::log_sum_exp(x)(0, 1); }, columns,
      2 + std::log1p(std::exp(-1)), (Matrix(2, 2) << 0, p, 0, 1 - p).finished());
  judge_at_pole(
      "log sum exp of two columns, one masked, without weight",
      [](auto& x) { return softmax_cross_entropy(x, VarMatrix((Matrix(2, 2) << 0, 1, 0, 0).finished())); }, columns,
      1 + std::log1p(std::exp(-1)), (Matrix(2, 2) << 0, p - 1, 0, 1 - p).finished());
  judge_at_pole(
      "log sum exp, all masked", [](auto& x) { return ad::log_sum_exp(x)(0); }, -inf * ones, -inf, half);
  judge_at_pole(
      "log sum exp, one infinite", [](auto& x) { return ad::log_sum_exp(x)(0); }, Eigen::Vector2d(inf, 1), inf,
      Eigen::Vector2d(1, 0));
  judge_at_pole(
      "log sum exp of roots", [](auto& x) { return ad::log_sum_exp(sqrt(x))(0); }, Eigen::Vector2d(0, 1e8), 1e4,
      Eigen::Vector2d(0, 0.5e-4));
  judge_at_pole(
      "softmax cross-entropy, one masked",
      [](auto& x) { return softmax_cross_entropy(x, VarMatrix(Eigen::Vector3d(0, 1, 0))); },
      Eigen::Vector3d(-inf, 1, 2), 1 + std::log1p(std::exp(-1)), Eigen::Vector3d(0, p - 1, 1 - p));
}

BOOST_AUTO_TEST_CASE(numbers_may_come_from_the_tape_itself) {  // whose memory moves now and then
  const Matrix X = random(3, 3);
  int wrong = 0;
  std::thread([&] {  // a thread has no memory left from other tapes
    Tape tape;
    const VarMatrix x = ad::input(tape, X);
    for (int i = 0; i < 2000; ++i) {
      const VarMatrix again = ad::input(tape, x.values()), twice = ad::input(tape, 2 * x.values());
      const auto column = tape.input(x.values().col(1));
      if (again.values() != X || twice.values() != 2 * X || ad::values(column) != X.col(1)) ++wrong;
    }
  })
      .join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(rearranged) {
  judge(
      "block", [](auto& x, auto&) { return x.block(1, 0, 2, 2); }, random(4, 3), random(1, 1));
  judge(
      "transpose", [](auto& x, auto& z) { return VarMatrix(x.transpose() * z); }, random(4, 3), random(4, 1));
  judge(
      "vertical", [](auto& x, auto& z) { return ad::vertical(x, z); }, random(2, 3), random(4, 3));
  judge(
      "horizontal", [](auto& x, auto& z) { return ad::horizontal(x, z); }, random(3, 2), random(3, 4));
  judge(
      "views", [](auto& x, auto& z) { return VarMatrix(x.middleCols(1, 2) * z.segment(1, 2) + x.col(0)); },
      random(3, 4), random(4, 1));
  judge(
      "Vars made one",
      [](auto& x, auto&) {
        Eigen::Matrix<Var, 2, 1> m(x(0, 1) * x(1, 0), sin(x(1, 1)));
        return ad::whole(m);
      },
      random(2, 2), random(1, 1));
  judge(
      "scalars between",
      [](auto& x, auto& z) {
        const Var s = x(0, 0) * z(1);
        return Var(tanh(VarMatrix(x * z)).dot(z) * s + s);
      },
      random(3, 3), random(3, 1));
}

BOOST_AUTO_TEST_CASE(changed_in_place_and_cut_off) {
  judge(
      "*= and /=",
      [](auto& x, auto& z) {
        VarMatrix y = x;
        y *= 3.0, y /= 2.0, y *= x(0, 1), y /= z(1), y *= z;
        return y;
      },
      random(3, 2), random(2, 1, 1, 2));
  judge(
      "elements of a row", [](auto& x, auto&) { return Var(x[0] * sin(x[3])); }, random(1, 4), random(1, 1));
  Tape tape;
  const VarMatrix x = ad::input(tape, random(3, 2)), fixed = detach(2.0 * x);
  const Var y = x.dot(fixed);
  tape.reverse(y);
  BOOST_TEST((ad::adjoint(tape, x) == Matrix(2 * x.values())));
}

BOOST_AUTO_TEST_CASE(positive_definite_systems) {
  const Matrix A = random(4, 4);
  judge(
      "solve",
      [](auto& x, auto& z) {
        return ad::cholesky_solve(VarMatrix(x * x.transpose() + VarMatrix(Matrix(4 * Matrix::Identity(4, 4)))), z);
      },
      A, random(4, 2));
  Tape tape;
  const VarMatrix bad = ad::input(tape, Matrix(-Matrix::Identity(2, 2)));
  const ad::Id length = tape.length();
  BOOST_CHECK_THROW(ad::cholesky_solve(bad, bad), std::invalid_argument);
  const VarMatrix nan(Matrix(Matrix::Constant(2, 2, std::nan(""))));
  BOOST_CHECK_EXCEPTION(ad::cholesky_solve(nan, nan), std::invalid_argument,
                        [](const auto& e) { return std::string(e.what()).ends_with("matrix is not finite"); });
  BOOST_TEST(tape.length() == length);  // as if it had not been tried
  const Var y = tanh(bad).sum() * bad(0, 1);
  tape.reverse(y);
  BOOST_TEST(ad::adjoint(tape, bad)(0, 0) == 0);  // bad(0, 1) is 0
  BOOST_TEST(std::abs(ad::adjoint(tape, bad)(0, 1) - 2 * std::tanh(-1)) < 1e-15);
}

BOOST_AUTO_TEST_CASE(a_matrix_used_many_times) {
  for (const int uses : {3, 255, 256, 257, 600})
    judge(
        std::to_string(uses) + " uses",
        [&](auto& x, auto& z) {
          VarMatrix h = z;
          for (int i = 0; i < uses; ++i) h = tanh(VarMatrix(x * h));
          return h;
        },
        random(4, 4), random(4, 1));
  for (const int uses : {255, 256, 257, 600}) {
    judge(
        std::to_string(uses) + " scaled uses",
        [&](auto& x, auto& z) {
          VarMatrix h = z;
          for (int i = 0; i < uses; ++i) h = tanh(VarMatrix(1.5 * x * h - x.transpose() * z));
          return h;
        },
        random(4, 4), random(4, 1));
    Tape tape;
    const VarMatrix W = ad::input(tape, random(3, 2)), x = ad::input(tape, Eigen::Vector2d(1, 2));
    Var y(0.0);
    for (int i = 0; i < uses; ++i) y += VarMatrix(0.5 * W * x).sum();
    tape.reverse(y);
    BOOST_TEST((ad::adjoint(tape, W) == 0.5 * uses * Eigen::Vector3d::Ones() * Eigen::RowVector2d(1, 2)));
  }
  judge(
      "uses that stand at no equal distances, scaled, transposed, of columns",
      [](auto& x, auto& z) {
        VarMatrix h = z;
        for (int i = 0; i < 20; ++i) {
          if (i % 3 == 0) h = h + VarMatrix(x.middleCols(1, 2) * h.segment(0, 2));
          if (i % 5 == 0) h = VarMatrix(x.transpose() * VarMatrix(0.3 * h));
          h = tanh(VarMatrix((i % 4 == 0 ? 0.5 : 1.0) * x * h));
          if (i % 7 == 0) h = VarMatrix(x * ad::horizontal(h, z)).col(i % 2);
        }
        return h;
      },
      random(4, 4), random(4, 1));
  for (const Index rows : {2, 3, 4, 5, 8, 13, 16, 33, 64, 100, 129, 300})
    judge(
        "W W^T x of " + std::to_string(rows) + " rows",
        [](auto& x, auto& z) { return VarMatrix(x * VarMatrix(x.transpose() * z)); }, random(rows, 11),
        random(rows, 1));
  judge(
      "a computed matrix",
      [](auto& x, auto& z) {
        const VarMatrix W = 0.5 * x.cwiseProduct(x);  // its own adjoint is gathered before it is passed on
        return VarMatrix(W * VarMatrix(W * z));
      },
      random(4, 4), random(4, 1));
  judge(
      "wide batches", [](auto& x, auto& z) { return VarMatrix(x * tanh(VarMatrix(x * z))); }, random(3, 3),
      random(3, 300));
}

BOOST_AUTO_TEST_CASE(numbers_between_matrices_add_what_lies_far_back) {
  judge(
      "w + x * z before, between and behind blocks",
      [](auto& x, auto& z) {
        const Var a = x(0, 0) + z(1, 0) * z(0, 0);
        const Var b = x(1, 0) - a * x(0, 0);
        const VarMatrix h = tanh(VarMatrix(x * z));
        const Var c = a + b * h(1, 0), d = h(0, 0) + c * a;
        const VarMatrix g = d * h;
        return Var(c + g(1, 0) * (b + h(1, 0) * d));
      },
      random(2, 2), random(2, 1));
  Tape tape;  // a sweep from the middle passes over what comes later, matrices too
  const Var x = tape.input(2.0), z = tape.input(3.0), w = x + z * z, far = x + w * z;
  const VarMatrix m = ad::input(tape, random(2, 2));
  const Var later = x + far * m(1, 1), last = z + far * later;
  tape.reverse(far);
  BOOST_TEST(tape.adjoint(x) == 1 + 3);
  BOOST_TEST(tape.adjoint(z) == 11 + 2 * 9);
  tape.reverse(m(0, 1));
  BOOST_TEST(tape.adjoint(x) == 0);
  tape.reverse(last);
  const double later_ = 2 + 35 * m(1, 1).value();
  BOOST_TEST(std::abs(tape.adjoint(x) - (4 * later_ + 35 * (1 + 4 * m(1, 1).value()))) < 1e-12);
}

BOOST_AUTO_TEST_CASE(empty_and_single) {
  judge(
      "one element", [](auto& x, auto& z) { return VarMatrix(x * z + x); }, random(1, 1), random(1, 1));
  judge(
      "no rows", [](auto& x, auto& z) { return Var(tanh(VarMatrix(x * z)).sum() + z.sum()); }, random(0, 3),
      random(3, 1));
  judge(
      "no columns", [](auto& x, auto& z) { return VarMatrix(x * z); }, random(3, 0), random(0, 2));

  {
    Tape dirty;  // its memory is used again, with what is in it
    Var y = dirty.input(0.5);
    for (int i = 0; i < 50; ++i) y = sin(y) * y + 1.0;
  }
  for (const bool together : {true, false}) {
    Tape tape;
    const VarMatrix none = ad::input(tape, random(0, 3));
    Var x[12];
    const Matrix at = random(12, 1);
    if (together)
      tape.input(at.data(), 12, x);
    else
      for (Index i = 0; i < 12; ++i) x[i] = tape.input(at(i));
    Var y = none.sum();
    for (const Var& x_i : x) y += x_i * x_i;
    tape.reverse(y);
    for (Index i = 0; i < 12; ++i) {
      BOOST_TEST(tape.adjoint(x[i]) == 2 * at(i));
      tape.forward(x[i]);
      BOOST_TEST(tape.tangent(y) == 2 * at(i));
      BOOST_TEST((tape.entry_of(x[i].id()).op == ad::Op::input));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_panel_may_hold_parts_of_several_seeds) {
  Tape tape;
  const VarMatrix x = ad::input(tape, random(5, 1)), z = ad::input(tape, random(5, 1));
  ad::PanelSweep sweep(tape, tape.length());
  const Matrix dx = random(5, 3), dz = random(5, 3);
  const auto along = [](const Matrix& m) {
    return ad::PanelSweep::Columns(m.data(), m.rows(), m.cols(), Eigen::OuterStride<>(m.rows()));
  };
  sweep.move_along(x, 0, along(dx));
  sweep.move_along(z, 2, along(dz));  // direction 2 moves both
  const VarMatrix y = 0.3 * x - 1.7 * z;
  Matrix expected = Matrix::Zero(5, 5);
  expected.leftCols(3) += 0.3 * dx;
  expected.rightCols(3) -= 1.7 * dz;
  sweep.run(0, 5);
  BOOST_TEST((sweep.tangents(y) - expected).norm() < 1e-15);
  sweep.run(1, 3);
  BOOST_TEST((sweep.tangents(y) - expected.middleCols(1, 3)).norm() < 1e-15);
}

BOOST_AUTO_TEST_CASE(panels_say_what_they_cannot_do) {
  Tape tape;
  const VarMatrix W = ad::input(tape, random(3, 2)), x = ad::input(tape, random(2, 1));
  ad::PanelSweep sweep(tape, tape.length());
  const Matrix columns = random(3, 4);
  using Bad = std::invalid_argument;
  const auto says = [](std::string part) {
    return [part](const Bad& e) { return std::string(e.what()).find(part) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(sweep.move_along(x, 0, {columns.data(), 3, 4, Eigen::OuterStride<>(3)}), Bad,
                        says("columns of 3 numbers for the 2 x 1"));
  const VarMatrix y = W * x;
  BOOST_CHECK_EXCEPTION(sweep.move_each(y, 0), Bad, says("3 x 1"));
  BOOST_CHECK_EXCEPTION(sweep.tangents(y), Bad, says("no tangents"));
  sweep.run(0, 2);
  BOOST_TEST(sweep.tangents(y).norm() == 0);  // nothing moves
  BOOST_CHECK_EXCEPTION(sweep.tangents(x), Bad, says("the last run was over 9 .. 11"));
  BOOST_CHECK_EXCEPTION(sweep.tangents(VarMatrix(columns)), Bad, says("3 x 4 matrix of constants"));
  const VarMatrix late = tanh(y);
  BOOST_CHECK_EXCEPTION(sweep.tangents(late), Bad, says("the last run was over"));
  BOOST_CHECK_THROW(ad::PanelSweep(tape, tape.length() + 1), Bad);
  BOOST_CHECK_EXCEPTION(ad::PanelSweep(tape, W.id()), Bad, says("part of the 3 x 2 matrix"));
  tape.clear();
  BOOST_CHECK_EXCEPTION(sweep.move_each(x, 0), Bad, says("earlier recording"));
  const VarMatrix other = tanh(VarMatrix(random(3, 2) * ad::input(tape, random(2, 1))));
  BOOST_CHECK_EXCEPTION(sweep.tangents(other), Bad, says("another recording"));
  BOOST_CHECK_EXCEPTION(sweep.run(0, 2), Bad, says("another recording"));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named) {
  Tape tape;
  const VarMatrix W = ad::input(tape, random(3, 2)), x = ad::input(tape, random(3, 1));
  const auto says = [](std::string part) {
    return [part](const std::exception& e) { return std::string(e.what()).find(part) != std::string::npos; };
  };
  using Bad = std::invalid_argument;
  BOOST_CHECK_EXCEPTION(VarMatrix(W * x), Bad, says("3 x 2 and a 3 x 1"));
  BOOST_CHECK_EXCEPTION(VarMatrix(W + x), Bad, says("3 x 2 and a 3 x 1"));
  BOOST_CHECK_EXCEPTION(W(3, 0), Bad, says("3 x 2"));
  constexpr Index endless = std::numeric_limits<Index>::max();
  BOOST_CHECK_EXCEPTION(W.middleCols(1, endless), Bad, says("3 x 2"));
  BOOST_CHECK_EXCEPTION(x.segment(1, endless), Bad, says("3 x 1"));
  BOOST_CHECK_EXCEPTION(W.block(1, 0, endless, 0), Bad, says("3 x 2"));
  BOOST_CHECK_EXCEPTION(W.block(0, 1, 0, endless), Bad, says("3 x 2"));
  BOOST_CHECK_EXCEPTION(W.reshaped(2, 2), Bad, says("3 x 2"));
  BOOST_CHECK_EXCEPTION(W.reshaped(endless / 2 + 1, 4), Bad, says("3 x 2"));
  BOOST_CHECK_EXCEPTION(W.segment(0, 1), Bad, says("3 x 2"));
  const VarMatrix none = W.middleCols(2, 0);
  BOOST_CHECK_EXCEPTION(none.reshaped(0, (Index{1} << 32) + 5), Bad, says("3 x 0"));
  BOOST_TEST((none.reshaped(0, 7).cols() == 7 && W.reshaped(2, 3).rows() == 2));
  tape.clear();
  BOOST_CHECK_EXCEPTION(tanh(W), Bad, says("earlier recording"));
  const VarMatrix z = ad::input(tape, random(2, 2));
  const ad::Id length = tape.length();
  BOOST_CHECK_EXCEPTION(W.block(0, 0, 2, 2), Bad, says("earlier recording"));
  BOOST_TEST(tape.length() == length);  // nothing half done is left
  const Var y = z.sum();
  tape.reverse(y);
  BOOST_TEST((ad::adjoint(tape, z) == Matrix(Matrix::Ones(2, 2))));
}

BOOST_AUTO_TEST_SUITE_END()
