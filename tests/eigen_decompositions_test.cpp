// Eigen's decompositions on numbers with derivatives, against matrix identities and differences.
#include <Eigen/Dense>
#include <boost/test/unit_test.hpp>

#include "tests/along.h"

using namespace tests;  // NOLINT

namespace {

const MatrixXd general = random(4, 4, 11) + 2 * MatrixXd::Identity(4, 4);
const MatrixXd definite = random(4, 4, 12) * random(4, 4, 12).transpose() + MatrixXd::Identity(4, 4);
const MatrixXd direction = random(4, 4, 13);
const MatrixXd symmetric = direction + direction.transpose();
const MatrixXd b = random(4, 2, 14);
const double tolerance = 1000 * eps;  // rounding times the condition numbers, about 20 and 50

template <class M>
using Same = MatrixX<typename M::Scalar>;
/// A number as a matrix.
template <class S>
MatrixX<S> one(const S& s) {
  return MatrixX<S>::Constant(1, 1, s);
}
MatrixXd one(double s) { return MatrixXd::Constant(1, 1, s); }

/// A plain matrix in the numbers of m.
template <class M, class P>
Same<M> as(const M&, const P& plain) {
  return ad::cast<typename M::Scalar>(plain);
}

const auto lu_solve = [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.partialPivLu().solve(as(m, b))); };
const auto factor = [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.llt().matrixL()); };

}  // namespace

BOOST_AUTO_TEST_SUITE(eigen_decompositions)

BOOST_AUTO_TEST_CASE(inverse) {  // d A^-1 = -A^-1 dA A^-1
  const MatrixXd inv = general.inverse();
  agree("A^-1", along([](const auto& m) { return m.inverse().eval(); }, general, direction).derivative,
        -inv * direction * inv, tolerance);
  const auto fixed_size = [](const auto& m) {
    return one(Eigen::Matrix<typename std::decay_t<decltype(m)>::Scalar, 4, 4>(m).determinant());
  };
  agree("det, 4 x 4", along(fixed_size, general, direction).derivative,
        one(general.determinant() * (inv * direction).trace()), tolerance);
  const MatrixXd a = general.topLeftCorner(3, 3), v = direction.topLeftCorner(3, 3);
  const auto by_cofactors = [](const auto& m) {
    using S = typename std::decay_t<decltype(m)>::Scalar;
    const Eigen::Matrix<S, 3, 3> fixed = m;
    return MatrixX<S>(fixed.inverse());
  };
  agree("A^-1, 3 x 3", along(by_cofactors, a, v).derivative, -a.inverse() * v * a.inverse(), tolerance);
}

BOOST_AUTO_TEST_CASE(determinant) {  // d det A = det A tr(A^-1 dA)
  for (const Eigen::Index n : {1, 2, 3, 4}) {
    const MatrixXd a = general.topLeftCorner(n, n), v = direction.topLeftCorner(n, n);
    agree("det", along([](const auto& m) { return one(m.determinant()); }, a, v).derivative,
          one(a.determinant() * (a.inverse() * v).trace()), tolerance);
  }
  // d log |det A| = tr(A^-1 dA)
  agree("log |det A|",
        along([](const auto& m) { return one(log(abs(m.determinant()))); }, general, direction).derivative,
        one((general.inverse() * direction).trace()), tolerance);
}

BOOST_AUTO_TEST_CASE(determinant_where_pivots_are_zero) {  // d det A = tr(adj(A) dA), also where A has no inverse
  const Eigen::Index n = 6;
  const MatrixXd full = random(n, n, 21), v = random(n, n, 22);
  MatrixXd column = full, row = full, dependent = full, two = full;
  column.col(1).setZero(), row.row(2).setZero(), two.leftCols(2).setZero();
  dependent.col(1) = 2 * full.col(0);
  const auto determinant = [](const auto& m) { return one(m.determinant()); };
  for (const MatrixXd& a : {full, column, row, dependent, two, MatrixXd(MatrixXd::Zero(n, n))}) {
    double want = 0;  // by cofactors
    for (Eigen::Index i = 0; i < n; ++i)
      for (Eigen::Index j = 0; j < n; ++j) {
        MatrixXd m = a;
        m.row(i).setZero(), m.col(j).setZero(), m(i, j) = 1;
        want += v(i, j) * m.fullPivLu().determinant();
      }
    const double got = along(determinant, a, v).derivative(0, 0);
    BOOST_TEST(std::abs(got - want) <= 1e-13, got << " instead of " << want);
  }
  BOOST_TEST(along(determinant, MatrixXd(0, 0), MatrixXd(0, 0)).value(0, 0) == 1);
  using Second = Dual<Dual<>, 1, struct Outer>;
  const auto second = [&](const MatrixXd& a) {
    MatrixX<Second> m(n, n);
    for (Eigen::Index i = 0; i < a.size(); ++i)
      m.data()[i] = Second(Dual<>(a.data()[i], v.data()[i]), Dual<>(v.data()[i]));
    return m.determinant().tangent.tangent;
  };
  const auto d = ad::differences([&](double t) { return along(determinant, column + t * v, v).derivative(0, 0); }, 0.);
  BOOST_TEST(std::abs(second(column) - d.value) <= d.error + 1e-12);
  BOOST_CHECK_THROW(second(two), std::domain_error);
}

BOOST_AUTO_TEST_CASE(partial_pivoting) {  // A x = b: dx = A^-1 (db - dA x)
  const MatrixXd inv = general.inverse();
  agree("A^-1 b", along(lu_solve, general, direction).derivative, -inv * direction * inv * b, tolerance);
  const auto right_side = [](const auto& m) {
    return Same<std::decay_t<decltype(m)>>(as(m, general).partialPivLu().solve(m));
  };
  agree("A^-1 B", along(right_side, direction, symmetric).derivative, inv * symmetric, tolerance);
}

BOOST_AUTO_TEST_CASE(right_sides_that_are_zero_may_move) {  // Eigen's substitution would pass over them
  const MatrixXd zero = MatrixXd::Zero(4, 1), one_entry = MatrixXd::Identity(4, 4).col(1), db = random(4, 1, 15);
  const auto judge = [&](const std::string& what, const auto& solve, const MatrixXd& inv) {
    for (const MatrixXd& at : {zero, one_entry}) agree(what, along(solve, at, db).derivative, inv * db, tolerance);
  };
  judge(
      "L U", [](const auto& v) { return Same<std::decay_t<decltype(v)>>(as(v, general).partialPivLu().solve(v)); },
      general.inverse());
  judge(
      "L L'", [](const auto& v) { return Same<std::decay_t<decltype(v)>>(as(v, definite).llt().solve(v)); },
      definite.inverse());
  const auto by_half = [&](auto half, auto order) {
    return [=](const auto& v) {
      using S = typename std::decay_t<decltype(v)>::Scalar;
      const Eigen::Matrix<S, -1, -1, order> a = as(v, general);
      const ad::VectorX<S> column = v.col(0);
      return MatrixX<S>(a.template triangularView<half>().solve(column));
    };
  };
  using Eigen::ColMajor, Eigen::Lower, Eigen::RowMajor, Eigen::UnitLower, Eigen::Upper;
  const auto constant = []<auto value>() { return std::integral_constant<int, int{value}>(); };
  const MatrixXd lower = general.triangularView<Lower>(), upper = general.triangularView<Upper>(),
                 unit = general.triangularView<UnitLower>();
  judge("lower", by_half(constant.operator()<Lower>(), constant.operator()<ColMajor>()), lower.inverse());
  judge("upper", by_half(constant.operator()<Upper>(), constant.operator()<RowMajor>()), upper.inverse());
  judge("unit", by_half(constant.operator()<UnitLower>(), constant.operator()<RowMajor>()), unit.inverse());
}

BOOST_AUTO_TEST_CASE(cholesky) {  // A = L L': dL = L Phi(L^-1 dA L^-T), Phi the lower half with half the diagonal
  const MatrixXd l = definite.llt().matrixL(), inv = definite.inverse();
  MatrixXd phi = l.inverse() * symmetric * l.inverse().transpose();
  phi = MatrixXd(phi.triangularView<Eigen::StrictlyLower>()) + MatrixXd(phi.diagonal().asDiagonal()) / 2;
  agree("L", along(factor, definite, symmetric).derivative, l * phi, tolerance);
  const auto solve = [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.llt().solve(as(m, b))); };
  agree("A^-1 b", along(solve, definite, symmetric).derivative, -inv * symmetric * inv * b, tolerance);
  const auto log_det = [](const auto& m) {
    const auto diagonal = factor(m).diagonal().eval();
    auto sum = 2 * log(diagonal[0]);
    for (Eigen::Index i = 1; i < diagonal.size(); ++i) sum += 2 * log(diagonal[i]);
    return MatrixX<typename std::decay_t<decltype(m)>::Scalar>::Constant(1, 1, sum).eval();
  };
  agree("log det A", along(log_det, definite, symmetric).derivative, one((inv * symmetric).trace()), tolerance);
}

BOOST_AUTO_TEST_CASE(reflections_of_columns_that_are_zero_below_the_diagonal) {  // they may move
  const MatrixXd upper = general.triangularView<Eigen::Upper>(), lower = general.triangularView<Eigen::Lower>(),
                 diagonal = general.diagonal().asDiagonal();
  const auto judge = [&](const std::string& what, const auto& solve) {
    for (const MatrixXd& a : {general, upper, lower, diagonal}) {
      agree(what, along(solve, a, direction).derivative, along(lu_solve, a, direction).derivative, 10 * tolerance);
      const auto c = ad::compare(what, along(solve, a, direction).derivative,
                                 ad::differences([&](const MatrixXd& m) { return solve(m); }, a, direction));
      BOOST_TEST(c.ok, c.text);
    }
  };
  judge("QR", [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.householderQr().solve(as(m, b))); });
  judge("column pivots",
        [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.colPivHouseholderQr().solve(as(m, b))); });
  judge("full pivots",
        [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.fullPivHouseholderQr().solve(as(m, b))); });
  // wider than tall, and more columns than Eigen takes as one block
  const auto r = [](const auto& m) { return Same<std::decay_t<decltype(m)>>(m.householderQr().matrixQR()); };
  const auto product = [](const auto& m) {
    const auto qr = m.householderQr();
    using M = Same<std::decay_t<decltype(m)>>;
    return M(qr.householderQ() * M(qr.matrixQR().template triangularView<Eigen::Upper>()));
  };
  const MatrixXd wide = random(3, 5, 16), large = MatrixXd::Identity(50, 50) + random(50, 50, 17) / 50;
  agree("Q R", along(product, MatrixXd(MatrixXd::Identity(3, 5)), wide).derivative, wide, tolerance);
  const MatrixX<Dual<>> plain = as(MatrixX<Dual<>>(), large);
  agree("zeros that stay, but for signs", ad::values(r(as(plain, upper))).cwiseAbs(), r(upper).cwiseAbs(), eps);
  const auto q = [](const auto& m) {
    using M = Same<std::decay_t<decltype(m)>>;
    return M(M(m.householderQr().householderQ()) * m(0, 0));
  };
  const MatrixXd along_upper = direction.triangularView<Eigen::Upper>(), along_lower = direction - along_upper;
  for (const MatrixXd& v : {along_upper, along_lower, direction}) {  // of which only some move the zeros
    agree("Q, value", along(q, upper, v).value, along(q, upper, direction).value, 0);
    if (v == along_upper) continue;  // there plain numbers jump
    const auto slope = [&](double h) {
      return MatrixXd((q(MatrixXd(upper + h * v)) - q(MatrixXd(upper - h * v))) / (2 * h));
    };
    agree("Q, derivative", along(q, upper, v).derivative, (4 * slope(1e-3) - slope(2e-3)) / 3, 1e-9);  // h^4
  }
  agree("Q, sum of directions", along(q, upper, direction).derivative,
        along(q, upper, along_upper).derivative + along(q, upper, along_lower).derivative, tolerance);
  MatrixX<Dual<>> moving = as(plain, MatrixXd::Identity(50, 50));
  for (Eigen::Index i = 0; i < moving.size(); ++i) moving.data()[i].tangent = large.data()[i];
  const MatrixX<Dual<>> inverse = moving.householderQr().solve(as(plain, MatrixXd::Identity(50, 50)));
  agree("I^-1", inverse.unaryExpr([](const Dual<>& x) { return x.tangent; }), -large, tolerance);

  MatrixXd zero = general;
  zero.col(0).setZero();
  BOOST_CHECK_THROW(along(r, zero, direction), std::domain_error);  // no direction to reflect
  const MatrixX<Dual<Dual<>>> constant = MatrixX<Dual<Dual<>>>::Zero(6, 6);
  BOOST_TEST((constant.determinant().vanishes()));  // it may not move
}

BOOST_AUTO_TEST_CASE(plain_right_sides) {
  const auto judge = [](const std::string& what, const auto& solve, const MatrixXd& a) {
    const auto mixed = [&](const auto& m) { return Same<std::decay_t<decltype(m)>>(solve(m, b)); };
    const auto active = [&](const auto& m) { return Same<std::decay_t<decltype(m)>>(solve(m, as(m, b))); };
    agree(what, along(mixed, a, symmetric).derivative, along(active, a, symmetric).derivative, eps);
  };
  judge(
      "L L'", [](const auto& m, const auto& p) { return m.llt().solve(p).eval(); }, definite);
  judge(
      "L D L'", [](const auto& m, const auto& p) { return m.ldlt().solve(p).eval(); }, definite);
  judge(
      "L U", [](const auto& m, const auto& p) { return m.partialPivLu().solve(p).eval(); }, general);
  judge(
      "Q R", [](const auto& m, const auto& p) { return m.householderQr().solve(p).eval(); }, general);
  judge(
      "in a sum", [](const auto& m, const auto& p) { return (m.leftCols(2) + m.llt().solve(p + p) * 2).eval(); },
      definite);
  judge(
      "L U'", [](const auto& m, const auto& p) { return m.partialPivLu().transpose().solve(p).eval(); }, general);
}

BOOST_AUTO_TEST_CASE(against_differences) {
  const auto lu = ad::differences([](const MatrixXd& m) { return lu_solve(m); }, general, direction);
  const auto c = ad::compare("A^-1 b", along(lu_solve, general, direction).derivative, lu);
  BOOST_TEST(c.ok, c.text);
  const auto llt = ad::differences([](const MatrixXd& m) { return factor(m); }, definite, symmetric);
  const auto d = ad::compare("L", along(factor, definite, symmetric).derivative, llt);
  BOOST_TEST(d.ok, d.text);
  BOOST_TEST((lu.error.maxCoeff() < 1e-9 && llt.error.maxCoeff() < 1e-9));
}

BOOST_AUTO_TEST_SUITE_END()
