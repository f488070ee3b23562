// Lesson 10: random signs squeeze RTRL's P into two small factors: right in the mean, noisy each time.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "rnn/alignment.h"
#include "rnn/surgery.h"
#include "rnn/task.h"
#include "rules/bptt.h"
#include "rules/forward_gradient.h"
#include "rules/kf_rtrl.h"
#include "rules/r_kf_rtrl.h"
#include "rules/rflo.h"
#include "rules/rtrl.h"
#include "rules/uoro.h"
#include "tutorials/lesson.h"
#include "tutorials/measures.h"

using namespace tutorials;

//%hide
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Eigen::Index;

/// Choice number `choice` of all ways to draw `count` signs at each of `length` steps.
rnn::Draws signs(long choice, Index length, Index count) {
  std::vector<std::vector<double>> all(static_cast<std::size_t>(length));
  for (auto& entry : all)
    for (Index i = 0; i < count; ++i, choice /= 2) entry.push_back(choice % 2 == 0 ? 1 : -1);
  return rnn::Draws(std::move(all));
}
rnn::Options seeded(std::uint64_t seed) {
  rnn::Options options;
  options.draws = rnn::Draws(seed);
  return options;
}

/// How often values fall where, `bins` of them from low to high: as text and as a picture, with a mark at `mean`.
struct Histogram {
  std::vector<int> counts;
  double low, high, mean;
  std::string text() const {
    std::string all;
    const double width = (high - low) / static_cast<double>(counts.size());
    const int most = *std::max_element(counts.begin(), counts.end());
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double from = low + width * static_cast<double>(i);
      all +=
          fmt::format(" {:>7.3f} {} {:<44}{:>6}\n", from + width / 2, from <= mean && mean < from + width ? '>' : '|',
                      std::string(static_cast<std::size_t>(44 * counts[i] / most), '#'), counts[i]);
    }
    return all;
  }
  std::string svg() const {
    const double bar = 26, tall = 150, left = 20;
    const double wide = bar * static_cast<double>(counts.size());
    const int most = *std::max_element(counts.begin(), counts.end());
    std::string all = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} 210\" width=\"{0:.0f}\" height=\"210\" "
        "role=\"img\" "
        "aria-label=\"how often each value came\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"#111\">",
        wide + 2 * left);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double height = tall * counts[i] / most;
      all += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#999\" stroke=\"#111\" "
          "stroke-width=\".6\"/>",
          left + bar * static_cast<double>(i), 20 + tall - height, bar, height);
    }
    const auto x = [&](double value) { return left + wide * (value - low) / (high - low); };
    all += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"14\" y2=\"{1}\" stroke=\"#111\" stroke-width=\"2.5\" "
        "stroke-dasharray=\"6 3\"/>",
        x(mean), 20 + tall);
    all += fmt::format("<text x=\"{:.1f}\" y=\"12\" text-anchor=\"middle\">mean = RTRL</text>", x(mean));
    for (const double value : {low, 0.0, high})
      all +=
          fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.2f}</text>", x(value), 36 + tall, value);
    return all + "</svg>";
  }
};
Histogram histogram(const std::vector<double>& values, double mean, int bins) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double margin = 1e-6 * (*most - *least);
  Histogram h{std::vector<int>(static_cast<std::size_t>(bins)), *least - margin, *most + margin, mean};
  for (const double v : values) ++h.counts[static_cast<std::size_t>((v - h.low) / (h.high - h.low) * bins)];
  return h;
}

/// UORO with p1 multiplied by c at every step, or (c = 0) with p0 = p1 = 1: what the scalings are for.
struct Scaled {
  double c;
  Vector A;
  Matrix B;
  /// One step with J_t, phi_t, z_t and signs nu.
  void step(const Matrix& J, const Vector& phi, const Vector& z, const Vector& nu) {
    const Vector JA = J * A;
    const Matrix M = nu.cwiseProduct(phi) * z.transpose();
    const double p0 = c == 0 ? 1 : rules::balance(B.norm(), JA.norm());
    const double p1 = c == 0 ? 1 : c * rules::balance(M.norm(), std::sqrt(static_cast<double>(nu.size())));
    A = p0 * JA + p1 * nu;
    B = B / p0 + M / p1;
  }
};

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(10, "Unbiased and noisy") {
  //% # Neither dropped nor kept
  //% RTRL carries $P_t = \partial h_t / \partial \theta$, and $P_t$ is large: $d^2 (d + n + 1)$ numbers. Lessons 7 and 9 made it small by
  //% dropping entries; what remained was *biased* (偏りのある): wrong in one direction, however long one measures. Can one
  //% drop nothing and still keep little?
  //%
  //% One can, if it need be right *in the mean* only. Our network is that of lesson 4, and here are its first four steps.
  const double alpha = parameter("alpha", 0.4, 0.01, 1);
  rnn::Random random(10);
  const auto six = rnn::add_task(6, random, {.t1 = 2, .t2 = 3});
  const rnn::Sequence<double> sequence{six.x.leftCols(4),
                                       six.target.leftCols(4)};
  auto net = rnn::random_network(2, 3, 2, random);  // n, d, m
  net.alpha = alpha;
  net.loss = rnn::Loss::softmax_ce;
  rules::Rtrl<double> rtrl(net);
  const auto gradient = [&](auto& rule) {           // d x (d + n + 1)
    return recurrent(rules::learn(rule, net, sequence).gradient);
  };
  const Matrix exact = gradient(rtrl);
  show("numbers in P", rtrl.P().size());
  show("dL/db_rec", exact.col(5));
  ask("With d = 32 units and n = 2 inputs: how many numbers are in P?", 32 * 32 * (32 + 2 + 1), 0.0, "d^2 (d + n + 1)");
  expect("d^2 (d + n + 1)", static_cast<long>(rtrl.P().size()), 9L * 6);
  expect("RTRL is exact: reverse mode says the same", exact, recurrent(rnn::derived("bptt", net, sequence).gradient));
  //%ja 感度行列を捨てずに小さくできるか．平均が正しければよいのなら，できる．

  //% # Two products become one
  //% The trick in small. We want $a\,b^\top + c\,d^\top$, two products of a column and a row, but may keep only *one* column
  //% and *one* row. Draw two random signs (ランダムな符号) $\nu_1, \nu_2$ and keep
  //% $(\nu_1 a + \nu_2 c)$ and $(\nu_1 b + \nu_2 d)^\top$. Multiplied out: $\nu_1^2 = \nu_2^2 = 1$, and the mixed terms carry $\nu_1 \nu_2$.
  const Vector a = Eigen::Vector2d(1, 2), b = Eigen::Vector2d(3, 0);
  const Vector c = Eigen::Vector2d(0, 1), d = Eigen::Vector2d(1, 1);
  const auto kept = [&](double nu_1, double nu_2) -> Matrix {
    return (nu_1 * a + nu_2 * c) * (nu_1 * b + nu_2 * d).transpose();
  };
  show("wanted", (a * b.transpose() + c * d.transpose()).eval());
  show("signs +, +", kept(1, 1));
  show("signs +, -", kept(1, -1));
  const Matrix mean_kept = (kept(1, 1) + kept(1, -1) + kept(-1, 1)
                            + kept(-1, -1)) / 4;
  show("mean of all four choices", mean_kept);
  ask("What is the mean of nu_1 nu_2 over the four choices?", 0, 0.0, "1, -1, -1, 1");
  expect("the mean of all choices is what was wanted", mean_kept, (a * b.transpose() + c * d.transpose()).eval());
  expect("no single choice is", (kept(1, 1) - mean_kept).norm() > 1 && (kept(1, -1) - mean_kept).norm() > 1);
  //% Right in the mean, and wrong every single time. That is the bargain of this lesson.
  //%ja 平均すれば正しく，一回ごとには間違っている．これがこの課の取引である．

  //% # UORO: the trick at every step
  //% *Unbiased online recurrent optimization* (Tallec and Ollivier 2018) keeps a column $A$ ($d$) and a matrix $B$ (shaped as the
  //% weights) with $P_{i,(j,l)} \approx A_i B_{jl}$. (1.17) has two terms, so each step makes two products one again:
  //%
  //% $$A \leftarrow p_0 J_t A + p_1 \nu, \quad B \leftarrow \frac{1}{p_0} B + \frac{1}{p_1} \mathrm{diag}(\nu) M_t$$
  //%
  //% with $d$ new signs $\nu$, and $M_t = \phi_t z_t^\top$, $z_t = [h_{t-1}; x_t; 1]$ as in lesson 7, what the weights do at once. The
  //% numbers $p_0, p_1$ cancel in the product; we come to them. $G_t = (q_t \cdot A)\, B$. One run, with signs of our choice:
  rules::Uoro<double> uoro(net, {.draws = signs(1234, 4, 3)});
  const Matrix once = gradient(uoro);
  show("numbers in A and B", uoro.A().size() + uoro.B().size());
  show("dL/db_rec, by UORO", once.col(5));
  show("dL/db_rec, by RTRL", exact.col(5));
  ask("For d = 32, n = 2: how many numbers do A and B have?", 32 + 32 * 35, 0.0, "d, and d (d + n + 1)");
  expect("d + d (d + n + 1)", static_cast<long>(uoro.A().size() + uoro.B().size()), 3L + 3 * 6);
  expect("a single run is far from the gradient", relative(once, exact) > 0.5);
  expect("by hand = derived: tangents projected on the same signs", once,
         recurrent(rnn::derived("uoro", net, sequence, {.draws = signs(1234, 4, 3)}).gradient));

  //% # Every choice of signs
  //% Is it unbiased (不偏)? We need not believe, or sample: there are only so many choices. Run them all.
  ask("Three signs at each of four steps. How many runs?", 4096, 0.0, "2 to the power of 12");
  Matrix mean = Matrix::Zero(3, 6);
  std::vector<double> entries;                // dL/db_rec[0], each run
  for (long choice = 0; choice < 4096; ++choice) {
    rules::Uoro<double> rule(net, {.draws = signs(choice, 4, 3)});
    const Matrix G = gradient(rule);
    mean += G / 4096;
    entries.push_back(G(0, 5));
  }
  show("mean of 4096 runs", mean.col(5));     // for b_rec
  show("RTRL", exact.col(5));
  show("largest difference", (mean - exact).cwiseAbs().maxCoeff());
  //%hide
  const Histogram spread = histogram(entries, exact(0, 5), 17);
  //%show
  figure("dL/db_rec[0] in 4096 runs; the mark is their mean, which is RTRL's.", spread.svg(), spread.text());
  expect("UORO is RTRL in the mean", mean, exact);
  //% Equal to rounding, for every weight. But look where the single runs lie.
  //%ja 符号のすべての選び方で平均すれば，丸め誤差まで RTRL と一致する．

  //% # Three ways to factor one tensor
  //% $P_{i,(j,l)}$ has three indices: $i$ the unit moved, $(j, l)$ the weight, from $l$ to $j$. Two factors can share them in three ways:
  //%
  //% | | $P_{i,(j,l)} \approx$ | signs a step | kept | time a step |
  //% |---|---|---|---|---|
  //% | UORO | $A_i\,B_{jl}$ | $d$ | $d + d k$ | $d^2 + d k$ |
  //% | KF-RTRL (Mujika et al. 2018) | $A_l\,B_{ij}$ | 2 | $k + d^2$ | $d^3$ |
  //% | R-KF-RTRL (Marschall et al. 2020) | $A_j\,B_{il}$ | $d$ | $d + d k$ | $d^2 k$ |
  //%
  //% with $k = d + n + 1$. KF stands for Kronecker factors: $M_t$ *is* such a product, $\mathrm{diag}(\phi_t)$ with $z_t$, so that two signs are enough.
  //%hide
  std::string table = "                    runs   |mean - RTRL| / |RTRL|\n";
  std::vector<double> biases;
  const auto enumerate = [&]<class R>(std::type_identity<R>, const char* name, const char* id, Index count) {
    const long runs = 1L << (4 * count);
    Matrix sum = Matrix::Zero(3, 6);
    for (long choice = 0; choice < runs; ++choice) {
      R rule(net, {.draws = signs(choice, 4, count)});
      sum += gradient(rule);
    }
    biases.push_back(relative(sum / static_cast<double>(runs), exact));
    table += fmt::format(" {:<14}{:>9}{:>16.0e}\n", name, runs, biases.back());
    R rule(net, seeded(3));
    expect("by hand = derived, with the same signs", gradient(rule), recurrent(rnn::derived(id, net, sequence, seeded(3)).gradient));
  };
  enumerate(std::type_identity<rules::Uoro<double>>{}, "UORO", "uoro", 3);
  enumerate(std::type_identity<rules::KfRtrl<double>>{}, "KF-RTRL", "kf-rtrl", 2);
  enumerate(std::type_identity<rules::RKfRtrl<double>>{}, "R-KF-RTRL", "r-kf-rtrl", 3);
  show(table);
  for (const double bias : biases) expect("every one of them is RTRL in the mean", bias < 1e-13);
  std::string what;
  for (const auto& row : rnn::edits)
    for (const char* id : {"uoro", "kf-rtrl", "r-kf-rtrl"})
      if (row.id == id) what += fmt::format(" {:<10} {}\n", row.id, row.what.substr(row.what.find(':') + 2));
  //%show
  ask("KF-RTRL draws two signs a step. How many runs are all, for four steps?", 256, 0.0, "2 to the power of 8");
  //% In the table of edits, all three are one edit of forward mode, "tangents projected on random signs":
  //%hide
  show(what);
  //%show

  //% # How noisy?
  //% A mean says nothing about one sample. We measure the deviation (標準偏差) of a single run, $\sqrt{\mathrm{E}(|G - g|^2)}\,/\,|g|$, where $g$ is the
  //% exact gradient, on a network of 8 units over 20 steps of the Add task. At 1, the error is as long as the gradient.
  //%hide
  rnn::Random draw(4);
  auto eight = rnn::random_network(2, 8, 2, draw);
  eight.alpha = alpha;
  eight.loss = rnn::Loss::softmax_ce;
  const auto twenty = rnn::add_task(20, draw, {.t1 = 2, .t2 = 3});
  const auto exactly = [](const rnn::Network<double>& of, const rnn::Sequence<double>& over) {
    rules::Bptt<double> bptt(of);
    return recurrent(rules::learn(bptt, of, over).gradient);
  };
  // Single runs of one rule, a row each.
  const auto runs_of = [&]<class R>(std::type_identity<R>, const rnn::Network<double>& of, const rnn::Sequence<double>& over,
                                    int count) {
    rnn::Options options = seeded(2);
    options.signs = true;
    R rule(of, options);
    Matrix all(count, of.d() * (of.d() + of.n() + 1));
    for (int i = 0; i < count; ++i) all.row(i) = recurrent(rules::learn(rule, of, over).gradient).reshaped();
    return all;
  };
  const std::type_identity<rules::Uoro<double>> uoro_rule;
  const std::type_identity<rules::KfRtrl<double>> kf_rule;
  const std::type_identity<rules::RKfRtrl<double>> r_kf_rule;
  const auto deviation = [](const Matrix& all, const Matrix& from) {
    return std::sqrt((all.rowwise() - from.reshaped().transpose()).rowwise().squaredNorm().mean()) / from.norm();
  };
  auto fast = eight;
  fast.alpha = 1;
  const Matrix g = exactly(eight, twenty), g_fast = exactly(fast, twenty);
  std::string noise = fmt::format("              alpha = {:<8}alpha = 1\n", text(alpha));
  Matrix deviations(3, 2);
  int row = 0;
  const auto measure = [&](const auto& rule, const char* name) {
    deviations.row(row) << deviation(runs_of(rule, eight, twenty, 1000), g), deviation(runs_of(rule, fast, twenty, 1000), g_fast);
    noise += fmt::format(" {:<12}{:>8.1f}{:>15.1f}\n", name, deviations(row, 0), deviations(row, 1));
    ++row;
  };
  measure(uoro_rule, "UORO"), measure(kf_rule, "KF-RTRL"), measure(r_kf_rule, "R-KF-RTRL");
  ask("Is the error of a single run of UORO longer than the gradient itself?", true, "look at the spread in the picture before");
  show(noise);
  //%show
  if (at_default()) {
    expect("UORO's error is longer than the gradient", deviations(0, 0) > 1 && deviations(0, 1) > 1);
    expect("where nothing leaks, more is carried on by signs: all are noisier", (deviations.col(1) - deviations.col(0)).minCoeff() > 0);
    expect("KF-RTRL is the least noisy of the three", deviations.row(1).maxCoeff() < deviations.row(0).maxCoeff() &&
                                                         (deviations.row(1) - deviations.row(0)).maxCoeff() < 0 &&
                                                         (deviations.row(1) - deviations.row(2)).maxCoeff() < 0);
  }
  //% KF-RTRL has least to guess: what a step adds is a Kronecker product already, and only its sum with the past is not.
  //%ja 一回の推定は，勾配そのものよりも大きな誤差を持つ．

  //% # Where the noise comes from
  //% There are two sources. One is to make two products one, when the present is added to the past. The other is to let $d$ signs
  //% stand for a diagonal: $\tilde{P}_t$ moves each unit by its own weights only, and $\nu \nu^\top$ is the unit matrix in the mean
  //% alone. Cut the past off, and only the second is left. So take the same network, at $\alpha = 1$, over its first $T$ steps alone.
  //%hide
  std::string by_length = "      T      UORO   KF-RTRL   R-KF-RTRL\n";
  Matrix lengths(5, 3);
  int line = 0;
  for (const int T : {1, 2, 5, 10, 20}) {
    const rnn::Sequence<double> begun{twenty.x.leftCols(T), twenty.target.leftCols(T)};
    const Matrix want = exactly(fast, begun);
    lengths.row(line) << deviation(runs_of(uoro_rule, fast, begun, 400), want), deviation(runs_of(kf_rule, fast, begun, 400), want),
        deviation(runs_of(r_kf_rule, fast, begun, 400), want);
    by_length += fmt::format("{:>7}{:>10.1f}{:>10.1f}{:>12.1f}\n", T, lengths(line, 0), lengths(line, 1), lengths(line, 2));
    ++line;
  }
  ask("At T = 1 KF-RTRL has one product to keep, z_1 with diag(phi_1). What is its deviation?", 0, 1e-6, "there is no second product to mix it with");
  show(by_length);
  //%show
  expect("with no past KF-RTRL is exact", lengths(0, 1) < 1e-14);
  expect("UORO and R-KF-RTRL are not: d signs stand for a diagonal", lengths(0, 0) > 1 && lengths(0, 2) > 1);
  expect("with a past all have more", (lengths.row(1) - lengths.row(0)).minCoeff() > 0 && (lengths.row(2) - lengths.row(0)).minCoeff() > 0);
  expect("over many losses it cancels in part", (lengths.row(2) - lengths.row(4)).minCoeff() > 0);
  //% KF-RTRL keeps the diagonal whole: at $T = 1$ it has no noise, while UORO and R-KF-RTRL have much. With a past, all three have
  //% more. And over many losses the gradients add up, while their noise cancels in part: at $T = 20$ it is less than at $T = 5$.

  //% # What the two scalings are for
  //% $p_0$ and $p_1$ cancel in $A\,B$: any values give the same mean. So why $p_0 = \sqrt{|B| / |J_t A|}$? Because the mixed terms do not
  //% cancel in a *single* run. UORO again, by its formula, with $p_0$, $p_1$ as above; with $p_1$ made $c$ times larger; and without
  //% any.
  //%hide
  std::vector<Matrix> Js;
  std::vector<Vector> phis, zs, qs;
  {
    const auto run = rnn::run(eight, twenty);
    for (int t = 0; t < 20; ++t) {
      const auto i = static_cast<Index>(t);
      const Vector f = run.u.col(i).array().tanh(), e = rnn::prediction(eight.loss, run.v.col(i)) - twenty.target.col(i);
      phis.push_back(alpha * (1 - f.array().square()));
      Js.push_back((1 - alpha) * Matrix::Identity(8, 8) + Matrix(phis.back().asDiagonal() * eight.parameters.W_rec));
      zs.push_back((Vector(11) << run.h.col(i), twenty.x.col(i), 1).finished());
      qs.push_back(eight.parameters.W_out.transpose() * e);
    }
  }
  const auto with_scale = [&](double scale) {
    rnn::Draws draws(2);
    Matrix all(1000, g.size());
    for (int i = 0; i < 1000; ++i) {
      Scaled rule{scale, Vector::Zero(8), Matrix::Zero(8, 11)};
      Matrix sum = Matrix::Zero(8, 11);
      for (std::size_t t = 0; t < 20; ++t) {
        rule.step(Js[t], phis[t], zs[t], draws.signs(8));
        sum += qs[t].dot(rule.A) * rule.B;
      }
      all.row(i) = sum.reshaped();
    }
    return all;
  };
  const Matrix as_it_is = with_scale(1);
  expect("it is rules/uoro.h", as_it_is.topRows(10), runs_of(uoro_rule, eight, twenty, 10));
  std::string scales = " p_1                  deviation of a run\n";
  std::vector<double> by_scale;
  for (const double scale : {0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0}) {
    by_scale.push_back(deviation(with_scale(scale), g));
    scales += fmt::format(" times {:<10}{:>14.1f}\n", scale, by_scale.back());
  }
  const double without = deviation(with_scale(0), g);
  scales += fmt::format(" p_0 = p_1 = 1   {:>14.1f}\n", without);
  ask("Which multiple of p_1 has the least noise?", 1, 0.0, "the authors chose well");
  show(scales);
  //%show
  if (at_default()) {
    for (const std::size_t other : {0U, 1U, 2U, 4U, 5U, 6U}) expect("the scalings are the best multiple", by_scale[3] < by_scale[other]);
    expect("without any it is noisier", without > by_scale[3]);
  }
  //% The mixed terms are $p_0 J_t A$ with $\mathrm{diag}(\nu) M_t / p_1$, and $p_1 \nu$ with $B / p_0$. Their squares are $r^2 a^2$ and $b^2 / r^2$, where $r = p_0 / p_1$ and
  //% $a, b$ are products of norms: least at $r^2 = b / a$, where the two are one size. That is what $p_0$ and $p_1$ say.
  //%ja 期待値は $p_0, p_1$ によらない．分散を最小にするように選ぶ．

  //% # The crudest projection
  //% Even less can be kept: one direction $V$ for all weights, drawn once, and one tangent $\dot{h}_t = P_t V$. Then $G = (V \cdot g)\,V$, the *forward
  //% gradient* (順方向勾配; Baydin et al. 2022). With signs, $\mathrm{E}[V V^\top] = I$ again: unbiased. $N = d k$ signs, one for each
  //% weight, have to stand for the whole gradient, and its variance is $(N - 1)\,|g|^2$.
  const std::type_identity<rules::ForwardGradient<double>> one_tangent;
  const double N = 8 * (8 + 2 + 1);                 // weights
  ask("N = 88 weights. What deviation do you expect, over |g|?", std::sqrt(N - 1), 0.2, "the root of the variance");
  const Matrix by_V = runs_of(one_tangent, eight, twenty, 1000);
  show("deviation of a forward gradient", deviation(by_V, g));
  show("of UORO", deviations(0, 0), "of KF-RTRL", deviations(1, 0));
  expect("the root of N - 1", deviation(by_V, g), std::sqrt(N - 1), 0.5);
  expect("the more signs stand for, the more noise", deviation(by_V, g) > deviations(0, 0));
  //% What it cannot know, which weight was it, UORO knows in part: its $B$ remembers what each weight has seen. Lesson 12
  //% begins from this rule and takes away the derivatives too.

  //% # Average, and it falls as one over k
  //% Errors with mean zero cancel. Average $k$ independent runs of UORO: the variance falls as $1/k$, the deviation as $1/\sqrt{k}$.
  //% RFLO has no noise, and so nothing to average; its error is bias (偏り).
  //%hide
  rules::Rflo<double> rflo(eight);
  const double bias = relative(recurrent(rules::learn(rflo, eight, twenty).gradient), g);
  const Matrix many = runs_of(uoro_rule, eight, twenty, 4096);
  std::string averaged = "     k    UORO, mean of k   times sqrt k      RFLO\n";
  std::vector<double> errors;
  for (const Index k : {1, 4, 16, 64, 256}) {
    Matrix means(4096 / k, many.cols());
    for (Index i = 0; i < means.rows(); ++i) means.row(i) = many.middleRows(i * k, k).colwise().mean();
    errors.push_back(deviation(means, g));
    averaged += fmt::format("{:>6}{:>18.2f}{:>15.2f}{:>10.2f}\n", k, errors.back(), errors.back() * std::sqrt(static_cast<double>(k)), bias);
  }
  ask(fmt::format("A single run has deviation {:.1f}. What is left of it after averaging 16 runs?", errors[0]), errors[2], 0.1 * errors[2], "the root of 16 is 4");
  show(averaged);
  //%show
  for (std::size_t i = 1; i < 4; ++i) expect("the deviation falls as 1 / sqrt k", errors[i] * std::pow(2.0, static_cast<double>(i)) / errors[0], 1.0, 0.12);
  if (at_default()) {
    expect("one run of UORO is worse than RFLO", errors[0] > bias);
    expect("the mean of 256 is better", errors[4] < bias);
  }
  //% Bias against variance (偏りと分散): one run of UORO is worse than RFLO, the mean of many is better. And who averages? Any
  //% learner with a small step does, over the steps it takes. Whether it can wait that long is a question for lesson 13.
  //%
  //% All this faced the past. A rule that faces the future lacks something else: what has not happened yet. Lesson 11
  //% predicts it.
  //%ja 偏りは平均しても消えないが，分散は平均すれば消える．小さな学習率は時間方向の平均にほかならない．
}
