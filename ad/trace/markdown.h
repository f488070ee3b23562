// The rows of a tape as a Markdown table.
#pragma once

#include "ad/trace/terminal.h"

namespace ad {

template <class T>
std::string markdown(const Trace<T>& t, const Look& look = {}) {
  const auto code = [](const std::string& s) { return s.empty() ? "" : "`" + s + "`"; };
  std::string all = t.title.empty() ? "" : "**" + code(t.title) + "**\n\n", rule = "|---|---|---:|";
  all += "| node | operation | value |";
  if (t.has_tangents) all += " tangent |", rule += "---:|";
  if (t.has_adjoints) all += " adjoint | hands out |", rule += "---:|---|";
  all += "\n" + rule + "\n";
  for (const Row<T>& r : t.rows) {
    const auto number = [&](const T& x) {
      return (r.folded == 1 ? detail::number_text(x, look.decimals) : "") + " | ";
    };
    all += "| " + r.node() + " | " + code(r.operation) + " | " + number(r.value);
    if (t.has_tangents) all += number(r.tangent);
    if (t.has_adjoints) {
      all += number(r.adjoint);
      for (std::size_t k = 0; k < r.hands_out.size(); ++k)
        all += (k == 0 ? "" : "<br>") + code(hand_out_text(r.hands_out[k])) + " " +
               detail::amount_text(r.hands_out[k], look.decimals);
      all += " |";
    }
    while (all.ends_with(' ')) all.pop_back();
    all += "\n";
  }
  return all + (t.closing.empty() ? "" : "\n" + t.closing + "\n");
}

}  // namespace ad
