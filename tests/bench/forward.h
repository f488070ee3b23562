// Forward mode: one derivative along a direction, and whole gradients many directions at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "works.h"

namespace bench {

/// One library's numbers with derivatives, on the scalar RNN.
struct ForwardSubject {
  std::string name;
  /// The derivative at x along v.
  std::function<double(const ScalarRnn&, const std::vector<double>& x, const std::vector<double>& v)> along;
  std::function<void(const ScalarRnn&, const std::vector<double>& x, std::vector<double>& gradient)> gradient;
};

/// unroll and its peers, in no order.
inline std::vector<ForwardSubject>& forward_subjects() {
  static std::vector<ForwardSubject> all;
  return all;
}

/// Directions at a time.
inline constexpr int together = 32;

/// One is a number with one derivative, Many with `together` of them; derivative(number, i) is a reference to the i-th.
template <class One, class Many, class Derivative>
bool add_forward_subject(std::string name, Derivative derivative) {
  const auto along = [=](const ScalarRnn& work, const std::vector<double>& x, const std::vector<double>& v) -> double {
    std::vector<One> at(x.begin(), x.end());
    for (std::size_t i = 0; i < x.size(); ++i) derivative(at[i], 0) = v[i];
    One y = work(std::span<const One>(at));
    return derivative(y, 0);
  };
  const auto gradient = [=](const ScalarRnn& work, const std::vector<double>& x, std::vector<double>& result) {
    std::vector<Many> at(x.begin(), x.end());
    for (std::size_t first = 0; first < x.size(); first += together) {
      const int n = static_cast<int>(std::min<std::size_t>(together, x.size() - first));
      Many* const moving = at.data() + first;
      for (int i = 0; i < n; ++i) derivative(moving[i], i) = 1;
      Many y = work(std::span<const Many>(at));
      for (int i = 0; i < n; ++i) {
        result[first + static_cast<std::size_t>(i)] = derivative(y, i);
        derivative(moving[i], i) = 0;
      }
    }
  };
  forward_subjects().push_back({std::move(name), along, gradient});
  return true;
}

}  // namespace bench
