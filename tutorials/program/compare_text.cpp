// What `unroll compare` found, as a table of at most 80 columns and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rules/registry.h"
#include "tutorials/program/comparison.h"
#include "tutorials/program/options.h"

namespace tutorials {
namespace {

/// ".466" in `width` columns, "-" where there is none.
std::string cell(double x, int width, int digits = 3) {
  if (!std::isfinite(x)) return fmt::format("{:>{}}", "-", width);
  std::string s = std::abs(x) < 1e5 ? fmt::format("{:.{}f}", x, digits) : fmt::format("{:.0e}", x);
  if (s.starts_with("0.")) s.erase(0, 1);
  if (s.starts_with("-0.")) s.erase(1, 1);
  return fmt::format("{:>{}}", s, width);
}

std::string json(double x) { return std::isfinite(x) ? fmt::format("{}", x) : "null"; }
std::string json(long x) { return fmt::format("{}", x); }
std::string json(const Alignment& a) {
  return fmt::format(R"({{"W_rec": {}, "W_in": {}, "b_rec": {}, "all": {}}})", json(a.W_rec), json(a.W_in),
                     json(a.b_rec), json(a.all));
}
template <class T>
std::string json(const std::vector<T>& list) {
  std::string text = "[";
  for (const T& x : list) text += (text.size() == 1 ? "" : ", ") + json(x);
  return text + "]";
}

}  // namespace

std::string compare_table(const Comparison& s, const std::vector<Compared>& all, bool stopped) {
  const rnn::TaskFacts& task = *s.task;
  std::string text = wrapped(fmt::format("{}: {} ({})\n", task.name, task.purpose, task.source), 0, 80);
  text += wrapped(
      fmt::format("n = {}, d = {}, m = {}, alpha = {}, {} {}, T' = {}; {} steps, {} seed{}\n", task.n, s.units, task.m,
                  s.alpha, s.optimizer, s.rate, s.truncation, s.steps, s.seeds, s.seeds == 1 ? "" : "s"),
      0, 80);
  if (s.random_feedback) text += "Errors come back through a fixed random matrix B.\n";
  if (s.each_sequence) text += "Parameters move at the end of each sequence.\n";
  if (s.gain != task.gain || s.readout != task.readout)
    text += fmt::format("Weights begin with gain {} and readout {}.\n", s.gain, s.readout);
  text += "\n";
  text += "                loss          alignment with the exact gradient             us\n";
  text += "rule            last tenth    a step  W_rec   W_in  b_rec   sums   noise  a step\n";
  bool diverged = false, unfinished = false;
  const double unit = loss_unit(task);
  double smallest = 1;
  for (const Compared& c : all)
    if (const double loss = last_loss(c).mean / unit; loss < smallest) smallest = loss;
  const int digits = smallest < 0.01 ? 5 : smallest < 0.1 ? 4 : 3;
  for (const Compared& c : all) {
    const Mean loss = last_loss(c);
    const Alignment step = mean(c.courses, &Course::step), sum = mean(c.courses, &Course::sum);
    const bool none = std::isnan(step.all);  // then the sums' parts say more than nothing
    const Alignment& parts = none ? sum : step;
    text += c.rule.size() < 14 ? fmt::format("{:<14}", c.rule) : fmt::format("{}\n{:14}", c.rule, "");
    text += fmt::format("{}{:>8} {} {} {} {} {} {} {}\n", cell(loss.mean / unit, 6, digits),
                        std::isfinite(loss.error) ? "+-" + cell(loss.error / unit, 0, digits) : "", cell(step.all, 7),
                        cell(parts.W_rec, 6), cell(parts.W_in, 6), cell(parts.b_rec, 6), cell(sum.all, 6),
                        cell(median(c, &Course::noise), 7, 1), cell(1e6 * median(c, &Course::seconds_a_step), 7, 2));
    for (const Course& course : c.courses) {
      diverged = diverged || course.diverged;
      unfinished = unfinished || course.done < s.steps;
    }
  }
  text += "\n";
  if (unit != 1) text += fmt::format("The loss is half the mean square: L_t / m, m = {}.\n", task.m);
  if (s.points > 0)
    text +=
        "Alignment: the cosine with dL_t/dtheta (RTRL) for rules that face the past,\n"
        "with dL/dtheta_s (BPTT) for those that face the future, errors through W_out^T;\n"
        "sums: over stretches of steps. Where a rule releases sums only, its parts are\n"
        "theirs.\n";
  const auto has = [&](std::string_view id) { return std::find(s.rules.begin(), s.rules.end(), id) != s.rules.end(); };
  if (!task.episodes && (has("bptt") || has("double-sum") || has("forward-gradient")))
    text += fmt::format("A stream has no end: for rules that need one it is cut every {} steps.\n", s.block);
  if (std::any_of(all.begin(), all.end(), [](const Compared& c) { return std::isfinite(median(c, &Course::noise)); }))
    text += "Noise: standard deviation of one sample of a gradient over the exact one's norm.\n";
  for (const Compared& c : all)
    if (std::isfinite(median(c, &Course::feedback)))
      text += fmt::format("Feedback of {}: cosine of B and W_out in the end {:.3f}.\n", c.rule,
                          median(c, &Course::feedback));
  if (!s.along.empty()) text += fmt::format("All are measured beside {}, which trains.\n", s.along);
  if (diverged)
    for (const Compared& c : all)
      for (std::size_t i = 0; i < c.courses.size(); ++i)
        if (c.courses[i].diverged)
          text += fmt::format("DIVERGED: {}, seed {}, before step {}.\n", c.rule, s.first_seed + static_cast<int>(i),
                              c.courses[i].done);
  if (stopped && unfinished) {
    text += "STOPPED by Ctrl-C. Steps done:";
    for (const Compared& c : all) {
      text += " " + c.rule;
      for (const Course& course : c.courses) text += fmt::format(" {}", course.done);
      text += &c == &all.back() ? "." : ";";
    }
    text += "\n";
  }
  return text;
}

std::string compare_json(const Comparison& s, const std::vector<Compared>& all, bool stopped) {
  std::string text = fmt::format(
      "{{\n  \"task\": \"{}\", \"n\": {}, \"d\": {}, \"m\": {}, \"alpha\": {}, \"optimizer\": \"{}\", \"rate\": {},\n"
      "  \"truncation\": {}, \"block\": {}, \"steps\": {}, \"seeds\": {}, \"first_seed\": {}, \"along\": \"{}\",\n"
      "  \"random_feedback\": {}, \"each_sequence\": {}, \"gain\": {}, \"readout\": {}, \"points\": {},\n"
      "  \"stopped\": {},\n  \"rules\": [",
      s.task->name, s.task->n, s.units, s.task->m, s.alpha, s.optimizer, s.rate, s.truncation, s.block, s.steps,
      s.seeds, s.first_seed, s.along, s.random_feedback, s.each_sequence, s.gain, s.readout, s.points, stopped);
  for (const Compared& c : all) {
    const Mean loss = last_loss(c);
    text +=
        fmt::format("{}\n    {{ \"rule\": \"{}\", \"loss\": {}, \"standard_error\": {},\n", &c == &all[0] ? "" : ",",
                    c.rule, json(loss.mean / loss_unit(*s.task)), json(loss.error / loss_unit(*s.task)));
    text += fmt::format("      \"alignment\": {{ \"step\": {}, \"sum\": {} }},\n", json(mean(c.courses, &Course::step)),
                        json(mean(c.courses, &Course::sum)));
    text += "      \"seeds\": [";
    for (const Course& course : c.courses) {
      std::vector<double> losses = course.losses;
      for (double& x : losses) x /= loss_unit(*s.task);
      text += fmt::format(
          "{}\n        {{ \"done\": {}, \"diverged\": {}, \"loss\": {}, \"noise\": {}, \"seconds_a_step\": {}, "
          "\"feedback\": {},\n          \"losses\": {},\n          \"at\": {},\n          \"step\": {},\n          "
          "\"sum\": {} }}",
          &course == &c.courses[0] ? "" : ",", course.done, course.diverged, json(course.last / loss_unit(*s.task)),
          json(course.noise), json(course.seconds_a_step), json(course.feedback), json(losses), json(course.at),
          json(course.step), json(course.sum));
    }
    text += " ],\n      \"credit\": [";
    for (Eigen::Index t = 0; t < c.credit.rows(); ++t) {
      text += t == 0 ? "[" : ", [";
      for (Eigen::Index from = 0; from < c.credit.cols(); ++from)
        text += (from == 0 ? "" : ", ") + json(c.credit(t, from));
      text += "]";
    }
    text += fmt::format("],\n      \"predicted\": {} }}",
                        json(std::vector<double>(c.predicted.begin(), c.predicted.end())));
  }
  return text + "\n  ]\n}\n";
}

}  // namespace tutorials
