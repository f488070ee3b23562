// The rows of a tape as a Markdown table.
#pragma once

#include "ad/trace/terminal.h"

namespace ad {

namespace detail {

/// Text as code: between more backticks than it has in a row.
inline std::string markdown_code(std::string s) {
  if (s.empty()) return s;
  std::replace(s.begin(), s.end(), '\n', ' ');
  std::string fence = "`";
  while (s.find(fence) != std::string::npos) fence += '`';
  if (s.starts_with('`') || s.ends_with('`')) s = " " + s + " ";
  return fence + s + fence;
}
/// What stands in a cell of a table, where a bar ends the cell even within code.
inline std::string markdown_cell(const std::string& s) {
  std::string all;
  for (const char c : s) all += c == '|' ? "\\|" : std::string(1, c);
  return all;
}

}  // namespace detail

template <class T>
std::string markdown(const Trace<T>& t, const Look& look = {}) {
  using detail::markdown_code;
  const auto code = [](const std::string& s) { return detail::markdown_cell(markdown_code(s)); };
  const auto quantity = [&](const std::string& s) {
    return std::is_floating_point_v<T> ? detail::markdown_cell(s) : code(s);
  };
  std::string all = t.title.empty() ? "" : "**" + markdown_code(t.title) + "**\n\n", rule = "|---|---|---:|";
  all += "| node | operation | value |";
  if (t.has_tangents) all += " tangent |", rule += "---:|";
  if (t.has_adjoints) all += " adjoint | hands out |", rule += "---:|---|";
  all += "\n" + rule + "\n";
  for (const Row<T>& r : t.rows) {
    const auto number = [&](const T& x) {
      return (r.folded == 1 ? quantity(detail::number_text(x, look.decimals)) : "") + " | ";
    };
    all += "| " + r.node() + " | " + code(r.operation) + " | " + number(r.value);
    if (t.has_tangents) all += number(r.tangent);
    if (t.has_adjoints) {
      all += number(r.adjoint);
      for (std::size_t k = 0; k < r.hands_out.size(); ++k)
        all += (k == 0 ? "" : "<br>") + code(hand_out_text(r.hands_out[k])) + " " +
               quantity(detail::amount_text(r.hands_out[k], look.decimals));
      all += " |";
    }
    while (all.ends_with(' ')) all.pop_back();
    all += "\n";
  }
  return all + (t.closing.empty() ? "" : "\n" + t.closing + "\n");
}

}  // namespace ad
