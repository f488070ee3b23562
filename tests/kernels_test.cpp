// The dense loops under whole vectors: against loops of one line, at every size around the width of a register. This file is
// compiled twice, once with -march=native: how wide a register is depends on that.
#include "ad/kernels.h"

#include <boost/test/unit_test.hpp>
#include <vector>

namespace {

namespace kernels = ad::kernels;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 64, 65, 128, 130, 257, 300};

/// Numbers with two on either side that nobody may touch, at an address that is no multiple of a register.
class Guarded {
  static constexpr double untouched = 12345;
  VectorXd all_;

 public:
  explicit Guarded(const VectorXd& x) : all_(VectorXd::Constant(x.size() + 5, untouched)) { now() = x; }
  double* data() { return all_.data() + 3; }
  Eigen::Map<VectorXd> now() { return {data(), all_.size() - 5}; }
  bool intact() const { return (all_.head(3).array() == untouched).all() && (all_.tail(2).array() == untouched).all(); }
};
/// To rounding: every sum here has at most 300 terms, none above 1.
void is(Guarded& y, const VectorXd& expected) {
  BOOST_TEST(y.intact());
  if (expected.size() > 0) BOOST_TEST((y.now() - expected).lpNorm<Eigen::Infinity>() <= 3e-14);
}

}  // namespace

BOOST_AUTO_TEST_CASE(products_of_a_matrix_and_a_vector) {
  for (const Index rows : sizes)
    for (const Index cols : sizes) BOOST_TEST_CONTEXT(rows << " x " << cols) {
        const MatrixXd A = MatrixXd::Random(rows, cols);
        const VectorXd x = VectorXd::Random(cols), z = VectorXd::Random(rows);
        Guarded y(z), t(x), y_again(z), t_again(x);
        for (Guarded* to : {&y, &y_again})
          kernels::add_product<double>(to->data(), A.data(), rows, cols, x.data(), 0.7);
        is(y, z + 0.7 * (A * x));
        for (Guarded* to : {&t, &t_again})
          kernels::add_transposed_product<double>(to->data(), A.data(), rows, cols, z.data(), 0.7);
        is(t, x + 0.7 * (A.transpose() * z));
        // large ones are read from either end in turn: not a bit may depend on it
        BOOST_TEST((y.now() == y_again.now() && t.now() == t_again.now()));
      }
}

BOOST_AUTO_TEST_CASE(products_of_two_matrices) {
  for (const Index rows : sizes)
    for (const Index depth : {1, 3, 16, 33})
      for (const Index cols : {1, 2, 3, 4, 5, 9}) BOOST_TEST_CONTEXT(rows << " x " << depth << " x " << cols) {
          const MatrixXd A = MatrixXd::Random(rows, depth), X = MatrixXd::Random(depth + 3, cols),
                         Y = MatrixXd::Random(rows, cols);
          const MatrixXd product = 0.7 * (A * X.topRows(depth));
          Guarded set(Y.reshaped()), sum(Y.reshaped());
          kernels::multiply<true, double>(set.data(), A.data(), rows, depth, X.data(), X.rows(), cols, 0.7);
          is(set, product.reshaped());
          kernels::multiply<false, double>(sum.data(), A.data(), rows, depth, X.data(), X.rows(), cols, 0.7);
          is(sum, (Y + product).reshaped());
        }
}

BOOST_AUTO_TEST_CASE(sums_of_outer_products) {
  for (const Index rows : sizes)
    for (const Index cols : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33})
      for (const Index n : {0, 1, 2, 7, 256}) BOOST_TEST_CONTEXT(n << " of " << rows << " x " << cols) {
          const MatrixXd G = MatrixXd::Random(rows, 2 * n + 1), X = MatrixXd::Random(cols, 2 * n + 1),
                         W = MatrixXd::Random(rows, cols);
          MatrixXd expected = W;
          std::vector<kernels::Outer<double>> terms;  // columns from here and there
          for (Index k = 0; k < n; ++k) {
            terms.push_back({&G(0, 2 * k), &X(0, 2 * n - 2 * k)});
            expected += G.col(2 * k) * X.col(2 * n - 2 * k).transpose();
          }
          Guarded sum(W.reshaped());
          kernels::add_outer_products<double>(sum.data(), rows, cols, terms.data(), n);
          is(sum, expected.reshaped());
        }
}

BOOST_AUTO_TEST_CASE(loops_over_one_or_two_vectors) {
  for (Index n = 0; n <= 70; ++n) BOOST_TEST_CONTEXT(n) {
      const VectorXd x = VectorXd::Random(n), z = VectorXd::Random(n), old = VectorXd::Random(n);
      Guarded y(old);
      kernels::set(y.data(), 0.7, x.data(), n);
      is(y, 0.7 * x);
      kernels::add(y.data(), -0.3, z.data(), n);
      is(y, 0.7 * x - 0.3 * z);
      kernels::add_difference(y.data(), 2, z.data(), x.data(), n);
      is(y, 1.7 * z - 1.3 * x);
      kernels::combine(y.data(), n, kernels::Multiple{0.2, x.data()}, kernels::Multiple{0.5, z.data()});
      is(y, 0.2 * x + 0.5 * z);
      BOOST_TEST(std::abs(kernels::sum(x.data(), n) - x.sum()) < 1e-14);
      BOOST_TEST(std::abs(kernels::dot(x.data(), z.data(), n) - x.dot(z)) < 1e-14);
      BOOST_TEST(std::abs(kernels::squared_distance(x.data(), z.data(), n) - (x - z).squaredNorm()) < 1e-13);

      Guarded elsewhere(x);
      BOOST_TEST(kernels::dot(elsewhere.data(), z.data(), n) == kernels::dot(x.data(), z.data(), n));  // to the bit
    }
}

BOOST_AUTO_TEST_CASE(tanh_and_exp_to_about_a_unit_in_the_last_place) {
  for (const Index n : {1, 5, 8, 9, 16, 1000}) {
    const VectorXd x = VectorXd::LinSpaced(n, -23, 22.7);
    Guarded y(x), e(x);
    kernels::tanh(x.data(), y.data(), n);
    kernels::exp(x.data(), 1.5, e.data(), n);
    BOOST_TEST((y.intact() && e.intact()));
    for (Index i = 0; i < n; ++i) {
      BOOST_TEST(std::abs(y.now()(i) - std::tanh(x(i))) <= 4e-16 * std::abs(std::tanh(x(i))));
      BOOST_TEST(std::abs(e.now()(i) - std::exp(x(i) - 1.5)) <= 5e-16 * std::exp(x(i) - 1.5));
    }
  }
}
