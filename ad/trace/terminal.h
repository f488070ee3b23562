// The rows of a tape as a table for a terminal: values and tangents are read downward, adjoints and what they hand out
// upward.
#pragma once

#include "ad/trace/rows.h"

namespace ad {

/// How much room there is.
struct Look {
  std::size_t width = 80;  // kept by fewer decimals, by ^ for the adjoint handed out, by more lines, by cutting words
  std::size_t most = 0;    // rows; the middle of a longer trace is left out. 0: all
  int decimals = 6;
};

/// "v1 += 0.5 * cos(v1)", or in short "v1 += ^*cos(v1)"; "v1 += 0.5" and "v1 -= 0.5" where the partial is 1 and -1.
template <class T>
std::string hand_out_text(const HandOut<T>& h, bool in_short = false) {
  if (!h.whole.empty()) return h.label + " += " + h.whole;
  std::string g = in_short ? "^" : detail::operand_text(h.adjoint), partial = h.partial.plain();
  if constexpr (std::is_floating_point_v<T>)
    if (!in_short) g = fmt::format("{:.4g}", h.adjoint);
  if (partial == "1") return h.label + " += " + g;
  if (partial == "-1") return h.label + " -= " + g;
  if (g.find(' ') != std::string::npos) g = "(" + g + ")";
  if (partial.find(' ') != std::string::npos || partial.starts_with('-')) partial = "(" + partial + ")";
  return h.label + " += " + g + (in_short ? "*" : " * ") + partial;
}
namespace detail {

inline std::string cut(const std::string& s, std::size_t width) {
  return s.size() <= width ? s : width <= 2 ? std::string(width, '.') : s.substr(0, width - 2) + "..";
}

template <class T>
std::string amount_text(const HandOut<T>& h, int decimals) {
  const std::string s = number_text(h.amount, decimals);
  if (!h.whole.empty()) return "|" + s + "|";
  return (s.starts_with('-') ? "(" : "(+") + s + ")";
}

/// A table whose columns are as wide as they need to be.
struct Grid {
  std::vector<std::vector<std::string>> rows;
  std::vector<std::size_t> width;
  void add(std::vector<std::string> row) {
    width.resize(std::max(width.size(), row.size()));
    for (std::size_t k = 0; k < row.size(); ++k) width[k] = std::max(width[k], row[k].size());
    rows.push_back(std::move(row));
  }
};

}  // namespace detail

/// The table, every line ended. Hand-outs stand at the right, or below their row where that is too narrow.
template <class T>
std::string terminal(const Trace<T>& t, const Look& look = {}) {
  using namespace detail;  // NOLINT: only in here
  const std::size_t n = t.rows.size();
  const auto other_line = [&](const Row<T>& r) { return r.where.line != t.rows[0].where.line; };
  const bool lines = std::any_of(t.rows.begin(), t.rows.end(), other_line);
  const bool shorten = look.most != 0 && n > look.most;
  const std::size_t head = shorten ? (look.most + 1) / 2 : n, tail = shorten ? n - look.most / 2 : n;

  // columns: 0 node, 1 operation, 2 value, 3 tangent, 4 adjoint, 5 hands out, 6 how much, 7 line
  const auto lay_out = [&](int decimals, bool in_short, bool beside) {
    Grid g;
    g.add({"node", "operation", "value v", t.has_tangents ? "tangent v" : "", t.has_adjoints ? "adjoint ^" : "",
           t.has_adjoints && beside ? "hands out ^" : "", "", lines ? "at" : ""});
    for (std::size_t i = 0; i < n; ++i) {
      if (i == head) {
        g.add({"..", fmt::format("({} rows)", tail - head), "", "", "", "", "", ""});
        i = tail;
        if (i == n) break;
      }
      const Row<T>& r = t.rows[i];
      const auto number = [&](bool has, const T& x) { return has && r.folded == 1 ? number_text(x, decimals) : ""; };
      g.add({r.node(), r.operation, number(true, r.value), number(t.has_tangents, r.tangent),
             number(t.has_adjoints, r.adjoint), "", "",
             lines && r.where.line != 0 ? fmt::format(":{}", r.where.line) : ""});
      std::string below;
      for (std::size_t k = 0; k < r.hands_out.size(); ++k) {
        const std::string text = hand_out_text(r.hands_out[k], in_short),
                          amount = amount_text(r.hands_out[k], decimals);
        if (beside) {
          if (k > 0) g.add({"", "", "", "", "", "", "", ""});
          g.rows.back()[5] = text, g.width[5] = std::max(g.width[5], text.size());
          g.rows.back()[6] = amount, g.width[6] = std::max(g.width[6], amount.size());
        } else {
          const std::string next = text + " " + amount;
          if (!below.empty() && 12 + below.size() + 3 + next.size() > look.width)
            g.rows.push_back({"^ " + std::exchange(below, "")});
          below += (below.empty() ? "" : "   ") + next;
        }
      }
      if (!below.empty()) g.rows.push_back({"^ " + below});
    }
    return g;
  };
  const auto total = [&](const Grid& g) {
    std::size_t all = 3;
    for (std::size_t k = 0; k < g.width.size(); ++k) all += g.width[k] == 0 ? 0 : g.width[k] + (k == 4 ? 3 : 1);
    return all;
  };
  Grid g;
  bool fits = false;
  for (const bool in_short : {false, true})
    for (int less = 0; less <= 2 && !fits; ++less) {
      g = lay_out(std::max(4, look.decimals - less), in_short, true);
      fits = total(g) <= look.width;
    }
  if (!fits) {
    g = lay_out(look.decimals, false, false);
    if (total(g) > look.width) g.width[1] -= std::min(g.width[1] - 9, total(g) - look.width);
  }

  std::string all, place = t.file.substr(t.file.find_last_of('/') + 1);
  if (!place.empty() && !lines) place += fmt::format(":{}", t.rows[0].where.line);
  const std::size_t used = t.title.size() + place.size(), room = std::min(total(g), look.width);
  if (used > 0)
    all += t.title + (place.empty() ? "" : std::string(used + 2 <= room ? room - used : 2, ' ') + place) + "\n";
  for (auto& row : g.rows) {
    if (row.size() == 1) {
      all += std::string(std::min<std::size_t>(10, 4 + g.width[0]), ' ') + row[0] + "\n";
      continue;
    }
    row[1] = cut(row[1], g.width[1]);
    std::string line = " ";
    for (std::size_t k = 0; k < row.size(); ++k) {
      if (g.width[k] == 0) continue;
      line += k == 4 ? " | " : k == 1 || k == 5 ? "  " : " ";
      line += k < 2 || k == 5 ? fmt::format("{:<{}}", row[k], g.width[k]) : fmt::format("{:>{}}", row[k], g.width[k]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    all += line + "\n";
  }
  if (!t.closing.empty()) all += "  " + t.closing + "\n";
  return all;
}

/// The reverse sweep as it happens: a line for each entry, the adjoints so far in columns, one for each of `columns`.
template <class T>
std::string terminal(const std::vector<AdjointStep<T>>& steps, const std::vector<Id>& columns, Look look = {}) {
  detail::Grid g;
  std::vector<std::string> row{"after"};
  for (Id c : columns) row.push_back(fmt::format("v{}", c));
  g.add(row);
  for (const AdjointStep<T>& s : steps) {
    row = {fmt::format("v{}", s.entry)};
    for (Id c : columns)
      row.push_back(c < s.so_far.size() && !is_zero(s.so_far[c]) ? detail::number_text(s.so_far[c], look.decimals)
                                                                 : ".");
    g.add(row);
  }
  std::string all;
  for (const auto& r : g.rows) {
    for (std::size_t k = 0; k < r.size(); ++k) all += fmt::format("  {:>{}}", r[k], g.width[k]);
    all += "\n";
  }
  return all;
}

}  // namespace ad
