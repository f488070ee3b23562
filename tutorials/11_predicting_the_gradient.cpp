// Lesson 11: instead of waiting for the future, predict its gradient: Bellman's equation, TD errors, DNI and BP(lambda).
#include <Eigen/QR>
#include <cmath>
#include <vector>

#include "rnn/surgery_step.h"
#include "rnn/task.h"
#include "rules/bp_lambda.h"
#include "rules/bptt.h"
#include "rules/dni.h"
#include "tutorials/lesson.h"
#include "tutorials/measures.h"

using namespace tutorials;

//%hide
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Eigen::Index;

Vector with_1(const Vector& h) { return (Vector(h.size() + 1) << h, 1).finished(); }

/// dL_{>t}/dh_t, t = 1 .. T - 1, one a column, of a network over a sequence; and [h_t; 1].
struct Truth {
  Matrix later, states;
  Truth(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence) {
    const rnn::EditedSteps steps(net, sequence);
    const Index count = sequence.length() - 1;
    later.setZero(net.d(), count + 1);
    states.setOnes(net.d() + 1, count);
    for (Index t = count; t >= 1; --t) {
      const auto& next = steps.at(t + 1);
      later.col(t - 1) = next.pull(next.credit + later.col(t)).before;
      states.col(t - 1).head(net.d()) = steps.at(t).h;
    }
    later.conservativeResize(net.d(), count);
  }
};
/// The share of `later` that no Theta [h; 1] can say: least squares, |rest| / |later|.
double unsaid(const Matrix& later, const Matrix& states) {
  const Matrix Theta_T = states.transpose().completeOrthogonalDecomposition().solve(later.transpose());
  return relative(Theta_T.transpose() * states, later);
}

/// What a synthesiser that learns on a long stream says at each step, beside what was true in the end.
struct Watched {
  Matrix said;            // d x T
  std::vector<double> J;  // of DNI(b): |Jt h_{t-1} - h_t| / |h_t|
};
template <class R>
Watched watch(R& rule, const rnn::Network<double>& net, const rnn::Sequence<double>& stream) {
  Watched w{Matrix(net.d(), stream.length()), {}};
  rules::Loop<double> loop(net);
  rule.reset();
  for (Index t = 0; t < stream.length(); ++t) {
    const Vector before = loop.h();
    loop.advance(rule, stream.x.col(t), stream.target.col(t), false);
    w.said.col(t) = rule.synthetic();
    if (rule.Jt().size() != 0) w.J.push_back((rule.Jt() * before - loop.h()).norm() / loop.h().norm());
  }
  return w;
}
/// The mean cosine of columns, `from` to `to`.
double alignment(const Matrix& a, const Matrix& b, Index from, Index to) {
  double sum = 0;
  for (Index t = from; t < to; ++t) sum += a.col(t).normalized().dot(b.col(t).normalized());
  return sum / static_cast<double>(to - from);
}

/// The line task in small: a cue, nine silent steps, one loss. How well g_t, t = 1 .. 4, points along dL_{>t}/dh_t.
Eigen::RowVector4d line_task(double lambda, std::uint64_t seed) {
  rnn::Random random(seed);
  rnn::Line line(10, 3);
  auto net = rnn::random_network(10, 20, 2, random);
  net.activation = rnn::Activation::identity;
  rnn::Options options;
  options.lambda = lambda, options.lr = 0.03;
  rules::BpLambda<double> rule(net, options);
  Eigen::RowVector4d aligned = Eigen::RowVector4d::Zero();
  for (int i = 0; i < 600; ++i) {
    const auto piece = line.next(i, random);
    rules::Bptt<double> bptt(net);
    rules::Loop<double> loop(net), beside(net);
    rule.reset();
    Matrix g(20, 4);
    for (Index t = 1; t <= 10; ++t) {
      const auto x = piece.sequence.x.col(t - 1), target = piece.sequence.target.col(t - 1);
      loop.advance(rule, x, target, t == 10, t == 10);
      beside.advance(bptt, x, target, t == 10, t == 10);
      if (t <= 4) g.col(t - 1) = rule.synthetic();
    }
    bptt.finish();  // no loss before the last step: dL_{>t}/dh_t = dL/dh_t
    if (i >= 550)
      for (Index t = 0; t < 4; ++t) aligned(t) += g.col(t).normalized().dot(bptt.delta().col(t).normalized()) / 50;
  }
  return aligned;
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(11, "Predicting the future's gradient") {
  //% # What is missing at a cut
  //% BPTT must wait for the end, because credit comes from there. Cut the tape after each step: every step is then on a
  //% tape of its own, and only $q_t = \partial L_t / \partial h_t$ arrives at $h_t$. What is missing?
  const double alpha = parameter("alpha", 0.4, 0.1, 1);
  rnn::Random random(10);
  const auto sequence = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  auto net = rnn::random_network(2, 3, 2, random);  // as in lesson 4
  net.alpha = alpha;
  net.loss = rnn::Loss::softmax_ce;
  const rnn::EditedSteps steps(net, sequence);  // six tapes
  const auto at = [&](int t) -> const rnn::EditedStep& { return steps.at(t); };
  rules::Bptt<double> bptt(net);
  rules::learn(bptt, net, sequence);
  const Vector q_3 = at(3).credit;                  // arrives by itself
  const Vector missing = bptt.delta().col(3 - 1) - q_3;
  show("missing at h_3", missing);
  const Matrix without = at(3).pull(q_3).theta;     // d x k
  const Matrix with = at(3).pull(q_3 + missing).theta;
  const Matrix& exact = bptt.at(3);                 // dL/dtheta_3
  show("|error| without it", (without - exact).norm());
  show("|error| with it", (with - exact).norm());
  ask("How many numbers are missing at the cut?", 3, 0.0, "one for each unit");
  expect("with these numbers the cut is not felt", with, exact);
  expect("without them it is", (without - exact).norm() > 0.1 * exact.norm());
  //% One vector: $\partial L_{>t} / \partial h_t$, the gradient of all *later* losses, $L_{>t} = L_{t+1} + L_{t+2} + \dots$ Whoever could say it at time $t$
  //% would have no need of the future.
  //%ja 切り口に足りないのは一本のベクトル $\partial L_{>t} / \partial h_t$ だけである．

  //% # Bellman's equation for gradients
  //% (1.12) without $q_t$: with $g_t = \partial L_{>t} / \partial h_t$,
  //%
  //% $$g_t = J_{t+1}^\top (q_{t+1} + g_{t+1}), \qquad g_T = 0$$
  //%
  //% The notes see here *Bellman's equation* (Bellman方程式), $V_t = r_{t+1} + \gamma V_{t+1}$: what is to come is what comes next, and what is to come
  //% after that. Rewards have become credits, and $J^\top$ carries them back one step.
  Matrix g = Matrix::Zero(3, 6);                    // column t - 1: g_t
  for (int t = 5; t >= 1; --t)
    g.col(t - 1) = at(t + 1).pull(at(t + 1).credit + g.col(t)).before;
  show("g_1 .. g_6", g);
  ask("What is g_6, when L_6 is the last loss?", g.col(5).norm(), "nothing is later");
  for (int t = 1; t <= 6; ++t) expect("g_t + q_t is delta_t of BPTT", (g.col(t - 1) + at(t).credit).eval(), bptt.delta().col(t - 1).eval());
  //% A discount (割引) $\gamma \le 1$ in front of $g_{t+1}$ makes far losses count less, as in reinforcement learning. Only $\gamma = 1$ is the
  //% gradient.

  //% # A function that says it
  //% So let a function of the present state say it: a *synthetic gradient* (合成勾配; Jaderberg et al. 2017), here linear,
  //% $g(h) = \Theta\,[h; 1]$. From now on $g_t$ is such a guess, $g(h_t)$, and step 2's is the *true* $g_t$. One equation tells whether
  //% a guess is right, without the end: Bellman's. What is left of it is the *TD error* (TD誤差; temporal difference),
  //%
  //% $$\delta^{\mathrm{TD}}_t = J_{t+1}^\top (q_{t+1} + \gamma\,g_{t+1}) - g_t$$
  //%
  //% The notes call it $\delta_t$, too; it is not the credit $\delta_t$ of lesson 6.
  const auto td_error = [&](const Matrix& guess, double gamma) {
    Matrix delta(3, 5);
    for (int t = 1; t <= 5; ++t) {
      const Vector c = at(t + 1).credit + gamma * guess.col(t);
      delta.col(t - 1) = at(t + 1).pull(c).before - guess.col(t - 1);
    }
    return delta;
  };
  ask("What is the TD error of the true gradient, at gamma = 1?", 0, 1e-9, "it obeys Bellman's equation");
  show("|TD error| of the true g", td_error(g, 1).norm());
  show("|TD error| of a g that is 0", td_error(0 * g, 1).norm());
  expect("the truth has no TD error", td_error(g, 1).norm() < 1e-15);
  expect("a guess of nothing has", td_error(0 * g, 1).norm() > 0.01);
  //% In the notes' words: one estimates the error before the outcome is known, as one does in movement. That the cerebellum (小脳)
  //% predicts so for the cortex is a hypothesis with evidence (Hull 2020; Streng, Popa and Ebner 2018), not a proof.
  //%ja 誤差が届く前に，その勾配を予測する．小脳がこれに当たるという仮説がある．

  //% # The truth as a judge
  //% The notes write $\delta_t = (q_{t+1} + \gamma\,g_{t+1})^\top J_{t+1} - g_t$: a row, less a column. Both are meant as one thing, so which? Matrices of 1 x 3 and 3 x 1 will
  //% not even subtract. But $J$ is square, and a slip of the transpose would go unnoticed. The true $g$ is a judge: it has no
  //% TD error, if the formula is right.
  //%hide
  const auto J = [&](int t) { return at(t).push(Matrix::Identity(3, 3)); };
  const auto judged = [&](const auto& carry) {
    Matrix delta(3, 5);
    for (int t = 1; t <= 5; ++t) delta.col(t - 1) = carry(t + 1, at(t + 1).credit + g.col(t)) - g.col(t - 1);
    return delta.norm() / g.norm();
  };
  const double as_column = judged([&](int t, const Vector& c) -> Vector { return J(t).transpose() * c; });
  const double not_transposed = judged([&](int t, const Vector& c) -> Vector { return J(t) * c; });
  const double no_leak = judged([&](int t, const Vector& c) -> Vector {
    return (J(t) - (1 - alpha) * Matrix::Identity(3, 3)).transpose() * c / alpha;  // diag(f') W_rec
  });
  const double one_late = judged([&](int t, const Vector& c) -> Vector { return J(t - 1).transpose() * c; });
  std::string verdicts = " the true g is left with                          |TD error| / |g|\n";
  const auto verdict = [&](const char* name, double error) { verdicts += fmt::format(" {:<46}{:>14.2g}\n", name, error); };
  verdict("J^T (q + g'), a column", as_column);
  verdict("J (q + g'), the transpose forgotten", not_transposed);
  verdict("J = diag(f') W_rec, as in the notes' example", no_leak);
  verdict("J of the step before", one_late);
  ask("The notes' example is tanh(W_in x + W_rec h + b), with no leak. At which alpha is its Jacobian right for our network?", 1, 0.0, "(1.2): what is left of the state before?");
  show(verdicts);
  //%show
  expect("as a column it is right", as_column < 1e-15);
  expect("the transpose matters", not_transposed > 0.01);
  if (at_default()) expect("and so does the leak", no_leak > 0.1);
  if (at_default()) expect("and the time", one_late > 0.01);
  //% So $\delta^{\mathrm{TD}}_t = J_{t+1}^\top (q_{t+1} + \gamma\,g_{t+1}) - g_t$, all columns, with the leak in $J$.

  //% # DNI: learning a guess from a guess
  //% *Decoupled neural interfaces* (DNI; Jaderberg et al. 2017) let each step go on by itself, with a prediction at its cut. Here, as in Marschall et
  //% al. (2020), $s(h_t, y^*_t) = \Theta\,[h_t; y^*_t; 1]$ predicts all of lesson 6's $\delta_t$, $q_t$ included. At step $t$ the guess of the step
  //% *before*, $s(h_{t-1}, y^*_{t-1})$, is drawn to $q_{t-1} + J_t^\top s(h_t, y^*_t)$: a guess from a later, better guess
  //% (bootstrapping, ブートストラップ). The network is at rest; a stream of 4000 steps goes by.
  const auto stream = rnn::add_task(4000, random, {.t1 = 2, .t2 = 3});
  rnn::Options options;
  options.lr = 0.05;
  options.draws = rnn::Draws(1);                    // Theta at first
  rules::Dni<double> dni(net, options);
  const Matrix said = watch(dni, net, stream).said; // at each t
  rules::Bptt<double> in_the_end(net);
  rules::learn(in_the_end, net, stream);
  const Matrix& truth = in_the_end.delta();
  //%hide
  std::string learned = "   steps           cosine with dL/dh_t\n";
  std::vector<double> course;
  for (const auto& [from, to] : {std::pair<Index, Index>{0, 10}, {10, 100}, {100, 1000}, {1000, 4000}}) {
    course.push_back(alignment(said, truth, from, to));
    learned += fmt::format(" {:>5} to {:<5}{:>15.2f}\n", from + 1, to, course.back());
  }
  ask("Has DNI ever been shown dL/dh_t itself?", false, "only q of the step before, and its own next prediction");
  show(learned);
  //%show
  if (at_default()) {
    expect("it learns", course[3] > course[0] + 0.2);
    expect("and predicts much of it", course[3] > 0.7);
    expect("not all: other futures follow the same state", course[3] < 0.95);
  }
  //% It cannot be perfect: what bits will come it does not know. The best it can say is the *mean* over futures, given $h_t$ and $y^*_t$.
  //%
  //% Between the layers of a feed-forward network the same idea unlocks the layers from each other: `rules/layerwise_dni.h`.

  //% # DNI(b): not even J
  //% DNI needs $J_t^\top$ to learn, the weights transposed: lesson 8's trouble again. Marschall et al. let it learn that too: a matrix $\tilde{J}$ that
  //% predicts $h_t$ from $h_{t-1}$, and takes the place of $J$. (And a tanh on the target's prediction keeps guesses of guesses
  //% from growing.)
  options.J_lr = 0.05;
  rules::DniB<double> dni_b(net, options);
  const Watched b = watch(dni_b, net, stream);
  ask("Does DNI(b) need W_rec, after the start?", false, "it sees states, errors and targets");
  const double found = alignment(b.said, truth, 1000, 4000);
  show("cosine, steps 1001 to 4000", found);
  //%hide
  double early = 0, late = 0;
  for (std::size_t i = 1; i <= 100; ++i) early += b.J[i] / 100, late += b.J[b.J.size() - i] / 100;
  show("|Jt h - next h| / |next h|, first 100", early, "last 100", late);
  if (at_default()) {
    expect("it still predicts", found > 0.5);
    expect("less well than with J", found < course[3]);
  }
  expect("Jt stays a mean: inputs move h too", late > 0.05);
  //%show
  //% No recurrent weight is transposed, nothing is stored, nobody goes back; even $q_t$ may come through random feedback (lesson 8). The price is a
  //% bias of one more kind.

  //% # Looking further than one step
  //% A guess from the next guess spreads truth one step at a time. Pemberton and Costa (2024) look further, as TD(lambda) does: mix what
  //% comes after one step, two, three, ... with weights that fall by $\lambda$. Seen *forward* the target of $g_t$ is
  //%
  //% $$G_t = J_{t+1}^\top (q_{t+1} + \gamma\,((1 - \lambda)\,g_{t+1} + \lambda\,G_{t+1}))$$
  //%
  //% That needs the future again! But the same updates, added up in the other order, face the past: a trace $E_t \leftarrow \gamma \lambda J_t E_{t-1} + \partial g_t / \partial \Theta$, and at each
  //% step $\Theta$ gains $\sum_i \delta^{\mathrm{TD}}_i E_i$, a sum over units. Lesson 5 once more. That is *accumulate BP(lambda)*.
  const Matrix Theta = rnn::Random(3).normal(3, 4, 0.3);
  const auto forward_view = [&](double lambda, double gamma) {
    Matrix sum = Matrix::Zero(3, 4);                // of Theta's updates
    Vector G = Vector::Zero(3), later = G;          // later: g_{t+1}
    for (int t = 5; t >= 1; --t) {
      G = at(t + 1).pull(at(t + 1).credit + gamma *
            ((1 - lambda) * later + lambda * G)).before;
      later = Theta * with_1(at(t).h);
      sum += (G - later) * with_1(at(t).h).transpose();
    }
    return sum;
  };
  //%hide
  const auto by_trace = [&](double lambda, double gamma) {
    rnn::Options o;
    o.lambda = lambda, o.gamma = gamma, o.lr = 1, o.learn_at_end = true;
    o.state["Theta"] = Theta;
    rules::BpLambda<double> rule(net, o);
    rules::learn(rule, net, sequence);
    return (rule.Theta() - Theta).eval();
  };
  std::string views = " lambda   gamma    |trace - forward view| / |forward view|\n";
  for (const double lambda : {0.0, 0.5, 1.0})
    for (const double gamma : {1.0, 0.9}) {
      const double error = relative(by_trace(lambda, gamma), forward_view(lambda, gamma));
      views += fmt::format("{:>6}{:>8}{:>20.0e}\n", lambda, gamma, error);
      expect("the trace is the forward view, to rounding", error < 1e-13);
    }
  ask("At lambda = 1, gamma = 1: is $G_t$ the true $\\partial L_{>t} / \\partial h_t$?", true, "then g has left the equation: it is Bellman's own");
  show(views);
  //%show
  //% The trace by `rules/bp_lambda.h`, with $\Theta$ at rest through the sequence. A target in the future, reached from the past.
  //%ja 前方観測（未来を見る）と適格度トレース（過去を見る）は，丸め誤差まで一致する．

  //% # Which J carries the trace?
  //% The notes list the steps in an order: first $\partial h \leftarrow \partial h' / \partial h$, then the trace $e \leftarrow \gamma \lambda\,\partial h\,e + \nabla g$. But by then $\partial h$ has been
  //% overwritten: it belongs to the *new* step, and the trace must be carried by the one *before*. Both are $d \times d$; nothing complains. Two more
  //% things are easily left out: $g_T = 0$, and a trace that begins at 0 with each sequence.
  //%hide
  const auto slip = [&](bool overwritten, bool ends, bool reset) {
    Matrix E = Matrix::Zero(3, 12), sum = Matrix::Zero(3, 4);  // E: column 3 l + k stands for Theta_kl
    const rnn::Sequence<double> backwards{sequence.x.rowwise().reverse(), sequence.target.rowwise().reverse()};
    const rnn::EditedSteps other(net, backwards);
    for (int which = reset ? 1 : 0; which < 2; ++which) {  // another sequence first, whose trace may stay
      const auto& all = which == 0 ? other : steps;
      const auto now = [&](int t) -> const rnn::EditedStep& { return all.at(t); };
      for (int t = 1; t <= 5; ++t) {
        E = now(overwritten ? t + 1 : t).push(E);
        const Vector h = with_1(now(t).h);
        for (Index l = 0; l < 4; ++l) E.middleCols(3 * l, 3).diagonal().array() += h(l);
        const Vector later = t == 5 && ends ? Vector::Zero(3).eval() : Vector(Theta * with_1(now(t + 1).h));
        const Vector delta = now(t + 1).pull(now(t + 1).credit + later).before - Theta * h;
        if (which == 1) sum += (E.transpose() * delta).reshaped(3, 4);
      }
    }
    return relative(sum, forward_view(1, 1));
  };
  const double right = slip(false, true, true), seeds_J = slip(true, true, true), no_end = slip(false, false, true),
               no_reset = slip(false, true, false);
  std::string slips = " lambda = gamma = 1                     off the forward view by\n";
  const auto one = [&](const char* name, double error) { slips += fmt::format(" {:<38}{:>16.2g}\n", name, error); };
  one("J of the step before, as it should be", right);
  one("J of the new step, as in the notes", seeds_J);
  one("g_T = Theta [h_T; 1] in place of 0", no_end);
  one("the last sequence's trace kept", no_reset);
  ask("At the first step of a sequence, does it matter which J carries the trace?", false, "what is carried is 0");
  show(slips);
  //%show
  expect("as it should be", right < 1e-13);
  if (at_default()) expect("the overwritten J is felt, a little", seeds_J > 0.003 && seeds_J < 0.1);
  expect("so is a missing end", no_end > 0.001);
  expect("and a trace that was kept", no_reset > 0.001);
  //% The ends weigh much, as our sequence is short. But the wrong $J$ is a slip of a per cent: the sort that learns nevertheless, a
  //% little worse, and that nobody finds by looking at the loss.

  //% # Is lambda = 1 BPTT?
  //% The notes say that $\lambda = 1$ agrees with BPTT. What agrees, exactly? The *targets*: $\Theta$'s updates, added up over a sequence at rest, are those of
  //% regression on the true $\partial L_{>t} / \partial h_t$.
  Matrix regression = Matrix::Zero(3, 4);
  for (int t = 1; t <= 5; ++t) {
    const Vector h = with_1(at(t).h);
    regression += (g.col(t - 1) - Theta * h) * h.transpose();
  }
  show("off by, gamma = 1", relative(by_trace(1, 1), regression));
  show("off by, gamma = 0.9", relative(by_trace(1, 0.9), regression));
  expect("regression on the truth", relative(by_trace(1, 1), regression) < 1e-13);
  expect("with a discount it is regression on something else", relative(by_trace(1, 0.9), regression) > 0.01);
  //% Three things do not. A discount draws $\Theta$ to another gradient. A $\Theta$ that moves at every step misses by as much as it moves. And $\Theta$ says the
  //% truth only if *some* $\Theta$ can: the truth is here five columns of three numbers, and $\Theta$'s rows have four.
  //%hide
  std::string moves = "  lr of Theta at every step      0.1      0.01     0.001\n  off by                    ";
  std::vector<double> by_lr;
  for (const double lr : {0.1, 0.01, 0.001}) {
    rnn::Options o;
    o.lambda = 1, o.lr = lr, o.state["Theta"] = Theta;
    rules::BpLambda<double> rule(net, o);
    rules::learn(rule, net, sequence);
    by_lr.push_back(relative((rule.Theta() - Theta) / lr, regression));
    moves += fmt::format("{:>9.4f}", by_lr.back());
  }
  rnn::Random more(6);
  auto eight = rnn::random_network(2, 8, 2, more);
  eight.alpha = alpha, eight.loss = net.loss;
  const Truth three(net, sequence), one_sequence(eight, sequence);
  Matrix all_later(8, 0), all_states(9, 0);
  for (int i = 0; i < 20; ++i) {
    const Truth t(eight, rnn::add_task(6, more, {.t1 = 2, .t2 = 3}));
    Matrix joined(8, all_later.cols() + 5), joined_states(9, joined.cols());
    joined << all_later, t.later, joined_states << all_states, t.states;
    all_later = joined, all_states = joined_states;
  }
  const double best_3 = unsaid(three.later, three.states), best_8 = unsaid(one_sequence.later, one_sequence.states),
               best_many = unsaid(all_later, all_states);
  ask("With d = 8 units, nine coefficients a row: can some Theta say all five columns of one sequence?", true, "five equations, nine unknowns");
  show(moves);
  //%show
  show("unsaid by the best Theta, d = 3, one sequence", best_3);
  show("d = 8, one sequence", fmt::format("{:.0e}", best_8));
  show("d = 8, twenty sequences", best_many);
  expect("a small step is nearly at rest", by_lr[2] < by_lr[1] && by_lr[1] < by_lr[0]);
  expect("proportional to the step", by_lr[1] / by_lr[2], 10.0, 1.0);
  expect("with four coefficients something stays unsaid", best_3 > 0.001);
  expect("with nine, nothing", best_8 < 1e-9);
  expect("until there are more sequences than one", best_many > 0.1);
  expect("the truth is Bellman's g", three.later, g.leftCols(5).eval());
  //% So: $\lambda = 1$ is *regression on the gradient of BPTT*, which is not BPTT. And $\lambda = 0$ is one-step bootstrapping, no more; Jaderberg et al.
  //% also bootstrapped over several steps.

  //% # Up or down?
  //% The notes move the network by $\Psi \leftarrow \Psi + \eta\,(q + g)^\top \partial h / \partial \Psi$. Take the true $g$, so that this is $\eta$ times the gradient, and look at $L$.
  //%hide
  const Vector gradient = rnn::flatten(rules::learn(bptt, net, sequence).gradient);
  //%show
  const auto loss_after = [&](double eta) {
    return rnn::loss_at(net, sequence,
                        rnn::flatten(net.parameters) + eta * gradient);
  };
  const double eta = 1e-6;
  const double rate = (loss_after(eta) - loss_after(0)) / eta;
  ask("Does the loss fall, with + eta?", false, "the gradient points to where L grows");
  show("change of L over eta", rate);
  show("|gradient|^2", gradient.squaredNorm());
  expect("it rises, by |gradient|^2", rate / gradient.squaredNorm(), 1.0, 1e-4);
  expect("with a minus it falls", loss_after(-0.01) < loss_after(0));
  //% It climbs. With a minus it descends, and the sign of $\Theta$'s update, which the notes have as $+$, is right as it
  //% stands: $\delta^{\mathrm{TD}}$ is target less guess.

  //% # Is it light?
  //% The notes call it computationally light (計算的に軽量). Count: $E$ has a number for each unit and each entry of $\Theta$, as $P$ has for each weight.
  //% How many does each hold for $d = n = 32$?
  const Index d = 32, n = 32, m = 2;
  show("BP(lambda): trace, d x d x (d + 1)", d * d * (d + 1));
  show("RTRL: P, d x d x (d + n + 1)", d * d * (d + n + 1));
  show("BP(0): Theta, d x (d + 1)", d * (d + 1));
  show("DNI: Theta, d x (d + m + 1)", d * (d + m + 1));
  ask("Theta has d (d + 1) = 1056 entries. How many numbers has the trace?", 32 * 32 * 33, 0.0, "32 for each");
  //%hide
  {
    rnn::Random r(1);
    const auto wide = rnn::random_network(n, d, m, r);
    rnn::Options o;
    const rules::BpLambda<double> rule(wide, o);
    expect("rules/bp_lambda.h keeps as much", rule.trace().size(), d * d * (d + 1));
  }
  expect("half of RTRL's P: the same order", 33792 * 2 - 66560, 1024);
  //%show
  //% With $\lambda > 0$ it has RTRL's order, in memory and time, $d^4$ a step. At $\lambda = 0$ no trace is needed, nor for DNI: $d^2$. That is light.
  //%ja $\lambda > 0$ のトレースは RTRL と同じ桁の計算量を要する．軽いのは $\lambda = 0$ と DNI である．

  //% # What looking further buys
  //% The *line*: a cue at $t = 1$, nine silent steps, then one loss: is the output the cue's point on a circle? At the start of the
  //% sequence the loss is nine guesses away. A linear network at rest, 20 units, 600 sequences; how well does $g_t$ point along the true $\partial L_{>t} / \partial h_t$?
  //%hide
  const Eigen::RowVector4d near = (line_task(0, 2) + line_task(0, 3)) / 2, far = (line_task(1, 2) + line_task(1, 3)) / 2;
  std::string cosines = "  cosine at t =    1       2       3       4\n";
  for (const auto& [name, of] : {std::pair{"lambda = 0", near}, {"lambda = 1", far}})
    cosines += fmt::format("  {}{:>8.2f}{:>8.2f}{:>8.2f}{:>8.2f}\n", name, of(0), of(1), of(2), of(3));
  ask("Will lambda = 1 point better than lambda = 0 at t = 1, nine steps before the loss?", true, "one waits for nine guesses to come right");
  show(cosines);
  //%show
  for (Index t = 0; t < 4; ++t) expect("lambda = 1 sees further", far(t) > near(t));
  expect("and most of what there is to see", far.minCoeff() > 0.8);
  //% The trace sees the end from the beginning; the guess of a guess sees it dimly. Pemberton and Costa (2024) find the same.
  //%
  //% Rules that face the past multiplied by random signs; these predict. What if a rule has neither derivatives nor predictions, only noise and a
  //% loss? That is lesson 12.
  //%ja $\lambda = 1$ のトレースは，系列の初めから終わりの損失を見通す．
}
