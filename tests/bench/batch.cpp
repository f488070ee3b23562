// The gradient of 64 sequences on two threads, against one.
#include "rnn/batch.h"

#include <sched.h>

#include <memory>
#include <stdexcept>

#include "pair.h"
#include "rnn/task.h"

namespace {

/// Not inlined: knowing the number, g++ 12 warns of a std::vector of threads that could not be.
[[gnu::noinline]] std::unique_ptr<ad::Pool> pool(unsigned threads) { return std::make_unique<ad::Pool>(threads); }

struct Batch {
  rnn::Network<double> net;
  std::vector<rnn::Sequence<double>> sequences;
  std::unique_ptr<ad::Pool> one = pool(1), two = pool(2);

  Batch() {
    rnn::Random random{1};
    net = rnn::random_network(2, 32, 1, random);
    net.alpha = 0.3;
    for (int i = 0; i < 64; ++i) sequences.push_back({random.normal(2, 100), random.normal(1, 100)});
  }
  rnn::BatchGradient on(ad::Pool& pool) const { return rnn::batch_bptt(net, sequences, pool); }

  /// To the bit.
  void verify() {
    if (flatten(on(*one).gradient) != flatten(on(*two).gradient))
      throw std::runtime_error("batch: two threads have another gradient than one");
  }
};

[[maybe_unused]] const bool added = [] {
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) != 0 || CPU_COUNT(&cores) < 2) return false;
  bench::pairs().emplace_back("64 sequences, two threads", [] {
    const auto batch = std::make_shared<Batch>();
    bench::Pair pair{.name = "64 sequences, two threads", .reference = "one thread", .at_most = 1 / 1.8};
    pair.run_reference = [=] { batch->on(*batch->one); };
    pair.run = [=] { batch->on(*batch->two); };
    pair.verify = [=] { batch->verify(); };
    pair.clock = bench::wall_time;
    return pair;
  });
  return true;
}();

}  // namespace
