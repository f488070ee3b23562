// error: no match for .operator\+|invalid operands to binary expression
// One direction cannot be added to three.
#include "ad/dual.h"

int main() {
#ifdef CONTROL
  const ad::Dual<double, 3> x(2.);
#else
  const ad::Dual<double, 1> x(2.);
#endif
  const ad::Dual<double, 3> y(3.);
  return (x + y).value == 5 ? 0 : 1;
}
