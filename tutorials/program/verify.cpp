// `unroll verify`: what is wrong with the gradient in a file, and which mistake gives exactly its numbers.
#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"

#ifdef UNROLL_HAS_JSON

#include <fmt/format.h>

#include <cmath>
#include <iostream>

#include "ad/check.h"
#include "ad/operators.h"
#include "rnn/bptt.h"
#include "rnn/credit.h"
#include "rules/diagnosis_text.h"
#include "tutorials/program/json_lines.h"
#include "tutorials/program/network_file.h"

namespace tutorials {
namespace {

/// The right numbers, by reverse mode; `confirmed` says by whom else.
struct Witness {
  rules::Reference reference;
  std::string confirmed;
};

/// Reverse mode beside forward mode and differences, along a few random directions.
/// Throws BadFile where the gradient is not finite, and std::logic_error where the two modes differ.
Witness witness(const NetworkFile& file) {
  const auto& net = file.network;
  const auto& sequence = file.sequence;
  const std::string& name = file.name;
  const auto reverse = rnn::bptt(net, sequence);
  const rnn::VectorX<double> gradient = flatten(reverse.gradient);
  if (!std::isfinite(reverse.loss) || !gradient.allFinite() || !reverse.delta.allFinite())
    throw BadFile(fmt::format("{}: the gradient of this network is not finite (its loss is {})", name, reverse.loss));

  const auto loss = [&](const auto& theta) { return loss_at(net, sequence, theta); };
  const rnn::VectorX<double> at = flatten(net.parameters);
  rnn::Random random(1);
  constexpr int directions = 3;
  bool seen = true, same = true;
  for (int k = 0; k < directions; ++k) {
    const rnn::VectorX<double> V = random.normal(at.size(), 1);
    const double slope = gradient.dot(V), scale = gradient.cwiseAbs().dot(V.cwiseAbs());
    const double forward = ad::jvp(loss, at, V);
    if (!(std::abs(forward - slope) <= 1e-9 * scale))
      throw std::logic_error(
          fmt::format("{}: reverse mode gives {}, forward mode {}: a fault of this program", name, slope, forward));
    const auto differences = ad::differences(loss, at, V);
    // near an optimum the loss is the square of few digits, and so are its differences
    const double room = differences.error + 1e-6 * scale + 1e-9 * std::abs(reverse.loss);
    if (!(differences.error <= 1e-3 * (scale + std::abs(reverse.loss))))
      seen = false;
    else if (!(std::abs(differences.value - slope) <= room))
      same = false;
  }
  Witness w{{reverse.gradient, reverse.delta}, "confirmed by forward mode"};
  w.confirmed += !same   ? "; differences see another slope: is a kink near?"
                 : !seen ? "; differences cannot judge here"
                         : " and by differences";
  if (!file.claim.per_step.empty()) {
    const rnn::Credit<double> credit(net, sequence);
    for (Eigen::Index t = 1; t <= credit.length(); ++t) {
      w.reference.past.push_back(credit.row_sum(t));
      w.reference.future.push_back(credit.column_sum(t));
    }
  }
  return w;
}

Json json(const rules::Diagnosis& d) {
  Json j = {{"correct", bool(d)}, {"verdict", rules::verdict_names[static_cast<int>(d.verdict)]}};
  j["parameters"] = Json::object();
  for (const auto& a : d.arrays) {
    Json worst = Json::array();
    for (const auto& e : a.worst) {
      Json entry = {{"index", e.index}, {"expected", e.expected}, {"got", e.got}};
      entry["ratio"] = e.expected == 0 ? Json() : Json(e.got / e.expected);
      worst.push_back(std::move(entry));
    }
    j["parameters"][a.name] = {{"differ", a.differ},
                               {"of", a.of},
                               {"relative", a.relative},
                               {"tolerance", a.tolerance},
                               {"worst", std::move(worst)}};
    if (a.turned) j["parameters"][a.name]["transposed"] = true;
  }
  j["mistakes"] = Json::array();
  for (const auto& m : d.mistakes) {
    j["mistakes"].push_back({{"id", m.id}, {"residual", m.residual}, {"where", m.where()}, {"arrays", m.arrays}});
    if (!m.how.empty()) j["mistakes"].back()["how"] = m.how;
    if (m.alone) j["mistakes"].back()["alone"] = true;
    if (!m.with.empty()) j["mistakes"].back()["with"] = m.with;
  }
  j["nearest"] = d.nearest ? Json{{"id", d.nearest->id}, {"residual", d.nearest->residual}} : Json();
  if (d.nearest && !d.nearest->how.empty()) j["nearest"]["how"] = d.nearest->how;
  j["blind"] = d.blind;
  j["precision"] = d.precision;
  if (d.facing) j["facing"] = rules::facing_names[static_cast<int>(*d.facing)];
  return j;
}

}  // namespace

int verify_command(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "--list") {
    for (const auto& row : rules::mistakes)
      std::cout << fmt::format("{}\n  {}\n  right: {}\n", row.id, wrapped(row.what, 2, 78), wrapped(row.right, 9, 71));
    return 0;
  }
  bool as_json = false;
  double tolerance = 0;
  Options options(
      "unroll verify FILE [--json] [--tolerance X], or unroll verify --list",
      "Compares the fields gradient, per_step and delta of a network file (- is standard input) with the exact "
      "gradient, and names every known mistake that gives exactly these numbers. "
      "Exit code 0: all is right; 1: something is not; 2: the file cannot be used.\n"
      "A network file is one JSON object; matrices are lists of rows:\n"
      "  alpha, activation (" +
          fmt::format("{}", fmt::join(rnn::activation_names, ", ")) + "), loss (" +
          fmt::format("{}", fmt::join(rnn::loss_names, ", ")) +
          "),\n"
          "  W_in (d x n), W_rec (d x d), b_rec (d), W_out (m x d), b_out (m), h_0 (d; zeros),\n"
          "  x (T x n), target (T x m),\n"
          "  gradient (an object with any of the five parameters), delta (T x d, row t-1 is dL/dh_t),\n"
          "  per_step (T such objects: dL_t/dtheta, or dL/dtheta_t), options.feedback (m x d).\n");
  options.flag("--json", "as one JSON object", [&] { as_json = true; });
  options.flag("--list", "all known mistakes, without a file", [] { throw UsageError("--list stands alone"); });
  options.value("--tolerance", "X",
                "take numbers as equal that differ by no more than X times the largest of their array (1e-9, or more "
                "where they look rounded to six digits or more, or of single precision)",
                [&](const std::string& text) {
                  tolerance = number(text, "--tolerance");
                  if (!(tolerance > 0 && tolerance < 1)) throw UsageError("--tolerance: it must be between 0 and 1");
                });
  const auto name = options.parse_one_file(words);
  if (!name) return 0;

  const NetworkFile file = read_network_file(*name);
  const auto& net = file.network;
  if (file.claim.gradient.empty() && file.claim.per_step.empty() && !file.claim.delta)
    throw BadFile(file.name + ": nothing to verify: it has none of the fields gradient, per_step and delta");
  const Witness right = witness(file);
  rules::Diagnosis found;
  try {
    found = rules::diagnose(net, file.sequence, file.claim, right.reference, file.options.feedback, tolerance);
  } catch (const std::invalid_argument& error) {
    throw BadFile(fmt::format("{}: {}", file.name, error.what()));
  }
  if (as_json) {
    print_lines(std::cout, json(found), 2);
    std::cout << std::endl;
  } else {
    const std::string title =
        fmt::format("{} against reverse mode\n  T={} n={} d={} m={} alpha={}\n  ({})", file.name,
                    file.sequence.length(), net.n(), net.d(), net.m(), net.alpha, right.confirmed);
    std::cout << rules::report(found, title) << std::flush;
  }
  return found ? 0 : 1;
}

}  // namespace tutorials

#else

namespace tutorials {
int verify_command(const std::vector<std::string>&) {
  throw UsageError("verify: this program was built without nlohmann-json (Debian: nlohmann-json3-dev)");
}
}  // namespace tutorials

#endif
