// Composed edits: read and printed back, named where they are known rules, and equal to those rules block by block.
#include <boost/test/unit_test.hpp>

#include "rnn/credit.h"
#include "rnn/surgery_edited.h"
#include "rules/bp_lambda.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Edit, rnn::Loss, rnn::MatrixX, rnn::VectorX;
using Names = std::vector<std::string_view>;

double relative(const std::vector<rnn::Parameters<double>>& got, const std::vector<rnn::Parameters<double>>& expected) {
  MatrixX<double> a(size(got[0]), static_cast<Index>(got.size())), b = a;
  for (std::size_t t = 0; t < got.size(); ++t) {
    a.col(static_cast<Index>(t)) = flatten(got[t]);
    b.col(static_cast<Index>(t)) = flatten(expected.at(t));
  }
  return tests::relative(a, b);
}

/// W_rec as a ring with a few more connections: masks of 1, 2, 3 steps all differ.
rnn::Network<double> sparse_network() {
  auto net = tests::generic_network(Activation::tanh, Loss::squared);
  auto& W = net.parameters.W_rec;
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j)
      if (i != (j + 1) % 5 && i + j != 4) W(i, j) = 0;
  return net;
}

void refused(const char* text, const std::vector<std::string>& parts) {
  BOOST_CHECK_EXCEPTION(rnn::parse_edit(text), std::invalid_argument, [&](const std::invalid_argument& e) {
    for (const auto& part : parts)
      if (std::string(e.what()).find(part) == std::string::npos) {
        BOOST_TEST_MESSAGE(e.what());
        return false;
      }
    return true;
  });
}

}  // namespace

BOOST_AUTO_TEST_CASE(words_are_read_and_printed_back) {
  for (const char* text :
       {"", "J = leak", "J = diagonal", "J = 3-step mask", "J = none", "cut = every 4", "cut = after 12",
        "feedback = random", "feedback = sign", "cut = every 4; future = predicted", "cut = every 2; future = true",
        "projection = signs", "projection = Gaussian", "J = leak; feedback = random",
        "J = leak; cut = every 5; feedback = sign; future = predicted; projection = signs"})
    BOOST_TEST(to_string(rnn::parse_edit(text)) == text);
  BOOST_TEST(to_string(rnn::parse_edit(" feedback=random ;; J =leak , ")) == "J = leak; feedback = random");
  BOOST_TEST(to_string(rnn::parse_edit(
                 "J = full; cut = never; feedback = transpose; future = true; projection = none")) == "");
  BOOST_TEST(to_string(rnn::parse_edit("cut = every 4; future = none")) == "cut = every 4");
  BOOST_TEST(to_string(rnn::parse_edit("future = none")) == "cut = every 1");
  BOOST_TEST(to_string(rnn::parse_edit("future = predicted")) == "cut = every 1; future = predicted");
}

BOOST_AUTO_TEST_CASE(words_not_known_are_named_with_those_allowed) {
  refused("J = lekk", {"lekk", "full, leak, diagonal, #-step mask, none"});
  refused("K = leak", {"\"K\"", "J, cut, feedback, future, projection"});
  refused("leak", {"\"leak\"", "J = leak"});
  refused("J", {"\"J\"", "full, leak"});
  refused("J = leak; J = full", {"\"J\"", "twice"});
  refused("cut = every", {"\"every\"", "never, every #, after #", "whole number"});
  refused("cut = every 0", {"every 0"});
  refused("cut = every -3", {"every -3"});
  refused("cut = every 99999999999", {"every 99999999999"});
  refused("J = 2.5-step mask", {"2.5-step mask"});
  refused("feedback = randon", {"randon", "transpose, random, sign"});
  refused("future = guessed", {"guessed", "true, predicted, none"});
  refused("projection = gaussian", {"gaussian", "Gaussian"});
}

BOOST_AUTO_TEST_CASE(known_rules_are_recognised) {
  const auto named = [](const char* text) { return rnn::names_of(rnn::parse_edit(text), 5); };
  BOOST_TEST((named("") == Names{"bptt", "rtrl", "double-sum"}));
  BOOST_TEST((named("feedback = random") == Names{"bptt", "rtrl", "double-sum"}));
  BOOST_TEST((named("J = leak; feedback = random") == Names{"rflo", "e-prop"}));
  BOOST_TEST((named("J = diagonal") == Names{"snap"}));
  BOOST_TEST((named("J = 2-step mask") == Names{"snap"}));
  BOOST_TEST((named("cut = every 3") == Names{"e-bptt"}));
  BOOST_TEST((named("cut = after 3") == Names{"f-bptt"}));
  BOOST_TEST((named("cut = every 3; future = true") == Names{"hybrid"}));
  BOOST_TEST((named("cut = after 3; future = true") == Names{"bptt", "rtrl", "double-sum"}));
  BOOST_TEST((named("J = none") == Names{"e-bptt"}));
  BOOST_TEST((named("future = predicted") == Names{"bp-lambda"}));
  BOOST_TEST((named("projection = signs") == Names{"forward-gradient", "weight-perturbation"}));
  BOOST_TEST((named("J = leak; cut = every 3") == Names{}));
  BOOST_TEST((named("cut = every 3; future = predicted") == Names{}));
}

BOOST_AUTO_TEST_CASE(unedited_every_block_is_the_tapes) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const rnn::Credit<double> tape(net, sequence);
      const auto r = rnn::edited(net, sequence, {});
      BOOST_TEST(tests::relative(r.gradient, tape.total()) < 1e-12);
      const auto& squares = tape.squared_norms();
      const MatrixX<double> norms = (squares.W_rec + squares.W_in + squares.b_rec).cwiseSqrt();
      BOOST_TEST(tests::relative(r.credit, norms) < 1e-12);
      for (Index t = 1; t <= sequence.length(); ++t) {
        BOOST_TEST(tests::relative(r.past[static_cast<std::size_t>(t - 1)], tape.row_sum(t)) < 1e-12);
        BOOST_TEST(tests::relative(r.future[static_cast<std::size_t>(t - 1)], tape.column_sum(t)) < 1e-12);
      }
      const auto same = rnn::alignment(r.gradient, tape.total());
      BOOST_TEST(std::abs(same.recurrent - 1) < 1e-14);
      BOOST_TEST(std::abs(same.total - 1) < 1e-14);
    }
  });
}

// The same rule in three ways: by hand, as its own direction of differentiation (surgery_test), and block by block.
BOOST_AUTO_TEST_CASE(block_by_block_is_the_rule_with_that_name) {
  for (const auto& net : {tests::generic_network(Activation::softplus, Loss::softmax_ce), sparse_network()}) {
    const auto sequence = tests::generic_sequence(net, 9);
    rnn::Options options;
    options.truncation = 4, options.block = 4, options.draws = rnn::Draws(7);
    options.gamma = 0.9, options.lambda = 0.7, options.lr = 0.05, options.sg_factor = 0.8;
    for (const auto& row : rnn::edits)
      for (options.n = 1; options.n <= (row.id == "snap" ? 3 : 1); ++options.n) {
        rnn::Options its = options;
        if (row.id == "e-prop" || row.id == "weight-perturbation") its.lambda.reset();  // theirs is another lambda
        const auto edit = rnn::edit_of(row.id, its, 5);
        if (!edit) continue;
        BOOST_TEST_CONTEXT(row.id << ": " << to_string(*edit)) {
          const auto by_rule = rnn::derived(row.id, net, sequence, its);
          const auto by_block = rnn::edited(net, sequence, *edit, its);
          BOOST_TEST(tests::relative(by_rule.gradient, by_block.gradient) < 1e-12);
          if (row.id == "hybrid" || row.id == "e-bptt") continue;  // they tell a block's share at its end
          BOOST_TEST(relative(by_rule.per_step, row.direction == rnn::Direction::forward || row.id == "double-sum"
                                                    ? by_block.past
                                                    : by_block.future) < 1e-12);
        }
      }
  }
}

BOOST_AUTO_TEST_CASE(what_is_cut_is_zero_and_the_rest_is_as_it_was) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 7);
  const auto exact = rnn::edited(net, sequence, {});
  const auto every = rnn::edited(net, sequence, rnn::parse_edit("cut = every 3"));
  const auto after = rnn::edited(net, sequence, rnn::parse_edit("cut = after 3"));
  const auto none = rnn::edited(net, sequence, rnn::parse_edit("J = none"));
  const auto leak = rnn::edited(net, sequence, rnn::parse_edit("J = leak"));
  for (Index t = 0; t < 7; ++t)
    for (Index s = 0; s < 7; ++s) {
      BOOST_TEST(every.credit(t, s) == (s <= t && t / 3 == s / 3 ? exact.credit(t, s) : 0));
      BOOST_TEST(after.credit(t, s) == (s <= t && t - s < 3 ? exact.credit(t, s) : 0));
      BOOST_TEST(none.credit(t, s) == (s == t ? exact.credit(t, s) : 0));
      if (s == t) BOOST_TEST(leak.credit(t, s) == exact.credit(t, s));
      if (s < t) BOOST_TEST((leak.credit(t, s) > 0 && leak.credit(t, s) != exact.credit(t, s)));
    }
}

BOOST_AUTO_TEST_CASE(feedback_changes_what_comes_down_and_not_the_readout) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net, 6);
  const auto exact = rnn::edited(net, sequence, {});
  const MatrixX<double> signs = net.parameters.W_out.array().sign();
  const auto by_sign = rnn::edited(net, sequence, rnn::parse_edit("feedback = sign"));
  const auto given = rnn::derived("bptt", net, sequence, {.feedback = signs});
  BOOST_TEST(tests::relative(by_sign.gradient, given.gradient) < 1e-12);
  BOOST_TEST((by_sign.gradient.W_out == exact.gradient.W_out && by_sign.gradient.b_out == exact.gradient.b_out));
  BOOST_TEST(by_sign.loss == exact.loss);
  BOOST_TEST(rnn::alignment(by_sign.gradient, exact.gradient).recurrent < 0.999);
  // random feedback repeats with its seed, and is drawn before a direction
  const auto random = [&](std::uint64_t seed) {
    return rnn::edited(net, sequence, rnn::parse_edit("feedback = random"), {.draws = rnn::Draws(seed)}).gradient.W_rec;
  };
  BOOST_TEST((random(3) == random(3)));
  BOOST_TEST((random(3) != random(4)));
  rnn::Draws draws(3);
  const MatrixX<double> B = draws.normals(10).reshaped(2, 5) / std::sqrt(5.0);
  BOOST_TEST(tests::relative(random(3), rnn::derived("bptt", net, sequence, {.feedback = B}).gradient.W_rec) < 1e-12);
}

BOOST_AUTO_TEST_CASE(one_tangent_is_the_gradient_laid_along_its_direction) {
  const auto net = tests::generic_network(Activation::sigmoid, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 5);
  const Index all = 5 * 9;
  rnn::Draws draws(11);
  const VectorX<double> V = draws.signs(all);
  const VectorX<double> g = flatten(rnn::edited(net, sequence, rnn::parse_edit("J = leak")).gradient).head(all);
  const auto one =
      rnn::edited(net, sequence, rnn::parse_edit("J = leak; projection = signs"), {.draws = rnn::Draws(11)});
  BOOST_TEST(tests::relative(flatten(one.gradient).head(all), g.dot(V) * V) < 1e-12);
  BOOST_CHECK_THROW(rnn::edited(net, sequence, rnn::parse_edit("J = 2-step mask; projection = signs")),
                    std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_prediction_that_is_right_makes_a_cut_harmless) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 6);
  const auto exact = rnn::bptt(net, sequence);
  // the only cut is at t = 3, and g(h) = [0 | c] [h; 1] is dL_{>3}/dh_3 there
  const rnn::EditedSteps steps(net, sequence);
  VectorX<double> c = VectorX<double>::Zero(5);
  for (Index t = 6; t > 3; --t) c = steps.at(t).pull(c + steps.at(t).credit).before;
  MatrixX<double> Theta = MatrixX<double>::Zero(5, 6);
  Theta.col(5) = c;
  rnn::Options options;
  options.learn_at_end = true, options.state["Theta"] = Theta;
  const auto r = rnn::edited(net, sequence, rnn::parse_edit("cut = every 3; future = predicted"), options);
  BOOST_TEST(tests::relative(r.gradient, exact.gradient) < 1e-12);
  BOOST_TEST((r.predicted.head(3).minCoeff() > 0 && r.predicted.tail(3).maxCoeff() == 0));
  // asked only, and then it has learned: the sum of the updates that BP(lambda) by hand makes at the sequence's end
  rules::BpLambda<double> by_hand(net, options);
  rules::learn(by_hand, net, sequence);
  BOOST_TEST(tests::relative(r.Theta, by_hand.Theta()) < 1e-12);
  BOOST_TEST(tests::relative(r.Theta, Theta) > 1e-3);
}

BOOST_AUTO_TEST_CASE(costs_are_those_of_the_rules) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto forward = [&](const char* text) { return rnn::forward_cost(rnn::parse_edit(text), net); };
  const auto reverse = [&](const char* text) { return rnn::reverse_cost(rnn::parse_edit(text), net, 20); };
  const double d = 5, n = 3, k = 9;
  BOOST_TEST(forward("")->held == d * d * k);
  BOOST_TEST(forward("")->multiplications == d * d * d * k + d * k + d * d * k);
  BOOST_TEST(forward("J = 2-step mask")->held == d * d * k);  // dense: RTRL
  BOOST_TEST(forward("J = 1-step mask")->held == forward("J = leak")->held);
  BOOST_TEST(forward("J = leak")->held == d * k);
  BOOST_TEST(forward("cut = every 10; future = true")->held == d * d * k + 10 * (d + n));
  BOOST_TEST(forward("cut = every 10; future = true")->multiplications < forward("")->multiplications / 2);
  BOOST_TEST(reverse("")->held == 20 * (d + n));
  BOOST_TEST(reverse("cut = every 4")->held == 4 * (d + n));
  BOOST_TEST(reverse("cut = every 4")->multiplications == (d * d + d) + d + d * k);
  BOOST_TEST(reverse("cut = after 4")->multiplications == 3 * (d * d + d) + d + d * k);
  BOOST_TEST((!reverse("projection = signs") && !reverse("J = 1-step mask") && !forward("cut = after 4") &&
              !forward("future = predicted")));
}
