// The hybrid of BPTT and RTRL: exact for every length of block, released at the blocks' ends.
#include "rules/hybrid.h"

#include <boost/test/unit_test.hpp>

#include "rnn/bptt.h"
#include "rnn/rtrl.h"
#include "tests/networks.h"

using Eigen::Index;
constexpr double tolerance = 1e-13;  // sums of 11 steps

BOOST_AUTO_TEST_CASE(it_is_the_tape_for_every_block_and_releases_rtrls_steps_block_by_block) {
  for (const auto activation : {rnn::Activation::tanh, rnn::Activation::softplus}) {
    const auto net = tests::generic_network(activation, rnn::Loss::softmax_ce);
    const Index length = 11;  // prime: no block but 1 and 11 divides it
    const auto sequence = tests::generic_sequence(net, length);
    const auto tape = rnn::bptt(net, sequence);
    const auto forward = rnn::rtrl(net, sequence);
    rnn::Rtrl<double> stepwise(net);
    for (Index t = 0; t < length; ++t) stepwise.advance(sequence.x.col(t), sequence.target.col(t));
    for (const Index block : {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 100}) {
      BOOST_TEST_CONTEXT("block = " << block) {
        rnn::Options options;
        options.block = block;
        rules::Hybrid<double> rule(net, options);
        for (int twice = 0; twice < 2; ++twice) {  // a rule begins anew with each sequence
          const auto parts = rules::learn(rule, net, sequence, true);
          BOOST_TEST(tests::relative(parts.gradient, tape.gradient) < tolerance);
          BOOST_TEST(tests::relative(rule.P(), stepwise.P()) < tolerance);
          const Index h = block == 0 ? net.d() : block;
          auto sum = zeros_like(net.parameters);  // what RTRL has released since the last block
          for (Index t = 1; t <= length; ++t) {
            const auto& got = parts.per_step[static_cast<std::size_t>(t - 1)];
            sum += forward.per_step[static_cast<std::size_t>(t - 1)];
            if (t % h == 0 || t == length) {
              BOOST_TEST(tests::relative(got.W_rec, sum.W_rec) < tolerance);
              BOOST_TEST(tests::relative(got.W_in, sum.W_in) < tolerance);
              BOOST_TEST(tests::relative(got.b_rec, sum.b_rec) < tolerance);
              sum = zeros_like(net.parameters);
            } else {
              BOOST_TEST((got.W_rec.isZero(0) && got.W_in.isZero(0) && got.b_rec.isZero(0)));
            }
          }
        }
      }
    }
  }
}

// A sequence that is left in the middle of a block leaves nothing behind.
BOOST_AUTO_TEST_CASE(a_reset_forgets_half_a_block) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared);
  const auto sequence = tests::generic_sequence(net, 7);
  rnn::Options options;
  options.block = 3;
  rules::Hybrid<double> rule(net, options);
  rules::Loop<double> loop(net);
  for (Index t = 0; t < 4; ++t) loop.advance(rule, sequence.x.col(t), sequence.target.col(t), false);
  BOOST_TEST(tests::relative(rules::learn(rule, net, sequence).gradient, rnn::bptt(net, sequence).gradient) <
             tolerance);
}

BOOST_AUTO_TEST_CASE(a_negative_block_is_refused) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared);
  rnn::Options options;
  options.block = -1;
  BOOST_CHECK_THROW(rules::Hybrid<double>(net, options), std::invalid_argument);
}
