// The network of the notes: its equations, its losses at any size, its sizes, its first weights.
#include "rnn/network.h"

#include <boost/test/unit_test.hpp>

#include "ad/operators.h"
#include "rnn/recorded_step.h"
#include "rnn/tensor.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::VectorX;
using Vector = VectorX<double>;

bool says(const std::exception& e, std::initializer_list<const char*> parts) {
  const std::string text = e.what();
  return std::all_of(parts.begin(), parts.end(), [&](const char* p) { return text.find(p) != std::string::npos; });
}
#define THROWS(expression, type, ...)     \
  BOOST_CHECK_EXCEPTION(expression, type, \
                        [](const type& e) { return says(e, {__VA_ARGS__}) || (BOOST_TEST_MESSAGE(e.what()), false); })

double f(Activation a, double u) {
  switch (a) {
    case Activation::tanh:
      return (std::exp(u) - std::exp(-u)) / (std::exp(u) + std::exp(-u));
    case Activation::relu:
      return u > 0 ? u : 0;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-u));
    case Activation::softplus:
      return std::log(1 + std::exp(u));
    case Activation::identity:
      return u;
  }
  return 0;
}

/// The losses as a textbook has them: fine for numbers of ordinary size.
double textbook_loss(Loss loss, const Vector& v, const Vector& target) {
  double sum = 0;
  for (Index k = 0; k < v.size(); ++k) {
    const double s = 1 / (1 + std::exp(-v(k)));
    if (loss == Loss::squared) sum += 0.5 * std::pow(v(k) - target(k), 2);
    if (loss == Loss::softmax_ce) sum -= target(k) * std::log(std::exp(v(k)) / v.array().exp().sum());
    if (loss == Loss::sigmoid_ce) sum -= target(k) * std::log(s) + (1 - target(k)) * std::log(1 - s);
    if (loss == Loss::tanh_squared) sum += 0.5 * std::pow(std::tanh(v(k)) - target(k), 2);
  }
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_run_follows_the_equations_number_by_number) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    BOOST_TEST_CONTEXT(kind) {
      const auto run = rnn::run(net, sequence);
      const auto& p = net.parameters;
      std::vector<double> h(net.h_0.data(), net.h_0.data() + net.d());
      double loss = 0;
      for (Index t = 0; t < sequence.length(); ++t) {
        std::vector<double> next(h.size());
        for (Index i = 0; i < net.d(); ++i) {
          double u = p.b_rec(i);
          for (Index j = 0; j < net.d(); ++j) u += p.W_rec(i, j) * h[static_cast<std::size_t>(j)];
          for (Index j = 0; j < net.n(); ++j) u += p.W_in(i, j) * sequence.x(j, t);
          next[static_cast<std::size_t>(i)] = 0.7 * h[static_cast<std::size_t>(i)] + 0.3 * f(net.activation, u);
          BOOST_TEST(std::abs(run.u(i, t) - u) < 1e-13);
          BOOST_TEST(std::abs(run.h(i, t + 1) - next[static_cast<std::size_t>(i)]) < 1e-13);
        }
        h = next;
        Vector v = p.b_out;
        for (Index k = 0; k < net.m(); ++k)
          for (Index i = 0; i < net.d(); ++i) v(k) += p.W_out(k, i) * h[static_cast<std::size_t>(i)];
        BOOST_TEST(tests::relative(run.v.col(t), v) < 1e-13);
        const double L = textbook_loss(net.loss, v, sequence.target.col(t));
        BOOST_TEST(std::abs(run.losses(t) - L) < 1e-13 * (1 + std::abs(L)));
        loss += L;
      }
      BOOST_TEST(std::abs(run.loss - loss) < 1e-12 * (1 + std::abs(loss)));
      BOOST_TEST(std::abs(rnn::loss_at(net, sequence, flatten(net.parameters)) - run.loss) <
                 1e-13 * (1 + std::abs(loss)));
    }
  });
}

BOOST_AUTO_TEST_CASE(at_alpha_1_it_is_elmans_network) {
  auto net = tests::generic_network(Activation::tanh, Loss::squared);
  net.alpha = 1;
  const auto sequence = tests::generic_sequence(net);
  const auto run = rnn::run(net, sequence);
  BOOST_TEST(tests::relative(run.h.rightCols(7), run.u.array().tanh().matrix()) < 1e-15);
}

BOOST_AUTO_TEST_CASE(predictions_are_what_the_losses_compare) {
  const Vector v = (Vector(4) << 0.3, -1.2, 2, 0).finished();
  BOOST_TEST((rnn::prediction(Loss::squared, v) == v));
  BOOST_TEST(tests::relative(rnn::prediction(Loss::softmax_ce, v), v.array().exp().matrix() / v.array().exp().sum()) <
             1e-15);
  BOOST_TEST(tests::relative(rnn::prediction(Loss::sigmoid_ce, v), (1 / (1 + (-v.array()).exp())).matrix()) < 1e-15);
  BOOST_TEST(tests::relative(rnn::prediction(Loss::tanh_squared, v), v.array().tanh().matrix()) < 1e-15);
  const Vector far = (Vector(3) << 1000, -1000, 0).finished();
  BOOST_TEST((rnn::prediction(Loss::softmax_ce, far) == Vector::Unit(3, 0)));
}

/// L_t of whole vectors.
double recorded_loss(Loss loss, const Vector& v, const Vector& target) {
  ad::Tape tape;
  return rnn::loss_t(loss, ad::input(tape, v), ad::VarMatrix(target)).value();
}

// Values and gradients by v where exp(|v|) overflows, against what they are in the limit.
BOOST_AUTO_TEST_CASE(losses_are_right_for_large_inputs) {
  struct Row {
    Loss loss;
    Vector v, target;
    double value;
    Vector gradient;
  };
  const auto vec = [](std::initializer_list<double> x) {
    return Vector(Eigen::Map<const Vector>(x.begin(), static_cast<Index>(x.size())));
  };
  const std::vector<Row> rows = {
      {Loss::softmax_ce, vec({1000, 0, -1000}), vec({0, 1, 0}), 1000, vec({1, -1, 0})},
      {Loss::softmax_ce, vec({1000, 0, -1000}), vec({1, 0, 0}), 0, vec({0, 0, 0})},
      {Loss::softmax_ce, vec({800, 800}), vec({1, 0}), std::log(2.), vec({-0.5, 0.5})},
      {Loss::softmax_ce, vec({-1000, -1000, -1000}), vec({0.2, 0.3, 0.1}), 0.6 * std::log(3.), vec({0, -0.1, 0.1})},
      {Loss::softmax_ce, vec({-1000, 1000}), vec({0.5, 0.5}), 1000, vec({-0.5, 0.5})},
      {Loss::sigmoid_ce, vec({800, -800}), vec({1, 0}), 0, vec({0, 0})},
      {Loss::sigmoid_ce, vec({800, -800}), vec({0, 1}), 1600, vec({1, -1})},
      {Loss::sigmoid_ce, vec({1000, -1000}), vec({0.25, 0.25}), 1000, vec({0.75, -0.25})},
      {Loss::tanh_squared, vec({1000, -1000}), vec({1, 1}), 2, vec({0, 0})},
      {Loss::squared, vec({1000, -1000}), vec({1, -1}), 999. * 999, vec({999, -999})},
  };
  for (const Row& r : rows) {
    BOOST_TEST_CONTEXT(rnn::loss_names[static_cast<int>(r.loss)] << " at " << r.v.transpose() << " for "
                                                                 << r.target.transpose()) {
      const auto loss = [&](const auto& v) { return rnn::loss_t(r.loss, v, r.target); };
      BOOST_TEST(std::abs(loss(r.v) - r.value) <= 1e-12 * r.value);
      const auto reverse = ad::gradient(loss, r.v);
      const auto forward =
          ad::jacobian([&](const auto& v) { return VectorX<std::decay_t<decltype(v(0))>>::Constant(1, loss(v)); }, r.v);
      BOOST_TEST((reverse - r.gradient).cwiseAbs().maxCoeff() <= 1e-12 * 999);
      BOOST_TEST((forward.transpose() - r.gradient).cwiseAbs().maxCoeff() <= 1e-12 * 999);
      ad::Tape tape;
      const ad::VarMatrix v = ad::input(tape, r.v);
      const ad::Var whole = rnn::loss_t(r.loss, v, ad::VarMatrix(r.target));
      tape.reverse(whole);
      BOOST_TEST(std::abs(whole.value() - r.value) <= 1e-12 * r.value);
      BOOST_TEST((ad::adjoint(tape, v) - r.gradient).cwiseAbs().maxCoeff() <= 1e-12 * 999);
    }
  }
}

// A loss that is nearly nothing keeps its digits: -log softmax(v)_1 = log(1 + exp(-50)), where exp(-50) = 2e-22.
BOOST_AUTO_TEST_CASE(small_losses_do_not_cancel) {
  const double e = std::exp(-50.);
  const auto check = [](Loss loss, const Vector& v, const Vector& target, double want) {
    BOOST_TEST(std::abs(rnn::loss_t(loss, v, target) / want - 1) < 1e-14);
    BOOST_TEST(std::abs(recorded_loss(loss, v, target) / want - 1) < 1e-14);
  };
  const Eigen::Vector2d first(1, 0);
  check(Loss::softmax_ce, Eigen::Vector2d(50, 0), first, e);
  check(Loss::softmax_ce, Eigen::Vector2d(1e15 + 1, 1e15), first, std::log1p(std::exp(-1)));
  check(Loss::sigmoid_ce, Eigen::Vector2d(50, -50), first, 2 * e);
  BOOST_TEST((!std::signbit(recorded_loss(Loss::softmax_ce, Eigen::Vector2d(999, 0), first))));
}

BOOST_AUTO_TEST_CASE(what_is_not_a_number_costs_no_number) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Loss loss : {Loss::squared, Loss::softmax_ce, Loss::sigmoid_ce, Loss::tanh_squared})
    for (const Index m : {1, 2, 9})
      for (Index k = 0; k < m; ++k) {
        Vector v = Vector::LinSpaced(m, -1, 1), target = Vector::Constant(m, 0.5);
        for (double& number : {std::ref(v[k]), std::ref(target[k])}) {
          const double was = std::exchange(number, nan);
          BOOST_TEST_CONTEXT(rnn::loss_names[static_cast<int>(loss)] << ", m = " << m << ", k = " << k) {
            BOOST_TEST(std::isnan(rnn::loss_t(loss, v, target)));
            BOOST_TEST(std::isnan(recorded_loss(loss, v, target)));
            if (&number == &v[k]) BOOST_TEST(std::isnan(rnn::prediction(loss, v)[k]));
          }
          number = was;
        }
      }
}

BOOST_AUTO_TEST_CASE(parameters_flatten_and_come_back) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto& theta = net.parameters;
  const Vector all = flatten(theta);
  BOOST_TEST(all.size() == size(theta));
  BOOST_TEST(size(theta) == 5 * 5 + 5 * 3 + 5 + 2 * 5 + 2);
  for (Index i = 0; i < all.size(); ++i) BOOST_TEST(rnn::element(theta, i) == all(i));
  BOOST_TEST(all(1) == theta.W_rec(1, 0));      // column by column
  BOOST_TEST(all(25 + 5) == theta.W_in(0, 1));  // [W_rec | W_in | b_rec], then the readout
  BOOST_TEST(all(40 + 4) == theta.b_rec(4));
  BOOST_TEST(all(45 + 3) == theta.W_out(1, 1));
  BOOST_TEST(all(56) == theta.b_out(1));
  const auto back = unflatten(theta, all);
  rnn::for_each_block([](auto, const auto& a, const auto& b) { BOOST_TEST((a == b)); }, theta, back);
  THROWS(unflatten(theta, Vector(3)), std::invalid_argument, "3", "57");
}

BOOST_AUTO_TEST_CASE(sizes_that_do_not_fit_are_named) {
  const auto good = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(good);
  BOOST_CHECK_NO_THROW(check(good, sequence));
  {
    auto net = good;
    net.parameters.W_rec.resize(5, 4);
    THROWS(rnn::run(net, sequence), std::invalid_argument, "W_rec", "5 x 4", "5 x 5");
  }
  {
    auto net = good;
    net.parameters.W_in.resize(4, 3);
    THROWS(check(net), std::invalid_argument, "W_in", "4 x 3", "5 x 3");
  }
  {
    auto net = good;
    net.parameters.b_rec.resize(6);
    THROWS(check(net), std::invalid_argument, "b_rec", "6 x 1", "5 x 1");
  }
  {
    auto net = good;
    net.parameters.W_out.resize(2, 6);
    THROWS(check(net), std::invalid_argument, "W_out", "2 x 6", "2 x 5");
  }
  {
    auto net = good;
    net.parameters.b_out.resize(1);
    THROWS(check(net), std::invalid_argument, "b_out", "1 x 1", "2 x 1");
  }
  {
    auto net = good;
    net.h_0.resize(0);
    THROWS(check(net), std::invalid_argument, "h_0", "0 x 1", "5 x 1");
  }
  THROWS(check(rnn::Network<double>{}), std::invalid_argument, "W_rec is 0 x 0");
  THROWS(check(good, {sequence.x.topRows(2), sequence.target}), std::invalid_argument, "x is 2", "is 3");
  THROWS(check(good, {sequence.x, sequence.target.topRows(1)}), std::invalid_argument, "target is 1", "is 2");
  THROWS(check(good, {sequence.x, sequence.target.leftCols(6)}), std::invalid_argument, "steps of target is 6", "is 7");
  THROWS(check(good, {sequence.x.leftCols(0), sequence.target.leftCols(0)}), std::invalid_argument, "no steps");
  THROWS(rnn::loss_t(Loss::squared, Vector(2), Vector(3)), std::invalid_argument, "target is 3", "v is 2");
}

BOOST_AUTO_TEST_CASE(a_network_without_inputs_runs) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared, 1, 0, 4, 2);
  const auto sequence = tests::generic_sequence(net);
  BOOST_TEST(rnn::run(net, sequence).loss > 0);
}

BOOST_AUTO_TEST_CASE(tensors_contract_along_their_first_axis) {
  rnn::Random random(3);
  const rnn::Tensor3<double> p(random.normal(4, 3 * 2), 3);  // 4 x 3 x 2
  const MatrixX<double> a = random.normal(5, 4);
  const auto c = contract_first_axis(a, p);
  BOOST_TEST((c.dimension(0) == 5 && c.dimension(1) == 3 && c.dimension(2) == 2));
  const MatrixX<double> row = a.row(1), q = contract_row(row, p);
  for (Index j = 0; j < 3; ++j)
    for (Index k = 0; k < 2; ++k) {
      double sum = 0;
      for (Index i = 0; i < 4; ++i) sum += a(1, i) * p(i, j, k);
      BOOST_TEST(std::abs(c(1, j, k) - sum) < 1e-14);
      BOOST_TEST(std::abs(q(j, k) - sum) < 1e-14);
      BOOST_TEST(p.slice(k)(2, j) == p(2, j, k));
    }
  THROWS(p.slice(2), std::out_of_range, "2", "axis 3");
  THROWS(p(4, 0, 0), std::out_of_range, "4", "axis 1");
  THROWS(contract_first_axis(MatrixX<double>(1, 3), p), std::invalid_argument, "is 3", "is 4");
  THROWS(contract_row(MatrixX<double>(2, 4), p), std::invalid_argument, "is 2", "is 1");
  THROWS(rnn::Tensor3<double>(MatrixX<double>(4, 7), 3), std::invalid_argument, "7", "3");
}

BOOST_AUTO_TEST_CASE(tasks_and_weights_come_from_the_seed) {
  rnn::Random a(7), b(7), other(8);
  const auto net = rnn::random_network(3, 8, 2, a);
  const auto again = rnn::random_network(3, 8, 2, b);
  BOOST_TEST((flatten(net.parameters) == flatten(again.parameters)));
  BOOST_TEST((flatten(net.parameters) != flatten(rnn::random_network(3, 8, 2, other).parameters)));
  const MatrixX<double>& W = net.parameters.W_rec;
  BOOST_TEST((W * W.transpose() - MatrixX<double>::Identity(8, 8)).norm() < 1e-14);
  double mean = 0, square = 0;
  for (int i = 0; i < 10000; ++i) {
    const double x = a.normal();
    mean += x / 10000, square += x * x / 10000;
  }
  BOOST_TEST(std::abs(mean) < 0.04);  // four standard errors
  BOOST_TEST(std::abs(square - 1) < 0.06);
}
