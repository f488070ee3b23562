// Lesson 9: masks on the influence matrix (SnAp-n), and every rule as one edit of the exact gradient, in words.
#include <algorithm>
#include <vector>

#include "rnn/surgery_edited.h"
#include "rnn/task.h"
#include "rules/e_bptt.h"
#include "rules/f_bptt.h"
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
using Pattern = rnn::MatrixX<bool>;

/// A gradient without the weights that W_rec does not have.
Matrix present(Matrix G, const Matrix& W_rec) {
  G.leftCols(W_rec.cols()) = (W_rec.array() != 0).select(G.leftCols(W_rec.cols()), 0.0);
  return G;
}

/// Patterns side by side, each under its name; one column of text for each column.
std::string side_by_side(const std::vector<std::pair<std::string, Pattern>>& patterns) {
  std::string names, all;
  const Eigen::Index rows = patterns.front().second.rows();
  for (const auto& [name, pattern] : patterns) names += fmt::format("{:<{}}", name, 2 * pattern.cols() + 6);
  for (Eigen::Index i = 0; i < rows; ++i) {
    std::string line;
    for (const auto& [name, pattern] : patterns) {
      std::string cells;
      for (Eigen::Index j = 0; j < pattern.cols(); ++j) cells += pattern(i, j) ? "# " : ". ";
      line += fmt::format("{} {:<{}}", i, cells, 2 * pattern.cols() + 4);
    }
    all += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return names.substr(0, names.find_last_not_of(' ') + 1) + "\n" + all;
}

/// A part of the weights of W_rec, each kept with this probability; those of a unit onto itself stay.
void thin(rnn::Network<double>& net, double density, rnn::Random& random) {
  auto& W = net.parameters.W_rec;
  for (Eigen::Index j = 0; j < W.cols(); ++j)
    for (Eigen::Index i = 0; i < W.rows(); ++i)
      if (const bool kept = random.uniform() < density; i != j && !kept) W(i, j) = 0;
  W /= std::sqrt(density);  // as strong together as before
}

rnn::Options with_n(Eigen::Index n) {
  rnn::Options options;
  options.n = n;
  return options;
}
std::string grouped(double number) {
  std::string s = fmt::format("{:.0f}", number);
  for (std::size_t i = s.size(); i > 3; i -= 3) s.insert(i - 3, ",");
  return s;
}

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(9, "Masks, and one edit at a time") {
  //% # Not everybody is connected
  //% Lesson 7 kept of RTRL's $P_t = \partial h_t / \partial \theta$ what a synapse does to its own unit: all or nothing. Is
  //% there something between? In a brain few pairs of neurons are connected. Take six units: a ring, one shortcut from 1
  //% to 4, and unit 2 that excites itself; all other entries of $W_{\mathrm{rec}}$ are 0 and stay 0.
  //%ja 脳では，ほとんどのニューロン対は結合していない．この疎性を利用できないだろうか．
  rnn::Random random(10);
  auto net = rnn::random_network(2, 6, 2, random);
  net.alpha = 0.5;
  net.loss = rnn::Loss::softmax_ce;
  auto& W_rec = net.parameters.W_rec;
  W_rec.setZero();
  for (int j = 0; j < 6; ++j) W_rec((j + 1) % 6, j) = 1.2;  // j onto j+1
  W_rec(4, 1) = -0.9;
  W_rec(2, 2) = 0.7;
  const auto sequence = rnn::add_task(10, random, {.t1 = 2, .t2 = 4});
  const Pattern connected = W_rec.array() != 0;
  show(side_by_side({{"W_rec: column j onto row i", connected}}));
  //% Influence travels along connections, one a step. (The leak only keeps it where it is.)
  //%hide
  show("whom unit 0 acts on", text(connected.col(0).cast<int>()));
  ask("A weight onto unit 0 has moved unit 0. After one step more, how many units has it moved?", 2, 0.0, "column 0: whom does unit 0 act on?");
  expect("eight weights of 36", static_cast<long>(connected.count()), 8L);
  expect("unit 0 acts on unit 1 alone", connected.col(0).count() == 1 && connected(1, 0));
  //%show

  //% # The pattern of P
  //% Let RTRL run, by hand, and mark which units the weights onto each unit have moved: row $i$, column $j$ is marked if
  //% any $\partial h_t[i] / \partial W_{jl}$ is not zero.
  rules::Rtrl<double> rtrl(net);
  rules::Loop<double> loop(net);
  std::vector<Pattern> moved(1);                        // [t]
  for (int t = 1; t <= 10; ++t) {
    loop.advance(rtrl, sequence.x.col(t - 1), sequence.target.col(t - 1),
                 t == 10);
    Pattern pattern = Pattern::Zero(6, 6);
    for (int c = 0; c < rtrl.P().cols(); ++c)           // c = l d + j
      pattern.col(c % 6) = pattern.col(c % 6).array()
                           || rtrl.P().col(c).array() != 0;
    moved.push_back(pattern);
  }
  ask("Column 0 at t = 3: how many marks?", moved[3].col(0).count(), 0.0, "0, then 1, then those that 1 acts on: two of them");
  //%hide
  show(side_by_side({{"t = 1", moved[1]}, {"t = 2", moved[2]}, {"t = 3", moved[3]}, {"t = 4", moved[4]}}));
  Eigen::RowVectorXi marks(6);
  for (int t = 1; t <= 6; ++t) marks(t - 1) = static_cast<int>(moved[static_cast<std::size_t>(t)].count());
  show(fmt::format("marks at t = 1 .. 6, of 36: {}", text(marks)));
  //%show
  expect("at t = 1 each weight has moved its own unit", moved[1] == Pattern::Identity(6, 6));
  for (int t = 1; t <= 10; ++t) expect("who can be reached in t - 1 connections", moved[static_cast<std::size_t>(t)] == rnn::reached(W_rec, t));
  expect("in the end all have moved all", moved[6].all());
  //% Even a sparse network fills $P$ before long: everything is a cause of everything, at some remove.

  //% # A mask
  //% But influence from afar has passed many weights, and if each passing weakens it, little is left. **SnAp-n** (Menick et al.
  //% 2021) keeps the pattern of time $n$ and drops what goes beyond: $P_t = \mathrm{mask}(J_t P_{t-1} + \tilde{P}_t)$, with a
  //% mark where the unit is reached in at most $n - 1$ connections. What is dropped never comes back.
  rules::Snap<double> snap(net, with_n(3));             // by hand, n = 3
  const auto by_hand = rules::learn(snap, net, sequence, true);
  const auto masked = rnn::edited(net, sequence,        // derived
                                  rnn::parse_edit("J = 3-step mask"));
  const auto exact = rules::learn(rtrl, net, sequence, true);
  //%hide
  std::string gone = "   t    difference of SnAp-3's dL_t/dtheta, relative\n";
  Vector off(11);
  for (std::size_t t = 1; t <= 10; ++t) {
    const Matrix got = recurrent(by_hand.per_step[t - 1]), want = present(recurrent(exact.per_step[t - 1]), W_rec);
    off(static_cast<int>(t)) = relative(got, want);
    gone += fmt::format("{:>4}    {}\n", t, off(static_cast<int>(t)) < 1e-14 ? "0" : fmt::format("{:.4f}", off(static_cast<int>(t))));
    expect("by hand is derived", relative(got, recurrent(masked.past[t - 1])) < 1e-13);
  }
  //%show
  ask("Until which t is SnAp-3 exact?", 3, 0.0, "the mask has the pattern of that time");
  //%hide
  show(gone);
  for (int t = 1; t <= 10; ++t) expect("exact up to t = n, not after", t <= 3 ? off(t) < 1e-13 : off(t) > 1e-8);
  //%show

  //% # What is kept, what it costs, where it points
  //% SnAp-1 is lesson 7's: its mask is the diagonal. Each $n$ more adds marks, numbers to keep and products to make, and
  //% takes the gradient nearer to the exact one. With $k = d + n_{\mathrm{in}} + 1 = 9$ weights onto each unit, if all were there:
  //%hide
  const Matrix exact_there = present(recurrent(exact.gradient), W_rec);
  std::string table = "             kept of P    multiplications a step    cosine\n";
  std::vector<double> kept, cosines;
  const auto full_cost = *rnn::forward_cost({}, net);
  for (int n = 1; n <= 6; ++n) {
    rules::Snap<double> rule(net, with_n(n));
    const auto gradient = recurrent(rules::learn(rule, net, sequence).gradient);
    const auto edit = rnn::parse_edit(fmt::format("J = {}-step mask", n));
    const auto cost = *rnn::forward_cost(edit, net);
    kept.push_back(static_cast<double>(rule.kept())), cosines.push_back(rnn::cosine(gradient, exact_there));
    table += fmt::format("SnAp-{}     {:>12}{:>26}{:>10.4f}\n", n, rule.kept(), grouped(cost.multiplications), cosines.back());
    expect("kept, as counted for the table of edits", static_cast<double>(rule.kept()), cost.held);
    expect("by hand is derived", relative(gradient, recurrent(rnn::edited(net, sequence, edit).gradient)) < 1e-13);
  }
  table += fmt::format("RTRL       {:>12}{:>26}{:>10.4f}\n", grouped(full_cost.held), grouped(full_cost.multiplications), 1.0);
  //%show
  ask("At which n has SnAp-n all that RTRL knows of the weights that are there?", 6, 0.0, "how long is the longest way round the ring?");
  //%hide
  show(table);
  for (std::size_t i = 1; i < 6; ++i) expect("more is kept", kept[i] > kept[i - 1]);
  expect("SnAp-6 is exact", cosines[5], 1.0, 1e-14);
  expect("SnAp-5 is not", cosines[4] < 1 - 1e-12);
  for (std::size_t i = 1; i < 6; ++i) expect("and nearer", cosines[i] > cosines[i - 1] - 1e-12);
  expect("the first connection brings most", cosines[1] - cosines[0] > 1 - cosines[1]);
  expect("the weights that are there: less than half of RTRL's P", kept[5] < full_cost.held / 2);
  //%show
  //% The first connection brings most. And even SnAp-6 keeps less than RTRL, with the same gradient. Why?

  //% # Weights that are not there
  //% Because RTRL differentiates by all 36 entries of $W_{\mathrm{rec}}$, the zeros too. Is the derivative by a zero zero?
  rules::Snap<double> six(net, with_n(6));
  const auto wired = rules::learn(six, net, sequence).gradient;
  show("exact dL/dW_rec[3,0]", exact.gradient.W_rec(3, 0));
  show("SnAp-6's", wired.W_rec(3, 0));
  ask("W_rec[3,0] = 0. Is dL/dW_rec[3,0] = 0?", false, "would the loss change if there were a little of it?");
  //%hide
  expect("no tangent, no gradient where no weight is", ((W_rec.array() != 0) || (wired.W_rec.array() == 0)).all());
  expect("but the exact one is there", std::abs(exact.gradient.W_rec(3, 0)) > 1e-4);
  //%show
  //% A step downhill would grow a connection. SnAp takes the wiring as given: no weight, no tangent, no gradient. Here
  //% that alone more than halves $P$, before any influence is dropped.

  //% # Dense weights
  //% Now let all 36 weights be there. How many connections does influence need?
  auto dense = net;
  dense.parameters = rnn::random_network(2, 6, 2, random).parameters;
  dense.h_0 = random.normal(6, 1);
  rules::Rtrl<double> full(dense);
  const auto exact_dense = rules::learn(full, dense, sequence).gradient;
  //%hide
  std::string lines = "          kept of P    cosine\n";
  std::vector<double> of_dense;
  for (int n = 1; n <= 3; ++n) {
    rules::Snap<double> rule(dense, with_n(n));
    of_dense.push_back(rnn::cosine(recurrent(rules::learn(rule, dense, sequence).gradient), recurrent(exact_dense)));
    lines += fmt::format("SnAp-{}{:>13}{:>10.4f}\n", n, rule.kept(), of_dense.back());
  }
  //%show
  ask("From which n on is SnAp-n exact here?", 2, 0.0, "every unit is one connection away");
  //%hide
  show(lines);
  expect("SnAp-2 on dense weights is RTRL", of_dense[1], 1.0, 1e-14);
  expect("SnAp-1 is not", of_dense[0] < 0.99);
  //%show
  //% SnAp-2 *is* RTRL, at RTRL's price. Masks pay where connections are few.

  //% # How few?
  //% 32 units with a part of the connections, Add task, 20 steps. Cosine with the exact gradient, and cost as a
  //% fraction of RTRL's:
  //%hide
  std::string pays = "connections      SnAp-1           SnAp-2           SnAp-3\n"
                     "              cos    cost      cos    cost      cos    cost\n";
  std::vector<std::vector<double>> cost_of, cosine_of;
  for (const double density : {0.03, 0.1, 0.3, 1.0}) {
    rnn::Random draw(5);
    auto large = rnn::random_network(2, 32, 2, draw);
    large.alpha = 0.5;
    large.loss = rnn::Loss::softmax_ce;
    thin(large, density, draw);
    const auto shown = rnn::add_task(20, draw, {.t1 = 2, .t2 = 4});
    rules::Rtrl<double> rule(large);
    const Matrix whole = present(recurrent(rules::learn(rule, large, shown).gradient), large.parameters.W_rec);
    cost_of.emplace_back(), cosine_of.emplace_back();
    pays += fmt::format("{:>8.0f} %", 100 * density);
    for (const int n : {1, 2, 3}) {
      rules::Snap<double> some(large, with_n(n));
      const auto edit = rnn::parse_edit(fmt::format("J = {}-step mask", n));
      cosine_of.back().push_back(rnn::cosine(recurrent(rules::learn(some, large, shown).gradient), whole));
      cost_of.back().push_back(rnn::forward_cost(edit, large)->multiplications / rnn::forward_cost({}, large)->multiplications);
      pays += fmt::format("{:>9.3f}{:>8.4f}", cosine_of.back().back(), cost_of.back().back());
    }
    pays += "\n";
  }
  //%show
  ask("With all connections, what fraction of RTRL's cost is SnAp-2's?", cost_of[3][1], 0.02);
  //%hide
  show(pays);
  for (std::size_t i = 0; i < 4; ++i) {
    expect("the more is kept, the nearer", cosine_of[i][0] <= cosine_of[i][1] + 1e-12 && cosine_of[i][1] <= cosine_of[i][2] + 1e-12);
    if (i > 0) expect("the denser, the dearer", cost_of[i][1] > cost_of[i - 1][1]);
  }
  expect("at 3 per cent SnAp-2 costs less than a hundredth", cost_of[0][1] < 0.01);
  expect("dense, it costs what RTRL costs", cost_of[3][1], 1.0, 1e-12);
  //%show

  //% # Five places to edit
  //% A mask was an edit of $J$. What else is there? The exact gradient is one double sum,
  //% $$\frac{\partial L}{\partial \theta} = \sum_t \sum_{s \le t} q_t^\top J_t J_{t-1} \cdots J_{s+1} \tilde{P}_s$$
  //%
  //% - `J`: what is left of each $J_t$: full, leak, diagonal, n-step mask, none
  //% - `cut`: how many of the $(t, s)$: never, every k, after k
  //% - `feedback`: what $q_t$ is: transpose, random, sign (lesson 8)
  //% - `future`: what arrives at a cut: true, predicted, none (lesson 11)
  //% - `projection`: all tangents, or one, along signs or Gaussian numbers (lesson 10)
  //%
  //% The rules that can be said so:
  //%hide
  std::string words = "rule                 mode      edit\n";
  int said = 0;
  for (const auto& row : rnn::edits) {
    if (row.edit == "-") continue;
    ++said;
    words += fmt::format("{:<21}{:<10}{}\n", row.id, rnn::direction_names[static_cast<int>(row.direction)], row.edit.empty() ? "nothing" : row.edit);
  }
  //%show
  ask("RFLO and e-prop: do they have the same words?", true);
  //%hide
  show(words);
  expect("they do", rnn::edit_of("rflo", {}, 6) == rnn::edit_of("e-prop", {}, 6));
  expect("others take more than words", said < static_cast<int>(rnn::edits.size()));
  for (const auto& row : rnn::edits)
    if (row.edit != "-" && !row.edit.empty()) {
      const auto names = rnn::names_of(*rnn::edit_of(row.id, {}, 6), 6);
      expect("the words find the rule again", std::find(names.begin(), names.end(), row.id) != names.end());
    }
  //%show
  //% `unroll edit` without words shows all rules, those too that are more than this.

  //% # Two ways to cut
  //% Words can be tried. *Truncated BPTT* (打ち切り BPTT) cuts the tape: in blocks (E-BPTT), or over a sliding window (F-BPTT). The
  //% first six steps, and what is left of the credit when the tape is cut every 3 steps, and when each use is told of 3 losses,
  //% its own and the next two:
  const rnn::Sequence<double> begun{sequence.x.leftCols(6),
                                    sequence.target.leftCols(6)};
  const auto blocks = rnn::edited(dense, begun,
                                  rnn::parse_edit("cut = every 3"));
  const auto band = rnn::edited(dense, begun,
                                rnn::parse_edit("cut = after 3"));
  ask("cut = after 3: how many of the 21 blocks are left?", (band.credit.array() > 0).count(), 0.0, "three in each column, as far as there are");
  figure("cut = every 3 (E-BPTT).", credit_square(blocks.credit));
  figure("cut = after 3 (F-BPTT).", credit_square(band.credit));
  //%hide
  expect("two triangles", static_cast<long>((blocks.credit.array() > 0).count()), 12L);
  rnn::Options three;
  three.truncation = 3;
  rules::EBptt<double> e_bptt(dense, three);
  rules::FBptt<double> f_bptt(dense, three);
  expect("E-BPTT by hand", relative(recurrent(rules::learn(e_bptt, dense, begun).gradient), recurrent(blocks.gradient)) < 1e-13);
  expect("F-BPTT by hand", relative(recurrent(rules::learn(f_bptt, dense, begun).gradient), recurrent(band.gradient)) < 1e-13);
  const auto whole = rnn::edited(dense, begun, {});
  for (int t = 0; t < 6; ++t)
    for (int s = 0; s <= t; ++s) {
      for (const auto& left : {blocks.credit(t, s), band.credit(t, s)})
        expect("what is left is untouched", left == 0 || std::abs(left - whole.credit(t, s)) < 1e-15);
    }
  //%show
  //% What is left is exact; the rest is gone. An edit of $J$ was the other way round: all blocks, most of them altered.

  //% # Different words, one gradient
  //% `J = leak`, `J = none`, `cut = every 1`, `cut = after 1`: four edits, and each is known as a rule. At $\alpha = 1$ there
  //% is no leak. What do they have in common then?
  //%hide
  std::string same = "edit                 known as            cosine, alpha = 0.5    alpha = 1\n";
  std::vector<Matrix> at_one, at_half;
  for (const char* text : {"J = leak", "J = none", "cut = every 1", "cut = after 1"}) {
    const auto edit = rnn::parse_edit(text);
    std::string known;
    for (const auto name : rnn::names_of(edit, 6)) known += (known.empty() ? "" : ", ") + std::string(name);
    std::vector<double> c;
    for (const double a : {0.5, 1.0}) {
      auto other = dense;
      other.alpha = a;
      (a == 1 ? at_one : at_half).push_back(recurrent(rnn::edited(other, sequence, edit).gradient));
      c.push_back(rnn::cosine((a == 1 ? at_one : at_half).back(), recurrent(rnn::edited(other, sequence, {}).gradient)));
    }
    expect("each is known as a rule", !known.empty());
    same += fmt::format("{:<21}{:<20}{:>19.4f}{:>13.4f}\n", text, known, c[0], c[1]);
  }
  //%show
  ask("How many different gradients are there among the four, at alpha = 1?", 1, 0.0, "what is left of J when the leak is 0?");
  //%hide
  show(same);
  for (std::size_t i = 1; i < 4; ++i) expect("one gradient at alpha = 1", relative(at_one[i], at_one[0]) < 1e-13);
  expect("at alpha < 1 the leak makes a difference", relative(at_half[1], at_half[0]) > 0.01);
  for (std::size_t i = 2; i < 4; ++i) expect("no J is a cut after each step", relative(at_half[i], at_half[1]) < 1e-13);
  //%show
  //% Rules with different histories are one rule under other words, as E-BPTT and F-BPTT of one step, or become one at a limit, as
  //% RFLO does at $\alpha = 1$. That is worth knowing before one compares them.

  //% # Invent one
  //% Edits compose. Some combinations have a name; the others are rules nobody has named yet. Six of them on the sparse
  //% network, by the weights that are there:
  const std::vector<std::string> composed = {
      "J = leak", "feedback = sign", "J = leak; feedback = sign",
      "J = 2-step mask; feedback = sign", "J = diagonal; cut = after 4",
      "J = diagonal; cut = every 3; feedback = sign"};
  //%hide
  std::string invented = "edit                                          name     cosine   mult.\n";
  std::vector<double> points;
  for (const auto& text : composed) {
    const auto edit = rnn::parse_edit(text);
    const auto names = rnn::names_of(edit, 6);
    points.push_back(rnn::cosine(present(recurrent(rnn::edited(net, sequence, edit).gradient), W_rec), exact_there));
    const auto forward = rnn::forward_cost(edit, net), reverse = rnn::reverse_cost(edit, net, 10);
    const double cost = forward && reverse ? std::min(forward->multiplications, reverse->multiplications) : forward ? forward->multiplications : reverse->multiplications;
    invented += fmt::format("{:<46}{:<8}{:>7.3f}{:>8}\n", text, names.empty() ? "-" : std::string(names.front()), points.back(), grouped(cost));
  }
  //%show
  ask("How many of the six have no name?", 2, 0.0, "other feedback does not change a name; diagonal and a cut together?");
  //%hide
  show(invented);
  //%show
  expect("signs change no name", rnn::names_of(rnn::parse_edit(composed[2]), 6).front() == "rflo");
  expect("the last two have none", rnn::names_of(rnn::parse_edit(composed[4]), 6).empty() && rnn::names_of(rnn::parse_edit(composed[5]), 6).empty());
  for (const double c : points) expect("all of them point downhill, here", c > 0);
  //% Costs are multiplications a step, in the cheaper mode; feedback by signs leaves a rule its name. Now yours. Words, parted by semicolons; on a network of your own
  //% if you give a file:
  show("unroll edit \"J = leak; feedback = random\"\n"
       "unroll edit \"J = 2-step mask; feedback = sign\"\n"
       "unroll edit \"cut = after 5; future = predicted\"\n"
       "unroll edit");
  for (const char* text : {"J = leak; feedback = random", "J = 2-step mask; feedback = sign", "cut = after 5; future = predicted"}) expect("an edit", !rnn::to_string(rnn::parse_edit(text)).empty());
  //% It shows what is left of the credit, where the gradient points, what it costs, and its name, if it has one.
  //%ja 自分の学習則を一つ作り，`unroll edit` で確かめてみよう．

  //% # Dropped, or replaced?
  //% Every edit up to here drops something, always the same thing: its error has a direction and never averages out. That is
  //% *bias* (偏り). Can one save as much and be right on average? Replace, instead of dropping, by something random. That
  //% is lesson 10.
  const auto one = rnn::parse_edit("projection = signs");
  const auto exactly = recurrent(rnn::edited(net, sequence, {}).gradient);
  Matrix mean = Matrix::Zero(6, 9);
  //%hide
  double single = 0;
  //%show
  for (std::uint64_t i = 1; i <= 300; ++i) {
    rnn::Options options;
    options.draws = rnn::Draws(i);
    const Matrix drawn = recurrent(
        rnn::edited(net, sequence, one, options).gradient);
    mean += drawn / 300;
    //%hide
    single += std::abs(rnn::cosine(drawn, exactly)) / 300;
    //%show
  }
  show("|cosine| of one random tangent's gradient, mean", single);
  ask("Will the mean of 300 such gradients point closer to the exact one?", true);
  show("cosine of the mean of 300", rnn::cosine(mean, exactly));
  expect("alone, far off", single < 0.3);
  expect("on average, near", rnn::cosine(mean, exactly) > 0.8);
}
