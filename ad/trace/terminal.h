// The rows of a tape as a table for a terminal: values and tangents are read downward, adjoints and what they hand out upward.
#pragma once

#include "ad/trace/rows.h"

namespace ad {

/// How much room there is.
struct Look {
  std::size_t width = 80;  // kept by writing ^ for the adjoint handed out, by fewer decimals, then by cutting words
  std::size_t most = 0;    // rows; the middle of a longer trace is left out. 0: all
  int decimals = 6;
};

/// "v1 += 0.5 * cos(v1)", or in short "v1 += ^*cos(v1)"; "v1 += 0.5" and "v1 -= 0.5" where the partial is 1 and -1.
template <class T>
std::string hand_out_text(const HandOut<T>& h, bool in_short = false) {
  std::string g = in_short ? "^" : detail::operand_text(h.adjoint, false), partial = h.partial.plain();
  if constexpr (std::is_floating_point_v<T>)
    if (!in_short) g = fmt::format("{:.4g}", h.adjoint);
  if (partial == "1") return h.label + " += " + g;
  if (partial == "-1") return h.label + " -= " + g;
  if (g.find(' ') != std::string::npos) g = "(" + g + ")";
  if (partial.find(' ') != std::string::npos || partial.starts_with('-')) partial = "(" + partial + ")";
  return h.label + " += " + g + (in_short ? "*" : " * ") + partial;
}
namespace detail {

inline std::string cut(std::string s, std::size_t width) {
  if (s.size() <= width) return s;
  return width <= 2 ? std::string(width, '.') : s.substr(0, width - 2) + "..";
}

template <class T>
std::string amount_text(const T& amount, int decimals) {
  const std::string s = number_text(amount, decimals);
  return (s.starts_with('-') ? "(" : "(+") + s + ")";
}

struct Line {
  std::string node, operation, value, tangent, adjoint, hands_out, amount, at;
};

template <class T>
std::vector<Line> lines_of(const Trace<T>& t, const Look& look, bool in_short, bool with_at) {
  std::vector<Line> lines;
  const std::size_t n = t.rows.size();
  const bool shorten = look.most != 0 && n > look.most;
  const std::size_t head = shorten ? (look.most + 1) / 2 : n, tail = shorten ? n - look.most / 2 : n;
  for (std::size_t i = 0; i < n; ++i) {
    if (i == head && tail > head) {
      lines.push_back({"..", fmt::format("({} rows)", tail - head), "", "", "", "", "", ""});
      i = tail;
      if (i >= n) break;
    }
    const Row<T>& r = t.rows[i];
    const auto number = [&](bool has, const T& x) { return has && r.folded == 1 ? number_text(x, look.decimals) : ""; };
    lines.push_back({r.node(), r.operation, number(true, r.value), number(t.has_tangents, r.tangent),
                     number(t.has_adjoints, r.adjoint), "", "",
                     r.where.line == 0 || !with_at ? "" : fmt::format(":{}", r.where.line)});
    for (std::size_t k = 0; k < r.hands_out.size(); ++k) {
      if (k > 0) lines.emplace_back();
      lines.back().hands_out = hand_out_text(r.hands_out[k], in_short);
      lines.back().amount = amount_text(r.hands_out[k].amount, look.decimals);
    }
  }
  return lines;
}

}  // namespace detail

/// The table, every line ended.
template <class T>
std::string terminal(const Trace<T>& t, Look look = {}) {
  using detail::Line;
  std::vector<Line> lines;
  std::size_t node = 0, operation = 0, value = 0, tangent = 0, adjoint = 0, hands_out = 0, amount = 0, at = 0, total = 0;
  const auto other_line = [&](const Row<T>& r) { return r.where.line != t.rows[0].where.line; };
  const bool with_at = std::any_of(t.rows.begin(), t.rows.end(), other_line);
  for (int attempt = 0; attempt < 7; ++attempt) {
    const bool in_short = attempt >= 3;
    Look now = look;
    now.decimals = std::max(3, look.decimals - (in_short ? attempt - 3 : attempt));
    lines = detail::lines_of(t, now, in_short, with_at);
    lines.insert(lines.begin(), Line{"node", "operation", "value v", t.has_tangents ? "tangent v" : "", t.has_adjoints ? "adjoint ^" : "",
                                     t.has_adjoints ? "hands out ^" : "", "", with_at ? "at" : ""});
    const auto width = [&](std::string Line::*column) {
      std::size_t w = 0;
      for (const Line& l : lines) w = std::max(w, (l.*column).size());
      return w;
    };
    node = width(&Line::node), operation = width(&Line::operation), value = width(&Line::value);
    tangent = width(&Line::tangent), adjoint = width(&Line::adjoint), hands_out = width(&Line::hands_out);
    amount = width(&Line::amount), at = width(&Line::at);
    total = 2 + node + 2 + operation + 1 + value + (tangent ? 1 + tangent : 0) + (adjoint ? 3 + adjoint + 2 + hands_out + 1 + amount : 0) + (at ? 1 + at : 0);
    if (total <= look.width) break;
  }
  const auto shrink = [&](std::size_t& column, std::size_t least) {
    const std::size_t spare = std::min(total > look.width ? total - look.width : 0, column > least ? column - least : 0);
    column -= spare;
    total -= spare;
  };
  shrink(operation, 18);
  shrink(hands_out, 20);
  shrink(operation, 9);
  shrink(hands_out, 11);

  std::string all;
  std::string place = t.file.substr(t.file.find_last_of('/') + 1);
  if (!place.empty() && !with_at) place += fmt::format(":{}", t.rows[0].where.line);
  if (!t.title.empty() || !place.empty()) {
    const std::size_t gap = std::max<std::size_t>(2, std::min(total, look.width) - std::min(look.width, t.title.size() + place.size()));
    all += t.title + (place.empty() ? "" : std::string(gap, ' ') + place) + "\n";
  }
  for (Line& l : lines) {
    std::string s = fmt::format("  {:<{}}  {:<{}} {:>{}}", l.node, node, detail::cut(std::move(l.operation), operation), operation, l.value, value);
    if (tangent) s += fmt::format(" {:>{}}", l.tangent, tangent);
    if (adjoint) s += fmt::format(" | {:>{}}  {:<{}} {:>{}}", l.adjoint, adjoint, detail::cut(std::move(l.hands_out), hands_out), hands_out, l.amount, amount);
    if (at) s += fmt::format(" {:>{}}", l.at, at);
    s.erase(s.find_last_not_of(' ') + 1);
    all += s + "\n";
  }
  if (!t.closing.empty()) all += "  " + t.closing + "\n";
  return all;
}

/// The reverse sweep as it happens: a line for each entry, the adjoints so far in columns, one for each of `columns`.
template <class T>
std::string terminal(const std::vector<AdjointStep<T>>& steps, const std::vector<Id>& columns, Look look = {}) {
  std::vector<std::vector<std::string>> table{{"after"}};
  for (Id c : columns) table[0].push_back(fmt::format("v{}", c));
  for (const AdjointStep<T>& s : steps) {
    table.push_back({fmt::format("v{}", s.entry)});
    for (Id c : columns) table.back().push_back(c < s.so_far.size() && !is_zero(s.so_far[c]) ? detail::number_text(s.so_far[c], look.decimals) : ".");
  }
  std::string all;
  for (const auto& row : table) {
    for (std::size_t k = 0; k < row.size(); ++k) {
      std::size_t width = 0;
      for (const auto& r : table) width = std::max(width, r[k].size());
      all += fmt::format("  {:>{}}", row[k], width);
    }
    all += "\n";
  }
  return all;
}

}  // namespace ad
