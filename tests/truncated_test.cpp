// E-BPTT and F-BPTT as what they keep of the double sum: triangles and a band, tails included.
#include <boost/test/unit_test.hpp>

#include "rnn/credit.h"
#include "rules/e_bptt.h"
#include "rules/f_bptt.h"
#include "rules/readout.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Parameters;

constexpr double tolerance = 1e-13;  // sums of 7 steps, in another order
constexpr Index length = 7;

rnn::Options truncated(Index steps) { return {.truncation = steps}; }

/// The sum of the blocks (t, s) that are kept: kept(t, s). The readout is no rule's business.
template <class F>
Parameters<double> sum(const rnn::Credit<double>& credit, F&& kept) {
  Parameters<double> total = zeros_like(credit.total());
  for (Index t = 1; t <= credit.length(); ++t)
    for (Index s = 1; s <= t; ++s)
      if (kept(t, s)) total += credit.block(t, s);
  total.W_out.setZero(), total.b_out.setZero();
  return total;
}
Parameters<double> recurrent(Parameters<double> p) {
  p.W_out.setZero(), p.b_out.setZero();
  return p;
}
Parameters<double> recurrent(const rules::Gradient<double>& g, const Parameters<double>& like) {
  Parameters<double> p = zeros_like(like);
  rules::add(g, p);
  return p;
}

/// f("E-BPTT", make), f("F-BPTT", make): make(network, options) is the rule.
template <class F>
void for_both(F&& f) {
  f("E-BPTT", [](const auto& net, const rnn::Options& options) { return rules::EBptt<double>(net, options); });
  f("F-BPTT", [](const auto& net, const rnn::Options& options) { return rules::FBptt<double>(net, options); });
}

/// f(network, sequence, its credit): every activation, every loss.
template <class F>
void for_each_credit(F&& f) {
  tests::for_each_kind([&](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) f(net, sequence, rnn::Credit<double>(net, sequence, true));
  });
}

/// A rule with the network beside it: what it releases at each step.
struct Steps {
  const rnn::Network<double>& net;
  const rnn::Sequence<double>& sequence;
  rules::Loop<double> loop{net};
  Parameters<double> released = zeros_like(net.parameters);
  Index t = 0;

  template <class R>
  Parameters<double> next(R& rule) {
    released = zeros_like(net.parameters);
    loop.step(rule, sequence.x.col(t), sequence.target.col(t), t + 1 == sequence.length(), released);
    ++t;
    return recurrent(released);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(e_bptt_keeps_the_blocks_triangles) {
  for_each_credit([](const auto& net, const auto& sequence, const auto& credit) {
    for (Index steps = 1; steps <= length + 1; ++steps) {
      rules::EBptt<double> rule(net, truncated(steps));
      const auto got = recurrent(rules::learn(rule, net, sequence).gradient);
      const auto in_one_block = [&](Index t, Index s) { return (t - 1) / steps == (s - 1) / steps; };
      BOOST_TEST_CONTEXT("T' = " << steps) BOOST_TEST(tests::relative(got, sum(credit, in_one_block)) < tolerance);
    }
  });
}

BOOST_AUTO_TEST_CASE(e_bptt_releases_each_block_at_its_end_and_the_tail_at_the_sequences) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const rnn::Credit<double> credit(net, sequence, true);
  rules::EBptt<double> rule(net, truncated(3));
  Steps steps{net, sequence};
  for (Index t = 1; t <= length; ++t) {
    const auto got = steps.next(rule);
    const auto now = [&](Index a, Index s) { return t % 3 == 0 && a <= t && s > t - 3; };
    BOOST_TEST_CONTEXT("t = " << t) BOOST_TEST(tests::relative(got, sum(credit, now)) < tolerance);
  }
  const auto tail = recurrent(rule.finish(), net.parameters);  // 7 = 3 + 3 + 1
  BOOST_TEST(tests::relative(tail, sum(credit, [](Index, Index s) { return s == 7; })) < tolerance);
  BOOST_TEST(rule.finish().size() == 0);
}

BOOST_AUTO_TEST_CASE(f_bptt_keeps_a_band) {
  for_each_credit([](const auto& net, const auto& sequence, const auto& credit) {
    for (Index steps = 1; steps <= length + 1; ++steps) BOOST_TEST_CONTEXT("T' = " << steps) {
        rules::FBptt<double> rule(net, truncated(steps));
        const auto got = recurrent(rules::learn(rule, net, sequence).gradient);
        BOOST_TEST(tests::relative(got, sum(credit, [&](Index t, Index s) { return t - s < steps; })) < tolerance);
        const auto parts = rules::learn(rule, net, sequence, true);
        for (Index s = 1; s <= length; ++s)
          BOOST_TEST(tests::relative(recurrent(parts.per_step[static_cast<std::size_t>(s - 1)]),
                                     sum(credit, [&](Index t, Index u) { return u == s && t - s < steps; })) <
                     tolerance);
        BOOST_TEST(tests::relative(parts.gradient, rules::learn(rule, net, sequence).gradient) < tolerance);
      }
  });
}

BOOST_AUTO_TEST_CASE(f_bptt_releases_at_t_what_belongs_to_t_minus_T_prime_plus_1) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const rnn::Credit<double> credit(net, sequence, true);
  rules::FBptt<double> rule(net, truncated(3));
  Steps steps{net, sequence};
  for (Index t = 1; t <= length; ++t) {
    const auto got = steps.next(rule);
    BOOST_TEST_CONTEXT("t = " << t)
    BOOST_TEST(tests::relative(got, sum(credit, [&](Index a, Index s) { return s == t - 2 && a <= t; })) < tolerance);
  }
  const auto tail = recurrent(rule.finish(), net.parameters);
  BOOST_TEST(tests::relative(tail, sum(credit, [](Index, Index s) { return s > 5; })) < tolerance);
  BOOST_CHECK_THROW(rule.at(1), std::logic_error);
  rule.keep_times();
  rules::learn(rule, net, sequence);
  BOOST_CHECK_THROW(rule.at(0), std::out_of_range);
  BOOST_CHECK_THROW(rule.at(8), std::out_of_range);
}

BOOST_AUTO_TEST_CASE(without_truncation_both_are_bptt) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    rules::Bptt<double> bptt(net);
    const auto exact = rules::learn(bptt, net, sequence, true);
    for (const Index steps : {length, length + 5, Index{1} << 40})  // no memory is kept for steps that never come
      for_both([&](const char* name, const auto& make) {
        BOOST_TEST_CONTEXT(name << ", T' = " << steps << ", " << kind) {
          auto rule = make(net, truncated(steps));
          const auto got = rules::learn(rule, net, sequence, true);
          BOOST_TEST(tests::relative(got.gradient, exact.gradient) < tolerance);
          if (name[0] == 'F')
            for (std::size_t s = 0; s < 7; ++s)
              BOOST_TEST(tests::relative(got.per_step[s], exact.per_step[s]) < tolerance);
        }
      });
  });
}

BOOST_AUTO_TEST_CASE(a_window_outgrows_its_first_memory) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared);
  const auto sequence = tests::generic_sequence(net, 50);
  const rnn::Credit<double> credit(net, sequence, true);
  rules::FBptt<double> rule(net, truncated(37));
  const auto got = recurrent(rules::learn(rule, net, sequence).gradient);
  BOOST_TEST(tests::relative(got, sum(credit, [](Index t, Index s) { return t - s < 37; })) < 1e-12);
}

// In training weights move between steps: slopes are those seen, W_rec the one the docstrings name.
BOOST_AUTO_TEST_CASE(where_weights_change_the_docstrings_say_whose_are_used) {
  auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  rules::EBptt<double> e(net, truncated(2));
  rules::FBptt<double> f(net, truncated(2));
  rules::Loop<double> loop(net);
  const auto first = net.parameters.W_rec;
  auto by_e = zeros_like(net.parameters), by_f = by_e;
  struct Seen {
    rnn::VectorX<double> z, slope, error;
  } seen[2];
  struct Both {  // shows one transition to both rules
    rules::EBptt<double>& e;
    rules::FBptt<double>& f;
    Parameters<double>&by_e, &by_f;
    Seen* at;
    rules::Facing facing = rules::Facing::neither;
    const rules::Gradient<double> nothing{};
    void reset() {}
    const rules::Gradient<double>& observe(const rnn::Transition<double>& t) {
      rules::presynaptic(t, at->z), at->slope = t.slope, at->error = t.error;
      rules::add(e.observe(t), by_e), rules::add(f.observe(t), by_f);
      return nothing;
    }
    const rules::Gradient<double>& finish() { return nothing; }
  } both{e, f, by_e, by_f, seen};
  auto ignored = by_e;
  loop.step(both, sequence.x.col(0), sequence.target.col(0), false, ignored);
  net.parameters.W_rec *= 0.5;
  both.at = seen + 1;
  loop.step(both, sequence.x.col(1), sequence.target.col(1), false, ignored);
  const auto expected = [&](const rnn::MatrixX<double>& W, bool both_uses) {
    const rnn::VectorX<double> later = seen[1].slope.cwiseProduct(seen[1].error);
    const rnn::VectorX<double> c = seen[0].error + 0.7 * seen[1].error + W.transpose() * later;
    rules::Gradient<double> g = seen[0].slope.cwiseProduct(c) * seen[0].z.transpose();
    if (both_uses) g += later * seen[1].z.transpose();
    return recurrent(g, net.parameters);
  };
  BOOST_TEST(tests::relative(by_e, expected(first, true)) < tolerance);
  BOOST_TEST(tests::relative(by_f, expected(net.parameters.W_rec, false)) < tolerance);
}

BOOST_AUTO_TEST_CASE(a_rule_begins_anew_and_refuses_no_steps_at_all) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  for_both([&](const char*, const auto& make) {
    auto rule = make(net, truncated(3));
    const auto once = rules::learn(rule, net, sequence).gradient;
    rules::Loop<double> loop(net);  // a sequence that is left in the middle
    auto ignored = zeros_like(net.parameters);
    loop.step(rule, sequence.x.col(3), sequence.target.col(3), false, ignored);
    BOOST_TEST(tests::relative(rules::learn(rule, net, sequence).gradient, once) == 0);
    for (const Index steps : {0, -1}) BOOST_CHECK_THROW(make(net, truncated(steps)), std::invalid_argument);
  });
  rules::Readout<double> readout(net);
  const auto learned = rules::learn(readout, net, sequence);
  BOOST_TEST(recurrent(learned.gradient).W_rec.norm() == 0);
  rules::Bptt<double> bptt(net);
  BOOST_TEST((learned.gradient.W_out == rules::learn(bptt, net, sequence).gradient.W_out));
}
