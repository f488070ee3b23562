// Every rule derived, as an edit of forward or reverse mode, against the same rule written by hand.
#include "rnn/surgery.h"

#include <boost/test/unit_test.hpp>

#include "rnn/bptt.h"
#include "rules/registry.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Edit, rnn::Loss, rnn::MatrixX, rnn::VectorX;

double worst(const std::vector<rnn::Parameters<double>>& got, const std::vector<rnn::Parameters<double>>& expected) {
  if (got.size() != expected.size()) return INFINITY;
  double scale = 0, difference = 0;
  for (std::size_t t = 0; t < got.size(); ++t) {
    scale = std::max(scale, flatten(expected[t]).cwiseAbs().maxCoeff());
    difference = std::max(difference, (flatten(got[t]) - flatten(expected[t])).cwiseAbs().maxCoeff());
  }
  return difference / scale;
}

}  // namespace

BOOST_AUTO_TEST_CASE(unedited_it_is_the_tape) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const auto tape = rnn::bptt(net, sequence, {.copies = true});
      for (const char* id : {"bptt", "rtrl", "double-sum", "hybrid"}) {
        const auto r = rnn::derived(id, net, sequence, {.block = 3});
        BOOST_TEST(std::abs(r.loss - tape.loss) < 1e-13 * std::abs(tape.loss));
        BOOST_TEST(tests::relative(r.losses, tape.losses) < 1e-13);
        BOOST_TEST(tests::relative(r.gradient, tape.gradient) < 1e-12);
      }
      BOOST_TEST(worst(rnn::derived("bptt", net, sequence).per_step, tape.per_step) < 1e-12);
    }
  });
}

BOOST_AUTO_TEST_CASE(by_hand_is_derived) {
  for (const auto activation : {Activation::tanh, Activation::softplus})
    for (const auto& facts : rules::registry) {
      const auto net = tests::generic_network(activation, Loss::softmax_ce);
      const auto sequence = tests::generic_sequence(net, 11);
      rnn::Options options;
      options.truncation = 4, options.block = 4;
      BOOST_TEST_CONTEXT(facts.id) {
        const auto rule = rules::make_rule(facts.id, net, options);
        const auto by_hand = rules::learn(*rule, net, sequence, true);
        const auto by_edit = rnn::derived(facts.id, net, sequence, options);
        BOOST_TEST(tests::relative(by_hand.gradient, by_edit.gradient) < 1e-12);
        BOOST_TEST(worst(by_hand.per_step, by_edit.per_step) < 1e-12);
      }
    }
}
