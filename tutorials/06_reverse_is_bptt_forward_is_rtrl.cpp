// Lesson 6: BPTT is reverse mode over the unrolled network, and RTRL is forward mode: the same numbers, read off one tape.
#include <chrono>
#include <cmath>
#include <vector>

#include "ad/operators.h"
#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rnn/task.h"
#include "rules/bptt.h"
#include "rules/rtrl.h"
#include "tutorials/drawing.h"
#include "tutorials/lesson.h"

using namespace tutorials;

//%hide
namespace {

using rnn::Parameters;
using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

/// What belongs to time t.
template <class X>
const X& at(const std::vector<X>& times, int t) {
  return times.at(static_cast<std::size_t>(t));
}

/// The largest difference of an entry, relative to the largest entry.
double relative(const auto& got, const auto& want) {
  return (got - want).cwiseAbs().maxCoeff() / want.cwiseAbs().maxCoeff();
}

/// The recurrent part of a gradient as one vector, in the order of the columns of P.
Vector recurrent(const Parameters<double>& g) {
  const Vector all = rnn::flatten(g);
  return all.head(g.W_rec.size() + g.W_in.size() + g.b_rec.size());
}

/// Microseconds a step of a sequence of `steps` takes; the fastest of several runs.
double microseconds_a_step(auto&& run, Eigen::Index steps) {
  using clock = std::chrono::steady_clock;
  double best = 1e300;
  for (int i = 0; i < 5; ++i) {
    const auto begin = clock::now();
    run();
    best = std::min(best, std::chrono::duration<double, std::micro>(clock::now() - begin).count());
  }
  return best / static_cast<double>(steps);
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(6, "BPTT is reverse mode, RTRL is forward mode") {
  //% # delta is an adjoint
  //% Lesson 2 swept a tape back from its result. Let it be the tape of the unrolled network, and the result $L$. What is
  //% then the adjoint of $h_t$? It is $\partial L / \partial h_t$: the credit assignment vector $\delta_t$ (貢献度分配ベクトル) of BPTT.
  //%ja 展開したネットワークのテープを $L$ から逆にたどると，$h_t$ の随伴が $\delta_t$ である．
  const double alpha = parameter("alpha", 0.4, 0.01, 1);
  rnn::Random random(10);
  const auto sequence = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  auto net = rnn::random_network(2, 3, 2, random);      // as in lesson 4
  net.alpha = alpha;
  net.loss = rnn::Loss::softmax_ce;
  ad::Tape tape;
  const auto on_tape = rnn::unroll(tape, net, sequence);
  tape.reverse(on_tape.loss);
  const Matrix delta = rnn::adjoints(tape, on_tape).delta;
  ask("Does any loss but L_6 depend on h_6?", false, "the present changes no past");
  show("delta_1 .. delta_6, one a column", delta);
  //%hide
  Matrix immediate(3, 6);  // dL_t/dh_t
  for (int t = 1; t <= 6; ++t) {
    const auto i = static_cast<std::size_t>(t);
    expect("column t - 1 is the adjoint of h_t", delta.col(t - 1).eval(), ad::adjoint(tape, on_tape.h[i]));
  }
  for (int t = 1; t <= 6; ++t) {
    const auto i = static_cast<std::size_t>(t);
    tape.reverse(on_tape.losses[i - 1]);
    immediate.col(t - 1) = ad::adjoint(tape, on_tape.h[i]);
  }
  show("dL_6/dh_6", immediate.col(5));
  expect("delta_6 is the immediate credit of L_6", delta.col(5).eval(), immediate.col(5).eval());
  rnn::Rtrl<double> forward(net);
  std::vector<Matrix> J(7), P(7, Matrix::Zero(3, 18));
  std::vector<rnn::Tensor3<double>> P_W_in;  // [t-1]
  for (int t = 1; t <= 6; ++t) {
    forward.advance(sequence.x.col(t - 1), sequence.target.col(t - 1));
    J[static_cast<std::size_t>(t)] = forward.J();
    P[static_cast<std::size_t>(t)] = forward.P();
    P_W_in.push_back(forward.P_W_in());
  }
  const auto states = rnn::run(net, sequence);
  const auto slope = [&](int t) -> Vector { return alpha * (1 - states.u.col(t - 1).array().tanh().square()); };
  rules::Bptt<double> bptt(net);
  const auto bptt_by_hand = rules::learn(bptt, net, sequence, true);
  rules::Rtrl<double> rtrl(net);
  const auto rtrl_by_hand = rules::learn(rtrl, net, sequence, true);
  //%show

  //% # BPTT is what the sweep does
  //% BPTT runs $\delta_t = \tilde{\delta}_t + \delta_{t+1} J_{t+1}$ (1.12), from $\delta_{T+1} = 0$ backward, where
  //% $\tilde{\delta}_t = \partial L_t / \partial h_t$ is the immediate credit (即時的貢献度分配ベクトル). The sweep knows no
  //% such formula. It hands out adjoints, entry by entry; but $h_t$ is read twice, by $v_t$ and by step $t + 1$, and so
  //% receives two parts.
  const Vector from_v_3 = immediate.col(3 - 1);         // dL_3/dh_3
  const Vector from_h_4 = J[4].transpose() * delta.col(4 - 1);
  show("from v_3", from_v_3);
  show("from h_4", from_h_4);

  //% The `J` are derivatives of a step, as in lesson 4. Now the sum:
  show("adjoint of h_3", delta.col(3 - 1));
  ask("What is the first entry of the adjoint of h_3?", delta(0, 2), 0.0006, "the two first entries together");
  expect("(1.12) at t = 3", delta.col(2).eval(), (from_v_3 + from_h_4).eval());
  //%hide
  for (int t = 1; t < 6; ++t)
    expect("(1.12)", delta.col(t - 1).eval(),
           (immediate.col(t - 1) + J[static_cast<std::size_t>(t + 1)].transpose() * delta.col(t)).eval());
  expect("rules/bptt.h, written by hand, has the same delta", bptt.delta(), delta);
  //%show
  //% `rules/bptt.h` has this loop, written by hand: the same $\delta_t$ at all six times.

  //% # P is a tangent
  //% Now sweep the same tape forward, as in lesson 2: one parameter moves at speed 1. The tangent of $h_t$ is then
  //% $\partial h_t / \partial \theta_k$, a column of the sensitivity matrix $P_t$ (感度行列) of RTRL.
  //%ja 同じテープを $\theta_k$ から順にたどると，$h_t$ の接ベクトルが $P_t$ の列である．
  tape.forward(on_tape.theta.W_rec(1, 2));
  Matrix moves(3, 6);
  for (int t = 1; t <= 6; ++t)
    moves.col(t - 1) = ad::tangent(tape, at(on_tape.h, t));
  show("dh_t/dW_rec[1,2] for t = 1 .. 6", moves);
  ask("How fast does h_1 move with W_rec[1,2]?", moves.col(0).norm(), "it is multiplied by h_0[2]");
  for (std::size_t t = 1; t <= 6; ++t) expect("column 2 * 3 + 1 of P_t", moves.col(static_cast<int>(t) - 1).eval(), P[t].col(7).eval());
  expect("h_0 = 0", moves.col(0).isZero(0));

  //% Nobody wrote (1.17), $P_t = \tilde{P}_t + J_t P_{t-1}$, but it holds. At $t = 2$, before $J$ spreads it,
  //% `W_rec[1,2]` moves its own unit only; that is $\tilde{P}_2$ (即時的感度行列).
  const Vector own = moves.col(2 - 1) - J[2] * moves.col(1 - 1);
  show("immediate, at t = 2", own);
  //%hide
  expect("rules/rtrl.h, written by hand, has the same P", rtrl.P(), P[6]);
  for (int t = 1; t <= 6; ++t) {
    Matrix at_once(3, 18);  // column 3 c + i: dh_i/dW_ic
    Vector z(6);
    z << states.h.col(t - 1), sequence.x.col(t - 1), 1;
    for (int c = 0; c < 6; ++c) at_once.middleCols(3 * c, 3) = z(c) * Matrix(slope(t).asDiagonal());
    const auto i = static_cast<std::size_t>(t);
    expect("(1.17)", P[i], (at_once + J[i] * P[i - 1]).eval());
  }
  expect("its own unit: alpha f'(u_2[1]) h_1[2]", own(1), slope(2)(1) * states.h(2, 1), 1e-15);
  expect("and no other", std::abs(own(0)) + std::abs(own(2)) < 1e-15);
  //%show

  //% # P has three indices
  //% $W_{\mathrm{in}}$ has two indices, so the $P_t$ of $W_{\mathrm{in}}$ has three: $(P_t)_{ijk} = \partial h_i / \partial W_{jk}$, a
  //% third-order tensor (3階テンソル) of d x d x n. We look at slices, one for each input $k$. The immediate
  //% $\tilde{P}_t = \alpha\,\mathrm{diag}(f'(u_t)) \otimes x_t$ is diagonal in each: a weight moves its own unit. ($\otimes$ is the tensor
  //% product, テンソル積: slice $k$ is the matrix times $x_t[k]$.)
  const auto& P_1 = P_W_in[1 - 1];                      // immediate
  const auto& P_3 = P_W_in[3 - 1];
  ask("x_1 = (1, 0). How many entries of slice 1 of P_1 are not zero?",
      static_cast<double>((P_1.slice(1).array() != 0).count()), 0.0, "slice k is alpha diag(f'(u_1)) times x_1[k]");
  show("P_1, slice 0", P_1.slice(0));
  show("P_3, slice 0, where J has spread it", P_3.slice(0));
  //%hide
  for (int k = 0; k < 2; ++k)
    expect("P_1 is immediate", P_1.slice(k).eval(), (sequence.x(k, 0) * Matrix(slope(1).asDiagonal())).eval());
  expect("slice 0 is diagonal", Matrix(P_1.slice(0)).isDiagonal(0) && (P_1.slice(0).diagonal().array() > 0).all());
  expect("slice 1 is zero", P_1.slice(1).isZero(0));
  expect("at t = 3 slice 0 is full", (P_3.slice(0).array() != 0).all());
  //%show
  //% The notes contract the first index away, $\tilde{\otimes}_1$: $\partial L_t / \partial W_{\mathrm{in}} = \delta_t^{\mathrm{out}} W_{\mathrm{out}} \tilde{\otimes}_1 P_t$, a sum
  //% over units, with the output's error $\delta_t^{\mathrm{out}} = \partial L_t / \partial v_t$ as a row.
  const Eigen::RowVectorXd credit_3 = immediate.col(3 - 1).transpose();
  show("dL_3/dW_in", rnn::contract_row(credit_3, P_3));
  expect("the contraction is dL_t/dW_in", rnn::contract_row(credit_3, P_3), rtrl_by_hand.per_step[2].W_in);

  //% # By hand and derived: all numbers
  //% `rules/` has both rules by hand, without a tape; `rnn/` has both derived, without a derivative by hand. Here is the
  //% largest relative difference of an entry, for each parameter.
  //%hide
  const rnn::Credit<double> credit(net, sequence, true);
  const auto derived_rows = rnn::rtrl(net, sequence).per_step;
  const auto total = rnn::bptt(net, sequence).gradient;
  std::string table = "                     W_rec    W_in   b_rec   W_out   b_out\n";
  double worst = 0;
  const auto line = [&](const std::string& name, const auto& got, const auto& want) {
    table += fmt::format(" {:<17}", name);
    rnn::for_each_block(
        [&](auto, const auto& a, const auto& b) {
          const double e = b.isZero(0) ? a.cwiseAbs().maxCoeff() : relative(a, b);
          worst = std::max(worst, e);
          table += fmt::format("{:>8.0e}", e);
        },
        got, want);
    table += "\n";
  };
  for (std::size_t t = 0; t < 6; ++t) line(fmt::format("RTRL dL_{}/dtheta", t + 1), rtrl_by_hand.per_step[t], derived_rows[t]);
  for (std::size_t s = 0; s < 6; ++s)
    line(fmt::format("BPTT dL/dtheta_{}", s + 1), bptt_by_hand.per_step[s], credit.column_sum(static_cast<int>(s) + 1));
  line("RTRL total", rtrl_by_hand.gradient, total);
  line("BPTT total", bptt_by_hand.gradient, total);
  show(table);
  expect("by hand equals derived, in every entry, to rounding", worst < 1e-13);
  //%show
  //% Nothing but rounding is left: one double sum, added up in two orders, each found in two ways.

  //% # What the formulas leave out
  //% (1.8) and (1.13) go through the state: $\frac{\partial L_t}{\partial \theta} = \frac{\partial L_t}{\partial h_t} \frac{\partial h_t}{\partial \theta}$.
  //% Is that true of all five parameters? Ask the tape how fast the states move with `W_out[0,0]`.
  tape.forward(on_tape.theta.W_out(0, 0));
  double as_written = 0;
  for (int t = 1; t <= 6; ++t)
    as_written += immediate.col(t - 1).dot(
        ad::tangent(tape, at(on_tape.h, t)));
  show("as written", as_written);
  show("tangent of L", tape.tangent(on_tape.loss));
  ask("What do the formulas give for dL/dW_out[0,0], as written?", as_written, "does any h_t depend on W_out?");
  expect("no h_t moves with W_out", as_written, 0.0);
  expect("L does, as reverse mode says", tape.tangent(on_tape.loss), total.W_out(0, 0));
  expect("and not by little", std::abs(total.W_out(0, 0)) > 0.01);

  //% $W_{\mathrm{out}}$ and $b_{\mathrm{out}}$ act on $L_t$ without the state. Both formulas need a direct term: the *partial* derivative at
  //% fixed $h_t$ (lesson 3). The tape had it all along.
  Matrix direct = Matrix::Zero(2, 3);
  for (int t = 1; t <= 6; ++t) {
    const auto loss_at_fixed_h = [&](const auto& W_out) {
      return rnn::loss_t(net.loss, W_out * Vector(states.h.col(t)),
                         sequence.target.col(t - 1));   // b_out = 0
    };
    direct += ad::gradient(loss_at_fixed_h, net.parameters.W_out);
  }
  show("|direct term|", direct.norm(), "|dL/dW_out|", total.W_out.norm());
  expect("the direct term is the whole gradient by W_out", direct, total.W_out);
  expect("b_out = 0", net.parameters.b_out.isZero(0));

  //% # Where the two meet
  //% Cut the square of lesson 5 after $t = 3$. RTRL has added up rows 1 to 3, BPTT columns 4 to 6. What is left is a
  //% rectangle: losses of the future, uses of the past.
  //%hide
  const auto& squares = credit.squared_norms();
  const Matrix sizes = (squares.W_rec + squares.W_in + squares.b_rec).cwiseSqrt();
  Vector rows = Vector::Zero(18), columns = rows;
  const Vector all = recurrent(total);
  for (int t = 1; t <= 3; ++t) rows += recurrent(credit.row_sum(t));
  for (int s = 4; s <= 6; ++s) columns += recurrent(credit.column_sum(s));
  //%show
  figure("The square of credit, cut after t = 3.", credit_square(sizes, {3}));
  //% $\delta_4 J_4$ is the credit of $h_3$ for all later losses, $P_3$ what all earlier uses did to $h_3$. Their product:
  const Vector rectangle = P[3].transpose() * from_h_4;
  show("|delta_4 J_4 P_3|", rectangle.norm());
  show("|all - rows - columns|", (all - rows - columns).norm());
  ask("How many blocks has this one product added up?", 9, 0.0, "three losses, three uses");
  //%hide
  expect("rows + rectangle + columns", (rows + rectangle + columns).eval(), all);
  for (int t = 1; t < 6; ++t) {
    const auto i = static_cast<std::size_t>(t);
    Vector sum = P[i].transpose() * (J[i + 1].transpose() * delta.col(t));
    for (int s = 1; s <= 6; ++s) sum += recurrent(s <= t ? credit.row_sum(s) : credit.column_sum(s));
    expect("at every cut", sum, all);
  }
  //%show
  //% All that the past does to the future goes through the present state: adjoint times tangent at a cut of the tape, as in
  //% lesson 2.
  //%ja 過去から未来への影響は，すべて現在の状態を通る．

  //% # What they remember
  //% BPTT keeps all it has passed, until the end; a tape keeps even every operation. RTRL keeps $P$, however long it goes on.
  //%hide
  std::string memory = "     T     tape of BPTT      P of RTRL\n";
  std::vector<double> taken;
  for (const int length : {6, 12, 24, 48}) {
    rnn::Random draw(1);
    const auto s = rnn::add_task(length, draw, {.t1 = 2, .t2 = 3});
    rnn::Rtrl<double> online(net);
    for (int t = 0; t < length; ++t) online.advance(s.x.col(t), s.target.col(t));
    const auto bytes = rnn::bptt(net, s).bytes;
    taken.push_back(static_cast<double>(bytes));
    memory += fmt::format("{:>6}{:>11} bytes{:>9} bytes\n", length, bytes, static_cast<std::size_t>(online.P().size()) * sizeof(double));
    expect("P has d^2 (d + n + 1) numbers", static_cast<long>(online.P().size()), 9L * 6);
  }
  expect("the tape grows by the same for every step", (taken[3] - taken[2]) / 24 / ((taken[1] - taken[0]) / 6), 1.0, 0.02);
  //%show
  ask("From T = 24 to T = 48, by what factor does RTRL's memory grow?", 1, 0.0, "P_48 is as large as P_24");
  //%hide
  show(memory);
  //%show
  //% But $P$ has $d^2 (d + n + 1)$ numbers. BPTT by hand keeps $3d + n + 1$ a step: $[h_{t-1}; x_t; 1]$, the slopes
  //% $\alpha f'(u_t)$ and $\tilde{\delta}_t$. How long must a sequence be before that is more than $P$?
  const auto length = [](double d, double n) {
    return d * d * (d + n + 1) / (3 * d + n + 1);
  };
  show("d = 3", length(3, 2), "d = 32", length(32, 2));
  show("d = 512", length(512, 2));
  expect("about d^2 / 3", length(512, 2) / (512.0 * 512 / 3), 1.0, 0.01);
  expect("what rules/bptt.h keeps: [h; x; 1], slopes, delta~", 3 * 3 + 2 + 1, (3 + 2 + 1) + 3 + 3);
  //% Few units and a long life favour RTRL; many units favour BPTT.

  //% # What they cost
  //% Reverse mode passes each step once, for all parameters. Forward mode carries a tangent for every parameter through
  //% every step: $J P$, about $d^4$ multiplications a step where BPTT has about $d^2$. Measured as this page was made, in
  //% microseconds a step:
  //%hide
  std::string cost = "             derived               by hand\n     d   reverse   forward      BPTT      RTRL   forward / reverse\n";
  std::vector<double> factor;
  for (const int d : {4, 8, 16, 32}) {
    rnn::Random draw(1);
    auto other = rnn::random_network(2, d, 2, draw);
    other.alpha = alpha;
    const auto s = rnn::add_task(4, draw, {.t1 = 2, .t2 = 3});
    rules::Bptt<double> hand_bptt(other);
    rules::Rtrl<double> hand_rtrl(other);
    const double reverse = microseconds_a_step([&] { rnn::bptt(other, s); }, 4);
    const double up = microseconds_a_step([&] { rnn::rtrl(other, s); }, 4);
    const double by_bptt = microseconds_a_step([&] { rules::learn(hand_bptt, other, s); }, 4);
    const double by_rtrl = microseconds_a_step([&] { rules::learn(hand_rtrl, other, s); }, 4);
    factor.push_back(up / reverse);
    cost += fmt::format("{:>6}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>20.0f}\n", d, reverse, up, by_bptt, by_rtrl,
                        factor.back());
  }
  //%show
  ask("As d grows, does forward mode become dearer compared with reverse mode?", true);
  //%hide
  show(cost);
  expect("the larger the network, the dearer forward mode", factor[3] > factor[1]);
  expect("at d = 32 by far", factor[3] > 5);
  //%show
  //% Many parameters and one loss: the case of reverse mode, where the past can be kept and the end awaited.

  //% # Two modes of one product
  //% The block at $(t, s)$ is $\tilde{\delta}_t\, J_t\, J_{t-1} \cdots J_{s+1}\, \tilde{P}_s$. Worked out from the left it is
  //% a row times a matrix, again and again: reverse accumulation (逆方向累積). From the right it is a matrix times a matrix:
  //% forward accumulation (順方向累積).
  //%ja 未来方向の勾配和は逆モードで，過去方向の勾配和は順モードで計算される．
  const Matrix P_at_once = P[2] - J[2] * P[1];          // block (6, 2)
  Eigen::RowVectorXd left = immediate.col(6 - 1).transpose();
  for (int r = 6; r > 2; --r) left = left * at(J, r);
  Matrix right = P_at_once;
  for (int r = 3; r <= 6; ++r) right = at(J, r) * right;
  right = immediate.col(6 - 1).transpose() * right;
  ask("From the right, J times P~ takes 3 x 3 x 18 multiplications. How many does a row times J take, from the left?", 9, 0.0, "three entries of three terms each");
  show("from the left", (left * P_at_once).norm());
  show("from the right", right.norm());
  expect("one product", (left * P_at_once).eval(), right, 1e-15);
  expect("it is the block", (left * P_at_once).transpose().eval(), recurrent(credit.block(6, 2)), 1e-15);
  //% **The sum that faces the future: reverse mode, BPTT. The sum that faces the past: forward mode, RTRL.**
  //%
  //% Both ask much of a brain: one goes back over all that was, the other knows at each synapse how it moves every unit.
  //% Rules that ask less change one of these two programs.
}
