// Reverse mode over long time loops in little memory: a few states are kept, and the steps between them computed again.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "ad/parts.h"
#include "ad/revolve.h"

namespace ad {

/// What was held at most, in bytes: states, tape and adjoints, products that wait, parameters and gradient. And how often
/// a step was computed again: step is called T + recomputed times.
struct MemoryUse {
  std::size_t bytes = 0;
  Eigen::Index segment = 0, states = 0, recomputed = 0;
};

/// L = L_1 + ... + L_T and its derivatives, in the shapes of theta and h_0.
template <class Theta, class State>
struct ThroughTime {
  double loss;
  Theta gradient;
  State h_0_adjoint, h_T;  // dL/dh_0; the last state itself
  MemoryUse memory;
};

namespace detail {

/// One gradient through time. Parameters and states are flat arrays of numbers here.
template <class Kind, class Theta, class State, class Step>
class Reversal {
  using Index = Eigen::Index;
  using Numbers = Array<double>;
  using StateOnTape = typename OnTape<Kind, State>::type;

 public:
  Reversal(Index T, const Theta& theta, const State& h_0, const Step& step)
      : T_(T),
        step_(step),
        theta_like_(theta),
        state_like_(h_0),
        theta_(ad::flat(theta)),
        gradient_(theta_.size(), 0.0) {
    if (T < 1) refuse("the sequence has no steps: T = " + std::to_string(T));
  }

  ThroughTime<Theta, State> run(const Memory& memory) {
    states_ = ad::flat(state_like_);
    const std::size_t size = states_.size();
    delta_.assign(size, 0.0);
    begin(states_.data(), 0);
    const std::size_t before = held();
    take_step();
    begun_ = true;  // the first segment goes on from here
    const auto [segment, states] = Revolve::divide(T_, memory, {held() - before, size * sizeof(double), fixed(before)});
    use_.segment = segment, use_.states = states;

    // A stack of states, one before each of the segments at[0] = 0, at[1], ...; segments from `end` on are done.
    states_.resize(size * static_cast<std::size_t>(states));
    Numbers h(size);
    std::vector<Index> at{0};
    for (Index end = (T_ - 1) / segment + 1; end > 0;) {
      const Index from = at.back(), free = states - static_cast<Index>(at.size());
      double* const state = states_.data() + size * (at.size() - 1);
      if (end - from == 1) {
        reverse(state, --end);
        at.pop_back();
      } else if (free == 0) {
        advance(state, from, --end, h.data());
        reverse(h.data(), end);
      } else {
        at.push_back(from + Revolve::split(end - from, free + 1));
        advance(state, from, at.back(), state + size);
      }
    }
    return {loss_, ad::in_shape_of(theta_like_, gradient_), ad::in_shape_of(state_like_, delta_),
            ad::in_shape_of(state_like_, h_T_), use_};
  }

 private:
  [[noreturn]] static void refuse(const std::string& why) {
    throw std::invalid_argument("ad::gradient_through_time: " + why);
  }
  std::size_t held() const { return tape_.bytes() + (tape_.length() + std::size_t{1}) * sizeof(double); }
  /// Bytes that do not grow with time: `begun` on the tape before the first step, and room for products that wait.
  std::size_t fixed(std::size_t begun) const {
    const std::size_t numbers = 4 * delta_.size() + 3 * theta_.size();
    return 2 * begun + Uses<>::bytes(tape_, parameters_) + numbers * sizeof(double);
  }

  /// A new recording at the state after step t. The parameters' matrices are its first blocks.
  void begin(const double* state, Index t) {
    tape_.clear();
    put_on(tape_, theta_like_, theta_on_tape_, theta_.data());
    parameters_ = tape_.length();
    uses_.keep_up_to(parameters_);
    put_on(tape_, state_like_, start_, state);
    state_ = start_;
    from_ = t_ = t;
    new_ = t == seen_;
  }
  void take_step() {
    ++t_;
    std::pair<StateOnTape, Var> next = step_(t_, theta_on_tape_, state_);
    for_each_part([&](const auto& like, auto& part) { require_shape(like, part); }, state_like_, next.first);
    Matrices::id(tape_, next.second);  // a loss kept from an earlier recording is refused
    state_ = std::move(next.first);
    sum_ = t_ == from_ + 1 ? next.second : Var(sum_ + next.second);
    if (!new_) return;
    loss_ = t_ == 1 ? next.second.value() : loss_ + next.second.value();
    seen_ = t_;
  }
  template <class Like, class Part>
  void require_shape(const Like& like, Part& part) const {
    const auto shape = [](const auto& m) { return std::to_string(m.rows()) + " x " + std::to_string(m.cols()); };
    if constexpr (!std::is_same_v<Part, Var>)
      if (part.rows() != like.rows() || part.cols() != like.cols())
        refuse("the state is " + shape(part) + " after step " + std::to_string(t_) + ", but h_0 is " + shape(like));
  }
  /// Records steps up to `until`, at most, while `more()`; the state reached goes to `to`.
  template <class More>
  void record(const double* state, Index t, Index until, double* to, More more) {
    if (!std::exchange(begun_, false)) begin(state, t);
    while (t_ < until && more()) take_step();
    for_each_run(tape_, state_, [&](Id, const double* x, Index n) { to = std::copy_n(x, n, to); });
  }

  /// From the state before segment k to that before segment `end`. This is recorded too, and forgotten piece by piece:
  /// computed with plain numbers, a state could be rounded in another way.
  void advance(const double* state, Index k, Index end, double* to) {
    const Index until = end * use_.segment, enough = 8192 + 4 * static_cast<Index>(theta_.size());
    use_.recomputed += until - k * use_.segment;
    for (Index t = k * use_.segment; t < until; t = t_, state = to)
      record(state, t, until, to, [&] { return t_ - t < use_.segment && tape_.length() < enough; });
  }

  static bool same_bits(double a, double b) {  // but of NaNs any will do
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) || (std::isnan(a) && std::isnan(b));
  }
  /// Records segment k and sweeps it, from delta_ = dL/dh after it to delta_ = dL/dh before it.
  void reverse(const double* state, Index k) {
    const Index until = std::min(T_, (k + 1) * use_.segment);
    Numbers end(delta_.size());
    record(state, k * use_.segment, until, end.data(), [] { return true; });
    if (until == T_)
      h_T_ = end;
    else if (!std::equal(end.begin(), end.end(), next_.begin(), same_bits))
      throw std::runtime_error("ad::gradient_through_time: step " + std::to_string(until) +
                               ", computed again, ends in another state: all steps must do the same each time");
    next_.assign(state, state + end.size());

    // Adjoints go on from those of the segment behind this one, in the order in which one long sweep adds them up. What a
    // matrix gets from products is added in groups of columns: the last, not yet full, waits for the segment before.
    adjoint_.assign(tape_.length() + std::size_t{1}, 0.0);
    if (sum_.id() != 0) adjoint_[sum_.id()] = 1;
    seed(state_, delta_);
    seed(theta_on_tape_, gradient_);
    tape_.sweep_down(adjoint_.data(), tape_.length(), &uses_);
    if (k == 0)
      uses_.finish(0, adjoint_.data());
    else
      uses_.take_all_in();
    read_adjoints(theta_on_tape_, gradient_);
    read_adjoints(start_, delta_);

    const std::size_t numbers = states_.size() + 4 * delta_.size() + 2 * theta_.size();
    use_.bytes = std::max(use_.bytes, held() + uses_.bytes() + numbers * sizeof(double));
  }
  void seed(const auto& on_tape, const Numbers& adjoints) {
    const double* from = adjoints.data();
    for_each_run(tape_, on_tape, [&](Id first, const double*, Index n) {
      if (first != 0) kernels::VectorMap(&adjoint_[first], n) += kernels::ConstVectorMap(from, n);
      from += n;
    });
  }
  void read_adjoints(const auto& on_tape, Numbers& adjoints) const {
    double* to = adjoints.data();
    for_each_run(tape_, on_tape, [&](Id first, const double*, Index n) {
      to = first != 0 ? std::copy_n(&adjoint_[first], n, to) : std::fill_n(to, n, 0.0);
    });
  }

  const Index T_;
  const Step& step_;
  const Theta& theta_like_;
  const State& state_like_;
  const Numbers theta_;
  Numbers gradient_, delta_, states_, next_, h_T_, adjoint_;  // next_: the state after the segment to be reversed
  Tape tape_;
  typename OnTape<Kind, Theta>::type theta_on_tape_;
  StateOnTape start_, state_;        // where the recording began, and where it is
  Var sum_;                          // of its losses
  Index from_ = 0, t_ = 0;           // the same in time
  Index seen_ = 0;                   // steps that have been computed at least once
  bool new_ = true, begun_ = false;  // this recording is of steps not seen before; it holds step 1 already
  double loss_ = 0;                  // of all steps seen
  Id parameters_ = 0;                // they are the first variables of each recording
  Uses<> uses_;                      // those of the parameters wait until all time has been swept
  MemoryUse use_;
};

}  // namespace detail

/// The gradient of L = L_1 + ... + L_T by reverse mode, where (h_t, L_t) = step(t, theta, h_{t-1}) for t = 1 .. T.
///
/// theta and h_0 are doubles, Eigen matrices, or tuples and arrays of such (ad/parts.h); step gets and returns what
/// stands for them on the tape, std::pair(h_t, L_t). It may be called again with an earlier t and must then do the same:
/// x_t may come from a function of t. The bits of all results are those of one tape that holds all steps, unless a state
/// is itself the left factor of a product, is a parameter, or holds one variable twice: then sums are in another order.
/// Throws std::invalid_argument if T < 1, if memory.bytes are too few, with the number needed, and if the state changes
/// its shape; std::runtime_error if a step computed again ends in another state.
template <class Kind = VarMatrix, class Theta, class State, class Step>
ThroughTime<Theta, State> gradient_through_time(Eigen::Index T, const Theta& theta, const State& h_0, const Step& step,
                                                const Memory& memory = {}) {
  return detail::Reversal<Kind, Theta, State, Step>(T, theta, h_0, step).run(memory);
}

}  // namespace ad
