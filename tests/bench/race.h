// Times several lanes in turn, in one process, so that whatever disturbs the machine disturbs all of them alike.
#pragma once

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace bench {

inline double quantile(std::vector<double> sample, double q) {
  const auto middle = sample.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(sample.size() - 1) + 0.5);
  std::nth_element(sample.begin(), middle, sample.end());
  return *middle;
}

/// Lane 0 is the reference. A round runs, for every other lane, first the reference and then the lane; the round's
/// ratio is between those two neighbours in time, and the result is the median of the rounds' ratios.
class Race {
 public:
  struct Lane {
    std::string name;
    std::function<void()> run;
    std::size_t calls = 1;  // in a turn
    std::vector<double> seconds{}, ratios{};
  };

  explicit Race(std::vector<Lane> lanes, double turn_seconds) : lanes_(std::move(lanes)) {
    for (Lane& lane : lanes_) {
      lane.run();
      const double once = time(lane);
      lane.calls = static_cast<std::size_t>(std::clamp(std::ceil(turn_seconds / once), 1.0, 1e6));
    }
  }

  /// Seconds one round takes, roughly.
  double round() {
    double total = 0;
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      const double reference = turn(lanes_[0]);
      const double lane = turn(lanes_[i]);
      lanes_[i].ratios.push_back(lane / reference);
      total += reference * static_cast<double>(lanes_[0].calls) + lane * static_cast<double>(lanes_[i].calls);
    }
    return total;
  }

  const std::vector<Lane>& lanes() const { return lanes_; }

 private:
  /// Processor time of this thread: what other programs take in between does not count.
  static double thread_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  static double time(const Lane& lane) {
    const double start = thread_seconds();
    for (std::size_t i = 0; i < lane.calls; ++i) lane.run();
    return (thread_seconds() - start) / static_cast<double>(lane.calls);
  }

  /// First the same without the clock, for half as long again: the lane's own memory has to come back into the caches
  /// that the others have used.
  static double turn(Lane& lane) {
    for (std::size_t i = 0; i < lane.calls + lane.calls / 2; ++i) lane.run();
    lane.seconds.push_back(time(lane));
    return lane.seconds.back();
  }

  std::vector<Lane> lanes_;
};

}  // namespace bench
