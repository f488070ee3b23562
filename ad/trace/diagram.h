// A recording as boxes in columns: a scope of the program is a column, what it reads stands to the left, in rows of alike.
#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "ad/trace/rows.h"

namespace ad {

/// One operation, or one array of inputs.
struct DiagramBox {
  Id first = 0, last = 0;  // the variables it makes
  std::string label;       // "h_3", "v17"
  std::string operation;   // "0.7*h_2 + 0.3*f_3"
  bool input = false;
  int column = 0, row = 0;            // of the picture, from 0
  std::vector<std::size_t> operands;  // boxes; each once
  struct HandOut {
    std::size_t to;    // box
    std::string what;  // "W_rec^T*g", or the partial of single numbers
    double amount;     // of arrays the norm
  };
  std::vector<HandOut> hands_out;
};

struct Diagram {
  std::string title;
  std::vector<std::string> columns;  // "parameters", "t=1", ..., what stands behind the last scope
  int rows = 0;
  std::vector<DiagramBox> boxes;  // in the order of recording
  std::size_t output = 0;         // the box of the result
};

namespace detail {

inline std::size_t box_of(const std::vector<DiagramBox>& boxes, Id id) {
  const auto after =
      std::upper_bound(boxes.begin(), boxes.end(), id, [](Id i, const DiagramBox& b) { return i < b.first; });
  return static_cast<std::size_t>(after - boxes.begin()) - 1;
}

/// "u_3" and "u_12" play one role, and so do "W*h_1 + W*x_2" and "W*h_2 + W*x_3": what is left without numbers.
inline std::string role_of(const DiagramBox& b) {
  std::string role = b.label + '=' + b.operation;
  std::erase_if(role, [](char c) { return ('0' <= c && c <= '9') || c == '.'; });
  return role;
}

}  // namespace detail

/// The boxes of a recording with result y, after reverse(y). Inputs that one scope alone reads stand in its column, others
/// in the first; a scope's operations in the order of the longest scope, alike beside alike.
template <class Tag>
Diagram diagram(const TapeOf<double>& tape, const Variable<double, Tag>& y) {
  const Trace<double> trace = ad::trace(tape, y, {.fold_inputs = true, .elements = 0});
  Diagram d{trace.title, {"parameters"}, 0, {}, 0};
  std::vector<std::string> scopes;
  std::vector<HandOut<double>> waiting;  // of the product inside a fused entry
  std::vector<std::vector<HandOut<double>>> hands_out;
  std::vector<std::vector<Id>> operands;
  for (const auto& r : trace.rows) {
    if (!r.numbered) {
      waiting = r.hands_out;
      continue;
    }
    DiagramBox b;
    b.first = r.id, b.last = r.id + static_cast<Id>(r.folded) - 1;
    b.label = r.label, b.operation = r.operation, b.input = r.op <= Op::constant;
    const std::size_t equals = b.operation.find(" = ");  // "u_2 = W_rec*h_1 + ...  3 x 1"
    if (equals != std::string::npos && !b.operation.starts_with('(')) {
      b.label = b.operation.substr(0, equals);
      b.operation.erase(0, equals + 3);
    } else if (r.folded > 1) {
      b.label = b.input && !r.name.empty() ? r.name : r.node();
    }
    d.boxes.push_back(std::move(b));
    scopes.push_back(r.scope);
    operands.push_back(r.operands);
    hands_out.push_back(std::exchange(waiting, {}));
    hands_out.back().insert(hands_out.back().end(), r.hands_out.begin(), r.hands_out.end());
  }
  const auto box = [&](Id id) { return detail::box_of(d.boxes, id); };
  d.output = box(y.id());
  for (std::size_t i = 0; i < d.boxes.size(); ++i) {
    std::set<std::size_t> reads;
    for (const Id id : operands[i]) reads.insert(box(id));
    for (const auto& h : hands_out[i]) {
      reads.insert(box(h.to));
      d.boxes[i].hands_out.push_back({box(h.to), h.whole.empty() ? h.partial.plain() : h.whole, h.amount});
    }
    d.boxes[i].operands.assign(reads.begin(), reads.end());
  }

  // columns
  std::map<std::string, int> column;
  for (std::size_t i = 0; i < d.boxes.size(); ++i) {
    if (d.boxes[i].input) continue;
    const auto [at, fresh] = column.insert({scopes[i], static_cast<int>(d.columns.size())});
    if (fresh) d.columns.push_back(scopes[i].empty() ? "-" : scopes[i]);
    d.boxes[i].column = at->second;
  }
  std::vector<std::set<int>> readers(d.boxes.size());
  for (const auto& b : d.boxes)
    for (const std::size_t o : b.operands) readers[o].insert(b.column);
  for (std::size_t i = 0; i < d.boxes.size(); ++i)
    if (d.boxes[i].input) d.boxes[i].column = readers[i].size() == 1 && column.size() > 1 ? *readers[i].begin() : 0;

  // rows: inputs of a column first
  std::vector<std::vector<std::size_t>> inputs(d.columns.size()), operations(d.columns.size());
  for (std::size_t i = 0; i < d.boxes.size(); ++i)
    (d.boxes[i].input ? inputs : operations)[static_cast<std::size_t>(d.boxes[i].column)].push_back(i);
  int top = 0;
  for (std::size_t c = 1; c < d.columns.size(); ++c) top = std::max(top, static_cast<int>(inputs[c].size()));
  for (std::size_t c = 0; c < d.columns.size(); ++c)
    for (std::size_t k = 0; k < inputs[c].size(); ++k)  // they end where the operations begin
      d.boxes[inputs[c][k]].row = static_cast<int>(k) + (c == 0 ? 0 : top - static_cast<int>(inputs[c].size()));
  std::vector<std::string> model;  // roles of the longest scope, in order
  for (const auto& of : operations)
    if (of.size() > model.size()) {
      model.clear();
      for (const std::size_t i : of) model.push_back(detail::role_of(d.boxes[i]));
    }
  d.rows = static_cast<int>(inputs[0].size());
  for (const auto& of : operations) {
    std::size_t next = 0;
    for (const std::size_t i : of) {
      const auto at = std::find(model.begin() + static_cast<std::ptrdiff_t>(std::min(next, model.size())), model.end(),
                                detail::role_of(d.boxes[i]));
      if (at != model.end()) next = static_cast<std::size_t>(at - model.begin());
      d.boxes[i].row = top + static_cast<int>(next++);
      d.rows = std::max(d.rows, d.boxes[i].row + 1);
    }
  }
  return d;
}

}  // namespace ad
