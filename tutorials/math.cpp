// Simple LaTeX formulas, as the lessons' prose has them: read into a small tree, written as Unicode text or as MathML.
#include <algorithm>
#include <cctype>
#include <map>

#include "tutorials/prose.h"

namespace tutorials {
namespace {

struct Node {
  // letter: italic; word: upright name; space; scripts: base, sub, sup (empty row = none); over: base, accent; text joins it
  enum Kind { row, letter, digits, sign, word, space, fraction, root, scripts, over } kind = row;
  std::string text;
  std::vector<Node> parts;
  bool bold = false;
  bool empty() const { return kind == row && parts.empty(); }
};

using Names = std::map<std::string, std::string, std::less<>>;

const Names& letters() {
  static const Names table = {
      {"alpha", "α"}, {"beta", "β"}, {"gamma", "γ"}, {"delta", "δ"}, {"epsilon", "ϵ"}, {"varepsilon", "ε"}, {"zeta", "ζ"},
      {"eta", "η"}, {"theta", "θ"}, {"kappa", "κ"}, {"lambda", "λ"}, {"mu", "μ"}, {"nu", "ν"}, {"xi", "ξ"}, {"pi", "π"},
      {"rho", "ρ"}, {"sigma", "σ"}, {"tau", "τ"}, {"phi", "ϕ"}, {"varphi", "φ"}, {"chi", "χ"}, {"psi", "ψ"}, {"omega", "ω"},
      {"Gamma", "Γ"}, {"Delta", "Δ"}, {"Theta", "Θ"}, {"Lambda", "Λ"}, {"Sigma", "Σ"}, {"Phi", "Φ"}, {"Psi", "Ψ"},
      {"Omega", "Ω"}, {"partial", "∂"}, {"nabla", "∇"}, {"infty", "∞"}, {"ell", "ℓ"}, {"top", "⊤"},
      {"ldots", "…"}, {"dots", "…"}, {"cdots", "⋯"}, {"forall", "∀"}, {"exists", "∃"}, {"emptyset", "∅"}};
  return table;
}
const Names& signs() {  // written with space on both sides
  static const Names table = {
      {"cdot", "·"}, {"times", "×"}, {"odot", "⊙"}, {"otimes", "⊗"}, {"circ", "∘"}, {"pm", "±"}, {"le", "≤"}, {"leq", "≤"},
      {"ge", "≥"}, {"geq", "≥"}, {"ne", "≠"}, {"neq", "≠"}, {"approx", "≈"}, {"sim", "∼"}, {"equiv", "≡"}, {"propto", "∝"},
      {"in", "∈"}, {"to", "→"}, {"rightarrow", "→"}, {"leftarrow", "←"}, {"Rightarrow", "⇒"}, {"mapsto", "↦"}, {"ll", "≪"},
      {"gg", "≫"}, {"mid", "|"}, {"div", "÷"}};
  return table;
}
struct Accent {
  std::string_view name, over;  // over: the sign MathML sets above
  std::string_view combining;   // the sign that joins the letter before it
};
constexpr Accent accents[] = {{"tilde", "~", "\u0303"}, {"hat", "^", "\u0302"}, {"bar", "¯", "\u0304"}, {"dot", "˙", "\u0307"}, {"vec", "→", "\u20d7"}};

std::size_t character_bytes(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

class Parser {
 public:
  explicit Parser(std::string_view latex) : rest_(latex) {}
  Node read_row(bool braced) {
    Node all;
    while (!rest_.empty()) {
      if (rest_[0] == '}') {
        rest_.remove_prefix(1);
        if (braced) break;
        continue;
      }
      if (rest_[0] == ' ' || rest_[0] == '&') {
        rest_.remove_prefix(1);
        continue;
      }
      Node atom = rest_[0] == '^' || rest_[0] == '_' ? Node{} : read_atom();
      Node sub, super;
      while (true) {
        if (rest_.starts_with('^')) rest_.remove_prefix(1), super = read_atom();
        else if (rest_.starts_with('_')) rest_.remove_prefix(1), sub = read_atom();
        else if (rest_.starts_with('\'')) rest_.remove_prefix(1), super = Node{Node::sign, "′", {}};
        else break;
      }
      if (!sub.empty() || !super.empty()) atom = Node{Node::scripts, "", {std::move(atom), std::move(sub), std::move(super)}};
      all.parts.push_back(std::move(atom));
    }
    return all;
  }

 private:
  std::string_view take(std::size_t n) {
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string raw_group() {  // the text of {...} as it stands
    if (!rest_.starts_with('{')) return std::string(take(1));
    std::string text(take(rest_.find('}')).substr(1));
    take(1);
    return text;
  }
  Node read_atom() {
    while (rest_.starts_with(' ')) take(1);
    if (rest_.empty()) return {};
    const char c = rest_[0];
    if (c == '{') {
      take(1);
      Node group = read_row(true);
      return group.parts.size() == 1 ? Node(group.parts[0]) : group;
    }
    if (c == '\\') return read_command();
    const auto digit = [](char x) { return x >= '0' && x <= '9'; };
    if (digit(c)) {
      std::size_t n = 1;
      while (n < rest_.size() && (digit(rest_[n]) || (rest_[n] == '.' && n + 1 < rest_.size() && digit(rest_[n + 1])))) ++n;
      return {Node::digits, std::string(take(n)), {}};
    }
    const std::string text(take(character_bytes(static_cast<unsigned char>(c))));
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || text.size() > 1;
    return {is_letter ? Node::letter : Node::sign, text, {}};
  }
  Node read_command() {
    std::size_t n = 1;
    while (n < rest_.size() && ((rest_[n] >= 'a' && rest_[n] <= 'z') || (rest_[n] >= 'A' && rest_[n] <= 'Z'))) ++n;
    const std::string name(take(std::max<std::size_t>(n, 2)).substr(1));
    if (const auto it = letters().find(name); it != letters().end()) return {Node::letter, it->second, {}};
    if (const auto it = signs().find(name); it != signs().end()) return {Node::sign, it->second, {}};
    for (const Accent& accent : accents)
      if (name == accent.name) return {Node::over, std::string(accent.combining), {read_atom(), {Node::sign, std::string(accent.over), {}}}};
    if (name == "sum" || name == "prod" || name == "int") return {Node::sign, name == "sum" ? "∑" : name == "prod" ? "∏" : "∫", {}};
    if (name == "frac" || name == "dfrac" || name == "tfrac") {
      Node above = read_atom(), below = read_atom();
      return {Node::fraction, "", {std::move(above), std::move(below)}};
    }
    if (name == "sqrt") return {Node::root, "", {read_atom()}};
    if (name == "mathrm" || name == "text" || name == "operatorname") return {Node::word, raw_group(), {}};
    if (name == "mathbf" || name == "boldsymbol" || name == "bm") {
      Node inside = read_atom();
      inside.bold = true;
      return inside;
    }
    if (name == "mathcal" || name == "mathbb") {
      const std::string x = raw_group();
      return {Node::letter, x == "L" ? "ℒ" : x == "R" ? "ℝ" : x == "E" ? "𝔼" : x == "N" ? "𝒩" : x, {}};
    }
    if (name == "left" || name == "right" || name == "displaystyle" || name == "bigl" || name == "bigr") {
      if (rest_.starts_with('.')) take(1);
      return {};
    }
    if (name == "quad" || name == "qquad" || name == "," || name == ";" || name == " " || name == ":") return {Node::space, " ", {}};
    if (name == "!") return {};
    if (name == "prime") return {Node::sign, "′", {}};
    if (name == "|") return {Node::sign, "‖", {}};
    const bool punctuation = name.size() == 1 && !std::isalpha(static_cast<unsigned char>(name[0]));
    return {punctuation ? Node::sign : Node::word, name, {}};  // \{ \} \% and \tanh, \ln, \mathrm's like; unknown names show
  }
  std::string_view rest_;
};

// ---- as text ------------------------------------------------------------------------------------------------------------

bool spaced(const std::string& sign) {
  if (sign == "+" || sign == "-" || sign == "=" || sign == "<" || sign == ">") return true;
  for (const auto& [name, text] : signs())
    if (text == sign && sign != "|") return true;
  return false;
}

// "t-1" -> "ₜ₋₁"; empty when a character has no small form, or for names such as "rec".
std::string small(const std::string& text, bool above) {
  static const Names below = {{"+", "₊"}, {"-", "₋"}, {"=", "₌"}, {"(", "₍"}, {")", "₎"}, {"a", "ₐ"}, {"e", "ₑ"}, {"h", "ₕ"},
                              {"i", "ᵢ"}, {"j", "ⱼ"}, {"k", "ₖ"}, {"l", "ₗ"}, {"m", "ₘ"}, {"n", "ₙ"}, {"o", "ₒ"}, {"p", "ₚ"},
                              {"r", "ᵣ"}, {"s", "ₛ"}, {"t", "ₜ"}, {"u", "ᵤ"}, {"v", "ᵥ"}, {"x", "ₓ"}};
  static const Names over = {{"+", "⁺"}, {"-", "⁻"}, {"=", "⁼"}, {"(", "⁽"}, {")", "⁾"}, {"i", "ⁱ"}, {"j", "ʲ"}, {"k", "ᵏ"}, {"l", "ˡ"},
                             {"m", "ᵐ"}, {"n", "ⁿ"}, {"s", "ˢ"}, {"t", "ᵗ"}, {"x", "ˣ"}, {"T", "ᵀ"}, {"⊤", "ᵀ"}, {"′", "′"},
                             {"1", "¹"}, {"2", "²"}, {"3", "³"}};
  std::string result;
  bool after_letter = false;
  for (std::size_t i = 0, n; i < text.size(); i += n) {
    n = character_bytes(static_cast<unsigned char>(text[i]));
    const std::string c = text.substr(i, n);
    const bool is_letter = std::isalpha(static_cast<unsigned char>(c[0])) != 0;
    const auto& table = above ? over : below;
    if (is_letter && after_letter) return "";
    after_letter = is_letter;
    if (const auto it = table.find(c); it != table.end()) result += it->second;
    else if (c[0] >= '0' && c[0] <= '9') result += (above ? std::string("\u2070") : std::string("\u2080")), result.back() = static_cast<char>(result.back() + (c[0] - '0'));
    else return "";
  }
  return result;
}

std::string as_text(const Node& node, bool tight);

std::string script_text(const Node& node, bool above) {
  const std::string text = as_text(node, true), compact = small(text, above);
  if (!compact.empty() || text.empty()) return compact;
  const bool one_word = text.find_first_of("+-=,/() ") == std::string::npos;
  return (above ? "^" : "_") + (one_word ? text : "(" + text + ")");
}

// Is a name such as the "rec" of W_rec about to grow, or a sum to swallow its terms?
bool runs_on(const std::string& before, const std::string& after) {
  const auto word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80; };
  const std::size_t mark = before.find_last_of("_^ ");
  const bool in_name = mark != std::string::npos && before[mark] != ' ' && std::all_of(before.begin() + static_cast<std::ptrdiff_t>(mark) + 1, before.end(), word);
  return word(after[0]) && (in_name || before.starts_with("∑") || before.starts_with("∏"));
}

std::string as_text(const Node& node, bool tight) {
  switch (node.kind) {
    case Node::row: {
      std::string all;
      bool operand = false;  // a sign behind an operand is binary and gets its spaces
      for (std::size_t i = 0; i < node.parts.size(); ++i) {
        const Node& part = node.parts[i];
        std::string text = as_text(part, tight);
        const bool is_sign = part.kind == Node::sign;
        if (is_sign && spaced(part.text) && !tight) text = operand || part.text == "=" ? " " + text + " " : text;
        else if (is_sign && part.text == "," && !tight) text += " ";
        else if (part.kind == Node::word) {  // "2 tanh u", but "tanh(u)"
          if (operand && !text.starts_with(' ')) text = " " + text;
          if (i + 1 < node.parts.size() && node.parts[i + 1].text != "(" && !text.ends_with(' ')) text += " ";
        }
        if (all.ends_with(' ') && text.starts_with(' ')) text.erase(0, 1);
        if (!text.empty() && runs_on(all, text)) text = " " + text;
        all += text;
        operand = !is_sign || part.text == ")" || part.text == "]" || part.text == "|";
      }
      return all;
    }
    case Node::fraction: {
      std::string above = as_text(node.parts[0], tight), below = as_text(node.parts[1], tight);
      const auto first = [](const Node& n) { return n.kind == Node::row && !n.parts.empty() ? n.parts[0].text : std::string(); };
      const std::string lead = first(node.parts[1]);
      if (above.find(' ') != std::string::npos) above = "(" + above + ")";
      if (node.parts[1].kind == Node::row && (below.find(' ') != std::string::npos || (lead != "∂" && lead != "d" && lead != "Δ"))) below = "(" + below + ")";
      return above + "/" + below;
    }
    case Node::root: return "√(" + as_text(node.parts[0], tight) + ")";
    case Node::scripts: return as_text(node.parts[0], tight) + script_text(node.parts[1], false) + script_text(node.parts[2], true);
    case Node::over: return as_text(node.parts[0], tight) + node.text;
    case Node::space: return tight ? "" : " ";
    default: return node.text;
  }
}

// ---- as MathML ----------------------------------------------------------------------------------------------------------

std::string tag(std::string_view name, const std::string& inside, bool bold = false) {
  std::string all = "<" + std::string(name);
  if (bold) all += " style=\"font-weight:bold\"";
  return all + ">" + inside + "</" + std::string(name) + ">";
}

std::string as_html(const Node& node, bool bold) {
  bold = bold || node.bold;
  switch (node.kind) {
    case Node::letter: return tag("mi", escape_html(node.text), bold);
    case Node::digits: return tag("mn", node.text, bold);
    case Node::sign: return tag("mo", node.text == "-" ? "−" : escape_html(node.text));
    case Node::word: return node.text.find(' ') != std::string::npos ? tag("mtext", escape_html(node.text)) : "<mi mathvariant=\"normal\">" + escape_html(node.text) + "</mi>";
    case Node::space: return "<mspace width=\"0.4em\"/>";
    case Node::root: return tag("msqrt", as_html(node.parts[0], bold));
    case Node::fraction: return tag("mfrac", as_html(node.parts[0], bold) + as_html(node.parts[1], bold));
    case Node::over: return "<mover accent=\"true\">" + as_html(node.parts[0], bold) + as_html(node.parts[1], false) + "</mover>";
    case Node::scripts: {
      const Node &base = node.parts[0], &sub = node.parts[1], &super = node.parts[2];
      if (super.text == "′") {  // stands high by itself
        const Node without{Node::scripts, "", {base, sub, Node{}}};
        return tag("mrow", as_html(sub.empty() ? base : without, bold) + "<mo lspace=\"0\" rspace=\"0\">′</mo>");
      }
      const bool big = base.text == "∑" || base.text == "∏";
      const std::string inside = as_html(base, bold) + (sub.empty() ? "" : as_html(sub, bold)) + (super.empty() ? "" : as_html(super, bold));
      return sub.empty() ? tag(big ? "mover" : "msup", inside) : super.empty() ? tag(big ? "munder" : "msub", inside) : tag(big ? "munderover" : "msubsup", inside);
    }
    case Node::row: break;
  }
  std::string all;
  for (const Node& part : node.parts) all += as_html(part, bold);
  return tag("mrow", all);
}

}  // namespace

std::string math_text(std::string_view latex) { return as_text(Parser(latex).read_row(false), false); }

std::string math_html(std::string_view latex, bool display) {
  return std::string(display ? "<math display=\"block\">" : "<math>") + as_html(Parser(latex).read_row(false), false) + "</math>";
}

}  // namespace tutorials
