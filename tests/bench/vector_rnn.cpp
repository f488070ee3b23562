// The network with whole vectors as entries of a tape, against BPTT by hand: with the same tanh, and with Eigen's.
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "hand_bptt.h"
#include "pair.h"
#include "rnn/recorded_step.h"
#include "rnn/task.h"
#include "verify.h"

namespace {

using Eigen::Index;

/// unroll's gradient: one tape, cleared between recordings.
class RecordedBptt {
 public:
  double operator()(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence,
                    rnn::Parameters<double>& gradient) {
    tape_.clear();
    const auto& [W_rec, W_in, b_rec, W_out, b_out] = net.parameters;
    const std::tuple theta(input(tape_, W_rec), input(tape_, W_in), input(tape_, b_rec), input(tape_, W_out),
                           input(tape_, b_out));
    ad::VarMatrix h = net.h_0;
    ad::Var loss;
    for (Index t = 0; t < sequence.length(); ++t) {
      const auto [h_t, loss_t] = recorded_step(net, theta, h, sequence.x.col(t), sequence.target.col(t));
      h = h_t;
      loss = t == 0 ? loss_t : ad::Var(loss + loss_t);
    }
    tape_.reverse(loss);
    const auto read = [&](auto& to, const ad::VarMatrix& from) { to = adjoint(tape_, from); };
    read(gradient.W_rec, std::get<0>(theta));
    read(gradient.W_in, std::get<1>(theta));
    read(gradient.b_rec, std::get<2>(theta));
    read(gradient.W_out, std::get<3>(theta));
    read(gradient.b_out, std::get<4>(theta));
    return loss.value();
  }
  std::size_t bytes() const { return tape_.bytes(); }

 private:
  ad::Tape tape_;
};

/// What is differentiated, and those who do it.
struct Bout {
  rnn::Network<double> net;
  rnn::Sequence<double> sequence;
  rnn::Parameters<double> gradient;
  RecordedBptt recorded;
  bench::HandBptt<bench::PacketTanh> by_hand;
  bench::HandBptt<bench::EigenTanh> by_hand_with_eigens_tanh;

  Bout(Index d, Index n, Index m, Index T) {
    rnn::Random random{1};
    net = rnn::random_network(n, d, m, random);
    net.alpha = 0.3;
    net.parameters.b_rec = random.normal(d, 1, 0.1);
    sequence = {random.normal(n, T), random.normal(m, T)};
    gradient = net.parameters;
  }

  /// By hand against differences, the others against that.
  void verify() {
    const rnn::VectorX<double> flat = flatten(net.parameters);
    const auto at = [&](const std::vector<double>& x) {
      rnn::Network<double> moved = net;
      moved.parameters =
          unflatten(net.parameters, Eigen::Map<const rnn::VectorX<double>>(x.data(), static_cast<Index>(x.size())));
      return run(moved, sequence).loss;
    };
    const auto result = [&](auto& by) {
      by(net, sequence, gradient);
      const rnn::VectorX<double> all = flatten(gradient);
      return std::vector<double>(all.begin(), all.end());
    };
    const std::vector<double> expected = result(by_hand);
    bench::verify_gradient("BPTT by hand", at, {flat.begin(), flat.end()}, expected, 200);
    bench::verify_equal("unroll", result(recorded), "by hand", expected);
    bench::verify_equal("by hand, Eigen's tanh", result(by_hand_with_eigens_tanh), "by hand", expected);
  }
};

bool add(Index d, Index n, Index m, double at_most) {
  const std::string name = fmt::format("vector RNN d={} n={} m={}", d, n, m);
  const auto make = [=](bool eigens_tanh) {
    const auto bout = std::make_shared<Bout>(d, n, m, 100);
    bench::Pair pair{.name = name, .reference = "by hand", .at_most = at_most};
    pair.run_reference = [bout] { bout->by_hand(bout->net, bout->sequence, bout->gradient); };
    pair.run = [bout] { bout->recorded(bout->net, bout->sequence, bout->gradient); };
    pair.verify = [bout] { bout->verify(); };
    if (eigens_tanh) {
      pair.name += ", Eigen's tanh", pair.reference += ", Eigen's tanh", pair.at_most = 1;
      pair.run_reference = [bout] { bout->by_hand_with_eigens_tanh(bout->net, bout->sequence, bout->gradient); };
    }
    return pair;
  };
  bench::pairs().emplace_back(name, [=] { return make(false); });
  bench::pairs().emplace_back(name + ", Eigen's tanh", [=] { return make(true); });
  return true;
}

bool add(Index n, Index m) {
  return add(16, n, m, 1.5) && add(32, n, m, 1.25) && add(64, n, m, 1.12) && add(128, n, m, 1.12) &&
         add(256, n, m, 1.12);
}
[[maybe_unused]] const bool added = add(2, 1) && add(8, 4);

}  // namespace
