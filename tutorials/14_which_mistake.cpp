// Lesson 14: a gradient derived by hand is checked entry by entry, and told which mistake it has made.
#include <algorithm>
#include <functional>
#include <vector>

#include "ad/check.h"
#include "ad/operators.h"
#include "rnn/alignment.h"
#include "rnn/bptt.h"
#include "rnn/task.h"
#include "rules/diagnosis_text.h"
#include "tutorials/lesson.h"
#include "tutorials/measures.h"

using namespace tutorials;

//%hide
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Eigen::Index;
using rules::Derivation;

/// A network and a sequence at which no mistake hides, but those of other losses: n, d, m differ, h_0 is not zero.
rnn::Network<double> generic(double alpha, rnn::Random& random) {
  auto net = rnn::random_network(3, 5, 2, random);
  net.alpha = alpha;
  net.parameters.W_rec = random.normal(5, 5, 0.6);
  net.h_0 = random.normal(5, 1, 0.7);
  return net;
}

/// The text of a report without what a lesson has no room for.
std::string likely(const rules::Diagnosis& d) {
  std::string all;
  for (const auto& m : d.mistakes)
    all += fmt::format("{}{}{}\n    gives {}, to {:.0e}\n", m.id, m.with.empty() ? "" : " and ", m.with,
                       fmt::join(m.arrays, ", "), m.residual);
  return all;
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(14, "Which mistake is it?") {
  //% # Derived by hand
  //% You have derived backpropagation through time yourself, on paper, and written the loop. With $\delta_t$ as a column $c_t$,
  //% $e_t = \partial L_t / \partial v_t$ and $\phi_t = \alpha f'(u_t)$:
  //% $$c_t = W_{\mathrm{out}}^\top e_t + (1 - \alpha)\, c_{t+1} + W_{\mathrm{rec}} (\phi_{t+1} \odot c_{t+1})$$
  //% It runs, the sizes fit, the loss goes down. Is it right?
  const double alpha = parameter("alpha", 0.3, 0.1, 0.9);
  rnn::Random random(3);
  const auto net = generic(alpha, random);
  const rnn::Sequence<double> sequence{random.normal(3, 7),
                                       random.normal(2, 7)};
  const auto& theta = net.parameters;
  const auto run = rnn::run(net, sequence);
  auto mine = rnn::zeros_like(theta);
  Vector c = Vector::Zero(5), phi_c = c;                 // of t + 1
  for (Index t = 7; t >= 1; --t) {       // u, v: column t - 1; h: t
    const Vector e = run.v.col(t - 1) - sequence.target.col(t - 1);
    const Vector f = run.u.col(t - 1).array().tanh();
    c = theta.W_out.transpose() * e + (1 - alpha) * c
        + theta.W_rec * phi_c;
    phi_c = alpha * (1 - f.array().square()) * c.array();
    mine.W_rec += phi_c * run.h.col(t - 1).transpose();  // h_{t-1}
    mine.W_in += phi_c * sequence.x.col(t - 1).transpose();
    mine.b_rec += phi_c;
    mine.W_out += e * run.h.col(t).transpose();
    mine.b_out += e;
  }
  const auto right = rnn::bptt(net, sequence);          // reverse mode
  const Matrix want = right.gradient.W_rec;
  const double angle = rnn::cosine(mine.W_rec, want);
  ask("Does it point downhill at all, that is, is its cosine with the gradient positive?", angle > 0);
  show("cosine by W_rec", angle, "|difference| / |gradient|",
       relative(mine.W_rec, want));
  if (at_default()) expect("it does", angle > 0.2);
  expect("and it is wrong", relative(mine.W_rec, want) > 0.05);
  expect("the readout is right", mine.W_out, right.gradient.W_out, 1e-12);
  //% A falling loss proves little: many wrong gradients go downhill. One has to look at the numbers.
  //%ja 損失が下がるからといって，導出した勾配が正しいとは限らない．

  //% # Who says what is right?
  //% Reverse mode gave the numbers above. Should you believe it? It knows nothing of your formula, nor of a network: it has
  //% the table of derivatives, and a tape. Two more witnesses: forward mode, which shares the table but has no tape and no
  //% backward sweep, and differences, which have no derivative at all. Each says how fast $L$ moves along a direction $V$.
  const auto loss = [&](const auto& s) {
    return rnn::loss_at(net, sequence, s);
  };
  const Vector at = rnn::flatten(theta);
  const Vector V = random.normal(at.size(), 1);
  const double reverse = rnn::flatten(right.gradient).dot(V);
  const double forward = ad::jvp(loss, at, V);
  const auto differences = ad::differences(loss, at, V);
  const double claimed = rnn::flatten(mine).dot(V);
  show("reverse mode", reverse, "forward mode", forward,
       "differences", differences.value,
       "their error bar", differences.error, "mine", claimed);
  ask("How many of the four agree?", 3, 0.0);
  expect("reverse and forward mode", forward, reverse, 1e-11);
  expect("and differences", std::abs(differences.value - reverse) <= differences.error);
  expect("mine does not", std::abs(claimed - reverse) > 1e-3);
  //% A single direction tells *that* something is wrong. It does not tell *what*.

  //% # Make every mistake
  //% People do not make random mistakes. They write $W$ for $W^\top$, forget $f'$, take $h_t$ for $h_{t-1}$. There are some
  //% forty of them, and each can be **made on purpose**: BPTT by hand is kept in parts, and a mistake is an edit of a part.
  //% If one gives exactly your numbers, it is that one, or one that looks the same at this point. The parts used here:
  //% `leak` is $1 - \alpha$ and `back` is $W_{\mathrm{rec}}^\top$ in the recursion; $\phi_t$ is `slope_back` in the recursion and
  //% `slope` in the sum over $t$.
  const Derivation by_hand(net, sequence);
  expect("without an edit it is the gradient", by_hand.gradient().gradient.W_rec, right.gradient.W_rec, 1e-12);
  Derivation edited = by_hand;
  edited.leak = 0;                       // without (1 - alpha) c_{t+1}
  const double no_leak =
      relative(edited.gradient().gradient.W_rec, mine.W_rec);
  edited = by_hand;
  edited.slope.setConstant(alpha);       // without f'
  edited.slope_back.setConstant(alpha);
  const double no_slope =
      relative(edited.gradient().gradient.W_rec, mine.W_rec);
  edited = by_hand;
  edited.back.transposeInPlace();        // W for its transpose
  const double turned =
      relative(edited.gradient().gradient.W_rec, mine.W_rec);
  ask("Look at the formula once more. Which of the three leaves nothing: 1 no leak, 2 no f', 3 W for W^T?", 3, 0.0, "which matrix takes c_{t+1} to c_t there?");
  show("leak dropped", no_leak, "f' forgotten", no_slope,
       "W for W^T", turned);
  expect("it is that one", turned < 1e-12);
  expect("and none of the others", no_leak > 0.01 && no_slope > 0.01);
  //% A right guess leaves nothing, $10^{-16}$; a wrong one leaves percents. There is nothing between.
  //%ja 起こりやすい誤りをすべて意図的に再現し，数値が丸め誤差の範囲で一致するものを探す．

  //% # Ask for it
  //% `rules::diagnose` makes them all. It is given your numbers and the right ones: what is right is not for it to say. What
  //% a mistake *leaves* is the largest difference to your numbers, over the largest entry.
  const rules::Reference reference{right.gradient, right.delta};
  const auto found =
      rules::diagnose(net, sequence, rules::claim(mine), reference);
  show(likely(found));
  show("next best", found.nearest->id,
       "it leaves", found.nearest->residual);
  ask("How many of the five parameters does the mistake explain?", 3, 0.0, "the readout was right");
  if (at_default()) {
    expect("one mistake", found.mistakes.size() == 1 && found.mistakes[0].id == "recursion-not-transposed");
    expect("W_rec, W_in and b_rec", found.mistakes[0].arrays.size() == 3);
    expect("the next best is far off", found.nearest->residual > 1e-3);
  }

  //% # Slips in print
  //% Formulas like these have stood in drafts of the notes, and in published code. Which of the parts is wrong in each?
  //%hide
  struct Slip {
    const char *formula, *id;
    std::function<void(Derivation&)> make;
  };
  std::vector<Slip> slips;
  const auto draft = [&](const char* formula, const char* id, std::function<void(Derivation&)> make) { slips.push_back({formula, id, std::move(make)}); };
  //%show
  draft("dL/dW_rec = sum h_{t-1} (phi c)^T", "dw-transposed",
        [](Derivation& r) { r.W_rec_transposed = true; });
  draft("Q_t has x_{t-1}", "x-previous", [](Derivation& r) {
    r.x.rightCols(6) = r.sequence.x.leftCols(6);
    r.x.col(0).setZero();
  });
  draft("S_t = f' (W S_{t-1} + dh_t/dW)", "slope-twice",
        [](Derivation& r) { r.slope.array() *= r.f_prime.array(); });
  draft("sum (dL/dh_t) S_t", "total-for-immediate",
        [](Derivation& r) { r.total_for_immediate = true; });
  draft("J = f' W, without the leak", "leak-dropped",
        [](Derivation& r) { r.leak = 0; });
  draft("delta W . f' for (delta . f') W", "slope-wrong-axis",
        [](Derivation& r) { r.slope_behind = true; });
  draft("dL/dtheta by way of h alone", "direct-term-missing",
        [](Derivation& r) { r.keep_W_out = r.keep_b_out = false; });
  //%hide
  std::string table = fmt::format("{:<36}{:<22}{:>8}{:>7}\n", "what stood there", "named", "off", "cosine");
  bool all_named = true;
  double nearly = 0, least = 1;
  for (const Slip& slip : slips) {
    Derivation wrong = by_hand;
    slip.make(wrong);
    const auto g = wrong.gradient().gradient;
    const auto d = rules::diagnose(net, sequence, rules::claim(g), reference);
    bool named = false;
    for (const auto& m : d.mistakes) named = named || m.id == slip.id;
    all_named = all_named && named;
    const Vector flat = rnn::flatten(g), all = rnn::flatten(right.gradient);
    const double cosine = rnn::cosine(flat, all);
    nearly = std::max(nearly, cosine), least = std::min(least, cosine);
    table += fmt::format("{:<36}{:<22}{:>8.3f}{:>7.3f}\n", slip.formula, named ? slip.id : "-", relative(flat, all), cosine);
  }
  show(table);
  ask("Does one of these seven wrong gradients have a cosine above 0.99 with the right one?", nearly > 0.99);
  if (at_default()) expect("each is named", all_named);
  if (at_default()) expect("one is nearly parallel to the gradient", nearly > 0.99);
  if (at_default()) expect("all go downhill", least > 0);
  //%show
  //% (off: $|g - g^*| / |g^*|$ with all entries as one vector.) None of them makes a size wrong, and all go downhill here: a
  //% test that asks whether the loss falls passes all seven.
  //%ja 因子の順序や転置の誤りは，正方行列ではサイズの不一致として現れない．だから数値で確かめる必要がある．

  //% # A point that hides mistakes
  //% Textbook examples are convenient: $\alpha = 1$, $h_0 = 0$, a symmetric $W$, one step. How many of the known mistakes
  //% would show there, in a gradient that is right?
  //%hide
  std::string hidden = fmt::format("{:<34}{:>14}\n", "point", "cannot show");
  std::vector<std::size_t> blind;
  const auto point = [&](const char* name, auto change, Index length) {
    auto other = net;
    change(other);
    const rnn::Sequence<double> shorter{sequence.x.leftCols(length), sequence.target.leftCols(length)};
    const auto exact = rnn::bptt(other, shorter);
    const auto d = rules::diagnose(other, shorter, rules::claim(exact.gradient), {exact.gradient, exact.delta});
    blind.push_back(d.blind.size());
    hidden += fmt::format("{:<34}{:>14}\n", name, d.blind.size());
    return d;
  };
  //%show
  const auto nothing = [](auto&) {};
  point("generic", nothing, 7);
  const auto elman = point("alpha = 1", [](auto& n) { n.alpha = 1; }, 7);
  point("h_0 = 0", [](auto& n) { n.h_0.setZero(); }, 7);
  point("W_rec symmetric", [](auto& n) {
    auto& W = n.parameters.W_rec;
    W = (W + W.transpose()).eval();
  }, 7);
  point("f(u) = u", [](auto& n) {
    n.activation = rnn::Activation::identity;
  }, 7);
  point("one step", nothing, 1);
  ask(fmt::format("At the generic point {} of the {} cannot show. Guess, within 3: how many cannot with a single step?", blind[0], rules::mistakes.size()), static_cast<double>(blind.back()), 3.0, "what is there without a recursion?");
  show(hidden);
  //%hide
  if (at_default()) expect("three at the generic point: other losses, and feedback", blind[0] == 3);
  bool more = true;
  for (std::size_t i = 1; i < blind.size(); ++i) more = more && blind[i] > blind[0];
  if (at_default()) expect("every convenience hides some", more);
  if (at_default()) expect("a single step hides most", blind.back() == *std::max_element(blind.begin(), blind.end()));
  const auto sees = [](const rules::Diagnosis& d, std::string_view id) { return std::find(d.blind.begin(), d.blind.end(), id) == d.blind.end(); };
  expect("alpha = 1 hides the leak", !sees(elman, "leak-dropped") && !sees(elman, "alpha-missing-in-recursion"));
  //%show
  //% With $\alpha = 1$ a forgotten leak is no mistake at all, and with $W = W^\top$ neither is a forgotten transpose. So "it
  //% agrees" is worth what the point can show. A diagnosis says so: it lists what it is **blind** to.
  //%ja 都合のよい例（$\alpha = 1$，対称な $W$，一時刻だけ）では，多くの誤りが見えなくなる．

  //% # Two at once
  //% The sign is turned *and* the transpose is missing: neither alone gives these numbers. Then pairs are tried.
  auto worse = mine;
  for (auto* m : {&worse.W_rec, &worse.W_in}) *m *= -1;
  worse.b_rec *= -1;
  const auto two =
      rules::diagnose(net, sequence, rules::claim(worse), reference);
  show(likely(two));
  if (at_default()) expect("both are named", two.mistakes[0].id == "recursion-not-transposed" && two.mistakes[0].with == "sign");
  //% And what nobody has thought of is reported as unknown, not forced into a name:
  auto strange = right.gradient;
  strange.W_rec(2, 3) *= 1.3;
  strange.W_rec(1, 1) *= 0.7;
  const auto unknown =
      rules::diagnose(net, sequence, rules::claim(strange), reference);
  show("verdict", rules::verdict_names[static_cast<int>(unknown.verdict)],
       "mistakes", unknown.mistakes.size());
  expect("no name for it", unknown.verdict == rules::Verdict::unknown && unknown.mistakes.empty());

  //% # Your own numbers
  //% Your program need not be in C++. Put the network, the sequence and your gradient into a file, numbers in lists of rows:
  //% ```
  //% { "alpha": 0.3, "activation": "tanh", "loss": "squared",
  //%   "W_in": [...], "W_rec": [...], "b_rec": [...],
  //%   "W_out": [...], "b_out": [...], "x": [...], "target": [...],
  //%   "gradient": { "W_rec": [...] } }
  //% ```
  //% `x` has a row for each step, and so has `target`; there may be an `h_0`. Give any of the five parameters, and `delta`
  //% (a row for each $\partial L / \partial h_t$) or `per_step`: the more, the fewer mistakes it is blind to. `unroll verify FILE`
  //% prints the report below, and ends with 0 if all is right and 1 if not; `unroll verify --help` has every field,
  //% `unroll verify --list` every mistake.
  //%hide
  show(rules::report(found, "mine against reverse mode"));
  //%show
  //% You have now seen what the course has to say: a gradient is a sum over paths; two orders of adding it up are BPTT and
  //% RTRL; the other rules give up something of one of the two. And whatever you derive, you can check it.
  //%ja 自分で導出した勾配を，自動微分という独立した検証手段で確かめることができる．
}
