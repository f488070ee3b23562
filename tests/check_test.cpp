// The judges are judged: their error bars hold the truth, and what is wrong by little is found, named and measured.
#include "ad/check.h"

#include <Eigen/Dense>
#include <boost/test/unit_test.hpp>
#include <random>

#include "ad/custom.h"
#include "ad/eigen.h"

using ad::Tape;
using ad::Var;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr double inf = std::numeric_limits<double>::infinity();

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A tape whose sweeps can be tampered with, as a wrong rule would.
struct Tampered {
  const Tape& tape;
  ad::Id where = 0;
  double adjoint_factor = 1, tangent_factor = 1;

  bool has_adjoints() const { return tape.has_adjoints(); }
  bool has_tangents() const { return tape.has_tangents(); }
  ad::Id check(const Var& x, const char* what) const { return tape.check(x, what); }
  ad::Entry<double> entry_of(ad::Id i) const { return tape.entry_of(i); }
  double value_of(ad::Id i) const { return tape.value_of(i); }
  std::string name_of(ad::Id i) const { return tape.name_of(i); }
  double adjoint(ad::Id i) const { return tape.adjoint(i) * (i == where ? adjoint_factor : 1); }
  double tangent(ad::Id i) const { return tape.tangent(i) * (i == where ? tangent_factor : 1); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(check)

// --- differences ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_error_bar_of_differences_holds_the_truth_and_is_narrow) {
  struct Case {
    const char* name;
    double (*f)(double);
    double (*df)(double);
    double from, to, widest;  // error bar, over the largest derivative
  };
  const auto steep = [](double x) { return 1e4 / std::pow(std::cosh(1e4 * x), 2); };
  const Case cases[] = {
      {"exp", [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }, -5, 5, 1e-11},
      {"sin", [](double x) { return std::sin(x); }, [](double x) { return std::cos(x); }, -10, 10, 1e-11},
      {"log", [](double x) { return std::log(x); }, [](double x) { return 1 / x; }, 0.01, 4, 1e-10},
      {"log near 0", [](double x) { return std::log(x); }, [](double x) { return 1 / x; }, 1e-7, 1e-6, 1e-10},
      {"log nearer to 0", [](double x) { return std::log(x); }, [](double x) { return 1 / x; }, 1e-12, 1e-8, 1e-10},
      {"1/x near 0", [](double x) { return 1 / x; }, [](double x) { return -1 / (x * x); }, -1e-8, -1e-12, 1e-10},
      {"exp near 0", [](double x) { return std::exp(x); }, [](double x) { return std::exp(x); }, -1e-6, 1e-6, 1e-11},
      {"peak near 0", [](double x) { return std::exp(-std::pow(x / 1e-9 - 1, 2)); },
       [](double x) { return 2e9 * (1 - x / 1e-9) * std::exp(-std::pow(x / 1e-9 - 1, 2)); }, 1e-12, 1e-8, 1e-10},
      // constant there by rounding alone
      {"lost near 0", [](double x) { return std::log(1 + x); }, [](double) { return 1.; }, 1e-18, 1e-17, 1e-11},
      {"lost in part", [](double x) { return std::pow(1 + x, 2) - 1; }, [](double x) { return 2 + 2 * x; }, 1e-11, 1e-9,
       1e-11},
      {"rounded", [](double x) { return std::round((x + 1) * 1e12) / 1e12; }, [](double) { return 1.; }, 1e-9, 1e-7,
       1e-2},
      {"sqrt", [](double x) { return std::sqrt(x); }, [](double x) { return 0.5 / std::sqrt(x); }, 0.001, 1, 1e-11},
      {"1/x", [](double x) { return 1 / x; }, [](double x) { return -1 / (x * x); }, 0.01, 1, 1e-11},
      {"steep", [](double x) { return std::tanh(1e4 * x); }, steep, -1e-4, 1e-4, 1e-11},
      {"fast", [](double x) { return std::sin(300 * x); }, [](double x) { return 300 * std::cos(300 * x); }, -1, 1,
       1e-9},
      {"power", [](double x) { return std::pow(x, 30); }, [](double x) { return 30 * std::pow(x, 29); }, 0, 2, 1e-11},
      {"large x", [](double x) { return x * x; }, [](double x) { return 2 * x; }, 1e8, 1e9, 1e-12},
      {"constant", [](double) { return 3.; }, [](double) { return 0.; }, -1, 1, 1e-12},
      {"step at 0", [](double x) { return x < 0 ? 0. : 1.; }, [](double) { return 0.; }, 1e-4, 1, 1e-9},
      {"|x|^1.5", [](double x) { return std::pow(std::abs(x), 1.5); },
       [](double x) { return std::copysign(1.5 * std::sqrt(std::abs(x)), x); }, -0.1, 0.1, 1e-10},
      // 10 and 7 of the 16 digits are lost inside f: its value does not show it
      {"loses ten", [](double x) { return (1e6 + std::sin(x)) - 1e6; }, [](double x) { return std::cos(x); }, 0, 1,
       1e-5},
      {"loses seven", [](double x) { return (1e3 + std::sin(x)) - 1e3; }, [](double x) { return std::cos(x); }, -4, 4,
       1e-8},
      {"noise 1e-9", [](double x) { return std::sin(x) + 1e-9 * std::fmod(1e9 * x, 1); },
       [](double x) { return std::cos(x); }, 0, 1, 1e-4},
  };
  std::mt19937 random(1);
  for (const Case& c : cases) {
    double excess = 0, widest = 0, scale = 0;
    for (int k = 0; k < 500; ++k) {
      const double x = std::uniform_real_distribution(c.from, c.to)(random);
      const auto d = ad::differences(c.f, x);
      excess = std::max(excess, std::abs(d.value - c.df(x)) - d.error);
      widest = std::max(widest, d.error);
      scale = std::max(scale, std::abs(c.df(x)));
    }
    BOOST_TEST(excess <= 0, c.name << ": an error is larger than its bar by " << excess);
    BOOST_TEST(widest <= c.widest * (scale > 0 ? scale : 1), c.name << ": a bar is " << widest / scale << " wide");
  }
}

BOOST_AUTO_TEST_CASE(differences_do_not_pretend_to_a_derivative_that_is_not_there) {
  BOOST_TEST(ad::differences([](double x) { return std::sqrt(x); }, 0.).error == inf);        // not defined below 0
  BOOST_TEST(ad::differences([](double x) { return std::cbrt(x); }, 0.).error > 1e3);         // a vertical tangent
  BOOST_TEST(ad::differences([](double x) { return x < 0.3 ? 0. : 1.; }, 0.3).error > 1e-1);  // a step
  BOOST_TEST(ad::differences([](double) { return std::nan(""); }, 1.).error == inf);
}

BOOST_AUTO_TEST_CASE(differences_along_a_direction_of_vectors_matrices_and_numbers) {
  std::srand(2);
  const MatrixXd a = MatrixXd::Random(3, 3), v = MatrixXd::Random(3, 3);
  const auto square = ad::differences([](const MatrixXd& m) { return MatrixXd(m * m); }, a, v);
  BOOST_TEST(bool(ad::compare("A V + V A", MatrixXd(a * v + v * a), square)));
  BOOST_TEST(square.error.maxCoeff() < 1e-12);
  const auto norm = ad::differences([](const MatrixXd& m) { return m.norm(); }, a, v);  // a number as result
  BOOST_TEST(std::abs(norm.value - a.cwiseProduct(v).sum() / a.norm()) <= norm.error);
  const auto curve = ad::differences([](double t) { return Eigen::Vector2d(std::cos(t), std::sin(t)); }, 0.5);
  BOOST_TEST(bool(ad::compare("circle", Eigen::Vector2d(-std::sin(0.5), std::cos(0.5)), curve)));
  const auto still = ad::differences([](const MatrixXd& m) { return m.norm(); }, a, MatrixXd::Zero(3, 3));
  BOOST_TEST((still.value == 0 && still.error < 1e-12));

  const auto g = ad::difference_gradient([](const MatrixXd& m) { return m.determinant(); }, a);
  const auto cofactors = ad::compare("det", MatrixXd(a.determinant() * a.inverse().transpose()), g);
  BOOST_TEST(cofactors.ok, cofactors.text);
  BOOST_TEST(g.error.maxCoeff() < 1e-11);

  BOOST_CHECK_EXCEPTION(ad::differences([](const MatrixXd& m) { return m.sum(); }, a, VectorXd::Ones(4)),
                        std::invalid_argument, [](const auto& e) { return has(e.what(), "4 x 1, but x is 3 x 3"); });
}

BOOST_AUTO_TEST_CASE(the_complex_step_is_exact_to_rounding) {
  const auto f = [](const auto& x) { return exp(sin(x)) / (x * x + 1.); };
  std::mt19937 random(3);
  for (int k = 0; k < 100; ++k) {
    const double x = std::uniform_real_distribution(-3., 3.)(random), q = x * x + 1;
    const double truth = std::exp(std::sin(x)) * (std::cos(x) / q - 2 * x / (q * q));
    BOOST_TEST(std::abs(ad::complex_step(f, x) - truth) <= 8 * eps * std::exp(std::sin(x)));
  }
  const VectorXd x = VectorXd::LinSpaced(4, 0.1, 0.7), v = VectorXd::LinSpaced(4, -1, 2);
  const VectorXd fast = ad::complex_step([](const auto& z) { return z.array().sin().matrix().eval(); }, x, v);
  BOOST_TEST(bool(ad::compare("cos(x) v", fast, VectorXd(x.array().cos() * v.array()), 2 * eps)));
  const double sum = ad::complex_step([](const auto& z) { return z.array().square().sum(); }, x, v);
  BOOST_TEST(std::abs(sum - 2 * x.dot(v)) <= 4 * eps);
  BOOST_CHECK_THROW(ad::complex_step([](const auto& z) { return z.sum(); }, x, VectorXd(v.head(2))),
                    std::invalid_argument);
}

// --- comparison ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_comparison_names_the_worst_entries_and_by_how_much) {
  MatrixXd want(2, 3), got;
  want << 1, -2, 3, -4, 5, -6;
  got = want;
  got(1, 0) *= 1.0001;
  got(0, 2) = -3;
  const auto c = ad::compare("W_rec", got, want, 1e-9);
  BOOST_TEST(!c.ok);
  BOOST_TEST(has(c.text, "W_rec  2 of 6 entries differ   |difference| / |W_rec| = 1.0e+00"), c.text);
  BOOST_TEST((c.text.find("W_rec[0,2]") < c.text.find("W_rec[1,0]")), c.text);
  BOOST_TEST(has(c.text, "1.0001"), c.text);  // the ratio
  BOOST_TEST(has(c.text, "4e-04"), c.text);   // the difference
  BOOST_TEST(!has(c.text, "W_rec[1,1]"), c.text);

  BOOST_TEST(bool(ad::compare("same", want, want, 0)));
  BOOST_TEST(bool(ad::compare("near", MatrixXd(want * (1 + 1e-13)), want, 1e-12)));
  BOOST_TEST(!bool(ad::compare("sign", MatrixXd(-want), want, 1.9)));  // no tolerance below 2 forgives a sign
  BOOST_TEST(has(ad::compare("vector", VectorXd::Zero(3), VectorXd::Ones(3), 1e-3).text, "vector[2]"));
  BOOST_TEST(has(ad::compare("number", 1.1, 1., 1e-3).text, "\n  number "));
}

BOOST_AUTO_TEST_CASE(a_comparison_lets_nothing_pass_that_is_not_a_number_or_of_another_size) {
  const Eigen::Vector2d one(1, 1), bad(1, std::nan("")), large(1, inf);
  BOOST_TEST(!bool(ad::compare("nan", bad, one, 1e300)));
  BOOST_TEST(!bool(ad::compare("nan", one, bad, 1e300)));
  BOOST_TEST(!bool(ad::compare("nan", bad, bad, 1e300)));
  BOOST_TEST(!bool(ad::compare("inf", large, one, 1e300)));
  BOOST_TEST(!bool(ad::compare("inf", one, large, 1e300)));
  BOOST_TEST(bool(ad::compare("inf", large, large, 0)));
  const ad::Estimate<Eigen::Vector2d> blind{{1, 1}, {inf, inf}};
  BOOST_TEST((!ad::compare("no claim", one, blind).ok && !ad::compare("no claim", bad, blind).ok));
  BOOST_TEST(!bool(ad::compare("zero wanted", Eigen::Vector2d(1e-300, 0), Eigen::Vector2d(0, 0), 1e-3)));
  const auto c = ad::compare("b_rec", VectorXd::Zero(3), VectorXd::Zero(4), 1);
  BOOST_TEST((!c.ok && has(c.text, "b_rec is 3 x 1, and should be 4 x 1")), c.text);
}

BOOST_AUTO_TEST_CASE(a_comparison_that_cannot_see_says_so) {
  const auto unseen = [](const ad::Comparison& c) { return !c.ok && !c.judged && has(c.text, "cannot judge"); };
  const double nan = std::nan("");
  for (const double got : {0., 1., -1e16, nan, inf})
    for (const auto& [value, error] : {std::pair{nan, inf}, {nan, 1.}, {201., 7e9}, {0., inf}, {1., nan}, {inf, 1.}}) {
      const auto c = ad::compare("f'", got, ad::Estimate<double>{value, error});
      BOOST_TEST(unseen(c), c.text);
    }
  for (const double error : {1e-17, 1e-12, 1e-7})
    BOOST_TEST(bool(ad::compare("f'", 0., ad::Estimate<double>{0, error})));
  BOOST_TEST(bool(ad::compare("f'", 1., ad::Estimate<double>{1.5, 0.6})));
  const ad::Estimate<Eigen::Vector2d> half{{1, 201}, {1e-9, 7e9}};
  const auto one = ad::compare("g", Eigen::Vector2d(1, -3), half),
             other = ad::compare("g", Eigen::Vector2d(2, -3), half);
  BOOST_TEST((unseen(one) && has(one.text, "1 of 2 entries:\n  g[1]: got -3, differences give 201 +- 7e+09")),
             one.text);
  BOOST_TEST((!other.ok && other.judged && has(other.text, "1 of 2 entries differ")), other.text);
  BOOST_TEST(has(ad::compare("g", 1., half).text, "should be 2 x 1"));
  // in earnest: not defined below 0; a peak of width 1e-9
  BOOST_TEST(unseen(ad::compare("sqrt", inf, ad::differences([](double x) { return std::sqrt(x); }, 0.))));
  const auto peak = [](double x) { return std::exp(-std::pow(x / 1e-9 - 1, 2)); };
  BOOST_TEST(unseen(ad::compare("peak", 2e9 / std::exp(1), ad::differences(peak, 0.))));
}

// --- pairing -------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(pairing_is_the_same_at_every_cut) {
  Tape tape;
  const Var x1 = tape.input(2.0, "x1"), x2 = tape.input(5.0, "x2");
  const Var y = log(x1) + x1 * x2 - sin(x2);
  tape.reverse(y);
  tape.forward(x1);
  const auto p = ad::pairing(tape, y);
  BOOST_TEST(p.ok, p.text);
  BOOST_TEST(p.text == "pairing, sum of adjoint * tangent = 5.5 at every cut  ok");
  BOOST_TEST(p.cut.size() == y.id() + 1);
  for (double sum : p.cut) BOOST_TEST(sum == 5.5);
}

BOOST_AUTO_TEST_CASE(pairing_finds_the_entry_with_a_wrong_rule) {
  Tape tape;
  const Var x = tape.input(0.3), u = x * 2.0, h = tanh(u), y = h * h + u;
  tape.name(h, "h");
  tape.reverse(y);
  tape.forward(x);
  for (const double factor : {1.0001, -1., 0., inf, std::nan("")}) {
    const auto reverse = ad::pairing(Tampered{tape, h.id(), factor, 1}, y);
    BOOST_TEST((!reverse.ok && reverse.broken == h.id()), reverse.text);
    BOOST_TEST(has(reverse.text, fmt::format("pairing breaks at v{} h (tanh)", h.id())), reverse.text);
    const auto forward = ad::pairing(Tampered{tape, h.id(), 1, factor}, y);
    BOOST_TEST(!forward.ok, forward.text);
    BOOST_TEST(forward.broken == y.id(), forward.text);  // from above, the first that does not follow from its operands
  }
  BOOST_TEST(bool(ad::pairing(Tampered{tape, h.id(), 1, 1}, y)));
}

BOOST_AUTO_TEST_CASE(pairing_names_edits) {
  const auto feedback = ad::custom([](const auto& a) { return 2. * a; }, [](const auto& a) { return 0. * a - 7.; });
  Tape tape;
  const Var x = tape.input(0.3), a = feedback(x), b = detach(a), y = a * b;
  tape.name(b, "b");
  tape.reverse(y);
  tape.forward(x);
  const auto p = ad::pairing(tape, y);
  BOOST_TEST(p.ok, p.text);  // both sweeps follow the edit
  BOOST_TEST((p.edits == std::vector<ad::Id>{b.id(), a.id()}));
  BOOST_TEST(
      has(p.text, fmt::format("given, not derived, at v{} b (detach, an edit), v{} (custom, an edit)", b.id(), a.id())),
      p.text);
  const auto broken = ad::pairing(Tampered{tape, a.id(), 3, 1}, y);  // a pullback edited alone
  BOOST_TEST((broken.broken == a.id() && has(broken.text, "(custom, an edit): the sum is")), broken.text);
}

BOOST_AUTO_TEST_CASE(pairing_asks_for_both_sweeps_of_this_recording) {
  Tape tape;
  const Var x = tape.input(0.3);
  Var y = x * x;
  const auto says = [](const char* text) { return [=](const std::logic_error& e) { return has(e.what(), text); }; };
  BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says("no adjoint sweep"));
  tape.reverse(y);
  BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says("no tangent sweep"));
  tape.forward(x);
  BOOST_TEST(bool(ad::pairing(tape, y)));
  y = y * y;
  BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says("no adjoint sweep"));
}

BOOST_AUTO_TEST_CASE(pairing_refuses_sweeps_that_need_not_pair) {
  Tape tape;
  const Var x = tape.input(0.3), m = sin(x), y = m * m + x, z = exp(y), c = tape.input(2.);
  const auto says = [](const std::string& text) {
    return [=](const std::logic_error& e) { return has(e.what(), text); };
  };
  tape.reverse(y);
  tape.forward(m);
  BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says(fmt::format("moved v{}", m.id())));
  tape.forward(std::vector{std::pair{x, 1.}, std::pair{m, 1.}, std::pair{c, 1.}});
  BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says(fmt::format("moved v{}", m.id())));
  tape.forward(std::vector{std::pair{x, 1.}, std::pair{c, 1.}});  // c, though it came late, is an input
  BOOST_TEST(bool(ad::pairing(tape, y)));
  for (const Var& other : {z, m}) {  // above y and below it
    tape.reverse(other);
    BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says(fmt::format("did not begin at v{}", y.id())));
    BOOST_TEST(bool(ad::pairing(tape, other)));
  }
  tape.reverse(std::vector{std::pair{y, 1.}, std::pair{m, 1.}});
  BOOST_CHECK_EXCEPTION(ad::pairing(tape, y), std::logic_error, says("did not begin"));
  tape.reverse(std::vector{std::pair{y, 3.}, std::pair{y, 2.}});
  tape.forward(std::vector{std::pair{x, 1.}, std::pair{m, 0.}});  // m is not moved
  BOOST_TEST(bool(ad::pairing(tape, y)));
}

BOOST_AUTO_TEST_CASE(pairing_cannot_judge_what_is_not_finite) {
  const auto judge = [](double at, const auto& f, int entry) {
    Tape tape;
    const Var x = tape.input(at), y = f(x);
    tape.reverse(y);
    tape.forward(x);
    const auto p = ad::pairing(tape, y);
    BOOST_TEST((!p.ok && p.broken == 0 && p.unseen == static_cast<ad::Id>(entry)), p.text);
    BOOST_TEST(has(p.text, fmt::format("pairing cannot judge, not all is finite at v{} (", entry)), p.text);
  };
  judge(
      std::nan(""), [](const Var& x) { return Var(x * x); }, 1);
  judge(
      -1, [](const Var& x) { return Var(log(x) * x); }, 2);
  judge(
      0, [](const Var& x) { return Var(2 * sqrt(x) + x); }, 2);  // a slope that is infinite
  judge(
      1e200, [](const Var& x) { return Var(x * x * x - x); }, 2);  // overflow
  judge(
      0, [](const Var& x) { return Var(sqrt(x) * 2 - 3 * sqrt(x)); }, 2);  // inf - inf
  Tape tape;  // what does not reach y does not matter; nor a slope that nothing follows
  const Var x = tape.input(2), z = tape.input(0), bad = log(-x), y = x * x + sqrt(z);
  tape.reverse(y);
  tape.forward(x);
  BOOST_TEST((std::isnan(bad.value()) && bool(ad::pairing(tape, y))), ad::pairing(tape, y).text);
}

BOOST_AUTO_TEST_SUITE_END()
