// A step of RTRL by hand, with its gradient, against one bare Eigen product of the same shape.
#include "rules/rtrl.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "pair.h"
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

bool add(Index d, double at_most) {
  const std::string name = fmt::format("RTRL by hand, a step, d={}", d);
  const auto make = [=] {
    const auto step = std::make_shared<Step>(d);
    return bench::Pair{
        name, "product", at_most, [step] { step->bare(); }, [step] { step->observe(); }, [step] { step->verify(); }};
  };
  bench::pairs().emplace_back(name, make);
  return true;
}
[[maybe_unused]] const bool added = add(32, 1.25) && add(64, 1.15) && add(128, 1.0);

}  // namespace
