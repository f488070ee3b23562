// error: no match for .operator\+|invalid operands to binary expression
// The same in reverse mode: both recordings would be of the same numbers, and the inner one would not know the outer's.
#include "ad/operators.h"

int main() {
  return ad::gradient(
             [](const auto& x) {
#ifdef CONTROL
               const std::decay_t<decltype(x)> one = 1;
#else
               const double one = 1;
#endif
               return x * ad::gradient([&](const auto& y) { return x + y; }, one);
             },
             1.) == 1
             ? 0
             : 1;
}
