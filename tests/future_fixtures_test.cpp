// The runs of other people's programs, step by step: E-BPTT, F-BPTT, DNI, BP(lambda) and the perturbation rules.
//
// vanilla-rtrl (Marschall), bp_lambda (Pemberton and Costa) and NP_RNNs (Fernandez et al.); what a file holds is told
// by its fields. $UNROLL_FIXTURES, default ../shared/fixtures.
#include <Eigen/LU>
#include <boost/test/unit_test.hpp>
#include <iostream>

#include "tests/fixtures.h"

#ifdef UNROLL_HAS_JSON

#include "rules/activity_perturbation.h"
#include "rules/bp_lambda.h"
#include "rules/decorrelation.h"
#include "rules/dni.h"
#include "rules/e_bptt.h"
#include "rules/f_bptt.h"
#include "rules/node_perturbation.h"
#include "rules/weight_perturbation.h"
#include "tests/fixture_cases.h"

namespace {

using Eigen::Index;
using rnn::MatrixX, rnn::Parameters;
using tests::Json, tests::matrix, tests::same;
using Matrix = MatrixX<double>;

Matrix side_by_side(const Matrix& a, const Matrix& b) {
  Matrix both(a.rows(), a.cols() + b.cols());
  both << a, b;
  return both;
}

/// Runs a rule over a case; look(t, what was released at t with the readout's part) after each step.
template <class R, class F>
void run(R& rule, const tests::Case& k, const Matrix& feedback, F&& look) {
  rules::Loop<double> loop(k.net, feedback);
  rule.reset();
  for (Index t = 1; t <= k.sequence.length(); ++t) {
    Parameters<double> released = zeros_like(k.net.parameters);
    loop.step(rule, k.sequence.x.col(t - 1), k.sequence.target.col(t - 1), t == k.sequence.length(), released);
    look(t, released);
  }
}

// --- vanilla-rtrl --------------------------------------------------------------------------------------------------

template <class R>
void truncated(const std::string& where, const Json& c, const tests::Case& k) {
  rnn::Options options;
  options.truncation = c.at("T_truncation");
  R rule(k.net, options);
  run(rule, k, {}, [&](Index t, const auto& released) {
    same(where + ", t = " + std::to_string(t), released, c["steps"][static_cast<std::size_t>(t - 1)]["grad"]);
  });
}

/// The first of these fields that the case has.
const Json* field(const Json& c, std::initializer_list<const char*> names) {
  for (const char* part : {"", "config", "params", "init"}) {
    const Json* in = *part == '\0' ? &c : c.contains(part) ? &c[part] : nullptr;
    for (const char* name : names)
      if (in != nullptr && in->is_object() && in->contains(name)) return &(*in)[name];
  }
  return nullptr;
}

template <class R>
void dni(R& rule, const std::string& where, const Json& c, const tests::Case& k, const Matrix& feedback) {
  run(rule, k, feedback, [&](Index t, const auto& released) {
    const Json& s = c["steps"][static_cast<std::size_t>(t - 1)];
    const std::string at = where + ", t = " + std::to_string(t);
    same(at, released, s["grad"]);
    if (s.contains("A")) same(at + " Theta", rule.Theta(), matrix(s["A"]));
    if (s.contains("A_")) same(at + " Thetabar", rule.Thetabar(), matrix(s["A_"]));
    if (s.contains("sg_target")) same(at + " target", rule.target(), matrix(s["sg_target"]));
    if (s.contains("sg")) same(at + " synthetic gradient", rule.synthetic(), matrix(s["sg"]));
    for (const char* name : {"J_approx", "Jt", "J"})
      if (s.contains(name) && s[name].is_array() && rule.Jt().size() != 0) same(at + " Jt", rule.Jt(), matrix(s[name]));
  });
}

// --- bp_lambda -----------------------------------------------------------------------------------------------------

/// Where a tensor's update is longer than 1 the reference divides it by its norm.
Matrix clipped(const Matrix& m) { return m.norm() > 1 ? Matrix(m / m.norm()) : m; }

void bp_lambda(const std::string& where, const Json& c, const tests::Case& k) {
  const Index d = k.net.d();
  rnn::Options options;
  options.gamma = c["config"]["gamma"], options.lambda = c["config"]["lam"];
  options.sg_factor = c["config"]["sg_factor"];
  options.learn_at_end = true, options.lr = 0.25;
  const Matrix Theta = side_by_side(matrix(c["theta_weight"]), matrix(c["theta_bias"]));
  options.state["Theta"] = Theta;
  rules::BpLambda<double> rule(k.net, options);
  Parameters<double> total = zeros_like(k.net.parameters);
  Matrix updates = Matrix::Zero(d, d + 1), weight = Matrix::Zero(d, d), bias = Matrix::Zero(d, 1);
  run(rule, k, {}, [&](Index t, const auto& released) {
    total += released;
    if (t == 1) return;
    const Json& s = c["transitions"][static_cast<std::size_t>(t - 2)];
    const std::string at = where + ", transition to " + std::to_string(t);
    same(at + " delta", rule.td_error(), matrix(s["delta"]));
    updates += rule.update();
    weight += clipped(rule.update().leftCols(d)), bias += clipped(rule.update().col(d));
    same(at + " update", -clipped(rule.update().leftCols(d)), matrix(s["applied_weight_grad"]));
    same(at + " update of the bias", -clipped(rule.update().col(d)), matrix(s["applied_bias_grad"]));
    const Matrix trace = rule.trace();
    for (Index j = 0; j < d; ++j) {
      Matrix of_weight(d, d), of_bias(d, 1);
      for (Index row = 0; row < d; ++row) {
        of_bias(row) = trace(j, d * d + row);
        for (Index l = 0; l < d; ++l) of_weight(row, l) = trace(j, l * d + row);
      }
      same(at + " trace", of_weight, matrix(s["e_weight"][static_cast<std::size_t>(j)]));
      same(at + " trace of the bias", of_bias, matrix(s["e_bias"][static_cast<std::size_t>(j)]));
    }
  });
  const auto steps = static_cast<double>(k.sequence.length());
  total.W_out /= steps, total.b_out /= steps;  // the reference's readout descends the mean over time
  same(where, total, c["grad"]);
  same(where + " Theta's", -weight, matrix(c["grad_theta_weight"]));
  same(where + " Theta's bias", -bias, matrix(c["grad_theta_bias"]));
  BOOST_TEST((rule.Theta() == Theta));  // fixed through the sequence, ...
  rule.finish();
  same(where + " learned at the end", rule.Theta(), Theta + 0.25 * updates);  // ... and learned at its end
}

// --- NP_RNNs -------------------------------------------------------------------------------------------------------

/// The whole sequence's change of weights. The reference's loss is a mean over the outputs, its noise is in the update
/// once more (sigma times an estimate), and it credits each loss to its own step alone: lambda = 0.
void perturbation(const std::string& where, const Json& c, tests::Case k) {
  const std::string algorithm = c["algorithm"];
  const Index n = k.net.n(), d = k.net.d(), m = k.net.m();
  const auto given = [&](const char* name, Index size) {
    return c["params"].contains(name) ? matrix(c["params"][name]) : Matrix(Matrix::Identity(size, size));
  };
  const Matrix R = given("R_decor_hidden", d), R_in = given("R_decor_input", n);
  const rules::Decorrelation<double> decorrelation(R);
  k.net = decorrelation.folded(k.net);
  k.sequence.x = R_in * k.sequence.x;

  std::vector<std::vector<double>> draws;
  for (const Json& step : c["xi_standard_normal_draws"]) {
    std::vector<double> entry;
    const auto take = [&](const Matrix& a) { entry.insert(entry.end(), a.data(), a.data() + a.size()); };
    if (algorithm == "WP") {  // W_in, W_rec, W_out there; no biases
      take(matrix(step[1]) * R), take(matrix(step[0])), take(Matrix::Zero(d, 1));
      take(matrix(step[2]) * R), take(Matrix::Zero(m, 1));
    } else {
      take(matrix(step[0]).transpose()), take(matrix(step[1]).transpose());
    }
    draws.push_back(std::move(entry));
  }
  rnn::Options options;
  options.draws = rnn::Draws(draws);
  options.sigma = c["config"]["noise_std"].get<double>();
  options.lambda = 0;
  options.perturb_outputs = true;
  const double scale =
      -c["config"]["lr"].get<double>() * 2 / static_cast<double>(m) * (algorithm == "ANP" ? 1 : *options.sigma);
  Matrix W_rec = Matrix::Zero(d, d), W_in = Matrix::Zero(d, n);
  const auto replay = [&](auto&& rule) {
    run(rule, k, {}, [&](Index t, const auto& released) {
      W_in += scale * released.W_in;
      if (t > 1)  // where h_0 = 0 the reference leaves W_rec alone
        W_rec +=
            scale * (algorithm == "WP" ? Matrix(released.W_rec * R.inverse()) : Matrix(released.W_rec * R.transpose()));
    });
  };
  if (algorithm == "NP")
    replay(rules::NodePerturbation<double>(k.net, options));
  else if (algorithm == "WP")
    replay(rules::WeightPerturbation<double>(k.net, options));
  else if (algorithm == "ANP")
    replay(rules::ActivityPerturbation<double>(k.net, options));
  else
    BOOST_FAIL("unknown algorithm " + algorithm);
  // A difference of losses near 1, over sigma: 1e-16 / sigma each, ten of them.
  const double rounding = 1e-15 / *options.sigma;
  same(where + " W_in", W_in, matrix(c["dW"]["Win"]), rounding);
  same(where + " W_rec", W_rec, matrix(c["dW"]["Wrec"]), rounding);
}

/// Files of bp_lambda and NP_RNNs name a few fields in their own way.
Json as_the_others(Json c) {
  Json& config = c["config"];
  if (config.contains("alpha_leak")) config["alpha"] = config["alpha_leak"];
  if (config.contains("act")) config["activation"] = config["act"];
  if (!config.contains("head")) config["head"] = "identity+mse";
  return c;
}

}  // namespace

BOOST_AUTO_TEST_CASE(vanilla_rtrls_future_facing_rules) {
  const int before = tests::compared;
  int cases = 0;
  tests::for_each_case("vanilla_",
                       [&](const std::string& where, const Json& file, const Json& c, const tests::Case& k) {
                         const std::string algorithm = c.value("algorithm", file.value("algorithm", ""));
                         if (algorithm == "E_BPTT") {
                           truncated<rules::EBptt<double>>(where, c, k);
                         } else if (algorithm == "F_BPTT") {
                           truncated<rules::FBptt<double>>(where, c, k);
                         } else if (algorithm == "DNI") {
                           rnn::Options options;
                           options.lr = c.at("sg_lr").get<double>();
                           options.refresh = c.at("fix_A_interval");
                           options.state["Theta"] = matrix(c["init"]["A"]);
                           options.state["Thetabar"] = matrix(c["init"]["A_"]);
                           const Json* W_FB = field(c, {"W_FB"});
                           const Matrix feedback = W_FB != nullptr && W_FB->is_array() ? matrix(*W_FB) : Matrix();
                           if (c.value("J", "exact") == "exact") {
                             rules::Dni<double> rule(k.net, options);
                             dni(rule, where, c, k, feedback);
                           } else {
                             const Json* rate = field(c, {"J_lr", "lr_J"});
                             options.J_lr = rate != nullptr ? rate->get<double>() : 0.01;
                             const Json* Jt = field(c, {"J_approx"});
                             if (Jt != nullptr && Jt->is_array()) options.state["Jt"] = matrix(*Jt);
                             rules::DniB<double> rule(k.net, options);
                             dni(rule, where, c, k, feedback);
                           }
                         } else {
                           return;
                         }
                         ++cases;
                       });
  std::cout << cases << " cases, " << tests::compared - before << " arrays compared\n";
}

BOOST_AUTO_TEST_CASE(accumulate_bp_lambda_and_perturbation) {
  const int before = tests::compared;
  int cases = 0;
  for (const char* prefix : {"bp_lambda", "np_rnns"})
    for (const auto& path : tests::fixtures(prefix)) {
      Json file;
      std::ifstream in(path);
      BOOST_REQUIRE_NO_THROW(file = Json::parse(in));
      for (std::size_t i = 0; i < file["cases"].size(); ++i) {
        const Json c = as_the_others(file["cases"][i]);
        const std::string where = path.filename().string() + ", case " + std::to_string(i);
        tests::Case k;
        if (!tests::read(c, k)) continue;
        if (c.contains("transitions"))
          bp_lambda(where, c, k);
        else if (c.contains("xi_standard_normal_draws"))
          perturbation(where, c, k);
        else
          continue;
        ++cases;
      }
    }
  std::cout << cases << " cases, " << tests::compared - before << " arrays compared\n";
}

#else

BOOST_AUTO_TEST_CASE(without_json) {
  std::cout << "skipped: reference runs need nlohmann-json (Debian: nlohmann-json3-dev)\n";
}

#endif
