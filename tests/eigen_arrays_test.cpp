// Every row of the table on Eigen's arrays is the function of one number, element by element.
#include <Eigen/Dense>
#include <boost/test/unit_test.hpp>

#include "ad/eigen.h"
#include "tests/rows.h"

using ad::Dual;
using ad::Tape;
using ad::Var;

namespace {
constexpr double eps = std::numeric_limits<double>::epsilon();
}

BOOST_AUTO_TEST_SUITE(eigen_arrays)

namespace {

/// One row on an array of numbers S, next to the function of one number.
template <class S>
struct ArrayRow {
  using A = Eigen::Array<S, Eigen::Dynamic, 1>;
  const char* name;
  A (*one)(const A& x);
  A (*two)(const A& x, const A& z);
};
template <class S>
std::vector<ArrayRow<S>> array_rows() {
  using A = typename ArrayRow<S>::A;
  using namespace ad;  // NOLINT: beside Eigen's own functions, found by the argument
  return {
#define AD_INFIX(name, symbol, ...) {#name, {}, [](const A& x, const A& z) -> A { return x symbol z; }},
#define AD_PREFIX(name, symbol, ...) {#name, [](const A& x) -> A { return symbol x; }, {}},
#define AD_UNARY(name, ...) {#name, [](const A& x) -> A { return name(x); }, {}},
#define AD_BINARY(name, ...) {#name, {}, [](const A& x, const A& z) -> A { return name(x, z); }},
#define AD_TERNARY(name, ...) {#name, {}, {}},
#include "ad/derivatives.def"
  };
}

template <class S>
void rows_on_arrays(auto make, auto check) {
  const auto arrays = array_rows<S>();
  const auto rows = tests::rows<S>();
  const auto plain = tests::rows<double>();
  BOOST_REQUIRE(arrays.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!arrays[i].one && !arrays[i].two) continue;
    std::mt19937 generator(static_cast<unsigned>(i));
    typename ArrayRow<S>::A x(4), z(4);
    std::vector<S> want;
    for (int k = 0; k < 4; ++k) {
      const auto at = tests::sample(plain[i], generator);
      x[k] = make(at[0]), z[k] = make(at[1]);
      const S operands[2] = {x[k], z[k]};
      want.push_back(rows[i].f(operands));
    }
    const auto y = arrays[i].one ? arrays[i].one(x) : arrays[i].two(x, z);
    BOOST_REQUIRE(y.size() == 4);
    for (int k = 0; k < 4; ++k) check(rows[i].name, y[k], want[static_cast<std::size_t>(k)], x[k], z[k]);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_row_on_arrays_of_double) {
  rows_on_arrays<double>([](double v) { return v; },
                         [](const char* name, double y, double want, double, double) { BOOST_TEST(y == want, name); });
}

BOOST_AUTO_TEST_CASE(every_row_on_arrays_of_dual) {
  int k = 0;
  rows_on_arrays<Dual<>>([&](double v) { return Dual<>(v, ++k % 3 - 1); },
                         [](const char* name, const Dual<>& y, const Dual<>& want, const Dual<>&, const Dual<>&) {
                           BOOST_TEST((y.value == want.value && y.tangent == want.tangent), name);
                         });
}

BOOST_AUTO_TEST_CASE(every_row_on_arrays_of_var) {
  Tape tape;
  rows_on_arrays<Var>([&](double v) { return tape.input(v); },
                      [&](const char* name, const Var& y, const Var& want, const Var& x, const Var& z) {
                        tape.reverse(want);
                        const double dx = tape.adjoint(x), dz = tape.adjoint(z);
                        tape.reverse(y);
                        BOOST_TEST((y.value() == want.value() && tape.adjoint(x) == dx && tape.adjoint(z) == dz), name);
                      });
}

BOOST_AUTO_TEST_CASE(arrays_beside_plain_numbers_and_plain_arrays) {
  Tape tape;
  const Eigen::Array<Var, 2, 1> x = tape.input(Eigen::Array2d(2, 3));
  const Eigen::Array2d d(0.5, 4);
  const auto slopes = [&](const Eigen::Array<Var, 2, 1>& y) {
    tape.reverse(Var(y.sum()));
    return Eigen::Array2d(ad::adjoint(tape, x));
  };
  const auto near = [](const Eigen::Array2d& a, const Eigen::Array2d& b) {
    return ((a - b).abs() <= 4 * eps * b.abs()).all();
  };
  BOOST_TEST(near(slopes(pow(x, 3)), {12, 27}));
  BOOST_TEST(near(slopes(pow(2., x)), {4 * std::numbers::ln2, 8 * std::numbers::ln2}));
  BOOST_TEST(near(slopes(pow(x, d)), {0.5 / std::sqrt(2.), 4 * 27}));
  BOOST_TEST(near(slopes(pow(d, x)), {0.25 * std::log(0.5), 64 * std::log(4.)}));
  BOOST_TEST(near(slopes(max(x, 2.5)), {0, 1}));
  BOOST_TEST(near(slopes(min(3, x)), {1, 0.5}));
  BOOST_TEST(near(slopes(atan2(x, d)), d / (d.square() + Eigen::Array2d(4, 9))));
  BOOST_TEST(near(slopes(tanh(x * 0.5) + x.tanh()),
                  0.5 * (1 - Eigen::Array2d(1, 1.5).tanh().square()) + (1 - Eigen::Array2d(2, 3).tanh().square())));
}

BOOST_AUTO_TEST_SUITE_END()
