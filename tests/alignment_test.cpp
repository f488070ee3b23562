// The cosine of two gradients, also of those that are very small, very large, or no numbers.
#include "rnn/alignment.h"

#include <boost/test/unit_test.hpp>

using Eigen::Vector3d;

BOOST_AUTO_TEST_CASE(a_cosine_is_that_of_the_directions) {
  const Vector3d a(1, -2, 3), b(2, 2, 1), zero = Vector3d::Zero();
  constexpr double eps = std::numeric_limits<double>::epsilon(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const double s : {1., 1e-170, 1e-300, 1e170, 1e300})
    for (const double t : {1., 1e-170, 1e300}) {
      BOOST_TEST(std::abs(rnn::cosine(s * a, -t * a) + 1) <= 4 * eps);
      BOOST_TEST(std::abs(rnn::cosine(s * a, t * b) - 1 / std::sqrt(14. * 9.)) <= 4 * eps);
    }
  BOOST_TEST((rnn::cosine(zero, zero) == 1 && rnn::cosine(zero, a) == 0 && rnn::cosine(a, zero) == 0));
  BOOST_TEST(rnn::cosine(Eigen::MatrixXd(0, 2), Eigen::MatrixXd(0, 2)) == 1);
  for (const Vector3d& c : {a, zero, Vector3d(nan, 0, 0)}) {
    const Vector3d bad(1, nan, 0);
    BOOST_TEST((std::isnan(rnn::cosine(bad, c)) && std::isnan(rnn::cosine(c, bad))));
  }
}
