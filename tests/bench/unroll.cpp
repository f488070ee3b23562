// unroll: one tape for the life of the program, cleared between recordings.
#include "ad/tape.h"
#include "subject.h"

namespace {

struct Differentiate {
  static ad::Tape& tape() {
    static ad::Tape tape;
    return tape;
  }

  template <class Work>
  double operator()(const Work& work, const std::vector<double>& x, std::vector<double>& gradient) const {
    ad::Tape& tape = Differentiate::tape();
    tape.clear();
    std::vector<ad::Var> active;
    active.reserve(x.size());
    for (double number : x) active.push_back(tape.input(number));
    const ad::Var y = work(active);
    tape.reverse(y);
    for (std::size_t i = 0; i < x.size(); ++i) gradient[i] = tape.adjoint(active[i]);
    return y.value();
  }

  template <class Work>
  bench::Memory memory(const Work& work, const std::vector<double>& x) const {
    ad::Tape& tape = Differentiate::tape();
    tape.clear();
    std::vector<ad::Var> active;
    for (double number : x) active.push_back(tape.input(number));
    const ad::Var y = work(active);
    bench::Memory memory{tape.length(), tape.bytes(), 0};
    tape.reverse(y);
    memory.swept = tape.bytes();
    return memory;
  }
};

[[maybe_unused]] const bool added = bench::add_subject(bench::unroll, "unroll", Differentiate{});

}  // namespace
