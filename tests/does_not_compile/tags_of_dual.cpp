// error: no match for .operator\*|invalid operands to binary expression
// Numbers of two differentiations do not mix on one level.
#include "ad/dual.h"

struct A;
struct B;

int main() {
  const ad::Dual<double, 1, A> x(2, 1);
#ifdef CONTROL
  const ad::Dual<ad::Dual<double, 1, A>, 1, B> y(3);
#else
  const ad::Dual<double, 1, B> y(3, 1);
#endif
  return value(x * y) == 6 ? 0 : 1;
}
