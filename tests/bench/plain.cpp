// The reference of the scalar works: the same function on plain double, without a gradient.
#include "subject.h"

[[maybe_unused]] static const bool added = bench::add_subject(
    bench::plain_double, "double", [](const auto& work, const std::vector<double>& x, std::vector<double>&) {
      return work(std::span<const double>(x));
    });
