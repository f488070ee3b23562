// error: write f for any number
// A function of double has no forward derivative; the message says what to write instead.
#include "ad/operators.h"

int main() {
#ifdef CONTROL
  const auto f = [](const auto& x) { return x * x; };
#else
  const auto f = [](double x) { return x * x; };
#endif
  return ad::derivative(f, 3.) == 6 ? 0 : 1;
}
