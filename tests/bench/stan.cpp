// Stan Math's reverse mode on scalars; its arena is kept between gradients.
#if __has_include(<stan/math/rev/scal.hpp>)
#include <stan/math/rev/scal.hpp>
#else
#include <stan/math/rev.hpp>
#endif

#include "subject.h"

namespace {

struct Differentiate {
  template <class Work>
  double operator()(const Work& work, const std::vector<double>& x, std::vector<double>& gradient) const {
    using Number = stan::math::var;
    const std::vector<Number> active(x.begin(), x.end());
    const Number result = work(std::span<const Number>(active));
    stan::math::grad(result.vi_);
    for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = active[i].adj();
    const double value = result.val();
    stan::math::recover_memory();
    return value;
  }
};

[[maybe_unused]] const bool added = bench::add_subject(bench::stan, "Stan Math", Differentiate{});

}  // namespace
