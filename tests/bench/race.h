// Times several lanes in turn, in one process, so that whatever disturbs the machine disturbs all of them alike.
#pragma once

#include <sys/resource.h>
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

/// A clock, in seconds: processor time of this thread (what other programs take in between does not count), that of child
/// processes that have ended, and the clock on the wall, for work on several threads.
using Clock = double (*)();
inline double read(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
inline double thread_time() { return read(CLOCK_THREAD_CPUTIME_ID); }
inline double wall_time() { return read(CLOCK_MONOTONIC); }
inline double children_time() {
  rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// Lane 0 is the reference. A round runs, for every other lane, first the reference and then the lane; the round's
/// ratio is between those two neighbours in time, and the result is the median of the rounds' ratios.
class Race {
 public:
  struct Lane {
    std::string name;
    std::function<void()> run;
    std::size_t calls = 1;    // in a turn
    std::size_t warm_up = 1;  // before it
    std::vector<double> seconds{}, ratios{};
  };

  Race(std::vector<Lane> lanes, double turn_seconds, Clock clock = thread_time)
      : lanes_(std::move(lanes)), clock_(clock) {
    for (Lane& lane : lanes_) {
      lane.run();
      const double once = time(lane);
      lane.calls = static_cast<std::size_t>(std::clamp(std::ceil(turn_seconds / once), 1.0, 1e6));
      const bool warms_itself = once > 0.1;
      lane.warm_up =
          warms_itself ? 0 : static_cast<std::size_t>(std::clamp(std::ceil(warm_up_seconds / once), 1.0, 1e6));
    }
  }

  void round() {
    for (std::size_t i = 1; i < lanes_.size(); ++i) {
      const double reference = turn(lanes_[0]);
      lanes_[i].ratios.push_back(turn(lanes_[i]) / reference);
    }
  }

  const std::vector<Lane>& lanes() const { return lanes_; }

 private:
  double time(const Lane& lane) const {
    const double start = clock_();
    for (std::size_t i = 0; i < lane.calls; ++i) lane.run();
    return (clock_() - start) / static_cast<double>(lane.calls);
  }

  /// First without the clock: the lane's own memory has to come back into the caches that the others have used. (A tape
  /// of some megabytes needs to be gone over several times before it is as near as if it were alone.)
  static constexpr double warm_up_seconds = 4e-3;
  double turn(Lane& lane) const {
    for (std::size_t i = 0; i < lane.warm_up; ++i) lane.run();
    lane.seconds.push_back(time(lane));
    return lane.seconds.back();
  }

  std::vector<Lane> lanes_;
  Clock clock_;
};

}  // namespace bench
