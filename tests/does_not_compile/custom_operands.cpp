// error: one operand for each of its partials
// A function of one's own with two partials takes two operands.
#include "ad/custom.h"

int main() {
  const auto f = ad::custom([](const auto& x, const auto& z) { return x * z; },
                            [](const auto&, const auto& z) { return z; }, [](const auto& x, const auto&) { return x; });
#ifdef CONTROL
  return f(2., 3.) == 6 ? 0 : 1;
#else
  return f(2.) == 6 ? 0 : 1;
#endif
}
