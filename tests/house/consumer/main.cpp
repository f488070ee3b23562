// The smallest program of somebody else's: it differentiates, with nothing but unroll::rules in its CMakeLists.txt.
#include <fmt/format.h>

#include "ad/operators.h"

int main() {
  const double slope = ad::derivative([](auto x) { return (4 * x + 3) * (4 * x + 3); }, 2.0);
  fmt::print("d/dx (4x+3)^2 at 2: {}\n", slope);
  return slope == 88.0 ? 0 : 1;
}
