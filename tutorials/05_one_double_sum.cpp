// Lesson 5: each use of the weights gets a name, and the gradient becomes a double sum that can be added up in two orders.
#include <cmath>
#include <vector>

#include "ad/operators.h"
#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rnn/task.h"
#include "rules/bptt.h"
#include "rules/double_sum.h"
#include "rules/rtrl.h"
#include "tutorials/drawing.h"
#include "tutorials/lesson.h"

using namespace tutorials;

//%hide
namespace {

using Row = Eigen::RowVectorXd;

double norm(const rnn::Parameters<double>& p) { return rnn::flatten(p).norm(); }
double distance(const rnn::Parameters<double>& a, const rnn::Parameters<double>& b) {
  return (rnn::flatten(a) - rnn::flatten(b)).norm();
}

// Online learning: RTRL gives dL_t/dtheta at every step, and the parameters move at once. For any kind of number.
template <class S>
struct Learner {
  rnn::Network<S> net;
  rules::Rtrl<S> rtrl;
  rnn::VectorX<S> h;
  rnn::Parameters<S> sum;  // of all dL_t/dtheta so far
  S loss{0};

  template <class V>
  Learner(const rnn::Network<double>& from, const V& start)
      : net(with(from, start)), rtrl(net), h(net.h_0), sum(rnn::zeros_like(net.parameters)) {}

  void step(const rnn::VectorX<S>& x, const rnn::VectorX<S>& target, double eta) {
    auto& theta = net.parameters;
    const rnn::Step<S> now = rnn::step(net, theta, h, x);
    const rnn::VectorX<S> v = rnn::output(theta, now.h), e = rules::output_error(net.loss, v, target);
    const rnn::VectorX<S> q = theta.W_out.transpose() * e;
    const rnn::VectorX<S> phi = rules::slope(net.activation, net.alpha, now.u, now.f);
    auto g = rnn::zeros_like(theta);
    rules::add<S>(rtrl.observe({h, x, now.u, now.h, phi, theta.W_rec, net.alpha, q, e, target, false}), g);
    g.W_out = e * now.h.transpose();
    g.b_out = e;
    loss += rnn::loss_t(net.loss, v, target);
    sum += g;
    rnn::for_each_block([&](auto, auto& weights, const auto& by) { weights -= S(eta) * by; }, theta, g);
    h = now.h;
  }

 private:
  template <class V>
  static rnn::Network<S> with(const rnn::Network<double>& from, const V& start) {
    auto net = rnn::cast<S>(from);
    net.parameters = rnn::unflatten(from.parameters, start);
    return net;
  }
};

template <class V>
auto learn_online(const rnn::Network<double>& net, const V& theta_1, const rnn::Sequence<double>& sequence,
                  double eta) {
  using S = typename V::Scalar;
  const auto numbers = rnn::cast<S>(sequence);
  Learner<S> learner(net, theta_1);
  for (Eigen::Index t = 0; t < sequence.length(); ++t) learner.step(numbers.x.col(t), numbers.target.col(t), eta);
  return learner;
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(5, "One double sum, two orders") {
  //% # Six names for one thing
  //% One $\theta$ is used at six times. To ask what each use did, name the $\theta$ used at time $s$: $\theta_s$, a copy.
  //% A move of $\theta$ moves every copy alike, $\partial \theta_s / \partial \theta = I$, so by (1.6)
  //% $\frac{\partial L}{\partial \theta} = \sum_t \sum_s \frac{\partial L_t}{\partial \theta_s}$.
  //%ja 時刻 $s$ に使われた $\theta$ を $\theta_s$ と呼ぶ．勾配は二重和になる．
  const double alpha = parameter("alpha", 0.4, 0.01, 1);
  rnn::Random random(10);
  const auto sequence = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  auto net = rnn::random_network(2, 3, 2, random);  // as in lesson 4
  net.alpha = alpha;
  net.loss = rnn::Loss::softmax_ce;
  ad::Tape tape;
  const auto on_tape = rnn::unroll(tape, net, sequence, {.copies = true});
  const auto& theta_2 = on_tape.theta_at[2 - 1];
  tape.reverse(on_tape.losses[4 - 1]);
  show("dL_4/dtheta_2, for b_rec", ad::adjoint(tape, theta_2.b_rec));
  ask("Of the 36 blocks dL_t/dtheta_s, how many can be other than zero?", 21, 0.0,
      "what is used at time s cannot change a loss before s");
  expect("one copy for each time", on_tape.theta_at.size(), std::size_t{6});
  //%hide
  const rnn::Credit<double> credit(net, sequence, true);
  expect("the block is the adjoint of a copy", ad::adjoint(tape, theta_2.b_rec), credit.block(4, 2).b_rec);
  int blocks = 0;
  for (int t = 1; t <= 6; ++t)
    for (int s = 1; s <= 6; ++s) blocks += norm(credit.block(t, s)) > 0;
  expect("21 of 36 blocks are not zero", blocks, 21);
  {
    const ad::Var original = on_tape.theta.W_rec(0, 0), copy = theta_2.W_rec(0, 0);
    const auto& entry = tape.entry_of(copy.id());
    expect("a copy is an entry of slope 1", entry.a == original.id() && entry.pa == 1);
  }
  //%show

  //% # The picture of credit
  //% All blocks at once: `rnn::Credit` sweeps back from each $L_t$ and reads the adjoints of all copies. Here is the size of
  //% each block, over $W_{\mathrm{rec}}$, $W_{\mathrm{in}}$ and $b_{\mathrm{rec}}$. A row is a loss, a column a use.
  //%ja 行は損失の時刻 $t$，列はパラメータが使われた時刻 $s$ である．
  //%hide
  const auto& squares = credit.squared_norms();
  const Eigen::MatrixXd sizes = (squares.W_rec + squares.W_in + squares.b_rec).cwiseSqrt();
  //%show
  figure("The size of each block dL_t/dtheta_s.", credit_square(sizes));
  if (at_default()) {
    expect("within a row, the latest use has most credit", (sizes.diagonal() - sizes.rowwise().maxCoeff()).isZero(0));
    for (int t = 2; t <= 6; ++t)
      for (int s = 2; s <= t; ++s) expect("credit fades along every row", sizes(t - 1, s - 2) < sizes(t - 1, s - 1));
  }
  //% Read a row from right to left: how far back does this loss reach? Read a column downward: how long does this use go
  //% on to matter? The rows differ in strength as the errors of the output do.
  //%hide
  Eigen::RowVectorXd output_errors(6);
  const auto run = rnn::run(net, sequence);
  for (int t = 1; t <= 6; ++t)
    output_errors(t - 1) = (rnn::prediction(net.loss, run.v.col(t - 1)) - sequence.target.col(t - 1)).norm();
  show("|y_t - target|", output_errors);
  if (at_default())
    for (int t = 1; t <= 6; ++t)
      for (int s = 1; s <= 6; ++s)
        expect("a larger error, a stronger row", (output_errors(t - 1) < output_errors(s - 1)) ==
                                                     (sizes(t - 1, t - 1) < sizes(s - 1, s - 1)));
  //%show

  //% # The present changes no past
  //% Above the diagonal stands nothing: $\partial L_t / \partial \theta_s = 0$ for $s > t$. The tape says why without any
  //% calculus. It is written in the order of time, and an entry has only operands that were there before it.
  tape.reverse(on_tape.losses[2 - 1]);
  const auto& theta_5 = on_tape.theta_at[5 - 1];
  show("entry of L_2", on_tape.losses[2 - 1].id());
  show("entry of b_rec[0] in theta_5", theta_5.b_rec(0).id());
  show("dL_2/dtheta_5, for b_rec", ad::adjoint(tape, theta_5.b_rec));
  ask("Can the sweep back from L_2 ever reach theta_5?", false, "going back, it meets smaller numbers only");
  //%hide
  expect("theta_5 was recorded after L_2", theta_5.b_rec(0).id() > on_tape.losses[1].id());
  bool earlier = true, zero = true;
  for (ad::Id i = 1; i <= tape.length(); ++i) {
    const auto& entry = tape.entry_of(i);
    earlier = earlier && entry.a < i && entry.b < i && entry.c < i;
  }
  for (int t = 1; t <= 6; ++t)
    for (int s = t + 1; s <= 6; ++s) zero = zero && norm(credit.block(t, s)) == 0;
  expect("every operand is recorded before its use", earlier);
  expect("all blocks with s > t are zero, exactly", zero);
  //%show
  //% So the double sum runs over $s \le t$ only, as in (1.6).
  //%ja 現在のパラメータは過去の損失に影響しない．だから $s \le t$ の和だけが残る．

  //% # A row: what the past did to one loss
  //% Sizes do not add, numbers do. One parameter, `b_rec[0]`, and its entry of every block:
  //%hide
  Eigen::MatrixXd b = Eigen::MatrixXd::Zero(6, 6);
  for (int t = 1; t <= 6; ++t)
    for (int s = 1; s <= t; ++s) b(t - 1, s - 1) = credit.block(t, s).b_rec(0);
  show(triangle(b));
  //%show
  //% A row added up is $\partial L_t / \partial \theta$: one loss, all uses in its past (過去方向, past-facing). Rows are what
  //% real-time recurrent learning computes (RTRL, 実時間再帰学習).
  rules::Rtrl<double> rtrl(net);                          // by hand
  const auto rows = rules::learn(rtrl, net, sequence, true).per_step;
  ask("Add up row 3 of the table. What will RTRL give at t = 3?", rows[2].b_rec(0), 0.0006);
  show("sum of row 3", b.row(2).sum(), "RTRL at t = 3", rows[2].b_rec(0));
  for (int t = 1; t <= 6; ++t) {
    expect("the sum of a row is RTRL's dL_t/dtheta, for every parameter", rnn::flatten(credit.row_sum(t)),
           rnn::flatten(rows[static_cast<std::size_t>(t - 1)]));
    expect("and of this entry", b.row(t - 1).sum(), rows[static_cast<std::size_t>(t - 1)].b_rec(0), 1e-15);
  }

  //% # A column: what one use did to the future
  //% A column added up is $\partial L / \partial \theta_s$: one use, all losses in its future (未来方向, future-facing).
  //% Columns are what backpropagation through time computes (BPTT, 経時的誤差逆伝播法).
  rules::Bptt<double> bptt(net);                          // by hand
  const auto columns = rules::learn(bptt, net, sequence, true).per_step;
  ask(fmt::format("Column 3 is {:.4f}, {:.4f}, {:.4f}, {:.4f}. What will BPTT give for s = 3?", b(2, 2), b(3, 2), b(4, 2),
                  b(5, 2)),
      columns[2].b_rec(0), 0.0006, "the sum: the losses at t = 3, 4, 5 and 6");
  show(triangle_with_sums(b));
  show("BPTT at s = 3", columns[2].b_rec(0));
  for (int s = 1; s <= 6; ++s) {
    expect("the sum of a column is BPTT's dL/dtheta_s, for every parameter", rnn::flatten(credit.column_sum(s)),
           rnn::flatten(columns[static_cast<std::size_t>(s - 1)]));
    expect("and of this entry", b.col(s - 1).sum(), columns[static_cast<std::size_t>(s - 1)].b_rec(0), 1e-15);
  }
  //% In the corner both orders meet: the same 21 numbers, added up by rows or by columns.
  expect("rows and columns have one total", b.rowwise().sum().sum(), b.colwise().sum().sum(), 1e-15);
  expect("it is the adjoint of b_rec[0]", b.sum(), credit.total().b_rec(0), 1e-15);

  //% # Differ step by step, agree in total
  //% (1.7) for all five parameters: at every time the two rules say something else, and over the sequence they say the
  //% same. $|r_t - c_t|$ is the distance of row sum $t$ and column sum $t$; below, that of the totals.
  //%hide
  std::string table = "             W_rec      W_in     b_rec     W_out     b_out\n";
  auto all_rows = rnn::zeros_like(net.parameters), all_columns = all_rows;
  for (std::size_t t = 0; t < 6; ++t) {
    table += fmt::format(" t = {}   ", t + 1);
    rnn::for_each_block([&](auto, const auto& r, const auto& c) { table += fmt::format("{:>10.5f}", (r - c).norm()); },
                        rows[t], columns[t]);
    table += "\n";
    all_rows += rows[t];
    all_columns += columns[t];
  }
  table += " total   ";
  rnn::for_each_block([&](auto, const auto& r, const auto& c) { table += fmt::format("{:>10.0e}", (r - c).norm()); },
                      all_rows, all_columns);
  ask("Of which do row t and column t agree at every t: W_rec (1) or W_out (2)?", 2, 0.0, "on which losses does the W_out of time t act?");
  show(table);
  for (std::size_t t = 0; t < 6; ++t) {
    expect("row and column of the same time differ", distance(rows[t], columns[t]) > 1e-3);
    expect("but not by W_out, b_out", (rows[t].W_out - columns[t].W_out).norm() + (rows[t].b_out - columns[t].b_out).norm() == 0);
  }
  expect("in total they agree", distance(all_rows, all_columns) < 1e-14);
  expect("with what reverse mode gives", rnn::flatten(all_rows), rnn::flatten(rnn::bptt(net, sequence).gradient));
  //%show
  //% $W_{\mathrm{out}}$ and $b_{\mathrm{out}}$ act on the loss of the same step and no other: their blocks stand on the diagonal, where a row
  //% and a column are one.
  //%hide
  for (int t = 1; t <= 6; ++t)
    for (int s = 1; s < t; ++s) expect("off the diagonal W_out has no block", credit.block(t, s).W_out.isZero(0));
  //%show

  //% # Which way does the sum face, which way does the work go?
  //% Isn't BPTT the rule that goes *back*, and RTRL the one that goes on? There are two directions here, that of the sum
  //% and that of the work. Stop after $t = 3$ and see which sums are final:
  const rnn::Sequence<double> begun{sequence.x.leftCols(3),
                                    sequence.target.leftCols(3)};
  const rnn::Credit<double> so_far(net, begun);
  ask("Is the row sum dL_3/dtheta already final at t = 3?", true);
  ask("Is the column sum dL/dtheta_3?", false, "L_4, L_5 and L_6 are still to come");
  show("row 3 at t = 3", so_far.row_sum(3).b_rec);        // for b_rec
  show("row 3 at t = 6", credit.row_sum(3).b_rec);
  show("column 3 at t = 3", so_far.column_sum(3).b_rec);
  show("column 3 at t = 6", credit.column_sum(3).b_rec);
  expect("a row is final when its loss has happened", rnn::flatten(so_far.row_sum(3)), rnn::flatten(credit.row_sum(3)));
  expect("a column is not", distance(so_far.column_sum(3), credit.column_sum(3)) > 1e-3);
  //% A sum that faces the past can be computed forward, as time goes on. One that faces the future must wait for the end,
  //% and is computed backward from there.
  //%ja 和の向きと計算の向きは逆である．未来方向の和は未来から過去へ計算される．

  //% # 10660, 780, 39
  //% Block $(t, s)$ needs $\tilde{\delta}_t = \partial L_t / \partial h_t$, carried back through $J_t$, $J_{t-1}$, ...,
  //% $J_{s+1}$. How many products with a $J$ is that in all? Three programs add up the columns and count; row $t$ of
  //% `now` is $\tilde{\delta}_t$.
  const int T = parameter("T", 40, 2, 100);
  //%hide
  const auto longer = rnn::add_task(T, random, {.t1 = 2, .t2 = 3});
  std::vector<Eigen::MatrixXd> transitions;                    // [t-1]: J_t, by forward mode
  Eigen::MatrixXd now = Eigen::MatrixXd::Zero(T + 1, 3);       // row t: dL_t/dh_t, by reverse mode
  {
    rnn::Rtrl<double> forward(net);
    ad::Tape long_tape;
    const auto r = rnn::unroll(long_tape, net, longer);
    for (int t = 1; t <= T; ++t) {
      const auto i = static_cast<std::size_t>(t);
      forward.advance(longer.x.col(t - 1), longer.target.col(t - 1));
      transitions.push_back(forward.J());
      long_tape.reverse(r.losses[i - 1]);
      now.row(t) = ad::adjoint(long_tape, r.h[i]).transpose();
    }
  }
  const auto J = [&](int t) -> const Eigen::MatrixXd& { return transitions[static_cast<std::size_t>(t - 1)]; };
  long products = 0;
  //%show
  const auto back = [&](const Row& c, int t) -> Row {
    return ++products, c * J(t);
  };
  Eigen::MatrixXd delta = 0 * now;            // each pair on its own
  for (int t = 1; t <= T; ++t)
    for (int s = 1; s <= t; ++s) {
      Row c = now.row(t);
      for (int r = t; r > s; --r) c = back(c, r);
      delta.row(s) += c;
    }
  //%hide
  const long alone = products;
  const auto by_pairs = delta;
  products = 0;
  delta.setZero();
  //%show
  for (int t = 1; t <= T; ++t) {              // reuse along each row
    Row c = now.row(t);
    for (int s = t; s > 1; c = back(c, s--)) delta.row(s) += c;
    delta.row(1) += c;
  }
  //%hide
  const long along = products;
  const auto by_rows = delta;
  products = 0;
  //%show
  delta = now;                                // (1.12): all rows at once
  for (int s = T; s > 1; --s) delta.row(s - 1) += back(delta.row(s), s);
  //%hide
  const long together = products;
  const Eigen::MatrixXd want = rnn::bptt(net, longer).delta.transpose();
  for (const auto& way : {by_pairs, by_rows, delta}) expect("all three find dL/dh_s", way.bottomRows(T).eval(), want);
  rules::DoubleSum<double> by_hand(net);
  rules::learn(by_hand, net, longer);
  expect("rules/double_sum.h reuses along a row", by_hand.products(), along);
  show("each pair on its own", alone, "reuse along a row", along, "all rows at once", together);
  //%show
  ask(fmt::format("How many products has the last program made? (T = {})", T), together, 0.0,
      "one turn of its loop, one product");
  expect("T (T^2 - 1) / 6", alone, long{T} * (T * T - 1) / 6);
  expect("T (T - 1) / 2", along, long{T} * (T - 1) / 2);
  expect("T - 1", together, long{T} - 1);
  if (at_default()) expect("10660, 780, 39", alone == 10660 && along == 780 && together == 39);
  //% The last is dynamic programming (動的計画法): what many terms have in common is computed once. One by one the blocks
  //% cost $T (T^2 - 1) / 6$ products, with reuse along a row $T (T - 1) / 2$, with the recursion $T - 1$.

  //% # What holds only while the weights rest
  //% $\partial \theta_s / \partial \theta = I$ holds for copies. A learner that updates *at every step* makes no copies:
  //% $\theta_2 = \theta_1 - \eta\, \partial L_1 / \partial \theta$ moves with $\theta_1$ in its own way. How wrong is $I$
  //% then? We differentiate the learner itself, through all its updates.
  //%ja 毎時刻パラメータを更新するなら，$\partial \theta_s / \partial \theta = I$ は近似にすぎない．
  const Eigen::VectorXd start = rnn::flatten(net.parameters);
  std::vector<double> errors;
  for (const double eta : {0.1, 0.01, 0.001, 0.0}) {
    const auto learn = [&](const auto& theta_1) {   // RTRL, online
      return learn_online(net, theta_1, sequence, eta);
    };
    const Eigen::VectorXd with_I = rnn::flatten(learn(start).sum);
    const Eigen::VectorXd exact = ad::gradient(
        [&](const auto& theta_1) { return learn(theta_1).loss; }, start);
    errors.push_back((with_I - exact).norm() / exact.norm());
  }
  ask("With eta ten times smaller, about how many times smaller is the error?", errors[1] / errors[2], 1.5);
  //%hide
  show(fmt::format(" eta      0.1      0.01     0.001    0\n error    {:<8.4f} {:<8.4f} {:<8.5f} {:.0e}", errors[0], errors[1],
                   errors[2], errors[3]));
  expect("with weights at rest it is exact", errors[3] < 1e-13);
  expect("for small eta the error is proportional to eta", errors[1] / errors[2], 10.0, 1.5);
  expect("at eta = 0.1 it is not small", errors[0] > 10 * errors[2]);
  //%show
  //% The notes let $I$ stand for online learning too. It is exact for weights at rest; for weights that move it is an
  //% approximation, good when $\eta$ is small.

  //% # Two orders
  //% | | past-facing | future-facing |
  //% |---|---|---|
  //% | adds up | a row, $\partial L_t / \partial \theta$ | a column, $\partial L / \partial \theta_s$ |
  //% | final | at time $t$ | at time $T$ |
  //% | work goes | forward | backward |
  //% | carries | $P_t = \partial h_t / \partial \theta$ | $\delta_t = \partial L / \partial h_t$ |
  //%
  //% The rules written by hand say which way they face:
  const auto facing = [](rules::Facing f) {
    return rules::facing_names[static_cast<int>(f)];
  };
  show("rules::Rtrl", facing(rules::Rtrl<double>::facing));
  show("rules::Bptt", facing(rules::Bptt<double>::facing));
  expect("BPTT", rules::Bptt<double>::facing == rules::Facing::future);
  expect("RTRL", rules::Rtrl<double>::facing == rules::Facing::past);
  //% Something carried back, something carried forward: lesson 2 had both on one tape. Lesson 6 puts them side by side.
}
