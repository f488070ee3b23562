// ADOL-C, recording anew each time: the values are kept while taping, so that one reverse sweep is all that follows.
#include <adolc/adolc.h>

#include "subject.h"

namespace {

struct Differentiate {
  template <class Work>
  double operator()(const Work& work, const std::vector<double>& x, std::vector<double>& gradient) const {
    using Number = adouble;
    const int n = static_cast<int>(x.size());
    const unsigned buffer = 1u << 25;  // large enough that no tape of ours goes to a file
    double y = 0.0;
    trace_on(1, /*keep=*/1, buffer, buffer, buffer, buffer);
    {
      std::vector<Number> active(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) active[i] <<= x[i];
      Number result = work(std::span<const Number>(active));
      result >>= y;
    }
    trace_off();
    double weight = 1.0;
    ::reverse(1, 1, n, 0, &weight, gradient.data());
    return y;
  }
};

[[maybe_unused]] const bool added = bench::add_subject(bench::adolc, "ADOL-C", Differentiate{});

}  // namespace
