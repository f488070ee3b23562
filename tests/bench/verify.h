// A gradient is checked before it is timed: a wrong one stops the program.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "works.h"

namespace bench {

using Function = std::function<double(const std::vector<double>&)>;

/// Derivative of f at x along v, and an estimate of its error: central differences at h and h/2, extrapolated.
struct Difference {
  double value, error;
};
inline Difference difference(const Function& f, const std::vector<double>& x, const std::vector<double>& v, double h) {
  const auto central = [&](double step) {
    std::vector<double> above = x, below = x;
    for (std::size_t i = 0; i < x.size(); ++i) {
      above[i] += step * v[i];
      below[i] -= step * v[i];
    }
    return (f(above) - f(below)) / (2 * step);
  };
  const double coarse = central(h), fine = central(h / 2);
  return {fine + (fine - coarse) / 3, std::abs(fine - coarse) / 3 + 1e-15 * std::abs(f(x)) / h};
}

/// Throws unless `gradient` is that of f at x: along eight dense directions, which every entry takes part in, and
/// entry by entry (all of them while that is affordable, else an even selection).
inline void verify_gradient(const std::string& who, const Function& f, const std::vector<double>& x,
                            const std::vector<double>& gradient, std::size_t most_entries = 2000) {
  const double norm = std::sqrt(std::inner_product(gradient.begin(), gradient.end(), gradient.begin(), 0.0));
  const auto demand = [&](const std::string& where, double got, Difference want, double scale) {
    if (!(std::abs(got - want.value) <= 1e-6 * scale + 10 * want.error)) {
      throw std::runtime_error(fmt::format("{}: wrong gradient {}: {:.12g}, differences give {:.12g} +- {:.1e}", who,
                                           where, got, want.value, want.error));
    }
  };
  for (std::uint64_t k = 0; k < 8; ++k) {
    const std::vector<double> v = numbers(x.size(), 100 + k, std::sqrt(3.0 / static_cast<double>(x.size())));
    const double got = std::inner_product(gradient.begin(), gradient.end(), v.begin(), 0.0);
    demand(fmt::format("along direction {}", k), got, difference(f, x, v, 1e-4), norm);
  }
  const std::size_t stride = (x.size() + most_entries - 1) / most_entries;
  for (std::size_t i = 0; i < x.size(); i += stride) {
    std::vector<double> v(x.size(), 0.0);
    v[i] = 1;
    demand(fmt::format("in entry {}", i), gradient[i], difference(f, x, v, 1e-4), norm);
  }
}

/// Throws unless two methods agree entry by entry to rounding.
inline void verify_equal(const std::string& who, const std::vector<double>& got, const std::string& other,
                         const std::vector<double>& want) {
  double largest = 0;
  for (double entry : want) largest = std::max(largest, std::abs(entry));
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!(std::abs(got[i] - want[i]) <= 1e-9 * largest)) {
      throw std::runtime_error(
          fmt::format("{}: gradient entry {} is {:.15g}, {} has {:.15g}", who, i, got[i], other, want[i]));
    }
  }
}

}  // namespace bench
