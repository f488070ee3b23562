// error: cannot convert .*Variable|no viable conversion from .*Var
// A derivative is not lost by an assignment: the number underneath has to be asked for.
#include "ad/tape.h"

int main() {
  ad::Tape tape;
  const ad::Var x = tape.input(2.);
#ifdef CONTROL
  const double y = value(x);
#else
  const double y = x;
#endif
  return y == 2 ? 0 : 1;
}
