// error: no match for .operator-|invalid operands to binary expression
// Variables of two differentiations do not mix on one level.
#include "ad/tape.h"

struct A;
struct B;

int main() {
  ad::Tape tape;
  const auto x = tape.input<A>(2.);
#ifdef CONTROL
  const auto y = tape.input<A>(3.);
#else
  const auto y = tape.input<B>(3.);
#endif
  return (x - y).value() == -1 ? 0 : 1;
}
