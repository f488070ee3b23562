// A number that is its own formula: compute with it, and read off what was computed, as plain text or as LaTeX.
#pragma once

#include <fmt/format.h>

#include <map>
#include <set>
#include <unordered_map>

#include "ad/eigen.h"

namespace ad {
class Symbol;
}

/// A formula carries no derivative of its own: it is one of the plain numbers.
template <>
class std::numeric_limits<ad::Symbol> : public std::numeric_limits<double> {};

namespace ad {
namespace detail {

/// One operation of a formula. Nodes are shared and never change.
struct Node {
  enum Kind { number, name, call, choose, less, greater, less_equal, greater_equal, equal, not_equal, both, either };
  using Pointer = std::shared_ptr<const Node>;
  Kind kind;
  Op op = Op::input;  // of a call
  double value = 0;   // of a number
  std::string text;   // of a name
  std::vector<Pointer> args;

  explicit Node(Kind k, std::vector<Pointer> a = {}, Op o = Op::input) : kind(k), op(o), args(std::move(a)) {}
  Node(const Node&) = delete;
  ~Node() {  // node by node: a formula may be deeper than the stack
    for (std::vector<Pointer> rest = std::move(args); !rest.empty();) {
      const Pointer last = std::move(rest.back());
      rest.pop_back();
      if (last.use_count() == 1)
        for (Pointer& p : const_cast<Node&>(*last).args) rest.push_back(std::move(p));
    }
  }
  bool is(double v) const { return kind == number && value == v; }
  bool is(Op o) const { return kind == call && op == o; }
};

/// Every node of a formula once, operands before results.
inline std::vector<const Node*> in_order(const Node& root) {
  std::vector<const Node*> order, stack{&root};
  std::unordered_map<const Node*, bool> done;
  while (!stack.empty()) {
    const Node* n = stack.back();
    const auto [seen, first] = done.try_emplace(n, false);
    if (first)
      for (auto a = n->args.rbegin(); a != n->args.rend(); ++a)
        if (!done.contains(a->get())) stack.push_back(a->get());
    if (stack.back() != n) continue;
    stack.pop_back();
    if (!std::exchange(done[n], true)) order.push_back(n);
  }
  return order;
}

/// The same formula, as far as a glance tells.
inline bool same(const Node::Pointer& a, const Node::Pointer& b, int depth = 6) {
  if (a == b) return true;
  if (a->kind != b->kind || a->op != b->op || a->value != b->value || a->text != b->text) return false;
  return (depth > 0 || a->args.empty()) &&
         std::equal(a->args.begin(), a->args.end(), b->args.begin(), b->args.end(),
                    [depth](const auto& x, const auto& z) { return same(x, z, depth - 1); });
}

enum class Style { plain, latex, latex_by_elements };
std::string write(const Node::Pointer& root, Style style, std::size_t longest);

}  // namespace detail

/// Whether one formula is less than another, ...: true or false where numbers decide it, else a condition for select.
class Condition {
  friend class Symbol;
  using Pointer = detail::Node::Pointer;
  Pointer node_;  // none: decided
  bool holds_ = false;

  Condition(detail::Node::Kind kind, const Condition& a, const Condition& b)
      : node_(std::make_shared<detail::Node>(kind, std::vector{a.node_, b.node_})) {}
  Condition(detail::Node::Kind kind, Pointer a, Pointer b)
      : node_(std::make_shared<detail::Node>(kind, std::vector{std::move(a), std::move(b)})) {}

 public:
  Condition(bool holds) : holds_(holds) {}

  /// Throws std::logic_error if the answer depends on the value of a symbol.
  template <std::same_as<bool> B>
  operator B() const {
    if (node_)
      throw std::logic_error("ad::Symbol: whether " + plain() +
                             " depends on the value of a symbol, so a program cannot branch on it; "
                             "write select(condition, a, b) to have both branches in the formula");
    return holds_;
  }
  friend Condition operator&&(const Condition& a, const Condition& b) {
    if (!a.node_) return a.holds_ ? b : a;
    if (!b.node_) return b.holds_ ? a : b;
    return Condition(detail::Node::both, a, b);
  }
  friend Condition operator||(const Condition& a, const Condition& b) {
    if (!a.node_) return a.holds_ ? a : b;
    if (!b.node_) return b.holds_ ? b : a;
    return Condition(detail::Node::either, a, b);
  }
  template <std::same_as<bool> B>
  friend Condition operator&&(const Condition& a, B b) {
    return a && Condition(b);
  }
  template <std::same_as<bool> B>
  friend Condition operator||(const Condition& a, B b) {
    return a || Condition(b);
  }
  std::string plain() const {
    return node_ ? detail::write(node_, detail::Style::plain, 1000) : holds_ ? "true" : "false";
  }
};

/// A formula in named symbols. Arithmetic and every function of the table work on it, so derivatives of it are formulas
/// too: Dual<Symbol>, TapeOf<Symbol>. Of algebra it knows what keeps a formula readable (0 + x, 1 * x, signs, numbers).
class Symbol {
  using Node = detail::Node;
  using Pointer = Node::Pointer;
  Pointer node_;

  explicit Symbol(Pointer node) : node_(std::move(node)) {}
  static Pointer make_number(double v) {
    static const Pointer zero = std::make_shared<Node>(Node::number);
    if (v == 0 && !std::signbit(v)) return zero;
    auto n = std::make_shared<Node>(Node::number);
    n->value = v;
    return n;
  }
  static Symbol call(Op op, std::vector<Pointer> args) {
    return Symbol(std::make_shared<Node>(Node::call, std::move(args), op));
  }
  bool is(double v) const { return node_->is(v); }
  bool is(Op op) const { return node_->is(op); }
  bool is_number() const { return node_->kind == Node::number; }
  Symbol arg(std::size_t i) const { return Symbol(node_->args[i]); }
  static bool is_short(double v) { return std::isfinite(v) && fmt::format("{}", v).size() <= 8; }

  // The arithmetic that keeps formulas readable; everything else is written down as it is.
  static Symbol make_add(const Symbol& a, const Symbol& b) {
    if (a.is(0)) return b;
    if (b.is(0)) return a;
    if (b.is(Op::neg)) return a - b.arg(0);
    if (a.is(Op::neg)) return b - a.arg(0);
    if (a.is_number() && b.is_number()) return a.node_->value + b.node_->value;
    if (detail::same(a.node_, b.node_)) return 2 * a;
    return call(Op::add, {a.node_, b.node_});
  }
  static Symbol make_sub(const Symbol& a, const Symbol& b) {
    if (a.is(0)) return -b;
    if (b.is(0)) return a;
    if (b.is(Op::neg)) return a + b.arg(0);
    if (a.is_number() && b.is_number()) return a.node_->value - b.node_->value;
    return call(Op::sub, {a.node_, b.node_});
  }
  static Symbol make_mul(const Symbol& a, const Symbol& b) {
    if (a.is(0) || b.is(0)) return 0;
    if (a.is(1)) return b;
    if (b.is(1)) return a;
    if (a.is(Op::neg)) return -(a.arg(0) * b);
    if (b.is(Op::neg)) return -(a * b.arg(0));
    if (a.is_number() && b.is_number()) return a.node_->value * b.node_->value;
    if (b.is_number()) return b * a;
    if (a.is(-1)) return -b;
    if (a.is_number() && (b.is(Op::mul) || b.is(Op::div)) && b.arg(0).is_number())
      return b.is(Op::mul) ? (a * b.arg(0)) * b.arg(1) : (a * b.arg(0)) / b.arg(1);
    if (b.is(Op::mul) && b.arg(0).is_number()) return b.arg(0) * (a * b.arg(1));
    if (a.is(Op::mul) && a.arg(0).is_number()) return a.arg(0) * (a.arg(1) * b);
    if (b.is(Op::div) && b.arg(0).is(1)) return a / b.arg(1);
    if (a.is(Op::div) && a.arg(0).is(1)) return b / a.arg(1);
    return call(Op::mul, {a.node_, b.node_});
  }
  static Symbol make_div(const Symbol& a, const Symbol& b) {
    if (b.is(1)) return a;
    if (a.is(0) && !b.is(0)) return 0;
    if (a.is(Op::neg)) return -(a.arg(0) / b);
    if (b.is(Op::neg)) return -(a / b.arg(0));
    if (a.is(Op::div)) return a.arg(0) / (a.arg(1) * b);
    if (a.is_number() && b.is_number()) {
      const double v = a.node_->value / b.node_->value;
      if (is_short(v)) return v;
      if (a.node_->value < 0) return -(Symbol(-a.node_->value) / b);
    }
    return call(Op::div, {a.node_, b.node_});
  }
  static Symbol make_neg(const Symbol& a) {
    if (a.is_number()) return a.is(0) ? a : Symbol(-a.node_->value);
    if (a.is(Op::neg)) return a.arg(0);
    if (a.is(Op::sub)) return a.arg(1) - a.arg(0);
    if (a.is(Op::mul) && a.arg(0).is_number()) return -a.arg(0) * a.arg(1);
    return call(Op::neg, {a.node_});
  }
  /// A function of numbers is a number if that is a short one: exp(0) is 1, exp(1) stays.
  template <class F>
  static Symbol make_call(Op op, std::vector<Pointer> args, F f) {
    if (std::all_of(args.begin(), args.end(), [](const Pointer& p) { return p->kind == Node::number; }))
      if (const double v = f(args); is_short(v)) return v;
    return call(op, std::move(args));
  }
  static Condition compare(Node::Kind kind, const Symbol& x, const Symbol& z) {
    return Condition(kind, x.node_, z.node_);
  }
  static Symbol make_pow(const Symbol& a, const Symbol& b) {
    if (b.is(1)) return a;
    if (b.is(0)) return 1;
    return make_call(Op::pow, {a.node_, b.node_}, [](const auto& v) { return std::pow(v[0]->value, v[1]->value); });
  }

 public:
  Symbol() : node_(make_number(0)) {}
  template <class U>
  requires std::is_arithmetic_v<U> Symbol(U v) : node_(make_number(static_cast<double>(v))) {}
  /// A symbol with a name. LaTeX knows Greek letters and indices: "alpha", "h_t-1", "W_rec[0,1]", "v12".
  explicit Symbol(std::string name) {
    auto n = std::make_shared<Node>(Node::name);
    n->text = std::move(name);
    node_ = n;
  }
  explicit Symbol(const char* name) : Symbol(std::string(name)) {}
  /// An operation that no formula describes, by its name: detach(x), custom(x, z).
  static Symbol by_name(Op op, const std::vector<Symbol>& operands) {
    std::vector<Pointer> args;
    for (const Symbol& x : operands) args.push_back(x.node_);
    return call(op, std::move(args));
  }

  /// As a person types it. A formula of more than `longest` parts names what it uses more than once: "s1 = ...; s1*s1".
  std::string plain(std::size_t longest = 200) const { return detail::write(node_, detail::Style::plain, longest); }
  std::string latex(std::size_t longest = 200) const { return detail::write(node_, detail::Style::latex, longest); }
  /// The same where the symbols are vectors or matrices, multiplied element by element.
  std::string latex_by_elements() const { return detail::write(node_, detail::Style::latex_by_elements, 200); }

  /// The formula's value where each symbol stands for a number. Throws std::invalid_argument for a symbol without one.
  template <class T = double>
  T evaluate(const std::map<std::string, T>& at) const;

  bool vanishes() const { return is(0); }

// clang-format off
  // every function of the table, by its name
#define AD_INFIX(name, symbol, ...) \
  friend Symbol operator symbol(const Symbol& x, const Symbol& z) { return make_##name(x, z); } \
  Symbol& operator symbol##=(const Symbol& z) { return *this = *this symbol z; }
#define AD_PREFIX(name, symbol, ...) \
  friend Symbol operator symbol(const Symbol& x) { return make_##name(x); }
#define AD_UNARY(name, ...)              \
  friend Symbol name(const Symbol& x) {  \
    return make_call(Op::name, {x.node_}, [](const auto& v) { return row::name##_::value(v[0]->value); }); \
  }
#define AD_BINARY(name, ...)                              \
  friend Symbol name(const Symbol& x, const Symbol& z) {  \
    if constexpr (Op::name == Op::pow) return make_pow(x, z); \
    return make_call(Op::name, {x.node_, z.node_},        \
                     [](const auto& v) { return row::name##_::value(v[0]->value, v[1]->value); }); \
  } \
  template <class U> requires std::is_arithmetic_v<U> \
  friend Symbol name(const Symbol& x, const U& z) { return name(x, Symbol(z)); } \
  template <class U> requires std::is_arithmetic_v<U> \
  friend Symbol name(const U& x, const Symbol& z) { return name(Symbol(x), z); }
#include "ad/derivatives.def"
  friend Symbol fma(const Symbol& x, const Symbol& z, const Symbol& w) { return x * z + w; }

#define AD_COMPARE(op, kind)                                                                      \
  friend Condition operator op(const Symbol& x, const Symbol& z) {                                \
    if (x.is_number() && z.is_number()) return Condition(x.node_->value op z.node_->value);       \
    return compare(Node::kind, x, z);                                                             \
  }
  AD_COMPARE(<, less) AD_COMPARE(>, greater) AD_COMPARE(<=, less_equal) AD_COMPARE(>=, greater_equal)
  AD_COMPARE(==, equal) AD_COMPARE(!=, not_equal)
#undef AD_COMPARE

      // clang-format on
      /// The formula of both branches: a where the condition holds, else b.
      static Symbol choose(const Condition& c, const Symbol& a, const Symbol& b) {
    if (!c.node_) return c.holds_ ? a : b;
    if (detail::same(a.node_, b.node_)) return a;
    return Symbol(std::make_shared<Node>(Node::choose, std::vector{c.node_, a.node_, b.node_}));
  }
  friend Symbol select(const Condition& c, const Symbol& a, const Symbol& b) { return choose(c, a, b); }
  friend std::ostream& operator<<(std::ostream& out, const Symbol& x) { return out << x.plain(); }
};

}  // namespace ad

template <>
struct Eigen::NumTraits<ad::Symbol> : Eigen::ad_traits::Numbers<ad::Symbol, double> {};

namespace ad {

template <>
inline constexpr bool is_active<Symbol> = true;  // its products have no factors 1 either

// clang-format off
// A function keeps its name where Dual and Variable apply its row; its formula is in table().
namespace row {
#define AD_UNARY(f, ...)                                \
  template <>                                           \
  inline Symbol f##_::value<Symbol>(const Symbol& x) {  \
    using ad::f;                                        \
    return f(x);                                        \
  }
#define AD_BINARY(f, ...)                                                \
  template <>                                                            \
  inline Symbol f##_::value<Symbol>(const Symbol& x, const Symbol& z) {  \
    using ad::f;                                                         \
    return f(x, z);                                                      \
  }
#include "ad/derivatives.def"
}  // namespace row

// clang-format on
// --- the table of derivatives as formulas ----------------------------------------------------------------------------

/// A row of the table: y = f(x), f(x, z) or f(x, z, w), and its partial derivatives in x, z, w and y.
struct Formula {
  Op op;
  std::string_view name;
  std::size_t operands;
  Symbol value, partial[3];
};

// clang-format off
/// The row of an operation for the given operands and result. Operations no formula describes have no partials.
inline Formula formula(Op op, const Symbol& x, const Symbol& z, const Symbol& w, const Symbol& y) {
  [[maybe_unused]] constexpr auto select = &Symbol::choose;
  const OpText text = op_text(op);
  const auto n = static_cast<std::size_t>(text.operands);
  switch (op) {
#define AD_INFIX(f, symbol, dx, dz, ...) \
  case Op::f: return {op, #f, n, x symbol z, {Symbol(dx), Symbol(dz), 0}};
#define AD_PREFIX(f, symbol, dx, ...) \
  case Op::f: return {op, #f, n, symbol x, {Symbol(dx), 0, 0}};
#define AD_UNARY(f, value, dx, ...) \
  case Op::f: return {op, #f, n, Symbol(value), {Symbol(dx), 0, 0}};
#define AD_BINARY(f, value, dx, dz, ...) \
  case Op::f: return {op, #f, n, Symbol(value), {Symbol(dx), Symbol(dz), 0}};
#define AD_TERNARY(f, value, dx, dz, dw) \
  case Op::f: return {op, #f, n, Symbol(value), {Symbol(dx), Symbol(dz), Symbol(dw)}};
#include "ad/derivatives.def"
    case Op::sub_mul: return {op, text.name, n, w - x * z, {-z, -x, 1}};
    default: return {op, text.name, n, x, {0, 0, 0}};
  }
}

// clang-format on
/// Every row of the table in order, in the symbols x, z, w and y.
inline std::vector<Formula> table() {
  std::vector<Formula> rows;
  const Symbol x("x"), z("z"), w("w"), y("y");
#define AD_INFIX(f, ...) rows.push_back(formula(Op::f, x, z, w, y));
#define AD_PREFIX(f, ...) rows.push_back(formula(Op::f, x, z, w, y));
#define AD_UNARY(f, ...) rows.push_back(formula(Op::f, x, z, w, y));
#define AD_BINARY(f, ...) rows.push_back(formula(Op::f, x, z, w, y));
#define AD_TERNARY(f, ...) rows.push_back(formula(Op::f, x, z, w, y));
#include "ad/derivatives.def"
  return rows;
}

/// What a person writes: the function's name, ln for log.
inline std::string_view written_name(Op op) { return op == Op::log ? "ln" : op_text(op).name; }

// clang-format off
/// The operation itself, by name: apply(Op::tanh, x) is tanh(x). A fused one reads as what it was: w + x*z.
inline Symbol apply(Op op, const Symbol& x, const Symbol& z = {}, const Symbol& w = {}) {
  switch (op) {
#define AD_INFIX(f, symbol, ...) case Op::f: return x symbol z;
#define AD_PREFIX(f, symbol, ...) case Op::f: return symbol x;
#define AD_UNARY(f, ...) case Op::f: return f(x);
#define AD_BINARY(f, ...) case Op::f: return f(x, z);
#define AD_TERNARY(f, ...) case Op::f: return w + x * z;  // there is but one: fma
#include "ad/derivatives.def"
    case Op::sub_mul: return w - x * z;
    case Op::detach: return Symbol::by_name(op, {x});
    default: return x;
  }
}

// clang-format on
// --- evaluation ------------------------------------------------------------------------------------------------------

template <class T>
T Symbol::evaluate(const std::map<std::string, T>& at) const {
  std::unordered_map<const Node*, T> done;
  std::unordered_map<const Node*, bool> holds;
  for (const Node* n : detail::in_order(*node_)) {
    const auto arg = [&](std::size_t i) -> const T& { return done.at(n->args[i].get()); };
    const auto condition = [&](std::size_t i) { return holds.at(n->args[i].get()); };
    // clang-format off
    switch (n->kind) {
      case Node::number: done.emplace(n, T(n->value)); break;
      case Node::name: {
        const auto found = at.find(n->text);
        if (found == at.end()) throw std::invalid_argument("ad::Symbol::evaluate: no value for " + n->text);
        done.emplace(n, found->second);
        break;
      }
      case Node::choose: done.emplace(n, condition(0) ? arg(1) : arg(2)); break;
      case Node::less: holds[n] = arg(0) < arg(1); break;
      case Node::greater: holds[n] = arg(0) > arg(1); break;
      case Node::less_equal: holds[n] = arg(0) <= arg(1); break;
      case Node::greater_equal: holds[n] = arg(0) >= arg(1); break;
      case Node::equal: holds[n] = arg(0) == arg(1); break;
      case Node::not_equal: holds[n] = arg(0) != arg(1); break;
      case Node::both: holds[n] = condition(0) && condition(1); break;
      case Node::either: holds[n] = condition(0) || condition(1); break;
      case Node::call:
        switch (n->op) {
#define AD_INFIX(f, symbol, ...) case Op::f: done.emplace(n, T(arg(0) symbol arg(1))); break;
#define AD_PREFIX(f, symbol, ...) case Op::f: done.emplace(n, T(symbol arg(0))); break;
#define AD_UNARY(f, ...) case Op::f: done.emplace(n, T(f(arg(0)))); break;
#define AD_BINARY(f, ...) case Op::f: done.emplace(n, T(f(arg(0), arg(1)))); break;
#include "ad/derivatives.def"
          case Op::detach: done.emplace(n, T(detach(arg(0)))); break;
          default: throw std::logic_error("ad::Symbol::evaluate: an operation without a value");
        }
    }
    // clang-format on
  }
  return done.at(node_.get());
}

// --- writing ---------------------------------------------------------------------------------------------------------

namespace detail {

/// How tightly a text holds together: what stands beside an operator must hold at least as tightly as it does.
enum class Level { either, both, compare, sum, prefix, product, function, power, atom };

struct Piece {
  std::string text;
  Level level;
  bool open = level == Level::function;  // ends in what a next factor would seem to belong to: \sin x
  bool call = false;                     // ends in what parentheses behind it would seem to call: loss, \psi_1
  bool negative() const { return text.starts_with('-'); }
};

inline Piece in_parentheses(Piece p, Style style) {
  return {style == Style::plain ? "(" + p.text + ")" : "\\left(" + p.text + "\\right)", Level::atom};
}
/// p where at least `level` is needed; a sign may stand only at the front of what it belongs to.
inline std::string at_least(Level level, Piece p, Style style, bool sign_allowed = false) {
  if (p.level < level || (p.negative() && !sign_allowed)) p = in_parentheses(std::move(p), style);
  return std::move(p.text);
}

/// LaTeX of a number as it is printed: 1.5e-07 is 1.5 \cdot 10^{-7}.
inline std::string latex_number(const std::string& s) {
  if (s.ends_with("inf")) return s.starts_with('-') ? "-\\infty" : "\\infty";
  if (s.ends_with("nan")) return "\\mathrm{nan}";
  const auto e = s.find('e');
  if (e == std::string::npos) return s;
  const std::string mantissa = s.substr(0, e), power = fmt::format("10^{{{}}}", std::stoi(s.substr(e + 1)));
  return mantissa == "1" ? power : mantissa == "-1" ? "-" + power : mantissa + " \\cdot " + power;
}
inline Piece number_piece(double v, Style style) {
  std::string s = fmt::format("{}", v);
  Level level = Level::atom;
  if (style != Style::plain) {
    constexpr double pi = std::numbers::pi, two_root = 2 * std::numbers::inv_sqrtpi;
    const std::pair<double, const char*> known[] = {{pi, "\\pi"},
                                                    {pi / 2, "\\frac{\\pi}{2}"},
                                                    {std::numbers::ln2, "\\ln 2"},
                                                    {std::numbers::ln10, "\\ln 10"},
                                                    {two_root, "\\frac{2}{\\sqrt{\\pi}}"}};
    for (const auto& [x, latex] : known)
      if (std::abs(v) == x)
        return {(v < 0 ? "-" : "") + std::string(latex), v < 0 ? Level::prefix : Level::function, true};
    if (s.find('e') != std::string::npos) level = Level::product;
    s = latex_number(s);
  }
  return {s, s.starts_with('-') ? Level::prefix : level};
}

/// LaTeX of a word: a Greek letter, a single letter, digits, or upright.
inline std::string latex_word(const std::string& word) {
  static const std::set<std::string, std::less<>> greek = {
      "alpha",   "beta",   "gamma",  "delta", "epsilon", "zeta",       "eta",    "theta", "iota",
      "kappa",   "lambda", "mu",     "nu",    "xi",      "pi",         "rho",    "sigma", "tau",
      "upsilon", "phi",    "chi",    "psi",   "omega",   "varepsilon", "varphi", "ell",   "Gamma",
      "Delta",   "Theta",  "Lambda", "Xi",    "Pi",      "Sigma",      "Phi",    "Psi",   "Omega"};
  if (greek.contains(word)) return '\\' + word;
  const bool letters =
      std::all_of(word.begin(), word.end(), [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; });
  return letters && word.size() > 1 ? "\\mathrm{" + word + "}" : word;
}
/// LaTeX of a text that is shown as it stands.
inline std::string latex_text(std::string_view text) {
  std::string all = "\\text{";
  // clang-format off
  for (const char c : text) switch (c) {
    case '\\': all += "\\textbackslash{}"; break;
    case '~': all += "\\textasciitilde{}"; break;
    case '^': all += "\\textasciicircum{}"; break;
    case '<': all += "\\textless{}"; break;
    case '>': all += "\\textgreater{}"; break;
    case '|': all += "\\textbar{}"; break;
    case '#': case '$': case '%': case '&': case '_': case '{': case '}': all += '\\'; [[fallthrough]];
    default: all += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  // clang-format on
  return all + "}";
}
/// LaTeX of a name: "W_rec[0,1]" is W with the indices rec, 0 and 1; "h_t-1" and "h_{t-1}" have the index t-1, "x12"
/// has 12. Any other name is shown as it stands.
inline std::string latex_name(const std::string& name) {
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const std::size_t end = std::min(name.size(), name.find_first_of("_[0123456789"));
  std::string base = name.substr(0, end), indices, word;
  bool fits = !base.empty() && std::all_of(base.begin(), base.end(), is_letter);
  bool wanted = false, marked = false, closed = false;  // an index has to follow; may have signs, as after _; has ended
  char closing = '\0';
  for (std::size_t i = end; i < name.size() && fits; ++i) {
    const char c = name[i], next = i + 1 < name.size() ? name[i + 1] : '\0';
    if (closed && c != '_' && c != '[') return latex_text(name);  // w[mu]x
    if (is_letter(c)) {
      word += c;
      wanted = false;
      continue;
    }
    closed = false;
    indices += latex_word(std::exchange(word, ""));
    if (c == '_' || c == '[' || c == ',') {
      const bool brace = c == '_' && next == '{';
      fits = !wanted && (c != ',' || marked) && !(closing && (brace || c == '['));
      if (brace || c == '[') closing = brace ? '}' : ']';
      if (brace || (c == ',' && next == ' ')) ++i;
      if (!indices.empty()) indices += ", ";
      wanted = marked = true;
    } else if (closing && c == closing) {
      fits = !wanted;
      closing = '\0';
      closed = true;
    } else {
      fits = std::isdigit(static_cast<unsigned char>(c)) || c == '.' || (marked && (c == '+' || c == '-'));
      indices += c;
      wanted = false;
    }
  }
  if (!fits || wanted || closing) return latex_text(name);
  indices += latex_word(word);
  base = latex_word(base);
  return indices.empty() ? base : base + "_{" + indices + "}";
}

// clang-format off
/// LaTeX of a function whose name LaTeX knows; "" for one that has a notation of its own or none.
inline std::string latex_function(Op op, std::string_view name) {
  switch (op) {
    case Op::sin: case Op::cos: case Op::tan: case Op::sinh: case Op::cosh: case Op::tanh: case Op::min: case Op::max:
    case Op::exp:
      return "\\" + std::string(name);
    case Op::asin: return "\\arcsin";
    case Op::acos: return "\\arccos";
    case Op::atan: return "\\arctan";
    case Op::asinh: return "\\operatorname{arsinh}";
    case Op::acosh: return "\\operatorname{arcosh}";
    case Op::atanh: return "\\operatorname{artanh}";
    case Op::log: return "\\ln";
    case Op::log2: return "\\log_{2}";
    case Op::log10: return "\\log_{10}";
    case Op::tgamma: return "\\Gamma";
    case Op::lgamma: return "\\ln\\Gamma";
    case Op::digamma: return "\\psi";
    case Op::sigmoid: return "\\sigma";
    default: return "\\operatorname{" + std::string(name) + "}";
  }
}

// clang-format on
inline Piece write_function(const Node& n, std::vector<Piece> a, Style style) {
  const std::string_view name = written_name(n.op);
  if (style == Style::plain) {
    std::string all = std::string(name) + "(" + a[0].text;
    for (std::size_t i = 1; i < a.size(); ++i) all += ", " + a[i].text;
    return {all + ")", Level::atom};
  }
  const std::string& x = a[0].text;
  // clang-format off
  switch (n.op) {
    case Op::copy: return a[0];
    case Op::sqrt: return {"\\sqrt{" + x + "}", Level::power};
    case Op::cbrt: return {"\\sqrt[3]{" + x + "}", Level::power};
    case Op::exp: if (style == Style::latex_by_elements) break; return {"e^{" + x + "}", Level::power};
    case Op::exp2: return {"2^{" + x + "}", Level::power};
    case Op::abs: return {"\\left|" + x + "\\right|", Level::atom};
    case Op::floor: return {"\\left\\lfloor " + x + "\\right\\rfloor", Level::atom};
    case Op::ceil: return {"\\left\\lceil " + x + "\\right\\rceil", Level::atom};
    case Op::polygamma: return {"\\psi^{(" + x + ")}\\left(" + a[1].text + "\\right)", Level::function};
    default: break;
  }
  // clang-format on
  const std::string f = latex_function(n.op, name);
  const bool is_word = n.op != Op::tgamma && n.op != Op::lgamma && n.op != Op::digamma && n.op != Op::sigmoid;
  if (a.size() == 1 && a[0].level == Level::atom && (is_word || x.starts_with("\\left(")))
    return {f + (x.starts_with("\\left") ? "" : " ") + x, Level::function};  // \sin x
  std::string all = f + "\\left(" + x;
  for (std::size_t i = 1; i < a.size(); ++i) all += ", " + a[i].text;
  return {all + "\\right)", Level::function};
}

/// Whether `left right` in LaTeX would read as something else than their product.
inline bool needs_dot(const std::string& left, bool open, bool call, const std::string& right) {
  const auto is_digit = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; };
  const std::size_t first = right.starts_with("\\frac{") ? 6 : 0;
  if (open || is_digit(right[first]) || right.starts_with("\\text{")) return true;  // \sin x y, 2 3, 2 \frac{1}{3}
  if (right.starts_with("\\mathrm{")) return left.ends_with('}');                   // two words would be one
  return call && right.starts_with("\\left(");
}

inline Piece write_node(const Node& n, std::vector<Piece> a, Style style) {
  const bool plain = style == Style::plain;
  const auto need = [&](std::size_t i, Level level, bool sign_allowed = false) {
    return at_least(level, std::move(a[i]), style, sign_allowed);
  };
  const auto infix = [&](const char* sign, const char* latex, Level level) {
    const Level inside = level == Level::compare ? Level::sum : level;
    std::string left = need(0, inside, true);
    return Piece{std::move(left) + (plain ? sign : latex) + need(1, inside, true), level};
  };
  // clang-format off
  switch (n.kind) {
    case Node::number: return number_piece(n.value, style);
    case Node::name: {
      std::string name = plain ? n.text : latex_name(n.text);
      const auto begins = [&](const char* with) { return !plain && name.starts_with(with); };
      const bool text = begins("\\text{");  // perhaps with signs in it
      const bool call = begins("\\mathrm{") || begins("\\sigma") || begins("\\psi") || begins("\\Gamma");
      return {std::move(name), text ? Level::function : Level::atom, text, call};
    }
    case Node::less: return infix(" < ", " < ", Level::compare);
    case Node::greater: return infix(" > ", " > ", Level::compare);
    case Node::less_equal: return infix(" <= ", " \\le ", Level::compare);
    case Node::greater_equal: return infix(" >= ", " \\ge ", Level::compare);
    case Node::equal: return infix(" == ", " = ", Level::compare);
    case Node::not_equal: return infix(" != ", " \\ne ", Level::compare);
    case Node::both: return infix(" && ", " \\land ", Level::both);
    case Node::either: return infix(" || ", " \\lor ", Level::either);
    case Node::choose: {
      if (plain) return {"select(" + a[0].text + ", " + a[1].text + ", " + a[2].text + ")", Level::atom};
      constexpr std::string_view open = "\\begin{cases}", close = "\\end{cases}";
      std::string rest = std::move(a[2].text);
      if (rest.starts_with(open) && rest.find(close) == rest.size() - close.size())  // cases of cases: one list
        rest = rest.substr(open.size(), rest.size() - open.size() - close.size());
      else
        rest = " " + rest + " & \\text{otherwise} ";
      return {std::string(open) + " " + a[1].text + " & " + a[0].text + " \\\\" + rest + std::string(close), Level::either};
    }
    case Node::call: break;
  }
  // clang-format on
  switch (n.op) {
    case Op::add:
    case Op::sub: {
      std::string left = need(0, Level::sum, true);
      const bool minus = n.op == Op::sub;
      Piece& right = a[1];
      if (right.negative() && right.level > Level::sum)  // a + -b is a - b
        return {std::move(left) + (minus ? " + " : " - ") + right.text.substr(1), Level::sum};
      return {std::move(left) + (minus ? " - " : " + ") + need(1, minus ? Level::prefix : Level::sum), Level::sum};
    }
    case Op::neg:
      if (a[0].negative() && a[0].level > Level::sum)
        return {a[0].text.substr(1), Level::product, a[0].open, a[0].call};
      return {"-" + need(0, Level::product), Level::prefix, a[0].open, a[0].call};
    case Op::mul: {
      const bool matrices = style == Style::latex_by_elements;
      if (n.args[0] == n.args[1])
        return {need(0, Level::atom) + (plain ? "^2" : matrices ? "^{\\odot 2}" : "^{2}"), Level::power};
      const bool open = a[1].open && !a[1].negative();  // else it stands in parentheses
      std::string left = need(0, Level::prefix, true), right = need(1, Level::product);
      const char* times = matrices && n.args[0]->kind != Node::number    ? " \\odot "
                          : needs_dot(left, a[0].open, a[0].call, right) ? " \\cdot "
                                                                         : " ";
      return {std::move(left) + (plain ? "*" : times) + right, Level::product, open, a[1].call};
    }
    case Op::div: {
      if (plain) {
        std::string left = need(0, Level::prefix, true);
        return {std::move(left) + "/" + need(1, Level::function), Level::product};
      }
      const bool minus = a[0].negative() && a[0].level > Level::sum;
      return {(minus ? "-" : "") + ("\\frac{" + a[0].text.substr(minus ? 1 : 0) + "}{" + a[1].text + "}"),
              minus ? Level::prefix : Level::power};
    }
    case Op::pow: {
      std::string base = need(0, Level::atom);
      return {plain ? std::move(base) + "^" + need(1, Level::atom) : std::move(base) + "^{" + a[1].text + "}",
              Level::power};
    }
    default:
      return write_function(n, std::move(a), style);
  }
}

inline std::string write(const Node::Pointer& root, Style style, std::size_t longest) {
  const std::vector<const Node*> order = in_order(*root);
  struct Facts {
    std::size_t uses = 0, size = 1;
    Piece piece{};
  };
  std::unordered_map<const Node*, Facts> facts;
  std::set<std::string> names;
  for (const Node* n : order) {
    std::size_t size = 1;
    const bool square = n->is(Op::mul) && n->args[0] == n->args[1];  // writes its operand once
    for (std::size_t i = 0; i < n->args.size() - square; ++i) {
      Facts& operand = facts.at(n->args[i].get());
      ++operand.uses;
      size = std::min(size + operand.size, std::size_t{1} << 40);
    }
    facts[n].size = size;
    if (n->kind == Node::name) names.insert(style == Style::plain ? n->text : latex_name(n->text));
  }
  const bool too_long = facts.at(root.get()).size > longest;
  std::string definitions;
  int count = 0;
  for (const Node* n : order) {
    std::vector<Piece> operands;
    for (const auto& arg : n->args) {
      Facts& f = facts.at(arg.get());
      const bool square = n->is(Op::mul) && n->args[0] == n->args[1];
      if (f.uses == 1 && !square)
        operands.push_back(std::move(f.piece));
      else
        operands.push_back(f.piece);
    }
    Facts& f = facts.at(n);
    f.piece = write_node(*n, std::move(operands), style);
    const bool formula = n->kind == Node::call || n->kind == Node::choose;
    if (too_long && formula && f.uses > 1 && f.size > 2) {
      std::string name;
      do name = (style == Style::plain ? "s" : "s_{") + std::to_string(++count) + (style == Style::plain ? "" : "}");
      while (names.contains(name));
      definitions += name + " = " + f.piece.text + (style == Style::plain ? "; " : ",\\quad ");
      f.piece = {name, Level::atom};
    }
  }
  return definitions + facts.at(root.get()).piece.text;
}

}  // namespace detail
}  // namespace ad
