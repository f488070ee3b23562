// Lesson 4: a network that remembers, unrolled into a column for each time step; who earns the credit for a late loss.
#include <array>
#include <cmath>
#include <map>

#include "ad/operators.h"
#include "ad/trace/rows.h"
#include "rnn/bptt.h"
#include "rnn/task.h"
#include "tutorials/drawing.h"
#include "tutorials/lesson.h"

using namespace tutorials;

//%hide
namespace {

// Of a network with one unit, "h_1[0]" is h_1.
std::string without_index(std::string s) {
  for (std::size_t at = s.find("[0]"); at != std::string::npos; at = s.find("[0]")) s.erase(at, 3);
  return s;
}

// Two scopes of a tape side by side, a row for each operation.
std::string columns(const std::array<ad::Trace<double>, 2>& steps) {
  std::string all = fmt::format("{:<38}{}\n", "t=1", "t=2");
  for (std::size_t i = 0; i < std::max(steps[0].rows.size(), steps[1].rows.size()); ++i) {
    std::string line;
    for (const auto& step : steps) {
      std::string cell;
      if (i < step.rows.size()) {
        const auto& row = step.rows[i];
        cell = fmt::format("{:<4}{:<22}{:>9.5f}", row.node(), without_index(row.operation), row.value);
      }
      line += fmt::format("{:<38}", cell);
    }
    all += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return all;
}

// |dL_6/dh_t|, t = 1 .. 6, of a network.
Eigen::VectorXd credit_of_states(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence) {
  ad::Tape tape;
  const auto on_tape = rnn::unroll(tape, net, sequence);
  tape.reverse(on_tape.losses[5]);
  Eigen::VectorXd sizes(6);
  for (std::size_t t = 1; t <= 6; ++t) sizes(static_cast<Eigen::Index>(t) - 1) = ad::adjoint(tape, on_tape.h[t]).norm();
  return sizes;
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(4, "A network through time") {
  //% # A reward that comes late
  //% You act now, and the reward comes later. Which of your acts has earned it? That is the *temporal credit assignment
  //% problem* (経時的貢献度分配問題). Anything that learns over time has it.
  //%
  //% Our example is the *Add* task: bits $b_t$ go in, and out should come
  //% $p_t = \frac{1}{2} + \frac{1}{2} b_{t-2} - \frac{1}{4} b_{t-3}$. Bits before $t = 1$ count as 0.
  //%ja 良し悪しは後になって分かる．どの時刻の何が効いたのか．
  const double alpha = parameter("alpha", 0.4, 0.01, 1);
  rnn::Random random(10);
  const auto sequence = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  show("b_1 .. b_6", sequence.x.row(0));
  show("p_1 .. p_6", sequence.target.row(0));
  ask(fmt::format("The bits are {}. What should come out at t = 4?", text(sequence.x.row(0))), sequence.target(0, 3),
      "1/2 + b_2 / 2 - b_1 / 4");
  expect("p_4 by the formula", sequence.target(0, 3), 0.5 + sequence.x(0, 1) / 2 - sequence.x(0, 0) / 4);
  expect("p_6 by the formula", sequence.target(0, 5), 0.5 + sequence.x(0, 3) / 2 - sequence.x(0, 2) / 4);
  expect("up to t = 2 there is nothing to remember", sequence.target(0, 0) == 0.5 && sequence.target(0, 1) == 0.5);

  //% # The network
  //% A recurrent network (再帰型ニューラルネットワーク) has a state $h_t$ that it hands to itself. At time $t$ it computes
  //%
  //% - (1.1) $u_t = W_{\mathrm{rec}} h_{t-1} + W_{\mathrm{in}} x_t + b_{\mathrm{rec}}$
  //% - (1.2) $h_t = (1 - \alpha) h_{t-1} + \alpha f(u_t)$: here $f = \tanh$, and $h_0 = 0$
  //% - (1.3) $v_t = W_{\mathrm{out}} h_t + b_{\mathrm{out}}$ and (1.4) $y_t = g(v_t)$: here the softmax
  //% - (1.5) $L = \sum_t L_t$: here the cross-entropy of $y_t$ with $[p_t, 1 - p_t]$
  //%
  //% The five parameters together are called $\theta$. Ours: $n = 2$ inputs, as a bit goes in as $x_t = [b_t; 1 - b_t]$, $d = 3$ units,
  //% $m = 2$ outputs.
  auto net = rnn::random_network(2, 3, 2, random);  // n, d, m
  net.alpha = alpha;
  net.loss = rnn::Loss::softmax_ce;
  const auto& theta = net.parameters;
  show("numbers in theta", rnn::size(theta));
  show("L_1 .. L_6", rnn::run(net, sequence).losses);
  ask("How many numbers does theta hold?", rnn::size(theta), 0.0,
      "d x d and d x n and d, then m x d and m");
  expect("d (d + n + 1) + m (d + 1)", static_cast<long>(rnn::size(theta)), 3L * (3 + 2 + 1) + 2 * (3 + 1));
  expect("h_0 = 0", net.h_0.isZero(0));
  expect("x_t = [b_t; 1 - b_t]", sequence.x.row(1).eval(), (1 - sequence.x.row(0).array()).matrix().eval());
  //%hide
  {
    const Eigen::VectorXd x_1 = sequence.x.col(0);
    const auto first = rnn::step(net, theta, net.h_0, x_1);
    const Eigen::VectorXd v = rnn::output(theta, first.h), y = rnn::prediction(net.loss, v);
    expect("(1.1)", first.u, (theta.W_in * x_1 + theta.b_rec).eval());
    expect("(1.2)", first.h, (alpha * first.u.array().tanh()).matrix());
    expect("(1.4), (1.5)", rnn::run(net, sequence).losses(0),
           -sequence.target.col(0).dot(y.array().log().matrix()));
  }
  //%show

  //% # The leak: how long a state lasts
  //% (1.2) keeps $1 - \alpha$ of the state and mixes in $\alpha$ of something new. Let there be nothing new: all weights
  //% zero, so $f(u_t) = \tanh(0) = 0$, and a state that begins at 1.
  auto silent = net;
  silent.parameters = rnn::zeros_like(theta);
  silent.h_0.setOnes();
  const Eigen::MatrixXd h = rnn::run(silent, sequence).h;  // h_0 to h_6
  show("unit 0, from h_0 to h_6", h.row(0));
  show("tau = 1 / alpha", 1 / alpha);
  ask(fmt::format("alpha = {}. How much of the state is left after three steps?", text(alpha)), h(0, 3),
      "(1 - alpha) for each step");
  for (int t = 0; t <= 6; ++t) expect("h_t = (1 - alpha)^t h_0", h(0, t), std::pow(1 - alpha, t));

  //% So $\alpha = 1/\tau$, with the time constant (時定数) $\tau$ counted in steps. At $\alpha = 1$ every step overwrites the
  //% state, and what is remembered is remembered by the weights alone: that is Elman's network.
  //%ja $\alpha$ は時定数 $\tau$ の逆数である．$\alpha = 1$ なら Elman のネットワークになる．
  //%hide
  auto elman = net;
  elman.alpha = 1;
  const auto overwritten = rnn::step(elman, theta, Eigen::Vector3d(0.3, -0.2, 0.5), sequence.x.col(0));
  expect("at alpha = 1, h_t = f(u_t)", overwritten.h, overwritten.u.array().tanh().matrix());
  //%show

  //% # The same step as a residual
  //% Written another way, (1.2) is $h_t = h_{t-1} + \alpha\,(f(u_t) - h_{t-1})$: the state goes straight through, and a
  //% layer corrects it. That is a residual connection (残差結合). Over $T$ steps the network is a residual network of $T$
  //% layers that share one set of weights (Liao and Poggio 2016).
  const Eigen::VectorXd h_1 = rnn::run(net, sequence).h.col(1);
  const Eigen::VectorXd x_2 = sequence.x.col(1);
  const auto second = rnn::step(net, theta, h_1, x_2);
  const Eigen::VectorXd residual = h_1 + alpha * (second.f - h_1);
  show("h_2", second.h);
  show("as a residual", residual);
  expect("the two forms are one", residual, second.h);

  //% # The straight path carries derivatives
  //% How does a change of $h_1$ move $h_2$? By $J_2 = \partial h_2 / \partial h_1$ (状態遷移のヤコビ行列):
  //% $1 - \alpha$ of it goes straight, the rest through the weights:
  //% $J_t = (1 - \alpha) I + \alpha\,\mathrm{diag}(f'(u_t))\,W_{\mathrm{rec}}$. Nobody need derive this; it is the derivative of a step.
  const auto next = [&](const auto& state) {
    using S = typename std::decay_t<decltype(state)>::Scalar;
    return rnn::step(net, rnn::cast<S>(theta), state, x_2).h;
  };
  const Eigen::MatrixXd J_2 = ad::jacobian(next, h_1);
  show("J_2", J_2);
  ask("What would J_2[0,0] be if W_rec were zero?", 1 - alpha, "what the straight path gives");
  //%hide
  const Eigen::MatrixXd straight = (1 - alpha) * Eigen::MatrixXd::Identity(3, 3);
  const Eigen::VectorXd slope = 1 - second.f.array().square();
  expect("straight path and weights", J_2, (straight + alpha * slope.asDiagonal() * theta.W_rec).eval());
  auto leak_only = net;
  leak_only.parameters.W_rec.setZero();
  const auto leak = [&](const auto& state) {
    using S = typename std::decay_t<decltype(state)>::Scalar;
    return rnn::step(leak_only, rnn::cast<S>(leak_only.parameters), state, x_2).h;
  };
  expect("without W_rec, J = (1 - alpha) I", ad::jacobian(leak, h_1), straight);
  //%show

  //% # A tape small enough to read
  //% For a tape, a loop over $t$ is one step after the other. Here are two steps of a network with one unit and squared
  //% loss, side by side. The columns are time steps; only $h_1$ crosses from one to the next, and $L_1$ for the sum.
  //%ja テープの列が時刻である．隣の列へは $h_1$ と $L_1$ だけが渡る．
  //%hide
  auto tiny = rnn::random_network(1, 1, 1, random);
  tiny.alpha = alpha;
  const rnn::Sequence<double> two_steps{Eigen::RowVector2d(1, -1), Eigen::RowVector2d(0.5, 0)};  // inputs, targets
  //%show
  ad::Tape small;
  rnn::unroll(small, tiny, two_steps, {.names = true});
  //%hide
  const std::array steps{ad::trace(small, {.scope = "t=1"}), ad::trace(small, {.scope = "t=2"})};
  show(columns(steps));
  bool same = steps[1].rows.size() == steps[0].rows.size() + 1;
  for (std::size_t i = 0; i < steps[0].rows.size(); ++i) same = same && steps[0].rows[i].op == steps[1].rows[i].op;
  expect("both steps record the same operations; the second adds the losses", same);
  expect("the last row is L = L_1 + L_2", without_index(steps[1].rows.back().operation), "L = L_1 + L_2");
  bool only = true;  // rows of t=2 read from t=1 nothing but h_1 and L_1
  for (const auto& row : steps[1].rows)
    for (const ad::Id operand : row.operands)
      if (operand >= steps[0].rows.front().id && operand <= steps[0].rows.back().id) {
        const std::string name = without_index(small.name_of(operand));
        only = only && (name == "h_1" || name == "L_1");
      }
  expect("h_1 and L_1 alone cross from the first column to the second", only);
  //%show

  //% # Unrolled: six columns
  //% Unrolling (時間方向への展開) our network of three units fills more lines; the picture is the same. $\theta$ is recorded
  //% once, before the first column, and every step reads it.
  ad::Tape tape;
  const auto on_tape = rnn::unroll(tape, net, sequence, {.names = true});
  //%hide
  Eigen::RowVectorXd entries(6);
  for (int t = 1; t <= 6; ++t) {
    const ad::Scope& step = tape.scopes()[static_cast<std::size_t>(t - 1)];
    entries(t - 1) = step.end - step.begin;
  }
  const ad::Id inputs = tape.scopes()[0].begin - 1;
  //%show
  ask(fmt::format("The step t=2 takes {} entries. How many does t=6 take?", entries(1)), entries(5), 0.5,
      "it does the same with other numbers");
  figure("The network unrolled over six steps.", unrolled_network(6));
  show("entries before t=1", inputs);
  show("entries in t=1 .. t=6", entries, "in all", tape.length());
  expect("before the first column stand theta, h_0 and six x_t", static_cast<long>(inputs),
         static_cast<long>(rnn::size(theta) + 3 + 6 * 2));
  for (int t = 3; t <= 6; ++t) expect("a column is as long as that of t=2", entries(t - 1), entries(1));
  expect("the first has one less: there is no sum of losses to add to", entries(0), entries(1) - 1);

  //% # One variable, many uses
  //% `W_rec[0,1]` is one variable of the tape, and every step uses it. In the reverse sweep each use hands it its part,
  //% and the parts add up, as in lesson 3.
  //%ja 重みは全時刻で共有される．変数は一つで，使われた回数だけ寄与が足される．
  const ad::Var W = on_tape.theta.W_rec(0, 1);
  tape.reverse(on_tape.loss);
  std::map<std::string, double> handed;  // by scope
  for (const auto& row : ad::trace(tape).rows)
    for (const auto& part : row.hands_out)
      if (part.to == W.id()) handed[row.scope] += part.amount;
  ask("What does the use at t = 1 hand to W_rec[0,1]?", handed["t=1"], "u_1[0] has the term W_rec[0,1] * h_0[1]");
  //%hide
  Eigen::RowVectorXd parts(6);
  for (int t = 1; t <= 6; ++t) parts(t - 1) = handed[fmt::format("t={}", t)];
  show("from t=1 .. t=6", parts);
  show("their sum", parts.sum(), "adjoint of W_rec[0,1]", tape.adjoint(W));
  expect("the adjoint is the sum over the uses", parts.sum(), tape.adjoint(W));
  expect("h_0 = 0, so the first use changes nothing", parts(0), 0.0);
  for (int t = 2; t <= 6; ++t) expect("the other uses do change something", parts(t - 1) != 0);
  //%show

  //% # The credit of an early state for a late loss
  //% How much did $h_1$ matter for the last loss, $L_6$? Sweep back from $L_6$ alone and read the adjoint of $h_1$. It is
  //% $\partial L_6 / \partial h_1$, with every path from $h_1$ to $L_6$ in it.
  tape.reverse(on_tape.losses[5]);
  show("dL_6/dh_1", ad::adjoint(tape, on_tape.h[1]));
  show("dL_6/dh_6", ad::adjoint(tape, on_tape.h[6]));

  //% Its size for all six states. What would the straight path alone leave of it?
  const Eigen::VectorXd credit = credit_of_states(net, sequence);
  ask(fmt::format("With W_rec = 0 and alpha = {}: what fraction of the credit of h_6 is left at h_1?", text(alpha)),
      std::pow(1 - alpha, 5), "five steps back, each times (1 - alpha)");
  //%hide
  std::string table = " t   |dL_6/dh_t|   as a fraction   straight path alone\n";
  for (int t = 1; t <= 6; ++t)
    table += fmt::format(" {}   {:>12.6f}   {:>13.4f}   {:>19.4f}\n", t, credit(t - 1), credit(t - 1) / credit(5),
                         std::pow(1 - alpha, 6 - t));
  show(table);
  const Eigen::VectorXd by_leak = credit_of_states(leak_only, sequence);
  for (int t = 1; t <= 6; ++t)
    expect("with W_rec = 0 a step back multiplies by 1 - alpha", by_leak(t - 1), by_leak(5) * std::pow(1 - alpha, 6 - t));
  expect("the column is that of the tape", credit(0), ad::adjoint(tape, on_tape.h[1]).norm());
  expect("the first state has credit for the last loss", credit(0) > 0);
  if (at_default()) {
    for (int t = 2; t <= 6; ++t) expect("credit fades from step to step, going back", credit(t - 2) < credit(t - 1));
  }
  expect("the weights keep more of it than the leak alone", credit(0) / credit(5) > std::pow(1 - alpha, 5));
  //%show
  //% In this network credit fades on its way back, but with the weights more is left of it than by the leak alone.

  //% # alpha decides how far credit reaches
  //% Networks that differ in $\alpha$ only. What fraction of the credit for $L_6$ is left at $h_1$?
  //%hide
  std::string reach = " alpha    with W_rec    with W_rec = 0\n";
  for (const double a : {0.1, 0.2, 0.4, 0.7, 1.0}) {
    net.alpha = leak_only.alpha = a;
    const auto full = credit_of_states(net, sequence);
    const auto leak_alone = credit_of_states(leak_only, sequence);
    reach += fmt::format("{:>6}{:>14.5f}{:>18.5f}\n", a, full(0) / full(5), leak_alone(0) / leak_alone(5));
    expect("without W_rec it is (1 - alpha)^5", leak_alone(0) / leak_alone(5), std::pow(1 - a, 5));
    expect("with W_rec it is more", full(0) / full(5) > leak_alone(0) / leak_alone(5));
  }
  ask("At alpha = 1 and with W_rec = 0, what fraction of the credit is left at h_1?", 0, 0.0, "(1 - alpha)^5");
  show(reach);
  //%show
  //% A slow network carries credit far by its leak; Elman's, at $\alpha = 1$, by its weights alone.
  //%
  //% Two sums have come up: $L$ is a sum over losses, and $\partial L / \partial W$ a sum over uses. Lesson 5 gives each use
  //% a name, and looks at every pair.
  //%ja 損失についての和と，重みが使われた時刻についての和．次の課ではこの二重和を見る．
}
