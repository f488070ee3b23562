// Every rule derived, as an edit of forward or reverse mode, is the rule written by hand, step by step, to rounding.
#include "rnn/surgery.h"

#include <boost/test/unit_test.hpp>
#include <set>

#include "rnn/bptt.h"
#include "rules/registry.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::Options;
using Network = rnn::Network<double>;
using Sequence = rnn::Sequence<double>;

constexpr Index n = 3, d = 5, m = 2, length = 11;

/// The largest difference between parts over the largest part: some parts are themselves small differences.
double relative(const std::vector<rnn::Parameters<double>>& got, const std::vector<rnn::Parameters<double>>& expected) {
  MatrixX<double> a(size(expected[0]), length), b = a;
  for (Index t = 0; t < length; ++t) {
    a.col(t) = flatten(got.at(static_cast<std::size_t>(t)));
    b.col(t) = flatten(expected.at(static_cast<std::size_t>(t)));
  }
  return tests::relative(a, b);
}

/// W_rec as a ring with a few connections more: masks of 1, 2 and 3 steps all differ.
Network sparse(Network net) {
  for (Index i = 0; i < d; ++i)
    for (Index j = 0; j < d; ++j)
      if (i != (j + 1) % d && i + j != d - 1) net.parameters.W_rec(i, j) = 0;
  return net;
}

/// Options where every number matters, and those that change what a rule does.
struct Case {
  std::string_view id;
  std::string what;
  Options options;
};
std::vector<Case> cases() {
  rnn::Random random(21);
  Options o;
  o.truncation = 4, o.block = 4, o.refresh = 3, o.draws = rnn::Draws(5);
  std::vector<Case> all;
  for (const auto& row : rnn::edits) {
    all.push_back({row.id, "", o});
    Case with_feedback{row.id, "random feedback", o};
    with_feedback.options.feedback = random.normal(m, d);
    all.push_back(with_feedback);
  }
  const auto add = [&](std::string_view id, const char* what, auto&& change) {
    all.push_back({id, what, o});
    change(all.back().options);
  };
  for (const Index steps : {1, 7, 11, 40})
    for (const char* id : {"e-bptt", "f-bptt", "hybrid"})
      add(id, "blocks of other lengths", [&](Options& p) { p.truncation = p.block = steps; });
  for (const Index steps : {2, 3, 9}) add("snap", "n", [&](Options& p) { p.n = steps; });
  add("e-prop", "leaky readout", [](Options& p) { p.lambda = 0.6; });
  for (const char* id : {"rflo", "e-prop"})
    add(id, "started", [&](Options& p) { p.state["E"] = random.normal(d, d + n + 1); });
  for (const char* id : {"uoro", "kf-rtrl", "r-kf-rtrl"})
    add(id, "started", [&](Options& p) {
      const bool kf = id == std::string_view("kf-rtrl");
      p.state = {{"A", random.normal(kf ? d + n + 1 : d, 1)}, {"B", random.normal(d, kf ? d : d + n + 1)}};
    });
  for (const char* id : {"dni", "dni-b"})
    add(id, "started, learning fast", [&](Options& p) {
      p.lr = 0.05, p.J_lr = 0.1;
      p.state = {{"Theta", random.normal(d, d + m + 1)}, {"Thetabar", random.normal(d, d + m + 1)}};
      if (id == std::string_view("dni-b")) p.state["Jt"] = random.normal(d, d);
    });
  for (const double lambda : {0.0, 0.7, 1.0})
    for (const bool at_end : {false, true})
      add("bp-lambda", "started", [&](Options& p) {
        p.lr = 0.05, p.gamma = 0.9, p.lambda = lambda, p.sg_factor = 0.4, p.learn_at_end = at_end;
        p.state["Theta"] = random.normal(d, d + 1);
      });
  for (const bool signs : {false, true})
    add("forward-gradient", "three directions", [&](Options& p) { p.samples = 3, p.signs = signs; });
  add("kernl", "kernel given, not learned", [&](Options& p) {
    p.feedback = random.normal(m, d);
    p.lr = 0, p.state = {{"A", random.normal(d, d)}, {"gamma", 0.5 * MatrixX<double>::Ones(d, 1)}};
    p.state["E"] = random.normal(d, d + n + 1);
  });
  return all;
}

rules::Learned<double> by_hand(const Case& c, const Network& net, const Sequence& sequence) {
  const auto rule = rules::make_rule(c.id, net, c.options);
  BOOST_REQUIRE(rule);
  return rules::learn(*rule, net, sequence, true, c.options.feedback);
}

/// Rules that work with finite noise; derived, the noise is infinitely small.
bool is_a_limit(const Case& c) {
  return c.id == "weight-perturbation" || c.id == "node-perturbation" || c.id == "activity-perturbation" ||
         (c.id == "kernl" && c.options.lr != 0.0);
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_rule_is_derived_and_every_edit_is_a_rule) {
  std::set<std::string_view> rules_there, edits_there;
  for (const auto& facts : rules::registry) rules_there.insert(facts.id);
  for (const auto& row : rnn::edits) {
    BOOST_TEST(edits_there.insert(row.id).second);
    BOOST_TEST(!row.what.empty());
  }
  BOOST_TEST(rules_there == edits_there, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(unedited_it_is_the_tape) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const auto tape = rnn::bptt(net, sequence, {.copies = true});
      for (const char* id : {"bptt", "rtrl", "double-sum", "hybrid"}) {
        const auto r = rnn::derived(id, net, sequence, {.block = 3});
        BOOST_TEST(std::abs(r.loss - tape.loss) < 1e-13 * std::abs(tape.loss));
        BOOST_TEST(tests::relative(r.losses, tape.losses) < 1e-12);
        BOOST_TEST(tests::relative(r.gradient, tape.gradient) < 1e-12);
      }
    }
  });
}

// The project's claim. Each number is a sum of some hundred products: 1e-12 leaves rounding a hundredfold room.
BOOST_AUTO_TEST_CASE(by_hand_is_derived) {
  const auto dense = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto other = sparse(tests::generic_network(Activation::softplus, Loss::squared));
  for (const auto& net : {dense, other}) {
    const auto sequence = tests::generic_sequence(net, length);
    for (const Case& c : cases()) {
      if (is_a_limit(c)) continue;
      BOOST_TEST_CONTEXT(c.id << ' ' << c.what) {
        const auto hand = by_hand(c, net, sequence);
        const auto edit = rnn::derived(c.id, net, sequence, c.options);
        BOOST_TEST(std::abs(hand.loss - edit.loss) < 1e-13 * std::abs(edit.loss));
        BOOST_TEST(tests::relative(hand.losses, edit.losses) < 1e-12);
        BOOST_TEST(tests::relative(hand.gradient, edit.gradient) < 1e-12);
        BOOST_TEST(relative(hand.per_step, edit.per_step) < 1e-12);
      }
    }
  }
}

/// How far by hand is from derived at this sigma.
double distance(Case c, double sigma, const Network& net, const Sequence& sequence) {
  c.options.sigma = sigma;
  if (c.id == "kernl") c.options.lr = 0.05 / (sigma * sigma);  // what is learned is lr times noise times noise
  return relative(by_hand(c, net, sequence).per_step, rnn::derived(c.id, net, sequence, c.options).per_step);
}

// With a noise and its opposite, everything even in sigma goes: a tenth of the noise, a hundredth of the difference.
BOOST_AUTO_TEST_CASE(perturbation_becomes_a_tangent_as_sigma_squared) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net, length);
  for (const char* id : {"weight-perturbation", "node-perturbation", "activity-perturbation"})
    for (const bool outputs : {false, true})
      for (const std::optional<double> lambda : {std::optional<double>{}, std::optional<double>{0.7}}) {
        Case c{id, "", {}};
        c.options.draws = rnn::Draws(5), c.options.samples = 2, c.options.antithetic = true;
        c.options.perturb_outputs = outputs, c.options.lambda = lambda;
        BOOST_TEST_CONTEXT(id << ", outputs " << outputs << ", lambda " << lambda.value_or(-1)) {
          const double large = distance(c, 1e-2, net, sequence), small = distance(c, 1e-3, net, sequence);
          BOOST_TEST(small < 1e-4);
          BOOST_TEST(large / small > 90);
          BOOST_TEST(large / small < 110);
        }
      }
}

// KeRNL compares a copy that feels noise of size sigma with the network: their difference becomes a tangent as sigma.
BOOST_AUTO_TEST_CASE(kernl_learns_from_a_tangent_as_sigma_vanishes) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, length);
  for (const auto timing : {rnn::Timing::reference, rnn::Timing::aligned}) {
    Case c{"kernl", "", {}};
    c.options.draws = rnn::Draws(5), c.options.timing = timing;
    const double large = distance(c, 1e-4, net, sequence), small = distance(c, 1e-5, net, sequence);
    BOOST_TEST(small < 1e-4);
    BOOST_TEST(large / small > 9);
    BOOST_TEST(large / small < 11);
    const auto learned = [&](double lr) {  // and it does learn: without learning the gradient is another
      Options o = c.options;
      o.sigma = 1e-4, o.lr = lr;
      return rnn::derived("kernl", net, sequence, o).gradient;
    };
    BOOST_TEST(tests::relative(learned(5e6), learned(0)) > 1e-3);
  }
}

// More steps than tapes are kept: a step is recorded again when it is asked for.
BOOST_AUTO_TEST_CASE(long_sequences_are_recorded_again) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared, 1, n, 20, m);
  const auto sequence = tests::generic_sequence(net, 1200);
  BOOST_TEST(rnn::EditedSteps::most / (20 * 24) < sequence.length());
  BOOST_TEST(tests::relative(rnn::derived("bptt", net, sequence).gradient, rnn::bptt(net, sequence).gradient) < 1e-11);
  Options o;
  o.truncation = 4, o.draws = rnn::Draws(5);
  for (const char* id : {"f-bptt", "uoro"}) {
    const auto rule = rules::make_rule(id, net, o);
    BOOST_TEST(tests::relative(rnn::derived(id, net, sequence, o).gradient,
                               rules::learn(*rule, net, sequence).gradient) < 1e-10);
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_there_is_refused) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  BOOST_CHECK_EXCEPTION(rnn::derived("rlfo", net, sequence), std::invalid_argument, [](const std::exception& e) {
    const std::string text = e.what();
    return text.find("rlfo") != std::string::npos && text.find("rflo") != std::string::npos;
  });
  BOOST_CHECK_THROW(rnn::derived("bptt", net, sequence, {.feedback = MatrixX<double>::Ones(d, m)}),
                    std::invalid_argument);
  BOOST_CHECK_THROW(rnn::derived("e-bptt", net, sequence, {.truncation = 0}), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::derived("f-bptt", net, sequence, {.truncation = -2}), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::derived("hybrid", net, sequence, {.block = -2}), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::derived("snap", net, sequence, {.n = 0}), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::derived("dni", net, sequence, {.refresh = 0}), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::derived("node-perturbation", net, sequence, {.samples = 0}), std::invalid_argument);
  auto wrong = sequence;
  wrong.target.conservativeResize(3, Eigen::NoChange);
  BOOST_CHECK_THROW(rnn::derived("rtrl", net, wrong), std::invalid_argument);
}
