// Eigen on numbers with derivatives: products of all kinds, reductions, mixtures with plain numbers.
#include "ad/eigen.h"

#include <Eigen/Dense>
#include <boost/test/unit_test.hpp>

#include "tests/along.h"

using ad::VectorX;
using namespace tests;  // NOLINT

BOOST_AUTO_TEST_SUITE(eigen)

BOOST_AUTO_TEST_CASE(products_of_all_kinds) {
  const MatrixXd a = random(3, 4, 1), v = random(3, 4, 2), c = random(4, 2, 3), w = random(4, 1, 4);
  const double tolerance = 8 * eps;  // sums of four products
  agree("A C", along([&](const auto& x) { return (x * c).eval(); }, a, v).derivative, v * c, tolerance);
  agree("C' A'", along([&](const auto& x) { return (c.transpose() * x.transpose()).eval(); }, a, v).derivative,
        c.transpose() * v.transpose(), tolerance);
  agree("A w", along([&](const auto& x) { return (x * w).eval(); }, a, v).derivative, v * w, tolerance);
  agree("w' A'", along([&](const auto& x) { return (w.transpose() * x.transpose()).eval(); }, a, v).derivative,
        w.transpose() * v.transpose(), tolerance);
  agree("A A'", along([&](const auto& x) { return (x * x.transpose()).eval(); }, a, v).derivative,
        v * a.transpose() + a * v.transpose(), tolerance);
  agree("a block", along([&](const auto& x) { return (x.block(0, 1, 2, 3) * c.topRows(3)).eval(); }, a, v).derivative,
        v.block(0, 1, 2, 3) * c.topRows(3), tolerance);
  agree("a column", along([&](const auto& x) { return (x.leftCols(3) * x.col(3)).eval(); }, a, v).derivative,
        v.leftCols(3) * a.col(3) + a.leftCols(3) * v.col(3), tolerance);
  agree("3 A C - 2 A C", along([&](const auto& x) { return (3. * x * c - 2 * (x * c)).eval(); }, a, v).derivative,
        v * c, 5 * tolerance);
  agree("lazy", along([&](const auto& x) { return x.lazyProduct(c).eval(); }, a, v).derivative, v * c, tolerance);
  agree("dot",
        along(
            [&](const auto& x) {
              return MatrixX<typename std::decay_t<decltype(x)>::Scalar>::Constant(1, 1, x.row(0).dot(w.col(0)));
            },
            a, v)
            .derivative,
        v.row(0) * w, tolerance);
  agree("outer", along([&](const auto& x) { return (x.col(0) * w.transpose()).eval(); }, a, v).derivative,
        v.col(0) * w.transpose(), tolerance);
  agree("A diag", along([&](const auto& x) { return (x * w.col(0).asDiagonal()).eval(); }, a, v).derivative,
        v * w.col(0).asDiagonal(), tolerance);
}

BOOST_AUTO_TEST_CASE(products_into_what_is_there) {
  const MatrixXd a = random(3, 4, 1), v = random(3, 4, 2), c = random(4, 2, 3);
  const auto into = [&](auto how) {
    return along(
               [&](const auto& x) {
                 using S = typename std::decay_t<decltype(x)>::Scalar;
                 MatrixX<S> y = MatrixX<S>::Constant(3, 2, S(1));
                 how(y, x);
                 return y;
               },
               a, v)
        .derivative;
  };
  agree("=", into([&](auto& y, const auto& x) { y.noalias() = x * c; }), v * c, 8 * eps);
  agree("+=", into([&](auto& y, const auto& x) { y += x * c; }), v * c, 8 * eps);
  agree("-=", into([&](auto& y, const auto& x) { y -= x * c; }), -v * c, 8 * eps);
  agree("+= noalias", into([&](auto& y, const auto& x) { y.noalias() += x * c; }), v * c, 8 * eps);
  agree("+= 2", into([&](auto& y, const auto& x) { y.noalias() += 2. * x * c; }), 2 * v * c, 8 * eps);
  agree("column by column", into([&](auto& y, const auto& x) {
          for (int j = 0; j < 2; ++j) y.col(j).noalias() -= x * c.col(j);
        }),
        -v * c, 8 * eps);
  agree("the same matrix on both sides", into([&](auto& y, const auto& x) {
          y = x * c;
          y = y * c.topRows(2);
        }),
        v * c * c.topRows(2), 16 * eps);
}

BOOST_AUTO_TEST_CASE(a_product_records_one_entry_for_each_multiplication) {
  Tape tape;
  const MatrixX<Var> w = tape.input(random(3, 4, 1), "W"), h = tape.input(random(4, 2, 2));
  const MatrixXd c = random(4, 2, 3);
  ad::Id before = tape.length();
  const auto made = [&] { return tape.length() - std::exchange(before, tape.length()); };
  const MatrixX<Var> y = w * h;
  BOOST_TEST(made() == 3 * 4 * 2u);
  const MatrixX<Var> z = w * c;  // plain numbers are not recorded
  BOOST_TEST(made() <= 2 * 3 * 4 * 2u);
  const VectorX<Var> u = w * h.col(0);
  BOOST_TEST(made() == 3 * 4u);
  BOOST_TEST(tape.name_of(w(2, 1).id()) == "W[2,1]");
  BOOST_TEST((tape.entry_of(y(0, 0).id()).op == ad::Op::fma));
}

BOOST_AUTO_TEST_CASE(fixed_sizes_empty_and_one_element_matrices) {
  Tape tape;
  Eigen::Matrix<Var, 2, 3> a = tape.input(Eigen::Matrix<double, 2, 3>::Ones().eval());
  Eigen::Matrix<Var, 3, 1> x = tape.input(Eigen::Vector3d(1, 2, 3));
  const Eigen::Matrix<Var, 2, 1> y = a * x;
  tape.reverse(Var(y.sum()));
  BOOST_TEST((ad::adjoint(tape, a) == Eigen::Vector2d::Ones() * Eigen::RowVector3d(1, 2, 3)));
  BOOST_TEST((ad::adjoint(tape, x) == Eigen::Vector3d(2, 2, 2)));
  const MatrixX<Var> none(0, 3), also(3, 0);
  BOOST_TEST((MatrixX<Var>(none * also).size() == 0 && MatrixX<Var>(also * none).rows() == 3));
  BOOST_TEST(MatrixX<Var>(also * none)(2, 2).value() == 0);  // a sum of nothing
  MatrixX<Var> one = tape.input(MatrixXd::Constant(1, 1, 3.));
  const MatrixX<Var> square = one * one;
  tape.reverse(square(0, 0));
  BOOST_TEST(tape.adjoint(one(0, 0)) == 6);
}

BOOST_AUTO_TEST_CASE(reductions_and_norms) {
  const MatrixXd a = random(3, 4, 5), v = random(3, 4, 6);
  const auto one = [&](auto f) {
    return along(
               [&](const auto& x) {
                 using S = typename std::decay_t<decltype(x)>::Scalar;
                 return MatrixX<S>(MatrixX<S>::Constant(1, 1, S(f(x))));
               },
               a, v)
        .derivative(0, 0);
  };
  const auto near = [](double got, double want) {
    return std::abs(got - want) <= 32 * eps * std::max(1., std::abs(want));
  };
  BOOST_TEST(near(one([](const auto& x) { return x.sum(); }), v.sum()));
  BOOST_TEST(near(one([](const auto& x) { return x.mean(); }), v.mean()));
  BOOST_TEST(near(one([](const auto& x) { return x.squaredNorm(); }), 2 * a.cwiseProduct(v).sum()));
  BOOST_TEST(near(one([](const auto& x) { return x.norm(); }), a.cwiseProduct(v).sum() / a.norm()));
  BOOST_TEST(near(one([](const auto& x) { return x.trace(); }), v.trace()));
  BOOST_TEST(near(one([](const auto& x) { return x.leftCols(2).colwise().sum().prod(); }),
                  a.col(0).sum() * v.col(1).sum() + v.col(0).sum() * a.col(1).sum()));
  Eigen::Index i, j;
  a.maxCoeff(&i, &j);
  BOOST_TEST(one([](const auto& x) { return x.maxCoeff(); }) == v(i, j));
  BOOST_TEST(near(one([](const auto& x) { return x.cwiseAbs().sum(); }), a.cwiseSign().cwiseProduct(v).sum()));
  BOOST_TEST(near(one([](const auto& x) { return x.array().tanh().sum(); }),
                  ((1 - a.array().tanh().square()) * v.array()).sum()));
  BOOST_TEST(near(one([](const auto& x) { return x.array().square().cube().exp().sum(); }),
                  (a.array().pow(6).exp() * 6 * a.array().pow(5) * v.array()).sum()));
}

BOOST_AUTO_TEST_CASE(mixtures_of_double_and_active_and_of_inner_and_outer) {
  const MatrixXd a = random(2, 2, 7), v = random(2, 2, 8), c = random(2, 2, 9);
  agree("sum", along([&](const auto& x) { return (x + c).eval(); }, a, v).derivative, v, 0);
  agree("difference", along([&](const auto& x) { return (c - x).eval(); }, a, v).derivative, -v, 0);
  agree("scaled", along([&](const auto& x) { return (2. * x - x / 4 + x * 0.5).eval(); }, a, v).derivative, 2.25 * v,
        4 * eps);
  agree("elementwise", along([&](const auto& x) { return x.cwiseProduct(c).eval(); }, a, v).derivative,
        v.cwiseProduct(c), eps);
  agree("array",
        along([&](const auto& x) { return (x.array() * c.array() + 1. - c.array() / x.array()).matrix().eval(); }, a, v)
            .derivative,
        (v.array() * c.array() + c.array() / a.array().square() * v.array()).matrix(), 16 * eps);
  agree("comma",
        along(
            [&](const auto& x) {
              using S = typename std::decay_t<decltype(x)>::Scalar;
              MatrixX<S> y(2, 4);
              y << x, ad::cast<S>(c);
              return y;
            },
            a, v)
            .derivative,
        (MatrixXd(2, 4) << v, MatrixXd::Zero(2, 2)).finished(), 0);

  MatrixX<Dual<Dual<>>> n(2, 2);  // an outer matrix times an inner one
  MatrixX<Dual<>> d(2, 2);
  for (int i = 0; i < 4; ++i) {
    d.data()[i] = Dual<>(c.data()[i], v.data()[i]);
    n.data()[i] = Dual<Dual<>>(Dual<>(a.data()[i]), Dual<>(v.data()[i]));
  }
  const MatrixX<Dual<Dual<>>> p = n * d, q = d * n + d;
  const MatrixXd vv = v * v;
  for (int i = 0; i < 4; ++i) {
    BOOST_TEST(std::abs(p.data()[i].tangent.tangent - vv.data()[i]) <= 4 * eps);
    BOOST_TEST(std::abs(q.data()[i].tangent.tangent - vv.data()[i]) <= 4 * eps);
  }
}

BOOST_AUTO_TEST_CASE(detach_cast_and_values_of_matrices) {
  Tape tape;
  const MatrixX<Var> x = tape.input(random(2, 2, 1));
  const Var y = (ad::detach(x) * x).sum();
  tape.reverse(y);
  BOOST_TEST((ad::adjoint(tape, x) - random(2, 2, 1).transpose() * MatrixXd::Ones(2, 2)).norm() <= 4 * eps);
  BOOST_TEST((ad::values(x) == random(2, 2, 1)));
  const MatrixX<Var> constants = ad::cast<Var>(random(2, 2, 1));
  BOOST_TEST(constants(0, 0).id() == 0u);
  const Eigen::Array<Var, 2, 1> array = tape.input(Eigen::Array2d(1, 2), "b");
  BOOST_TEST(tape.name_of(array[1].id()) == "b[1]");
}

BOOST_AUTO_TEST_SUITE_END()
