// How the rules of low rank share out the sizes of two factors whose product alone matters.
#pragma once

#include <cmath>
#include <concepts>

namespace rules {

/// sqrt(|a| / |b|) from the norms of a and b: with p = balance(|B|, |A|), p A and B / p are of one size, which keeps the
/// variance least. Any other p > 0 leaves the expectation as it is. Where a norm is zero p = 1, as in the
/// reference code: the other factor stays, and so does its noise.
template <std::floating_point T>
T balance(T a, T b) {
  using std::sqrt;
  return a > 0 && b > 0 ? sqrt(a / b) : T(1);
}

}  // namespace rules
