// The diagnosis: each known mistake, made by loops written apart from rules/derivation.h, is named; what is right is not.
#include <boost/test/unit_test.hpp>

#include "rnn/bptt.h"
#include "rnn/credit.h"
#include "rules/diagnosis_text.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::VectorX;
using rules::Claim, rules::Diagnosis, rules::Parts, rules::Reference, rules::Verdict;

/// A network, a sequence, and the engine's gradient with its parts.
struct Point {
  rnn::Network<double> net;
  rnn::Sequence<double> sequence;
  Reference right;
  MatrixX<double> B;  // m x d, somebody's feedback

  explicit Point(Activation f = Activation::tanh, Loss loss = Loss::squared, Index length = 7, Index n = 3, Index d = 5,
                 Index m = 2)
      : Point(tests::generic_network(f, loss, 1, n, d, m), length) {}
  explicit Point(const rnn::Network<double>& network, Index length = 7)
      : Point(network, tests::generic_sequence(network, length)) {}
  Point(const rnn::Network<double>& network, const rnn::Sequence<double>& s) : net(network), sequence(s) {
    const rnn::Credit<double> credit(net, sequence);
    const auto tape = rnn::bptt(net, sequence);
    right = {tape.gradient, tape.delta, {}, {}};
    for (Index t = 1; t <= credit.length(); ++t) {
      right.past.push_back(credit.row_sum(t));
      right.future.push_back(credit.column_sum(t));
    }
    B = rnn::Random(5).normal(net.m(), net.d());
  }
  Diagnosis of(const Claim& claim, double tolerance = 0) const {
    return rules::diagnose(net, sequence, claim, right, B, tolerance);
  }
  /// All arrays that can be claimed.
  Claim all(const rnn::Parameters<double>& gradient, const MatrixX<double>& delta) const {
    Claim c = rules::claim(gradient);
    c.delta = delta.transpose();
    return c;
  }
};

bool names(const Diagnosis& d, std::string_view id) {
  return std::any_of(d.mistakes.begin(), d.mistakes.end(), [&](const auto& m) { return m.id == id; });
}
bool blind_to(const Diagnosis& d, std::string_view id) {
  return std::find(d.blind.begin(), d.blind.end(), id) != d.blind.end();
}
std::vector<std::string> arrays_of(const Diagnosis& d, std::string_view id) {
  std::vector<std::string> all;
  for (const auto& m : d.mistakes)
    if (m.id == id) all.insert(all.end(), m.arrays.begin(), m.arrays.end());
  return all;
}

/// BPTT as a student writes it, number by number, for tanh, with one mistake in it. Nothing is shared with the rules.
struct Student {
  rnn::Parameters<double> gradient;
  MatrixX<double> delta;  // d x T

  Student(const Point& p, const std::string& mistake) {
    const auto is = [&](const char* id) { return mistake == id; };
    const auto& theta = p.net.parameters;
    const Index n = p.net.n(), d = p.net.d(), m = p.net.m(), T = p.sequence.length();
    const double alpha = p.net.alpha;
    // forward; u(i, t), h(i, t) and so on hold time t, h(i, 0) is h_0
    MatrixX<double> u = MatrixX<double>::Zero(d, T + 1), h = u, y = MatrixX<double>::Zero(m, T + 1), e = y, q = u;
    for (Index i = 0; i < d; ++i) h(i, 0) = is("h_0 = 0 in the run") ? 0 : p.net.h_0(i);
    for (Index t = 1; t <= T; ++t) {
      for (Index i = 0; i < d; ++i) {
        u(i, t) = is("no b_rec in the run") ? 0 : theta.b_rec(i);
        for (Index j = 0; j < d; ++j) u(i, t) += theta.W_rec(i, j) * h(j, t - 1);
        for (Index j = 0; j < n; ++j) u(i, t) += theta.W_in(i, j) * p.sequence.x(j, t - 1);
        h(i, t) = (1 - alpha) * h(i, t - 1) + alpha * std::tanh(u(i, t));
      }
      double sum = 0;
      VectorX<double> v = VectorX<double>::Zero(m);
      for (Index k = 0; k < m; ++k) {
        v(k) = theta.b_out(k);
        for (Index i = 0; i < d; ++i) v(k) += theta.W_out(k, i) * h(i, t);
        sum += std::exp(v(k));
      }
      double given = 0;
      for (Index k = 0; k < m; ++k) given += p.sequence.target(k, t - 1);
      for (Index k = 0; k < m; ++k) {
        const double target = !is("target before") ? p.sequence.target(k, t - 1)
                              : t > 1              ? p.sequence.target(k, t - 2)
                                                   : 0;
        if (p.net.loss == Loss::squared) y(k, t) = v(k), e(k, t) = y(k, t) - target;
        if (p.net.loss == Loss::softmax_ce) {
          y(k, t) = std::exp(v(k)) / sum;
          e(k, t) = is("softmax-elementwise") ? -target * (1 - y(k, t)) : y(k, t) * given - target;
        }
        if (p.net.loss == Loss::tanh_squared) {
          y(k, t) = std::tanh(v(k));
          e(k, t) = (y(k, t) - target) * (is("output-slope-forgotten") ? 1 : 1 - y(k, t) * y(k, t));
        }
        if (is("last-loss-dropped") && t == T) e(k, t) = 0;
        if (is("only-last-loss") && t < T) e(k, t) = 0;
        if (is("no loss at 4") && t == 4) e(k, t) = 0;
      }
    }
    for (Index t = 1; t <= T; ++t)
      for (Index i = 0; i < d; ++i)
        for (Index k = 0; k < m; ++k)
          if (is("error-shifted"))
            q(i, t) += t < T ? theta.W_out(k, i) * e(k, t + 1) : 0;
          else
            q(i, t) += (is("feedback-for-transpose") ? p.B(k, i) : theta.W_out(k, i)) * e(k, t);
    if (is("alpha in q")) q *= alpha;
    // backward
    const auto f_prime = [&](Index i, Index t, bool outer) {
      if (is("slope-forgotten") || is(outer ? "no slope in outer" : "no slope in recursion")) return 1.0;
      if (is("slope-at-h")) return 1 - h(i, t) * h(i, t);
      if (is("slope of h")) return 1 - std::tanh(h(i, t)) * std::tanh(h(i, t));
      if (is("slope-at-previous-u") || is(outer ? "slope before in outer" : "slope before in recursion"))
        return 1 - std::tanh(u(i, t - 1)) * std::tanh(u(i, t - 1));
      const double s = 1 - std::tanh(u(i, t)) * std::tanh(u(i, t));
      return is("slope-twice") || (is("slope twice in outer") && outer) ? s * s : s;
    };
    gradient = zeros_like(theta);
    delta.setZero(d, T);
    const auto backward = [&](const MatrixX<double>& from) {
      MatrixX<double> c = MatrixX<double>::Zero(d, T + 2);
      for (Index t = T; t >= 1; --t)
        for (Index i = 0; i < d; ++i) {
          c(i, t) = from(i, t);
          if (t == T || (is("truncated-K") && t % 3 == 0)) continue;
          const double sign = is("minus") ? -1 : 1;
          if (!is("leak-dropped")) c(i, t) += sign * (is("leak 1") ? 1 : 1 - alpha) * c(i, t + 1);
          for (Index j = 0; j < d; ++j) {
            if (is("recurrent-path-dropped")) continue;
            const double W = is("recursion-not-transposed") ? theta.W_rec(i, j) : theta.W_rec(j, i);
            const double in = is("alpha-missing-in-recursion")                      ? 1
                              : is("alpha-twice") || is("alpha twice in recursion") ? alpha * alpha
                                                                                    : alpha;
            c(i, t) += sign * W * in * f_prime(is("slope-wrong-axis") ? i : j, t + 1, false) * c(j, t + 1);
          }
        }
      return c;
    };
    MatrixX<double> c = backward(q);
    if (is("total-for-immediate")) c = backward(c);
    if (is("window")) c.leftCols(T - 3 + 1).setZero();
    if (is("band")) {  // each loss by itself, three steps long
      c.setZero();
      for (Index t = 1; t <= T; ++t) {
        MatrixX<double> one = MatrixX<double>::Zero(d, T + 1);
        one.col(t) = q.col(t);
        c.middleCols(std::max<Index>(1, t - 2), std::min<Index>(t, 3)) +=
            backward(one).middleCols(std::max<Index>(1, t - 2), std::min<Index>(t, 3));
      }
    }
    delta = c.middleCols(1, T);
    for (Index t = T; t >= 1; --t) {
      if (is("first-step-skipped") && t == 1) continue;
      if (is("overwritten")) gradient = zeros_like(theta);
      for (Index i = 0; i < d; ++i) {
        const double in = is("alpha-missing-in-outer") ? 1 : is("alpha-twice") ? alpha * alpha : alpha;
        const double local = in * f_prime(i, t, true) * c(i, t) * (is("one step less") && t == 1 ? 0 : 1);
        for (Index j = 0; j < d; ++j) {
          const double before = is("h0-ignored") && t == 1 ? 0 : h(j, is("h-after-for-before") ? t : t - 1);
          (is("dw-transposed") ? gradient.W_rec(j, i) : gradient.W_rec(i, j)) +=
              (is("slope on columns") ? in * c(i, t) * f_prime(j, t, true) : local) * before;
        }
        for (Index j = 0; j < n; ++j)
          gradient.W_in(i, j) += local * (!is("x-previous") ? p.sequence.x(j, t - 1)
                                          : t > 1           ? p.sequence.x(j, t - 2)
                                                            : 0);
        if (!is("bias-forgotten")) gradient.b_rec(i) += local;
      }
      for (Index k = 0; k < m && !is("direct-term-missing"); ++k) {
        for (Index i = 0; i < d; ++i) gradient.W_out(k, i) += e(k, t) * h(i, t);
        gradient.b_out(k) += e(k, t);
      }
    }
  }
};

constexpr const char* of_a_derivation[] = {"recursion-not-transposed",
                                           "leak-dropped",
                                           "recurrent-path-dropped",
                                           "slope-forgotten",
                                           "slope-at-h",
                                           "slope-at-previous-u",
                                           "slope-twice",
                                           "slope-wrong-axis",
                                           "h-after-for-before",
                                           "x-previous",
                                           "alpha-missing-in-outer",
                                           "alpha-missing-in-recursion",
                                           "alpha-twice",
                                           "first-step-skipped",
                                           "last-loss-dropped",
                                           "only-last-loss",
                                           "truncated-K",
                                           "error-shifted",
                                           "total-for-immediate",
                                           "softmax-elementwise",
                                           "feedback-for-transpose",
                                           "h0-ignored",
                                           "bias-forgotten",
                                           "output-slope-forgotten",
                                           "dw-transposed",
                                           "direct-term-missing",
                                           "overwritten"};

/// Other ways of making some of them: what the student did, and what that is called.
struct Way {
  const char *done, *id, *how;
};
constexpr Way other_ways[] = {
    {"h_0 = 0 in the run", "h0-ignored", "in the forward run too"},
    {"no b_rec in the run", "bias-forgotten", "b_rec in the forward run"},
    {"target before", "error-shifted", "y* of t - 1"},
    {"no loss at 4", "block-missing", "the loss at t = 4"},
    {"alpha in q", "alpha-twice", "in q_t"},
    {"no slope in outer", "slope-forgotten", "in the outer product"},
    {"no slope in recursion", "slope-forgotten", "in the recursion"},
    {"slope of h", "slope-at-h", "f'(h_t) in the recursion and in the outer product"},
    {"slope before in outer", "slope-at-previous-u", "in the outer product, u_0 = 0"},
    {"slope before in recursion", "slope-at-previous-u", "in the recursion"},
    {"slope twice in outer", "slope-twice", "f' in the outer product"},
    {"minus", "sign", "of what comes from t + 1"},
    {"leak 1", "factor-one-minus-alpha", "missing before the leak"},
    {"alpha twice in recursion", "alpha-twice", "in the recursion"},
    {"window", "truncated-K", "K = 3, the last K steps alone"},
    {"band", "truncated-K", "K = 3, from every loss (F-BPTT)"},
    {"slope on columns", "slope-wrong-axis", "in the outer product: phi scales columns"},
    {"one step less", "first-step-skipped", ""},
};

Loss loss_for(std::string_view id) {
  return id == "softmax-elementwise"      ? Loss::softmax_ce
         : id == "output-slope-forgotten" ? Loss::tanh_squared
                                          : Loss::squared;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_table_has_every_id_once) {
  std::set<std::string_view> ids;
  for (const auto& row : rules::mistakes) {
    BOOST_TEST_CONTEXT(row.id) {
      BOOST_TEST(ids.insert(row.id).second);
      BOOST_TEST((!row.what.empty() && !row.right.empty() && !row.needs.empty()));
    }
  }
  BOOST_TEST(ids.size() == 43u);
  for (const char* id : of_a_derivation) BOOST_TEST(ids.count(id) == 1u, id);
  for (const char* id : {"sign", "factor-2", "factor-half", "factor-T", "mean-over-time", "mean-over-outputs",
                         "factor-alpha", "factor-one-minus-alpha", "factor-other", "transposed", "column-major",
                         "row-scaled", "column-scaled", "shifted", "block-missing", "block-doubled"})
    BOOST_TEST(ids.count(id) == 1u, id);
  BOOST_CHECK_THROW(rules::mistake("no-such"), std::invalid_argument);
  // Every mistake that can be made here has an id of the table.
  const Point p(Activation::tanh, Loss::softmax_ce);
  for (const auto& m : rules::known_mistakes(rules::Derivation(p.net, p.sequence), p.B))
    BOOST_TEST(ids.count(m.id) == 1u, m.id);
}

BOOST_AUTO_TEST_CASE(without_a_mistake_the_derivation_is_the_gradient_and_its_parts) {
  tests::for_each_kind([&](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const Point p(net, sequence);
      const rules::Derivation derivation(net, sequence);
      const auto past = derivation.gradient(Parts::past), future = derivation.gradient(Parts::future);
      BOOST_TEST(tests::relative(past.gradient, p.right.gradient) < 1e-12);
      BOOST_TEST(tests::relative(past.delta, p.right.delta) < 1e-12);
      for (std::size_t t = 0; t < 7; ++t) {
        BOOST_TEST(tests::relative(past.parts[t], p.right.past[t]) < 1e-12);
        BOOST_TEST(tests::relative(future.parts[t], p.right.future[t]) < 1e-12);
      }
      const Diagnosis d = p.of(p.all(p.right.gradient, p.right.delta));
      BOOST_TEST(bool(d));
      BOOST_TEST((d.verdict == Verdict::correct && d.mistakes.empty() && !d.nearest));
      BOOST_TEST(d.arrays.size() == 6u);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_students_loops_are_right_without_a_mistake) {
  for (const Loss loss : {Loss::squared, Loss::softmax_ce, Loss::tanh_squared}) {
    const Point p(Activation::tanh, loss);
    const Student s(p, "");
    BOOST_TEST(tests::relative(s.gradient, p.right.gradient) < 1e-12);
    BOOST_TEST(tests::relative(s.delta, p.right.delta) < 1e-12);
  }
}

BOOST_AUTO_TEST_CASE(a_mistake_in_a_students_loops_is_named) {
  for (const std::string id : of_a_derivation)
    for (const bool with_delta : {true, false}) BOOST_TEST_CONTEXT(id) {
        const Point p(Activation::tanh, loss_for(id));
        const Student s(p, id);
        const Claim c = with_delta ? p.all(s.gradient, s.delta) : rules::claim(s.gradient);
        const Diagnosis d = p.of(c);
        BOOST_TEST(!d);
        BOOST_TEST((d.verdict == Verdict::named));
        BOOST_TEST(names(d, id), rules::report(d));
        for (const auto& m : d.mistakes) BOOST_TEST(m.residual < 1e-12);
        BOOST_TEST((d.nearest && d.nearest->residual > 1e-4));
        BOOST_TEST(!names(d, d.nearest->id));
        // and no more than can be meant: what gives the same numbers here
        for (const auto& m : d.mistakes) BOOST_TEST((!m.alone && m.with.empty()));
        if (id != "dw-transposed" && id != "bias-forgotten" && id != "truncated-K")
          BOOST_TEST(d.mistakes.size() <= 4u, rules::report(d));
      }
}

BOOST_AUTO_TEST_CASE(other_ways_of_making_it_are_told_apart) {
  const Point p;
  for (const auto& [done, id, how] : other_ways) BOOST_TEST_CONTEXT(done) {
      const Student s(p, done);
      const Diagnosis d = p.of(p.all(s.gradient, s.delta));
      const auto named = [&id = id, &how = how](const auto& m) { return m.id == id && m.how == how && !m.alone; };
      BOOST_TEST(std::any_of(d.mistakes.begin(), d.mistakes.end(), named), rules::report(d));
    }
}

BOOST_AUTO_TEST_CASE(every_way_of_making_a_mistake_is_found_with_every_kind_of_network) {
  std::map<std::string, bool> seen;
  tests::for_each_kind([&](const auto& net, const auto& sequence, const std::string& kind) {
    const Point p(net, sequence);
    const rules::Derivation right(net, sequence);
    for (const auto& mistake : rules::known_mistakes(right, p.B))
      BOOST_TEST_CONTEXT(kind << ": " << mistake.id << ", " << mistake.how) {
        rules::Derivation wrong = right;
        mistake.make(wrong);
        const auto made = wrong.gradient();
        const Diagnosis d = p.of(p.all(made.gradient, made.delta));
        for (const Parts parts : {Parts::past, Parts::future}) {
          auto sum = zeros_like(net.parameters);
          for (const auto& part : wrong.gradient(parts).parts) sum += part;
          BOOST_TEST(tests::relative(sum, made.gradient) < 1e-12);
        }
        const bool shows = tests::relative(made.gradient, p.right.gradient) > 1e-9 ||
                           tests::relative(made.delta, p.right.delta) > 1e-9;
        BOOST_TEST(bool(d) == !shows);
        seen[fmt::format("{}, {}", mistake.id, mistake.how)] |= shows;
        const auto same = [&](const auto& m) { return m.id == mistake.id && m.how == mistake.how; };
        BOOST_TEST(std::any_of(d.mistakes.begin(), d.mistakes.end(), same) == shows, rules::report(d));
      }
  });
  for (const auto& [way, shows] : seen) BOOST_TEST(shows, way << " changes nothing with any network");
}

BOOST_AUTO_TEST_CASE(a_mistake_of_one_array_is_named_there_and_nowhere_else) {
  const Point p;
  struct Made {
    std::string id;
    std::function<MatrixX<double>(const MatrixX<double>&)> make;
  };
  const double T = 7, m = 2, alpha = p.net.alpha;
  const Made all[] = {
      {"sign", [](const auto& g) { return -g; }},
      {"factor-2", [](const auto& g) { return 2 * g; }},
      {"factor-half", [](const auto& g) { return g / 2; }},
      {"factor-T", [&](const auto& g) { return T * g; }},
      {"mean-over-time", [&](const auto& g) { return g / T; }},
      {"mean-over-outputs", [&](const auto& g) { return g / m; }},
      {"factor-alpha", [&](const auto& g) { return alpha * g; }},
      {"factor-alpha", [&](const auto& g) { return g / alpha; }},
      {"factor-one-minus-alpha", [&](const auto& g) { return (1 - alpha) * g; }},
      {"factor-other", [](const auto& g) { return 1.0001 * g; }},
      {"transposed", [](const auto& g) { return g.transpose(); }},
      {"column-major",
       [](const MatrixX<double>& g) {
         MatrixX<double> s = g;
         for (Index k = 0; k < g.size(); ++k) s(k / g.cols(), k % g.cols()) = g.data()[k];
         return s;
       }},
      {"row-scaled", [](const auto& g) { return VectorX<double>::LinSpaced(g.rows(), 0.5, 2).asDiagonal() * g; }},
      {"column-scaled", [](const auto& g) { return g * VectorX<double>::LinSpaced(g.cols(), 0.5, 2).asDiagonal(); }},
      {"shifted",
       [](const MatrixX<double>& g) {
         MatrixX<double> s = g;
         s.bottomRows(g.rows() - 1) = g.topRows(g.rows() - 1);
         s.row(0).setZero();
         return s;
       }},
      {"shifted",
       [](const MatrixX<double>& g) {
         MatrixX<double> s = g;
         s.leftCols(g.cols() - 1) = g.rightCols(g.cols() - 1);
         s.rightCols(1) = g.leftCols(1);
         return s;
       }},
      {"block-missing",
       [](MatrixX<double> g) {
         g.block(1, 1, 2, 2).setZero();
         return g;
       }},
      {"block-missing", [](const auto& g) { return 0 * g; }},
      {"block-doubled",
       [](MatrixX<double> g) {
         g.block(0, 1, 2, 2) *= 2;
         return g;
       }},
  };
  for (const auto& [id, make] : all) BOOST_TEST_CONTEXT(id) {
      auto wrong = p.right.gradient;
      wrong.W_rec = make(wrong.W_rec);
      Diagnosis d = p.of(rules::claim(wrong));
      BOOST_TEST((d.verdict == Verdict::named));
      BOOST_TEST(names(d, id), rules::report(d));
      BOOST_TEST((arrays_of(d, id) == std::vector<std::string>{"W_rec"}));
      if (id == "transposed") continue;
      auto other = p.right.gradient;
      other.W_in = make(other.W_in);
      d = p.of(p.all(other, p.right.delta));
      BOOST_TEST(names(d, id), rules::report(d));
      BOOST_TEST((arrays_of(d, id) == std::vector<std::string>{"W_in"}));
      BOOST_TEST((d.verdict == (id == "column-major" ? Verdict::layout : Verdict::named)));
      // the credit: rows are times
      const MatrixX<double> delta = make(MatrixX<double>(p.right.delta.transpose())).transpose();
      d = p.of(p.all(p.right.gradient, delta));
      BOOST_TEST((arrays_of(d, id) == std::vector<std::string>{"delta"}), rules::report(d));
    }
}

BOOST_AUTO_TEST_CASE(a_small_difference_is_one_and_rounding_is_none) {
  const Point p;
  for (const auto name : {"W_rec", "W_in", "b_rec", "W_out", "b_out"}) BOOST_TEST_CONTEXT(name) {
      Claim c = rules::claim(p.right.gradient);
      auto& a = c.gradient.find(name)->second;
      Index row = 0, column = 0;
      a.cwiseAbs().maxCoeff(&row, &column);
      a(row, column) *= 1 + 1e-12;
      BOOST_TEST(bool(p.of(c)));
      a(row, column) *= 1 + 1e-8;
      const Diagnosis d = p.of(c);
      BOOST_TEST(!d);
      for (const auto& array : d.arrays) {
        BOOST_TEST(array.differ == (array.name == name));
        if (array.name != name) continue;
        BOOST_TEST(array.worst.size() == 1u);
        BOOST_TEST(
            (array.worst[0].index == (a.cols() == 1 ? std::vector<Index>{row} : std::vector<Index>{row, column})));
        BOOST_TEST(array.relative == 1e-8, boost::test_tools::tolerance(1e-3));
      }
      BOOST_TEST(bool(p.of(c, 1e-7)));
    }
  // in single precision, and rounded to six digits: right, and still seen to be wrong by 1.0001
  const auto rounded = [](double x) { return std::stod(fmt::format("{:.5e}", x)); };
  const auto single = [](double x) { return static_cast<double>(static_cast<float>(x)); };
  for (const bool six : {true, false}) {
    const auto coarse = [&](const rnn::Parameters<double>& g) {
      return rnn::map<double>(g, [&](double x) { return six ? rounded(x) : single(x); });
    };
    const Diagnosis d = p.of(rules::claim(coarse(p.right.gradient)));
    BOOST_TEST(bool(d), rules::report(d));
    BOOST_TEST(d.precision == (six ? "rounded" : "single"));
    for (const auto& a : d.arrays) BOOST_TEST(a.tolerance <= 5e-5);
    auto wrong = p.right.gradient;
    wrong.W_in *= 1.0001;
    BOOST_TEST(!p.of(rules::claim(coarse(wrong))));
    const Diagnosis mistaken = p.of(rules::claim(coarse(Student(p, "leak-dropped").gradient)));
    BOOST_TEST(names(mistaken, "leak-dropped"), rules::report(mistaken));
  }
  // Four digits are taken at their word: they may be all there is.
  const auto four = rnn::map<double>(p.right.gradient, [](double x) { return std::stod(fmt::format("{:.3e}", x)); });
  BOOST_TEST(!p.of(rules::claim(four)));
  BOOST_TEST(rules::report(p.of(rules::claim(four))).find("ask for a tolerance") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(rounding_is_no_mistake) {
  // to decimal places: the largest array keeps more digits than the others
  Point p;
  p.right.gradient.b_rec *= 20;
  for (const int places : {6, 8}) {
    const auto rounded =
        rnn::map<double>(p.right.gradient, [&](double x) { return std::stod(fmt::format("{:.{}f}", x, places)); });
    const Diagnosis d = p.of(rules::claim(rounded));
    BOOST_TEST(bool(d), rules::report(d));
  }
  // where the network fits its targets, the gradient is rounding and nothing else
  const rnn::Network<double> net = tests::generic_network(Activation::tanh, Loss::squared);
  auto sequence = tests::generic_sequence(net);
  sequence.target = rnn::run(net, sequence).v;
  const Point fits(net, sequence);
  auto noise = rnn::zeros_like(net.parameters);
  rnn::Random random(9);
  for_each_block([&](auto, auto& b) { b = random.normal(b.rows(), b.cols(), 1e-15); }, noise);
  BOOST_TEST(bool(fits.of(rules::claim(noise))));
  for_each_block([&](auto, auto& b) { b *= 1e3; }, noise);
  BOOST_TEST(!fits.of(rules::claim(noise)));
}

BOOST_AUTO_TEST_CASE(a_pair_is_named_only_where_both_are_needed) {
  const Point p;
  auto wrong = p.right.gradient;
  wrong.W_out = 2.5 * p.right.past[6].W_out;  // one step of it, times something
  const Diagnosis d = p.of(rules::claim(wrong));
  for (const auto& m : d.mistakes)
    BOOST_TEST((m.id != "recursion-not-transposed" && m.with != "recursion-not-transposed"), rules::report(d));
  // the part of one step is a product of two vectors: scaled rows say nothing
  Claim parts;
  for (std::size_t t = 0; t < 7; ++t) {
    parts.per_step.push_back(rules::claim(p.right.future[t]).gradient);
    auto& W = parts.per_step.back().find("W_rec")->second;
    W = VectorX<double>::LinSpaced(5, 1, 2 + static_cast<double>(t)).asDiagonal() * W;
  }
  BOOST_TEST(!names(p.of(parts), "row-scaled"));
}

BOOST_AUTO_TEST_CASE(a_report_says_why_a_mistake_cannot_show) {
  const Point p;
  const std::string text = rules::report(p.of({.gradient = {{"W_out", p.right.gradient.W_out}}}));
  BOOST_TEST(text.find("leak-dropped               it takes other arrays than are given") != std::string::npos, text);
  BOOST_TEST(text.find("softmax-elementwise        it takes the loss softmax_ce") != std::string::npos, text);
  // long sequences: what was not tried is said
  const Point far(Activation::tanh, Loss::squared, 110);
  auto wrong = far.right.gradient;
  for_each_block([&](auto, auto& b, const auto& part) { b -= part; }, wrong, far.right.past[104]);
  const Diagnosis d = far.of(rules::claim(wrong));
  BOOST_TEST((d.verdict == Verdict::unknown));
  BOOST_TEST(rules::report(d).find("were tried up to 100") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_point_tells_which_mistakes_it_cannot_see) {
  const auto blind = [](const Point& p) { return p.of(p.all(p.right.gradient, p.right.delta)); };
  const Diagnosis generic = blind(Point(Activation::tanh, Loss::softmax_ce));
  BOOST_TEST((generic.blind == std::vector<std::string_view>{"output-slope-forgotten"}));

  rnn::Network<double> net = tests::generic_network(Activation::tanh, Loss::squared);
  net.alpha = 1;
  Diagnosis d = blind(Point(net));
  for (const char* id :
       {"leak-dropped", "factor-alpha", "alpha-missing-in-outer", "alpha-missing-in-recursion", "alpha-twice"})
    BOOST_TEST(blind_to(d, id), id);
  BOOST_TEST(!blind_to(d, "recurrent-path-dropped"));

  net = tests::generic_network(Activation::tanh, Loss::squared);
  net.parameters.W_rec = (net.parameters.W_rec + net.parameters.W_rec.transpose()).eval();
  d = blind(Point(net));
  BOOST_TEST(blind_to(d, "recursion-not-transposed"));
  BOOST_TEST(!blind_to(d, "dw-transposed"));

  net = tests::generic_network(Activation::identity, Loss::squared);
  d = blind(Point(net));
  for (const char* id : {"slope-forgotten", "slope-at-h", "slope-twice", "slope-wrong-axis"})
    BOOST_TEST(blind_to(d, id), id);

  net = tests::generic_network(Activation::tanh, Loss::squared);
  net.h_0.setZero();
  d = blind(Point(net));
  BOOST_TEST(blind_to(d, "h0-ignored"));
  BOOST_TEST(!blind_to(d, "first-step-skipped"));

  d = blind(Point(Activation::tanh, Loss::squared, 1));
  for (const char* id : {"recursion-not-transposed", "leak-dropped", "recurrent-path-dropped", "factor-T",
                         "mean-over-time", "only-last-loss", "truncated-K", "total-for-immediate", "overwritten"})
    BOOST_TEST(blind_to(d, id), id);
  BOOST_TEST(blind_to(blind(Point(Activation::tanh, Loss::squared, 7, 3, 5, 1)), "mean-over-outputs"));

  // It depends on what is given: W_out alone says nothing about the recurrent part.
  const Point p;
  d = p.of({.gradient = {{"W_out", p.right.gradient.W_out}}});
  BOOST_TEST(bool(d));
  for (const char* id : {"recursion-not-transposed", "slope-forgotten", "h-after-for-before", "feedback-for-transpose"})
    BOOST_TEST(blind_to(d, id), id);
  BOOST_TEST(!blind_to(d, "last-loss-dropped"));
  BOOST_TEST(!blind_to(p.of({.gradient = {{"W_rec", p.right.gradient.W_rec}}}), "recursion-not-transposed"));
}

BOOST_AUTO_TEST_CASE(two_mistakes_are_named_apart_or_together) {
  const Point p;
  // in arrays that have nothing to do with each other
  auto wrong = Student(p, "recursion-not-transposed").gradient;
  wrong.W_out *= -1;
  Diagnosis d = p.of(rules::claim(wrong));
  BOOST_TEST((d.verdict == Verdict::named));
  BOOST_TEST((arrays_of(d, "recursion-not-transposed") == std::vector<std::string>{"W_rec", "W_in", "b_rec"}));
  BOOST_TEST((arrays_of(d, "sign") == std::vector<std::string>{"W_out"}));
  BOOST_TEST(d.mistakes.size() == 2u, rules::report(d));

  // in the same numbers
  const auto together = [](const Diagnosis& found, std::string_view a, std::string_view b) {
    return std::any_of(found.mistakes.begin(), found.mistakes.end(), [&](const auto& m) {
      return !m.alone && ((m.id == a && m.with == b) || (m.id == b && m.with == a));
    });
  };
  rules::Derivation two(p.net, p.sequence);
  two.back.transposeInPlace();
  two.leak = 0;
  d = p.of(rules::claim(two.gradient().gradient));
  BOOST_TEST(together(d, "recursion-not-transposed", "leak-dropped"), rules::report(d));
  wrong = Student(p, "slope-at-h").gradient;
  for_each_block([](auto, auto& b) { b /= 7; }, wrong);
  d = p.of(rules::claim(wrong));
  BOOST_TEST(together(d, "slope-at-h", "mean-over-time"), rules::report(d));
  wrong = p.right.gradient;
  wrong.W_rec = -wrong.W_rec.transpose().eval();
  d = p.of(rules::claim(wrong));
  BOOST_TEST(together(d, "dw-transposed", "sign"), rules::report(d));

  // what nobody has thought of is nobody's
  wrong = p.right.gradient;
  wrong.W_rec(2, 3) *= 1.3;
  wrong.W_rec(1, 1) *= 0.7;
  d = p.of(rules::claim(wrong));
  BOOST_TEST((d.verdict == Verdict::unknown));
  BOOST_TEST(d.mistakes.empty(), rules::report(d));
  BOOST_TEST(d.nearest.has_value());
  BOOST_TEST(rules::report(d).find("No known mistake gives your W_rec, nor do two at once") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(another_layout_is_no_mistake_of_the_derivation) {
  const Point p;
  Claim c = rules::claim(p.right.gradient);
  for (const char* name : {"W_rec", "W_in", "W_out"}) c.gradient.find(name)->second.transposeInPlace();
  Diagnosis d = p.of(c);
  BOOST_TEST((d.verdict == Verdict::layout));
  BOOST_TEST((arrays_of(d, "transposed") == std::vector<std::string>{"W_rec", "W_in", "W_out"}), rules::report(d));
  for (const auto& a : d.arrays) {
    BOOST_TEST(a.turned == (a.name == "W_in" || a.name == "W_out"));
    if (a.turned) BOOST_TEST(a.differ == 0);
  }
  // a transposed layout does not hide a mistake
  const auto wrong = Student(p, "leak-dropped").gradient;
  c = rules::claim(wrong);
  for (const char* name : {"W_rec", "W_in", "W_out"}) c.gradient.find(name)->second.transposeInPlace();
  d = p.of(c);
  BOOST_TEST((d.verdict == Verdict::named));
  BOOST_TEST(std::any_of(d.mistakes.begin(), d.mistakes.end(),
                         [](const auto& m) {
                           return (m.id == "leak-dropped" && m.with == "transposed") ||
                                  (m.id == "transposed" && m.with == "leak-dropped");
                         }),
             rules::report(d));
}

BOOST_AUTO_TEST_CASE(parts_are_judged_whichever_way_they_face) {
  const Point p;
  const auto parts = [](const std::vector<rnn::Parameters<double>>& of) {
    Claim c;
    for (const auto& part : of) c.per_step.push_back(rules::claim(part).gradient);
    return c;
  };
  for (const bool past : {true, false}) {
    const auto& right = past ? p.right.past : p.right.future;
    const auto facing = past ? rules::Facing::past : rules::Facing::future;
    Diagnosis d = p.of(parts(right));
    BOOST_TEST(bool(d));
    BOOST_TEST((d.facing == facing));
    BOOST_TEST(d.arrays.size() == 5u);
    rules::Derivation wrong(p.net, p.sequence);
    wrong.back.transposeInPlace();
    d = p.of(parts(wrong.gradient(past ? Parts::past : Parts::future).parts));
    BOOST_TEST((d.verdict == Verdict::named && d.facing == facing));
    BOOST_TEST(d.mistakes[0].id == "recursion-not-transposed");
    BOOST_TEST((d.mistakes[0].arrays == std::vector<std::string>{"per_step.W_rec", "per_step.W_in", "per_step.b_rec"}));
    // one step late
    auto late = right;
    std::rotate(late.begin(), late.end() - 1, late.end());
    d = p.of(parts(late));
    BOOST_TEST(names(d, "shifted"), rules::report(d));
    BOOST_TEST(d.mistakes[0].arrays.size() == 5u);
    auto one = right;
    one[4].W_in(2, 1) += 1;
    d = p.of(parts(one));
    BOOST_TEST(!d);
    for (const auto& a : d.arrays)
      if (a.differ > 0) {
        BOOST_TEST(a.name == "per_step.W_in");
        BOOST_TEST((a.worst.at(0).index == std::vector<Index>{4, 2, 1}));
      }
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_judged_is_refused) {
  const Point p;
  const auto told = [&](const Claim& c, std::vector<std::string> parts) {
    BOOST_CHECK_EXCEPTION(p.of(c), std::invalid_argument, [&](const std::invalid_argument& e) {
      return std::all_of(parts.begin(), parts.end(),
                         [&](const auto& part) { return std::string(e.what()).find(part) != std::string::npos; });
    });
  };
  told({}, {"nothing"});
  told({.gradient = {{"W_rec", MatrixX<double>::Zero(4, 5)}}}, {"W_rec", "4 x 5", "5 x 5"});
  told({.gradient = {{"Wrec", MatrixX<double>::Zero(5, 5)}}}, {"Wrec"});
  told({.delta = MatrixX<double>::Zero(6, 5)}, {"delta", "6 x 5", "7 x 5"});
  Claim c;
  c.per_step.assign(3, {{"b_rec", MatrixX<double>::Zero(5, 1)}});
  told(c, {"parts", "3", "7"});
  c.per_step.assign(7, {{"b_rec", MatrixX<double>::Zero(5, 1)}});
  c.per_step[3] = {{"b_out", MatrixX<double>::Zero(2, 1)}};
  told(c, {"same arrays"});
  // numbers that are none are wrong, and no mistake's
  Claim nan = rules::claim(p.right.gradient);
  nan.gradient.find("b_rec")->second(2) = std::nan("");
  const Diagnosis d = p.of(nan);
  BOOST_TEST((d.verdict == Verdict::unknown));
  BOOST_TEST(d.mistakes.empty());
}

BOOST_AUTO_TEST_CASE(a_report_says_what_a_person_needs) {
  const Point p;
  const std::string text = rules::report(p.of(rules::claim(Student(p, "recursion-not-transposed").gradient)), "mine");
  for (const char* part : {"FAIL  mine", "W_rec  25 of 25 entries differ", "expected", "W_out, b_out agree",
                           "recursion-not-transposed: the recursion multiplies by W_rec, not by its\n       transpose",
                           "gives your W_rec, W_in, b_rec to", "right:   c_t = q_t + (1 - alpha) c_{t+1}",
                           "next best:", "rejected", "of 43 known mistakes would show", "softmax-elementwise"})
    BOOST_TEST(text.find(part) != std::string::npos, part << " is not in\n" << text);
  BOOST_TEST(rules::report(p.of(rules::claim(p.right.gradient))).starts_with("ok "));
}
