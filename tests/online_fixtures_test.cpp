// The past-facing rules against vanilla-rtrl's: every step replayed with the recorded start and draws, weights fixed.
//
// Of $UNROLL_FIXTURES (default ../shared/fixtures) whatever names one of these algorithms is run; the fields of a case say
// what is set and what is compared.
#include <boost/test/unit_test.hpp>
#include <iostream>

#ifdef UNROLL_HAS_JSON

#include "rules/kernl.h"
#include "rules/kf_rtrl.h"
#include "rules/r_kf_rtrl.h"
#include "rules/rflo.h"
#include "rules/rtrl.h"
#include "rules/uoro.h"
#include "tests/fixture_cases.h"

namespace {

using Eigen::Index;
using tests::Json, tests::matrix, tests::same;

struct Replay {
  const Json& c;
  const tests::Case& k;
  rnn::Options options;

  const Json& init() const { return c["init"]; }
  /// The field of each step, a vector, as the draws of a run.
  void draw_from(const char* field) {
    std::vector<std::vector<double>> recorded;
    for (const Json& step : c["steps"]) recorded.push_back(step.at(field).get<std::vector<double>>());
    options.draws = rnn::Draws(std::move(recorded));
  }
  void start(const char* name, const char* field) { options.state[name] = matrix(init().at(field)); }

  /// Steps the rule through the sequence; each gradient, and what inside(rule, step of the file) compares.
  template <class R, class F>
  void run(R rule, F&& inside, double tolerance = tests::of_reference) const {
    rules::Loop<double> loop(k.net, options.feedback);
    BOOST_REQUIRE(static_cast<Index>(c["steps"].size()) == k.sequence.length());
    for (Index t = 1; t <= k.sequence.length(); ++t) {
      const Json& step = c["steps"][static_cast<std::size_t>(t - 1)];
      auto got = zeros_like(k.net.parameters);
      loop.step(rule, k.sequence.x.col(t - 1), k.sequence.target.col(t - 1), t == k.sequence.length(), got);
      BOOST_TEST_CONTEXT("t = " << t) {
        rnn::for_each_block(
            [&](std::string_view block, const auto& b) {
              const auto& expected = step.at("grad").at(tests::key(block));
              same("grad." + std::string(block), b, matrix(expected), tolerance);
            },
            got);
        inside(rule, step);
      }
    }
  }
};

/// A scalar as a matrix.
rnn::MatrixX<double> one(double x) { return rnn::MatrixX<double>::Constant(1, 1, x); }

/// UORO, KF-RTRL and R-KF-RTRL: their state has the same names.
template <class R>
void low_rank(Replay replay) {
  replay.draw_from("nu");
  replay.start("A", "A");
  replay.start("B", "B");
  // The reference may take J A by differences with this step; that is good to half its digits, and so is this comparison.
  const bool differences = replay.c.contains("epsilon") && !replay.c["epsilon"].is_null();
  const double tolerance = differences ? 1e-5 : tests::of_reference;
  if (differences) std::cout << "J A by differences in the reference: compared to " << tolerance << '\n';
  replay.run(
      R(replay.k.net, replay.options),
      [&](const R& rule, const Json& step) {
        same("A", rule.A(), matrix(step.at("A")), tolerance);
        same("B", rule.B(), matrix(step.at("B")), tolerance);
        same("p0", one(rule.p0()), one(step.at("p0")), tolerance);
        same("p1", one(rule.p1()), one(step.at("p1")), tolerance);
      },
      tolerance);
}

void rflo(Replay replay) {
  rules::Rflo<double> rule(replay.k.net);
  same("E_0", rule.E(), matrix(replay.init().at("B")));
  replay.run(rule, [](const auto& r, const Json& step) { same("E", r.E(), matrix(step.at("B"))); });
}

void rtrl(Replay replay) {
  replay.run(rules::Rtrl<double>(replay.k.net), [](const auto&, const Json&) {});
}

void kernl(Replay replay) {
  replay.draw_from("zeta");
  replay.options.lr = replay.c.at("kernl_lr").get<double>();
  replay.start("A", "A");
  replay.start("gamma", "alpha");
  replay.start("zeta", "zeta");
  rules::Kernl<double> rule(replay.k.net, replay.options);
  same("E_0", rule.E(), matrix(replay.init().at("B")));
  same("Omega_0", rule.Omega(), matrix(replay.init().at("Omega")));
  same("Gamma_0", rule.Gamma(), matrix(replay.init().at("Gamma")));
  replay.run(rule, [&](const auto& r, const Json& step) {
    same("A", r.A(), matrix(step.at("A")));
    same("gamma", r.gamma(), matrix(step.at("alpha")));
    same("E", r.E(), matrix(step.at("B")));
    same("Omega", r.Omega(), matrix(step.at("Omega")));
    same("Gamma", r.Gamma(), matrix(step.at("Gamma")));
    // a difference of two states, some 1e3 times smaller than they are
    same("observed", r.h_hat() - matrix(step.at("h")), matrix(step.at("error_observed")), 1e-11);
  });
}

const std::map<std::string, void (*)(Replay)> replays = {
    {"RTRL", rtrl},
    {"RFLO", rflo},
    {"KeRNL", kernl},
    {"UORO", low_rank<rules::Uoro<double>>},
    {"KF_RTRL", low_rank<rules::KfRtrl<double>>},
    {"R_KF_RTRL", low_rank<rules::RKfRtrl<double>>},
};

}  // namespace

BOOST_AUTO_TEST_CASE(every_step_of_every_case_is_the_references) {
  std::map<std::string, int> cases;
  tests::for_each_case("", [&](const std::string& name, const Json& file, const Json& c, const tests::Case& k) {
    const auto found = replays.find(file.value("algorithm", ""));
    if (found == replays.end()) return;
    ++cases[found->first];
    Replay replay{c, k, {}};
    if (c.contains("W_FB")) replay.options.feedback = matrix(c["W_FB"]);
    BOOST_TEST_CONTEXT(name) found->second(replay);
  });
  for (const auto& [algorithm, count] : cases) std::cout << count << " of " << algorithm << ", ";
  std::cout << tests::compared << " arrays and numbers compared\n";
}

#else

BOOST_AUTO_TEST_CASE(without_json) {
  std::cout << "skipped: the reference's numbers need nlohmann-json (Debian: nlohmann-json3-dev)\n";
}

#endif
