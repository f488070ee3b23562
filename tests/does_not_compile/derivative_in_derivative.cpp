// error: no match for .operator\+|invalid operands to binary expression
// d/dx [ x d/dy (x + y) ] at y = 1: a number that carries dx meets one that carries dy. In an unnested inner derivative
// the two perturbations would be added as if they were one; so the inner point must be written in the numbers of x.
#include "ad/operators.h"

int main() {
  return ad::derivative(
             [](const auto& x) {
#ifdef CONTROL
               const std::decay_t<decltype(x)> one = 1;
#else
               const double one = 1;
#endif
               return x * ad::derivative([&](const auto& y) { return x + y; }, one);
             },
             1.) == 1
             ? 0
             : 1;
}
