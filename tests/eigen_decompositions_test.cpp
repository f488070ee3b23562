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

/// A plain matrix in the numbers of m: Eigen solves only where both sides have the same.
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
