// A pair is one piece of work against the best that could be hoped for: no gradient of a plain function, but timed alike.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "race.h"

namespace bench {

struct Pair {
  std::string name, reference;
  double at_most = 0;  // time of run over that of run_reference; 0: no limit
  std::function<void()> run_reference{}, run{};
  std::function<void()> verify{};  // throws std::runtime_error where a run is wrong
  std::vector<std::pair<std::string, std::function<void()>>> peers{};
  std::function<std::size_t()> bytes{};  // that run holds at most; is asked after verify
  std::size_t bytes_at_most = 0;         // 0: no limit
  std::size_t steps = 0;                 // of a sequence whose length is what the work is about; else 0
  Clock clock = thread_time;
};

/// By name, in the order of the table; each is made when its turn comes.
inline std::vector<std::pair<std::string, std::function<Pair()>>>& pairs() {
  static std::vector<std::pair<std::string, std::function<Pair()>>> all;
  return all;
}

}  // namespace bench
