// Every member of the engine's classes compiles, those included that nothing here calls: a template's are looked at only
// where they are used, or where the whole class is asked for, as below.
#include "ad/dual.h"
#include "ad/tape.h"
#include "tests/fractions.h"

namespace {
struct Outer {};
}  // namespace

template class ad::TapeOf<double>;
template class ad::Variable<double>;  // with its Product
template class ad::TapeOf<tests::Fraction>;
template class ad::Variable<tests::Fraction>;
template class ad::TapeOf<ad::Dual<double, 3>>;
template class ad::Variable<ad::Dual<double, 3>>;

template struct ad::Dual<double>;
template struct ad::Dual<double, 3>;
template struct ad::Dual<tests::Fraction>;
template struct ad::Dual<ad::Dual<double, 1, Outer>>;
template class ad::Tangents<double, 5>;
