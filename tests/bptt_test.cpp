// Reverse mode over the unrolled network: every derivative against differences of the loss, which know nothing of it.
#include "rnn/bptt.h"

#include <boost/test/unit_test.hpp>

#include "ad/operators.h"
#include "rnn/recorded_bptt.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::VectorX;
using Vector = VectorX<double>;

/// The loss of all times from t on, from h_t (t = 0: h_0); L_t itself is part of it.
double loss_from(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, Index t, const Vector& h_t) {
  double loss = t == 0 ? 0 : rnn::loss_t(net.loss, output(net.parameters, h_t), sequence.target.col(t - 1));
  if (t == sequence.length()) return loss;
  auto rest = net;
  rest.h_0 = h_t;
  return loss +
         rnn::run(rest, {sequence.x.rightCols(sequence.length() - t), sequence.target.rightCols(sequence.length() - t)})
             .loss;
}

Vector flat(const MatrixX<double>& m) { return m.reshaped(); }

}  // namespace

BOOST_AUTO_TEST_CASE(every_derivative_is_the_slope_of_the_loss) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const auto r = rnn::bptt(net, sequence);
      const auto run = rnn::run(net, sequence);
      if (net.activation == Activation::relu)
        BOOST_REQUIRE(run.u.cwiseAbs().minCoeff() > 0.02);  // differences need room
      BOOST_TEST(std::abs(r.loss - run.loss) <= 1e-14 * std::abs(run.loss));
      BOOST_TEST(tests::relative(r.losses, run.losses) < 1e-14);

      const auto by_theta =
          tests::slopes([&](const Vector& at) { return rnn::loss_at(net, sequence, at); }, flatten(net.parameters));
      BOOST_TEST(tests::relative(flatten(r.gradient), by_theta) < tests::by_differences);
      const auto by_x = tests::slopes(
          [&](const Vector& at) {
            return rnn::run(net,
                            {Eigen::Map<const MatrixX<double>>(at.data(), net.n(), sequence.length()), sequence.target})
                .loss;
          },
          flat(sequence.x));
      BOOST_TEST(tests::relative(flat(r.x), by_x) < tests::by_differences);
      BOOST_TEST(tests::relative(r.h_0, tests::slopes([&](const Vector& h) { return loss_from(net, sequence, 0, h); },
                                                      net.h_0)) < tests::by_differences);
      for (Index t = 1; t <= sequence.length(); ++t)
        BOOST_TEST(tests::relative(r.delta.col(t - 1),
                                   tests::slopes([&](const Vector& h) { return loss_from(net, sequence, t, h); },
                                                 run.h.col(t))) < tests::by_differences);
    }
  });
}

BOOST_AUTO_TEST_CASE(copies_of_the_parameters_change_no_gradient_and_split_it_by_time) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const auto plain = rnn::bptt(net, sequence), copies = rnn::bptt(net, sequence, {.copies = true});
  BOOST_TEST(plain.per_step.empty());
  BOOST_TEST(copies.per_step.size() == 7u);
  BOOST_TEST(tests::relative(copies.gradient, plain.gradient) < 1e-14);
  BOOST_TEST(tests::relative(copies.delta, plain.delta) < 1e-14);
  auto sum = zeros_like(plain.gradient);
  for (const auto& part : copies.per_step) sum += part;
  BOOST_TEST(tests::relative(sum, plain.gradient) < 1e-14);
}

BOOST_AUTO_TEST_CASE(whole_vectors_give_the_same_gradient) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const auto numbers = rnn::bptt(net, sequence);
      rnn::Parameters<double> gradient;
      std::size_t bytes = 0;
      ad::Tape outer;  // a tape that is active already does not matter
      const double loss = rnn::recorded_bptt(net, sequence, gradient, &bytes);
      BOOST_TEST(std::abs(loss - numbers.loss) <= 1e-14 * std::abs(loss));
      BOOST_TEST(tests::relative(flatten(gradient), flatten(numbers.gradient)) < 1e-13);
      BOOST_TEST(bytes > 0u);
      BOOST_TEST(rnn::recorded_bptt(net, sequence, gradient) == loss);  // into a gradient that is there
      BOOST_TEST(tests::relative(flatten(gradient), flatten(numbers.gradient)) < 1e-13);
    }
  });
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto source = [](Index) { return std::pair(Vector(Vector::Zero(3)), Vector(Vector::Zero(2))); };
  auto gradient = net.parameters;
  BOOST_CHECK_THROW(rnn::recorded_bptt(net, 0, source, gradient), std::invalid_argument);
  const auto too_long = [&](Index) { return std::pair(Vector(Vector::Zero(net.n() + 1)), Vector(net.m())); };
  BOOST_CHECK_THROW(rnn::recorded_bptt(net, 1, too_long, gradient), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(a_second_sweep_does_not_add_to_the_first) {
  const auto net = tests::generic_network(Activation::sigmoid, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  ad::Tape tape;
  const auto unrolled = rnn::unroll(tape, net, sequence);
  tape.reverse(unrolled.loss);
  const auto first = rnn::adjoints(tape, unrolled);
  tape.reverse(unrolled.losses[2]);  // dL_3/dtheta, in between
  const auto third = rnn::adjoints(tape, unrolled);
  const auto by_theta = tests::slopes(
      [&](const Vector& at) {
        auto moved = net;
        moved.parameters = unflatten(net.parameters, at);
        return rnn::run(moved, sequence).losses(2);
      },
      flatten(net.parameters));
  BOOST_TEST(tests::relative(flatten(third.gradient), by_theta) < tests::by_differences);
  BOOST_TEST(third.delta.rightCols(4).norm() == 0);  // the past cannot hear of what comes later
  tape.reverse(unrolled.loss);
  BOOST_TEST((flatten(rnn::adjoints(tape, unrolled).gradient) == flatten(first.gradient)));
}

BOOST_AUTO_TEST_CASE(names_and_scopes_tell_the_time) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net, 3);
  ad::Tape named;
  const auto unrolled = rnn::unroll(named, net, sequence, {.names = true});
  BOOST_TEST(named.name_of(unrolled.theta.W_rec(1, 2).id()) == "W_rec[1,2]");
  BOOST_TEST(named.name_of(unrolled.h[0](4).id()) == "h_0[4]");
  BOOST_TEST(named.name_of(unrolled.x[1](2).id()) == "x_2[2]");
  BOOST_TEST(named.name_of(unrolled.u[1](3).id()) == "u_2[3]");
  BOOST_TEST(named.name_of(unrolled.h[2](3).id()) == "h_2[3]");
  BOOST_TEST(named.name_of(unrolled.v[2](1).id()) == "v_3[1]");
  BOOST_TEST(named.name_of(unrolled.losses[0].id()) == "L_1");
  BOOST_TEST(named.name_of(unrolled.loss.id()) == "L");
  BOOST_REQUIRE(named.scopes().size() == 3);
  BOOST_TEST(named.scopes()[1].name == "t=2");
  const ad::Id h = unrolled.h[2](3).id();
  BOOST_TEST((named.scopes()[1].begin <= h && h < named.scopes()[1].end));
  BOOST_TEST((named.scopes()[0].end <= named.scopes()[1].begin));
  const ad::Id length = named.length();
  ad::Tape bare;
  rnn::unroll(bare, net, sequence);
  BOOST_TEST(bare.length() == length);  // names make no entries
  BOOST_TEST(bare.names().empty());
}

BOOST_AUTO_TEST_CASE(it_leaves_an_outer_recording_alone) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  ad::Tape tape;
  const ad::Var x = tape.input(2.);
  const double inside = rnn::bptt(net, sequence).loss;
  const ad::Var y = x * x * inside;
  tape.reverse(y);
  BOOST_TEST(tape.adjoint(x) == 4 * inside);
}

// The gradient's own derivative: reverse mode on a tape of dual numbers is forward over reverse.
BOOST_AUTO_TEST_CASE(over_dual_numbers_it_gives_products_with_the_hessian) {
  using D = ad::Dual<double>;
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const Vector at = flatten(net.parameters), V = rnn::Random(9).normal(at.size(), 1);
      auto dual = rnn::cast<D>(net);
      for (Index i = 0; i < V.size(); ++i) rnn::element(dual.parameters, i).tangent = V(i);
      const Vector product =
          flatten(rnn::bptt(dual, rnn::cast<D>(sequence)).gradient).unaryExpr([](const D& x) { return x.tangent; });
      const Vector by_slopes = tests::slope_of_gradient(
          [&](const Vector& p) {
            auto moved = net;
            moved.parameters = unflatten(net.parameters, p);
            return flatten(rnn::bptt(moved, sequence).gradient);
          },
          at, V);
      BOOST_TEST(tests::relative(product, by_slopes) < 1e-8);
    }
  });
}

BOOST_AUTO_TEST_CASE(one_step_and_no_inputs_are_enough) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared, 1, 0, 4, 2);
  const auto sequence = tests::generic_sequence(net, 1);
  const auto r = rnn::bptt(net, sequence);
  BOOST_TEST(r.gradient.W_in.cols() == 0);
  BOOST_TEST(r.x.rows() == 0);
  const auto by_theta =
      tests::slopes([&](const Vector& at) { return rnn::loss_at(net, sequence, at); }, flatten(net.parameters));
  BOOST_TEST(tests::relative(flatten(r.gradient), by_theta) < tests::by_differences);
}

BOOST_AUTO_TEST_CASE(wrong_sizes_are_refused) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  auto sequence = tests::generic_sequence(net);
  sequence.x.conservativeResize(2, Eigen::NoChange);
  BOOST_CHECK_THROW(rnn::bptt(net, sequence), std::invalid_argument);
}
