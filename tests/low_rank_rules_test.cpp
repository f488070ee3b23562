// UORO, KF-RTRL and R-KF-RTRL: RTRL exactly, in the mean over every choice of their signs; and safe where norms are zero.
#include <boost/test/unit_test.hpp>

#include "rules/kf_rtrl.h"
#include "rules/r_kf_rtrl.h"
#include "rules/uoro.h"
#include "tests/forward_steps.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::VectorX;
using tests::relative;
using Matrix = MatrixX<double>;
using Vector = VectorX<double>;

/// P_{i,(j,l)} that the rule's factors stand for, laid out as RTRL's.
template <class F>
Matrix product(Index d, Index k, F&& entry) {
  return Matrix::NullaryExpr(d, d * k, [&](Index i, Index c) { return entry(i, c % d, c / d); });
}
Matrix P(const rules::Uoro<double>& r) {
  return product(r.A().size(), r.B().cols(), [&](Index i, Index j, Index l) { return r.A()(i) * r.B()(j, l); });
}
Matrix P(const rules::KfRtrl<double>& r) {
  return product(r.B().rows(), r.A().size(), [&](Index i, Index j, Index l) { return r.A()(l) * r.B()(i, j); });
}
Matrix P(const rules::RKfRtrl<double>& r) {
  return product(r.A().size(), r.B().cols(), [&](Index i, Index j, Index l) { return r.A()(j) * r.B()(i, l); });
}

rnn::Options replay(Index length, Index signs, unsigned bits) {
  std::vector<std::vector<double>> record(static_cast<std::size_t>(length));
  for (auto& entry : record)
    for (Index i = 0; i < signs; ++i, bits /= 2) entry.push_back(bits % 2 == 0 ? 1 : -1);
  rnn::Options options;
  options.draws = rnn::Draws(record);
  return options;
}

/// The mean over all signs against the engine's RTRL, which starts at P_0.
template <class R>
void rtrl_in_the_mean(Index signs, const std::map<std::string, Matrix>& state) {
  for (const auto activation : {Activation::tanh, Activation::softplus}) {
    const Index length = 3;
    auto net = tests::generic_network(activation, Loss::squared, 1, 2, 3, 1);
    const auto sequence = tests::generic_sequence(net, length);
    rnn::Random random(8);
    const Matrix B = random.normal(1, 3);  // feedback
    const unsigned all = 1u << (signs * length);
    std::vector<Matrix> G(3, Matrix::Zero(3, 6));
    Matrix mean_P = Matrix::Zero(3, 18), P_0;
    for (unsigned bits = 0; bits < all; ++bits) {
      auto options = replay(length, signs, bits);
      options.state = state;
      R rule(net, options);
      P_0 = P(rule);
      const auto parts = rules::learn(rule, net, sequence, true, B);
      for (std::size_t t = 0; t < G.size(); ++t) G[t] += recurrent(parts.per_step[t]) / all;
      mean_P += P(rule) / all;
    }
    auto steps = tests::forward_steps(net, sequence);
    steps[0].immediate += steps[0].J * P_0;
    const auto exact = tests::edited(steps, B, tests::as_it_is);
    // single terms are a few times larger than their mean
    for (std::size_t t = 0; t < G.size(); ++t) BOOST_TEST(relative(G[t], exact.G[t]) < 1e-12);
    BOOST_TEST(relative(mean_P, exact.P.back()) < 1e-12);
  }
}

/// Every norm that may be zero is, in turn: nothing is divided, no signal gives no gradient.
template <class R>
void safe_at_zero_norms(const std::map<std::string, Matrix>& state) {
  auto net = tests::generic_network(Activation::relu, Loss::squared, 1, 2, 3, 1);
  const auto sequence = tests::generic_sequence(net, 6);
  const auto finite = [&](const rnn::Network<double>& n, const std::map<std::string, Matrix>& start, bool silent) {
    rnn::Options options;
    options.state = start;
    R rule(n, options);
    const auto parts = rules::learn(rule, n, sequence, true);
    for (const auto& part : parts.per_step) {
      BOOST_TEST(recurrent(part).allFinite());
      if (silent) BOOST_TEST(recurrent(part).isZero(0));
    }
    BOOST_TEST((rule.A().allFinite() && rule.B().allFinite()));
  };
  for (const double alpha : {0.3, 1.})
    for (const double W : {0., 1.}) {
      net.alpha = alpha;
      auto active = net;
      active.parameters.W_rec *= W;
      finite(active, {}, false);
      finite(active, state, false);
      auto dead = active;  // f' = 0 for ever: M = 0, and J is the leak
      dead.parameters.b_rec.setConstant(-1000);
      finite(dead, {}, true);
      finite(dead, state, false);
      for (const auto& [name, value] : state) finite(dead, {{name, value}}, false);
      for (const auto& [name, value] : state) finite(active, {{name, value}}, false);
    }
}

std::map<std::string, Matrix> start(Index a, Index b_rows, Index b_cols) {
  rnn::Random random(9);
  return {{"A", random.normal(a, 1)}, {"B", random.normal(b_rows, b_cols)}};
}

template <class R>
void draws_and_starts_are_checked(Index signs) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  const auto with = [&](Index length, Index count) {
    R rule(net, replay(length, count, 5));
    rules::learn(rule, net, sequence);
  };
  BOOST_CHECK_NO_THROW(with(7, signs));
  BOOST_CHECK_THROW(with(6, signs), std::invalid_argument);
  BOOST_CHECK_THROW(with(7, signs + 1), std::invalid_argument);
  BOOST_CHECK_THROW(with(7, signs - 1), std::invalid_argument);
  for (const char* name : {"A", "B"}) {
    rnn::Options options;
    options.state[name] = Matrix::Zero(4, 2);
    BOOST_CHECK_THROW(R(net, options), std::invalid_argument);
  }
  rnn::Options seeded;
  seeded.draws = rnn::Draws(3);
  R one(net, seeded), same(net, seeded);
  seeded.draws = rnn::Draws(4);
  R other(net, seeded);
  const auto g = rules::learn(one, net, sequence).gradient;
  BOOST_TEST((recurrent(g) == recurrent(rules::learn(same, net, sequence).gradient)));
  BOOST_TEST((recurrent(g) != recurrent(rules::learn(other, net, sequence).gradient)));
}

}  // namespace

BOOST_AUTO_TEST_CASE(uoro_is_rtrl_in_the_mean) {
  rtrl_in_the_mean<rules::Uoro<double>>(3, {});
  rtrl_in_the_mean<rules::Uoro<double>>(3, start(3, 3, 6));
}
BOOST_AUTO_TEST_CASE(kf_rtrl_is_rtrl_in_the_mean) {
  rtrl_in_the_mean<rules::KfRtrl<double>>(2, {});
  rtrl_in_the_mean<rules::KfRtrl<double>>(2, start(6, 3, 3));
}
BOOST_AUTO_TEST_CASE(r_kf_rtrl_is_rtrl_in_the_mean) {
  rtrl_in_the_mean<rules::RKfRtrl<double>>(3, {});
  rtrl_in_the_mean<rules::RKfRtrl<double>>(3, start(3, 3, 6));
}

BOOST_AUTO_TEST_CASE(zero_norms_never_divide) {
  BOOST_TEST(rules::balance(8., 2.) == 2);
  for (const double zero : {0., -0.}) {
    BOOST_TEST(rules::balance(zero, 2.) == 1);
    BOOST_TEST(rules::balance(2., zero) == 1);
    BOOST_TEST(rules::balance(zero, zero) == 1);
  }
  safe_at_zero_norms<rules::Uoro<double>>(start(3, 3, 6));
  safe_at_zero_norms<rules::KfRtrl<double>>(start(6, 3, 3));
  safe_at_zero_norms<rules::RKfRtrl<double>>(start(3, 3, 6));
}

// The scales p0 and p1 leave the mean as it is; they make the two terms of A and of B equally large.
BOOST_AUTO_TEST_CASE(factors_are_balanced) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 1);
  const auto step = tests::forward_steps(net, sequence)[0];
  const double M = step.immediate.norm();
  rnn::Options options;
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-14 * b; };
  options.state = start(5, 5, 9);
  const Vector A = options.state["A"];
  const Matrix B = options.state["B"];
  rules::Uoro<double> uoro(net, options);
  rules::learn(uoro, net, sequence);
  BOOST_TEST(near(uoro.p0() * (step.J * A).norm(), B.norm() / uoro.p0()));
  BOOST_TEST(near(uoro.p1() * std::sqrt(5.), M / uoro.p1()));
  rules::RKfRtrl<double> r_kf(net, options);
  rules::learn(r_kf, net, sequence);
  BOOST_TEST(near(r_kf.p0() * A.norm(), (step.J * B).norm() / r_kf.p0()));
  BOOST_TEST(near(r_kf.p1() * std::sqrt(5.), M / r_kf.p1()));
  options.state = start(9, 5, 5);
  rules::KfRtrl<double> kf(net, options);
  rules::learn(kf, net, sequence);
  Vector z(9);
  z << net.h_0, sequence.x.col(0), 1;
  const double slopes = tests::compact(step.immediate).col(8).norm();  // phi_t: what the biases do
  BOOST_TEST(near(kf.p0() * options.state["A"].norm(), (step.J * options.state["B"]).norm() / kf.p0()));
  BOOST_TEST(near(kf.p1() * z.norm(), slopes / kf.p1()));
}

BOOST_AUTO_TEST_CASE(records_of_another_length_and_starts_of_another_shape_are_refused) {
  draws_and_starts_are_checked<rules::Uoro<double>>(5);
  draws_and_starts_are_checked<rules::KfRtrl<double>>(2);
  draws_and_starts_are_checked<rules::RKfRtrl<double>>(5);
}
