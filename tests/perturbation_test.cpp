// Rules that try a direction and look at the loss: what they are in the limit and in the mean, and that they replay.
#include <boost/test/unit_test.hpp>

#include "ad/operators.h"
#include "rnn/alignment.h"
#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rules/registry.h"
#include "tests/networks.h"

namespace {

using Eigen::Index;
using rnn::Activation, rnn::Loss, rnn::MatrixX, rnn::Parameters;
using Matrix = MatrixX<double>;
using Vector = rnn::VectorX<double>;
using Recorded = std::vector<std::vector<double>>;
using Gradient = rules::Gradient<double>;

std::vector<double> numbers(const Matrix& m) { return {m.data(), m.data() + m.size()}; }
/// Columns of a matrix as entries of a record.
Recorded columns(const Matrix& m) {
  Recorded r;
  for (Index t = 0; t < m.cols(); ++t) r.push_back(numbers(m.col(t)));
  return r;
}
/// All of it drawn in the first step.
Recorded at_once(const Matrix& m, Index length) {
  Recorded r(static_cast<std::size_t>(length));
  r[0] = numbers(m);
  return r;
}
rnn::Options with(Recorded draws, double sigma = 1e-3) {
  rnn::Options options;
  options.draws = rnn::Draws(std::move(draws));
  options.sigma = sigma;
  return options;
}
template <template <class> class R>
std::vector<Gradient> parts(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence,
                            const rnn::Options& options) {
  R<double> rule(net, options);
  std::vector<Gradient> g;
  for (const auto& p : rules::learn(rule, net, sequence, true).per_step) g.push_back(recurrent(p));
  return g;
}
template <template <class> class R>
Gradient total(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, const rnn::Options& options) {
  R<double> rule(net, options);
  return recurrent(rules::learn(rule, net, sequence).gradient);
}

/// The rule of this id. (rules::make_rule would compile every rule there is.)
std::unique_ptr<rules::AnyRule<double>> make(std::string_view id, const rnn::Network<double>& net,
                                             const rnn::Options& options) {
  const auto chosen = [&]<class R>(std::type_identity<R>) -> std::unique_ptr<rules::AnyRule<double>> {
    return std::make_unique<rules::detail::Chosen<R, double>>(net, options);
  };
  if (id == "forward-gradient") return chosen(std::type_identity<rules::ForwardGradient<double>>());
  if (id == "weight-perturbation") return chosen(std::type_identity<rules::WeightPerturbation<double>>());
  if (id == "node-perturbation") return chosen(std::type_identity<rules::NodePerturbation<double>>());
  return chosen(std::type_identity<rules::ActivityPerturbation<double>>());
}

/// L_t with `noise` (d x T) on u_t and `on_v` (m x T) on v_t, another way: as biases of each step.
Vector losses(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, const Matrix& noise,
              const Matrix& on_v, Matrix* u = nullptr) {
  Vector h = net.h_0, l(sequence.length());
  if (u != nullptr) u->resize(net.d(), sequence.length());
  for (Index t = 0; t < sequence.length(); ++t) {
    Parameters<double> theta = net.parameters;
    theta.b_rec += noise.col(t), theta.b_out += on_v.col(t);
    const auto now = step(net, theta, h, sequence.x.col(t));
    h = now.h;
    if (u != nullptr) u->col(t) = now.u;
    l(t) = loss_t(net.loss, output(theta, h), sequence.target.col(t));
  }
  return l;
}

/// A small network whose signs can all be tried, and f(signs, rows x cols) for each choice.
rnn::Network<double> small(Activation activation) {
  return tests::generic_network(activation, Loss::squared, 7, 1, 2, 2);
}
template <class F>
void for_all_signs(Index rows, Index cols, F&& f) {
  Matrix signs(rows, cols);
  for (long code = 0; code < 1L << signs.size(); ++code) {
    for (Index i = 0; i < signs.size(); ++i) signs.data()[i] = (code >> i & 1) != 0 ? 1 : -1;
    f(signs);
  }
}

}  // namespace

// --- forward gradient ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_forward_gradient_is_the_engines_derivative_along_V_times_V) {
  tests::for_each_kind([](const auto& net, const auto& sequence, const std::string& kind) {
    const Matrix V = rnn::Random(8).normal(5, 9);
    Parameters<double> direction = zeros_like(net.parameters);
    rules::add<double>(V, direction);
    const double along = ad::jvp([&](const auto& at) { return rnn::loss_at(net, sequence, at); },
                                 flatten(net.parameters), flatten(direction));
    rnn::Rtrl<double> exact(net);
    rules::ForwardGradient<double> rule(net, with(at_once(V, 7)));
    const auto got = rules::learn(rule, net, sequence, true);
    BOOST_TEST_CONTEXT(kind) {
      BOOST_TEST(tests::relative(recurrent(got.gradient), along * V) < 1e-12);
      BOOST_TEST((rule.direction() == V));
      for (Index t = 1; t <= 7; ++t) {
        exact.advance(sequence.x.col(t - 1), sequence.target.col(t - 1));
        const double slope = recurrent(exact.gradient()).cwiseProduct(V).sum();
        BOOST_TEST(tests::relative(recurrent(got.per_step[static_cast<std::size_t>(t - 1)]), slope * V) < 1e-12);
      }
      BOOST_TEST(tests::relative(rule.tangent(), exact.P() * V.reshaped()) < 1e-12);  // P_t V
    }
  });
}

BOOST_AUTO_TEST_CASE(over_all_signs_the_mean_is_the_gradient_and_the_variance_P_minus_1) {
  const auto net = small(Activation::tanh);
  const auto sequence = tests::generic_sequence(net, 3);
  rules::Bptt<double> bptt(net);
  const Gradient exact = recurrent(rules::learn(bptt, net, sequence).gradient);
  Gradient mean = Gradient::Zero(2, 4);
  double square = 0;
  for_all_signs(2, 4, [&](const Matrix& V) {
    const Gradient g = total<rules::ForwardGradient>(net, sequence, with(at_once(V, 3)));
    mean += g / 256;
    square += (g - exact).squaredNorm() / 256;
  });
  BOOST_TEST(tests::relative(mean, exact) < 1e-13);
  BOOST_TEST(square / exact.squaredNorm() == 7., boost::test_tools::tolerance(1e-12));
}

// --- finite perturbations ------------------------------------------------------------------------------------------

// The derivative along the noise: a one-sided difference misses it by O(sigma), an antithetic one by O(sigma^2).
template <template <class> class R>
void falls_towards(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, rnn::Options options,
                   const Gradient& limit) {
  const auto error = [&](double sigma, bool antithetic) {
    options.sigma = sigma, options.antithetic = antithetic;
    return (total<R>(net, sequence, options) - limit).norm() / limit.norm();
  };
  const double one_sided = error(1e-3, false) / error(5e-4, false);
  const double both = error(1e-2, true) / error(5e-3, true);
  BOOST_TEST((one_sided > 1.9 && one_sided < 2.1), "one-sided: " << one_sided);
  BOOST_TEST((both > 3.9 && both < 4.1), "antithetic: " << both);
  BOOST_TEST(error(1e-4, true) < 1e-6);
}

BOOST_AUTO_TEST_CASE(weight_perturbation_falls_towards_the_forward_gradient) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const auto draws = at_once(rnn::Random(8).normal(5, 9), 7);
  falls_towards<rules::WeightPerturbation>(net, sequence, with(draws),
                                           total<rules::ForwardGradient>(net, sequence, with(draws)));
}

BOOST_AUTO_TEST_CASE(weight_noise_of_each_step_falls_towards_the_derivative_along_it) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const rnn::Credit<double> credit(net, sequence, true);
  const Matrix xi = rnn::Random(8).normal(45, 7);
  for (const double lambda : {0., 0.6, 1.}) {
    Gradient limit = Gradient::Zero(5, 9), trace = limit;
    for (Index t = 1; t <= 7; ++t) {
      trace = lambda * trace + xi.col(t - 1).reshaped(5, 9);
      double along = 0;
      for (Index s = 1; s <= t; ++s)
        along += recurrent(credit.block(t, s)).cwiseProduct(xi.col(s - 1).reshaped(5, 9)).sum();
      limit += along * trace;
    }
    auto options = with(columns(xi));
    options.lambda = lambda;
    falls_towards<rules::WeightPerturbation>(net, sequence, options, limit);
  }
}

BOOST_AUTO_TEST_CASE(node_perturbation_falls_towards_the_derivative_along_its_noise) {
  const auto net = tests::generic_network(Activation::softplus, Loss::sigmoid_ce);
  const auto sequence = tests::generic_sequence(net);
  const auto run = rnn::run(net, sequence);
  rules::DoubleSum<double> sum(net);
  sum.keep_blocks();
  rules::learn(sum, net, sequence);
  const Matrix xi = rnn::Random(8).normal(5, 7);
  const auto z = [&](Index t) {
    Vector z_t(9);
    z_t << run.h.col(t - 1), sequence.x.col(t - 1), 1;
    return z_t;
  };
  const auto along = [&](Index t) {  // dL_t along the noise: its last column of each block is dL_t/du_s
    double slope = 0;
    for (Index s = 1; s <= t; ++s) slope += sum.block(t, s).col(8).dot(xi.col(s - 1));
    return slope;
  };
  Gradient all = Gradient::Zero(5, 9);
  double slope = 0;
  for (Index t = 1; t <= 7; ++t) all += xi.col(t - 1) * z(t).transpose(), slope += along(t);
  falls_towards<rules::NodePerturbation>(net, sequence, with(columns(xi)), slope * all);
  for (const double lambda : {0., 0.6, 1.}) {
    Gradient trace = Gradient::Zero(5, 9), limit = trace;
    for (Index t = 1; t <= 7; ++t) {
      trace = lambda * trace + xi.col(t - 1) * z(t).transpose();
      limit += along(t) * trace;
    }
    auto options = with(columns(xi));
    options.lambda = lambda;
    falls_towards<rules::NodePerturbation>(net, sequence, options, limit);
  }
}

// Where the network is linear and the loss squared, antithetic noise of any size measures the derivative exactly.
BOOST_AUTO_TEST_CASE(over_all_signs_node_perturbation_is_the_gradient) {
  const auto net = small(Activation::identity);
  const auto sequence = tests::generic_sequence(net, 3);
  const rnn::Credit<double> credit(net, sequence, true);
  const auto mean = [&](std::optional<double> lambda) {
    std::vector<Gradient> m(3, Gradient::Zero(2, 4));
    for_all_signs(2, 3, [&](const Matrix& xi) {
      auto options = with(columns(xi), 0.5);
      options.antithetic = true, options.lambda = lambda;
      const auto g = parts<rules::NodePerturbation>(net, sequence, options);
      for (std::size_t t = 0; t < 3; ++t) m[t] += g[t] / 64;
    });
    return m;
  };
  const auto whole = mean({}), online = mean(1.), at_once = mean(0.);
  BOOST_TEST((whole[0].isZero(0) && whole[1].isZero(0)));
  BOOST_TEST(tests::relative(whole[2], recurrent(credit.total())) < 1e-13);
  for (std::size_t t = 0; t < 3; ++t) {
    const auto time = static_cast<Index>(t) + 1;
    BOOST_TEST(tests::relative(online[t], recurrent(credit.row_sum(time))) < 1e-13);
    BOOST_TEST(tests::relative(at_once[t], recurrent(credit.block(time, time))) < 1e-13);
  }
}

BOOST_AUTO_TEST_CASE(over_all_signs_the_bias_falls_as_sigma_squared) {
  const auto net = small(Activation::tanh);
  const auto sequence = tests::generic_sequence(net, 3);
  rules::Bptt<double> bptt(net);
  const Gradient exact = recurrent(rules::learn(bptt, net, sequence).gradient);
  const auto bias = [&](double sigma) {
    Gradient mean = Gradient::Zero(2, 4);
    for_all_signs(2, 3, [&](const Matrix& xi) {
      mean += total<rules::NodePerturbation>(net, sequence, with(columns(xi), sigma)) / 64;
    });
    return (mean - exact).norm() / exact.norm();
  };
  const double ratio = bias(2e-2) / bias(1e-2);
  BOOST_TEST((ratio > 3.9 && ratio < 4.1), ratio);
  BOOST_TEST(bias(1e-3) < 1e-5);
}

BOOST_AUTO_TEST_CASE(activity_perturbation_is_its_formula) {
  for (const bool outputs : {false, true})
    for (const bool antithetic : {false, true}) {
      const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
      const auto sequence = tests::generic_sequence(net);
      Matrix xi = rnn::Random(8).normal(5 + 2, 7);
      if (!outputs) xi.bottomRows(2).setZero();
      const double sigma = 0.01;
      Matrix u, moved;
      const Vector clean = losses(net, sequence, Matrix::Zero(5, 7), Matrix::Zero(2, 7), &u);
      std::vector<Gradient> expected(7, Gradient::Zero(5, 9));
      const auto run = rnn::run(net, sequence);
      for (const double sign : antithetic ? std::vector{1., -1.} : std::vector{1.}) {
        const Vector worse =
            losses(net, sequence, sign * sigma * xi.topRows(5), sign * sigma * xi.bottomRows(2), &moved) - clean;
        for (Index t = 0; t < 7; ++t) {
          Vector z(9);
          z << run.h.col(t), sequence.x.col(t), 1;
          const Vector du = moved.col(t) - u.col(t);
          expected[static_cast<std::size_t>(t)] +=
              worse(t) * std::sqrt(3. + 5 + 2) * du / du.squaredNorm() * z.transpose() / (antithetic ? 2 : 1);
        }
      }
      auto options = with(columns(outputs ? xi : Matrix(xi.topRows(5))), sigma);
      options.perturb_outputs = outputs, options.antithetic = antithetic;
      const auto got = parts<rules::ActivityPerturbation>(net, sequence, options);
      for (std::size_t t = 0; t < 7; ++t)  // differences of losses, over sigma
        BOOST_TEST(tests::relative(got[t], expected[t]) < 1e-11);
    }
}

BOOST_AUTO_TEST_CASE(noise_on_the_outputs_is_in_the_loss) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const Matrix xi = rnn::Random(8).normal(5 + 2, 7);
  const double sigma = 0.01;
  const Vector worse = losses(net, sequence, sigma * xi.topRows(5), sigma * xi.bottomRows(2)) -
                       losses(net, sequence, Matrix::Zero(5, 7), Matrix::Zero(2, 7));
  auto options = with(columns(xi), sigma);
  options.perturb_outputs = true;
  rules::NodePerturbation<double> rule(net, options);
  const Gradient got = recurrent(rules::learn(rule, net, sequence).gradient);
  BOOST_TEST(tests::relative(got, worse.sum() / sigma * rule.trace()) < 1e-11);
  BOOST_TEST(rule.difference() == worse(6), boost::test_tools::tolerance(1e-10));
}

BOOST_AUTO_TEST_CASE(weight_noise_makes_another_network) {
  const auto net = tests::generic_network(Activation::tanh, Loss::softmax_ce);
  const auto sequence = tests::generic_sequence(net);
  const Matrix xi = rnn::Random(8).normal(45 + 10 + 2, 1);
  const double sigma = 0.01;
  for (const bool outputs : {false, true}) {
    auto noisy = net;
    rules::add<double>(sigma * xi.topRows(45).reshaped(5, 9), noisy.parameters);
    if (outputs) {
      noisy.parameters.W_out += sigma * xi.middleRows(45, 10).reshaped(2, 5);
      noisy.parameters.b_out += sigma * xi.bottomRows(2);
    }
    const Vector worse = rnn::run(noisy, sequence).losses - rnn::run(net, sequence).losses;
    auto options = with(at_once(outputs ? xi : Matrix(xi.topRows(45)), 7), sigma);
    options.perturb_outputs = outputs;
    const auto got = parts<rules::WeightPerturbation>(net, sequence, options);
    for (Index t = 0; t < 7; ++t)
      BOOST_TEST(tests::relative(got[static_cast<std::size_t>(t)], worse(t) / sigma * xi.topRows(45).reshaped(5, 9)) <
                 1e-11);
  }
}

BOOST_AUTO_TEST_CASE(samples_are_averaged_and_drawn_one_after_the_other) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  const auto check = [&](const char* id, const Matrix& first, const Matrix& second, bool once) {
    Matrix both(first.rows() + second.rows(), once ? 1 : 7);
    both << first, second;
    const auto record = [&](const Matrix& m) { return once ? at_once(m, 7) : columns(m); };
    const auto run = [&](const Matrix& m, Index samples) {
      auto options = with(record(m), 0.01);
      options.samples = samples;
      return recurrent(rules::learn(*make(id, net, options), net, sequence).gradient);
    };
    BOOST_TEST_CONTEXT(id) BOOST_TEST(tests::relative(run(both, 2), 0.5 * (run(first, 1) + run(second, 1))) < 1e-12);
  };
  rnn::Random random(9);
  for (const char* id : {"forward-gradient", "weight-perturbation"})
    check(id, random.normal(45, 1), random.normal(45, 1), true);
  for (const char* id : {"node-perturbation", "activity-perturbation"})
    check(id, random.normal(5, 7), random.normal(5, 7), false);
}

BOOST_AUTO_TEST_CASE(a_seed_repeats_and_a_sequence_begins_anew) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  for (const char* id : {"forward-gradient", "weight-perturbation", "node-perturbation", "activity-perturbation"})
    BOOST_TEST_CONTEXT(id) {
      rnn::Options options;
      options.draws = rnn::Draws(5);
      const auto one = make(id, net, options), two = make(id, net, options);
      const auto first = rules::learn(*one, net, sequence).gradient.W_rec;
      BOOST_TEST((first == rules::learn(*two, net, sequence).gradient.W_rec));
      const auto later = rules::learn(*one, net, sequence).gradient.W_rec;
      BOOST_TEST((later != first));  // other numbers, ...
      const auto recorded = [&](Index times) {
        const Matrix xi = rnn::Random(3).normal(id[0] == 'f' || id[0] == 'w' ? 45 : 5, 7);
        const Recorded r = id[0] == 'f' ? at_once(xi.col(0), 7) : columns(xi);
        Recorded all;
        for (Index i = 0; i < times; ++i) all.insert(all.end(), r.begin(), r.end());
        auto o = with(all);
        if (id[0] == 'w' || id[0] == 'n') o.lambda = 1;  // a trace, to be forgotten too
        return o;
      };
      const auto twice = make(id, net, recorded(2)), once = make(id, net, recorded(1));
      rules::learn(*twice, net, sequence);  // ... and with the same numbers, the same again
      BOOST_TEST(
          (rules::learn(*twice, net, sequence).gradient.W_rec == rules::learn(*once, net, sequence).gradient.W_rec));
      auto signs = options;
      signs.signs = true;
      BOOST_TEST((rules::learn(*make(id, net, signs), net, sequence).gradient.W_rec != first));
    }
  auto signs = rnn::Options{};
  signs.signs = true;
  rules::ForwardGradient<double> rule(net, signs);
  rules::learn(rule, net, sequence);
  BOOST_TEST((rule.direction().cwiseAbs() == Matrix::Ones(5, 9)));
}

BOOST_AUTO_TEST_CASE(nothing_is_divided_by_zero) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  for (const char* id : {"forward-gradient", "weight-perturbation", "node-perturbation", "activity-perturbation"})
    BOOST_TEST_CONTEXT(id) {
      const Matrix none = Matrix::Zero(id[0] == 'f' || id[0] == 'w' ? 45 : 5, 7);
      const auto draws = id[0] == 'f' || id[0] == 'w' ? at_once(none.col(0), 7) : columns(none);
      const auto g = rules::learn(*make(id, net, with(draws)), net, sequence).gradient;
      BOOST_TEST((recurrent(g).array() == 0).all());
      for (const double sigma : {0., -1., std::numeric_limits<double>::quiet_NaN()})
        BOOST_CHECK_THROW(make(id, net, with({}, sigma)), std::invalid_argument);
      auto options = with({});
      options.samples = 0;
      BOOST_CHECK_THROW(make(id, net, options), std::invalid_argument);
    }
}

BOOST_AUTO_TEST_CASE(where_the_network_is_not_asked_no_loss_is_felt) {
  const auto net = tests::generic_network(Activation::tanh, Loss::squared);
  const auto sequence = tests::generic_sequence(net);
  for (const char* id : {"forward-gradient", "weight-perturbation", "node-perturbation", "activity-perturbation"})
    for (const bool antithetic : {false, true}) BOOST_TEST_CONTEXT(id) {
        rnn::Options options;
        options.lambda = 1, options.antithetic = antithetic;
        const auto rule = make(id, net, options);
        rules::Loop<double> loop(net);
        BOOST_TEST((loop.advance(*rule, sequence.x.col(0), sequence.target.col(0), false, false).array() == 0).all());
        BOOST_TEST((loop.advance(*rule, sequence.x.col(1), sequence.target.col(1), false, true).array() != 0).all());
      }
}
