// error: cannot convert .*Dual|no viable conversion from .*Dual
// A derivative is not lost by an assignment: the number underneath has to be asked for.
#include "ad/dual.h"

int main() {
  const ad::Dual<> x(2, 1);
#ifdef CONTROL
  const double y = value(x * x);
#else
  const double y = x * x;
#endif
  return y == 4 ? 0 : 1;
}
