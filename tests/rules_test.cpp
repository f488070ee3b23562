// Rules written by hand against the engine: equal to rounding at generic points, and exactly equal over fractions.
#include <boost/test/unit_test.hpp>
#include <set>

#include "ad/operators.h"
#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rnn/task.h"
#include "rules/registry.h"
#include "tests/fractions.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::Parameters, rnn::VectorX;
using Vector = VectorX<double>;
using tests::Fraction;

constexpr double tolerance = 1e-13;  // sums of 7 steps; the issue asks for 1e-12

constexpr std::string_view blockwise = "hybrid";  // what it releases when: hybrid_test

bool equal(const Parameters<Fraction>& a, const Parameters<Fraction>& b) {
  bool same = true;
  rnn::for_each_block([&](auto, const auto& x,
                          const auto& y) { same = same && x.rows() == y.rows() && x.cols() == y.cols() && x == y; },
                      a, b);
  return same;
}

/// One transition of a network, with all it refers to.
struct Single {
  rnn::Network<double> net = tests::generic_network(Activation::tanh, Loss::squared);
  rnn::Sequence<double> sequence = tests::generic_sequence(net, 1);
  Vector x = sequence.x.col(0), target = sequence.target.col(0);
  rnn::Step<double> now = step(net, net.parameters, net.h_0, x);
  Vector v = output(net.parameters, now.h), e = rules::output_error(net.loss, v, target),
         q = net.parameters.W_out.transpose() * e;
  Vector phi = rules::slope(net.activation, net.alpha, now.u, now.f);
  rnn::Transition<double> transition{net.h_0,   x, now.u, now.h,  phi, net.parameters.W_rec,
                                     net.alpha, q, e,     target, true};
};

}  // namespace

// --- the parts ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(slopes_by_hand_are_the_engines) {
  for (const auto a : tests::activations)
    for (const double u : {-1000., -30., -2., -0.1, 0.1, 0.7, 3., 30., 1000.}) {
      const double expected = ad::derivative([&](const auto& x) { return rnn::activate(a, x); }, u);
      const double got = rules::derivative(a, u, rnn::activate(a, u));
      BOOST_TEST_CONTEXT(rnn::activation_names[static_cast<int>(a)] << "'(" << u << ")")
      BOOST_TEST(std::abs(got - expected) <= 1e-15);
    }
  BOOST_TEST(rules::derivative(Activation::relu, 0., 0.) == 0);
  BOOST_TEST(rules::derivative(Activation::softplus, 0., std::log(2.)) == 0.5);
  BOOST_TEST((rules::slope(Activation::identity, 0.3, Vector(Vector::Ones(2)), Vector(Vector::Ones(2))) ==
              Vector::Constant(2, 0.3)));
}

BOOST_AUTO_TEST_CASE(output_errors_by_hand_are_the_engines) {
  rnn::Random random(4);
  for (const auto loss : tests::losses)
    for (const double scale : {0.1, 1., 5., 1000., 10000.}) {
      const Vector v = random.normal(4, 1, scale), target = random.normal(4, 1);
      const auto expected = ad::gradient([&](const auto& at) { return rnn::loss_t(loss, at, target); }, v);
      const auto got = rules::output_error(loss, v, target);
      BOOST_TEST_CONTEXT(rnn::loss_names[static_cast<int>(loss)] << " at " << v.transpose())
      BOOST_TEST((got.allFinite() && (got - expected).cwiseAbs().maxCoeff() <= 1e-15 * (10 + scale)));
    }
  BOOST_CHECK_THROW(rules::output_error(Loss::squared, Vector(2), Vector(3)), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_transition_pushes_with_J_and_pulls_with_its_transpose) {
  const Single s;
  const auto J = ad::jacobian(
      [&](const auto& h) {
        using S = std::decay_t<decltype(h(0))>;
        return step(s.net, rnn::cast<S>(s.net.parameters), h, s.x).h;
      },
      s.net.h_0);
  const MatrixX<double> several = rnn::Random(6).normal(5, 3);
  BOOST_TEST(tests::relative(s.transition.push(several), J * several) < tolerance);
  BOOST_TEST(tests::relative(s.transition.pull(several), J.transpose() * several) < tolerance);
  BOOST_TEST(tests::relative(s.transition.push(Vector(several.col(1))), J * several.col(1)) < tolerance);
  // views: what the transition sees is the caller's own memory
  BOOST_TEST(s.transition.u.data() == s.now.u.data());
  BOOST_TEST(s.transition.h_before.data() == s.net.h_0.data());
}

// --- by hand = derived -------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_rule_is_the_tape_in_total_and_at_every_step) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    const auto tape = rnn::bptt(net, sequence, {.copies = true});
    const auto forward = rnn::rtrl(net, sequence);
    for (const auto& facts : rules::registry) {
      BOOST_TEST_CONTEXT(facts.id << ", " << kind) {
        const auto rule = rules::make_rule(facts.id, net);
        BOOST_REQUIRE(rule);
        BOOST_TEST((rule->facing == facts.facing));
        if (facts.exactness != rules::Exactness::exact) continue;
        const auto parts = rules::learn(*rule, net, sequence, true);
        BOOST_TEST(tests::relative(parts.gradient, tape.gradient) < tolerance);
        BOOST_TEST(tests::relative(parts.losses, tape.losses) < tolerance);
        BOOST_TEST(std::abs(parts.loss - tape.loss) <= tolerance * std::abs(tape.loss));
        BOOST_REQUIRE(parts.per_step.size() == 7u);
        for (std::size_t t = 0; t < 7 && facts.id != blockwise; ++t)
          BOOST_TEST(tests::relative(parts.per_step[t],
                                     facts.facing == rules::Facing::future ? tape.per_step[t] : forward.per_step[t]) <
                     tolerance);
        const auto again = rules::learn(*rule, net, sequence);  // a rule begins anew with each sequence
        BOOST_TEST(again.per_step.empty());
        BOOST_TEST(tests::relative(again.gradient, tape.gradient) < tolerance);
      }
    }
  });
}

// What a docstring says of an option that is not given.
BOOST_AUTO_TEST_CASE(defaults_are_the_papers) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 12);
  rnn::Options blocks, dni, predicting, kernel, noise;
  blocks.truncation = 10, blocks.block = net.d(), blocks.n = 1;
  dni.lr = 0.001, dni.J_lr = 0.001, dni.refresh = 5;
  predicting.lr = 0.01, predicting.gamma = 1, predicting.lambda = 1, predicting.sg_factor = 1;
  kernel.lr = 5, kernel.sigma = 1e-3, kernel.timing = rnn::Timing::reference;
  noise.sigma = 1e-3, noise.samples = 1;
  for (const auto& [id, options] : std::vector<std::pair<const char*, rnn::Options>>{{"e-bptt", blocks},
                                                                                     {"f-bptt", blocks},
                                                                                     {"hybrid", blocks},
                                                                                     {"snap", blocks},
                                                                                     {"dni", dni},
                                                                                     {"dni-b", dni},
                                                                                     {"bp-lambda", predicting},
                                                                                     {"kernl", kernel},
                                                                                     {"weight-perturbation", noise},
                                                                                     {"node-perturbation", noise},
                                                                                     {"activity-perturbation", noise},
                                                                                     {"forward-gradient", noise}}) {
    const auto by = [&, name = id](const rnn::Options& o) {
      return flatten(rules::learn(*rules::make_rule(name, net, o), net, sequence).gradient).eval();
    };
    BOOST_TEST_CONTEXT(id) BOOST_TEST((by(options) == by({})));
  }
}

// rules::Training ends a block and lets h go on: what a rule makes of the next block is what it makes of a sequence that
// begins there, the noisy copies of perturbation rules and KeRNL's included.
BOOST_AUTO_TEST_CASE(a_block_that_begins_in_mid_run_is_a_sequence_of_its_own) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 12);
  rnn::Options options;
  options.draws = rnn::Draws(5);
  for (const rules::Facts& facts : rules::registry) BOOST_TEST_CONTEXT(facts.id) {
      rules::Loop<double> loop(net);
      const auto nobody = rules::make_rule("readout", net);
      for (Index t = 0; t < 5; ++t) loop.advance(*nobody, sequence.x.col(t), sequence.target.col(t), t == 4);
      auto from_there = net;
      from_there.h_0 = loop.h();
      const auto rule = rules::make_rule(facts.id, net, options);
      rule->reset();
      Parameters<double> got = zeros_like(net.parameters);
      for (Index t = 5; t < 12; ++t) loop.step(*rule, sequence.x.col(t), sequence.target.col(t), t == 11, got);
      rules::add(rule->finish(), got);
      const rnn::Sequence<double> rest{sequence.x.rightCols(7), sequence.target.rightCols(7)};
      const auto fresh = rules::make_rule(facts.id, from_there, options);
      const Vector expected = flatten(rules::learn(*fresh, from_there, rest).gradient);
      BOOST_TEST((flatten(got) - expected).norm() <= 1e-14 * expected.norm());
    }
}

BOOST_AUTO_TEST_CASE(a_second_sequence_knows_nothing_of_the_first) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 7), other = tests::generic_sequence(net, 9);
  const auto recurrent = [](const Parameters<double>& p) {
    return (Vector(p.W_rec.size() + p.W_in.size()) << p.W_rec.reshaped(), p.W_in.reshaped()).finished();
  };
  rnn::Random random(3);
  for (const std::string_view id : {"uoro", "kf-rtrl", "r-kf-rtrl"}) BOOST_TEST_CONTEXT(id) {
      std::vector<std::vector<double>> signs(7, std::vector<double>(id == "kf-rtrl" ? 2 : 5));
      for (auto& step : signs)
        for (double& sign : step) sign = random.sign();
      const auto half = signs;
      signs.insert(signs.end(), half.begin(), half.end());
      rnn::Options options;
      options.draws = rnn::Draws(signs);
      const auto rule = rules::make_rule(id, net, options);
      const Vector first = recurrent(rules::learn(*rule, net, sequence).gradient);
      BOOST_TEST((recurrent(rules::learn(*rule, net, sequence).gradient) == first));
    }

  // KeRNL keeps A and gamma; its other start values are taken again
  std::vector<std::vector<double>> noise(14, std::vector<double>(5));
  for (auto& step : noise)
    for (double& zeta : step) zeta = 0.1 * random.normal();
  rnn::Options options;
  options.lr = 0.5;
  options.draws = rnn::Draws(noise);
  for (const char* name : {"zeta", "Omega", "Gamma"}) options.state[name] = random.normal(5, 1, 0.1);
  rules::Kernl<double> twice(net, options);
  rules::learn(twice, net, sequence);
  rnn::Options later = options;
  later.state["A"] = twice.A(), later.state["gamma"] = twice.gamma();
  later.draws = rnn::Draws(std::vector<std::vector<double>>(noise.begin() + 7, noise.end()));
  rules::Kernl<double> once(net, later);
  const Vector again = recurrent(rules::learn(twice, net, sequence).gradient);
  BOOST_TEST((again == recurrent(rules::learn(once, net, sequence).gradient)));
  for (const char* name : {"zeta", "Omega", "Gamma"}) {
    rnn::Options without = later;
    without.state.erase(name);
    rules::Kernl<double> changed(net, without);
    BOOST_TEST((again != recurrent(rules::learn(changed, net, sequence).gradient)), name);
  }

  // left in the middle, BP(lambda) that learns at the end has learned nothing
  rnn::Options at_end;
  at_end.learn_at_end = true, at_end.lr = 0.1;
  rules::BpLambda<double> left(net, at_end), fresh(net, at_end);
  rules::Loop<double> loop(net);
  for (Index t = 0; t < 4; ++t) loop.advance(left, sequence.x.col(t), sequence.target.col(t), false);
  rules::learn(left, net, sequence), rules::learn(fresh, net, sequence);
  BOOST_TEST((left.Theta() == fresh.Theta()));

  rules::DoubleSum<double> sum(net), new_sum(net);
  sum.keep_blocks(), new_sum.keep_blocks();
  rules::learn(sum, net, other), rules::learn(sum, net, sequence), rules::learn(new_sum, net, sequence);
  BOOST_TEST((sum.block(6, 2) == new_sum.block(6, 2)));
  BOOST_TEST(sum.products() == new_sum.products());
}

BOOST_AUTO_TEST_CASE(bptts_delta_is_the_adjoint_of_h_and_rtrls_P_its_tangent) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      rules::Bptt<double> bptt(net);
      rules::learn(bptt, net, sequence);
      BOOST_TEST(tests::relative(bptt.delta(), rnn::bptt(net, sequence).delta) < tolerance);
      rules::Rtrl<double> rtrl(net);
      rnn::Rtrl<double> forward(net);
      for (Index t = 1; t <= sequence.length(); ++t) {
        rules::learn(rtrl, net, {sequence.x.leftCols(t), sequence.target.leftCols(t)});
        forward.advance(sequence.x.col(t - 1), sequence.target.col(t - 1));
        BOOST_TEST(tests::relative(rtrl.P(), forward.P()) < tolerance);
        BOOST_TEST(tests::relative(rtrl.J(), forward.J()) < tolerance);
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(rtrl_of_a_network_whose_P_is_worked_on_two_columns_of_W_at_a_time) {
  for (const Index n : {2, 3}) {  // d + n + 1 odd and even
    rnn::Random random(4);
    auto net = rnn::random_network(n, 64, 2, random);
    net.alpha = 0.4;
    const rnn::Sequence<double> sequence{random.normal(n, 4), random.normal(2, 4)};
    rules::Rtrl<double> rtrl(net);
    rules::Bptt<double> bptt(net);
    const auto exact = rules::learn(bptt, net, sequence).gradient;
    BOOST_TEST(tests::relative(flatten(rules::learn(rtrl, net, sequence).gradient), flatten(exact)) < tolerance);
  }
}

BOOST_AUTO_TEST_CASE(blocks_by_hand_are_the_tapes) {
  const auto net = tests::generic_network(Activation::softplus, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const rnn::Credit<double> credit(net, sequence, true);
  rules::DoubleSum<double> sum(net);
  BOOST_CHECK_THROW(sum.block(1, 1), std::logic_error);
  sum.keep_blocks();
  rules::learn(sum, net, sequence);
  for (Index t = 1; t <= 7; ++t)
    for (Index s = 1; s <= 7; ++s) {
      Parameters<double> got = zeros_like(net.parameters), expected = credit.block(t, s);
      rules::add(sum.block(t, s), got);
      expected.W_out.setZero(), expected.b_out.setZero();
      BOOST_TEST(tests::relative(got, expected) < tolerance);
    }
  BOOST_CHECK_THROW(sum.block(0, 1), std::out_of_range);
  BOOST_CHECK_THROW(sum.block(1, 8), std::out_of_range);
}

// With identity or relu units and the squared loss all of it is arithmetic: nothing is rounded, nothing may differ.
BOOST_AUTO_TEST_CASE(over_fractions_by_hand_and_derived_are_equal) {
  for (const auto activation : {Activation::identity, Activation::relu}) {
    tests::Fractions draw;
    const Index n = 2, d = 3, m = 2, length = 4;
    rnn::Network<Fraction> net;
    net.parameters = {draw.matrix(d, d), draw.matrix(d, n), draw.matrix(d, 1), draw.matrix(m, d), draw.matrix(m, 1)};
    net.alpha = Fraction(3) / 10;
    net.activation = activation;
    net.h_0 = draw.matrix(d, 1);
    const rnn::Sequence<Fraction> sequence{draw.matrix(n, length), draw.matrix(m, length)};
    const auto tape = rnn::bptt(net, sequence, {.copies = true});
    const auto forward = rnn::rtrl(net, sequence);
    const rnn::Credit<Fraction> credit(net, sequence, true);
    BOOST_TEST(equal(forward.gradient, tape.gradient));
    BOOST_TEST(equal(credit.total(), tape.gradient));
    if (activation == Activation::relu) {  // some units on, some off, or it would be the identity again
      const auto u = rnn::run(net, sequence).u;
      BOOST_TEST(((u.array() > 0).any() && (u.array() < 0).any()));
    }
    for (const auto& facts : rules::registry) {
      if (facts.exactness != rules::Exactness::exact) continue;
      BOOST_TEST_CONTEXT(facts.id) {
        const auto rule = rules::make_rule(facts.id, net);
        BOOST_REQUIRE(rule);
        const auto parts = rules::learn(*rule, net, sequence, true);
        BOOST_TEST((parts.loss == tape.loss));
        BOOST_TEST(equal(parts.gradient, tape.gradient));
        for (std::size_t t = 0; t < parts.per_step.size() && facts.id != blockwise; ++t)
          BOOST_TEST(
              equal(parts.per_step[t], facts.facing == rules::Facing::future ? tape.per_step[t] : forward.per_step[t]));
      }
    }
    rules::Bptt<Fraction> bptt(net);
    rules::learn(bptt, net, sequence);
    BOOST_TEST((bptt.delta() == tape.delta));
    rules::Rtrl<Fraction> rtrl(net);
    rules::learn(rtrl, net, sequence);
    rnn::Rtrl<Fraction> stepwise(net);
    for (Index t = 0; t < length; ++t) stepwise.advance(sequence.x.col(t), sequence.target.col(t));
    BOOST_TEST((rtrl.P() == stepwise.P()));
    rules::DoubleSum<Fraction> sum(net);
    sum.keep_blocks();
    rules::learn(sum, net, sequence);
    for (Index t = 1; t <= length; ++t)
      for (Index s = 1; s <= t; ++s) BOOST_TEST((sum.block(t, s).leftCols(d) == credit.block(t, s).W_rec));
  }
}

BOOST_AUTO_TEST_CASE(fractions_have_no_tanh) {
  tests::Fractions draw;
  rnn::Network<Fraction> net;
  net.parameters = {draw.matrix(1, 1), draw.matrix(1, 1), draw.matrix(1, 1), draw.matrix(1, 1), draw.matrix(1, 1)};
  net.h_0 = draw.matrix(1, 1);
  const rnn::Sequence<Fraction> sequence{draw.matrix(1, 1), draw.matrix(1, 1)};
  const auto named = [](const char* name) {
    return [name](const std::invalid_argument& e) { return std::string(e.what()).find(name) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(rnn::bptt(net, sequence), std::invalid_argument, named("tanh"));
  net.activation = Activation::relu;
  net.loss = Loss::softmax_ce;
  BOOST_CHECK_EXCEPTION(rnn::bptt(net, sequence), std::invalid_argument, named("softmax_ce"));
}

// --- costs and sizes ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_double_sum_takes_780_products_at_T_40) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  rules::DoubleSum<double> sum(net);
  rules::learn(sum, net, tests::generic_sequence(net, 40));
  BOOST_TEST(sum.products() == 40 * 39 / 2);
}

// Every number of P is used at a width that is no multiple of a panel, and long sequences outgrow the first buffer.
BOOST_AUTO_TEST_CASE(odd_sizes_and_long_sequences_are_right) {
  for (Index d = 1; d <= 4; ++d) {
    const auto net = tests::generic_network(Activation::tanh, Loss::squared, 3, d == 2 ? 0 : d + 1, d, d == 3 ? 1 : 2);
    for (const Index length : {1, 16, 17, 50}) {
      const auto sequence = tests::generic_sequence(net, length);
      const auto tape = rnn::bptt(net, sequence);
      for (const auto& facts : rules::registry) {
        if (facts.exactness != rules::Exactness::exact) continue;
        BOOST_TEST_CONTEXT(facts.id << ", d = " << d << ", T = " << length) {
          const auto rule = rules::make_rule(facts.id, net);
          BOOST_TEST(tests::relative(rules::learn(*rule, net, sequence).gradient, tape.gradient) < 1e-12);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(wrong_sizes_are_refused) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  auto sequence = tests::generic_sequence(net);
  sequence.target.conservativeResize(3, Eigen::NoChange);
  rules::Bptt<double> rule(net);
  BOOST_CHECK_THROW(rules::learn(rule, net, sequence), std::invalid_argument);
  auto to = zeros_like(net.parameters);
  BOOST_CHECK_THROW(rules::add(MatrixX<double>(MatrixX<double>::Zero(5, 8)), to), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(the_registry_names_each_rule_once) {
  std::set<std::string_view> ids;
  for (const auto& facts : rules::registry) {
    BOOST_TEST(ids.insert(facts.id).second);
    BOOST_TEST((!facts.name.empty() && !facts.citation.empty() && !facts.locality.empty() && !facts.memory.empty() &&
                !facts.time.empty()));
    BOOST_TEST((facts.year > 1900 && facts.citation.find(std::to_string(facts.year)) != std::string_view::npos));
  }
  for (const char* id : {"bptt", "rtrl", "double-sum"}) BOOST_TEST(ids.count(id) == 1u);
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  BOOST_TEST(!rules::make_rule("no such rule", net));
}
