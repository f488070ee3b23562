// Adjoints and tangents of a recording pair up: summed over any cut their products are the same, or a rule is wrong.
#pragma once

#include <fmt/format.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "ad/annotations.h"
#include "ad/elementary.h"

namespace ad {

/// What pairing() found. Ids are those of the tape.
template <class T>
struct Pairing {
  bool ok = true;
  std::vector<T> cut;                // cut[i]: the sum above entry i; cut[0]: over the inputs
  std::uint32_t broken = 0;          // the first entry, from above, where the sum changes; 0: none
  std::uint32_t unseen = 0;          // an entry with a number that is not finite: without one that broke, no verdict
  std::vector<std::uint32_t> edits;  // entries whose derivative a person gave: detach, custom
  std::string text;
  explicit operator bool() const { return ok; }
};

/// Why what the last sweeps left need not pair up over the recording; nothing if it must.
template <class Tape>
std::string no_pairing(const Tape& tape, std::uint32_t y) {
  if (!tape.has_adjoints() || !tape.has_tangents())
    return fmt::format("no {} sweep over the recording as it is now", tape.has_adjoints() ? "tangent" : "adjoint");
  if constexpr (requires { tape.output(), tape.moved_result(); }) {
    if (tape.output() != y) return fmt::format("the adjoint sweep did not begin at v{} alone", y);
    if (const auto m = tape.moved_result()) return fmt::format("the tangent sweep moved v{}, which is no input", m);
  }
  return "";
}

/// Cuts the recording between entries and sums adjoint * tangent over the variables open at the cut, from the output y
/// down to the inputs: by the chain rule the sum is the same, dy/dt, at every cut. An adjoint counts as far as the
/// entries above the cut have handed it on. Where the two sweeps follow different rules, the entry is found. Over exact
/// numbers nothing is forgiven; else a few units in the last place of what is summed.
/// Where numbers are not finite the sums agree with anything: then it is not ok, and says that it cannot judge.
/// Throws std::logic_error unless both sweeps, reverse(y) and forward(inputs), were made over the recording as it is.
template <class Tape, class Variable>
auto pairing(const Tape& tape, const Variable& y) {
  using T = std::remove_cvref_t<decltype(tape.value_of(1))>;
  using std::abs;
  const std::uint32_t top = tape.check(y, "pairing(tape, y)");
  if (const std::string why = no_pairing(tape, top); !why.empty()) throw std::logic_error("ad::pairing: " + why);
  if constexpr (requires { tape.only_scalars(); })
    if (!tape.only_scalars()) throw std::logic_error("ad::pairing: over a recording with matrix entries");
  const auto label = [&](std::uint32_t i) {
    const Op op = tape.entry_of(i).op;
    const std::string name = tape.name_of(i);
    return fmt::format("v{}{}{} ({}{})", i, name.empty() ? "" : " ", name, op_text(op).name,
                       op == Op::detach || op == Op::custom ? ", an edit" : "");
  };
  const auto number = [](const T& x) { return static_cast<double>(x); };
  const auto finite = [](const T& x) { return x - x == 0; };
  Pairing<T> p;
  std::vector<T> open(top + 1, T(0)), terms(top + 1, T(0));  // handed on so far, and the sum of what it was made of
  open[top] = tape.adjoint(top);
  T sum = flow(tape.adjoint(top), tape.tangent(top));
  p.cut.assign(top + 1, sum);
  if (!finite(sum)) p.unseen = top;
  for (std::uint32_t i = top; i > 0; --i) {
    p.cut[i] = sum;
    const auto& e = tape.entry_of(i);
    if (e.op == Op::detach || e.op == Op::custom) p.edits.push_back(i);
    const T g = tape.adjoint(i), t = tape.tangent(i);
    T pushed = t, size = flow(terms[i], T(abs(t)));
    if (e.op > Op::constant) {
      pushed = T(0);
      const std::pair<std::uint32_t, T> operands[] = {{e.a, e.pa}, {e.b, e.pb}, {e.c, T(1)}};
      for (const auto& [k, partial] : operands) {
        if (k == 0) continue;
        const T handed = flow(partial, g);
        open[k] += handed;
        terms[k] += abs(handed);
        pushed += flow(partial, tape.tangent(k));
        size += abs(flow(handed, tape.tangent(k)));
      }
    }
    // the sum loses open * t and gains, over the operands, partial * g * their tangents
    T change = open[i] == g ? T(0) : flow(T(g - open[i]), t);
    if (!(pushed == t)) change += flow(g, T(pushed - t));
    if (change == 0) continue;
    sum += change;
    if (!finite(change) && finite(open[i]) == finite(g) && finite(pushed) == finite(t)) {
      if (p.unseen == 0) p.unseen = i;
      continue;
    }
    const bool rounding = finite(change) && abs(change) <= 16 * std::numeric_limits<T>::epsilon() * size;
    if (p.broken == 0 && !rounding) {
      p.broken = i;
      p.text = fmt::format(
          "pairing breaks at {}: the sum is {:.6g} above it and {:.6g} below; its adjoint is {:.6g} and "
          "{:.6g} was handed to it; its tangent is {:.6g} and its operands make {:.6g}",
          label(i), number(p.cut[i]), number(sum), number(g), number(open[i]), number(t), number(pushed));
    }
  }
  p.cut[0] = sum;
  p.ok = p.broken == 0 && p.unseen == 0;
  if (p.broken == 0 && p.unseen != 0) {
    std::uint32_t i = 1;  // it began at the first such value or tangent, or else comes from above
    while (i < p.unseen && finite(tape.value_of(i)) && finite(tape.tangent(i))) ++i;
    p.text =
        fmt::format("pairing cannot judge, not all is finite at {}: value {:.6g}, tangent {:.6g}, adjoint {:.6g}",
                    label(p.unseen = i), number(tape.value_of(i)), number(tape.tangent(i)), number(tape.adjoint(i)));
  }
  if (p.ok) p.text = fmt::format("pairing, sum of adjoint * tangent = {:.6g} at every cut  ok", number(p.cut[0]));
  for (std::size_t k = 0; k < p.edits.size(); ++k)
    p.text += (k == 0 ? "\n  the derivative is given, not derived, at " : ", ") + label(p.edits[k]);
  return p;
}

}  // namespace ad
