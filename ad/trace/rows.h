// Reading a tape: one row for each operation, with its value, its tangent, its adjoint, and what the adjoint hands out.
#pragma once

#include <optional>

#include "ad/check.h"
#include "ad/matrices.h"
#include "ad/symbol.h"

namespace ad {

/// What one entry adds to the adjoint of an operand: amount = adjoint of the entry * partial.
template <class T>
struct HandOut {
  Id to;
  std::string label;  // the operand, as the rows call it
  Symbol partial;     // the table's formula in the operands' names: 1 - v7^2
  T adjoint, amount;
  std::string whole{};  // of an operation on matrices: what is added, "W^T*g", g its adjoint; amount is the norm
  std::string latex{};  // the same
};

/// An operation. A fused entry w + x * z is two rows: the product, which has no number of its own, then the sum. An
/// operation on matrices is a row for what it does, and one for each element.
template <class T>
struct Row {
  Id id;                   // of the entry
  bool numbered = true;    // false for the product inside a fused entry
  std::size_t folded = 1;  // variables this row stands for: id .. id + folded - 1
  Op op;
  std::string label;      // "h[0]", or "v7" for a variable without a name
  std::string name;       // as given, or empty
  std::string operation;  // "v3*v4", "tanh(v7)", "v5 + W[0,1]*h[1]"; of an input its name
  Symbol formula;         // the same, for LaTeX
  std::vector<Id> operands;
  T value, tangent, adjoint;
  std::vector<HandOut<T>> hands_out;
  Where where;          // line 0: not known
  std::string scope;    // "epoch 2/t=3"
  std::string latex{};  // of a matrix, its elements, or folded inputs: the operation

  /// "v7", "v1..v9", or nothing.
  std::string node() const {
    if (!numbered) return "";
    return folded == 1 ? fmt::format("v{}", id) : fmt::format("v{}..v{}", id, id + folded - 1);
  }
};

/// Which rows, and how they speak.
struct View {
  std::string scope{};  // only what was recorded in a scope of this name
  Id first = 1, last = UINT32_MAX;
  bool numbers = false;      // operands are called v7 even where they have a name
  bool fold_inputs = false;  // one row for all elements of a matrix or vector of inputs
  Id elements = 8;           // of a matrix on the tape, show no more than these
};

template <class T>
struct Trace {
  std::string title;  // "f = ln(x1) + x1*x2      tangent seed dx1 = 1"
  std::string file;   // where all lines of the rows are, if that is one file
  bool has_tangents = false, has_adjoints = false;
  std::vector<Row<T>> rows;
  std::string closing;  // the pairing of both sweeps, if there were two
};

namespace detail {

/// A number within an operation, in short.
template <class T>
std::string operand_text(const T& x) {
  if constexpr (std::is_floating_point_v<T>)
    return fmt::format("{:.6g}", x);
  else if constexpr (requires { x.plain(); })
    return x.plain();
  else if constexpr (requires { x.value; })
    return operand_text(x.value);
  else
    return fmt::format("{:.6g}", static_cast<double>(x));
}

/// A number in a column: `decimals` places, or as a power of ten where they would hide it; other kinds as
/// they write themselves.
template <class T>
std::string number_text(const T& x, int decimals) {
  if constexpr (std::is_floating_point_v<T>) {
    const double size = std::abs(x);
    const bool fixed = size == 0 || (size < 1e5 && size >= std::pow(10., -decimals));
    return fixed ? fmt::format("{:.{}f}", x + 0., decimals) : fmt::format("{:.{}e}", x, std::max(1, decimals - 3));
  } else {
    return operand_text(x);
  }
}

/// The names variables go by, and the text of their operations.
template <class T>
class Reader {
 public:
  Reader(const TapeOf<T>& tape, bool numbers) : tape_(tape), numbers_(numbers) {
    for (const auto& [id, name] : tape.names()) names_[id] = name;  // the last one counts
  }
  const TapeOf<T>& tape() const { return tape_; }

  std::string name(Id i) const {
    const auto n = names_.find(i);
    return n == names_.end() ? "" : n->second;
  }
  std::string label(Id i) const {
    const std::string n = numbers_ ? "" : name(i);
    return n.empty() ? fmt::format("v{}", i) : n;
  }
  /// The first or second operand as a number.
  T operand_value(const Entry<T>& e, bool second) const {
    const Id i = second ? e.b : e.a;
    return i ? tape_.value_of(i) : constant_of(e);
  }
  std::string operand(Id i, const T& plain, bool after_sign = false) const {
    if (i) return label(i);
    const std::string s = operand_text(plain);
    const bool compound = std::is_same_v<T, Symbol> && s.find_first_of(" */^") < s.size();
    return compound || (after_sign && s.starts_with('-')) ? "(" + s + ")" : s;
  }
  std::string operand(const Entry<T>& e, bool second, bool after_sign = false) const {
    return operand(second ? e.b : e.a, operand_value(e, second), after_sign);
  }
  Symbol symbol(const Entry<T>& e, bool second) const { return symbol(second ? e.b : e.a, operand_value(e, second)); }
  Symbol symbol(Id i, const T& plain) const {
    if constexpr (requires { static_cast<double>(value_under(plain)); })
      if (i == 0) return static_cast<double>(value_under(plain));
    if constexpr (std::is_same_v<T, Symbol>)
      if (i == 0) return plain;
    return Symbol(operand(i, plain, true));
  }

  /// The operation on matrices that variable i belongs to, if any.
  const ad::Block<T>* block(Id i) const {
    const ad::Block<T>* b = tape_.block_before(i);
    return b && i < b->end ? b : nullptr;
  }
  Op op(Id i) const {
    return block(i) ? (block(i)->rule->name == std::string_view("input") ? Op::input : Op::custom)
                    : tape_.entry_of(i).op;
  }
  /// A matrix: "W" if its elements are W[0,0], ..., else its variables; "[3 x 1]" for plain numbers.
  std::string run_label(Id first, Id rows, Id cols) const {
    const std::string n = numbers_ ? "" : name(first);
    if (n.ends_with(']')) return n.substr(0, n.find('['));
    return rows * cols == 1 ? label(first) : fmt::format("v{}..v{}", first, first + rows * cols - 1);
  }
  std::string run_label(const BlockOperand& q) const {
    return q.plain() ? fmt::format("[{} x {}]", q.rows(), q.cols()) : run_label(q.first(), q.rows(), q.cols());
  }
  Symbol symbol(const BlockOperand& q) const { return Symbol(run_label(q)); }
  /// The row of the table that an operation on matrices applies to each element, if it is one.
  std::optional<Formula> by_elements(const ad::Block<T>& b) const {
    static const std::vector<Formula> rows = ad::table();
    const BlockOperand* q = Matrices::operands(tape_, b);
    for (const Formula& f : rows)
      if (b.rule->name == op_text(f.op).name && b.operands == f.operands)
        return ad::formula(f.op, symbol(q[0]), symbol(q[b.operands - 1]), 0,
                           Symbol(run_label(b.first, b.rows, b.cols)));
    return {};
  }
  static Symbol transpose(const Symbol& x) { return pow(x, Symbol("T")); }
  /// s W X + ... + s B, W and B as they stand or transposed.
  Symbol affine(const ad::Block<T>& b, const BlockOperand* q) const {
    Symbol sum;
    for (Id k = 0; k < b.operands; k += k < 2 * b.extra ? 2 : 1) {
      const Symbol W = q[k].transposed() ? transpose(symbol(q[k])) : symbol(q[k]);
      sum += short_number(q[k].s) * (k < 2 * b.extra ? W * symbol(q[k + 1]) : W);
    }
    return sum;
  }
  static Symbol short_number(double s) { return std::stod(operand_text(s)); }

  std::string operation(const ad::Block<T>& b, Style style = Style::plain) const {
    const bool latex = style != Style::plain;
    const std::string name = b.rule->name;
    if constexpr (std::is_same_v<T, double>) {
      const BlockOperand* q = Matrices::operands(tape_, b);
      if (name == "affine") return latex ? affine(b, q).latex() : affine(b, q).plain();
      if (name == "squared_distance") {
        const std::string times = q[0].s == 1 ? "" : operand_text(q[0].s) + (latex ? "\\," : "*");
        return latex ? times + "\\left|" + symbol(q[0]).latex() + " - " + symbol(q[1]).latex() + "\\right|^2"
                     : times + "|" + run_label(q[0]) + " - " + run_label(q[1]) + "|^2";
      }
      if (const auto row = by_elements(b); row && latex)
        return apply(row->op, symbol(q[0]), symbol(q[b.operands - 1])).latex_by_elements();
      if (b.operands == 2 && !std::isalpha(static_cast<unsigned char>(name[0])))
        return run_label(q[0]) + " " + name + " " + run_label(q[1]);
      if (b.operands != 0) {
        std::string all = latex ? latex_text(name) + "\\left(" : name == "log" ? "ln(" : name + "(";
        for (Id k = 0; k < b.operands; ++k)
          all += (k == 0 ? "" : ", ") + (latex ? symbol(q[k]).latex() : run_label(q[k]));
        return all + (latex ? "\\right)" : ")");
      }
    }
    return latex ? latex_text(name) : name;
  }

  std::string product(const Entry<T>& e) const { return operand(e, false) + "*" + operand(e, true, true); }

  Symbol formula(Id i) const {
    if (block(i)) return Symbol(operation(i));
    const Entry<T>& e = tape_.entry_of(i);
    if (e.op == Op::input) return Symbol(operation(i));
    if (e.op == Op::custom) {
      std::vector<Symbol> operands{Symbol(label(e.a))};
      if (e.b) operands.emplace_back(label(e.b));
      return Symbol::by_name(e.op, operands) + (e.c ? Symbol(label(e.c)) : Symbol());
    }
    if (e.op == Op::constant) return symbol(0, tape_.value_of(i));
    return apply(e.op, symbol(e, false), symbol(e, true), e.c ? Symbol(label(e.c)) : Symbol());
  }

  std::string operation(Id i) const {
    if (const ad::Block<T>* b = block(i)) return operation(*b);
    const Entry<T>& e = tape_.entry_of(i);
    const OpText op = op_text(e.op);
    const std::string name(written_name(e.op));
    switch (e.op) {
      case Op::input:
        return this->name(i).empty() ? "input" : this->name(i);
      case Op::constant:
        return operand_text(tape_.value_of(i));
      case Op::fma:
        return label(e.c) + " + " + product(e);
      case Op::sub_mul: {
        const std::string p = product(e);
        return label(e.c) + " - " + (p.starts_with('-') ? "(" + p + ")" : p);
      }
      case Op::custom:
        return name + "(" + label(e.a) + (e.b ? ", " + label(e.b) : "") + ")" + (e.c ? " + " + label(e.c) : "");
      default:
        break;
    }
    if (op.infix) {
      const bool tight = e.op == Op::mul || e.op == Op::div;
      return operand(e, false) + (tight ? name : " " + name + " ") + operand(e, true, true);
    }
    if (e.op == Op::neg) return name + operand(e, false, true);
    return name + "(" + operand(e, false) + (op.operands > 1 ? ", " + operand(e, true) : "") + ")";
  }

  /// The partials of entry i as the table states them, in the names of its operands and result.
  std::array<Symbol, 3> partials(Id i) const {
    const Entry<T>& e = tape_.entry_of(i);
    if (e.op == Op::custom) return {symbol(0, e.pa), symbol(0, e.pb), 1};
    if (e.op == Op::sub_mul) return {symbol(e, true), symbol(e, false), 1};  // of the product and the sum
    const Formula f = ad::formula(e.op, symbol(e, false), symbol(e, true), Symbol("w"), Symbol(label(i)));
    return {f.partial[0], f.partial[1], f.partial[2]};
  }

  /// The formula of y in the names of the inputs.
  Symbol formula_of(Id y) const {
    std::vector<Symbol> v(y + 1);
    for (Id i = 1; i <= y; ++i) {
      const Entry<T>& e = tape_.entry_of(i);
      const auto operand = [&](bool second) {
        const Id id = second ? e.b : e.a;
        return id ? v[id] : symbol(e, second);
      };
      if (e.op == Op::input || e.op == Op::custom)
        v[i] = Symbol(name(i).empty() ? fmt::format("v{}", i) : name(i));
      else if (e.op == Op::constant)
        v[i] = symbol(0, tape_.value_of(i));
      else
        v[i] = apply(e.op, operand(false), operand(true), v[e.c]);
    }
    return v[y];
  }

 private:
  const TapeOf<T>& tape_;
  bool numbers_;
  std::unordered_map<Id, std::string> names_;
};

/// What entry i hands out of its adjoint g: of all of it, or of the product or the rest of a fused one.
enum class Part { all, product, rest };
template <class T>
std::vector<HandOut<T>> hand_outs(const Reader<T>& r, Id i, const T& g, Part part = Part::all) {
  std::vector<HandOut<T>> all;
  if (r.block(i)) return all;
  const Entry<T>& e = r.tape().entry_of(i);
  if (e.op <= Op::detach || is_zero(g)) return all;
  const auto partials = r.partials(i);
  const bool minus = e.op == Op::sub_mul;  // its product has the adjoint -g
  const auto add = [&](Id to, const T& partial, std::size_t k) {
    if (to) all.push_back({to, r.label(to), partials[k], minus && k < 2 ? T(-g) : g, flow(partial, g)});
  };
  if (part != Part::rest) add(e.a, e.pa, 0), add(e.b, e.pb, 1);
  if (part != Part::product) add(e.c, T(1), 2);
  return all;
}

/// What an operation on matrices hands out, found by its own rule; `adjoint` has those of all variables. It comes in
/// `given`, but for the part of a product's matrix, s G X^T, which waits until the sweep comes to that matrix.
inline std::vector<HandOut<double>> hand_outs(const Reader<double>& r, const ad::Block<double>& b,
                                              const double* adjoint, Array<double>& given, Waiting<double>*& waiting) {
  std::vector<HandOut<double>> all;
  const TapeOf<double>& tape = r.tape();
  const BlockOperand* q = Matrices::operands(tape, b);
  const bool sum_of_products = b.rule->name == std::string_view("affine");
  if (b.operands == 0 || std::all_of(adjoint + b.first, adjoint + b.end, [](double a) { return a == 0; })) return all;
  const Symbol g("g");
  const auto row = r.by_elements(b);  // in the names of operands and result
  std::copy(adjoint + b.before, adjoint + b.end, given.begin() + b.before);
  b.rule->pullback(tape, b, given.data(), waiting);
  const Matrices::ConstMap G(adjoint + b.first, b.rows, b.cols);
  for (Id k = 0; k < b.operands; ++k) {
    const auto same_run = [&](const BlockOperand& o) { return !o.plain() && o.first() == q[k].first(); };
    if (q[k].plain() || std::any_of(q, q + k, same_run)) continue;
    Eigen::MatrixXd total = Matrices::of(given.data(), q[k]);
    Symbol added, partial;
    for (Id m = k; m < b.operands; ++m) {  // one operation may use a matrix more than once
      if (!same_run(q[m])) continue;
      const bool factor = m < 2 * b.extra;
      const BlockOperand& W = q[factor ? m - m % 2 : m];
      if (!sum_of_products) {
        if (row) partial += row->partial[m];
      } else if (factor && m % 2 == 0) {
        const Matrices::ConstMap X = Matrices::values(tape, q[m + 1]);
        const Symbol x = r.symbol(q[m + 1]);
        if (W.rows() > 1 && W.cols() > 1) {  // it waits
          if (W.transposed())
            total += W.s * X.lazyProduct(G.transpose());
          else
            total += W.s * G.lazyProduct(X.transpose());
        }
        added += r.short_number(W.s) * (W.transposed() ? x * r.transpose(g) : g * r.transpose(x));
      } else {
        const Symbol w = factor ? W.transposed() ? r.symbol(W) : r.transpose(r.symbol(W)) : Symbol(1);
        added += r.short_number(W.s) * (w * g);
      }
    }
    if (!sum_of_products) added = row ? g * partial : r.transpose(Symbol("J")) * g;  // J: of this operation
    HandOut<double> h{q[k].first(), r.run_label(q[k]), 0, 0, total.norm(), added.plain(), ""};
    h.latex = row ? added.latex_by_elements() : added.latex();
    all.push_back(std::move(h));
  }
  return all;
}

}  // namespace detail

/// The rows of a recording. Adjoints and tangents are those of the last sweeps, if there were any.
template <class T>
Trace<T> trace(const TapeOf<T>& tape, const View& view = {}) {
  Trace<T> t;
  t.has_adjoints = tape.has_adjoints();
  t.has_tangents = tape.has_tangents();
  const detail::Reader<T> r(tape, view.numbers);

  std::vector<std::pair<std::string, bool>> scopes(tape.length() + 1);  // path, and whether it leads through view.scope
  for (const auto& s : tape.scopes())
    for (Id i = s.begin; i < s.end && i <= tape.length(); ++i) {
      scopes[i].first += (scopes[i].first.empty() ? "" : "/") + s.name;
      scopes[i].second = scopes[i].second || s.name == view.scope;
    }
  const auto base = [&](Id i) {  // of "W[0,1]" it is "W"; only inputs have one
    const std::string n = !r.block(i) && r.op(i) == Op::input ? r.name(i) : "";
    return n.substr(0, n.ends_with(']') ? n.find('[') : 0);
  };

  bool one_file = true;
  for (Id i = std::max<Id>(1, view.first); i <= std::min(view.last, tape.length()); ++i) {
    if (const ad::Block<T>* b = r.block(i)) {  // its run may begin a few variables later
      const Id size = b->rows * b->cols;
      i = b->end - 1;
      if (!view.scope.empty() && !scopes[b->first].second) continue;
      const auto row_of = [&](Id k) {
        return Row<T>{k,
                      true,
                      1,
                      r.op(k),
                      r.label(k),
                      r.name(k),
                      r.name(k),
                      Symbol(r.label(k)),
                      {},
                      tape.value_of(k),
                      t.has_tangents ? tape.tangent(k) : T(0),
                      t.has_adjoints ? tape.adjoint(k) : T(0),
                      {},
                      tape.line_of(b->before),
                      scopes[b->first].first,
                      detail::latex_name(r.label(k))};
      };
      Row<T> whole = row_of(b->first);
      const std::string name = r.run_label(b->first, b->rows, b->cols);
      whole.name = r.name(b->first).empty() ? "" : name;
      whole.operation = (whole.name.empty() ? "" : whole.name + " = ") + r.operation(*b);
      whole.folded = size;
      whole.latex =
          (whole.name.empty() ? "" : detail::latex_name(name) + " = ") + r.operation(*b, detail::Style::latex);
      if (size != 1) {
        whole.operation += fmt::format("  {} x {}", b->rows, b->cols);
        whole.latex += fmt::format(" \\quad {} \\times {}", b->rows, b->cols);
      }
      if constexpr (std::is_same_v<T, double>) {
        for (Id k = 0; k < b->operands; ++k)
          if (!Matrices::operands(tape, *b)[k].plain())
            whole.operands.push_back(Matrices::operands(tape, *b)[k].first());
        if (t.has_adjoints) {
          Array<double> given(tape.length() + 1, 0.);
          Waiting<double>* forgotten = nullptr;
          whole.hands_out = detail::hand_outs(r, *b, &tape.adjoint(1) - 1, given, forgotten);
        }
      }
      const bool input = b->operands == 0 && whole.op == Op::input;
      t.rows.push_back(std::move(whole));
      Id shown = size == 1 || (input && view.fold_inputs) ? 0 : std::min(size, view.elements);
      if (shown != 0 && shown + 1 == size) shown = size;  // instead of "(1 more)"
      for (Id k = 0; k < shown; ++k) t.rows.push_back(row_of(b->first + k));
      if (shown != 0 && shown < size) {
        Row<T> rest = row_of(b->first + shown);
        rest.folded = size - shown;
        rest.operation = fmt::format("({} more)", rest.folded);
        rest.latex = detail::latex_text(rest.operation);
        t.rows.push_back(std::move(rest));
      }
      continue;
    }
    if (!view.scope.empty() && !scopes[i].second) continue;
    const Entry<T>& e = tape.entry_of(i);
    const T zero(0), adjoint = t.has_adjoints ? tape.adjoint(i) : zero,
                     tangent = t.has_tangents ? tape.tangent(i) : zero;
    const bool fused = e.op == Op::fma || e.op == Op::sub_mul;
    Row<T> row{i,
               true,
               1,
               e.op,
               r.label(i),
               r.name(i),
               r.operation(i),
               r.formula(i),
               {},
               tape.value_of(i),
               tangent,
               adjoint,
               {},
               tape.line_of(i),
               scopes[i].first};
    if (e.op != Op::input && !row.name.empty()) row.operation = row.name + " = " + row.operation;
    if (e.a) row.operands.push_back(e.a);
    if (e.b) row.operands.push_back(e.b);
    if (fused) {
      const bool minus = e.op == Op::sub_mul;
      Row<T> product = row;
      product.numbered = false;
      product.op = Op::mul;
      product.label = product.name = "";
      product.operation = r.product(e);
      product.formula = apply(Op::mul, r.symbol(e, false), r.symbol(e, true));
      product.value = r.operand_value(e, false) * r.operand_value(e, true);
      if (t.has_tangents) {
        product.tangent = flow(e.pa, e.a ? tape.tangent(e.a) : T(0), e.pb, e.b ? tape.tangent(e.b) : T(0));
        if (minus) product.tangent = -product.tangent;
      }
      if (minus) product.adjoint = -adjoint;
      product.hands_out = detail::hand_outs(r, i, adjoint, detail::Part::product);
      t.rows.push_back(std::move(product));
    }
    if (e.c) row.operands.push_back(e.c);
    row.hands_out = detail::hand_outs(r, i, adjoint, fused ? detail::Part::rest : detail::Part::all);
    if (view.fold_inputs && !base(i).empty()) {
      const std::string of = base(i), first = r.name(i);
      while (i < std::min(view.last, tape.length()) && base(i + 1) == of && scopes[i + 1].second == scopes[i].second)
        ++i, ++row.folded;
      if (row.folded > 1) {
        row.operation = row.label = first + ".." + r.name(i).substr(of.size());
        row.latex = detail::latex_name(first) + " \\ldots " + detail::latex_name(r.name(i));
        row.name = of;
      }
    }
    one_file = one_file && (row.where.line == 0 || t.file.empty() || t.file == row.where.file);
    if (row.where.line != 0) t.file = row.where.file;
    t.rows.push_back(std::move(row));
  }
  if (!one_file) t.file.clear();
  return t;
}

/// The same for a recording whose result is y: with its formula as a title, and the pairing of both sweeps.
template <class T, class Tag>
Trace<T> trace(const TapeOf<T>& tape, const Variable<T, Tag>& y, const View& view = {}) {
  const Id top = tape.check(y, "trace(tape, y)");
  Trace<T> t = trace(tape, view);
  const detail::Reader<T> r(tape, view.numbers);
  const std::string name = r.name(top).empty() ? "f" : r.name(top);
  const std::string f = top <= 200 && tape.blocks().empty() ? r.formula_of(top).plain() : "";
  t.title = name + " = " + (f.empty() || f.size() > 60 ? r.operation(top) : f);
  if (t.has_tangents) {
    std::string seeds;
    int count = 0;
    for (Id i = 1; i <= tape.length(); ++i)
      if (r.op(i) <= Op::constant && !is_zero(tape.tangent(i)) && ++count <= 3)
        seeds +=
            fmt::format("{} d{} = {}", count == 1 ? "" : ",", r.name(i).empty() ? fmt::format("v{}", i) : r.name(i),
                        detail::operand_text(tape.tangent(i)));
    t.title +=
        count == 0 ? "" : "      tangent seed" + seeds + (count > 3 ? fmt::format(", ... ({} in all)", count) : "");
  }
  if constexpr (std::is_floating_point_v<T>) {
    const bool paired = t.has_adjoints && t.has_tangents && tape.adjoint(top) == T(1);
    const std::string why = paired ? no_pairing(tape, top) : "";
    if (!why.empty()) {
      t.closing = "pairing cannot judge: " + why;
    } else if (paired && !tape.blocks().empty()) {
      T below(0);
      for (Id i = 1; i <= tape.length(); ++i)
        if (r.op(i) <= Op::constant) below += flow(tape.adjoint(i), tape.tangent(i));
      const T above = tape.tangent(top);
      const bool ok = std::abs(below - above) <= 1e-9 * std::max(T(1), std::abs(above));
      t.closing = ok ? fmt::format("pairing, sum of adjoint * tangent = {:.6f} at inputs and result  ok", above)
                     : fmt::format("pairing {}: {:.6f} at the inputs, {:.6f} at the result",
                                   std::isfinite(below - above) ? "breaks" : "cannot judge", below, above);
    } else if (paired) {
      const auto p = pairing(tape, y);
      t.closing = p.ok ? fmt::format("pairing, sum of adjoint * tangent = {:.6f} at every cut  ok", p.cut[0]) : p.text;
      if (p.ok && !p.edits.empty()) t.closing += p.text.substr(p.text.find('\n'));
    }
  }
  return t;
}

template <class T, class P, class V = typename P::Recorded>
Trace<T> trace(const TapeOf<T>& tape, const P& y, const View& view = {}) {
  return trace(tape, V(y), view);
}

// --- the reverse sweep, entry by entry -------------------------------------------------------------------------------

/// The sweep at one entry: its adjoint is complete, and it hands it on.
template <class T>
struct AdjointStep {
  Id entry;
  std::string label, operation;
  T adjoint;
  std::vector<HandOut<T>> hands_out;
  std::vector<T> so_far;  // adjoints of all variables 0 .. y after this entry; those of later entries are complete
};

/// The reverse sweep from y as it happens, from y downward to the first operation. The tape's own adjoints stay
/// as they are.
template <class T, class Tag>
std::vector<AdjointStep<T>> adjoint_steps(const TapeOf<T>& tape, const Variable<T, Tag>& y, const View& view = {}) {
  const Id top = tape.check(y, "adjoint_steps(tape, y)");
  const detail::Reader<T> r(tape, view.numbers);
  std::vector<AdjointStep<T>> steps;
  Array<T> adjoint(tape.length() + 1, T(0));
  adjoint[top] = T(1);
  Waiting<T>* waiting = nullptr;
  for (Id i = top; i > 0; --i) {
    AdjointStep<T> step{i, r.label(i), r.operation(i), adjoint[i], {}, {}};
    if (const ad::Block<T>* b = r.block(i)) {
      step.entry = b->first;
      step.label = r.run_label(b->first, b->rows, b->cols);
      i = b->before;
      if (waiting && waiting->from >= b->before) waiting->add(*waiting, b->before, adjoint.data());
      if constexpr (std::is_same_v<T, double>) {
        Array<double> given(tape.length() + 1, 0.);
        step.hands_out = detail::hand_outs(r, *b, adjoint.data(), given, waiting);
        if (waiting) waiting->take_in(*waiting);
        for (Id k = 0; k < b->before; ++k) adjoint[k] += given[k];
      }
      if (b->operands == 0 && r.op(b->first) == Op::input) continue;
    } else if (tape.entry_of(i).op <= Op::constant) {
      continue;
    } else {
      step.hands_out = detail::hand_outs(r, i, adjoint[i]);
      for (const auto& h : step.hands_out) adjoint[h.to] += h.amount;
    }
    step.so_far.assign(adjoint.begin(), adjoint.begin() + top + 1);
    steps.push_back(std::move(step));
  }
  if (!steps.empty()) steps.back().so_far.assign(adjoint.begin(), adjoint.begin() + top + 1);  // with what was gathered
  return steps;
}
template <class T, class P, class V = typename P::Recorded>
std::vector<AdjointStep<T>> adjoint_steps(const TapeOf<T>& tape, const P& y, const View& view = {}) {
  return adjoint_steps(tape, V(y), view);
}

/// What variable `id` has still to receive after step k: who will hand it, and how much.
template <class T>
std::vector<std::pair<std::string, T>> still_to_come(const std::vector<AdjointStep<T>>& steps, std::size_t k, Id id) {
  std::vector<std::pair<std::string, T>> coming;
  for (std::size_t later = k + 1; later < steps.size(); ++later)
    for (const auto& h : steps[later].hands_out)
      if (h.to == id) coming.emplace_back(steps[later].label, h.amount);
  return coming;
}

}  // namespace ad
