// Gradients through time in little memory: the same bits as on one tape, as few steps computed again as theory allows.
// clang-format off
#include "ad/check.h"  // first: its helpers must not hide those that checkpoint.h calls
#include "ad/checkpoint.h"
// clang-format on

#include <bit>
#include <boost/test/unit_test.hpp>
#include <map>

#include "rnn/bptt.h"
#include "rnn/long_sequence.h"
#include "rnn/recorded_bptt.h"

using ad::Memory;
using ad::Revolve;
using ad::Tape;
using ad::Var;
using ad::VarMatrix;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr std::size_t plenty = std::size_t{1} << 30;

template <class E>
auto says(std::string a, std::string b = "") {
  return [=](const E& e) {
    const std::string text = e.what();
    const bool ok = text.find(a) != std::string::npos && text.find(b) != std::string::npos;
    if (!ok) BOOST_TEST_MESSAGE("the exception says: " << text);
    return ok;
  };
}

template <class State, class Theta>
struct OneTape {
  double loss;
  Theta gradient;
  State h_0_adjoint, h_T;
};
/// All steps on one tape, one sweep.
template <class Kind, class Theta, class State, class Step>
OneTape<State, Theta> one_tape(Index T, const Theta& theta, const State& h_0, const Step& step) {
  Tape tape;
  typename ad::OnTape<Kind, Theta>::type on_tape;
  typename ad::OnTape<Kind, State>::type start, h;
  ad::put_on(tape, theta, on_tape, ad::flat(theta).data());
  ad::put_on(tape, h_0, start, ad::flat(h_0).data());
  h = start;
  Var loss;
  for (Index t = 1; t <= T; ++t) {
    const std::pair<typename ad::OnTape<Kind, State>::type, Var> next = step(t, on_tape, h);
    h = next.first;
    loss = t == 1 ? next.second : Var(loss + next.second);
  }
  if (loss.id() != 0)
    tape.reverse(loss);
  else
    tape.reverse(Var(tape.input(0.0)));
  const auto numbers = [&](const auto& x, bool adjoints) {
    ad::Array<double> all;
    ad::for_each_run(tape, x, [&](ad::Id first, const double* value, Index n) {
      for (Index i = 0; i < n; ++i)
        all.push_back(!adjoints ? value[i] : first == 0 ? 0.0 : tape.adjoint(first + static_cast<ad::Id>(i)));
    });
    return all;
  };
  return {loss.value(), ad::in_shape_of(theta, numbers(on_tape, true)), ad::in_shape_of(h_0, numbers(start, true)),
          ad::in_shape_of(h_0, numbers(h, false))};
}

/// Every bit, but for the sign of a zero.
bool same_bits(const auto& x, const auto& y) {
  const auto a = ad::flat(x), b = ad::flat(y);
  bool same = a.size() == b.size();
  for (std::size_t i = 0; i < a.size() && same; ++i)
    same = a[i] == b[i] || std::bit_cast<std::uint64_t>(a[i]) == std::bit_cast<std::uint64_t>(b[i]);
  return same;
}

/// Checks all results against one tape and the number of calls against theory.
template <class Kind, class Theta, class State, class Step>
ad::MemoryUse check(Index T, const Theta& theta, const State& h_0, const Step& step, const Memory& memory) {
  Index calls = 0;
  const auto counted = [&](Index t, const auto& on_tape, const auto& h) {
    ++calls;
    BOOST_TEST((1 <= t && t <= T));
    return step(t, on_tape, h);
  };
  const auto want = one_tape<Kind>(T, theta, h_0, step);
  const auto got = ad::gradient_through_time<Kind>(T, theta, h_0, counted, memory);
  const auto& use = got.memory;
  BOOST_TEST_CONTEXT("T = " << T << ", segments of " << use.segment << ", states " << use.states) {
    BOOST_TEST(got.loss == want.loss);
    BOOST_TEST(same_bits(got.gradient, want.gradient));
    BOOST_TEST(same_bits(got.h_0_adjoint, want.h_0_adjoint));
    BOOST_TEST(same_bits(got.h_T, want.h_T));
    const Index segments = (T - 1) / use.segment + 1;
    BOOST_TEST(calls == T + use.recomputed);
    BOOST_TEST(static_cast<double>(use.recomputed) ==
               Revolve::recomputed(segments, use.states) * static_cast<double>(use.segment));
    BOOST_TEST(use.bytes <= memory.bytes);
  }
  return use;
}

/// A network with whole vectors, B sequences at once, whose loss is counted at every third step only.
struct Network {
  Index d, n, m, B, T;
  MatrixXd W = random(d, d, 0.9), W_in = random(d, n), W_out = random(m, d);
  VectorXd b = random(d, 1);
  MatrixXd h_0 = random(d, B), x = random(n, B*T), target = random(m, B*T);

  static MatrixXd random(Index rows, Index cols, double scale = 1) { return MatrixXd::Random(rows, cols) * scale; }
  auto theta() const { return std::tuple(W, W_in, b, W_out); }
  auto step() const {
    return [this](Index t, const auto& theta, const VarMatrix& h) {
      const auto& [W_rec, W_x, bias, W_y] = theta;
      const VarMatrix u = W_rec * h + W_x * VarMatrix(x.middleCols((t - 1) * B, B)) + bias;
      const VarMatrix next = 0.7 * h + 0.3 * tanh(u);
      Var loss = 0.0;
      if (t % 3 == 0) loss = squared_distance(W_y * next, target.middleCols((t - 1) * B, B), 0.5);
      return std::pair(next, loss);
    };
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(checkpoint)

// --- theory ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(no_placement_computes_fewer_segments_again) {
  // fewest(l, c) = min over m of m + fewest(l - m, c - 1) + fewest(m, c), all placements tried
  std::map<std::pair<Index, Index>, double> fewest, taken;
  for (Index c = 1; c <= 7; ++c)
    for (Index l = 1; l <= 70; ++l) {
      double& f = fewest[{l, c}] = l == 1 ? 0 : 1e9;
      double& s = taken[{l, c}] = 0;
      if (c == 1) {
        f = s = static_cast<double>(l * (l - 1)) / 2;
      } else if (l > 1) {
        for (Index m = 1; m < l; ++m) f = std::min(f, static_cast<double>(m) + fewest[{l - m, c - 1}] + fewest[{m, c}]);
        const Index m = Revolve::split(l, c);
        BOOST_REQUIRE((1 <= m && m < l));
        s = static_cast<double>(m) + taken[{l - m, c - 1}] + taken[{m, c}];
      }
      BOOST_TEST(Revolve::recomputed(l, c) == f);
      BOOST_TEST(s == f);
    }
}

BOOST_AUTO_TEST_CASE(states_and_repeats_reach_binomially_far) {
  BOOST_TEST(Revolve::most(3, 2) == 10);
  BOOST_TEST(Revolve::repeats(10, 3) == 2);
  BOOST_TEST(Revolve::repeats(11, 3) == 3);
  BOOST_TEST(Revolve::recomputed(10, 3) == 15);  // 2 * 10 - C(5, 1)
  BOOST_TEST(Revolve::recomputed(1000, 999) == 999);
  BOOST_TEST(Revolve::repeats(1000000, 20) == 8);  // C(27, 7) = 888030, C(28, 8) = 3108105
}

// --- the same bits ---------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(single_numbers_give_the_bits_of_one_tape) {
  const auto step = [](Index t, const auto& theta, const auto& state) {
    const auto& [a, v] = theta;
    const auto& [x, pair] = state;
    const auto y = sin(a * x + pair[0] * v(0) - 0.1 * static_cast<double>(t));
    const Var p = 0.9 * pair[1] + v(1) * y * y, q = exp(-p * p) + v(2) * x;
    return std::pair(std::tuple(Var(y), std::array{p, q}), Var((q - 0.3) * (q - 0.3) + y * p));
  };
  const auto theta = std::tuple(1.7, Eigen::Vector3d(0.4, -0.8, 1.3));
  const auto state = std::tuple(0.2, std::array{-0.5, 0.9});
  for (const Index T : {1, 2, 3, 17, 64, 65})
    for (const Index segment : {1, 2, 5, 64})
      for (const Index states : {1, 2, 3, 7, 1000}) check<Var>(T, theta, state, step, {plenty, segment, states});
}

BOOST_AUTO_TEST_CASE(matrices_give_the_bits_of_one_tape_wherever_it_is_cut) {
  for (const Index B : {1, 3, 100, 300}) {
    const Network net{.d = 5, .n = 2, .m = 3, .B = B, .T = B == 1 ? 600 : 47};
    for (const Index segment : {1, 3, 37, 256})
      for (const Index states : {1, 4, 1000})
        if (segment * states > 3)  // one state, steps one by one: T^2 / 2 of them
          check<VarMatrix>(net.T, net.theta(), net.h_0, net.step(), {plenty, segment, states});
  }
}

BOOST_AUTO_TEST_CASE(the_first_few_uses_of_a_matrix) {
  // what is worth a transposed copy on one tape must be worth it on pieces of it
  for (const Index T : {1, 2, 3, 4, 5, 6, 7}) {
    const Network net{.d = 6, .n = 2, .m = 3, .B = 1, .T = T};
    for (const Index segment : {1, 2, 3}) check<VarMatrix>(T, net.theta(), net.h_0, net.step(), {plenty, segment, 2});
  }
}

BOOST_AUTO_TEST_CASE(a_matrix_used_in_parts_transposed_and_as_a_summand) {
  std::srand(4);
  const MatrixXd W = MatrixXd::Random(6, 6) * 0.5, x = MatrixXd::Random(6, 300);
  const VectorXd h_0 = VectorXd::Random(6);
  const auto step = [&](Index t, const VarMatrix& V, const VarMatrix& h) {
    const VarMatrix u = V.middleCols(0, 3) * h.segment(0, 3) + V.middleCols(3, 3) * h.segment(3, 3) + V.col(t % 6);
    const VarMatrix next = tanh(V * tanh(u) + V.transpose() * VarMatrix(x.col(t - 1)));
    return std::pair(next, Var(next.squaredNorm() + V(1, 2) * next(0)));
  };
  for (const Index segment : {1, 7, 100})
    for (const Index states : {2, 5, 1000}) check<VarMatrix>(300, W, h_0, step, {plenty, segment, states});
}

BOOST_AUTO_TEST_CASE(states_of_many_kinds) {
  // a matrix, a number, a view, one that stays, one that becomes plain; and a loss that is a state
  const auto step = [](Index t, const VarMatrix& W, const auto& state) {
    const auto& [M, s, v, stays, plain] = state;
    const VarMatrix u = tanh(W * M), z = u.col(1).segment(1, 3);
    const Var loss = u.squaredNorm() * (1 + 0.1 * s) + v.sum() + stays.sum() + plain(t % 2);
    const VarMatrix fixed = VectorXd::Constant(2, 0.1 * static_cast<double>(t));
    return std::pair(std::tuple(VarMatrix(0.5 * M + 0.5 * u), loss, z, stays, fixed), loss);
  };
  std::srand(5);
  const auto h_0 = std::tuple(MatrixXd(MatrixXd::Random(5, 2)), 0.3, VectorXd(VectorXd::Random(3)),
                              VectorXd(VectorXd::Random(4)), VectorXd(VectorXd::Random(2)));
  const MatrixXd W = MatrixXd::Random(5, 5) * 0.4;
  for (const Index segment : {1, 4})
    for (const Index states : {1, 3}) check<VarMatrix>(20, W, h_0, step, {plenty, segment, states});
}

BOOST_AUTO_TEST_CASE(no_loss_no_parameters_not_a_number) {
  const auto step = [](Index, const auto&, const VarMatrix& h) { return std::pair(VarMatrix(1.1 * h), Var(0.25)); };
  check<VarMatrix>(9, std::tuple(), VectorXd(VectorXd::Ones(3)), step, {plenty, 2, 2});
  const auto grows = [](Index, const Var& a, const Var& x) { return std::pair(Var(a * x * x), Var(a * x)); };
  BOOST_TEST(!std::isfinite(ad::gradient_through_time<Var>(40, 2.0, 3.0, grows).gradient));
  check<Var>(40, 2.0, 3.0, grows, {plenty, 3, 2});
}

BOOST_AUTO_TEST_CASE(of_two_that_are_not_numbers_either_may_stay) {  // which, depends on what was added to what
  int times = 0;
  const auto step = [&](Index, const Var& a, const Var& x) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return std::pair(Var(x + (++times % 2 == 0 ? nan : -nan)), Var(a * x));
  };
  BOOST_TEST(std::isnan(ad::gradient_through_time<Var>(9, 2.0, 3.0, step, {plenty, 2, 2}).loss));
}

// Nothing may depend on where in memory the numbers of a step happen to stand.
BOOST_AUTO_TEST_CASE(every_loss_gives_the_bits_of_one_tape) {
  std::srand(8);
  for (const auto loss : {rnn::Loss::squared, rnn::Loss::softmax_ce, rnn::Loss::sigmoid_ce, rnn::Loss::tanh_squared})
    for (const Index m : {1, 3, 8, 11, 17}) {
      const Index d = 3, n = 3, T = 13;
      rnn::Network<> net;
      net.parameters = {MatrixXd::Random(d, d), MatrixXd::Random(d, n), VectorXd::Random(d), MatrixXd::Random(m, d),
                        VectorXd::Random(m)};
      net.h_0 = VectorXd::Random(d);
      net.alpha = 0.5;
      net.loss = loss;
      const rnn::Sequence<> sequence{MatrixXd::Random(n, T), MatrixXd::Random(m, T).cwiseAbs()};
      rnn::Parameters<double> want;
      const double L = rnn::recorded_bptt(net, sequence, want);
      for (const Index segment : {1, 2, 3, 5}) {
        const auto got = rnn::long_bptt(net, sequence, {plenty, segment, 2});
        BOOST_TEST(got.loss == L);
        BOOST_TEST((flatten(got.gradient) == flatten(want)));
      }
    }
}

// --- memory ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_least_memory_named_is_enough_and_a_byte_less_is_not) {
  const Network net{.d = 5, .n = 2, .m = 3, .B = 1, .T = 400};
  const auto use = [&](std::size_t bytes) {
    return ad::gradient_through_time(net.T, net.theta(), net.h_0, net.step(), {.bytes = bytes}).memory;
  };
  std::size_t needed = 0;
  try {
    use(1000);
  } catch (const std::invalid_argument& e) {
    const std::string text = e.what();
    BOOST_TEST(text.find("1000 bytes are too few") != std::string::npos);
    BOOST_TEST(text.find("40 for a state") != std::string::npos);
    needed = std::stoul(text.substr(text.find("at least ") + 9));
  }
  BOOST_REQUIRE(needed > 1000);
  BOOST_CHECK_EXCEPTION(use(needed - 1), std::invalid_argument,
                        says<std::exception>("at least " + std::to_string(needed)));
  Index before = net.T * net.T;
  for (const double more : {1.0, 1.05, 1.2, 1.5, 3.0, 10.0, 100.0}) {
    const std::size_t bytes = static_cast<std::size_t>(static_cast<double>(needed) * more);
    const auto used = check<VarMatrix>(net.T, net.theta(), net.h_0, net.step(), {.bytes = bytes});
    BOOST_TEST(used.bytes <= bytes);
    BOOST_TEST(used.recomputed <= before + 20);  // segments are powers of two
    before = used.recomputed;
  }
  BOOST_TEST(before == 0);  // one tape
  for (const ad::Memory& wrong : {ad::Memory{.segment = -1}, ad::Memory{.states = -1}})
    BOOST_CHECK_EXCEPTION(ad::gradient_through_time(net.T, net.theta(), net.h_0, net.step(), wrong),
                          std::invalid_argument, says<std::exception>("= -1"));
}

BOOST_AUTO_TEST_CASE(memory_hardly_grows_with_time) {
  const auto at = [](Index T) {
    Network net{.d = 4, .n = 2, .m = 1, .B = 1, .T = 1};
    net.x = MatrixXd::Random(2, 100), net.target = MatrixXd::Random(1, 100);
    const auto step = net.step();
    const auto periodic = [&](Index t, const auto& theta, const VarMatrix& h) { return step(1 + t % 100, theta, h); };
    return ad::gradient_through_time(T, net.theta(), net.h_0, periodic, {.bytes = 400000}).memory;
  };
  for (const Index T : {1000, 10000, 100000}) {
    const auto used = at(T);
    BOOST_TEST(used.bytes <= 400000U);
    BOOST_TEST(static_cast<double>(used.recomputed) <= 1.0 * static_cast<double>(T));  // each step twice
  }
}

// --- streams ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_generator_is_asked_again_and_must_answer_the_same) {
  const auto loss = [](auto& x_of) {
    return ad::gradient_through_time<Var>(50, 0.5, 0.1,
                                          [&](Index t, const Var& w, const Var& h) {
                                            const Var next = tanh(w * h + x_of(t));
                                            return std::pair(next, Var(next * next));
                                          },
                                          {plenty, 4, 3})
        .loss;
  };
  std::map<Index, int> asked;
  const auto pure = [&](Index t) { return ++asked[t], 0.1 * static_cast<double>(t % 7); };
  loss(pure);
  BOOST_TEST(asked.size() == 50U);
  BOOST_TEST(asked[1] > 1);
  BOOST_TEST(asked[50] == 1);  // the last segment is recorded at once
  int calls = 0;
  const auto impure = [&](Index) { return 0.001 * ++calls; };
  BOOST_CHECK_EXCEPTION(loss(impure), std::runtime_error,
                        says<std::exception>("step 48, computed again, ends in another state"));
}

BOOST_AUTO_TEST_CASE(a_long_sequence_of_the_network_agrees_with_bptt_on_single_numbers) {
  std::srand(6);
  for (const auto activation : {rnn::Activation::tanh, rnn::Activation::relu, rnn::Activation::sigmoid,
                                rnn::Activation::softplus, rnn::Activation::identity})
    for (const auto loss :
         {rnn::Loss::squared, rnn::Loss::softmax_ce, rnn::Loss::sigmoid_ce, rnn::Loss::tanh_squared}) {
      const Index d = 4, n = 2, m = 3, T = 30;
      rnn::Network<> net;
      net.parameters = {MatrixXd::Random(d, d) * 0.6, MatrixXd::Random(d, n), VectorXd::Random(d),
                        MatrixXd::Random(m, d), VectorXd::Random(m)};
      net.h_0 = VectorXd::Random(d);
      net.alpha = 0.4;
      net.activation = activation;
      net.loss = loss;
      const rnn::Sequence<> sequence{MatrixXd::Random(n, T), MatrixXd::Random(m, T).cwiseAbs()};
      const auto want = rnn::bptt(net, sequence);
      const auto got = rnn::long_bptt(net, sequence, {plenty, 4, 2});
      const auto whole = rnn::long_bptt(net, sequence);
      const VectorXd a = rnn::flatten(want.gradient), b = rnn::flatten(got.gradient);
      BOOST_TEST(whole.memory.recomputed == 0);
      BOOST_TEST(got.memory.recomputed > 0);
      BOOST_TEST((b == rnn::flatten(whole.gradient)));
      BOOST_TEST((a - b).norm() <= 1e-12 * a.norm());
      BOOST_TEST((want.h_0 - got.h_0).norm() <= 1e-12 * want.h_0.norm());
      BOOST_TEST(got.loss == want.loss, boost::test_tools::tolerance(1e-12));
    }
}

// --- what is refused -------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(no_steps_and_states_that_change_their_shape_are_refused) {
  const auto grow = [](Index t, const auto&, const VarMatrix& h) {
    return std::pair(t == 3 ? vertical(h, h) : VarMatrix(2.0 * h), h.squaredNorm());
  };
  const VectorXd h_0 = VectorXd::Ones(3);
  for (const Index T : {0, -4})
    BOOST_CHECK_EXCEPTION(ad::gradient_through_time(T, std::tuple(), h_0, grow), std::invalid_argument,
                          says<std::exception>("the sequence has no steps", "T = " + std::to_string(T)));
  BOOST_CHECK_EXCEPTION(ad::gradient_through_time(5, std::tuple(), h_0, grow), std::invalid_argument,
                        says<std::exception>("the state is 6 x 1 after step 3", "h_0 is 3 x 1"));
  rnn::Network<> net;
  net.parameters = {MatrixXd::Zero(2, 2), MatrixXd::Zero(2, 1), VectorXd::Zero(2), MatrixXd::Zero(1, 2),
                    VectorXd::Zero(1)};
  net.h_0 = VectorXd::Zero(2);
  const auto source = [](Index) { return std::pair(Eigen::Vector3d(1, 2, 3), VectorXd(VectorXd::Zero(1))); };
  BOOST_CHECK_EXCEPTION(rnn::long_bptt(net, 5, source), std::invalid_argument, says<std::exception>("2 x 1", "3 x 1"));
}

BOOST_AUTO_TEST_CASE(what_a_step_throws_comes_through_and_leaves_the_tapes_as_they_were) {
  Tape outer;
  const Var x = outer.input(3.0);
  const auto fails = [](Index t, const Var& a, const Var& h) {
    if (t == 7) throw std::runtime_error("no data for step 7");
    return std::pair(Var(a * h), Var(h));
  };
  BOOST_CHECK_EXCEPTION(ad::gradient_through_time<Var>(9, 0.5, 1.0, fails, {plenty, 2, 2}), std::runtime_error,
                        says<std::exception>("no data for step 7"));
  const Var y = x * x;
  outer.reverse(y);
  BOOST_TEST(outer.adjoint(x) == 6);
  const auto stale = [&](Index, const Var& a, const Var&) { return std::pair(x, Var(a * a)); };
  BOOST_CHECK_EXCEPTION(ad::gradient_through_time<Var>(9, 0.5, 1.0, stale, {plenty, 2, 2}), std::invalid_argument,
                        says<std::exception>("another tape"));
  Var kept;
  const auto keeps = [&](Index t, const Var& a, const Var& h) {
    if (t == 1) kept = a * h;
    return std::pair(Var(a * h), kept);  // right while one tape holds all steps
  };
  BOOST_CHECK_EXCEPTION(ad::gradient_through_time<Var>(2, 0.5, 1.0, keeps, {plenty, 1, 2}), std::invalid_argument,
                        says<std::exception>("earlier recording"));
}

BOOST_AUTO_TEST_SUITE_END()
