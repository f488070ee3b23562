// `unroll trace`: the tape of a network in a file, unrolled over its sequence, as an evaluation trace.
#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"

#ifdef UNROLL_HAS_JSON

#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "ad/trace/explorer.h"
#include "ad/trace/json.h"
#include "ad/trace/latex.h"
#include "ad/trace/markdown.h"
#include "rnn/bptt.h"
#include "rnn/recorded_step.h"
#include "tutorials/program/network_file.h"

namespace tutorials {
namespace {

using Eigen::Index;

std::string at_time(const char* name, Index t) { return fmt::format("{}_{}", name, t); }

/// Records the network with whole vectors as entries, everything named; inputs are theta, h_0 and all x_t.
void record_vectors(ad::Tape& tape, const rnn::Network<double>& net, const rnn::Sequence<double>& sequence) {
  const auto name = [&](const ad::VarMatrix& v, const std::string& of) {
    for (Index i = 0; i < v.rows(); ++i) tape.name(v(i), fmt::format("{}[{}]", of, i));
  };
  const auto& p = net.parameters;
  const rnn::Blocks<ad::VarMatrix> theta{input(tape, p.W_rec, "W_rec"), input(tape, p.W_in, "W_in"),
                                         input(tape, p.b_rec, "b_rec"), input(tape, p.W_out, "W_out"),
                                         input(tape, p.b_out, "b_out")};
  ad::VarMatrix h = input(tape, net.h_0, "h_0");
  std::vector<ad::VarMatrix> x;
  for (Index t = 1; t <= sequence.length(); ++t)
    x.push_back(input(tape, rnn::VectorX<double>(sequence.x.col(t - 1)), at_time("x", t)));
  ad::Var loss;
  for (Index t = 1; t <= sequence.length(); ++t) {
    const auto scope = tape.scope(fmt::format("t={}", t));
    const ad::VarMatrix u = rnn::preactivation(theta, h, x[static_cast<std::size_t>(t - 1)]);
    name(u, at_time("u", t));
    const ad::VarMatrix f = activate(net.activation, u);
    if (net.activation != rnn::Activation::identity) name(f, at_time("f", t));  // else it is u
    h = rnn::leaky(net.alpha, h, f);
    name(h, at_time("h", t));
    const ad::VarMatrix v = rnn::readout(theta, h);
    name(v, at_time("v", t));
    const ad::Var loss_t = rnn::loss_t(net.loss, v, rnn::VectorX<double>(sequence.target.col(t - 1)));
    loss = t == 1 ? loss_t : ad::Var(loss + loss_t);
    tape.name(loss_t, at_time("L", t));
  }
  tape.name(loss, "L");
}

/// The variable of this name: "W_rec[1,0]", "h_3[2]", "L". Throws UsageError if there is none.
ad::Var named(const ad::Tape& tape, const std::string& name, const char* option) {
  const auto& names = tape.names();
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.second == name; });
  if (found == names.end())
    throw UsageError(
        fmt::format("{}: nothing on the tape is called \"{}\"; names are W_rec[i,j], W_in[i,j], b_rec[i], W_out[i,j], "
                    "b_out[i], h_0[i], x_t[i], u_t[i], h_t[i], v_t[i], L_t and L: i and j count from 0, t from 1",
                    option, name));
  return ad::Matrices::variable(tape, found->first);
}

}  // namespace

int trace_command(const std::vector<std::string>& words) {
  const std::vector<std::string> formats = {"text", "markdown", "latex", "json"};
  std::string format = "text", tangent, output = "L", html;
  bool scalars = false, inputs = false;
  int step = 0, elements = 8, rows = 400;
  Options options(
      "unroll trace FILE [--html PAGE] [--step T] [--scalars] [--format F] [--tangent NAME] [--output NAME] "
      "[--elements N] [--rows "
      "N]",
      "Unrolls the network of a network file (- is standard input) on a tape, sweeps it back from the loss, and prints "
      "what stands on it, line by line: the value, the adjoint, and what each operation hands to its operands. The "
      "adjoint of "
      "h_t is delta_t, the credit that BPTT sends back. In a line of a whole vector g is its adjoint, ^ in short, and "
      "|..| "
      "the norm of what is handed on.");
  options.value("--step", "T", "only the step t = T",
                [&](const std::string& text) { step = whole_number(text, 1, "--step"); });
  options.flag("--scalars", "number by number, and not whole vectors in one line", [&] { scalars = true; });
  options.flag("--inputs", "with the numbers of theta, h_0 and x: the adjoints of theta are the gradient",
               [&] { inputs = true; });
  options.value("--format", "F", fmt::format("one of {} (text)", fmt::join(formats, ", ")),
                [&](const std::string& text) {
                  format = text;
                  if (std::find(formats.begin(), formats.end(), format) == formats.end())
                    throw UsageError(fmt::format("--format: \"{}\" is none of {}", format, fmt::join(formats, ", ")));
                });
  options.value("--tangent", "NAME",
                "with the tangents of forward mode, as this variable moves: W_rec[1,0], x_2[0], ...",
                [&](const std::string& text) { tangent = text; });
  options.value("--output", "NAME", "sweep back from this variable, L_2 say (L)",
                [&](const std::string& text) { output = text; });
  options.value("--html", "FILE", "write a page to explore in a browser: the steps as columns, both sweeps at a slider",
                [&](const std::string& text) { html = text; });
  options.value("--elements", "N", "show no more than N elements of a vector (8)",
                [&](const std::string& text) { elements = whole_number(text, 0, "--elements"); });
  options.value("--rows", "N", "of text: leave out the middle of what is longer than N rows (400; 0: show all)",
                [&](const std::string& text) { rows = whole_number(text, 0, "--rows"); });
  const auto name = options.parse_one_file(words);
  if (!name) return 0;

  const NetworkFile file = read_network_file(*name);
  if (step > file.sequence.length())
    throw UsageError(fmt::format("--step {}: the sequence has {} steps", step, file.sequence.length()));
  ad::Tape tape;
  if (scalars)
    rnn::unroll(tape, file.network, file.sequence, {.names = true});
  else
    record_vectors(tape, file.network, file.sequence);
  const ad::Var from = named(tape, output, "--output");
  if (!tangent.empty()) tape.forward(named(tape, tangent, "--tangent"));
  tape.reverse(from);
  if (!html.empty()) return write_file(html, ad::explorer(tape, from)), 0;
  auto trace = ad::trace(tape, from,
                         {.scope = step == 0 ? "" : fmt::format("t={}", step),
                          .fold_inputs = !inputs,
                          .elements = static_cast<ad::Id>(elements)});
  for (auto& row : trace.rows) row.where = {};  // the lines of this file are nothing to its reader
  trace.file.clear();
  const ad::Look look{.most = static_cast<std::size_t>(rows)};
  std::cout << (format == "json"       ? ad::json(trace)
                : format == "markdown" ? ad::markdown(trace, look)
                : format == "latex"    ? ad::latex(trace, look)
                                       : ad::terminal(trace, look))
            << std::flush;
  return 0;
}

}  // namespace tutorials

#else

namespace tutorials {
int trace_command(const std::vector<std::string>&) {
  throw UsageError("trace: this program was built without nlohmann-json (Debian: nlohmann-json3-dev)");
}
}  // namespace tutorials

#endif
