// A step of RTRL by hand, with its gradient, against one bare Eigen product of the same shape; and by AD against by hand.
#include "rules/rtrl.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "pair.h"
#include "rnn/panel_rtrl.h"
#include "rnn/task.h"

namespace {

using Eigen::Index;

/// One transition of a network, seen again and again: P converges, and the numbers stay normal.
struct Step {
  Index n = 2, m = 1;
  rnn::Random random{1};
  rnn::Network<double> net;
  rnn::VectorX<double> h, x, phi, q, e;
  rnn::MatrixX<double> J, P, product;
  rules::Rtrl<double> rule;

  explicit Step(Index d) : net(rnn::random_network(n, d, m, random)), rule(net) {
    net.alpha = 0.3;
    h = random.normal(d, 1), x = random.normal(n, 1), q = random.normal(d, 1), e = random.normal(m, 1);
    phi = net.alpha * random.normal(d, 1).array().tanh().abs();
    J = phi.asDiagonal() * net.parameters.W_rec;
    J.diagonal().array() += 1 - net.alpha;
    P = random.normal(d, d * (d + n + 1));
    product.resize(P.rows(), P.cols());
  }
  const rules::Gradient<double>& observe() {
    return rule.observe({h, x, h, h, phi, net.parameters.W_rec, net.alpha, q, e, e, false});
  }
  void bare() { product.noalias() = J * P; }

  /// Three steps from zero, written out.
  void verify() {
    rnn::VectorX<double> z(h.size() + n + 1);
    z << h, x, 1;
    rnn::MatrixX<double> expected = 0 * P;
    rule.reset();
    for (int t = 0; t < 3; ++t) {
      expected = (J * expected).eval();
      for (Index c = 0; c < expected.cols(); ++c) expected(c % h.size(), c) += phi(c % h.size()) * z(c / h.size());
      const rnn::VectorX<double> flat = expected.transpose() * q;
      const double off = (observe().reshaped() - flat).cwiseAbs().maxCoeff() / flat.cwiseAbs().maxCoeff() +
                         (rule.P() - expected).cwiseAbs().maxCoeff() / expected.cwiseAbs().maxCoeff();
      if (!(off < 1e-12)) throw std::runtime_error(fmt::format("RTRL by hand, d = {}: off by {}", h.size(), off));
    }
  }
};

/// Steps of the whole network, forward, errors and gradient, by forward mode and by hand.
struct Network {
  Index n = 2, m = 1;
  rnn::Random random{1};
  rnn::Network<double> net;
  rnn::VectorX<double> x, target, h, before, v, slope, error, output_error;
  rnn::Step<double> now;
  rnn::PanelRtrl by_ad;
  rules::Rtrl<double> rule;
  rules::Gradient<double> gradient;

  explicit Network(Index d) : net(leaky(rnn::random_network(n, d, m, random))), by_ad(net), rule(net) {
    x = random.normal(n, 1), target = random.normal(m, 1);
    reset();
  }
  static rnn::Network<double> leaky(rnn::Network<double> net) {
    net.alpha = 0.3;
    return net;
  }
  void reset() {
    by_ad.reset(), rule.reset();
    h = net.h_0;
  }
  void advance_by_ad() { by_ad.advance(x, target); }
  void advance_by_hand() {
    before = h;
    rnn::step(net, net.parameters, before, x, now);
    h = now.h;
    rnn::output(net.parameters, h, v);
    slope = net.alpha * (1 - now.f.array().square());
    output_error = v - target;
    error.noalias() = net.parameters.W_out.transpose() * output_error;
    gradient =
        rule.observe({before, x, now.u, h, slope, net.parameters.W_rec, net.alpha, error, output_error, target, false});
  }

  void verify() {
    reset();
    for (int t = 0; t < 3; ++t) advance_by_ad(), advance_by_hand();
    const rnn::Parameters<double> all = by_ad.gradient();
    rules::Gradient<double> recurrent(gradient.rows(), gradient.cols());
    recurrent << all.W_rec, all.W_in, all.b_rec;
    const double off = (recurrent - gradient).cwiseAbs().maxCoeff() / gradient.cwiseAbs().maxCoeff() +
                       (by_ad.P() - rule.P()).cwiseAbs().maxCoeff() / rule.P().cwiseAbs().maxCoeff();
    if (!(off < 1e-12)) throw std::runtime_error(fmt::format("RTRL by AD, d = {}: off by {}", h.size(), off));
  }
};

void by_hand(Index d, double at_most) {
  const std::string name = fmt::format("RTRL by hand, a step, d={}", d);
  bench::pairs().emplace_back(name, [=] {
    const auto step = std::make_shared<Step>(d);
    bench::Pair pair{.name = name, .reference = "product", .at_most = at_most};
    pair.run_reference = [=] { step->bare(); };
    pair.run = [=] { step->observe(); };
    pair.verify = [=] { step->verify(); };
    return pair;
  });
}
void by_ad(Index d, double at_most) {
  const std::string name = fmt::format("RTRL by AD, a step, d={}", d);
  bench::pairs().emplace_back(name, [=] {
    const auto network = std::make_shared<Network>(d);
    bench::Pair pair{.name = name, .reference = "by hand", .at_most = at_most};
    pair.run_reference = [=] { network->advance_by_hand(); };
    pair.run = [=] { network->advance_by_ad(); };
    pair.verify = [=] { network->verify(); };
    return pair;
  });
}
[[maybe_unused]] const bool added = [] {
  by_hand(32, 1.25), by_hand(64, 1.15), by_hand(128, 1.0);
  for (const Index d : {32, 64, 128}) by_ad(d, 1.3);
  return true;
}();

}  // namespace
