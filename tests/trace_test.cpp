// Reading a tape: rows say what was computed and what each adjoint hands out; filters, layouts, the sweep step by step.
#include <boost/test/unit_test.hpp>
#include <random>

#include "ad/custom.h"
#include "ad/matrix.h"
#include "ad/trace/json.h"
#include "ad/trace/latex.h"
#include "ad/trace/markdown.h"
#include "ad/trace/terminal.h"
#include "rnn/bptt.h"
#include "tests/rows.h"
#ifdef UNROLL_HAS_JSON
#include <nlohmann/json.hpp>
#endif

using ad::Id, ad::Tape, ad::Var, ad::View;

namespace {

struct Example {
  Tape tape;
  Var x1, x2, y;
  explicit Example(bool fused = false) : x1(tape.input(2.0, "x1")), x2(tape.input(5.0, "x2")) {
    if (fused) {
      const Var v3 = log(x1), v4 = sin(x2);
      const Var v5 = v3 + x1 * x2;
      y = v5 - x1 * v4;
    } else {
      const Var v3 = log(x1);
      const Var v4 = x1 * x2;
      const Var v5 = v3 + v4;
      const Var v6 = sin(x2);
      y = v5 - v6;
    }
    tape.forward(x1);
    tape.reverse(y);
  }
};

View numbered() {
  View v;
  v.numbers = true;
  return v;
}

/// Some operations of the table on random operands, and the last of them.
Var random_program(Tape& tape, unsigned seed, int operations) {
  std::mt19937 random(seed);
  std::vector<Var> v;
  for (int i = 0; i < 4; ++i) v.push_back(tape.input(0.3 + 0.2 * i, i % 2 == 0 ? "" : "x" + std::to_string(i)));
  const auto pick = [&] { return v[v.size() - 1 - random() % std::min<std::size_t>(v.size(), 6)]; };
  for (int i = 0; i < operations; ++i) {
    const Var s = pick(), t = pick(), u = pick();
    switch (random() % 12) {
      case 0:
        v.push_back(tanh(s));
        break;
      case 1:
        v.push_back(sin(s * t));
        break;
      case 2:
        v.push_back(s + t * u);
        break;
      case 3:
        v.push_back(s - t * u);
        break;
      case 4:
        v.push_back(s / (2 + t * t));
        break;
      case 5:
        v.push_back(exp(-s * s));
        break;
      case 6:
        v.push_back(0.5 * s + t * -1.5);
        break;
      case 7:
        v.push_back(3.0 / (4.0 + s * s));
        break;
      case 8:
        v.push_back(pow(1.5 + sin(s), 2.5) - max(t, 0.25));
        break;
      case 9:
        v.push_back(atan2(s, 2.0) + hypot(t, 1.0));
        break;
      case 10:
        v.push_back(-s - 0.75);
        break;
      default:
        v.push_back(detach(s) * t);
        break;
    }
    if (i % 7 == 3) tape.name(v.back(), "w[" + std::to_string(i) + "]");
  }
  Var sum = 0;
  for (const Var& s : v) sum += s;
  return sum;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = text.find('\n', i);
    all.push_back(text.substr(i, end - i));
    i = end + 1;
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_trace_of_the_textbook_example) {
  const Example e;
  const std::string want = R"(f = ln(x1) + x1*x2 - sin(x2)      tangent seed dx1 = 1
  node  operation   value v tangent v | adjoint ^  hands out ^
  v1    x1         2.000000  1.000000 |  5.500000
  v2    x2         5.000000  0.000000 |  1.716338
  v3    ln(v1)     0.693147  0.500000 |  1.000000  v1 += 1 * 1/v1     (+0.500000)
  v4    v1*v2     10.000000  5.000000 |  1.000000  v1 += 1 * v2       (+5.000000)
                                      |            v2 += 1 * v1       (+2.000000)
  v5    v3 + v4   10.693147  5.500000 |  1.000000  v3 += 1            (+1.000000)
                                      |            v4 += 1            (+1.000000)
  v6    sin(v2)   -0.958924  0.000000 | -1.000000  v2 += -1 * cos(v2) (-0.283662)
  v7    v5 - v6   11.652071  5.500000 |  1.000000  v5 += 1            (+1.000000)
                                      |            v6 -= 1            (-1.000000)
  pairing, sum of adjoint * tangent = 5.500000 at every cut  ok
)";
  ad::Look look;
  look.width = 100;
  BOOST_TEST(ad::terminal(ad::trace(e.tape, e.y, numbered()), look) == want);
}

BOOST_AUTO_TEST_CASE(a_fused_entry_is_two_rows) {
  const Example e(true);
  BOOST_TEST(e.tape.length() == 6U);
  const auto t = ad::trace(e.tape, e.y, numbered());
  BOOST_TEST_REQUIRE(t.rows.size() == 8U);
  const auto &p = t.rows[4], &sum = t.rows[5], &q = t.rows[6], &difference = t.rows[7];
  BOOST_TEST(p.node() == "");
  BOOST_TEST(p.operation == "v1*v2");
  BOOST_TEST(p.value == 10);
  BOOST_TEST(p.tangent == 5);
  BOOST_TEST(sum.node() == "v5");
  BOOST_TEST(sum.operation == "v3 + v1*v2");
  BOOST_TEST(sum.hands_out.size() == 1U);
  BOOST_TEST(q.operation == "v1*v4");
  BOOST_TEST(q.value == 2 * std::sin(5.0));
  BOOST_TEST(q.adjoint == -1);  // it is subtracted
  BOOST_TEST(q.tangent == std::sin(5.0));
  BOOST_TEST(difference.operation == "v5 - v1*v4");
  BOOST_TEST(q.hands_out[0].amount == -std::sin(5.0));
  BOOST_TEST(difference.hands_out[0].amount == 1);
}

BOOST_AUTO_TEST_CASE(constants_stand_where_they_are_used) {
  ad::Tape tape;
  const ad::Var x = tape.input(0.5, "x"), two = 2;
  ad::Var y = 0;
  y += exp(x);
  y += two * x;
  std::string read;
  for (const auto& row : ad::trace(tape, y / two).rows) read += row.operation + '\n';
  BOOST_TEST(read == "x\nexp(x)\n0 + v2\n2*x\nv3 + 2*x\nv4/2\n");
}

BOOST_AUTO_TEST_CASE(what_is_handed_out_is_what_the_adjoints_are_made_of) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    Tape tape;
    const Var y = random_program(tape, seed, 25);
    tape.reverse(y);
    for (const bool numbers : {true, false}) {
      View view;
      view.numbers = numbers;
      const auto t = ad::trace(tape, y, view);
      std::map<std::string, double> at;
      for (Id i = 1; i <= tape.length(); ++i) at[fmt::format("v{}", i)] = tape.value_of(i);
      for (const auto& r : t.rows)
        if (!r.label.empty()) at[r.label] = r.value;
      std::vector<double> received(tape.length() + 1, 0.);
      received[y.id()] = 1;
      for (const auto& r : t.rows) {
        if (r.op != ad::Op::input) BOOST_TEST(std::abs(r.formula.evaluate(at) - r.value) <= 1e-13, r.operation);
        for (const auto& h : r.hands_out) {
          received[h.to] += h.amount;
          BOOST_TEST(h.adjoint == r.adjoint);
          BOOST_TEST(
              std::abs(h.partial.evaluate(at) * r.adjoint - h.amount) <= 1e-13 * std::max(1., std::abs(h.amount)),
              r.operation << ": " << ad::hand_out_text(h) << " is not " << h.amount);
        }
      }
      for (Id i = 1; i <= tape.length(); ++i)
        BOOST_TEST(std::abs(received[i] - tape.adjoint(i)) <= 1e-13 * std::max(1., std::abs(received[i])));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_sweep_step_by_step_ends_in_the_adjoints) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Tape tape;
    const Var y = random_program(tape, seed, 25);
    tape.reverse(y);
    const auto steps = ad::adjoint_steps(tape, y);
    for (Id i = 1; i <= y.id(); ++i) {
      BOOST_TEST(std::abs(steps.back().so_far[i] - tape.adjoint(i)) <= 1e-13 * std::max(1., std::abs(tape.adjoint(i))));
      for (const std::size_t k : {std::size_t{0}, steps.size() / 2}) {
        double sum = steps[k].so_far[i];
        for (const auto& [from, amount] : ad::still_to_come(steps, k, i)) sum += amount;
        BOOST_TEST(std::abs(sum - tape.adjoint(i)) <= 1e-13 * std::max(1., std::abs(sum)));
      }
    }
  }
  const Example e;
  const auto steps = ad::adjoint_steps(e.tape, e.y, numbered());
  BOOST_TEST(steps[1].label == "v6");
  BOOST_TEST(steps[1].so_far[2] == -std::cos(5.0));
  BOOST_TEST(ad::still_to_come(steps, 1, 2).at(0).first == "v4");
  BOOST_TEST(lines(ad::terminal(steps, {1, 2})).at(2) == "     v6         .  -0.283662");
}

BOOST_AUTO_TEST_CASE(rows_can_be_chosen_by_scope_and_number_and_inputs_folded) {
  Tape tape;
  const auto W = tape.input(Eigen::MatrixXd::Constant(2, 3, 0.5).eval(), "W");
  const auto x = tape.input(Eigen::VectorXd::Ones(3).eval(), "x");
  Var y = 0;
  for (int t = 1; t <= 3; ++t) {
    const auto outer = tape.scope("pass");
    const auto scope = tape.scope("t=" + std::to_string(t));
    const ad::VectorX<Var> u = W * x;
    y += u.sum();
  }
  View view;
  view.scope = "t=2";
  const auto second = ad::trace(tape, view);
  const auto& s = tape.scopes()[3];
  BOOST_TEST(second.rows.front().id == s.begin);
  BOOST_TEST(second.rows.back().id == s.end - 1);
  for (const auto& r : second.rows) BOOST_TEST(r.scope == "pass/t=2");
  view.scope = "t=9";
  BOOST_TEST(ad::trace(tape, view).rows.empty());
  view = {};
  view.fold_inputs = true;
  view.last = 10;
  const auto folded = ad::trace(tape, view);
  BOOST_TEST(folded.rows.at(0).node() == "v1..v6");
  BOOST_TEST(folded.rows.at(0).operation == "W[0,0]..[1,2]");
  BOOST_TEST(folded.rows.at(1).operation == "x[0]..[2]");
  BOOST_TEST(folded.rows.back().id == 10U);
  view.first = 8;
  BOOST_TEST(ad::trace(tape, view).rows.front().node() == "v8..v9");
  BOOST_TEST(ad::trace(tape, view).rows.front().operation == "x[1]..[2]");
  view.first = 3;
  const auto cut = ad::trace(tape, view);
  BOOST_TEST(cut.rows.front().operation == "W[0,1]..[1,2]");  // column by column
  BOOST_TEST(ad::latex(cut).find("$v_{3} \\ldots v_{6}$ & $W_{0, 1} \\ldots W_{1, 2}$ &") != std::string::npos);
  view.last = 4;
  BOOST_TEST(ad::trace(tape, view).rows.front().operation == "W[0,1]..[1,1]");
  BOOST_TEST(ad::trace(tape).rows.at(9).operation == "W[0,0]*x[0]");
}

BOOST_AUTO_TEST_CASE(lines_of_the_program_stand_beside_the_rows) {
  Tape tape;
  tape.remember_lines();
  const Var x = tape.input(2.0, "x");
  const int first = __LINE__ + 1;
  const Var y = sin(x);
  const Var z = exp(y);
  const auto t = ad::trace(tape, z);
  BOOST_TEST(t.rows[1].where.line == static_cast<unsigned>(first));
  BOOST_TEST(t.rows[2].where.line == static_cast<unsigned>(first + 1));
  const std::string text = ad::terminal(t);
  BOOST_TEST(text.find("trace_test.cpp\n") != std::string::npos);
  BOOST_TEST(text.find(fmt::format(" :{}\n", first)) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_edit_is_named_where_the_sweeps_are_paired) {
  Tape tape;
  const Var x = tape.input(2.0, "x");
  const Var y = detach(x) * x;
  tape.forward(x);
  tape.reverse(y);
  const std::string text = ad::terminal(ad::trace(tape, y));
  BOOST_TEST(text.find("= 2.000000 at every cut  ok") != std::string::npos, text);
  BOOST_TEST(text.find("given, not derived, at v2") != std::string::npos, text);
  BOOST_TEST(text.starts_with("f = detach(x)*x "), text);
  const std::string tex = ad::latex(ad::trace(tape, y));
  BOOST_TEST(tex.find("$v_{2}$ & $\\operatorname{detach} x$ & ") != std::string::npos, tex);
  Tape other;
  const Var z = other.input(2.0, "z_1");
  const auto twice = ad::custom([](const auto& s) { return 2 * s; }, [](const auto&) { return 2.0; });
  const std::string given = ad::latex(ad::trace(other, twice(z)));
  BOOST_TEST(given.find("$\\operatorname{custom} z_{1}$") != std::string::npos, given);
}

BOOST_AUTO_TEST_CASE(eighty_columns_are_enough) {
  rnn::Network<double> net;
  net.parameters.W_rec = Eigen::MatrixXd::Random(3, 3);
  net.parameters.W_in = Eigen::MatrixXd::Random(3, 2);
  net.parameters.b_rec = Eigen::VectorXd::Random(3);
  net.parameters.W_out = Eigen::MatrixXd::Random(1, 3);
  net.parameters.b_out = Eigen::VectorXd::Random(1);
  net.h_0 = Eigen::VectorXd::Zero(3);
  net.alpha = 0.4;
  const rnn::Sequence<double> sequence{Eigen::MatrixXd::Random(2, 4), Eigen::MatrixXd::Random(1, 4)};
  Tape tape;
  rnn::Recording how;
  how.names = true;
  const auto unrolled = rnn::unroll(tape, net, sequence, how);
  tape.forward(unrolled.theta.W_rec(0, 0));
  tape.reverse(unrolled.loss);
  View view;
  ad::Look look;
  for (const bool fold : {false, true})
    for (const std::size_t most : {std::size_t{0}, std::size_t{20}}) {
      view.fold_inputs = fold;
      look.most = most;
      const auto all = lines(ad::terminal(ad::trace(tape, unrolled.loss, view), look));
      for (const std::string& line : all) BOOST_TEST(line.size() <= 80U, line);
      if (most != 0) BOOST_TEST(all.size() < 80U);
    }
  const auto t = ad::trace(tape, unrolled.loss);
  BOOST_TEST(t.title.starts_with("L = "));
  BOOST_TEST(
      std::any_of(t.rows.begin(), t.rows.end(), [](const auto& r) { return r.operation == "W_rec[0,1]*h_2[1]"; }));
}

BOOST_AUTO_TEST_CASE(a_matrix_entry_is_a_row_and_its_elements) {
  Tape tape;
  const ad::VarMatrix W = ad::input(tape, Eigen::MatrixXd::Random(3, 2), "W");
  const ad::VarMatrix x = ad::input(tape, Eigen::VectorXd::Random(2), "x");
  const ad::VarMatrix u = W * x;
  const ad::VarMatrix h = tanh(u);
  const Var y = h.squaredNorm() + h(1) * x(0);
  tape.forward(W(0, 0));
  tape.reverse(y);
  const auto t = ad::trace(tape, y);
  const auto row = [&](const std::string& operation) -> const ad::Row<double>& {
    for (const auto& r : t.rows)
      if (r.operation == operation) return r;
    throw std::runtime_error("no row " + operation);
  };
  BOOST_TEST(row("W = input  3 x 2").folded == 6U);
  BOOST_TEST(row("W*x  3 x 1").hands_out.size() == 2U);
  const Eigen::VectorXd g = ad::adjoint(tape, u);
  BOOST_TEST(std::abs(row("W*x  3 x 1").hands_out[0].amount - (g * x.values().transpose()).norm()) < 1e-14);
  BOOST_TEST(std::abs(row("W*x  3 x 1").hands_out[1].amount - (W.values().transpose() * g).norm()) < 1e-14);
  BOOST_TEST(row("W*x  3 x 1").hands_out[1].whole == "W^T*g");
  BOOST_TEST(row("x[1]").adjoint == tape.adjoint(x(1)));
  const std::string text = ad::terminal(t);
  BOOST_TEST(text.find("at inputs and result  ok") != std::string::npos);
  for (const std::string& line : lines(text)) BOOST_TEST(line.size() <= 80U, line);
  const auto steps = ad::adjoint_steps(tape, y);
  for (Id i = 1; i <= y.id(); ++i) BOOST_TEST(std::abs(steps.back().so_far[i] - tape.adjoint(i)) < 1e-14);
}

BOOST_AUTO_TEST_CASE(rows_of_matrices_say_in_latex_what_they_say_in_the_terminal) {
  Tape tape;
  const ad::VarMatrix W = ad::input(tape, Eigen::MatrixXd::Random(3, 3), "W_rec");
  const ad::VarMatrix x = ad::input(tape, Eigen::VectorXd::Random(3), "x");
  const ad::VarMatrix u = W * x - W.transpose() * x;
  const ad::VarMatrix h = tanh(u);
  for (int i = 0; i < 3; ++i) tape.name(h(i), fmt::format("h[{}]", i));
  const ad::VarMatrix p = h.cwiseProduct(x);
  const Var y = p.squaredNorm();
  tape.reverse(y);
  View view;
  view.elements = 2;
  const auto t = ad::trace(tape, y, view);
  const std::string tex = ad::latex(t), text = ad::terminal(t), run = fmt::format("v{}..v{}", u(0).id(), u(2).id()),
                    in_latex = fmt::format("v_{{{}..v{}}}", u(0).id(), u(2).id());
  const std::pair<std::string, std::string> all[] = {
      {"W_rec = input  3 x 3", "$W_{\\mathrm{rec}} = \\text{input} \\quad 3 \\times 3$"},
      {"W_rec[0,0]", "& $W_{\\mathrm{rec}, 0, 0}$ &"},
      {"(7 more)", "$\\text{(7 more)}$"},
      {"W_rec*x - W_rec^T*x  3 x 1", "$W_{\\mathrm{rec}} x - W_{\\mathrm{rec}}^{T} x \\quad 3 \\times 1$"},
      {"W_rec += g*x^T - x*g^T", "$\\bar{W_{\\mathrm{rec}}} \\mathrel{+}= g x^{T} - x g^{T}$"},
      {"h = tanh(" + run + ")  3 x 1", "$h = \\tanh " + in_latex + " \\quad 3 \\times 1$"},
      {run + " += g*(1 - h^2)", "$\\bar{" + in_latex + "} \\mathrel{+}= g \\odot \\left(1 - h^{\\odot 2}\\right)$"},
      {"h * x  3 x 1", "$h \\odot x \\quad 3 \\times 1$"},
      {"h += g*x", "$\\bar{h} \\mathrel{+}= g \\odot x$"},
  };
  for (const auto& [plain, latex] : all) {
    BOOST_TEST(text.find(plain) != std::string::npos, plain << " in\n" << text);
    BOOST_TEST(tex.find(latex) != std::string::npos, latex << " in\n" << tex);
  }
}

BOOST_AUTO_TEST_CASE(a_matrix_that_an_operation_uses_twice_is_handed_both_parts) {
  Tape tape;
  const ad::VarMatrix W = ad::input(tape, Eigen::MatrixXd(Eigen::MatrixXd::Random(3, 3)), "W");
  const ad::VarMatrix x = ad::input(tape, Eigen::VectorXd(Eigen::VectorXd::Random(3)), "x");
  const ad::VarMatrix u = W * x - W.transpose() * x;
  const ad::VarMatrix p = u.cwiseProduct(u);
  tape.reverse(p.sum());
  const auto t = ad::trace(tape);
  std::map<std::string, double> norms;
  for (const auto& r : t.rows)
    for (const auto& h : r.hands_out) norms[ad::hand_out_text(h)] = h.amount;
  const auto norm = [&](const std::string& text) { return norms.contains(text) ? norms[text] : -1; };
  const Eigen::VectorXd g = ad::adjoint(tape, u);
  const Eigen::MatrixXd to_W = g * x.values().transpose() - x.values() * g.transpose();
  BOOST_TEST(std::abs(norm("W += g*x^T - x*g^T") - to_W.norm()) < 1e-14, ad::terminal(t));
  BOOST_TEST(std::abs(norm("x += W^T*g - W*g") - ad::adjoint(tape, x).norm()) < 1e-14, ad::terminal(t));
  const std::string run = fmt::format("v{}..v{}", u(0).id(), u(2).id());
  BOOST_TEST(std::abs(norm(run + " += 2*g*" + run) - g.norm()) < 1e-14, ad::terminal(t));
}

BOOST_AUTO_TEST_CASE(a_matrix_used_at_each_step_gets_all_its_parts_step_by_step_too) {
  Tape tape;
  const ad::VarMatrix W = ad::input(tape, Eigen::Matrix3d(Eigen::Matrix3d::Random()), "W");
  ad::VarMatrix h = ad::input(tape, Eigen::Vector3d(0.1, -0.2, 0.3), "h");
  for (int t = 0; t < 5; ++t) h = tanh(ad::VarMatrix(W * h));
  const Var y = h.squaredNorm();
  tape.reverse(y);
  const auto steps = ad::adjoint_steps(tape, y);
  for (Id i = 1; i <= y.id(); ++i)
    BOOST_TEST(std::abs(steps.back().so_far[i] - tape.adjoint(i)) <= 1e-15);  // of numbers below 1
}

BOOST_AUTO_TEST_CASE(a_tape_of_formulas_has_formulas_as_adjoints) {
  ad::TapeOf<ad::Symbol> tape;
  const auto a = tape.input(ad::Symbol("a"), "x1"), b = tape.input(ad::Symbol("b"), "x2");
  const ad::Variable<ad::Symbol> y = a * b + sin(a);
  tape.forward(a);
  tape.reverse(y);
  const auto t = ad::trace(tape, y);
  const double at = t.rows[0].adjoint.evaluate<double>({{"a", 0.3}, {"b", 0.7}});
  BOOST_TEST(std::abs(at - (0.7 + std::cos(0.3))) < 1e-15);
  BOOST_TEST(ad::terminal(t).find("sin(a)") != std::string::npos);
  BOOST_TEST(ad::markdown(t).find("| `sin(a) + a*b` |") != std::string::npos, ad::markdown(t));
  const ad::Symbol c("c");
  const auto product = ad::trace(tape, ad::Variable<ad::Symbol>((c + 1) * b));
  BOOST_TEST(product.rows.back().operation == "(c + 1)*x2");
  const auto quotient = ad::trace(tape, ad::Variable<ad::Symbol>(b / ((c + 1) * (c - 1))));
  BOOST_TEST(quotient.rows.back().operation == "x2/((c + 1)*(c - 1))");
  BOOST_TEST(product.rows.back().formula.latex() == "\\left(c + 1\\right) x_{2}");
}

BOOST_AUTO_TEST_CASE(a_product_that_has_not_been_recorded_is_recorded_first) {
  Tape tape;
  const Var x = tape.input(2, "x"), z = tape.input(3, "z");
  const auto y = x * z;  // no entry as yet: it could still become part of a sum
  tape.forward(x);
  BOOST_TEST(ad::trace(tape, y).rows.back().operation == "x*z");
  tape.reverse(y);
  tape.forward(x);
  BOOST_TEST(ad::trace(tape, y).closing == "pairing, sum of adjoint * tangent = 3.000000 at every cut  ok");
  BOOST_TEST(ad::pairing(tape, y).ok);
  BOOST_TEST(ad::adjoint_steps(tape, y).size() == 1u);
  BOOST_TEST(tape.length() == 3u);  // recorded once
}

BOOST_AUTO_TEST_CASE(the_closing_line_does_not_judge_what_it_cannot) {
  const auto closing = [](const Tape& tape, const Var& y) { return ad::trace(tape, y).closing; };
  for (const bool matrices : {false, true}) {
    Tape tape;
    const Var x = tape.input(0.5), m = x * x, y = m + x;
    Var z = exp(y) / std::exp(y.value());  // dz/dy = 1
    if (matrices) z = ad::VarMatrix(ad::whole(ad::VectorX<Var>::Constant(1, z))).sum();
    tape.reverse(z);
    tape.forward(m);
    BOOST_TEST(closing(tape, z) == "pairing cannot judge: the tangent sweep moved v2, which is no input");
    tape.forward(x);
    BOOST_TEST(closing(tape, z).starts_with("pairing, sum of adjoint * tangent = 2.000000 at "));
    BOOST_TEST(closing(tape, y) == "pairing cannot judge: the adjoint sweep did not begin at v3 alone");
    const Var v = log(x - 1) * x + z;
    tape.reverse(v);
    tape.forward(x);
    BOOST_TEST(closing(tape, v).starts_with("pairing cannot judge"), closing(tape, v));
  }
}

BOOST_AUTO_TEST_CASE(the_same_rows_as_markdown_latex_and_json) {
  const Example e(true);
  const auto t = ad::trace(e.tape, e.y);
  const auto md = lines(ad::markdown(t));
  BOOST_TEST(md.at(2) == "| node | operation | value | tangent | adjoint | hands out |");
  BOOST_TEST(md.at(6) == "| v3 | `ln(x1)` | 0.693147 | 0.500000 | 1.000000 | `x1 += 1 * 1/x1` (+0.500000) |");
  const std::string tex = ad::latex(t);
  BOOST_TEST(tex.find("$v_{5}$ & $v_{3} + x_{1} x_{2}$ & ") != std::string::npos, tex);
  BOOST_TEST(tex.find("$\\bar{x_{1}} \\mathrel{+}= \\frac{g}{x_{1}}$") != std::string::npos, tex);
  const std::string json = ad::json(t);
  BOOST_TEST(json.find("\"operation\": \"v3 + x1*x2\"") != std::string::npos, json);
#ifdef UNROLL_HAS_JSON
  const auto parsed = nlohmann::json::parse(json);
  BOOST_TEST(parsed["rows"].size() == t.rows.size());
  for (std::size_t i = 0; i < t.rows.size(); ++i) {
    BOOST_TEST(parsed["rows"][i]["value"].get<double>() == t.rows[i].value);
    BOOST_TEST(parsed["rows"][i]["adjoint"].get<double>() == t.rows[i].adjoint);
    BOOST_TEST(parsed["rows"][i]["hands_out"].size() == t.rows[i].hands_out.size());
  }
  Tape tape;
  const Var x = tape.input(0.0, "a \"name\"\n");
  const Var infinite = log(x);
  tape.reverse(infinite);
  BOOST_TEST(nlohmann::json::parse(ad::json(ad::trace(tape, infinite)))["rows"][1]["value"] == "-inf");
#endif
}

BOOST_AUTO_TEST_CASE(names_and_norms_do_not_break_a_markdown_table) {
  Tape tape;
  const Var a = tape.input(2.0, "p(x|y)"), b = tape.input(3.0, "`b");
  const Var y = a * b;
  tape.reverse(y);
  const std::string text = ad::markdown(ad::trace(tape, y));
  const auto md = lines(text);
  BOOST_TEST(md.at(0) == "**``f = p(x|y)*`b``**");
  BOOST_TEST(md.at(4).starts_with("| v1 | `p(x\\|y)` | 2.0"), text);
  BOOST_TEST(md.at(5).starts_with("| v2 | `` `b `` | 3.0"), text);
  BOOST_TEST(md.at(6).starts_with("| v3 | ``p(x\\|y)*`b`` | 6.0"), text);
  Tape other;
  const ad::VarMatrix v = ad::input(other, Eigen::Vector2d(3, 4), "v");
  const ad::VarMatrix w = tanh(v);
  other.reverse(w.sum());
  for (const std::string& line : lines(ad::markdown(ad::trace(other)))) {
    std::size_t bars = 0;
    for (std::size_t i = 0; i < line.size(); ++i) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    BOOST_TEST(bars == 6U, line);
  }
}

BOOST_AUTO_TEST_CASE(numbers_in_latex_are_no_sums) {
  {
    ad::TapeOf<ad::Dual<>> tape;
    const auto x = tape.input(ad::Dual<>(2, 1), "x");
    const ad::Variable<ad::Dual<>> y = x * -2.5e-9;
    BOOST_TEST(ad::latex(ad::trace(tape, y)).find("$-2.5 \\cdot 10^{-9} x$") != std::string::npos,
               ad::latex(ad::trace(tape, y)));
  }
  Tape tape;
  const Var x = tape.input(2e-8, "x");
  const Var y = log(x * 0.0);
  const std::string tex = ad::latex(ad::trace(tape, y));
  BOOST_TEST(tex.find("& $x$ & $2.000 \\cdot 10^{-8}$ \\\\") != std::string::npos, tex);
  BOOST_TEST(tex.find("& $-\\infty$ \\\\") != std::string::npos, tex);
}
