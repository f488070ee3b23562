// unroll: one tape for the life of the program, cleared between recordings.
#include <Eigen/Core>

#include "ad/eigen.h"
#include "subject.h"

namespace {

struct Differentiate {
  static ad::Tape& tape() {
    static ad::Tape tape;
    return tape;
  }

  template <class Work>
  double operator()(const Work& work, const std::vector<double>& x, std::vector<double>& gradient) const {
    const auto size = static_cast<Eigen::Index>(x.size());
    ad::Tape& tape = Differentiate::tape();
    tape.clear();
    const auto active = tape.input(Eigen::Map<const Eigen::VectorXd>(x.data(), size));
    const ad::Var y = work(std::span<const ad::Var>(active.data(), x.size()));
    tape.reverse(y);
    Eigen::Map<Eigen::VectorXd>(gradient.data(), size) = adjoint(tape, active);
    return y.value();
  }

  template <class Work>
  bench::Memory memory(const Work& work, const std::vector<double>& x) const {
    ad::Tape& tape = Differentiate::tape();
    tape.clear();
    const auto active = tape.input(Eigen::Map<const Eigen::VectorXd>(x.data(), static_cast<Eigen::Index>(x.size())));
    const ad::Var y = work(std::span<const ad::Var>(active.data(), x.size()));
    bench::Memory memory{tape.length(), tape.bytes(), 0};
    tape.reverse(y);
    memory.swept = tape.bytes();
    return memory;
  }
};

[[maybe_unused]] const bool added = bench::add_subject(bench::unroll, "unroll", Differentiate{});

}  // namespace
