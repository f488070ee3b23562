// Formulas: every row of the table as a formula, its derivatives, and how formulas are written.
#include "ad/symbol.h"

#include <Eigen/LU>
#include <boost/test/unit_test.hpp>

#include "ad/operators.h"
#include "tests/rows.h"

using ad::Symbol;
using Point = std::map<std::string, double>;

namespace {

const Symbol a("a"), b("b"), c("c"), x("x"), y("y");

// Rounding of a handful of operations in another order, where no number is much larger than the result.
void close(double got, double want, const std::string& what) {
  BOOST_TEST((got == want || std::abs(got - want) <= 4e-14 * std::max(1., std::abs(want))),
             what << ": " << got << " != " << want);
}

/// Reads a formula as Symbol::plain() writes it: + - * / ^ and functions, with the usual precedence.
class Calculator {
 public:
  Calculator(std::string text, const Point& at) : text_(std::move(text)), at_(at) {}
  double value() {
    const double v = sum();
    if (i_ != text_.size()) throw std::runtime_error("left over: " + text_.substr(i_));
    return v;
  }

 private:
  std::string text_;
  const Point& at_;
  std::size_t i_ = 0;

  bool take(const std::string& s) {
    if (text_.compare(i_, s.size(), s) != 0) return false;
    i_ += s.size();
    return true;
  }
  double sum() {
    double v = product();
    while (true)
      if (take(" + "))
        v += product();
      else if (take(" - "))
        v -= product();
      else
        return v;
  }
  double product() {
    double v = sign();
    while (true)
      if (take("*"))
        v *= power();
      else if (take("/"))
        v /= power();
      else
        return v;
  }
  double sign() { return take("-") ? -sign() : power(); }
  double power() {
    const double base = atom();
    return take("^") ? std::pow(base, atom()) : base;
  }
  double atom() {
    if (take("(")) {
      const double v = sum();
      if (!take(")")) throw std::runtime_error("no ) at " + text_.substr(i_));
      return v;
    }
    if (take("sin(")) return --i_, std::sin(atom());
    if (take("tanh(")) return --i_, std::tanh(atom());
    if (take("exp(")) return --i_, std::exp(atom());
    for (const auto& [name, v] : at_)
      if (take(name)) return v;
    std::size_t used = 0;
    const double v = std::stod(text_.substr(i_), &used);
    i_ += used;
    return v;
  }
};

/// Reads a formula as Symbol::latex() writes it and as a person reads it: \sin x y is the sine of x y.
class LatexReader {
 public:
  LatexReader(std::string text, const Point& at) : rest_(std::move(text)), at_(at) {}
  double value() {
    const double v = sum();
    if (!rest_.empty()) throw std::runtime_error("left over: " + rest_);
    return v;
  }

 private:
  std::string rest_;
  const Point& at_;

  bool next(const std::string& s) const { return rest_.starts_with(s); }
  bool next_digit(std::size_t i = 0) const { return i < rest_.size() && rest_[i] >= '0' && rest_[i] <= '9'; }
  bool take(const std::string& s) {
    if (!next(s)) return false;
    rest_.erase(0, s.size());
    return true;
  }
  double sum_until(const std::string& end) {
    const double v = sum();
    if (!take(end)) throw std::runtime_error("no " + end + " at " + rest_);
    return v;
  }
  double sum() {
    double v = term();
    while (true)
      if (take(" + "))
        v += term();
      else if (take(" - "))
        v -= term();
      else
        return v;
  }
  double term() {
    const double sign = take("-") ? -1 : 1;
    double v = sign * side_by_side();
    while (take(" \\cdot ")) v *= side_by_side();
    return v;
  }
  double side_by_side() {
    double v = 1;
    while (true) {
      for (const auto& [name, f] : std::initializer_list<std::pair<const char*, double (*)(double)>>{
               {"\\sin", std::sin}, {"\\tanh", std::tanh}, {"\\ln", std::log}})
        if (take(name)) {
          take(" ");
          return v * f(side_by_side());
        }
      const bool number = next_digit();
      v *= power();
      if (!next(" ") || next(" + ") || next(" - ") || next(" \\cdot ")) return v;
      take(" ");
      if (next_digit() || (number && next("\\frac{") && next_digit(6)))
        throw std::runtime_error("one number? " + rest_);
    }
  }
  double power() {
    if (take("e^{")) return std::exp(sum_until("}"));
    const double base = atom();
    return take("^{") ? std::pow(base, sum_until("}")) : base;
  }
  double atom() {
    if (take("\\left(")) return sum_until("\\right)");
    if (take("\\frac{")) {
      const double numerator = sum_until("}{");
      return numerator / sum_until("}");
    }
    for (const auto& [name, v] : at_)
      if (take(name)) return v;
    std::size_t used = 0;
    const double v = std::stod(rest_, &used);
    rest_.erase(0, used);
    return v;
  }
};

/// Nothing is claimed behind a division by zero: the sign of a zero is not kept.
Symbol over(const Symbol& s, const Symbol& t) { return s / t; }
double over(double s, double t) { return t == 0 ? std::nan("") : s / t; }

/// The same formula for the same random numbers, whatever S is.
template <class S>
S random_formula(std::mt19937& random, const S (&names)[5], int depth) {
  if (depth == 0) return random() % 4 == 0 ? S(static_cast<int>(random() % 7) - 3) : names[random() % 5];
  const S l = random_formula(random, names, depth - 1 - static_cast<int>(random() % 2) * (depth > 1));
  const S r = random_formula(random, names, depth - 1);
  switch (random() % 12) {
    case 0:
      return l + r;
    case 1:
      return l - r;
    case 2:
      return l * r;
    case 3:
      return over(l, r);
    case 4:
      return -l;
    case 5:
      return pow(l, 2);
    case 6:
      return sin(l) * r;
    case 7:
      return l * l - tanh(r);
    case 8:
      return over(-l, -r) + -l * (-r - -l);
    case 9:
      return (r * tanh(l)) * (l * sin(r));
    case 10:
      return exp(-pow(l, 2)) * r;
    default:
      return l - over(r - l, -r);
  }
}
const Symbol five_names[] = {a, b, c, x, y};
const double five_numbers[] = {1.3, -0.7, 2.1, 0.4, -1.6};
const Point at_five = {{"a", 1.3}, {"b", -0.7}, {"c", 2.1}, {"x", 0.4}, {"y", -1.6}};

bool balanced(const std::string& latex) {
  int depth = 0, open = 0;
  for (std::size_t i = 0; i < latex.size(); ++i) {
    depth += (latex[i] == '{') - (latex[i] == '}');
    if (latex.compare(i, 5, "\\left") == 0 && latex.compare(i, 6, "\\leftr") != 0) ++open;
    if (latex.compare(i, 6, "\\right") == 0) --open;
    if (depth < 0 || open < 0) return false;
  }
  return depth == 0 && open == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_row_of_the_table_works_on_formulas) {
  std::mt19937 random(1);
  const auto formulas = tests::rows<Symbol>();
  const auto numbers = tests::rows<double>();
  const Symbol operands[] = {Symbol("x"), Symbol("z"), Symbol("w")};
  for (std::size_t i = 0; i < formulas.size(); ++i) {
    const Symbol f = formulas[i].f(operands);
    for (int k = 0; k < 5; ++k) {
      const auto at = tests::sample(numbers[i], random);
      close(f.evaluate<double>({{"x", at[0]}, {"z", at[1]}, {"w", at[2]}}), numbers[i].f(at.data()), numbers[i].name);
    }
    BOOST_TEST(balanced(f.latex()), f.latex());
  }
}

BOOST_AUTO_TEST_CASE(a_derivative_of_formulas_has_the_value_of_the_derivative_of_numbers) {
  std::mt19937 random(2);
  const auto formulas = tests::rows<ad::Dual<Symbol>>();
  const auto numbers = tests::rows<ad::Dual<>>();
  const auto taped = tests::rows<ad::Variable<Symbol>>();
  for (std::size_t i = 0; i < formulas.size(); ++i)
    for (int k = 0; k < numbers[i].operands; ++k) {
      if (numbers[i].fixed(k)) continue;
      ad::Dual<Symbol> operand[] = {Symbol("x"), Symbol("z"), Symbol("w")};
      operand[k].tangent = 1;
      const Symbol d = formulas[i].f(operand).tangent;
      ad::TapeOf<Symbol> tape;
      const ad::Variable<Symbol> in[] = {tape.input(Symbol("x")), tape.input(Symbol("z")), tape.input(Symbol("w"))};
      const ad::Variable<Symbol> out = taped[i].f(in);
      tape.reverse(out);
      for (int n = 0; n < 5; ++n) {
        const auto at = tests::sample(numbers[i], random);
        ad::Dual<> point[] = {at[0], at[1], at[2]};
        point[k].tangent = 1;
        const Point names = {{"x", at[0]}, {"z", at[1]}, {"w", at[2]}};
        const double want = numbers[i].f(point).tangent;
        close(d.evaluate(names), want, std::string(numbers[i].name) + ", forward: " + d.plain());
        close(tape.adjoint(in[k]).evaluate(names), want, std::string(numbers[i].name) + ", reverse");
      }
    }
}

BOOST_AUTO_TEST_CASE(second_derivatives_of_formulas_have_the_value_of_those_of_numbers) {
  std::mt19937 random(3);
  using ad::Dual;
  const auto formulas = tests::rows<Dual<Dual<Symbol>>>();
  const auto numbers = tests::rows<Dual<Dual<>>>();
  for (std::size_t i = 0; i < formulas.size(); ++i) {
    if (numbers[i].fixed(0)) continue;
    Dual<Dual<Symbol>> operand[] = {Dual<Symbol>(Symbol("x")), Dual<Symbol>(Symbol("z")), Dual<Symbol>(Symbol("w"))};
    operand[0] = Dual<Dual<Symbol>>(Dual<Symbol>(Symbol("x"), 1), Dual<Symbol>(1));
    const Symbol d = formulas[i].f(operand).tangent.tangent;
    for (int n = 0; n < 5; ++n) {
      const auto at = tests::sample(numbers[i], random);
      Dual<Dual<>> point[] = {Dual<>(at[0]), Dual<>(at[1]), Dual<>(at[2])};
      point[0] = Dual<Dual<>>(Dual<>(at[0], 1), Dual<>(1));
      close(d.evaluate<double>({{"x", at[0]}, {"z", at[1]}, {"w", at[2]}}), numbers[i].f(point).tangent.tangent,
            std::string(numbers[i].name) + ": " + d.plain());
    }
  }
}

BOOST_AUTO_TEST_CASE(the_table_as_formulas_is_the_table) {
  std::mt19937 random(4);
  const auto numbers = tests::rows<double>();
  const auto partials = tests::partials<double>();
  const auto table = ad::table();
  BOOST_TEST_REQUIRE(table.size() == numbers.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    BOOST_TEST(table[i].name == numbers[i].name);
    for (int n = 0; n < 5; ++n) {
      const auto at = tests::sample(numbers[i], random);
      const double result = numbers[i].f(at.data());
      const Point names = {{"x", at[0]}, {"z", at[1]}, {"w", at[2]}, {"y", result}};
      close(table[i].value.evaluate(names), result, std::string(table[i].name));
      for (std::size_t k = 0; k < table[i].operands; ++k)
        close(table[i].partial[k].evaluate(names), partials[i].d[k](at.data(), result), std::string(table[i].name));
    }
  }
}

BOOST_AUTO_TEST_CASE(formulas_are_written_as_a_person_writes_them) {
  const Symbol h("h_t-1"), W("W_rec[0,1]"), alpha("alpha"), theta_s("theta_s"), x12("x12");
  const struct {
    Symbol f;
    const char *plain, *latex;
  } all[] = {
      {a - (b - c), "a - (b - c)", "a - \\left(b - c\\right)"},
      {(a - b) - c, "a - b - c", "a - b - c"},
      {a / (b / c), "a/(b/c)", "\\frac{a}{\\frac{b}{c}}"},
      {a / (b * c), "a/(b*c)", "\\frac{a}{b c}"},
      {a / b * c, "a/b*c", "\\frac{a}{b} c"},
      {a * (b + c), "a*(b + c)", "a \\left(b + c\\right)"},
      {(a + b) / (a - b), "(a + b)/(a - b)", "\\frac{a + b}{a - b}"},
      {-pow(x, 2), "-x^2", "-x^{2}"},
      {pow(-x, 2), "(-x)^2", "\\left(-x\\right)^{2}"},
      {(-x) * y, "-x*y", "-x y"},
      {x * (-y), "-x*y", "-x y"},
      {-(a + b), "-(a + b)", "-\\left(a + b\\right)"},
      {-(a - b), "b - a", "b - a"},
      {a - (-b), "a + b", "a + b"},
      {a + (-b), "a - b", "a - b"},
      {a + (-2) * b, "a - 2*b", "a - 2 b"},
      {pow(pow(a, b), c), "(a^b)^c", "\\left(a^{b}\\right)^{c}"},
      {pow(a, pow(b, c)), "a^(b^c)", "a^{b^{c}}"},
      {pow(a, -b), "a^(-b)", "a^{-b}"},
      {pow(a / b, 2), "(a/b)^2", "\\left(\\frac{a}{b}\\right)^{2}"},
      {x * x, "x^2", "x^{2}"},
      {(4 * x + 3) * (4 * x + 3), "(4*x + 3)*(4*x + 3)", "\\left(4 x + 3\\right) \\left(4 x + 3\\right)"},
      {sin(x), "sin(x)", "\\sin x"},
      {sin(x) * y, "sin(x)*y", "\\sin x \\cdot y"},
      {sin(x * y), "sin(x*y)", "\\sin\\left(x y\\right)"},
      {tanh(W * h + x), "tanh(W_rec[0,1]*h_t-1 + x)", "\\tanh\\left(W_{\\mathrm{rec}, 0, 1} h_{t-1} + x\\right)"},
      {log(x), "ln(x)", "\\ln x"},
      {exp(-x), "exp(-x)", "e^{-x}"},
      {sqrt(x + 1), "sqrt(x + 1)", "\\sqrt{x + 1}"},
      {abs(x), "abs(x)", "\\left|x\\right|"},
      {atan2(x, y), "atan2(x, y)", "\\operatorname{atan2}\\left(x, y\\right)"},
      {sigmoid(x), "sigmoid(x)", "\\sigma\\left(x\\right)"},
      {alpha * theta_s + x12, "alpha*theta_s + x12", "\\alpha \\theta_{s} + x_{12}"},
      {2 * (3 * x), "6*x", "6 x"},
      {x / 3, "x/3", "\\frac{x}{3}"},
      {Symbol(1) / 3 * x, "x/3", "\\frac{x}{3}"},
      {x * 0.1, "0.1*x", "0.1 x"},
      {x * 1e-7, "1e-07*x", "10^{-7} x"},
      {x + 5.0, "x + 5", "x + 5"},
      {0 + x, "x", "x"},
      {x - 0, "x", "x"},
      {1 * x, "x", "x"},
      {x * 0, "0", "0"},
      {x / 1, "x", "x"},
      {-(-x), "x", "x"},
      {exp(Symbol(0)), "1", "1"},
      {exp(Symbol(1)), "exp(1)", "e^{1}"},
      {select(x < y, a, b), "select(x < y, a, b)", "\\begin{cases} a & x < y \\\\ b & \\text{otherwise} \\end{cases}"},
      {relu(x), "relu(x)", "\\operatorname{relu} x"},
      {ad::apply(ad::Op::detach, x), "detach(x)", "\\operatorname{detach} x"},
      {ad::apply(ad::Op::detach, x + y) * y, "detach(x + y)*y", "\\operatorname{detach}\\left(x + y\\right) \\cdot y"},
  };
  for (const auto& [f, plain, latex] : all) {
    BOOST_TEST(f.plain() == plain);
    BOOST_TEST(f.latex() == latex);
  }
}

BOOST_AUTO_TEST_CASE(what_stands_side_by_side_in_latex_is_a_product_and_nothing_else) {
  const Symbol sigma("sigma"), rate("rate"), time("time"), ln_2(std::numbers::ln2);
  const struct {
    Symbol f;
    const char* latex;
  } all[] = {
      {(a * sin(x)) * y, "a \\sin x \\cdot y"},
      {(a * sin(x)) * (y * cos(b)), "a \\sin x \\cdot y \\cos b"},
      {(a * (b * sin(x))) * y, "a b \\sin x \\cdot y"},
      {(a * log(x)) * (b + c), "a \\ln x \\cdot \\left(b + c\\right)"},
      {(-sin(x)) * y, "-\\sin x \\cdot y"},
      {(a * exp(x)) * y, "a e^{x} y"},
      {(a * sin(x) + b) * y, "\\left(a \\sin x + b\\right) y"},
      {(a * sin(x)) / b * y, "\\frac{a \\sin x}{b} y"},
      {pow(a * sin(x), b) * y, "\\left(a \\sin x\\right)^{b} y"},
      {tanh(a * sin(x)) * y, "\\tanh\\left(a \\sin x\\right) \\cdot y"},
      {ln_2 * x, "\\ln 2 \\cdot x"},
      {-ln_2 * x, "-\\ln 2 \\cdot x"},
      {a * (-ln_2 * x), "-\\ln 2 \\cdot a x"},
      {2 * (Symbol(5) / 3 * x), "2 \\cdot \\frac{5}{3} x"},
      {a * exp2(x), "a \\cdot 2^{x}"},
      {sigma * (a + b), "\\sigma \\cdot \\left(a + b\\right)"},
      {sigmoid(a + b), "\\sigma\\left(a + b\\right)"},
      {sigma * a, "\\sigma a"},
      {rate * time, "\\mathrm{rate} \\cdot \\mathrm{time}"},
      {2 * rate * a, "2 \\mathrm{rate} a"},
      {2 * Symbol("3x"), "2 \\cdot \\text{3x}"},
      {Symbol("loss") * (x + y), "\\mathrm{loss} \\cdot \\left(x + y\\right)"},
      {-(Symbol("loss") * (x + y)), "-\\mathrm{loss} \\cdot \\left(x + y\\right)"},
      {x * Symbol("psi_1") * (x + y), "x \\psi_{1} \\cdot \\left(x + y\\right)"},
      {Symbol("x'") * y, "\\text{x'} \\cdot y"},
      {pow(Symbol("x-1"), 2), "\\left(\\text{x-1}\\right)^{2}"},
      {sin(Symbol("x-1")), "\\sin\\left(\\text{x-1}\\right)"},
      {x * 2.5e-7, "2.5 \\cdot 10^{-7} x"},
  };
  for (const auto& [f, latex] : all) BOOST_TEST(f.latex() == latex);
  BOOST_TEST((2 * (a * (b + c)) * a).latex_by_elements() == "2 a \\odot \\left(b + c\\right) \\odot a");
}

BOOST_AUTO_TEST_CASE(every_name_has_latex_that_compiles_and_shows_it) {
  const std::pair<const char*, const char*> all[] = {
      // a word with indices
      {"x12", "x_{12}"},
      {"h_t-1", "h_{t-1}"},
      {"h_{t-1}", "h_{t-1}"},
      {"W_rec[0,1]", "W_{\\mathrm{rec}, 0, 1}"},
      {"W_{rec}[0, 1]", "W_{\\mathrm{rec}, 0, 1}"},
      {"h_2[1]", "h_{2, 1}"},
      {"theta_alpha", "\\theta_{\\alpha}"},
      {"v1..v9", "v_{1..v9}"},
      {"rate", "\\mathrm{rate}"},
      // any other
      {"w[mu]x", "\\text{w[mu]x}"},
      {"x_{1}2", "\\text{x\\_\\{1\\}2}"},
      {"x_{1}[2]", "x_{1, 2}"},
      {"50%", "\\text{50\\%}"},
      {"a&b", "\\text{a\\&b}"},
      {"a#", "\\text{a\\#}"},
      {"$a", "\\text{\\$a}"},
      {"a\\b", "\\text{a\\textbackslash{}b}"},
      {"a~", "\\text{a\\textasciitilde{}}"},
      {"a^2", "\\text{a\\textasciicircum{}2}"},
      {"x'", "\\text{x'}"},
      {"{a}", "\\text{\\{a\\}}"},
      {"a_{b", "\\text{a\\_\\{b}"},
      {"a}", "\\text{a\\}}"},
      {"a<b|c>d", "\\text{a\\textless{}b\\textbar{}c\\textgreater{}d}"},
      {"_x", "\\text{\\_x}"},
      {"x_", "\\text{x\\_}"},
      {"x[]", "\\text{x[]}"},
      {"x[0", "\\text{x[0}"},
      {"2x", "\\text{2x}"},
      {"x-1", "\\text{x-1}"},
      {"my rate", "\\text{my rate}"},
      {"line\nend", "\\text{line end}"},
      {"\u00fc", "\\text{\u00fc}"},
  };
  for (const auto& [name, latex] : all) BOOST_TEST(Symbol(name).latex() == latex);
}

BOOST_AUTO_TEST_CASE(what_is_written_has_the_value_that_was_computed) {
  int compared = 0;
  for (unsigned seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed), again(seed);
    const Symbol f = random_formula(random, five_names, 4);
    const double want = random_formula(again, five_numbers, 4);
    BOOST_TEST(balanced(f.latex()), f.latex());
    if (!std::isfinite(want) || std::abs(want) > 1e3) continue;
    const std::string text = f.plain(100000);
    ++compared;
    const double allowed = 1e-7 * std::max(1., std::abs(want));  // differences of nearly equal numbers occur
    BOOST_TEST(std::abs(f.evaluate(at_five) - want) <= allowed, text);
    BOOST_TEST(std::abs(Calculator(text, at_five).value() - want) <= allowed, text);
    const std::string latex = f.latex(100000);
    BOOST_TEST(std::abs(LatexReader(latex, at_five).value() - want) <= allowed, latex);
  }
  BOOST_TEST(compared > 1000);
}

BOOST_AUTO_TEST_CASE(what_is_used_twice_is_written_once) {
  Symbol s = x, t = x;
  for (int i = 0; i < 40; ++i) s = s * s + s, t = t * t;
  BOOST_TEST(s.plain().size() < 2000U);
  BOOST_TEST(s.latex().size() < 4000U);
  BOOST_TEST(t.plain().size() < 2000U);
  BOOST_TEST(s.plain().starts_with("s1 = x^2 + x; s2 = s1^2 + s1; "));
  BOOST_TEST((x + (x * x + x) * (x * x + x)).plain() == "x + (x^2 + x)*(x^2 + x)");
  BOOST_TEST(t.evaluate<double>({{"x", 1.0}}) == 1);
  double v = 1e-13;
  for (int i = 0; i < 40; ++i) v = v * v + v;
  close(s.evaluate<double>({{"x", 1e-13}}), v, "s");
  Symbol names_itself = Symbol("s1");
  for (int i = 0; i < 40; ++i) names_itself = names_itself * names_itself + names_itself;
  BOOST_TEST(names_itself.plain().starts_with("s2 = s1^2 + s1; s3"));
  for (const char* name : {"s1", "s_1", "s[1]", "s_{1}"}) {  // LaTeX writes them all alike
    Symbol f(name);
    for (int i = 0; i < 40; ++i) f = f * f + f;
    BOOST_TEST(f.latex().starts_with("s_{2} = s_{1}^{2} + s_{1},\\quad s_{3}"), f.latex());
  }
}

BOOST_AUTO_TEST_CASE(a_formula_may_be_deeper_than_the_stack) {
  Symbol s = x;
  for (int i = 0; i < 200000; ++i) {
    s = sin(s) + i % 2;
    if (i == 3000) BOOST_TEST(s.plain().size() > 15000U);
  }
  BOOST_TEST(std::isfinite(s.evaluate<double>({{"x", 0.5}})));
}

BOOST_AUTO_TEST_CASE(a_program_cannot_branch_on_a_symbol) {
  BOOST_CHECK_EXCEPTION((void)(x < y ? 1 : 0), std::logic_error, [](const std::exception& e) {
    return std::string(e.what()).find("x < y depends on the value of a symbol") != std::string::npos;
  });
  BOOST_TEST((Symbol(1) < Symbol(2) ? 1 : 0) == 1);
  const Symbol f = select(x < y && !(Symbol(1) == 2), a, select(x == y || x > 3, b, c));
  BOOST_TEST(f.evaluate<double>({{"x", 1}, {"y", 2}, {"a", 10}, {"b", 20}, {"c", 30}}) == 10);
  BOOST_TEST(f.evaluate<double>({{"x", 2}, {"y", 2}, {"a", 10}, {"b", 20}, {"c", 30}}) == 20);
  BOOST_TEST(f.evaluate<double>({{"x", 3}, {"y", 2}, {"a", 10}, {"b", 20}, {"c", 30}}) == 30);
  BOOST_TEST(select(x > 0, x, 0).plain() == "select(x > 0, x, 0)");
  const ad::Dual<Symbol> moving(x, a);
  BOOST_TEST(select(moving > 0, moving * moving, 1.).tangent.plain() ==
             select(x > 0, (moving * moving).tangent, 0).plain());
  BOOST_TEST(ad::apply(ad::Op::detach, x).evaluate<double>({{"x", 2}}) == 2);
  BOOST_TEST(ad::derivative([](const auto& s) { return relu(s) * s; }, x).evaluate<double>({{"x", 2}}) == 4);
  BOOST_CHECK_EXCEPTION((x + a).evaluate<double>({{"x", 1}}), std::invalid_argument,
                        [](const std::exception& e) { return std::string(e.what()).ends_with("no value for a"); });
}

BOOST_AUTO_TEST_CASE(derivatives_read_like_a_textbook) {
  const auto square = [](const auto& s) { return (4 * s + 3) * (4 * s + 3); };
  BOOST_TEST(ad::derivative(square, x).plain() == "8*(4*x + 3)");
  BOOST_TEST(ad::gradient(square, x).plain() == "8*(4*x + 3)");
  BOOST_TEST(ad::derivative([](const auto& s) { return tanh(s); }, x).plain() == "1 - tanh(x)^2");
  BOOST_TEST(ad::derivative([](const auto& s) { return 1 / s; }, x).plain() == "-1/x^2");
  ad::VectorX<Symbol> v(2);
  v << x, y;
  const auto f = [](const auto& s) { return log(s(0)) + s(0) * s(1) - sin(s(1)); };
  BOOST_TEST(ad::gradient(f, v)(0).plain() == "y + 1/x");
  BOOST_TEST(ad::gradient(f, v)(1).plain() == "x - cos(y)");
  const auto H = ad::hessian(f, v);
  BOOST_TEST(H(0, 0).plain() == "-1/x^2");
  BOOST_TEST(H(0, 1).plain() == "1");
  BOOST_TEST(H(1, 1).plain() == "sin(y)");
}

BOOST_AUTO_TEST_CASE(matrices_of_formulas) {
  Eigen::Matrix<Symbol, 2, 2> M;
  M << a, b, c, x;
  const Eigen::Matrix<Symbol, 2, 1> v(x, y);
  BOOST_TEST((M * v)(0).plain() == "a*x + b*y");
  BOOST_TEST((M.transpose() * v * 2.0)(1).plain() == "2*(b*x + x*y)");
  BOOST_TEST(M.determinant().plain() == "a*x - c*b");
  const auto at = Point{{"a", 2}, {"b", 3}, {"c", 5}, {"x", 11}, {"y", 7}};
  close(M.inverse()(0, 1).evaluate(at), -3. / 7, "inverse");
}
