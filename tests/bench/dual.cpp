// Duals on the scalar RNN: one derivative, and the whole gradient in blocks of directions, counted in losses.
#include "ad/dual.h"

#include <fmt/format.h>

#include <memory>

#include "forward.h"
#include "pair.h"
#include "verify.h"

namespace {

using namespace bench;

[[maybe_unused]] const bool unroll_added =
    add_forward_subject<ad::Dual<>, ad::Dual<double, together>>("unroll", [](auto& x, int i) -> double& {
      if constexpr (std::is_same_v<decltype(x.tangent), double>)
        return x.tangent;
      else
        return x.tangent[i];
    });

struct Rnn {
  ScalarRnn work{.name = "", .at_most = 0, .d = 32, .T = 100};
  std::vector<double> x = work.point(), v = numbers(x.size(), 13), gradient = x;
  double sum = 0;

  double loss() const { return work(std::span<const double>(x)); }

  /// The gradients against differences, the derivatives along v against the gradients.
  void verify() {
    const Function f = [&](const std::vector<double>& at) { return work(std::span<const double>(at)); };
    for (const ForwardSubject& subject : forward_subjects()) {
      subject.gradient(work, x, gradient);
      verify_gradient(subject.name + ", gradient in directions", f, x, gradient, 200);
      const double slope = std::inner_product(v.begin(), v.end(), gradient.begin(), 0.0);
      verify_equal(subject.name + ", derivative", {subject.along(work, x, v)}, "its gradient", {slope});
    }
  }
  /// Each call begins where the last one's result is known, as in main.cpp.
  void use(double y) { x[0] += 0.0 * y; }
};

template <class Run>
bool add(const std::string& name, double at_most, Run run) {
  pairs().emplace_back(name, [=] {
    const auto rnn = std::make_shared<Rnn>();
    Pair pair{.name = name, .reference = "double", .at_most = at_most};
    pair.run_reference = [=] { rnn->use(rnn->loss()); };
    pair.verify = [=] { rnn->verify(); };
    for (const ForwardSubject& subject : forward_subjects()) {
      const auto lane = [=] { rnn->use(run(subject, *rnn)); };
      if (subject.name == "unroll")
        pair.run = lane;
      else
        pair.peers.emplace_back(subject.name, lane);
    }
    return pair;
  });
  return true;
}

[[maybe_unused]] const bool added =
    add("one derivative by duals", 1.45,
        [](const ForwardSubject& by, const Rnn& rnn) { return by.along(rnn.work, rnn.x, rnn.v); }) &&
    add(fmt::format("gradient by duals, N={}", together), 140, [](const ForwardSubject& by, Rnn& rnn) {
      by.gradient(rnn.work, rnn.x, rnn.gradient);
      return rnn.gradient[0];
    });

}  // namespace
