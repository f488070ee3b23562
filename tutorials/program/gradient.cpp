// `unroll gradient`: the gradient of the network in a file, by any rule, by hand or derived.
#ifdef UNROLL_HAS_JSON

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "rnn/bptt.h"
#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rnn/surgery.h"
#include "tutorials/program/all_rules.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/json_lines.h"
#include "tutorials/program/network_file.h"
#include "tutorials/program/options.h"

namespace tutorials {
namespace {

using rnn::MatrixX, rnn::Parameters, rnn::VectorX;

std::vector<std::string> ids() {
  std::vector<std::string> all;
  for (const auto& rule : rules::registry) all.emplace_back(rule.id);
  for (const auto& row : rnn::edits) all.push_back("ad:" + std::string(row.id));
  return all;
}

/// What one rule made of the file.
struct Answer {
  double loss = 0;
  VectorX<double> losses;
  Parameters<double> gradient;
  std::vector<Parameters<double>> per_step;
  MatrixX<double> delta;           // d x T; empty where the rule has none
  std::vector<MatrixX<double>> P;  // [t-1], d x d k; empty where the rule has none
};

/// A rule that is watched: P_t is kept after every step.
struct Watched {
  rules::AnyRule<double>& rule;
  std::vector<MatrixX<double>>& P;
  rules::Facing facing = rule.facing;

  void reset() { rule.reset(); }
  const rules::Gradient<double>& observe(const rnn::Transition<double>& t) {
    const auto& released = rule.observe(t);
    P.push_back(*rule.P());
    return released;
  }
  const rules::Gradient<double>& finish() { return rule.finish(); }
};

Answer by_hand(const std::string& id, const NetworkFile& file, bool per_step, bool sensitivity) {
  const auto& [name, network, sequence, options, claim] = file;
  const auto rule = rules::make_rule(id, network, options);
  Answer a;
  Watched watched{*rule, a.P};
  auto learned = sensitivity && rule->P() ? rules::learn(watched, network, sequence, per_step, options.feedback)
                                          : rules::learn(*rule, network, sequence, per_step, options.feedback);
  a.loss = learned.loss, a.losses = learned.losses;
  a.gradient = std::move(learned.gradient), a.per_step = std::move(learned.per_step);
  if (rule->delta()) a.delta = *rule->delta();
  return a;
}

Answer by_an_edit(std::string_view id, const NetworkFile& file, bool per_step) {
  auto r = rnn::derived(id, file.network, file.sequence, file.options);
  if (!per_step) r.per_step.clear();
  return {r.loss, r.losses, r.gradient, r.per_step, {}, {}};
}

Answer by_reverse_mode(const NetworkFile& file, bool per_step) {
  auto r = rnn::bptt(file.network, file.sequence, {.copies = per_step});
  return {r.loss, r.losses, r.gradient, r.per_step, r.delta, {}};
}

Answer by_forward_mode(const NetworkFile& file, bool per_step, bool sensitivity) {
  const auto& sequence = file.sequence;
  rnn::Rtrl<double> run(file.network);
  Answer a;
  a.losses.resize(sequence.length());
  a.gradient = zeros_like(file.network.parameters);
  for (Eigen::Index t = 0; t < sequence.length(); ++t) {
    run.advance(sequence.x.col(t), sequence.target.col(t));
    a.losses(t) = run.loss();
    a.loss += run.loss();
    a.gradient += run.gradient();
    if (per_step) a.per_step.push_back(run.gradient());
    if (sensitivity) a.P.push_back(run.P());
  }
  return a;
}

Answer by_blocks(const NetworkFile& file, bool per_step) {
  const rnn::Credit<double> credit(file.network, file.sequence);
  Answer a{credit.losses().sum(), credit.losses(), credit.total(), {}, {}, {}};
  if (per_step)
    for (Eigen::Index t = 1; t <= credit.length(); ++t) a.per_step.push_back(credit.row_sum(t));
  return a;
}

/// Reverse and forward mode as they are have more to show than their rows in the table of edits.
Answer by(const std::string& id, const NetworkFile& file, bool per_step, bool sensitivity) {
  const bool as_it_is = file.options.feedback.size() == 0;
  if (as_it_is && id == "ad:bptt") return by_reverse_mode(file, per_step);
  if (as_it_is && id == "ad:rtrl") return by_forward_mode(file, per_step, sensitivity);
  if (as_it_is && id == "ad:double-sum") return by_blocks(file, per_step);
  if (id.starts_with("ad:")) {
    Answer a = by_an_edit(std::string_view(id).substr(3), file, per_step);
    if (id == "ad:rtrl" && sensitivity) a.P = by_forward_mode(file, false, true).P;  // no feedback moves h
    return a;
  }
  return by_hand(id, file, per_step, sensitivity);
}

/// Lists of rows; a vector is one list.
template <class M>
Json json(const Eigen::MatrixBase<M>& m) {
  Json rows = Json::array();
  for (Eigen::Index i = 0; i < m.rows(); ++i) {
    if constexpr (M::ColsAtCompileTime == 1) {
      rows.push_back(m(i));
    } else {
      Json row = Json::array();
      for (Eigen::Index j = 0; j < m.cols(); ++j) row.push_back(m(i, j));
      rows.push_back(std::move(row));
    }
  }
  return rows;
}
Json json(const Parameters<double>& p) {
  return {{"W_in", json(p.W_in)},
          {"W_rec", json(p.W_rec)},
          {"b_rec", json(p.b_rec)},
          {"W_out", json(p.W_out)},
          {"b_out", json(p.b_out)}};
}
/// P_t, unit by unit: dh_i / d each of W_in, W_rec, b_rec, in their shapes.
Json json_of_P(const MatrixX<double>& P, Eigen::Index n) {
  Json units = Json::array();
  const Eigen::Index d = P.rows();
  for (Eigen::Index i = 0; i < d; ++i) {
    const VectorX<double> row = P.row(i);
    const Eigen::Map<const MatrixX<double>> by(row.data(), d, d + n + 1);
    units.push_back(
        {{"W_in", json(by.middleCols(d, n))}, {"W_rec", json(by.leftCols(d))}, {"b_rec", json(by.col(d + n))}});
  }
  return units;
}

/// JSON has no word for infinity: a result that is not finite is told instead of printed.
void require_finite(const Answer& a, const std::string& id, const std::string& file) {
  for (Eigen::Index t = 0; t < a.losses.size(); ++t)
    if (!std::isfinite(a.losses(t)))
      throw BadFile(fmt::format("{}: the loss at t = {} is {}, not a finite number", file, t + 1, a.losses(t)));
  if (!std::isfinite(a.loss)) throw BadFile(fmt::format("{}: the loss, summed over time, is {}", file, a.loss));
  rnn::for_each_block(
      [&](std::string_view name, const auto& b) {
        if (!b.allFinite()) throw BadFile(fmt::format("{}: by {}, the gradient by {} is not finite", file, id, name));
      },
      a.gradient);
  bool finite = a.delta.allFinite();
  for (const auto& p : a.P) finite = finite && p.allFinite();
  for (const auto& part : a.per_step)
    rnn::for_each_block([&](auto, const auto& b) { finite = finite && b.allFinite(); }, part);
  if (!finite) throw BadFile(fmt::format("{}: by {}, a part of the gradient is not finite", file, id));
}

}  // namespace

int gradient_command(const std::vector<std::string>& words) {
  bool per_step = false, sensitivity = false;
  std::vector<std::string> wanted;
  Options options(
      "unroll gradient FILE [--rule ID]... [--per-step] [--sensitivity]",
      fmt::format(
          "Prints, as JSON, the gradient of the network and sequence in FILE (- is standard input). It may "
          "hold a rule's options, recorded draws and a start state; the head of the rule's file in rules/ says which.\n"
          "Rules: {}.\n",
          fmt::join(ids(), ", ")));
  options.value("--rule", "ID", "by this rule; given several times, a list is printed (bptt if none is given)",
                [&](const std::string& id) { wanted.push_back(id); });
  options.flag("--per-step",
               "with the part of each time: dL_t/dtheta, or, where a rule faces the future as bptt, dL/dtheta_t",
               [&] { per_step = true; });
  options.flag("--sensitivity",
               "with P_t = dh_t/dtheta for rtrl and ad:rtrl: for each t, for each unit, by W_in, W_rec, b_rec",
               [&] { sensitivity = true; });
  const auto name = options.parse_one_file(words);
  if (!name) return 0;
  if (wanted.empty()) wanted.emplace_back("bptt");
  const std::vector<std::string> known = ids();
  for (const auto& id : wanted)
    if (std::find(known.begin(), known.end(), id) == known.end())
      throw UsageError(fmt::format("there is no rule \"{}\"; the rules are {}", id, fmt::join(known, ", ")));
  const auto has_P = [](const std::string& id) { return id == "rtrl" || id == "ad:rtrl"; };
  if (sensitivity && std::none_of(wanted.begin(), wanted.end(), has_P))
    throw UsageError("--sensitivity: only rtrl and ad:rtrl know P_t");

  const NetworkFile file = read_network_file(*name);
  Json answers = Json::array();
  for (const auto& id : wanted) {
    Answer a;
    try {
      a = by(id, file, per_step, sensitivity);
    } catch (const std::invalid_argument& error) {  // options, draws or a state that this rule cannot use
      throw BadFile(fmt::format("{}: by {}: {}", file.name, id, error.what()));
    }
    require_finite(a, id, file.name);
    Json j = {{"rule", id}, {"loss", a.loss}, {"losses", json(a.losses)}, {"gradient", json(a.gradient)}};
    if (per_step) {
      j["per_step"] = Json::array();
      for (const auto& part : a.per_step) j["per_step"].push_back(json(part));
    }
    if (a.delta.size() != 0) j["delta"] = json(a.delta.transpose());
    if (!a.P.empty()) {
      j["P"] = Json::array();
      for (const auto& p : a.P) j["P"].push_back(json_of_P(p, file.network.n()));
    }
    answers.push_back(std::move(j));
  }
  print_lines(std::cout, answers.size() == 1 ? answers[0] : answers, answers.size() == 1 ? 2 : 3);
  std::cout << std::endl;
  return 0;
}

}  // namespace tutorials

#else

#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"

namespace tutorials {
int gradient_command(const std::vector<std::string>&) {
  throw UsageError("gradient: this program was built without nlohmann-json (Debian: nlohmann-json3-dev)");
}
}  // namespace tutorials

#endif
