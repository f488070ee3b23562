// Simple LaTeX formulas, as the lessons' prose has them: read into a small tree, written as Unicode text or as MathML.
#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>

#include "tutorials/prose.h"

namespace tutorials {
namespace {

struct Node {
  // letter: italic; word: upright; scripts: base, sub, super (an empty row is none); over: base, accent (text joins it)
  enum Kind { row, letter, digits, sign, word, space, fraction, root, scripts, over } kind = row;
  std::string text;
  std::vector<Node> parts;
  bool bold = false;
  bool empty() const { return kind == row && parts.empty(); }
};

// "alpha α beta β ..." as a map.
using Names = std::map<std::string, std::string, std::less<>>;
Names names_of(const char* pairs) {
  Names table;
  std::istringstream words(pairs);
  for (std::string name, text; words >> name >> text;) table[name] = text;
  return table;
}
const Names letters = names_of(
    "alpha α  beta β  gamma γ  delta δ  epsilon ϵ  varepsilon ε  zeta ζ  eta η  theta θ  kappa κ  lambda λ  mu μ  "
    "nu ν  xi ξ  pi π  rho ρ  sigma σ  tau τ  phi ϕ  varphi φ  chi χ  psi ψ  omega ω  Gamma Γ  Delta Δ  Theta Θ  "
    "Lambda Λ  Sigma Σ  Phi Φ  Psi Ψ  Omega Ω  partial ∂  nabla ∇  infty ∞  ell ℓ  top ⊤  ldots …  dots …  "
    "cdots ⋯  forall ∀  exists ∃  emptyset ∅");
const Names signs = names_of(  // written with space on both sides
    "cdot ·  times ×  odot ⊙  otimes ⊗  circ ∘  pm ±  le ≤  leq ≤  ge ≥  geq ≥  ne ≠  neq ≠  approx ≈  sim ∼  "
    "equiv ≡  propto ∝  in ∈  to →  rightarrow →  leftarrow ←  Rightarrow ⇒  mapsto ↦  ll ≪  gg ≫  mid |  div ÷");
struct Accent {
  std::string_view name, over;  // over: the sign MathML sets above
  std::string_view combining;   // the sign that joins the letter before it
};
constexpr Accent accents[] = {{"tilde", "~", "\u0303"},
                              {"hat", "^", "\u0302"},
                              {"bar", "¯", "\u0304"},
                              {"dot", "˙", "\u0307"},
                              {"vec", "→", "\u20d7"}};

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
        if (rest_.starts_with('^'))
          rest_.remove_prefix(1), super = read_atom();
        else if (rest_.starts_with('_'))
          rest_.remove_prefix(1), sub = read_atom();
        else if (rest_.starts_with('\''))
          rest_.remove_prefix(1), super = Node{Node::sign, "′", {}};
        else
          break;
      }
      if (!sub.empty() || !super.empty())
        atom = Node{Node::scripts, "", {std::move(atom), std::move(sub), std::move(super)}};
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
      while (n < rest_.size() && (digit(rest_[n]) || (rest_[n] == '.' && n + 1 < rest_.size() && digit(rest_[n + 1]))))
        ++n;
      return {Node::digits, std::string(take(n)), {}};
    }
    const bool pair = (c == ':' || c == '+') && rest_.substr(1).starts_with('=');
    const std::string text(take(pair ? 2 : character_bytes(static_cast<unsigned char>(c))));
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (text.size() > 1 && !pair);
    return {is_letter ? Node::letter : Node::sign, text, {}};
  }
  Node read_command() {
    std::size_t n = 1;
    while (n < rest_.size() && ((rest_[n] >= 'a' && rest_[n] <= 'z') || (rest_[n] >= 'A' && rest_[n] <= 'Z'))) ++n;
    const std::string name(take(std::max<std::size_t>(n, 2)).substr(1));
    if (const auto it = letters.find(name); it != letters.end()) return {Node::letter, it->second, {}};
    if (const auto it = signs.find(name); it != signs.end()) return {Node::sign, it->second, {}};
    for (const Accent& accent : accents)
      if (name == accent.name)
        return {Node::over, std::string(accent.combining), {read_atom(), {Node::sign, std::string(accent.over), {}}}};
    if (name == "sum" || name == "prod" || name == "int")
      return {Node::sign, name == "sum" ? "∑" : name == "prod" ? "∏" : "∫", {}};
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
    if (name == "left" || name == "right" || name == "displaystyle" || name == "mathrel" || name == "mathbin" ||
        name == "limits" || name == "bigl" || name == "bigr") {
      if (rest_.starts_with('.')) take(1);
      return {};
    }
    if (name == "quad" || name == "qquad" || name == "," || name == ";" || name == " " || name == ":")
      return {Node::space, " ", {}};
    if (name == "!") return {};
    if (name == "prime") return {Node::sign, "′", {}};
    if (name == "|") return {Node::sign, "‖", {}};
    const bool punctuation = name.size() == 1 && !std::isalpha(static_cast<unsigned char>(name[0]));
    return {punctuation ? Node::sign : Node::word,
            name,
            {}};  // \{ \} \% and \tanh, \ln, \mathrm's like; unknown names show
  }
  std::string_view rest_;
};

// ---- as text ------------------------------------------------------------------------------------------------------

bool big(const Node& node) { return node.text == "∑" || node.text == "∏" || node.text == "∫"; }

bool spaced(const std::string& sign) {
  if (sign.size() == 2 && sign[1] == '=') return true;
  if (sign == "+" || sign == "-" || sign == "=" || sign == "<" || sign == ">") return true;
  for (const auto& [name, text] : signs)
    if (text == sign && sign != "|") return true;
  return false;
}

// "t-1" -> "ₜ₋₁"; empty when a character has no small form, or for names such as "rec".
std::string small(const std::string& text, bool above) {
  static const Names below = names_of(
      "+ ₊  - ₋  = ₌  ( ₍  ) ₎  a ₐ  e ₑ  h ₕ  i ᵢ  j ⱼ  k ₖ  l ₗ  m ₘ  n ₙ  o ₒ  p ₚ  r ᵣ  s ₛ  t ₜ  u ᵤ  v ᵥ  "
      "x ₓ");
  static const Names over =
      names_of("+ ⁺  - ⁻  = ⁼  ( ⁽  ) ⁾  i ⁱ  j ʲ  k ᵏ  l ˡ  m ᵐ  n ⁿ  s ˢ  t ᵗ  x ˣ  T ᵀ  ⊤ ᵀ  ′ ′  1 ¹  2 ²  3 ³");
  std::string result;
  bool after_letter = false;
  for (std::size_t i = 0, n; i < text.size(); i += n) {
    n = character_bytes(static_cast<unsigned char>(text[i]));
    const std::string c = text.substr(i, n);
    const bool is_letter = std::isalpha(static_cast<unsigned char>(c[0])) != 0;
    const auto& table = above ? over : below;
    if (is_letter && after_letter) return "";
    after_letter = is_letter;
    if (const auto it = table.find(c); it != table.end())
      result += it->second;
    else if (c[0] >= '0' && c[0] <= '9')
      result += (above ? std::string("\u2070") : std::string("\u2080")),
          result.back() = static_cast<char>(result.back() + (c[0] - '0'));
    else
      return "";
  }
  return result;
}

std::string as_text(const Node& node, bool tight);

std::string script_text(const Node& node, bool above) {
  const std::string text = as_text(node, true), compact = small(text, above);
  if (!compact.empty() || text.empty()) return compact;
  const bool one_word = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0; }) ||
                        character_bytes(static_cast<unsigned char>(text[0])) == text.size();
  return (above ? "^" : "_") + (one_word ? text : "(" + text + ")");
}

const Node& base_of(const Node& node) { return node.kind == Node::scripts ? node.parts[0] : node; }

// Words, fractions and sums keep a space from the operands beside them; so does W_rec, whose name would grow.
bool stands_apart(const Node& node, const std::string& text) {
  const Node& base = base_of(node);
  const std::size_t mark = text.find_last_of("_^");
  const bool named = mark != std::string::npos && text.find_first_of(")", mark) == std::string::npos;
  return base.kind == Node::fraction || big(base) || (base.kind == Node::word && base.text.size() > 1) || named;
}

std::string as_text(const Node& node, bool tight) {
  switch (node.kind) {
    case Node::row: {
      std::string all;
      bool operand = false, apart = false;  // of the part before; a sign behind an operand is binary
      bool joins_next = false;              // and ∂ stands close to what it moves: ∂W_rec
      for (const Node& part : node.parts) {
        std::string text = as_text(part, tight);
        if (text.empty()) continue;
        const Node& base = base_of(part);
        const bool is_sign = base.kind == Node::sign && !big(base), now_apart = stands_apart(part, text);
        if (is_sign && !tight && spaced(part.text)) {
          if (operand || part.text.ends_with('=')) text = " " + text + " ";
        } else if (is_sign && !tight && part.text == ",") {
          text += " ";
        } else if (!is_sign && operand && !joins_next && (apart || now_apart)) {
          text = " " + text;
        }
        if (all.ends_with(' ') && text.starts_with(' ')) text.erase(0, 1);
        all += text;
        operand = !is_sign || base.text == ")" || base.text == "]" || base.text == "|";
        apart = now_apart;
        joins_next = part.kind == Node::letter && (part.text == "∂" || part.text == "Δ" || part.text == "∇");
      }
      return all;
    }
    case Node::fraction: {
      std::string above = as_text(node.parts[0], tight), below = as_text(node.parts[1], tight);
      const auto first = [](const Node& n) {
        return n.kind == Node::row && !n.parts.empty() ? n.parts[0].text : std::string();
      };
      const std::string lead = first(node.parts[1]);
      if (above.find(' ') != std::string::npos) above = "(" + above + ")";
      if (node.parts[1].kind == Node::row &&
          (below.find(' ') != std::string::npos || (lead != "∂" && lead != "d" && lead != "Δ")))
        below = "(" + below + ")";
      return above + "/" + below;
    }
    case Node::root:
      return "√(" + as_text(node.parts[0], tight) + ")";
    case Node::scripts:
      return as_text(node.parts[0], tight) + script_text(node.parts[1], false) + script_text(node.parts[2], true);
    case Node::over:
      return as_text(node.parts[0], tight) + node.text;
    case Node::space:
      return tight ? "" : " ";
    default:
      return node.text;
  }
}

// ---- as MathML ----------------------------------------------------------------------------------------------------

std::string tag(std::string_view name, const std::string& inside, bool bold = false) {
  std::string all = "<" + std::string(name);
  if (bold) all += " style=\"font-weight:bold\"";
  return all + ">" + inside + "</" + std::string(name) + ">";
}

std::string as_html(const Node& node, bool bold) {
  bold = bold || node.bold;
  switch (node.kind) {
    case Node::letter:
      return tag("mi", escape_html(node.text), bold);
    case Node::digits:
      return tag("mn", node.text, bold);
    case Node::sign:
      return tag("mo", node.text == "-" ? "−" : escape_html(node.text));
    case Node::word:
      return node.text.find(' ') != std::string::npos
                 ? tag("mtext", escape_html(node.text))
                 : "<mi mathvariant=\"normal\">" + escape_html(node.text) + "</mi>";
    case Node::space:
      return "<mspace width=\"0.4em\"/>";
    case Node::root:
      return tag("msqrt", as_html(node.parts[0], bold));
    case Node::fraction:
      return tag("mfrac", as_html(node.parts[0], bold) + as_html(node.parts[1], bold));
    case Node::over:
      return "<mover accent=\"true\">" + as_html(node.parts[0], bold) + as_html(node.parts[1], false) + "</mover>";
    case Node::scripts: {
      const Node &base = node.parts[0], &sub = node.parts[1], &super = node.parts[2];
      if (super.text == "′") {  // stands high by itself
        const Node without{Node::scripts, "", {base, sub, Node{}}};
        return tag("mrow", as_html(sub.empty() ? base : without, bold) + "<mo lspace=\"0\" rspace=\"0\">′</mo>");
      }
      const std::string inside =
          as_html(base, bold) + (sub.empty() ? "" : as_html(sub, bold)) + (super.empty() ? "" : as_html(super, bold));
      return sub.empty()     ? tag(big(base) ? "mover" : "msup", inside)
             : super.empty() ? tag(big(base) ? "munder" : "msub", inside)
                             : tag(big(base) ? "munderover" : "msubsup", inside);
    }
    case Node::row:
      break;
  }
  std::string all;
  for (const Node& part : node.parts) all += as_html(part, bold);
  return tag("mrow", all);
}

}  // namespace

std::string math_text(std::string_view latex) { return as_text(Parser(latex).read_row(false), false); }

std::string math_html(std::string_view latex, bool display) {
  return std::string(display ? "<math display=\"block\">" : "<math>") + as_html(Parser(latex).read_row(false), false) +
         "</math>";
}

}  // namespace tutorials
