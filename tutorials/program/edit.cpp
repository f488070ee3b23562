// `unroll edit`: a gradient composed in words, beside the exact one: what is left, where it points, what it costs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "rnn/surgery_edited.h"
#include "rnn/task.h"
#include "rules/registry.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/network_file.h"
#include "tutorials/program/options.h"

namespace tutorials {
namespace {

using Eigen::Index;
using rnn::MatrixX, rnn::Parameters, rnn::VectorX;

/// What the edit is tried on.
struct Subject {
  std::string name;
  rnn::Network<double> network;
  rnn::Sequence<double> sequence;
};

/// Add with short lags: what went in shows two and four steps later.
Subject built_in(std::uint64_t seed) {
  rnn::Random random(seed);
  Subject s{fmt::format("the Add task, lags 2 and 4, seed {}", seed), rnn::random_network(2, 8, 2, random), {}};
  s.network.alpha = 0.5;
  s.network.loss = rnn::Loss::softmax_ce;
  s.sequence = rnn::add_task(10, random, {.t1 = 2, .t2 = 4});
  return s;
}

void require_finite(const rnn::Edited& e, const std::string& whose, const std::string& on) {
  bool finite = std::isfinite(e.loss) && e.credit.allFinite() && (e.predicted.size() == 0 || e.predicted.allFinite());
  rnn::for_each_block([&](auto, const auto& b) { finite = finite && b.allFinite(); }, e.gradient);
  if (!finite) throw BadFile(fmt::format("{}: the {} gradient is not finite", on, whose));
}

/// ".465", "1.20", "12.3", and "." where nothing is.
std::string short_text(double x) {
  if (x == 0) return ".";
  if (x < 0.0005 || x > 99999) return fmt::format("{:.0e}", x);
  const std::string s = fmt::format("{:.{}f}", x, x < 0.9995 ? 3 : x < 9.995 ? 2 : x < 99.95 ? 1 : 0);
  return s.starts_with("0.") ? s.substr(1) : s;
}

const rules::Facts* facts(std::string_view id) {
  const auto found = std::find_if(rules::registry.begin(), rules::registry.end(), [&](auto& f) { return f.id == id; });
  return found == rules::registry.end() ? nullptr : &*found;
}

/// Every rule as an edit.
std::string table() {
  std::string text = "Every learning rule as an edit of reverse mode (BPTT) or of forward mode (RTRL):\n\n";
  text += fmt::format("{:<22}{:<9}{}\n", "rule", "mode", "what is edited");
  for (const rnn::EditRow& row : rnn::edits) {
    text += fmt::format("{:<22}{:<9}{}\n", row.id, rnn::direction_names[static_cast<int>(row.direction)],
                        wrapped(row.what, 31, 49));
    if (row.edit != "-" && !row.edit.empty()) text += fmt::format("{}\"{}\"\n", std::string(31, ' '), row.edit);
  }
  return text +
         "\nIn any of them errors may come back another way: \"feedback = random\".\n"
         "What stands in quotes can be composed: unroll edit \"J = leak; feedback = random\"\n";
}

std::string known_as(const rnn::Edit& edit, const rnn::Network<double>& net) {
  auto names = rnn::names_of(edit, net.d());
  // SnAp, as a mask, gives weights that are absent no gradient; the diagonal does
  if (edit.j == rnn::Edit::J::diagonal && (net.parameters.W_rec.array() == 0).any())
    names.erase(std::remove(names.begin(), names.end(), "snap"), names.end());
  if (names.empty()) return "which is   no rule known here\n";
  std::string text, left = "which is   ";
  for (const auto id : names) {
    const rules::Facts* f = facts(id);
    text += fmt::format("{}{:<20} {}\n", left, id, f ? fmt::format("{}, {}", f->name, f->year) : "");
    left.assign(11, ' ');
  }
  if (edit.feedback == rnn::Edit::Feedback::random) text += left + "with errors fed back by a random matrix\n";
  if (edit.feedback == rnn::Edit::Feedback::sign) text += left + "with errors fed back by the signs of W_out^T\n";
  return text;
}

/// Whether an edit changes nothing here, as a mask of 2 steps where every unit reaches every other.
bool same(const Parameters<double>& edited, const Parameters<double>& exact) {
  const VectorX<double> a = flatten(edited), b = flatten(exact);
  return (a - b).norm() <= 1e-12 * b.norm();
}

std::string gradients(const Parameters<double>& edited, const Parameters<double>& exact) {
  const auto recurrent = [](const Parameters<double>& p) {
    return std::sqrt(p.W_rec.squaredNorm() + p.W_in.squaredNorm() + p.b_rec.squaredNorm());
  };
  const auto norms = [&](const Parameters<double>& p) {
    const auto cell = [](double x) { return x < 1000 ? fmt::format("{:>9.4f}", x) : fmt::format("{:>9.3g}", x); };
    return cell(p.W_rec.norm()) + cell(p.W_in.norm()) + cell(p.b_rec.norm()) + " |" + cell(recurrent(p)) + " |" +
           cell(p.W_out.norm()) + cell(p.b_out.norm()) + '\n';
  };
  const rnn::Alignment a = rnn::alignment(edited, exact);
  return fmt::format("{:<19}{:>9}{:>9}{:>9} |{:>9} |{:>9}{:>9}\n", "gradient", "W_rec", "W_in", "b_rec", "these 3",
                     "W_out", "b_out") +
         "  norm, edited     " + norms(edited) + "  norm, exact      " + norms(exact) +
         fmt::format("  cosine           {:>9.4f}{:>9.4f}{:>9.4f} |{:>9.4f} |{:>9.4f}{:>9.4f}\n", a.each.W_rec,
                     a.each.W_in, a.each.b_rec, a.recurrent, a.each.W_out, a.each.b_out);
}

/// The blocks' norms, at most `most` times, with the cosine of each row's and each column's sum and the exact one.
std::string credit(const rnn::Edited& e, const rnn::Edited& exact, bool with_cosines) {
  constexpr Index most = 11;
  const Index T = e.credit.rows(), from = std::max<Index>(0, T - most);
  const auto cosine = [](const Parameters<double>& a, const Parameters<double>& b) {
    const double c = rnn::alignment(a, b).recurrent;
    const std::string s = fmt::format("{:.2f}", std::abs(c));
    return (c < -0.005 ? "-" : "") + (s.starts_with("0.") ? s.substr(1) : s);
  };
  std::string text = " t\\s";
  for (Index s = from; s < T; ++s) text += fmt::format("{:>6}", s + 1);
  text += with_cosines ? "   cosine\n" : "\n";
  for (Index t = from; t < T; ++t) {
    std::string line = fmt::format("{:>4}", t + 1);
    for (Index s = from; s < T; ++s) line += fmt::format("{:>6}", s > t ? "" : short_text(e.credit(t, s)));
    if (with_cosines)
      line +=
          fmt::format(" |{:>6}", cosine(e.past[static_cast<std::size_t>(t)], exact.past[static_cast<std::size_t>(t)]));
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  if (e.predicted.size() != 0) {
    text += "  g ";
    for (Index s = from; s < T; ++s) text += fmt::format("{:>6}", short_text(e.predicted(s)));
    text += '\n';
  }
  if (with_cosines) {
    text += " cos";
    for (Index s = from; s < T; ++s)
      text += fmt::format("{:>6}",
                          cosine(e.future[static_cast<std::size_t>(s)], exact.future[static_cast<std::size_t>(s)]));
    text += '\n';
  }
  if (from > 0) text += fmt::format("  (the last {} of {} times)\n", most, T);
  return text;
}

std::string grouped(double number) {
  std::string s = fmt::format("{:.0f}", number);
  for (std::size_t i = s.size(); i > 3; i -= 3) s.insert(i - 3, ",");
  return s;
}
std::string costs(const rnn::Edit& edit, const Subject& on) {
  std::string text =
      fmt::format("{:<37}{:>18}{:>16}\n", "cost of the recurrent gradient", "multiplications", "numbers held");
  const auto row = [&](const char* what, const std::optional<rnn::Cost>& c) {
    text += c ? fmt::format("  {:<35}{:>11} a step{:>16}\n", what, grouped(c->multiplications), grouped(c->held))
              : fmt::format("  {:<35}{:>18}\n", what, "not in this mode");
  };
  const Index T = on.sequence.length();
  row("edited, as forward mode", rnn::forward_cost(edit, on.network));
  row("edited, as reverse mode", rnn::reverse_cost(edit, on.network, T));
  row("exact, as forward mode (RTRL)", rnn::forward_cost({}, on.network));
  row("exact, as reverse mode (BPTT)", rnn::reverse_cost({}, on.network, T));
  return text;
}

}  // namespace

int edit_command(const std::vector<std::string>& words) {
  int seed = 1, passes = 100;
  Options options("unroll edit [\"J = leak; feedback = random\" [FILE]] [--seed N]",
                  "Edits the exact gradient and shows what is left, on the network and sequence in FILE (- is "
                  "standard input; its options, draws and state are not used) or on a small built-in one.\n"
                  "Without an edit: every known rule as one. What can be said, parted by \";\":\n"
                  "  J          = full, leak, diagonal, 2-step mask, none\n"
                  "  cut        = never, every 5, after 5 (steps)\n"
                  "  feedback   = transpose, random, sign\n"
                  "  future     = true, predicted, none (what arrives at a cut)\n"
                  "  projection = none, signs, Gaussian (one random tangent)\n");
  options.value("--seed", "N", "of the built-in network, random feedback and random direction (1)",
                [&](const std::string& text) { seed = whole_number(text, 0, "--seed"); });
  options.value("--passes", "N", "how often a prediction has seen the sequence to learn from it (100)",
                [&](const std::string& text) { passes = whole_number(text, 0, "--passes"); });
  bool go_on = true;
  const std::vector<std::string> given = options.parse(words, go_on);
  if (!go_on) return 0;
  if (given.empty()) {
    std::cout << table();
    return 0;
  }
  if (given.size() > 2)
    throw UsageError(
        fmt::format("an edit and at most one file are needed, and {} words are given; put the edit in quotes: "
                    "\"J = leak; feedback = random\"\n{}",
                    given.size(), options.help()));
  const rnn::Edit edit = rnn::parse_edit(given[0]);
  Subject on;
  if (given.size() == 2) {
    NetworkFile file = read_network_file(given[1]);
    on = {file.name, std::move(file.network), std::move(file.sequence)};
  } else {
    on = built_in(static_cast<std::uint64_t>(seed));
  }
  rnn::Options how;
  how.draws = rnn::Draws(static_cast<std::uint64_t>(seed) + (std::uint64_t{1} << 32));  // not those of the network
  if (edit.future == rnn::Edit::Future::predicted)
    how = rnn::with_prediction(on.network, on.sequence, edit, how, passes);
  const rnn::Edited edited = rnn::edited(on.network, on.sequence, edit, how);
  const rnn::Edited exact = rnn::edited(on.network, on.sequence, {});
  require_finite(exact, "exact", on.name);
  require_finite(edited, "edited", on.name);

  const auto& net = on.network;
  const std::string said = to_string(edit);
  std::cout << fmt::format("edit       {}\n", said.empty() ? "nothing: the exact gradient" : said)
            << known_as(edit, net) << fmt::format("on         {}; loss {:.6g}\n", on.name, edited.loss)
            << fmt::format("           n = {}, d = {}, m = {}, T = {}, alpha = {:.4g}, {}, {}\n\n", net.n(), net.d(),
                           net.m(), on.sequence.length(), net.alpha,
                           rnn::activation_names[static_cast<int>(net.activation)],
                           rnn::loss_names[static_cast<int>(net.loss)])
            << gradients(edited.gradient, exact.gradient)
            << (!said.empty() && same(edited.gradient, exact.gradient) ? "  here nothing is lost: it is the exact one\n"
                                                                       : "")
            << "\ncredit, edited: norm of dL_t/dtheta_s by these 3; row = loss at t, column =\n"
               "use at s; cosine of the row's, the column's sum with the exact one\n"
            << (edited.predicted.size() != 0 ? "(g: what is predicted to come from beyond the cut)\n" : "")
            << credit(edited, exact, true) << "\ncredit, exact\n"
            << credit(exact, exact, false) << '\n'
            << costs(edit, on);
  if (edit.future == rnn::Edit::Future::predicted)
    std::cout << fmt::format("The prediction, linear in h, has seen this sequence {} times: BP(lambda = 1).\n", passes);
  std::cout << std::flush;
  return 0;
}

}  // namespace tutorials
