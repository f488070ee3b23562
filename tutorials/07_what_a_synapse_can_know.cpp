// Lesson 7: what a synapse can measure, what BPTT and RTRL ask of it, and the eligibility traces that ask less.
#include <Eigen/LU>
#include <vector>

#include "ad/operators.h"
#include "rnn/surgery_edited.h"
#include "rnn/task.h"
#include "rules/bptt.h"
#include "rules/e_prop.h"
#include "rules/rflo.h"
#include "rules/rtrl.h"
#include "rules/snap.h"
#include "tutorials/drawing.h"
#include "tutorials/lesson.h"
#include "tutorials/measures.h"

using namespace tutorials;

//%hide
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

/// A network and a sequence at a generic point: n, d, m differ, nothing is zero, nothing symmetric.
struct Generic {
  rnn::Network<double> net;
  rnn::Sequence<double> sequence;
};
Generic generic(double alpha, std::uint64_t seed = 1) {
  rnn::Random random(seed);
  Generic g{rnn::random_network(3, 5, 2, random), {}};
  g.net.parameters.b_rec = random.normal(5, 1, 0.5);
  g.net.parameters.b_out = random.normal(2, 1);
  g.net.alpha = alpha;
  g.net.h_0 = random.normal(5, 1, 0.7);
  g.sequence = {random.normal(3, 12), random.normal(2, 12)};
  return g;
}

/// RFLO summed over a sequence, its loop written out so that a slip of the pen can be put in.
enum class Slip { none, columns, late_input };
Matrix rflo_with(const Generic& g, Slip slip) {
  const auto states = rnn::run(g.net, g.sequence);
  const auto& theta = g.net.parameters;
  const double alpha = g.net.alpha;
  Matrix E = Matrix::Zero(5, 9), sum = E;
  for (Eigen::Index t = 1; t <= g.sequence.length(); ++t) {
    const Vector phi = alpha * (1 - states.u.col(t - 1).array().tanh().square());
    const bool late = slip == Slip::late_input;
    Vector z(9);
    z << states.h.col(t - 1),
        (late && t == 1 ? Vector::Zero(3).eval() : Vector(g.sequence.x.col(late ? t - 2 : t - 1))), 1;
    E = (1 - alpha) * E + phi * z.transpose();
    const Vector q = theta.W_out.transpose() * (states.v.col(t - 1) - g.sequence.target.col(t - 1));
    Matrix G = q.asDiagonal() * E;
    if (slip == Slip::columns) G.leftCols(5) = E.leftCols(5) * q.asDiagonal();
    sum += G;
  }
  return sum;
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(7, "What a synapse can know") {
  //% # Stand at one synapse
  //% `W_rec[1,2]` is the weight from unit 2 onto unit 1. Let it be a synapse (シナプス), and let it learn by what it can
  //% measure itself. What is there to measure?
  //%
  //% - *before* it: the activity of its source, $h_{t-1}[2]$
  //% - *behind* it: its own unit, $u_t[1]$ and $h_t[1]$
  //% - *broadcast*: a signal that all synapses onto unit 1 are told
  //%ja 一つのシナプスが知りうるのは，前後のニューロンの活動と，広く伝えられる信号だけである．
  const double alpha = parameter("alpha", 0.4, 0.05, 0.95);
  rnn::Random random(10);
  const auto sequence = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  auto net = rnn::random_network(2, 3, 2, random);      // as in lesson 4
  net.alpha = alpha;
  net.loss = rnn::Loss::softmax_ce;
  const auto& W_rec = net.parameters.W_rec;
  const auto states = rnn::run(net, sequence);          // h_t, u_t, v_t
  const auto phi = [&](int t) -> Vector {               // alpha f'(u_t)
    return alpha * (1 - states.u.col(t - 1).array().tanh().square());
  };
  const double before = states.h(2, 3 - 1), slope = phi(3)(1);
  show("h_2[2]", before, "alpha f'(u_3[1])", slope);
  //% How far does the weight move its own unit, at once, at $t = 3$?
  ask("The answer is made of these two numbers. What is it?", slope * before, "presynaptic times postsynaptic");
  show("their product", slope * before);
  //%hide
  rules::Rtrl<double> rtrl(net);
  rules::Loop<double> loop(net);
  std::vector<Matrix> J(1), P{Matrix::Zero(3, 18)};  // [t]
  for (int t = 1; t <= 6; ++t) {
    loop.advance(rtrl, sequence.x.col(t - 1), sequence.target.col(t - 1), t == 6);
    P.push_back(rtrl.P());
    J.push_back((1 - alpha) * Matrix::Identity(3, 3) + phi(t).asDiagonal() * W_rec);
  }
  const Vector at_once = P[3].col(7) - J[3] * P[2].col(7);
  expect("it is the immediate sensitivity of lesson 6", at_once(1), slope * before, 1e-15);
  //%show
  //% That much of the gradient is *Hebbian* (ヘブ則): the two ends of the synapse, multiplied. It is the immediate sensitivity
  //% $\tilde{P}_t$ of lesson 6, and it is the easy part.

  //% # What BPTT asks of it
  //% BPTT multiplies this number by $\delta_3[1]$, the credit of the unit behind the synapse. (1.12), written out with
  //% $\phi_t = \alpha f'(u_t)$ and $q_t = W_{\mathrm{out}}^\top e_t$, the error $e_t = \partial L_t / \partial v_t$ sent back to the units
  //% (lesson 6's $\tilde{\delta}_t$, as a column), has five parts:
  //% $$\delta_3[1] = q_3[1] + (1 - \alpha)\, \delta_4[1] + \sum_{k=0}^{2} \phi_4[k]\, W_{k1}\, \delta_4[k]$$
  rules::Bptt<double> bptt(net);
  rules::learn(bptt, net, sequence, true);
  const Matrix& delta = bptt.delta();
  //%hide
  const auto errors = [&](int t) -> Vector {
    return rnn::prediction(net.loss, states.v.col(t - 1)) - sequence.target.col(t - 1);
  };
  const double immediate = (net.parameters.W_out.transpose() * errors(3))(1), leak = (1 - alpha) * delta(1, 3);
  std::string table = fmt::format("{:<32}{:>9.5f}   error at t = 3, broadcast\n", " q_3[1] = (W_out^T e_3)[1]", immediate);
  table += fmt::format("{:<32}{:>9.5f}   this unit, one step later\n", " (1 - alpha) delta_4[1]", leak);
  double through = 0;
  for (int k = 0; k < 3; ++k) {
    const double part = phi(4)(k) * W_rec(k, 1) * delta(k, 3);
    through += part;
    table += fmt::format("{:<32}{:>9.5f}   unit {}, later, and W_rec[{},1]\n", fmt::format(" phi_4[{0}] W_rec[{0},1] delta_4[{0}]", k), part, k, k);
  }
  table += fmt::format("{:<32}{:>9.5f}\n", " delta_3[1]", delta(1, 2));
  ask("How many of the five parts exist at t = 3?", 1, 0.0, "whatever contains delta_4 waits for the future");
  show(table);
  expect("(1.12), unit by unit", immediate + leak + through, delta(1, 2), 1e-15);
  {
    auto later = sequence;  // another teacher at t = 6 changes what the synapse should have done at t = 3
    later.target.col(5) = later.target.col(5).reverse().eval();
    rules::Bptt<double> other(net);
    rules::learn(other, net, later, true);
    expect("delta_3 depends on the target at t = 6", std::abs(other.delta()(1, 2) - delta(1, 2)) > 1e-4);
  }
  //%show
  //% Four of the five come from the future: not local in *time* (時間的局所性). Three contain weights *leaving* unit 1,
  //% two of them synapses on other cells: not local in *space* (空間的局所性). In the formula that is a transposed matrix; in
  //% a brain, an error that travels synapses in the wrong direction.

  //% # What RTRL asks of it
  //% RTRL waits for nothing. But at each synapse it keeps how that synapse has moved *every* unit, a column of $P_t$:
  const Vector column = P[3].col(7);           // dh_3 / dW_rec[1,2]
  show("dh_3/dW_rec[1,2]", column);
  ask("How many numbers must one synapse of a network of 1000 units keep?", 1000, 0.0, "one for each unit it may have moved");
  const Vector pushed = J[4] * column;         // and then, in one step
  show("what J_4 makes of it", pushed);
  expect("it has moved every unit", (column.array() != 0).all());
  expect("to carry on one of them takes the others", std::abs(pushed(1) - J[4](1, 1) * column(1)) > 1e-8);
  expect("and a row of J", pushed(1), J[4].row(1).dot(column), 1e-15);
  //% To carry its entry $i$ on takes all entries, and row $i$ of $J$; to carry them all on takes all of $J$: every recurrent weight
  //% of the network.
  //%
  //% | | in time | in space |
  //% |---|---|---|
  //% | BPTT | needs the future | needs the weights leaving its unit |
  //% | RTRL | local | needs every unit and every weight |
  //%
  //% Each is local in one way at most. What is left of the gradient if a rule must be local in both?

  //% # Why not store it all?
  //% Time first. To go back, BPTT must keep at least $h_t$ and $x_t$ of every step, $T (d + n)$ numbers; slopes and errors can be
  //% computed again. Then it reads them in reverse order. For a computer that is little. But a neuron's activity is its memory
  //% of the past; the next activity overwrites it.
  //% Could one *run* the network backward instead, and solve (1.2) for $h_{t-1}$? Say $h_6$ is known but for an error of
  //% $10^{-6}$.
  //%ja 脳は過去の状態を全て保存して逆向きに再生することは困難である．
  //%hide
  const auto step_back = [&](const Vector& h, int t) {  // solves (1.2) for h_{t-1}: Newton's method, from the truth
    Vector back = states.h.col(t - 1);
    const Vector x = sequence.x.col(t - 1);
    for (int i = 0; i < 8; ++i) {
      const auto now = rnn::step(net, net.parameters, back, x);
      const Vector slopes = alpha * (1 - now.f.array().square());
      back -= ((1 - alpha) * Matrix::Identity(3, 3) + slopes.asDiagonal() * W_rec).partialPivLu().solve(now.h - h);
    }
    return back;
  };
  Vector with_error = states.h.col(6) + 1e-6 * Vector::Unit(3, 0);
  std::string lines = "   t    error of h_t\n";
  Vector grown(7);
  for (int t = 6; t >= 0; --t) {
    grown(t) = (with_error - states.h.col(t)).norm();
    lines += fmt::format("{:>4}    {:.1e}\n", t, grown(t));
    if (t > 0) with_error = step_back(with_error, t);
  }
  auto leak_only = net;
  leak_only.parameters.W_rec.setZero();
  //%show
  ask(fmt::format("With W_rec = 0 and alpha = {}: one step back multiplies an error by ...", text(alpha)), 1 / (1 - alpha), "one step forward multiplies it by 1 - alpha");
  //%hide
  show(lines);
  if (at_default()) {
    expect("an error grows at every step back", (grown.head(6).array() > grown.tail(6).array()).all());
    expect("and becomes more than ten times as large", grown(0) > 10 * grown(6));
  }
  {
    const Vector a = Vector::Unit(3, 0), b = 2 * a, x = sequence.x.col(0);
    const double closer = (rnn::step(leak_only, leak_only.parameters, b, x).h - rnn::step(leak_only, leak_only.parameters, a, x).h).norm();
    expect("going forward the leak brings states together", closer, 1 - alpha, 1e-15);
  }
  //%show
  //% What fades going forward grows going back, noise as well. A memory that forgets cannot be run in reverse for long.

  //% # Does a brain go back?
  //% Something in it does. When a rat stops after a run, place cells of its hippocampus (海馬) fire again in fast
  //% succession, often in the *opposite* order: reverse replay (逆再生; Foster and Wilson 2006). After a larger reward there is
  //% more of it, after a smaller one less, while forward replay does not change (Ambrose, Pfeiffer and Foster 2016).
  //%
  //% How near is that to BPTT? A reverse sweep needs, in this order,
  //%hide
  show("states stored before     h_5      h_4      h_3      h_2      h_1      h_0\n"
       "a credit carried along   delta_6  delta_5  delta_4  delta_3  delta_2  delta_1");
  {
    Matrix again = Matrix::Zero(3, 6);  // from the stored states alone, read from the last to the first
    for (int t = 6; t >= 1; --t) {
      const Vector h = states.h.col(t - 1), u = W_rec * h + net.parameters.W_in * sequence.x.col(t - 1) + net.parameters.b_rec;
      const Vector q = net.parameters.W_out.transpose() * errors(t);
      const Vector phi_next = t == 6 ? Vector::Zero(3).eval() : phi(t + 1);
      again.col(t - 1) = t == 6 ? q : Vector(q + (1 - alpha) * again.col(t) + W_rec.transpose() * phi_next.cwiseProduct(again.col(t)));
      expect("a stored state gives back u_t, and with it the slope", u, states.u.col(t - 1).eval(), 1e-15);
    }
    expect("stored states in reverse order are enough for all delta", again, delta, 1e-15);
  }
  //%show
  //% Replay shows the first line, states stored and read in reverse, and a link to reward. Of the second, a credit carried
  //% from state to state that reaches synapses with the right sign, it shows nothing yet. Nor is it so simple: in the first
  //% seconds after a stop replays *avoid* the path just taken, and the past comes later (Mallory, Widloski and Foster
  //% 2025). Evidence that a brain can store and reverse; not a proof that it runs BPTT.
  //%ja 逆再生は「蓄えて逆にたどる」ことの証拠だが，BPTT の証明ではない．

  //% # Keep your own unit only
  //% So let us go forward, and be local in space as well. For one weight, $p_t[i] = \partial h_t[i] / \partial W_{jl}$, RTRL's
  //% recursion (1.17) has three terms:
  //% $$p_t[i] = (1 - \alpha)\, p_{t-1}[i] + \tilde{p}_t[i] + \phi_t[i] \sum_k W_{ik}\, p_{t-1}[k]$$
  //% The second is the product of step 1, there for $i = j$ only: $\phi_t[j]\, z_t[l]$, where $z_t = [h_{t-1}; x_t; 1]$ is all that
  //% weights read. The third alone goes through connections. Drop it, and no unit but its own is ever moved: of $d$ numbers one
  //% is left, the synapse's eligibility trace (適格度トレース) $E$.
  Vector E = Vector::Zero(7);                           // of W_rec[1,2]
  for (int t = 1; t <= 6; ++t)
    E(t) = (1 - alpha) * E(t - 1) + phi(t)(1) * states.h(2, t - 1);
  //%hide
  Vector truth(7);  // dh_t[1]/dW_rec[1,2]
  for (std::size_t t = 0; t <= 6; ++t) truth(static_cast<int>(t)) = P[t](1, 7);
  const double new_part = phi(4)(1) * states.h(2, 3);
  //%show
  ask(fmt::format("E_3 = {:.5f}, and phi_4[1] h_3[2] = {:.5f}. What is E_4? (alpha = {})", E(3), new_part, text(alpha)), E(4), 6e-6);
  show("E_1 .. E_6", E.tail(6));
  //%hide
  show("exact     ", truth.tail(6));
  //%show
  expect("up to t = 2 nothing has come back through another unit", E.head(3), truth.head(3), 1e-15);
  expect("then something has", (E.tail(4) - truth.tail(4)).cwiseAbs().minCoeff() > 1e-8);
  //% Own activity in, own decay out: the trace is local in time and in space. Times an error that is broadcast,
  //% $G_t = \mathrm{diag}(q_t)\, E_t$, that is **RFLO** (random feedback local online learning, Murray 2019). Why the
  //% feedback is called random is the next lesson.

  //% # RFLO is one edit
  //% Nothing was invented: it is RTRL whose $J_t = (1 - \alpha) I + \mathrm{diag}(\phi_t) W_{\mathrm{rec}}$ keeps the leak and
  //% loses the rest. The engine can lose it too: detach $h_{t-1}$ where $u_t$ reads it (lesson 3).
  rules::Rflo<double> rflo(net);                        // by hand
  const auto by_hand = rules::learn(rflo, net, sequence);
  const auto leaky = rnn::edited(net, sequence,         // derived
                                 rnn::parse_edit("J = leak"));
  //%hide
  const double difference = relative(recurrent(by_hand.gradient), recurrent(leaky.gradient));
  expect("by hand is derived", difference < 1e-13);
  expect("row 2 of its E is the trace above", rflo.E()(1, 2), E(6), 1e-15);
  const auto exact = rnn::edited(net, sequence, {});
  const double kept = rnn::alignment(leaky.gradient, exact.gradient).recurrent;
  //%show
  show("relative difference", fmt::format("{:.0e}", difference));
  ask("In the T x T picture of credit, how many of the 21 blocks are still exact?", 6, 0.0, "those where nothing has passed through a J");
  figure("The size of each block dL_t/dtheta_s, exact.", credit_square(exact.credit));
  figure("The same, left by RFLO.", credit_square(leaky.credit));
  show("cosine with the exact gradient", kept);
  //%hide
  expect("the diagonal is exact", leaky.credit.diagonal().eval(), exact.credit.diagonal().eval());
  for (int t = 2; t <= 6; ++t)
    for (int s = 1; s < t; ++s) {
      expect("beside it nothing is", std::abs(leaky.credit(t - 1, s - 1) - exact.credit(t - 1, s - 1)) > 1e-6);
    }
  auto no_weights = rnn::edited(leak_only, sequence, {});
  rules::Rflo<double> without(leak_only);
  expect("without W_rec nothing is lost", recurrent(rules::learn(without, leak_only, sequence).gradient), recurrent(no_weights.gradient));
  if (at_default()) expect("the angle is below a right angle", kept > 0.3 && kept < 0.999);
  //%show
  //% The diagonal stays; what crossed the network is replaced by what the leak alone would carry. With $W_{\mathrm{rec}} = 0$
  //% RFLO is exact; at $\alpha = 1$ nothing is left but the diagonal.

  //% # SnAp-1: one weight more
  //% Unit $i$ also acts on *itself*, through $W_{ii}$. That path never leaves the cell. Keep the diagonal of $J_t$, and the
  //% decay becomes $1 - \alpha + \phi_t[i]\, W_{ii}$: SnAp-1 (sparse one-step approximation, Menick et al. 2021).
  const Vector decay = J[3].diagonal();                 // at t = 3
  show("RFLO's decay", Vector::Constant(3, 1 - alpha).eval());
  show("SnAp-1's", decay);
  //% From the decays one can read which units excite themselves.
  //%hide
  expect("the diagonal of J", decay, ((1 - alpha) + phi(3).array() * W_rec.diagonal().array()).matrix().eval(), 1e-15);
  rules::Snap1<double> snap(net);
  const auto snap_by_hand = rules::learn(snap, net, sequence);
  const auto diagonal = rnn::edited(net, sequence, rnn::parse_edit("J = diagonal"));
  expect("by hand is derived", relative(recurrent(snap_by_hand.gradient), recurrent(diagonal.gradient)) < 1e-13);
  const double snap_kept = rnn::alignment(diagonal.gradient, exact.gradient).recurrent;
  show("cosine, RFLO", kept, "SnAp-1", snap_kept);
  //%show
  ask("Unit 0 excites itself or inhibits itself: is W_rec[0,0] positive?", W_rec(0, 0) > 0, "compare the two decays of unit 0");
  expect("a unit that excites itself remembers longer", ((decay.array() > 1 - alpha) == (W_rec.diagonal().array() > 0)).all());
  //% A unit that excites itself has a longer memory than its leak says, one that inhibits itself a shorter one; now the
  //% trace knows. But to keep more is not always to point closer: here what is still
  //% dropped had cancelled a part of it.

  //% # e-prop: which memory is inside the unit?
  //% e-prop (Bellec et al. 2020) draws the same line, for any cell: follow derivatives inside the unit, never through a
  //% connection. In (1.2) the leak comes *after* $f$, and e-prop is RFLO. In a cell that filters its potential,
  //% $s_t = (1 - \alpha) s_{t-1} + \alpha w z_t$, $h_t = f(s_t)$, it comes *before*. One unit of each kind, one weight:
  const double z[] = {1.0, -0.5, 1.5, 0.3, -1.0, 0.8}, w = 1.2;
  const auto after_f = [&](const auto& weight) {
    auto h = 0 * weight;
    for (double in : z) h = (1 - alpha) * h + alpha * tanh(weight * in);
    return h;
  };
  const auto before_f = [&](const auto& weight) {
    auto s = 0 * weight;
    for (double in : z) s = (1 - alpha) * s + alpha * weight * in;
    return tanh(s);
  };
  double products = 0, presynaptic = 0, s = 0;
  for (double in : z) {
    const double f = std::tanh(w * in);
    products = (1 - alpha) * products + alpha * (1 - f * f) * in;
    presynaptic = (1 - alpha) * presynaptic + alpha * in;
    s = (1 - alpha) * s + alpha * w * in;
  }
  //%hide
  const double f_last = std::tanh(w * z[5]), slope_now = 1 - std::pow(std::tanh(s), 2);
  std::string kinds = "                         (f' z) filtered   f' (z filtered)    dh_6/dw\n";
  kinds += fmt::format(" leak after f, (1.2)  {:>18.5f}{:>18.5f}{:>11.5f}\n", products, (1 - f_last * f_last) * presynaptic, ad::derivative(after_f, w));
  kinds += fmt::format(" leak before f        {:>18.5f}{:>18.5f}{:>11.5f}\n", products, slope_now * presynaptic, ad::derivative(before_f, w));
  ask("Which trace fits the cell that filters its potential: the first or the second?", 2, 0.0, "h = f(s): f' is taken once, now");
  show(kinds);
  expect("leak after f: the product is filtered", products, ad::derivative(after_f, w), 1e-15);
  expect("leak before f: the presynaptic term is filtered", slope_now * presynaptic, ad::derivative(before_f, w), 1e-15);
  expect("the traces differ", std::abs(products - slope_now * presynaptic) > 0.01);
  rules::EProp<double> e_prop(net);
  expect("e-prop of this network is RFLO, to the last bit", recurrent(rules::learn(e_prop, net, sequence).gradient) == recurrent(by_hand.gradient));
  //%show
  //% Same rule, two traces: filter the product with the $f'$ of *then*, or filter the input and take the $f'$ of *now*. The
  //% second needs one trace for each source instead of one for each synapse.

  //% # One table of small differences
  //% All these rules carry something along and multiply it by $q_t$. What becomes of $J_t$ is the whole difference. Here
  //% with $n = 3$, $d = 5$, $m = 2$, $T = 12$; cosine with the exact gradient for three $\alpha$, mean over 20 random networks.
  //%hide
  struct Line {
    std::string name, J;
    rnn::Cost cost;
    std::vector<double> cosines;
  };
  std::vector<Line> rows;
  const double alphas[] = {0.1, 0.4, 1};
  std::vector<Generic> points[3];
  std::vector<Matrix> exact_at[3];
  for (std::size_t i = 0; i < 3; ++i)
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      points[i].push_back(generic(alphas[i], seed));
      const auto& [its_net, shown] = points[i].back();
      rules::Bptt<double> rule(its_net);
      exact_at[i].push_back(recurrent(rules::learn(rule, its_net, shown).gradient));
    }
  const auto cost_point = generic(0.4);
  const auto row = [&](const std::string& name, const std::string& carried, const rnn::Cost& cost, auto&& gradient) {
    rows.push_back({name, carried, cost, {}});
    for (std::size_t i = 0; i < 3; ++i) {
      double sum = 0;
      for (std::size_t seed = 0; seed < 20; ++seed) sum += rnn::cosine(gradient(points[i][seed]), exact_at[i][seed]);
      rows.back().cosines.push_back(sum / 20);
    }
  };
  const auto edit_row = [&](const std::string& name, const std::string& carried, const std::string& words) {
    const auto edit = rnn::parse_edit(words);
    row(name, carried, *rnn::forward_cost(edit, cost_point.net),
        [&](const Generic& g) { return recurrent(rnn::edited(g.net, g.sequence, edit).gradient); });
  };
  edit_row("RTRL", "all of J", "");
  edit_row("SnAp-1", "1 - alpha + phi_i W_ii", "J = diagonal");
  edit_row("RFLO, e-prop", "1 - alpha", "J = leak");
  row("e-prop, other cell", "1 - alpha, z alone", {9 + 5 + 45.0, 9}, [&](const Generic& g) {
    rules::EPropPotential<double> rule(g.net);
    return recurrent(rules::learn(rule, g.net, g.sequence).gradient);
  });
  edit_row("one step", "0", "J = none");
  std::string small = fmt::format("{:<19}{:<21}{:>9}{:>6}   cosine at alpha =\n", "rule", "left of J_t", "multi-", "keeps") +
                      fmt::format("{:>49}{:>14}{:>7}{:>7}\n", "plications", "0.1", "0.4", "1");
  for (const auto& line : rows)
    small += fmt::format("{:<19}{:<21}{:>9.0f}{:>6.0f}{:>8.3f}{:>7.3f}{:>7.3f}\n", line.name, line.J, line.cost.multiplications, line.cost.held,
                         line.cosines[0], line.cosines[1], line.cosines[2]);
  //%show
  ask("At alpha = 1, which other row must RFLO agree with? 1: RTRL, 2: SnAp-1, 3: one step", 3, 0.0, "what is its decay then?");
  //%hide
  show(small);
  expect("RTRL is exact", rows[0].cosines, std::vector<double>{1, 1, 1});
  expect("at alpha = 1 RFLO is truncation to one step", rows[2].cosines[2], rows[4].cosines[2]);
  expect("and before not", std::abs(rows[2].cosines[1] - rows[4].cosines[1]) > 0.01);
  expect("RTRL keeps d^2 k numbers", rows[0].cost.held, 25.0 * 9);
  expect("a trace for each synapse", rows[2].cost.held, 5.0 * 9);
  for (std::size_t i = 1; i < rows.size(); ++i) expect("no approximation is exact here", rows[i].cosines[1] < 0.999);
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t i = 1; i < rows.size(); ++i) expect("no farther off than the next", rows[i - 1].cosines[a] >= rows[i].cosines[a] - 1e-14);
  expect("slow units, long leak: RFLO loses little", rows[2].cosines[0] > 0.95);
  for (std::size_t a = 0; a < 3; ++a) expect("SnAp-1 points closer, on average", rows[1].cosines[a] > rows[2].cosines[a]);
  for (std::size_t a = 1; a < 3; ++a) expect("the faster the units, the more is lost", rows[2].cosines[a] < rows[2].cosines[a - 1]);
  //%show
  //% On average no line points farther off than the one below. And the slower the units, the more of their memory is
  //% leak, and the less there is to lose.

  //% # A slip of the pen: rows or columns?
  //% The notes write RFLO as $\Delta W_{\mathrm{rec}} = \eta B \epsilon P$ and $\Delta W_{\mathrm{in}} = \eta B \epsilon Q$. Their $\epsilon$ is target
  //% less output, our $-e_t$; so $B \epsilon$ stands for our $-q_t$, and they add what we subtract. Their $P$ and $Q$ are the parts of our
  //% $E$ for $W_{\mathrm{rec}}$ and $W_{\mathrm{in}}$. There are three slips here, and a number finds each.
  //%
  //% First, $B\epsilon$ is a column: taken times $P$ entry by entry, does it scale rows or columns?
  const auto right = rflo_with(generic(0.3), Slip::none);
  const auto columns = rflo_with(generic(0.3), Slip::columns);
  const Matrix wanted = right.leftCols(5), got = columns.leftCols(5);
  show("relative error", relative(got, wanted),
       "cosine", rnn::cosine(got, wanted));
  ask("Error 1 belongs to unit 1. Which of P must it scale: row 1 (1) or column 1 (2)?", 1, 0.0, "a row of P holds the weights onto one unit");
  //% It must be rows, $\mathrm{diag}(B\epsilon)\, P$: an error belongs to the unit *behind* the synapse. ($\epsilon h^\top$ for $W_{\mathrm{out}}$, by the same care.)

  //% # Two more: which input, which loss?
  //% Second, the notes make $Q_t$ of $x_{t-1}$. But $x_t$ acts on $u_t$ in the same step, by (1.1). Where $W_{\mathrm{rec}} = 0$ RFLO is
  //% exact, so there the slip is all that is wrong:
  auto plain = generic(0.3);
  plain.net.parameters.W_rec.setZero();
  const auto in_time = rflo_with(plain, Slip::none);
  const auto late = rflo_with(plain, Slip::late_input);
  const Matrix Q = in_time.middleCols(5, 3);            // for W_in
  const Matrix Q_late = late.middleCols(5, 3);
  show("relative error", relative(Q_late, Q),
       "cosine", rnn::cosine(Q_late, Q));
  //% Public code has this slip too; a test at $W_{\mathrm{rec}} = 0$ would have found it. Third, the notes' loss is here
  //% $\frac{1}{2T} \sum_t |\epsilon_t|^2$, elsewhere $L = \sum_t L_t$. With $T = 12$, the gradient of a mean is not that of a sum:
  ask("With 1/(2T) in place of 1/2, how many times smaller is the gradient?", 12, 0.0);
  //%hide
  {
    const auto& its_net = plain.net;
    const auto mean = [&](const auto& b) {  // of the losses, as b_rec moves
      using S = typename std::decay_t<decltype(b)>::Scalar;
      auto moving = rnn::cast<S>(its_net);
      moving.parameters.b_rec = b;
      return S(rnn::run(moving, rnn::cast<S>(plain.sequence)).losses.sum() / 12);
    };
    const Vector of_mean = ad::gradient(mean, its_net.parameters.b_rec), of_sum = in_time.col(8);
    show("|gradient by b_rec| of the sum", of_sum.norm(), "of the mean", of_mean.norm());
    expect("one twelfth, in the same direction", of_mean, (of_sum / 12).eval(), 1e-14);
  }
  rules::Rflo<double> check_right(cost_point.net);
  expect("without a slip it is rules/rflo.h", rflo_with(cost_point, Slip::none), recurrent(rules::learn(check_right, cost_point.net, cost_point.sequence).gradient));
  expect("at W_rec = 0 it is exact", in_time, recurrent(rnn::edited(plain.net, plain.sequence, {}).gradient));
  expect("scaling columns is another matrix", relative(got, wanted) > 0.5);
  expect("x_{t-1} is another trace", relative(Q_late, Q) > 0.5);
  //%show
  //% The same direction: nothing but the meaning of $\eta$ changes.

  //% # What is left to ask
  //% RFLO, SnAp-1 and e-prop are local in time and almost local in space. One thing is not: $q_t = W_{\mathrm{out}}^\top e_t$ wants each
  //% output's error sent back by exactly the weights that made the output. Must it be those? That is lesson 8.
  //%
  //% And the terms that were dropped: must it be all of them? That is lesson 9. Try it now, in the terminal:
  show("unroll edit \"J = leak\"     RFLO: what is left of the credit\n"
       "unroll rules               what a synapse must know, by rule");
  expect("the words are those of RFLO", rnn::names_of(rnn::parse_edit("J = leak"), 3).front() == "rflo");
}
