// A recording as one page for a browser: columns are the program's scopes, and a slider runs both sweeps, box by box.
//
// The page needs nothing but itself. What follows # in its address is its state: #s=17&v=h_3 is a moment to link to.
#pragma once

#include "ad/trace/diagram.h"
#include "ad/trace/explorer_page.h"
#include "ad/trace/json.h"

namespace ad {

namespace detail {

/// The first few numbers of a box, in six digits.
template <class Number>
std::string first_numbers(const DiagramBox& b, Number&& number) {
  constexpr Id shown = 12;
  std::string all;
  for (Id i = b.first; i <= std::min(b.last, b.first + shown - 1); ++i) {
    const double x = number(i);
    all += (all.empty() ? "" : ",") + (std::isfinite(x) ? fmt::format("{:.6g}", x) : json_text(fmt::format("{}", x)));
  }
  return "[" + all + "]";
}

/// The boxes as the page's script reads them.
template <class Tag>
std::string explorer_data(const TapeOf<double>& tape, const Variable<double, Tag>& y) {
  const Diagram d = diagram(tape, y);
  const bool tangents = tape.has_tangents();
  std::string all = "{\"title\":" + json_text(d.title) + ",\"rows\":" + std::to_string(d.rows) +
                    ",\"output\":" + std::to_string(d.output) + ",\"columns\":[";
  for (std::size_t c = 0; c < d.columns.size(); ++c) all += (c == 0 ? "" : ",") + json_text(d.columns[c]);
  all += "],\"boxes\":[";
  for (std::size_t i = 0; i < d.boxes.size(); ++i) {
    const DiagramBox& b = d.boxes[i];
    double adjoint = 0;  // its norm
    for (Id k = b.first; k <= b.last; ++k) adjoint = std::hypot(adjoint, tape.adjoint(k));
    all += fmt::format("{}\n{{\"l\":{},\"o\":{},\"i\":{},\"c\":{},\"r\":{},\"n\":{},\"g\":{},\"a\":[{}],\"h\":[",
                       i == 0 ? "" : ",", json_text(b.label), json_text(b.operation), b.input ? 1 : 0, b.column, b.row,
                       b.last - b.first + 1, json_number(adjoint), fmt::join(b.operands, ","));
    for (std::size_t k = 0; k < b.hands_out.size(); ++k) {
      const auto& h = b.hands_out[k];
      all += fmt::format("{}[{},{},{}]", k == 0 ? "" : ",", h.to, json_text(h.what), json_number(h.amount));
    }
    all += "],\"v\":" + first_numbers(b, [&](Id k) { return tape.value_of(k); }) +
           ",\"d\":" + first_numbers(b, [&](Id k) { return tape.adjoint(k); });
    if (tangents) all += ",\"t\":" + first_numbers(b, [&](Id k) { return tape.tangent(k); });
    all += "}";
  }
  all += "\n]}";
  for (std::size_t at = 0; (at = all.find('<', at)) != std::string::npos;)
    all.replace(at, 1, "\\u003c");  // no tag ends it
  return all;
}

}  // namespace detail

/// The page, one HTML file, after reverse(y); with tangents if there was a forward sweep.
template <class Tag>
std::string explorer(const TapeOf<double>& tape, const Variable<double, Tag>& y) {
  std::string page(explorer_page);
  page.replace(page.find("@DATA@"), 6, detail::explorer_data(tape, y));
  return page;
}

}  // namespace ad
