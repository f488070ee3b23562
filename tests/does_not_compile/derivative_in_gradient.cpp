// error: no match for .operator\*|invalid operands to binary expression
// Forward mode inside reverse mode, at a point that is not lifted.
#include "ad/operators.h"

int main() {
  return ad::gradient(
             [](const auto& x) {
#ifdef CONTROL
               const std::decay_t<decltype(x)> two = 2;
#else
               const double two = 2;
#endif
               return ad::derivative([&](const auto& y) { return x * y; }, two);
             },
             1.) == 1
             ? 0
             : 1;
}
