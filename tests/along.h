// The derivative of a matrix function along a direction, in forward mode, by tangents and by adjoints of a tape: all agree.
#pragma once

#include <Eigen/Core>
#include <boost/test/unit_test.hpp>
#include <functional>

#include "ad/check.h"
#include "ad/eigen.h"

namespace tests {

using ad::Dual;
using ad::MatrixX;
using ad::Tape;
using ad::Var;
using Eigen::MatrixXd;

constexpr double eps = std::numeric_limits<double>::epsilon();

inline MatrixXd random(Eigen::Index rows, Eigen::Index cols, unsigned seed) {
  std::srand(seed);
  return MatrixXd::Random(rows, cols);
}

/// d/dt f(A + t V) at t = 0, by forward mode and by both sweeps of a tape, which must agree; and the value.
struct Result {
  MatrixXd value, derivative;
};
inline Result along_both(const std::function<MatrixX<Dual<>>(const MatrixX<Dual<>>&)>& dual,
                         const std::function<MatrixX<Var>(const MatrixX<Var>&)>& var, const MatrixXd& a,
                         const MatrixXd& v) {
  MatrixX<Dual<>> d(a.rows(), a.cols());
  for (Eigen::Index i = 0; i < a.size(); ++i) d.data()[i] = Dual<>(a.data()[i], v.data()[i]);
  const MatrixX<Dual<>> y = dual(d);
  Result r{MatrixXd(y.rows(), y.cols()), MatrixXd(y.rows(), y.cols())};
  MatrixXd value = r.value, forward = r.value, reverse = r.value;

  Tape tape;
  const MatrixX<Var> x = tape.input(a), z = var(x);
  std::vector<std::pair<Var, double>> direction;
  for (Eigen::Index i = 0; i < a.size(); ++i) direction.emplace_back(x.data()[i], v.data()[i]);
  tape.forward(std::span<const std::pair<Var, double>>(direction));
  BOOST_REQUIRE((z.rows() == y.rows() && z.cols() == y.cols()));
  for (Eigen::Index k = 0; k < y.size(); ++k) {
    r.value.data()[k] = y.data()[k].value;
    r.derivative.data()[k] = y.data()[k].tangent;
    const Var& out = z.data()[k];
    value.data()[k] = out.value();
    const bool constant = out.id() == 0;
    forward.data()[k] = constant ? 0 : tape.tangent(out);
    if (!constant) tape.reverse(out);
    reverse.data()[k] = constant ? 0 : ad::adjoint(tape, x).cwiseProduct(v).sum();
  }
  for (const auto& c : {ad::compare("value", value, r.value, 64 * eps),
                        ad::compare("tangents of the tape", forward, r.derivative, 64 * eps),
                        ad::compare("adjoints", reverse, r.derivative, 64 * eps)})
    BOOST_TEST(c.ok, c.text);
  return r;
}
template <class F>
Result along(const F& f, const MatrixXd& a, const MatrixXd& v) {
  return along_both(f, f, a, v);
}

inline void agree(const std::string& name, const MatrixXd& got, const MatrixXd& want, double tolerance) {
  const auto c = ad::compare(name, got, want, tolerance);
  BOOST_TEST(c.ok, c.text);
}

}  // namespace tests
