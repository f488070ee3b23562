// Lesson 8: the way back need not be the way out: random feedback, what it breaks, and why a network learns with it.
#include <cmath>
#include <numbers>
#include <vector>

#include "ad/custom.h"
#include "ad/pairing.h"
#include "ad/trace/terminal.h"
#include "rnn/surgery_edited.h"
#include "rnn/task.h"
#include "rules/bptt.h"
#include "rules/rflo.h"
#include "rules/rtrl.h"
#include "rules/train.h"
#include "tutorials/lesson.h"

using namespace tutorials;

//%hide
namespace {

using Vector = Eigen::VectorXd;
using Matrix = Eigen::MatrixXd;

double degrees(double cosine) { return std::acos(cosine) * 180 / std::numbers::pi; }

/// Words in lines of at most 76 columns.
std::string wrapped(const std::string& words) {
  std::string all;
  std::size_t column = 0;
  for (std::size_t i = 0; i < words.size();) {
    const std::size_t end = std::min(words.find_first_of(" \n", i), words.size());
    if (column > 0 && column + 1 + end - i > 76)
      all += "\n  ", column = 2;
    else if (column > 0)
      all += ' ', ++column;
    all += words.substr(i, end - i), column += end - i;
    if (end < words.size() && words[end] == '\n') all += '\n', column = 0;
    i = end + 1;
  }
  return all;
}

/// The adjoints of one recording with the tangents of another of the same shape.
struct Mixed {
  const ad::Tape &adjoints, &tangents;
  bool has_adjoints() const { return adjoints.has_adjoints(); }
  bool has_tangents() const { return tangents.has_tangents(); }
  ad::Id check(const ad::Var& x, const char* what) const { return adjoints.check(x, what); }
  auto entry_of(ad::Id i) const { return adjoints.entry_of(i); }
  double value_of(ad::Id i) const { return adjoints.value_of(i); }
  std::string name_of(ad::Id i) const { return adjoints.name_of(i); }
  double adjoint(ad::Id i) const { return adjoints.adjoint(i); }
  double tangent(ad::Id i) const { return tangents.tangent(i); }
};

/// A network for the periodic output: 32 units, slow; W_out ~ N(0, readout^2 / d), small in Murray's.
rnn::Network<double> slow_network(rnn::Random& random, double readout = 0.058) {
  auto net = rnn::random_network(1, 32, 1, random);
  net.h_0 = random.normal(32, 1);
  net.parameters.W_rec = random.normal(32, 32, 1.5 / std::sqrt(32.0));
  net.parameters.W_out *= readout;
  net.alpha = 0.2;
  return net;
}
/// `trials` of RFLO with B: the mean loss a step of the last, and the cosine of B and W_out after it.
struct Outcome {
  double loss, cosine;
};
Outcome outcome(rnn::Network<double> net, const Matrix& B, int trials, bool at_rest) {
  const Matrix W_out = net.parameters.W_out;
  rnn::Random nothing(0);
  const auto shown = rnn::Periodic(50).next(0, nothing).sequence;
  rules::Rflo<double> rflo(net);
  rules::Training<rules::Rflo<double>> training(net, rflo, rnn::Descent(1e-3), B);
  double loss = 0;
  for (int trial = 1; trial <= trials; ++trial) {
    training.restart();
    loss = 0;
    for (int t = 1; t <= 50; ++t) {
      loss += training.step(shown.x.col(t - 1), shown.target.col(t - 1), t == 50) / 50;
      if (at_rest) net.parameters.W_out = W_out;
    }
  }
  return {loss, rnn::cosine(B, net.parameters.W_out)};
}

/// A random matrix that encloses with W the angle of this cosine, of standard deviation 1.
Matrix with_cosine(double cosine, const Matrix& W, rnn::Random& random) {
  Matrix other = random.normal(W.rows(), W.cols());
  other -= W.cwiseProduct(other).sum() / W.squaredNorm() * W;
  return std::sqrt(static_cast<double>(W.size())) *
         (cosine * W.normalized() + std::sqrt(1 - cosine * cosine) * other.normalized());
}

/// Loss and cosine over trials, one above the other.
std::string curves(const std::vector<double>& trials, const std::vector<double>& loss,
                   const std::vector<double>& cosine) {
  const auto panel = [&](double top, double low, double high, const std::vector<double>& y, const std::string& name) {
    std::string points, svg;
    const auto x_of = [&](double trial) { return 60 + 420 * trial / trials.back(); };
    const auto y_of = [&](double value) {  // from above 0 up: logarithmic
      return top + 110 * (low > 0 ? std::log(high / value) / std::log(high / low) : 1 - value / high);
    };
    for (std::size_t i = 0; i < y.size(); ++i) points += fmt::format("{:.1f},{:.1f} ", x_of(trials[i]), y_of(y[i]));
    svg += fmt::format("<path d=\"M60 {}V{}H480\" fill=\"none\" stroke=\"#111\"/>", top, top + 110);
    svg += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"#111\" stroke-width=\"2\"/>", points);
    svg += fmt::format("<text x=\"54\" y=\"{}\" text-anchor=\"end\">{}</text>", top + 10, high);
    svg += fmt::format("<text x=\"54\" y=\"{}\" text-anchor=\"end\">{}</text>", top + 110, low);
    return svg + fmt::format("<text x=\"300\" y=\"{}\">{}</text>", top + 14, name);
  };
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 500 300\" width=\"500\" height=\"300\" role=\"img\" "
         "aria-label=\"loss falls and B and W_out align as trials go on\" font-family=\"sans-serif\" "
         "font-size=\"13\">" +
         panel(10, 0.01, 1, loss, "loss a step") + panel(150, 0, 1, cosine, "cosine of B and W_out") +
         fmt::format("<text x=\"480\" y=\"280\" text-anchor=\"end\">trial {}</text></svg>", trials.back());
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(8, "Feedback that need not be symmetric") {
  //% # The same numbers, on the way back
  //% The output is $v_t = W_{\mathrm{out}} h_t + b_{\mathrm{out}}$: from unit $j$ to output $k$ leads a synapse of strength
  //% $W_{kj}$. The error comes back as $q_t = W_{\mathrm{out}}^\top e_t$: from $k$ to $j$, with strength $W_{kj}$ again. But
  //% that is *another* synapse, on another cell. How should it know the strength of the first, and follow when that learns?
  //% This is the weight transport problem (重み輸送問題; Grossberg 1987).
  //%ja 行きと帰りは別のシナプスである．なぜ同じ強さでありうるのか．
  rnn::Random random(10);
  const auto sequence = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  auto net = rnn::random_network(2, 3, 2, random);      // as in lesson 4
  net.alpha = 0.4;
  net.loss = rnn::Loss::softmax_ce;
  const Matrix& W_out = net.parameters.W_out;
  const auto states = rnn::run(net, sequence);
  const Vector e_3 = rnn::prediction(net.loss, states.v.col(3 - 1))
                     - sequence.target.col(3 - 1);
  const Matrix B = random.normal(2, 3, 1 / std::sqrt(3.0));
  show("e_3", e_3);
  show("B", B);
  //% A synapse that does not know the other may have any strength. So take any, $B$, fixed and drawn at random: random
  //% feedback (ランダムフィードバック). Ours has the shape of $W_{\mathrm{out}}$; the notes' $B$ is its transpose.
  const Vector q = W_out.transpose() * e_3, wrong = B.transpose() * e_3;
  ask("Unit 0 hears of e_3 by column 0 of B. What does it hear?", wrong(0), 0.0006, "B[0,0] e_3[0] + B[1,0] e_3[1]");
  show("W_out^T e_3", q);
  show("B^T e_3", wrong);
  show("cosine of the two", rnn::cosine(q, wrong));
  expect("column 0 of B", wrong(0), B(0, 0) * e_3(0) + B(1, 0) * e_3(1), 1e-15);
  //% What becomes of the gradient? What becomes of learning?

  //% # A pullback replaced
  //% First, what is it, for a tape? The readout is an entry with a value and a partial for each operand; a sweep back hands
  //% out the adjoint times these partials (lesson 2). What an entry so does to an adjoint is its *pullback* (引き戻し).
  //% `ad::custom` lets us say both. Two units, one output, the true weights in the value
  //% and others in the partials:
  const double W[] = {0.9, -0.4}, other[] = {0.3, 0.8};
  const auto record = [&](ad::Tape& to, const auto& back) {
    const ad::Var h_0 = to.input(0.5, "h[0]");
    const ad::Var h_1 = to.input(-0.2, "h[1]");
    const auto readout = ad::custom(
        [&](const auto& a, const auto& b) { return W[0] * a + W[1] * b; },
        [&](const auto& a, const auto&) { return 0 * a + back[0]; },
        [&](const auto& a, const auto&) { return 0 * a + back[1]; });
    const ad::Var v = readout(h_0, h_1);
    const ad::Var e = v - 0.1;
    const ad::Var L = e * e / 2;
    //%hide
    to.name(v, "v"), to.name(e, "e"), to.name(L, "L");
    //%show
    to.reverse(L);
    to.forward(h_0);
    return std::array{h_0, h_1, v, e, L};
  };
  ad::Tape edited;
  const auto on_edited = record(edited, other);
  ask("v = 0.53, so e = 0.43. With 0.3 in the place of 0.9, what is the adjoint of h[0]?", edited.adjoint(on_edited[0]), 0.0006, "0.3 e");
  show("v", on_edited[2], "e", on_edited[3]);
  show("adjoint of h[0]", edited.adjoint(on_edited[0]),
       "of h[1]", edited.adjoint(on_edited[1]));
  expect("the value is the true one", on_edited[2].value(), 0.9 * 0.5 + 0.4 * 0.2, 1e-15);
  expect("B^T e", edited.adjoint(on_edited[0]), 0.3 * on_edited[3].value(), 1e-15);
  //% Same values, same loss, another way back. The pullback of one entry has been edited; everything below it is handed
  //% something that is no derivative of $L$ any more.

  //% # What breaks, on purpose
  //% Lesson 2: at every cut of a tape, adjoints times tangents have the same sum. Let $h[0]$ move as it really would, by
  //% the true weights; that is a second recording. And take the adjoints of the first.
  ad::Tape truth;
  const auto on_truth = record(truth, W);
  const auto p = ad::pairing(Mixed{edited, truth}, on_edited[4]);
  const double e = on_edited[3].value();
  ask(fmt::format("Above v the sum is e W[0] = {:.3f}. What is it below v, over h[0] and h[1]?", e * W[0]), e * other[0], 0.0006, "e times the partial that was handed down");
  show(wrapped(p.text));
  expect("it breaks", !p.ok);
  expect("at v, and nowhere else", p.broken == on_edited[2].id());
  expect("below v", p.cut[0], e * other[0], 1e-15);
  expect("above v", p.cut[on_edited[4].id()], e * W[0], 1e-15);
  expect("the entry is known as an edit", p.edits, std::vector<ad::Id>{on_edited[2].id()});
  expect("the true tape pairs", ad::pairing(truth, on_truth[4]).ok);
  expect("each edited tape pairs with itself", ad::pairing(edited, on_edited[4]).ok);
  //% The check finds the entry, and says that it is an edit: its derivative was given, not derived. A wrong formula by
  //% accident looks the same, but is called by its operation's name. An edit is a mistake that you can point to.

  //% # The edit in a network
  //% In the network of lesson 4 the readout of every step gets $B$: the edit `feedback = random`. It goes with any
  //% rule, as all of them begin with $q_t$. By hand it is one matrix in the loop; derived, it is the pullback above.
  rules::Bptt<double> bptt(net);
  rules::Rflo<double> rflo(net);
  const auto exact = rules::learn(bptt, net, sequence);
  const auto by_bptt = rules::learn(bptt, net, sequence, false, B);
  const auto by_rflo = rules::learn(rflo, net, sequence, false, B);
  //%hide
  rnn::Options options;
  options.feedback = B;
  rules::Rtrl<double> rtrl(net);
  const auto by_rtrl = rules::learn(rtrl, net, sequence, false, B);
  const auto derived = rnn::edited(net, sequence, rnn::parse_edit("feedback = random"), options).gradient;
  const auto leaky = rnn::edited(net, sequence, rnn::parse_edit("J = leak; feedback = random"), options).gradient;
  std::string table = "feedback = random    by hand - derived    cosine with the exact gradient\n"
                      "                                        recurrent weights       W_out\n";
  const auto line = [&](const std::string& name, const rnn::Parameters<double>& by_hand, const rnn::Parameters<double>& by_edit) {
    const double difference = (rnn::flatten(by_hand) - rnn::flatten(by_edit)).norm() / rnn::flatten(by_edit).norm();
    const auto angle = rnn::alignment(by_hand, exact.gradient);
    table += fmt::format("{:<21}{:>15.0e}{:>17.3f}{:>16.3f}\n", name, difference, angle.recurrent, angle.each.W_out);
    expect("by hand is derived", difference < 1e-13);
    expect("W_out's own gradient is never edited", by_hand.W_out, exact.gradient.W_out);
  };
  line("BPTT", by_bptt.gradient, derived);
  line("RTRL", by_rtrl.gradient, derived);
  line("RFLO", by_rflo.gradient, leaky);
  //%show
  ask("Does B change the gradient of W_out itself?", false, "it is e_t h_t^T: is any weight on the way from e_t to W_out?");
  //%hide
  show(table);
  //%show
  //% $\partial L / \partial W_{\mathrm{out}} = \sum_t e_t h_t^\top$ is local already, and stays exact. For the recurrent weights this
  //% $B$ does what it likes.

  //% # Any B?
  //% Is that cosine bad luck, or good? Draw a thousand $B$, and measure the angle of RFLO's gradient with its own for $B = W_{\mathrm{out}}$.
  //%hide
  rules::Rflo<double> own(net);
  const Matrix with_W = recurrent(rules::learn(own, net, sequence).gradient);
  rnn::Random many(1);
  Vector cosines(1000);
  for (auto& c : cosines) {
    const Matrix any = many.normal(2, 3);
    c = rnn::cosine(recurrent(rules::learn(own, net, sequence, false, any).gradient), with_W);
  }
  const double positive = static_cast<double>((cosines.array() > 0).count()) / 1000;
  rnn::Random wide(2);
  std::string spread = "units d    spread of the cosine of B and W_out (m = 1), and 1 / sqrt(d)\n";
  for (const int d : {4, 32, 256}) {
    double sum = 0;
    for (int i = 0; i < 500; ++i) sum += std::pow(rnn::cosine(wide.normal(1, d), wide.normal(1, d)), 2) / 500;
    spread += fmt::format("{:>7}    {:.3f}   {:.3f}\n", d, std::sqrt(sum), 1 / std::sqrt(d));
    expect("1 / sqrt(d)", std::sqrt(sum) * std::sqrt(d), 1.0, 0.15);
  }
  //%show
  ask("Which fraction of all B give an angle below 90 degrees?", positive, 0.06, "for every B there is -B");
  show("mean cosine", cosines.mean(), "fraction above 0", positive);
  //%hide
  show(spread);
  //%show
  expect("none on average", cosines.mean(), 0.0, 0.06);
  expect("half of them", positive, 0.5, 0.06);
  //% With $B$ goes $-B$, so the mean is zero; and in a large network nearly every $B$ is close to a right angle. At the start,
  //% random feedback tells a unit nothing. Should one stop here?

  //% # Why it can learn all the same
  //% $W_{\mathrm{out}}$ learns too, by a rule that is exact. Watch the smallest case: eight linear units driven by a
  //% constant, one output, $v = w \cdot h$, target 1. The units learn by $B^\top e$, the readout by $e\,h$.
  rnn::Random small(3);
  const Vector b = small.normal(8, 1);                  // B, fixed
  Vector w = 0.05 * small.normal(8, 1), h = 0.05 * small.normal(8, 1);
  //%hide
  std::string rows = " step      e     cosine of w and B\n";
  Vector aligned(61);
  //%show
  for (int i = 0; i <= 60; ++i) {
    const double error = w.dot(h) - 1;
    //%hide
    aligned(i) = rnn::cosine(w, b);
    if (i % 10 == 0)
      rows += fmt::format("{:>5}{:>9.3f}{:>12.3f}\n", i, error, aligned(i));
    //%show
    h -= 0.05 * error * b;                              // by feedback
    w -= 0.05 * error * h;                              // exact
  }
  ask("Does w turn towards B (1) or away from it (-1)?", 1, 0.0, "h moves by -e B, and w by -e h: two signs e");
  //%hide
  show(rows);
  //%show
  expect("it begins far from B", std::abs(aligned(0)) < 0.5);
  expect("and ends near it", aligned(60) > 0.9);
  expect("and the error is gone", std::abs(w.dot(h) - 1) < 0.01);
  //% $h$ takes on $-\eta e B$; then $w$ takes on $-\eta e h$, and in it $+\eta^2 e^2 B$. The error enters twice, and $e^2$ is
  //% never negative: what the feedback writes into $h$, the readout copies into $w$. The way out turns toward the way back.
  //% That is **feedback alignment** (フィードバック整列; Lillicrap et al. 2016).
  //%ja 帰りの重み $B$ が $h$ に書き込んだものを，出力の重みが写し取る．行きが帰りに揃っていく．

  //% # A network learns with it
  //% Now the real thing, RFLO as Murray (2019) has it: 32 slow units, no input, one output that should draw three sines
  //% in 50 steps. $W_{\mathrm{out}}$ is small at first, $B$ is random and fixed. Each step of each trial moves the weights.
  rnn::Random seed(3);
  auto slow = slow_network(seed);                       // alpha = 0.2
  const Matrix fixed = seed.normal(1, 32);              // B
  const auto task = rnn::Periodic(50).next(0, seed).sequence;
  rules::Rflo<double> rule(slow);
  rules::Training training(slow, rule, rnn::Descent(1e-3), fixed);
  //%hide
  std::vector<double> trials, losses, turned, exactly;
  const auto record_trial = [&](int trial, double loss) {
    trials.push_back(trial), losses.push_back(loss), turned.push_back(rnn::cosine(fixed, slow.parameters.W_out));
    rules::Bptt<double> whole(slow);
    rules::Rflo<double> local(slow);
    exactly.push_back(rnn::cosine(recurrent(rules::learn(local, slow, task, false, fixed).gradient),
                                  recurrent(rules::learn(whole, slow, task).gradient)));
  };
  //%show
  for (int trial = 1; trial <= 400; ++trial) {
    double loss = 0;
    training.restart();
    for (int t = 1; t <= 50; ++t)
      loss += training.step(task.x.col(t - 1), task.target.col(t - 1),
                            t == 50);
    //%hide
    if (trial == 1 || trial % 20 == 0) record_trial(trial, loss / 50);
    //%show
  }
  //%hide
  std::string course = "trial   loss a step   cosine of B and W_out   angle   cosine with BPTT\n";
  for (std::size_t i = 0; i < trials.size(); ++i)
    if (i == 0 || trials[i] == 20 || trials[i] == 60 || i % 5 == 0)
      course += fmt::format("{:>5}{:>14.4f}{:>24.3f}{:>8.0f}{:>19.3f}\n", trials[i], losses[i], turned[i], degrees(turned[i]), exactly[i]);
  //%show
  ask("B and W_out begin at about 90 degrees. Do they end below 60?", turned.back() > 0.5, "the readout copies what the feedback writes");
  figure("Loss and alignment over 400 trials.", curves(trials, losses, turned), course);
  expect("at the start they know nothing of each other", std::abs(turned.front()) < 0.25);
  expect("in the end they do", turned.back() > 0.5);
  expect("the loss is below a tenth of what silence costs", losses.back() < 0.0328);
  expect("it learns", losses.back() < 0.1 * losses.front());
  for (double c : exactly) expect("with BPTT's gradient about a right angle, always", std::abs(c) < 0.3);
  //%hide
  {
    const auto s = rnn::run(slow, task);
    const double error = s.v(0, 20) - task.target(0, 20);
    expect("with one output, credits enclose the angle of B and W_out at every t",
           rnn::cosine((fixed * error).eval(), (slow.parameters.W_out * error).eval()), turned.back(), 1e-12);
  }
  //%show
  //% $B$ never moved. With one output, $B^\top e_t$ and $W_{\mathrm{out}}^\top e_t$ always enclose the angle of $B$ and
  //% $W_{\mathrm{out}}$; as that falls, units are told more and more of what they did. The last column is sobering: to the
  //% exact gradient over all 50 steps RFLO's is about at a right angle all the time, and yet the loss falls. What alignment
  //% explains and what not is a matter for lesson 13.

  //% # Is it really the alignment?
  //% Then it should fail if $W_{\mathrm{out}}$ may not turn, and be the better the nearer $B$ happens to be. We choose $B$ by
  //% its cosine with $W_{\mathrm{out}}$, which has its full size now, so that it can draw the sines as it is: first
  //% $W_{\mathrm{out}}$ at rest, then free. The loss a step after 200 trials, mean over three seeds:
  //%hide
  std::string ends = "cosine of B and W_out   loss, W_out at rest   loss, W_out free   cosine then\n";
  std::vector<double> rest, free, turned_to;
  for (const double cosine : {-0.5, 0.0, 0.5, 1.0}) {
    double loss_at_rest = 0, loss_free = 0, then = 0;
    for (std::uint64_t i = 1; i <= 3; ++i) {
      rnn::Random draw(i);
      const auto start = slow_network(draw, 1);
      const Matrix chosen = with_cosine(cosine, start.parameters.W_out, draw);
      loss_at_rest += outcome(start, chosen, 200, true).loss / 3;
      const auto moved = outcome(start, chosen, 200, false);
      loss_free += moved.loss / 3, then += moved.cosine / 3;
      if (cosine < 1) expect("free, W_out turns toward B", moved.cosine > cosine);
      expect("free, all learn", moved.loss < 0.05);
    }
    rest.push_back(loss_at_rest), free.push_back(loss_free), turned_to.push_back(then);
    ends += fmt::format("{:>21.1f}{:>22.3f}{:>19.3f}{:>14.2f}\n", cosine, loss_at_rest, loss_free, then);
  }
  //%show
  ask("Silence costs 0.328 a step. With W_out at rest and a right angle, cosine 0, is the loss below that?", rest[1] < 0.328, "the recurrent weights move at random, as far as the loss is concerned");
  //%hide
  show(ends);
  expect("at rest and on the wrong side: worse than silence", rest[0] > 0.328);
  expect("at a right angle: little is learned", rest[1] > 0.15);
  for (const double loss : {rest[2], rest[3]}) expect("60 degrees are near enough", loss < 0.06);
  expect("even from the wrong side W_out comes round", turned_to[0] > 0);
  //%show
  //% At rest, what matters is where $B$ is: on the wrong side it ruins the network, at a right angle it teaches little or nothing, 60
  //% degrees are near enough. Free, $W_{\mathrm{out}}$ comes to meet $B$, even from the wrong side, and all learn. Random
  //% feedback is no teacher by itself; the readout makes it one.

  //% # Signs alone
  //% Between all and nothing: let $B$ have the *signs* of $W_{\mathrm{out}}$, and no sizes. A cell is either excitatory or
  //% inhibitory (Dale's law), so a sign is easier to know than a strength. How much of a random vector is in its signs?
  rnn::Random gauss(4);
  const Vector weights = gauss.normal(2000, 1);
  const Vector signs = weights.array().sign();
  const double of_signs = rnn::cosine(weights, signs);
  ask("Cosine of 2000 Gaussian numbers with their signs?", of_signs, 0.04, "mean size over root mean square: sqrt(2 / pi)");
  show("cosine", of_signs, "angle in degrees", degrees(of_signs));
  const auto signed_edit = rnn::parse_edit("J = leak; feedback = sign");
  const auto by_sign = rnn::edited(net, sequence, signed_edit).gradient;
  const double in_lesson_4 = rnn::cosine(recurrent(by_sign), with_W);
  show("cosine of RFLO's gradients in lesson 4's network", in_lesson_4);
  //%hide
  double by_signs = 0, by_random = 0;
  for (std::uint64_t i = 1; i <= 8; ++i) {
    rnn::Random draw(i);
    const auto start = slow_network(draw);
    by_signs += outcome(start, start.parameters.W_out.array().sign(), 400, false).loss / 8;
    by_random += outcome(start, draw.normal(1, 32), 400, false).loss / 8;
  }
  show("three sines, loss by signs", by_signs, "by random B", by_random);
  //%show
  expect("sqrt(2 / pi)", of_signs, std::sqrt(2 / std::numbers::pi), 0.03);
  expect("signs are enough to learn by", by_signs < 0.05);
  expect("and so is a random B, here", by_random, by_signs, 0.003);
  expect("below 60 degrees", in_lesson_4 > 0.5);
  //% In a large network the cosine is four fifths, the angle some 37 degrees (Liao, Leibo and Poggio 2016). With three units, as in
  //% lesson 4, it may be further off. Where the readout learns too, that matters little in the end: by the signs that
  //% $W_{\mathrm{out}}$ began with, the three sines are learned about as well as by a random $B$ (mean of eight seeds).

  //% # Where we are
  //% | $q_t$ is | a synapse must know | at the start | after learning |
  //% |---|---|---|---|
  //% | $W_{\mathrm{out}}^\top e_t$ | strengths of others | exact | exact |
  //% | $\mathrm{sign}(W_{\mathrm{out}})^\top e_t$ | signs of others | 37 degrees | about that, if it keeps the signs |
  //% | $B^\top e_t$ | nothing | 90 degrees | turns toward $B$ |
  //%
  //% With $B$, the *r* of RFLO, a synapse needs its own two ends, its trace, and an error broadcast by fixed wires: local in
  //% time and in space. Two edits of one exact gradient have done it:
  show("unroll edit \"J = leak; feedback = random\"");
  const auto edit = rnn::parse_edit("J = leak; feedback = random");
  show("its name", rnn::names_of(edit, 3).front());
  expect("it is RFLO", rnn::names_of(edit, 3).front() == "rflo");
  //% What other edits are there? Lesson 9.
}
