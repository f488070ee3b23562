// A diagnosis in words.
#pragma once

#include "rules/diagnosis.h"
#include "rules/wrapped.h"

namespace rules {

namespace detail {

inline std::string entry_name(const Diagnosis::Array& a, const Diagnosis::Entry& e) {
  const std::string_view name = a.name;
  if (!name.starts_with("per_step.")) return fmt::format("{}[{}]", name, fmt::join(e.index, ","));
  return fmt::format("[{}].{}[{}]", e.index[0], name.substr(9), fmt::join(e.index.begin() + 1, e.index.end(), ","));
}

/// The first line begins with `head`; the others stand below what follows it.
inline std::string line(const std::string& head, const std::string& text) {
  return head + wrapped(text, head.size(), 80 - head.size()) + '\n';
}

inline std::string worst_entries(const Diagnosis::Array& a) {
  std::string text;
  if (a.turned) text += line("  ", a.name + "  has its rows as columns; compared after turning it");
  if (a.differ == 0) return text;
  text += line("  ", fmt::format("{}  {} of {} entries differ{}   max|difference| / max|{}| = {:.1e}", a.name, a.differ,
                                 a.of, a.of == 1 ? "s" : "", a.name, a.relative));
  text +=
      fmt::format("    {:<20}{:>13}{:>13}{:>12} {:>12}\n", "entry (from 0)", "expected", "got", "difference", "ratio");
  for (const auto& e : a.worst)
    text += fmt::format("    {:<20}{:>13.6g}{:>13.6g}{:>12.0e} {:>12}\n", entry_name(a, e), e.expected, e.got,
                        std::abs(e.got - e.expected),
                        e.expected == 0 ? "-" : fmt::format("{:.6g}", e.got / e.expected + 0.));
  return text;
}

inline std::string in_words(std::size_t number, const Diagnosis::Named& m) {
  const std::string head = fmt::format("   {:>2}  ", number), below(head.size(), ' ');
  std::string text = line(head, fmt::format("{}: {}", m.id, mistake(m.id).what));
  if (!m.with.empty()) text += line(below, fmt::format("and {}: {}", m.with, mistake(m.with).what));
  if (!m.how.empty()) text += line(below + "made so: ", m.how);
  text += line(below, fmt::format("gives your {}{} to {:.1e}", fmt::join(m.arrays, ", "),
                                  m.alone ? ", though other arrays do not have it," : "", m.residual));
  text += line(below + "right:   ", std::string(mistake(m.id).right));
  if (!m.with.empty()) text += line(below + "and:     ", std::string(mistake(m.with).right));
  return text;
}

/// The arrays that are wrong and that no mistake gives.
inline std::vector<std::string> unexplained(const Diagnosis& d) {
  std::vector<std::string> open;
  for (const auto& a : d.arrays) {
    const auto gives = [&](const auto& m) {
      return std::find(m.arrays.begin(), m.arrays.end(), a.name) != m.arrays.end();
    };
    if ((a.differ > 0 || a.turned) && std::none_of(d.mistakes.begin(), d.mistakes.end(), gives)) open.push_back(a.name);
  }
  return open;
}

/// What may be behind numbers that are off: the mistakes that give them, or the next best.
inline std::string causes(const Diagnosis& d) {
  std::string text;
  if (d.verdict == Verdict::layout) text += "  The numbers are right, in another layout\n";
  if (!d.mistakes.empty()) text += d.mistakes.size() == 1 ? "  Likely mistake\n" : "  Likely mistakes\n";
  constexpr std::size_t shown = 8;
  for (std::size_t i = 0; i < std::min(shown, d.mistakes.size()); ++i) text += in_words(i + 1, d.mistakes[i]);
  if (d.mistakes.size() > shown) text += fmt::format("       and {} more\n", d.mistakes.size() - shown);
  const auto open = unexplained(d);
  if (!open.empty())
    text += line("  ", fmt::format("No known mistake gives your {}{}", fmt::join(open, ", "),
                                   d.pairs_tried ? ", nor do two at once" : ", alone or with a factor"));
  if (!open.empty() && d.long_families_cut)
    text += line("  ", fmt::format("(single steps, and truncations, were tried up to {})", longest_family));
  double left = 0;
  for (const auto& a : d.arrays) left = std::max(left, a.relative);
  std::string what = "All entries agree";
  if (d.nearest) {
    text +=
        line("    -  ", fmt::format("next best: {}{}, leaves {:.1e}: rejected", d.nearest->id,
                                    d.nearest->how.empty() ? "" : " (" + d.nearest->how + ")", d.nearest->residual));
    if (d.verdict == Verdict::unknown && d.nearest->residual < left) left = d.nearest->residual, what = "That fits";
  }
  if (left < 1e-3 && d.verdict != Verdict::layout && d.precision != "as asked")
    text += line("  ", fmt::format("{} to {:.0e}: if your numbers are no better (rounded, of single precision, by "
                                   "differences), ask for a tolerance",
                                   what, left));
  return text;
}

/// What this point can and cannot show.
inline std::string sight(const Diagnosis& d) {
  const std::size_t all = mistakes.size(), blind = d.blind.size();
  if (blind == 0) return fmt::format("  All {} known mistakes would show at this point.\n", all);
  std::string text =
      fmt::format("  {} of {} known mistakes would show at this point, these would not:\n", all - blind, all);
  for (const auto id : d.blind) {
    const bool elsewhere = std::find(d.elsewhere.begin(), d.elsewhere.end(), id) != d.elsewhere.end();
    text += line(fmt::format("    {:<27}", id),
                 elsewhere ? "it takes other arrays than are given" : fmt::format("it takes {}", mistake(id).needs));
  }
  return text;
}

}  // namespace detail

/// What was found, in lines of 80 columns; `title` says whose numbers they are and what they were compared with.
inline std::string report(const Diagnosis& d, std::string_view title = "the gradient") {
  std::string text = fmt::format("{}  {}\n", d ? "ok  " : "FAIL", title);
  std::vector<std::string_view> right;
  double allowed = 0;
  for (const auto& a : d.arrays) {
    text += detail::worst_entries(a);
    if (a.differ == 0 && !a.turned) right.push_back(a.name), allowed = std::max(allowed, a.tolerance);
  }
  const std::string_view looks = d.precision == "single"    ? "; the numbers look like single precision"
                                 : d.precision == "rounded" ? "; the numbers look rounded"
                                                            : "";
  if (!right.empty())
    text += detail::line("  ", fmt::format("{} agree{} (to {:.0e} of an array's largest entry{})",
                                           fmt::join(right, ", "), right.size() == 1 ? "s" : "", allowed, looks));
  if (d.facing)
    text += fmt::format("  parts read as {}\n", *d.facing == Facing::past ? "dL_t/dtheta, one for each loss"
                                                                          : "dL/dtheta_t, one for each use of theta");
  if (!d) text += detail::causes(d);
  return text + detail::sight(d);
}

}  // namespace rules
