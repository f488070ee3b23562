// Optimizers against their equations, worked out by hand for one number.
#include "rnn/optimizer.h"

#include <boost/test/unit_test.hpp>

#include "tests/networks.h"

namespace {

rnn::Parameters<double> filled(double value) {
  auto theta = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared).parameters;
  rnn::for_each_block([&](auto, auto& b) { b.setConstant(value); }, theta);
  return theta;
}

/// Every parameter after the steps with these gradients, from 1; all must be the same.
double after(rnn::Optimizer optimizer, std::initializer_list<double> gradients) {
  auto theta = filled(1);
  for (const double g : gradients) rnn::step(optimizer, theta, filled(g));
  const rnn::VectorX<double> all = flatten(theta);
  BOOST_TEST((all.array() == all(0)).all());
  return all(0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(descent_goes_against_the_gradient) {
  BOOST_TEST(std::abs(after(rnn::Descent(0.1), {2}) - 0.8) < 1e-15);
  BOOST_TEST(std::abs(after(rnn::Descent(0.1), {2, -3, 0}) - 1.1) < 1e-15);
}

// v = 2; 0.5 * 2 - 3 = -2; 0.5 * -2 + 0 = -1
BOOST_AUTO_TEST_CASE(momentum_keeps_a_part_of_its_speed) {
  BOOST_TEST(std::abs(after(rnn::Momentum(0.1, 0.5), {2, -3, 0}) - (1 - 0.2 + 0.2 + 0.1)) < 1e-15);
  BOOST_TEST(std::abs(after(rnn::Momentum(0.1), {1, 1}) - (1 - 0.1 - 0.19)) < 1e-15);  // mu = 0.9
}

// t = 1: m = 0.2, s = 0.004; corrected 2 and 4: moves rate * 2 / 2. t = 2: m = 0.18 - 0.1 = 0.08, s = 0.003996 + 0.001;
// corrected 0.08 / 0.19 and 0.004996 / 0.001999.
BOOST_AUTO_TEST_CASE(adam_divides_by_the_corrected_root_mean_square) {
  BOOST_TEST(std::abs(after(rnn::Adam(0.01), {2}) - (1 - 0.01 * 2 / (2 + 1e-8))) < 1e-15);
  const double second = 0.01 * (0.08 / 0.19) / (std::sqrt(0.004996 / 0.001999) + 1e-8);
  BOOST_TEST(std::abs(after(rnn::Adam(0.01), {2, -1}) - (1 - 0.01 * 2 / (2 + 1e-8) - second)) < 1e-14);
  BOOST_TEST(after(rnn::Adam(0.01), {0, 0}) == 1);  // nothing divided by nothing
}

BOOST_AUTO_TEST_CASE(optimizers_come_by_name) {
  BOOST_TEST(after(rnn::make_optimizer("sgd", 0.1), {2, 1}) == after(rnn::Descent(0.1), {2, 1}));
  BOOST_TEST(after(rnn::make_optimizer("momentum", 0.1), {2, 1}) == after(rnn::Momentum(0.1), {2, 1}));
  BOOST_TEST(after(rnn::make_optimizer("adam", 0.1), {2, 1}) == after(rnn::Adam(0.1), {2, 1}));
  BOOST_CHECK_EXCEPTION(rnn::make_optimizer("adma", 0.1), std::invalid_argument, [](const std::exception& e) {
    return std::string(e.what()).find("adma") != std::string::npos;
  });
  BOOST_CHECK_THROW(rnn::make_optimizer("sgd", 0), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::make_optimizer("sgd", std::nan("")), std::invalid_argument);
}
