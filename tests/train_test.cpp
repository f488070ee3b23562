// Learning while the network runs: the order of a step, when parameters move, what is asked.
#include "rules/train.h"

#include <boost/test/unit_test.hpp>

#include "rules/bptt.h"
#include "rules/e_bptt.h"
#include "rules/rtrl.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::MatrixX, rnn::VectorX;

constexpr double rate = 0.05;

rnn::Network<double> network() { return tests::generic_network(rnn::Activation::tanh, rnn::Loss::softmax_ce); }

/// All parameters after one pass over the sequence.
template <class R>
VectorX<double> trained(const rnn::Sequence<double>& s, rules::Moves moves, const MatrixX<double>& B = {}) {
  auto net = network();
  R rule(net);
  rules::Training<R> training(net, rule, rnn::Descent(rate), B, moves);
  for (Index t = 0; t < s.length(); ++t) training.step(s.x.col(t), s.target.col(t), t + 1 == s.length());
  return flatten(net.parameters);
}

}  // namespace

// Written out: P_t = J P + P~ with the weights of the step, then all five blocks move, then the next step runs.
BOOST_AUTO_TEST_CASE(every_step_forward_then_the_rule_then_the_optimizer) {
  auto net = network();
  const auto s = tests::generic_sequence(net);
  auto& p = net.parameters;
  const Index n = net.n(), d = net.d(), k = d + n + 1;
  VectorX<double> h = net.h_0;
  std::vector<MatrixX<double>> P(static_cast<std::size_t>(d), MatrixX<double>::Zero(d, k));  // [unit]: dh_i/dW
  const MatrixX<double> B = MatrixX<double>::Random(net.m(), d);
  for (Index t = 0; t < s.length(); ++t) {
    const VectorX<double> before = h, u = p.W_rec * h + p.W_in * s.x.col(t) + p.b_rec, f = u.array().tanh();
    h = (1 - net.alpha) * before + net.alpha * f;
    const VectorX<double> phi = net.alpha * (1 - f.array().square()), v = p.W_out * h + p.b_out;
    const VectorX<double> y = v.array().exp() / v.array().exp().sum(), e = y * s.target.col(t).sum() - s.target.col(t);
    VectorX<double> z(k);
    z << before, s.x.col(t), 1;
    auto next = P;
    MatrixX<double> G = MatrixX<double>::Zero(d, k);
    for (Index i = 0; i < d; ++i) {
      auto& to = next[static_cast<std::size_t>(i)];
      to = (1 - net.alpha) * P[static_cast<std::size_t>(i)];
      for (Index j = 0; j < d; ++j) to += phi(i) * p.W_rec(i, j) * P[static_cast<std::size_t>(j)];
      to.row(i) += phi(i) * z.transpose();
      G += B.col(i).dot(e) * to;
    }
    P = next;
    p.W_rec -= rate * G.leftCols(d);
    p.W_in -= rate * G.middleCols(d, n);
    p.b_rec -= rate * G.col(k - 1);
    p.W_out -= rate * e * h.transpose();
    p.b_out -= rate * e;
  }
  BOOST_TEST(tests::relative(trained<rules::Rtrl<double>>(s, rules::Moves::every_step, B), flatten(p)) < 1e-14);
}

BOOST_AUTO_TEST_CASE(once_a_sequence_is_one_step_down_the_gradient) {
  const auto net = network();
  const auto s = tests::generic_sequence(net);
  rules::Bptt<double> bptt(net);
  const VectorX<double> want = flatten(net.parameters) - rate * flatten(rules::learn(bptt, net, s).gradient);
  BOOST_TEST(tests::relative(trained<rules::Bptt<double>>(s, rules::Moves::every_sequence), want) < 1e-14);
  BOOST_TEST(tests::relative(trained<rules::Rtrl<double>>(s, rules::Moves::every_sequence), want) < 1e-13);
  BOOST_TEST(tests::relative(trained<rules::Rtrl<double>>(s, rules::Moves::every_step), want) > 1e-3);
}

// A block's end is not the sequence's: the rule forgets, h goes on. Every sequence begins with a gradient of zero.
BOOST_AUTO_TEST_CASE(a_block_ends_and_h_goes_on) {
  auto net = network();
  const auto s = tests::generic_sequence(net, 8);
  rules::Bptt<double> rule(net);
  rules::Training<rules::Bptt<double>> training(net, rule, rnn::Descent(rate), {}, rules::Moves::every_sequence);
  auto by_hand = network();
  for (Index block = 0; block < 2; ++block) {
    const rnn::Sequence<double> part{s.x.middleCols(4 * block, 4), s.target.middleCols(4 * block, 4)};
    rules::Bptt<double> bptt(by_hand);
    const auto learned = rules::learn(bptt, by_hand, part);
    const VectorX<double> h = rnn::run(by_hand, part).h.col(4);
    for (Index t = 0; t < 4; ++t) {
      const double loss = training.step(part.x.col(t), part.target.col(t), t == 3);
      BOOST_TEST(std::abs(loss - learned.losses(t)) < 1e-13);
    }
    rnn::Optimizer descent = rnn::Descent(rate);
    rnn::step(descent, by_hand.parameters, learned.gradient);
    BOOST_TEST(tests::relative(training.loop().h(), h) < 1e-14);
    by_hand.h_0 = h;
  }
  BOOST_TEST(tests::relative(flatten(net.parameters), flatten(by_hand.parameters)) < 1e-14);
  training.restart();
  BOOST_TEST((training.loop().h() == net.h_0));
}

// Between two releases the recurrent weights rest: what was released is not laid on a second time.
BOOST_AUTO_TEST_CASE(what_is_released_once_moves_the_parameters_once) {
  auto net = network();
  const auto s = tests::generic_sequence(net);
  rnn::Options options;
  options.truncation = 3;
  rules::EBptt<double> rule(net, options);
  rules::Training<rules::EBptt<double>> training(net, rule, rnn::Descent(rate));
  for (Index t = 1; t <= 7; ++t) {
    const auto before = net.parameters;
    training.step(s.x.col(t - 1), s.target.col(t - 1));
    const auto moved = [&](const auto& block) { return (net.parameters.*block != before.*block); };
    using P = rnn::Parameters<double>;
    BOOST_TEST_CONTEXT("t = " << t) {
      BOOST_TEST(moved(&P::W_rec) == (t % 3 == 0));
      BOOST_TEST(moved(&P::W_in) == (t % 3 == 0));
      BOOST_TEST(moved(&P::b_rec) == (t % 3 == 0));
      BOOST_TEST(moved(&P::W_out));
    }
  }
}

/// Writes down what it is told.
struct Told {
  static constexpr rules::Facing facing = rules::Facing::past;
  std::string told = {};
  rules::Gradient<double> nothing = {};
  void reset() { told += 'r'; }
  const rules::Gradient<double>& observe(const rnn::Transition<double>& t) {
    told += t.last ? 'L' : 'o';
    return nothing;
  }
  const rules::Gradient<double>& finish() {
    told += 'f';
    return nothing;
  }
};
// Where parameters move at every step, what a rule keeps for the end moves them at the end.
BOOST_AUTO_TEST_CASE(the_rest_moves_the_parameters_at_the_end) {
  auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared);
  const auto before = net;
  const auto sequence = tests::generic_sequence(net, 1);
  rules::Bptt<double> rule(net), beside(before);
  const auto expected = rules::learn(beside, before, sequence).gradient;
  rules::Training<rules::Bptt<double>> training(net, rule, rnn::Descent(0.5));
  training.step(sequence.x.col(0), sequence.target.col(0), true);
  BOOST_TEST((net.parameters.W_rec - (before.parameters.W_rec - 0.5 * expected.W_rec)).norm() < 1e-15);
  BOOST_TEST(expected.W_rec.norm() > 0.01);
}

BOOST_AUTO_TEST_CASE(a_rule_is_told_of_beginnings_and_ends) {
  auto net = network();
  const auto s = tests::generic_sequence(net);
  Told rule;
  rules::Training<Told> training(net, rule, rnn::Descent(rate));
  for (Index t = 0; t < 5; ++t) training.step(s.x.col(t), s.target.col(t), t == 2);
  training.restart();
  BOOST_TEST(rule.told == "rooLfroor");
}

BOOST_AUTO_TEST_CASE(where_nothing_is_asked_nothing_is_learned) {
  auto net = network();
  const auto s = tests::generic_sequence(net);
  const VectorX<double> start = flatten(net.parameters);
  rules::Rtrl<double> rule(net);
  rules::Training<rules::Rtrl<double>> training(net, rule, rnn::Descent(rate));
  for (Index t = 0; t < 6; ++t) BOOST_TEST(training.step(s.x.col(t), s.target.col(t), false, false) == 0);
  BOOST_TEST((flatten(net.parameters) == start));
  BOOST_TEST(training.step(s.x.col(6), s.target.col(6), true) > 0);  // and P knows the steps before
  rnn::VectorX<double> g = (start - flatten(net.parameters)) / rate;
  const auto only_last = [&](const VectorX<double>& at) {
    auto moved = network();
    moved.parameters = unflatten(moved.parameters, at);
    return rnn::run(moved, s).losses(6);
  };
  BOOST_TEST(tests::relative(g, tests::slopes(only_last, start)) < tests::by_differences);
}
