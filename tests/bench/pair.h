// A pair is one piece of work against the best that could be hoped for: no gradient of a plain function, but timed alike.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct Pair {
  std::string name, reference;
  double at_most;  // time of run over that of run_reference
  std::function<void()> run_reference{}, run{};
  std::function<void()> verify{};  // throws std::runtime_error where a run is wrong
  std::vector<std::pair<std::string, std::function<void()>>> peers{};
};

/// By name, in the order of the table; each is made when its turn comes.
inline std::vector<std::pair<std::string, std::function<Pair()>>>& pairs() {
  static std::vector<std::pair<std::string, std::function<Pair()>>> all;
  return all;
}

}  // namespace bench
