// `unroll rules`: the table of learning rules, by their facts and as measured.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "rnn/task.h"
#include "tutorials/program/all_rules.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/formula.h"
#include "tutorials/program/options.h"

namespace tutorials {
namespace {

using Eigen::Index;
using rules::Facts;

constexpr std::string_view randomness_names[] = {"deterministic", "stochastic"};
constexpr std::string_view form_names[] = {"closed", "numerical"};
constexpr std::string_view exactness_names[] = {"exact", "unbiased", "biased"};
template <class E, std::size_t N>
std::string_view name(const std::string_view (&names)[N], E e) {
  return names[static_cast<std::size_t>(e)];
}

constexpr Index steps = 100, truncation = 10;  // T and T' of what is measured
constexpr Index sizes[] = {8, 16, 32, 64};

/// Bytes now held on the heap, if the C library tells.
std::optional<double> held() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  const auto info = mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
#else
  return std::nullopt;
#endif
}

struct Measured {
  std::optional<double> bytes;
  double seconds = 0;  // a step
};

/// A rule beside a network of d units with the Add task: what it holds before the sequence's end, and its own time.
Measured measure(const Facts& facts, Index d) {
  rnn::Random random(1);
  const rnn::Network<double> net = [&] {
    auto made = rnn::random_network(2, d, 2, random);
    made.alpha = 0.5;
    made.loss = rnn::Loss::softmax_ce;
    return made;
  }();
  const rnn::Sequence<double> sequence = rnn::add_task(steps, random);
  rnn::Options options;
  options.truncation = truncation;
  const rnn::MatrixX<double> u = rnn::run(net, sequence).u, h = rnn::run(net, sequence).h;
  rnn::MatrixX<double> slopes(d, steps);
  for (Index t = 0; t < steps; ++t)
    slopes.col(t) = rules::slope<double>(net.activation, net.alpha, u.col(t), u.col(t).array().tanh().matrix());
  const rnn::VectorX<double> q = random.normal(d, 1), e = random.normal(2, 1);

  std::unique_ptr<rules::AnyRule<double>> rule;
  const auto observe_all = [&] {
    rule->reset();
    for (Index t = 0; t < steps; ++t)
      rule->observe({h.col(t), sequence.x.col(t), u.col(t), h.col(t + 1), slopes.col(t), net.parameters.W_rec,
                     net.alpha, q, e, sequence.target.col(t), t + 1 == steps});
  };
  Measured m;
  std::thread([&] {  // a new thread has no freed memory in reserve, which would hide what is taken
    const auto before = held();
    rule = rules::make_rule(facts.id, net, options);
    observe_all();
    if (const auto after = held(); before && after) m.bytes = *after - *before;
  })
      .join();
  rule->finish();
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  for (int round = 0; round < 3 || (round < 50 && Clock::now() - begin < std::chrono::milliseconds(30)); ++round) {
    const auto from = Clock::now();
    observe_all();
    rule->finish();
    const double seconds = std::chrono::duration<double>(Clock::now() - from).count() / static_cast<double>(steps);
    m.seconds = round == 0 ? seconds : std::min(m.seconds, seconds);
  }
  return m;
}

std::map<std::string, double> values(Index d) {
  const auto number = [](Index i) { return static_cast<double>(i); };
  return {{"d", number(d)},           {"n", 2},        {"m", 2}, {"k", number(d + 3)}, {"T", number(steps)},
          {"T'", number(truncation)}, {"h", number(d)}};
}

void print_table() {
  fmt::print(
      "Every rule written by hand, as Marschall, Cho and Savin (2020) order them.\n"
      "facing   past: each loss is handed to all earlier uses of the weights; future:\n"
      "         each use gathers all later losses (the two sums of the double sum)\n"
      "tensor   the factors that stand for dh_k/dW_ij = M_kij; delta: the unit matrix\n"
      "form     closed: a formula; numerical: something is itself learned\n\n");
  fmt::print("{:<22}{:<9}{:<15}{:<15}{:<11}{}\n", "rule", "facing", "tensor", "randomness", "form", "gradient");
  for (const Facts& f : rules::registry)
    fmt::print("{:<22}{:<9}{:<15}{:<15}{:<11}{}\n", f.id, name(rules::facing_names, f.facing), f.tensor,
               name(randomness_names, f.randomness), name(form_names, f.form), name(exactness_names, f.exactness));
  fmt::print("\n{:<22}What a synapse from l to i must know\n", "rule");
  for (const Facts& f : rules::registry) fmt::print("{:<22}{}\n", f.id, wrapped(f.locality, 22, 58));
  fmt::print("\n{:<22}{:<30}{}\n", "rule", "memory", "time a step");
  for (const Facts& f : rules::registry) {
    const std::string memory = wrapped(f.memory, 22, 58), time(f.time);
    if (f.memory.size() < 29 && f.time.size() < 29)
      fmt::print("{:<22}{:<30}{}\n", f.id, memory, time);
    else
      fmt::print("{:<22}{}\n{:<22}time: {}\n", f.id, memory, "", wrapped(f.time, 28, 52));
  }
  fmt::print("k = d + n + 1; T the sequence's length, T' the truncation, h the block.\n\n");
  for (const Facts& f : rules::registry)
    fmt::print("{:<22}{}\n{:<22}{}\n", f.id, f.name, "", wrapped(f.citation, 22, 58));
}

void print_measured() {
  fmt::print(
      "A rule beside the Add task (n = m = 2), T = {}, T' = {}: bytes it holds before\n"
      "the sequence ends, and microseconds of its own a step. x2: what twice the units\n"
      "(32, 64) cost, as measured and by the formula.\n\n",
      steps, truncation);
  fmt::print("{:<22}{:<6}", "rule", "");
  for (const Index d : sizes) fmt::print("{:>9}", fmt::format("d = {}", d));
  fmt::print("{:>8}{:>8}\n", "x2", "formula");
  for (const Facts& f : rules::registry) {
    std::vector<Measured> all;
    for (const Index d : sizes) all.push_back(measure(f, d));
    const auto growth = [&](std::string_view formula) {
      return evaluate(formula, values(64)) / evaluate(formula, values(32));
    };
    if (all[0].bytes) {
      fmt::print("{:<22}{:<6}", f.id, "bytes");
      for (const Measured& m : all) fmt::print("{:>9.0f}", *m.bytes);
      fmt::print("{:>8.1f}{:>8.1f}\n", *all[3].bytes / *all[2].bytes, growth(f.memory));
    }
    fmt::print("{:<22}{:<6}", all[0].bytes ? "" : f.id, "us");
    for (const Measured& m : all) fmt::print("{:>9.2f}", 1e6 * m.seconds);
    fmt::print("{:>8.1f}{:>8.1f}\n", all[3].seconds / all[2].seconds, growth(f.time));
    std::fflush(stdout);
  }
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}
void print_json(bool measured) {
  fmt::print("[");
  for (const Facts& f : rules::registry) {
    fmt::print("{}\n  {{ \"id\": {}, \"name\": {}, \"citation\": {}, \"year\": {},\n",
               &f == &rules::registry[0] ? "" : ",", quoted(f.id), quoted(f.name), quoted(f.citation), f.year);
    fmt::print("    \"facing\": {}, \"tensor\": {}, \"randomness\": {}, \"form\": {}, \"gradient\": {},\n",
               quoted(name(rules::facing_names, f.facing)), quoted(f.tensor),
               quoted(name(randomness_names, f.randomness)), quoted(name(form_names, f.form)),
               quoted(name(exactness_names, f.exactness)));
    fmt::print("    \"locality\": {}, \"memory\": {}, \"time\": {}", quoted(f.locality), quoted(f.memory),
               quoted(f.time));
    if (measured) {
      fmt::print(",\n    \"measured\": [");
      for (const Index d : sizes) {
        const Measured m = measure(f, d);
        fmt::print("{}{{ \"d\": {}, \"bytes\": {}, \"seconds\": {} }}", d == sizes[0] ? " " : ", ", d,
                   m.bytes ? fmt::format("{:.0f}", *m.bytes) : "null", m.seconds);
      }
      fmt::print(" ]");
    }
    fmt::print(" }}");
  }
  fmt::print("\n]\n");
}

}  // namespace

int rules_command(const std::vector<std::string>& words) {
  bool measured = false, json = false, go_on = true;
  Options options("unroll rules [--measure] [--json]",
                  "Prints the table of learning rules: what each is, knows and costs.\n");
  options.flag("--measure", "bytes held and time a step for d = 8 .. 64, beside the formulas",
               [&] { measured = true; });
  options.flag("--json", "the same as JSON", [&] { json = true; });
  if (const auto others = options.parse(words, go_on); !others.empty())
    throw UsageError(fmt::format("\"{}\" is no option\n{}", others[0], options.help()));
  if (!go_on) return 0;
  if (json)
    print_json(measured);
  else if (measured)
    print_measured();
  else
    print_table();
  return 0;
}

}  // namespace tutorials
