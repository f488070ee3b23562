// Forward mode, step by step: P_t and J_t against differences of h_t, gradients against differences of L_t alone.
#include "rnn/rtrl.h"

#include <boost/test/unit_test.hpp>

#include "rnn/panel_rtrl.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::VectorX;
using Vector = VectorX<double>;

rnn::Network<double> with(const rnn::Network<double>& net, const Vector& theta) {
  auto moved = net;
  moved.parameters = unflatten(net.parameters, theta);
  return moved;
}

}  // namespace

BOOST_AUTO_TEST_CASE(gradients_and_sensitivities_are_slopes_at_every_step) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const auto run = rnn::run(net, sequence);
      rnn::Rtrl<double> rtrl(net);
      for (Index t = 1; t <= sequence.length(); ++t) {
        rtrl.advance(sequence.x.col(t - 1), sequence.target.col(t - 1));
        BOOST_TEST(tests::relative(rtrl.u(), run.u.col(t - 1)) < 1e-14);
        BOOST_TEST(tests::relative(rtrl.h(), run.h.col(t)) < 1e-14);
        BOOST_TEST(tests::relative(rtrl.v(), run.v.col(t - 1)) < 1e-14);
        BOOST_TEST(std::abs(rtrl.loss() - run.losses(t - 1)) < 1e-14 * std::max(1.0, run.losses(t - 1)));
        const Vector theta = flatten(net.parameters);
        const Vector by_theta =
            tests::slopes([&](const Vector& at) { return rnn::run(with(net, at), sequence).losses(t - 1); }, theta);
        BOOST_TEST(tests::relative(flatten(rtrl.gradient()), by_theta) < tests::by_differences);
        if (t % 3 != 0) continue;
        for (Index i = 0; i < net.d(); ++i) {
          const Vector row =
              tests::slopes([&](const Vector& at) { return rnn::run(with(net, at), sequence).h(i, t); }, theta);
          BOOST_TEST(tests::relative(rtrl.P().row(i).transpose(), row.head(rtrl.P().cols())) < tests::by_differences);
          BOOST_TEST(row.tail(12).norm() < 1e-12);  // W_out and b_out never move h
          const Vector h = run.h.col(t - 1);
          const Vector j = tests::slopes(
              [&](const Vector& at) { return step(net, net.parameters, at, sequence.x.col(t - 1)).h(i); }, h);
          BOOST_TEST(tests::relative(rtrl.J().row(i).transpose(), j) < tests::by_differences);
        }
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(panels_of_directions_give_the_same_as_eight_tangents_a_number) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      rnn::Rtrl<double> expected(net);
      rnn::PanelRtrl panels(net);
      for (Index t = 0; t < sequence.length(); ++t) {
        expected.advance(sequence.x.col(t), sequence.target.col(t));
        panels.advance(sequence.x.col(t), sequence.target.col(t));
        BOOST_TEST(tests::relative(panels.h(), expected.h()) < 1e-14);
        BOOST_TEST(tests::relative(panels.P(), expected.P()) < 1e-13);
        BOOST_TEST(tests::relative(flatten(panels.gradient()), flatten(expected.gradient())) < 1e-13);
        BOOST_TEST(std::abs(panels.loss() - expected.loss()) < 1e-14 * std::max(1.0, expected.loss()));
      }
    }
  });
  BOOST_CHECK_THROW(rnn::PanelRtrl(tests::generic_network(Activation::tanh, Loss::squared)).advance({}, {}),
                    std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(P_has_the_shape_of_the_notes_and_follows_their_recursion) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  const Index n = 3, d = 5;
  rnn::Rtrl<double> rtrl(net);
  MatrixX<double> before = rtrl.P();
  BOOST_TEST(before.norm() == 0);  // P_0 = 0
  for (Index t = 0; t < sequence.length(); ++t) {
    auto restarted = net;  // one step from h_{t-1} with P = 0 leaves the immediate sensitivity
    restarted.h_0 = rtrl.h();
    rnn::Rtrl<double> immediate(restarted);
    immediate.advance(sequence.x.col(t), sequence.target.col(t));
    rtrl.advance(sequence.x.col(t), sequence.target.col(t));
    const MatrixX<double> expected = immediate.P() + rtrl.J() * before;  // (1.17)
    BOOST_TEST(tests::relative(rtrl.P(), expected) < 1e-14);
    before = rtrl.P();

    const auto P_in = rtrl.P_W_in(), P_rec = rtrl.P_W_rec();
    BOOST_TEST((P_in.dimension(0) == d && P_in.dimension(1) == d && P_in.dimension(2) == n));
    BOOST_TEST((P_rec.dimension(0) == d && P_rec.dimension(1) == d && P_rec.dimension(2) == d));
    for (Index i = 0; i < d; ++i)
      for (Index j = 0; j < d; ++j) {
        BOOST_TEST(P_rec(i, j, 3) == rtrl.P()(i, 3 * d + j));
        BOOST_TEST(P_in(i, j, 2) == rtrl.P()(i, (d + 2) * d + j));
        BOOST_TEST(rtrl.P_b_rec()(i, j) == rtrl.P()(i, (d + n) * d + j));
        // the immediate sensitivity is diagonal in i and j: a unit is moved at once by its own weights only
        if (i != j) BOOST_TEST(immediate.P_W_in()(i, j, 1) == 0);
      }
    // dL_t/dW = dL_t/dh_t (x)_1 P, with dL_t/dh_t = e_t^T W_out for the squared loss
    const MatrixX<double> q = (rtrl.v() - sequence.target.col(t)).transpose() * net.parameters.W_out;
    BOOST_TEST(tests::relative(contract_row(q, P_in), rtrl.gradient().W_in) < 1e-13);
    BOOST_TEST(tests::relative(contract_row(q, P_rec), rtrl.gradient().W_rec) < 1e-13);
    BOOST_TEST(tests::relative((q * rtrl.P_b_rec()).transpose(), rtrl.gradient().b_rec) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(it_keeps_no_past) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net, 40);
  rnn::Rtrl<double> rtrl(net);
  const std::size_t bytes = rtrl.bytes();
  BOOST_TEST(bytes == 8u * (5 * 5 * 9 + 5));
  const auto all = rnn::rtrl(net, sequence);
  BOOST_TEST(all.per_step.size() == 40u);
  for (int twice = 0; twice < 2; ++twice) {
    rtrl.reset();
    double loss = 0;
    for (Index t = 0; t < 40; ++t) {
      rtrl.advance(sequence.x.col(t), sequence.target.col(t));
      loss += rtrl.loss();
      BOOST_TEST((flatten(rtrl.gradient()) == flatten(all.per_step[static_cast<std::size_t>(t)])));
    }
    BOOST_TEST(loss == all.loss);
  }
  BOOST_TEST(rtrl.bytes() == bytes);
  auto sum = zeros_like(all.gradient);
  for (const auto& part : all.per_step) sum += part;
  BOOST_TEST(tests::relative(sum, all.gradient) < 1e-14);
}

BOOST_AUTO_TEST_CASE(the_number_of_parameters_need_be_no_multiple_of_the_directions) {
  for (Index d = 1; d <= 4; ++d) {
    const auto net = tests::generic_network(Activation::tanh, Loss::squared, 1, d - 1, d, 1);
    const auto sequence = tests::generic_sequence(net, 3);
    const auto by_theta =
        tests::slopes([&](const Vector& at) { return rnn::loss_at(net, sequence, at); }, flatten(net.parameters));
    BOOST_TEST(tests::relative(flatten(rnn::rtrl(net, sequence).gradient), by_theta) < tests::by_differences);
  }
}

BOOST_AUTO_TEST_CASE(wrong_sizes_are_refused) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  rnn::Rtrl<double> rtrl(net);
  BOOST_CHECK_THROW(rtrl.J(), std::logic_error);
  rtrl.advance(Vector::Ones(net.n()), Vector::Ones(net.m()));
  BOOST_TEST((rtrl.J().size() > 0 && rtrl.loss() != 0));
  rtrl.reset();
  BOOST_CHECK_THROW(rtrl.J(), std::logic_error);
  BOOST_TEST(rtrl.loss() == 0);
  auto without_inputs = net;
  without_inputs.parameters.W_in.resize(net.d(), 0);
  BOOST_CHECK_THROW(rnn::Rtrl<double>(without_inputs).J(), std::logic_error);
  BOOST_CHECK_THROW(rtrl.advance(Vector(2), Vector(2)), std::invalid_argument);
  BOOST_CHECK_THROW(rtrl.advance(Vector(3), Vector(3)), std::invalid_argument);
  auto wrong = net;
  wrong.h_0.resize(4);
  BOOST_CHECK_THROW(rnn::Rtrl<double>{wrong}, std::invalid_argument);
}
