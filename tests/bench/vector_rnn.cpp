// The network with whole vectors as entries of a tape, against BPTT by hand: with the same tanh, and with Eigen's.
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "hand_bptt.h"
#include "pair.h"
#include "rnn/recorded_bptt.h"
#include "rnn/task.h"
#include "vector_peer.h"
#include "verify.h"

namespace {

using Eigen::Index;

/// What is differentiated, and those who do it.
struct Bout {
  rnn::Network<double> net;
  rnn::Sequence<double> sequence;
  rnn::Parameters<double> gradient;
  std::size_t bytes = 0;
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

  void record() { rnn::recorded_bptt(net, sequence, gradient, &bytes); }

  /// By hand against differences, the others against that.
  void verify() {
    const rnn::VectorX<double> flat = flatten(net.parameters);
    const auto at = [&](const std::vector<double>& x) {
      rnn::Network<double> moved = net;
      moved.parameters =
          unflatten(net.parameters, Eigen::Map<const rnn::VectorX<double>>(x.data(), static_cast<Index>(x.size())));
      return run(moved, sequence).loss;
    };
    const auto result = [&](auto&& by) {
      by(net, sequence, gradient);
      const rnn::VectorX<double> all = flatten(gradient);
      return std::vector<double>(all.begin(), all.end());
    };
    const std::vector<double> expected = result(by_hand);
    bench::verify_gradient("BPTT by hand", at, {flat.begin(), flat.end()}, expected, 200);
    bench::verify_equal("unroll", result([&](auto&&...) { record(); }), "by hand", expected);
    for (const bench::VectorPeer& peer : bench::vector_peers())
      bench::verify_equal(peer.name, result(peer.run), "by hand", expected);
    bench::verify_equal("by hand, Eigen's tanh", result(by_hand_with_eigens_tanh), "by hand", expected);
  }
};

bool add(Index d, Index n, Index m, double at_most) {
  const std::string name = fmt::format("vector RNN d={} n={} m={}", d, n, m);
  const auto make = [=](bool eigens_tanh) {
    const auto bout = std::make_shared<Bout>(d, n, m, 100);
    bench::Pair pair{.name = name, .reference = "by hand", .at_most = at_most};
    pair.run_reference = [bout] { bout->by_hand(bout->net, bout->sequence, bout->gradient); };
    pair.run = [bout] { bout->record(); };
    pair.verify = [bout] { bout->verify(); };
    pair.bytes = [bout] { return bout->bytes; };
    if (eigens_tanh) {
      pair.name += ", Eigen's tanh", pair.reference += " so", pair.at_most = 1;
      pair.run_reference = [bout] { bout->by_hand_with_eigens_tanh(bout->net, bout->sequence, bout->gradient); };
    } else {
      for (const bench::VectorPeer& peer : bench::vector_peers())
        pair.peers.emplace_back(peer.name, [bout, &peer] { peer.run(bout->net, bout->sequence, bout->gradient); });
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
