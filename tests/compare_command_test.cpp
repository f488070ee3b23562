// `unroll compare` and `unroll rules`: the same bits again, for any number of threads; what is measured is what it says.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "rules/registry.h"
#include "tests/commands.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/comparison.h"
#include "tutorials/program/formula.h"
#include "tutorials/program/options.h"

namespace {

using tests::printed;
using tutorials::Compared, tutorials::Comparison, tutorials::Course;

const std::atomic<bool> never{false};

std::vector<Compared> compared(const Comparison& s) { return compare(s, nullptr, never); }

/// A small network: the whole test takes seconds.
Comparison small(std::vector<std::string> rules) {
  Comparison s;
  s.rules = std::move(rules);
  s.units = 6, s.steps = 1500, s.points = 3, s.rate = 0.01, s.truncation = 4, s.block = 25;
  return s;
}

bool same(const std::vector<Compared>& a, const std::vector<Compared>& b) {
  if (a.size() != b.size()) return false;
  const auto equal = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].courses.size() != b[i].courses.size() || a[i].credit != b[i].credit) return false;
    for (std::size_t k = 0; k < a[i].courses.size(); ++k) {
      const Course &c = a[i].courses[k], &o = b[i].courses[k];
      if (c.losses != o.losses || c.at != o.at || !equal(c.last, o.last) || !equal(c.noise, o.noise)) return false;
      for (std::size_t p = 0; p < c.step.size(); ++p)
        if (!equal(c.step[p].all, o.step[p].all) || !equal(c.sum[p].W_in, o.sum[p].W_in)) return false;
    }
  }
  return true;
}

std::size_t longest_line(const std::string& text) {
  std::istringstream in(text);
  std::size_t longest = 0;
  for (std::string line; std::getline(in, line);) longest = std::max(longest, line.size());
  return longest;
}

}  // namespace

BOOST_AUTO_TEST_CASE(runs_repeat_to_the_bit_whatever_the_threads) {
  Comparison s = small({"bptt", "rflo", "uoro", "dni-b", "node-perturbation"});
  s.seeds = 2, s.threads = 1;
  const auto first = compared(s);
  BOOST_TEST(same(first, compared(s)));
  s.threads = 3;
  BOOST_TEST(same(first, compared(s)));
  s.first_seed = 20;
  BOOST_TEST(!same(first, compared(s)));
}

// Written out without the command: the same stream, the same network, rnn::Descent after every step.
BOOST_AUTO_TEST_CASE(the_loss_is_that_of_plain_training) {
  Comparison s = small({"rtrl"});
  s.points = 0, s.first_seed = 5;
  const auto all = compared(s);
  rnn::Random weights(10), data(11);
  auto net = rnn::random_network(2, 6, 2, weights);
  net.loss = rnn::Loss::softmax_ce;
  const auto stream = rnn::add_task(1500, data);
  rules::Rtrl<double> rule(net);
  rules::Training<rules::Rtrl<double>> training(net, rule, rnn::Descent(0.01));
  double last = 0, bin = 0;
  for (Eigen::Index t = 0; t < 1500; ++t) {
    const double loss = training.step(stream.x.col(t), stream.target.col(t));
    if (t >= 1350) last += loss / 150;
    if (t >= 15 && t < 30) bin += loss / 15;
  }
  const Course& c = all[0].courses[0];
  BOOST_TEST(c.done == 1500);
  BOOST_TEST(std::abs(c.last - last) < 1e-12);
  BOOST_TEST(c.losses.size() == 100u);
  BOOST_TEST(std::abs(c.losses[1] - bin) < 1e-12);
}

// Measuring changes nothing that is learned; exact rules point where the gradient points, and RFLO less so.
BOOST_AUTO_TEST_CASE(alignment_is_one_for_exact_rules_and_does_not_disturb) {
  Comparison s = small({"rtrl", "hybrid", "f-bptt", "rflo", "readout", "bptt"});
  s.truncation = 30, s.rate = 1e-3;
  const auto all = compared(s);
  const auto step = [&](std::size_t i) { return mean(all[i].courses, &Course::step); };
  const auto sum = [&](std::size_t i) { return mean(all[i].courses, &Course::sum); };
  BOOST_TEST(all[0].courses[0].at.size() == 3u);
  BOOST_TEST(step(0).all > 1 - 1e-6);  // RTRL beside an RTRL that began 56 steps before
  BOOST_TEST(step(0).W_in > 1 - 1e-6);
  BOOST_TEST(sum(1).all > 1 - 1e-6);
  BOOST_TEST(step(2).all > 0.99);  // 30 steps of the credit are nearly all
  BOOST_TEST(step(2).all < 1);
  BOOST_TEST(step(3).all < 0.95);
  BOOST_TEST(step(3).all > 0.2);
  BOOST_TEST(std::isnan(step(4).all));
  BOOST_TEST(std::isnan(step(5).all));  // bptt on a stream: sums over its blocks
  BOOST_TEST(sum(5).all > 0.9);
  s.points = 0;
  const auto unseen = compared(s);
  for (std::size_t i = 0; i < all.size(); ++i) {
    BOOST_TEST(unseen[i].courses[0].step.empty());
    BOOST_TEST(std::abs(all[i].courses[0].last - unseen[i].courses[0].last) < 1e-12);
  }
}

// Beside another rule: its losses, one's own alignment; the steps in between are the same.
BOOST_AUTO_TEST_CASE(along_another_rule_the_losses_are_its) {
  Comparison s = small({"rtrl", "rflo", "kf-rtrl", "dni"});
  s.along = "rtrl";
  const auto all = compared(s);
  for (const Compared& c : all) BOOST_TEST(std::abs(c.courses[0].last - all[0].courses[0].last) < 1e-12);
  BOOST_TEST(mean(all[0].courses, &Course::step).all > 1 - 1e-6);
  BOOST_TEST(mean(all[1].courses, &Course::step).all < 0.95);
  BOOST_TEST(std::abs(mean(all[2].courses, &Course::step).all) < 0.95);
}

// Row t, column s: BPTT has the whole triangle, RFLO at alpha = 1 the diagonal, E-BPTT its blocks, F-BPTT its band.
BOOST_AUTO_TEST_CASE(credit_matrices_show_what_is_kept) {
  Comparison one_network = small({"bptt", "rflo", "e-bptt", "f-bptt", "rtrl", "dni", "readout"});
  one_network.along = "rtrl";
  const auto all = compared(one_network);
  const auto& exact = all[0].credit;
  BOOST_REQUIRE(exact.rows() == 8);
  for (Eigen::Index t = 0; t < 8; ++t)
    for (Eigen::Index s = 0; s < 8; ++s) {
      const auto is = [&](std::size_t i, bool kept) {
        return std::abs(all[i].credit(t, s) - (kept ? exact(t, s) : 0)) < 1e-12;
      };
      BOOST_TEST((exact(t, s) > 0) == (s <= t));
      BOOST_TEST(is(1, s == t));
      BOOST_TEST(is(2, s <= t && s / 4 == t / 4));
      BOOST_TEST(is(3, s <= t && t - s < 4));
      BOOST_TEST(is(4, true));
    }
  BOOST_TEST((all[6].credit.size() == 0 && !all[6].no_credit.empty()));
}

// Errors through a random B teach another network, but are measured against the gradient. A rule measured beside another
// keeps its own feedback.
BOOST_AUTO_TEST_CASE(alignment_is_with_the_exact_gradient_whatever_the_feedback) {
  Comparison s = small({"rtrl", "f-bptt"});
  s.random_feedback = true, s.rate = 1e-4, s.truncation = 30;
  for (const Compared& c : compared(s)) {
    BOOST_TEST(mean(c.courses, &Course::step).all < 0.7);
    BOOST_TEST(std::abs(c.courses[0].feedback) < 0.7);
  }
  s = small({"dni-b"});
  s.rate = 1e-9;  // the network stays as it is: what is measured is the same beside any rule
  const auto alone = compared(s);
  s.along = "rtrl";
  const auto beside = compared(s);
  BOOST_TEST(std::abs(mean(alone[0].courses, &Course::step).all - mean(beside[0].courses, &Course::step).all) < 1e-4);
}

// What is predicted stands apart from the losses; of bp-lambda the loss of the very step is on the diagonal, as RFLO's is
// at alpha = 1. Noise on the units: of this loss alone the rule gives every use its share, the trace fading by 0.9 a step.
BOOST_AUTO_TEST_CASE(predictions_and_noise_have_a_credit_of_their_own) {
  Comparison s = small({"rflo", "bp-lambda", "dni", "dni-b", "node-perturbation", "activity-perturbation"});
  s.along = "rtrl";
  const auto all = compared(s);
  BOOST_TEST(all[0].predicted.size() == 0);
  BOOST_TEST((all[1].credit - all[0].credit).norm() < 1e-12);
  for (const std::size_t i : {1u, 2u, 3u})
    BOOST_TEST((all[i].predicted.size() == 8 && all[i].predicted.minCoeff() > 0));
  for (const std::size_t i : {2u, 3u}) BOOST_TEST(all[i].credit.isZero(0));
  for (Eigen::Index t = 0; t < 8; ++t)
    for (Eigen::Index u = 0; u < 8; ++u) {
      BOOST_TEST((all[4].credit(t, u) > 0) == (u <= t));
      BOOST_TEST((all[5].credit(t, u) > 0) == (u == t));
    }
  // one noise, one h_{s-1}, whatever the loss: the rows of node perturbation are multiples of each other
  const auto& node = all[4].credit;
  BOOST_TEST(std::abs(node(7, 2) / node(7, 4) - node(5, 2) / node(5, 4)) < 1e-9 * node(7, 2) / node(7, 4));
  const std::string page = compare_page(s.complete(), all, false);
  BOOST_TEST(page.find("predicted, use 8") != page.npos);
  BOOST_TEST(compare_json(s.complete(), all, false).find("\"predicted\": [") != std::string::npos);
}

// An episode judged at its end: noise that came after a loss is credited with it, too.
BOOST_AUTO_TEST_CASE(whole_sequences_credit_noise_with_losses_before_it) {
  Comparison s = small({"node-perturbation", "weight-perturbation"});
  s.task = &rnn::task("delayed-copy"), s.steps = 110, s.points = 0;
  const auto all = compared(s);
  BOOST_TEST(all[0].credit(2, 5) > 0);
  BOOST_TEST((all[1].credit.size() == 0 && !all[1].no_credit.empty()));
}

BOOST_AUTO_TEST_CASE(stochastic_rules_show_their_noise) {
  const auto all = compared(small({"uoro", "kf-rtrl", "rflo", "forward-gradient"}));
  for (const std::size_t i : {0u, 1u, 3u}) BOOST_TEST(all[i].courses[0].noise > 0.5);
  BOOST_TEST(std::isnan(all[2].courses[0].noise));
}

BOOST_AUTO_TEST_CASE(every_rule_learns_every_task_without_an_error) {
  for (const auto& task : rnn::tasks) {
    BOOST_TEST_CONTEXT(task.name) {
      Comparison s = small({});
      s.task = &task, s.steps = 200, s.points = 1, s.units = 4, s.rate = 1e-4;
      const bool thorough = task.name == "add" || task.name == "line";
      for (const auto& rule : rules::registry)
        if (thorough || rule.id == "bptt" || rule.id == "rflo") s.rules.emplace_back(rule.id);
      for (const Compared& c : compared(s)) {
        BOOST_TEST_CONTEXT(c.rule) {
          BOOST_TEST(c.courses[0].done >= 200);
          BOOST_TEST(std::isfinite(c.courses[0].last));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(it_stops_with_what_it_has) {
  Comparison s = small({"rflo", "rtrl"});
  s.steps = 1'000'000, s.threads = 1, s.points = 0;
  std::atomic<bool> stop{false};
  const auto all = compare(
      s, [&](double part) { stop = stop || part > 0.005; }, stop);
  BOOST_TEST(all[0].courses[0].done > 9'000);
  BOOST_TEST(all[0].courses[0].done < 20'000);
  BOOST_TEST(std::isfinite(all[0].courses[0].last));
  BOOST_TEST(all[1].courses[0].done == 0);
  const std::string table = compare_table(s.complete(), all, true);
  BOOST_TEST(table.find("STOPPED") != table.npos);
  BOOST_TEST(compare_page(s.complete(), all, true).find("Stopped") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_run_that_diverges_says_so) {
  Comparison s = small({"rflo", "readout"});
  s.task = &rnn::task("mackey-glass");
  s.rate = 1e6, s.alpha = 1;
  const auto all = compared(s);
  BOOST_TEST(all[1].courses[0].diverged);
  BOOST_TEST(compare_table(s.complete(), all, false).find("DIVERGED: readout") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_table_is_80_columns_and_the_page_needs_no_network) {
  Comparison s = small({"bptt", "activity-perturbation", "uoro"});
  s.seeds = 2;
  const auto all = compared(s);
  const std::string table = compare_table(s.complete(), all, false);
  BOOST_TEST_CONTEXT(table) BOOST_TEST(longest_line(table) <= 80u);
  for (const rnn::TaskFacts& task : rnn::tasks) {
    Comparison other = s;
    other.task = &task, other.random_feedback = other.each_sequence = true, other.gain = 3;
    auto huge = all;
    huge[0].courses[0].last = 1e300;
    const std::string text = compare_table(other.complete(), huge, false);
    BOOST_TEST_CONTEXT(text) BOOST_TEST(longest_line(text) <= 80u);
    for (const char* part : {"random matrix", "end of each sequence", "gain 3"})
      BOOST_TEST(text.find(part) != text.npos);
  }
  const std::string json = compare_json(s.complete(), all, false);
  for (const char* part : {"\"random_feedback\": false", "\"each_sequence\": false", "\"gain\": ", "\"readout\": "})
    BOOST_TEST(json.find(part) != json.npos);
  for (const Compared& c : all) BOOST_TEST(table.find(c.rule) != table.npos);
  const std::string page = compare_page(s.complete(), all, false);
  for (const char* part : {"http://", "https://", "<script", "src="}) BOOST_TEST(page.find(part) == page.npos);
  for (const char* part : {"</html>", "Learning", "Credit", "prefers-color-scheme"})
    BOOST_TEST(page.find(part) != page.npos);
  BOOST_TEST(page.find("nan") == page.npos);
}

BOOST_AUTO_TEST_CASE(wrong_words_are_explained) {
  const auto says = [](std::vector<std::string> words, const std::string& part) {
    BOOST_CHECK_EXCEPTION(printed(tutorials::compare_command, words), std::exception, [&](const std::exception& e) {
      return std::string(e.what()).find(part) != std::string::npos || (BOOST_TEST_MESSAGE(e.what()), false);
    });
  };
  says({"--task", "ad"}, "mackey-glass");
  says({"--rules", "btpp"}, "kf-rtrl");
  says({"--rules", "rflo,"}, "\"\"");
  says({"--steps", "0"}, "--steps");
  says({"--rate", "-1"}, "rate");
  says({"--rate", "0"}, "rate");
  says({"--alpha", "2"}, "alpha");
  says({"--alpha", "0"}, "alpha is 0");
  says({"--gain", "-5"}, "gain is -5");
  says({"--readout", "-5"}, "readout -5");
  says({"--json", "/nowhere/a.json"}, "cannot write /nowhere/a.json");  // before the work
  says({"--json", "same", "--html", "same"}, "same file");
  says({"--optimizer", "adma"}, "adma");
  says({"add"}, "--task");
}

BOOST_AUTO_TEST_CASE(help_is_80_columns_wide) {
  for (const auto command : {tutorials::compare_command, tutorials::rules_command})
    BOOST_TEST(longest_line(printed(command, {"--help"})) <= 80u);
  BOOST_TEST(tutorials::wrapped("a bb ccc\n  d = ee ff\n\ng", 3, 8) == "a bb ccc\n     d = ee\n   ff\n\n   g");
}

BOOST_AUTO_TEST_CASE(formulas_are_read) {
  const std::map<std::string, double> at = {{"d", 3}, {"k", 5}, {"T", 7}, {"T'", 2}, {"h", 4}, {"n", 2}, {"m", 1}};
  using tutorials::evaluate;
  BOOST_TEST(evaluate("d^3 k", at) == 135);
  BOOST_TEST(evaluate("T (d + n)", at) == 35);
  BOOST_TEST(evaluate("T' d^2 + d n", at) == 24);
  BOOST_TEST(evaluate("d^3 k / h + d^2 k + d^3", at) == 135 / 4. + 45 + 27);
  BOOST_TEST(evaluate("r k, r = units reached; n = 1: d k", at) == 15);
  BOOST_TEST(evaluate("1", at) == 1);
  for (const char* bad : {"q d", "d +", "(d", "d)", ""}) BOOST_CHECK_THROW(evaluate(bad, at), std::invalid_argument);
  for (const auto& rule : rules::registry) {
    BOOST_TEST(evaluate(rule.memory, at) > 0);
    BOOST_TEST(evaluate(rule.time, at) > 0);
  }
}

BOOST_AUTO_TEST_CASE(the_table_of_rules_names_them_all_in_80_columns) {
  const std::string table = printed(tutorials::rules_command, {}), json = printed(tutorials::rules_command, {"--json"});
  BOOST_TEST(longest_line(table) <= 80u);
  for (const auto& rule : rules::registry) {
    BOOST_TEST(table.find("\n" + std::string(rule.id) + " ") != table.npos);
    BOOST_TEST(json.find("\"id\": \"" + std::string(rule.id) + "\"") != json.npos);
  }
  BOOST_CHECK_THROW(printed(tutorials::rules_command, {"--mesure"}), tutorials::UsageError);
}
