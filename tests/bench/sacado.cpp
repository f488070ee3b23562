// Sacado's reverse mode (Rad), of Trilinos.
#define TRILINOS_NO_CONFIG_H  // Rad is one header: without this the rest of Trilinos would have to be there too
#include <Sacado_trad.hpp>

#include "subject.h"

namespace {

struct Differentiate {
  template <class Work>
  double operator()(const Work& work, const std::vector<double>& x, std::vector<double>& gradient) const {
    using Number = Sacado::Rad::ADvar<double>;
    const std::vector<Number> active(x.begin(), x.end());
    Number result = work(std::span<const Number>(active));
    Number::Outvar_Gradcomp(result);
    for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = active[i].adj();
    return result.val();
  }
};

[[maybe_unused]] const bool added = bench::add_subject(bench::sacado, "Sacado", Differentiate{});

}  // namespace
