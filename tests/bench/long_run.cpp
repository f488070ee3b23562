// Reverse mode through long sequences in little memory, against short tapes of the same network that stay in the caches.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>

#include "pair.h"
#include "rnn/long_sequence.h"
#include "rnn/recorded_bptt.h"
#include "rnn/task.h"
#include "verify.h"

namespace {

using Eigen::Index;

/// A sequence that is held nowhere: x_t and y*_t are made of t.
struct Stream {
  rnn::VectorX<double> x{2}, target{1};

  std::pair<const rnn::VectorX<double>&, const rnn::VectorX<double>&> operator()(Index t) {
    std::uint64_t bits = static_cast<std::uint64_t>(t) * 0x9e3779b97f4a7c15u;
    const auto number = [&] {
      return static_cast<double>((bits = (bits ^ bits >> 29) * 0xbf58476d1ce4e5b9u) >> 11) * 0x1p-52 - 1;
    };
    x << number(), number();
    target << number();
    return {x, target};
  }
};

/// Field "VmHWM" or "VmRSS" of this process: what it has held of the machine's memory at most, and holds, in bytes.
std::size_t resident(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kilobytes;
    if (word == field + ':' && status >> kilobytes) return kilobytes * 1024;
  }
  throw std::runtime_error("no " + field + " in /proc/self/status");
}

/// What `run` takes beyond what is there before, as the system counts it: in a process of its own, and there in a thread
/// of its own, which finds no memory that an earlier tape has left.
template <class Run>
std::size_t peak(Run run) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew
    std::size_t bytes = resident("VmRSS");
    std::thread(run).join();
    bytes = resident("VmHWM") - bytes;
    _exit(write(ends[1], &bytes, sizeof bytes) == sizeof bytes ? 0 : 1);
  }
  close(ends[1]);
  std::size_t bytes = 0;
  const bool got = read(ends[0], &bytes, sizeof bytes) == sizeof bytes;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!got || status != 0) throw std::runtime_error("the run whose memory was to be measured has failed");
  return bytes;
}

struct Long {
  rnn::Network<double> net;
  rnn::Parameters<double> gradient;
  Stream stream;

  Long() {
    rnn::Random random{1};
    net = rnn::random_network(2, 32, 1, random);
    net.alpha = 0.3;
    gradient = net.parameters;
  }
  auto source() {
    return [this](Index t) { return stream(t); };
  }
  double on_one_tape(Index T) { return rnn::recorded_bptt(net, T, source(), gradient); }
  rnn::LongBptt in_segments(Index T) { return rnn::long_bptt(net, T, source()); }

  /// In segments, 10 000 steps, against one tape.
  void verify() {
    const double loss = on_one_tape(10'000);
    const rnn::LongBptt segments = in_segments(10'000);
    const auto all = [](const rnn::Parameters<double>& p) {
      const rnn::VectorX<double> flat = flatten(p);
      return std::vector<double>(flat.begin(), flat.end());
    };
    bench::verify_equal("in segments", all(segments.gradient), "one tape", all(gradient));
    bench::verify_equal("in segments, loss", {segments.loss}, "one tape", {loss});
  }
};

/// The reference takes as many steps, on tapes of 100.
template <class Run>
void add(const std::string& name, std::size_t T, double at_most, std::size_t bytes_at_most, Run run) {
  bench::pairs().emplace_back(name, [=] {
    const auto at = std::make_shared<Long>();
    const Index steps = static_cast<Index>(T);
    bench::Pair pair{.name = name, .reference = "tapes of 100 steps", .at_most = at_most};
    pair.run_reference = [=] {
      for (Index t = 0; t < steps; t += 100) at->on_one_tape(100);
    };
    pair.run = [=] { run(*at, steps); };
    pair.verify = [=] { at->verify(); };
    pair.bytes = [=] {
      return peak([=] {
        Long fresh;
        run(fresh, steps);
      });
    };
    pair.bytes_at_most = bytes_at_most;
    pair.steps = T;
    return pair;
  });
}

[[maybe_unused]] const bool added = [] {
  for (std::size_t T = 1'000; T <= 1'000'000; T *= 10) {
    add(fmt::format("{} steps in segments", T), T, 1.65, 16'000'000,
        [](Long& at, Index steps) { at.in_segments(steps); });
  }
  for (std::size_t T = 1'000; T <= 100'000; T *= 10) {
    add(fmt::format("{} steps on one tape", T), T, 0, 0, [](Long& at, Index steps) { at.on_one_tape(steps); });
  }
  return true;
}();

}  // namespace
