// The rows of a tape as JSON, for programs; numbers are written so that they can be read back exactly.
#pragma once

#include "ad/trace/rows.h"

namespace ad {

namespace detail {

inline std::string json_text(std::string_view s) {
  std::string all = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\')
      all += '\\', all += c;
    else if (static_cast<unsigned char>(c) < 0x20)
      all += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      all += c;
  }
  return all + "\"";
}

/// JSON has no infinity and no NaN: those, and numbers of other kinds, are written as text.
template <class T>
std::string json_number(const T& x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::isfinite(x) ? fmt::format("{}", x) : json_text(fmt::format("{}", x));
  else
    return json_text(operand_text(x));
}

}  // namespace detail

template <class T>
std::string json(const Trace<T>& t) {
  using detail::json_number, detail::json_text;
  std::string all = "{\"title\": " + json_text(t.title) + ", \"closing\": " + json_text(t.closing) + ", \"rows\": [";
  for (std::size_t i = 0; i < t.rows.size(); ++i) {
    const Row<T>& r = t.rows[i];
    all += fmt::format("{}\n  {{\"id\": {}, \"node\": {}, \"name\": {}, \"operation\": {}", i == 0 ? "" : ",", r.id,
                       json_text(r.node()), json_text(r.name), json_text(r.operation));
    if (r.folded > 1) all += fmt::format(", \"folded\": {}", r.folded);
    all += fmt::format(", \"operands\": [{}]", fmt::join(r.operands, ", "));
    if (r.folded == 1) all += ", \"value\": " + json_number(r.value);
    if (r.folded == 1 && t.has_tangents) all += ", \"tangent\": " + json_number(r.tangent);
    if (t.has_adjoints) {
      if (r.folded == 1) all += ", \"adjoint\": " + json_number(r.adjoint);
      all += ", \"hands_out\": [";
      for (std::size_t k = 0; k < r.hands_out.size(); ++k) {
        const HandOut<T>& h = r.hands_out[k];
        all += fmt::format("{}{{\"to\": {}, \"label\": {}, ", k == 0 ? "" : ", ", h.to, json_text(h.label));
        all += "\"partial\": " + json_text(h.whole.empty() ? h.partial.plain() : h.whole) +
               (h.whole.empty() ? ", \"amount\": " : ", \"norm\": ") + json_number(h.amount) + "}";
      }
      all += "]";
    }
    if (!r.scope.empty()) all += ", \"scope\": " + json_text(r.scope);
    if (r.where.line != 0) all += fmt::format(", \"file\": {}, \"line\": {}", json_text(r.where.file), r.where.line);
    all += "}";
  }
  return all + "\n]}\n";
}

}  // namespace ad
