// The T x T picture: each block against differences of L_t when the parameters move at time s alone.
#include "rnn/credit.h"

#include <boost/test/unit_test.hpp>

#include "rnn/rtrl.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::VectorX;
using Vector = VectorX<double>;

/// L_t when theta_s is used at time s and the network's own parameters at all others.
double loss_at_t(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, Index t, Index s,
                 const Vector& theta_s) {
  const auto other = unflatten(net.parameters, theta_s);
  Vector h = net.h_0;
  for (Index time = 1; time <= t; ++time)
    h = step(net, time == s ? other : net.parameters, h, sequence.x.col(time - 1)).h;
  return rnn::loss_t(net.loss, output(t == s ? other : net.parameters, h), sequence.target.col(t - 1));
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_block_is_what_one_use_of_the_parameters_did_to_one_loss) {
  for (const auto loss : tests::losses) {
    const auto net = tests::generic_network(Activation::tanh, loss);
    const auto sequence = tests::generic_sequence(net, 5);
    const rnn::Credit<double> credit(net, sequence, true);
    for (Index t = 1; t <= 5; ++t)
      for (Index s = 1; s <= 5; ++s) {
        BOOST_TEST_CONTEXT("t = " << t << ", s = " << s) {
          const auto block = credit.block(t, s);
          if (s > t) {
            BOOST_TEST(flatten(block).norm() == 0);  // what comes later changes nothing
            continue;
          }
          const Vector by_slopes = tests::slopes([&](const Vector& at) { return loss_at_t(net, sequence, t, s, at); },
                                                 flatten(net.parameters));
          BOOST_TEST(tests::relative(flatten(block), by_slopes) < tests::by_differences);
          if (s < t)
            BOOST_TEST((block.W_out.norm() == 0 && block.b_out.norm() == 0));  // the readout acts at once, or never
        }
      }
  }
}

BOOST_AUTO_TEST_CASE(rows_are_rtrl_columns_are_bptt_and_all_of_it_is_the_gradient) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const rnn::Credit<double> credit(net, sequence, true);
      const auto past = rnn::rtrl(net, sequence);
      const auto future = rnn::bptt(net, sequence, {.copies = true});
      const auto norms = credit.norms();
      BOOST_TEST(tests::relative(credit.total(), past.gradient) < 1e-13);
      BOOST_TEST(tests::relative(credit.total(), future.gradient) < 1e-13);
      BOOST_TEST(tests::relative(credit.losses(), past.losses) < 1e-14);
      for (Index t = 1; t <= sequence.length(); ++t) {
        const auto i = static_cast<std::size_t>(t - 1);
        BOOST_TEST(tests::relative(credit.row_sum(t), past.per_step[i]) < 1e-13);
        BOOST_TEST(tests::relative(credit.column_sum(t), future.per_step[i]) < 1e-13);
        for (Index s = 1; s <= sequence.length(); ++s) {
          const auto block = credit.block(t, s);
          rnn::for_each_block(
              [&](auto, const auto& norm, const auto& b) {
                BOOST_TEST(std::abs(norm(t - 1, s - 1) - b.norm()) <= 1e-14 * b.norm());
              },
              norms, block);
        }
      }
      // the two ways to add differ step by step
      BOOST_TEST(tests::relative(credit.row_sum(1).W_rec, credit.column_sum(1).W_rec) > 1e-3);
    }
  });
}

BOOST_AUTO_TEST_CASE(blocks_must_be_asked_for) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 3);
  const rnn::Credit<double> credit(net, sequence);
  BOOST_CHECK_THROW(credit.block(2, 1), std::logic_error);
  BOOST_CHECK_THROW(credit.row_sum(0), std::out_of_range);
  BOOST_CHECK_THROW(credit.column_sum(4), std::out_of_range);
  BOOST_CHECK_THROW((rnn::Credit<double>(net, sequence, true).block(1, 4)), std::out_of_range);
  BOOST_TEST(tests::relative(credit.total(), rnn::Credit<double>(net, sequence, true).total()) == 0);
}
