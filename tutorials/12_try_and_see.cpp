// Lesson 12: no derivative at all: shake the network, see whether the loss falls, and lay the answer along the shaking.
#include <cmath>
#include <vector>

#include "ad/operators.h"
#include "rnn/alignment.h"
#include "rnn/task.h"
#include "rules/activity_perturbation.h"
#include "rules/bptt.h"
#include "rules/decorrelation.h"
#include "rules/double_sum.h"
#include "rules/forward_gradient.h"
#include "rules/node_perturbation.h"
#include "rules/rtrl.h"
#include "rules/weight_perturbation.h"
#include "tutorials/lesson.h"
#include "tutorials/measures.h"

using namespace tutorials;

//%hide
namespace {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;
using Eigen::Index;
using rnn::cosine;

/// A direction V (d x k) in the space of all parameters; the readout stands still.
Vector flat(const rnn::Network<double>& net, const Matrix& V) {
  auto direction = rnn::zeros_like(net.parameters);
  rules::add<double>(V, direction);
  return rnn::flatten(direction);
}
/// Choice number `choice` of all matrices of signs.
Matrix signs(long choice, Index rows, Index cols) {
  Matrix all(rows, cols);
  for (Index i = 0; i < all.size(); ++i, choice /= 2) all.data()[i] = choice % 2 == 0 ? 1 : -1;
  return all;
}
/// Draws recorded: a column for each step.
rnn::Draws each_step(const Matrix& columns) {
  std::vector<std::vector<double>> all;
  for (Index t = 0; t < columns.cols(); ++t)
    all.emplace_back(columns.col(t).data(), columns.col(t).data() + columns.rows());
  return rnn::Draws(std::move(all));
}
/// Draws recorded: all at the first of `length` steps.
rnn::Draws at_once(const Matrix& all, Index length) {
  std::vector<std::vector<double>> entries(static_cast<std::size_t>(length));
  entries[0].assign(all.data(), all.data() + all.size());
  return rnn::Draws(std::move(entries));
}

/// L_1 .. L_T when noise (d x T) is added to u_t, or to h_t, for any kind of number.
template <class V>
rnn::VectorX<typename V::Scalar> losses_with(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence,
                                             const V& noise, bool on_h) {
  using S = typename V::Scalar;
  const Index d = net.d();
  rnn::VectorX<S> h = net.h_0.unaryExpr([](double x) { return S(x); }), losses(sequence.length());
  for (Index t = 0; t < sequence.length(); ++t) {
    auto theta = rnn::cast<S>(net.parameters);
    const rnn::VectorX<S> now = noise.segment(t * d, d);
    if (!on_h) theta.b_rec += now;
    h = rnn::step(net, theta, h, sequence.x.col(t)).h;
    if (on_h) h += now;
    losses(t) = rnn::loss_t(net.loss, rnn::output(theta, h), sequence.target.col(t));
  }
  return losses;
}

/// The mean of many gradients, and the deviation of one of them over |g|.
struct Spread {
  Matrix g, sum = 0 * g;
  double squares = 0;
  int count = 0;
  void add(const Matrix& one) { sum += one, squares += (one - g).squaredNorm(), ++count; }
  Matrix mean() const { return sum / count; }
  double off() const { return relative(mean(), g); }
  double variance() const { return squares / count / g.squaredNorm(); }
  double deviation() const { return std::sqrt(variance()); }
};

}  // namespace

// A reader's screen has 72 columns for code.
// clang-format off
//%show

LESSON(12, "Try and see") {
  //% # One direction, one number
  //% Suppose nobody hands credit back, and nobody carries a tangent for each weight. What is left? To try: move all weights a
  //% little along one direction $V$, and see what $L$ does. In the limit of a small move that is a derivative in one direction, a
  //% single tangent: lesson 1's dual number, $L(\theta + \epsilon V) = L + \epsilon\,(V \cdot g)$. Forward mode gives it in one run.
  //%
  //% The network is tiny: one input, two units, one output, three steps; its recurrent part has $N = d\,(d + n + 1) = 8$ weights.
  const double alpha = parameter("alpha", 0.4, 0.1, 1);
  rnn::Random random(5);
  auto net = rnn::random_network(1, 2, 1, random);  // n, d, m
  net.alpha = alpha;
  const rnn::Sequence<double> sequence{random.normal(1, 3),
                                       random.normal(1, 3)};
  const auto loss = [&](const auto& theta) {
    return rnn::loss_at(net, sequence, theta);
  };
  const Vector theta = rnn::flatten(net.parameters);
  const auto along = [&](const Matrix& V) {         // one dual number
    return ad::jvp(loss, theta, flat(net, V));
  };
  rules::Bptt<double> bptt(net);
  const Matrix g = recurrent(rules::learn(bptt, net, sequence).gradient);
  const Matrix V = signs(77, 2, 4);
  show("V", V);
  show("L moves along V at", along(V), "V . g", V.cwiseProduct(g).sum());
  ask("How many tangents does that take, for all 8 weights together?", 1, 0.0, "they move at once");
  expect("one tangent is the gradient seen from one side", along(V), V.cwiseProduct(g).sum());
  //%ja 重みを一方向にまとめて動かす．必要なのは一本の接ベクトル，すなわち一つの方向微分だけである．

  //% # Lay it along V
  //% If $L$ rises along $V$, go the other way. That is the whole rule: $G = (V \cdot g)\,V$, the forward gradient (順方向勾配; Baydin et al.
  //% 2022). Entry $i$ gets $\sum_j V_i V_j g_j$: its own $g_i$, as $V_i^2 = 1$ for signs, and everybody else's with a random sign. So in the mean over $V$?
  Matrix mean = Matrix::Zero(2, 4);
  for (long choice = 0; choice < 256; ++choice) {
    const Matrix each = signs(choice, 2, 4);
    mean += along(each) * each / 256;
  }
  show("g", g);
  show("mean of (V . g) V over all 256 choices", mean);
  show("a single one", (along(V) * V).eval());
  ask("Is the mean over all choices of signs the gradient, exactly?", true, "the mean of V_i V_j is 0 for i other than j");
  expect("the mean is the gradient", mean, g);
  expect("one sample is not", relative(along(V) * V, g) > 0.5);

  //% # How noisy: N - 1
  //% Everybody else's: $N - 1$ strangers for each weight. The variance over $|g|^2$ is $N - 1$ for signs, $N + 1$ for Gaussian numbers.
  Spread by_signs{g}, by_normals{g};
  for (long choice = 0; choice < 256; ++choice) {
    const Matrix each = signs(choice, 2, 4);
    by_signs.add(along(each) * each);
  }
  for (int i = 0; i < 20000; ++i) {
    const Matrix each = random.normal(2, 4);
    by_normals.add(g.cwiseProduct(each).sum() * each);
  }
  ask("N = 8. What is the variance for signs, over |g|^2?", 7, 0.0);
  show("signs, all 256", by_signs.variance());
  show("Gaussian, 20000 samples", by_normals.variance());
  expect("N - 1", by_signs.variance(), 7.0);
  expect("N + 1", by_normals.variance(), 9.0, 0.6);
  expect("33 times: the root of N", std::floor(std::sqrt(32.0 * (32 + 2 + 1))), 33.0);
  //% With 32 units and two inputs $N = 1120$. One sample is then 33 times as long as the gradient, and nearly at right angles to it.
  //%ja 分散は重みの数に比例する．大きなネットワークでは一回の推定はほとんど雑音である．

  //% # Along with time
  //% No sequence need be stored: the one tangent goes forward with the state, $\dot{h}_t = J_t \dot{h}_{t-1} + \phi_t \odot (V z_t)$. It is RTRL with one column: $\dot{h}_t = P_t V$, $d$
  //% numbers in place of $d^2 (d + n + 1)$.
  rnn::Options options;
  options.draws = at_once(V, 3);
  rules::ForwardGradient<double> forward(net, options);
  const auto learned = rules::learn(forward, net, sequence);
  const Matrix online = recurrent(learned.gradient);
  rules::Rtrl<double> rtrl(net);
  rules::learn(rtrl, net, sequence);
  show("tangent of h_3", forward.tangent());
  show("P_3 V", (rtrl.P() * V.reshaped()).eval());
  ask("d = 32, n = 2. RTRL's P has 35840 numbers; how many has the tangent?", 32, 0.0, "one for each unit");
  expect("one tangent of RTRL's", forward.tangent(), (rtrl.P() * V.reshaped()).eval());
  expect("by hand, online = one dual number of the engine", online, (along(V) * V).eval());

  //% # Without derivatives
  //% A brain cannot run dual numbers. It can only *really* move its weights, by $\sigma \xi$, and compare: $\Delta L / \sigma$ is the finite difference (差分) of
  //% $\xi \cdot g$. That is *weight perturbation* (重み摂動; Jabri and Flower 1992). One-sided, it errs by $O(\sigma)$; with a second run at $-\sigma \xi$
  //% (antithetic), by $O(\sigma^2)$.
  //%hide
  std::string table = "      sigma    one-sided   antithetic\n";
  std::vector<Eigen::Vector2d> errors;
  for (const double sigma : {1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10}) {
    Eigen::Vector2d error;
    for (const bool both : {false, true}) {
      rnn::Options o;
      o.draws = at_once(V, 3), o.sigma = sigma, o.antithetic = both;
      rules::WeightPerturbation<double> rule(net, o);
      error(both ? 1 : 0) = relative(recurrent(rules::learn(rule, net, sequence).gradient), online);
    }
    errors.push_back(error);
    table += fmt::format("{:>11.0e}{:>13.0e}{:>13.0e}\n", sigma, error(0), error(1));
  }
  ask("One-sided: with sigma ten times smaller, how many times smaller is the error?", 10, 1.0);
  show(table);
  //%show
  expect("one-sided: as sigma", errors[1](0) / errors[2](0), 10.0, 0.5);
  expect("antithetic: as sigma^2", errors[0](1) / errors[1](1), 100.0, 5.0);
  expect("then rounding takes over", errors[6](0) > errors[5](0) && errors[5](0) > 1e-10);
  //% Down to some $\sigma$; then the difference drowns in rounding. Dual numbers had no such floor.

  //% # Shake the units instead
  //% There are fewer units than weights. *Node perturbation* (ノード摂動; Williams 1992; Fiete and Seung 2006) adds noise $\sigma \xi_t$ to $u_t$. What the noise did to the
  //% unit, its weights could have done: $u_t$ moves by $\xi_t$, as it would if the weights moved by $\xi_t$ along $z_t = [h_{t-1}; x_t; 1]$. So
  //% $G = \frac{\Delta L}{\sigma} \sum_t \xi_t z_t^\top$. For small $\sigma$ it is again a derivative in one direction. The engine gives them all, as one Jacobian:
  const auto by_noise = [&](bool on_h) {            // dL_t/dxi: 3 x 6
    const auto losses = [&](const auto& noise) {
      return losses_with(net, sequence, noise, on_h);
    };
    return ad::jacobian(losses, Vector::Zero(6).eval());
  };
  const Matrix R = by_noise(false);
  //%hide
  const auto run = rnn::run(net, sequence);
  Matrix z(4, 3), phi(2, 3);
  for (Index t = 0; t < 3; ++t) {
    z.col(t) << run.h.col(t), sequence.x.col(t), 1;
    phi.col(t) = alpha * (1 - run.u.col(t).array().tanh().square());
  }
  //%show
  Spread nodes{g};
  for (long choice = 0; choice < 64; ++choice) {
    const Matrix xi = signs(choice, 2, 3);          // all choices
    nodes.add((R * xi.reshaped()).sum() * xi * z.transpose());
  }
  show("|mean - g| / |g|", nodes.off());
  show("variance, units shaken", nodes.variance());
  show("variance, weights shaken", by_signs.variance());
  ask("32 units, two inputs: noise on 1120 weights, or on how many units a step?", 32);
  expect("in the limit of small noise, the mean is the gradient", nodes.mean(), g);
  //%hide
  {
    const Matrix xi = signs(29, 2, 3);
    const auto at_sigma = [&](double sigma) {
      rnn::Options o;
      o.draws = each_step(xi), o.sigma = sigma, o.antithetic = true;
      rules::NodePerturbation<double> rule(net, o);
      const Matrix limit = (R * xi.reshaped()).sum() * xi * z.transpose();
      return relative(recurrent(rules::learn(rule, net, sequence).gradient), limit);
    };
    expect("rules/node_perturbation.h goes there as sigma^2", at_sigma(1e-2) / at_sigma(1e-3), 100.0, 5.0);
  }
  //%show
  //% A synapse needs its presynaptic activity, the noise of its target unit, and *one number told to all*: how much worse it went.
  //%ja 各シナプスに必要なのは，前細胞の活動，後細胞の雑音，全体に放送される損失の変化だけである．

  //% # On u, not on h
  //% Why $u_t$? Noise could enter at $h_t$, after the activation, where one records it. Then $h_t$ moves by $\xi_t$; but a weight moves $h_t$ by
  //% $\phi_t = \alpha f'(u_t)$ times what it does to $u_t$. The factor belongs in the rule.
  const Matrix R_h = by_noise(true);
  Spread plain{g}, sloped{g};
  for (long choice = 0; choice < 64; ++choice) {
    const Matrix xi = signs(choice, 2, 3);
    const double moved = (R_h * xi.reshaped()).sum();
    plain.add(moved * xi * z.transpose());
    sloped.add(moved * xi.cwiseProduct(phi) * z.transpose());
  }
  show("on h, xi z^T: mean off by", plain.off());
  show("its cosine with g", cosine(plain.mean(), g));
  show("on h, (phi .* xi) z^T: mean off by", sloped.off());
  ask("At alpha = 0.1 and small u, about what is phi?", 0.1, 0.01, "alpha f'(u), and tanh'(0) = 1");
  if (at_default()) expect("without phi the mean is another vector", plain.off() > 0.5);
  expect("with phi it is the gradient", sloped.mean(), g);
  expect("without, it is sum_t delta_t z_t^T", plain.mean(), (bptt.delta() * z.transpose()).eval());
  //%hide
  auto strong = net;
  strong.parameters.W_in *= 8;
  rules::Bptt<double> strong_bptt(strong);
  const Matrix strong_g = recurrent(rules::learn(strong_bptt, strong, sequence).gradient);
  Matrix strong_z(4, 3);
  strong_z << rnn::run(strong, sequence).h.leftCols(3), sequence.x, Eigen::RowVector3d::Ones();
  const double turned = cosine(strong_bptt.delta() * strong_z.transpose(), strong_g);
  //%show
  //% These units hardly saturate, so what is lost is mostly the length, about $1 / \alpha$. With inputs eight times as strong they do, and the
  //% direction goes too:
  show("cosine with g, strong inputs", turned);
  if (at_default()) expect("saturated units turn it away", turned < 0.9 && cosine(plain.mean(), g) > 0.99);

  //% # Which loss goes with which noise?
  //% Waiting for the whole $\Delta L$ means waiting for the end. Online there are $\Delta L_1, \Delta L_2, \dots$, and a choice: multiply each $\Delta L_t$ by the noise of *all*
  //% times before, kept in a trace $e_t = e_{t-1} + \xi_t z_t^\top$; or, as public code does, by the noise of the same step alone.
  Spread all{g}, traced{g}, alone{g};
  for (long choice = 0; choice < 64; ++choice) {
    const Matrix xi = signs(choice, 2, 3);
    const Vector moved = R * xi.reshaped();         // Delta L_t / sigma
    Matrix e = Matrix::Zero(2, 4), sum = e, same_step = e;
    for (Index t = 0; t < 3; ++t) {
      const Matrix now = xi.col(t) * z.col(t).transpose();
      e += now;
      sum += moved(t) * e;
      same_step += moved(t) * now;
    }
    all.add(moved.sum() * xi * z.transpose());
    traced.add(sum);
    alone.add(same_step);
  }
  //%hide
  rules::DoubleSum<double> blocks(net);
  blocks.keep_blocks();
  rules::learn(blocks, net, sequence);
  Matrix immediate = Matrix::Zero(2, 4);  // sum_t dL_t/dtheta_t
  for (Index t = 1; t <= 3; ++t) immediate += blocks.block(t, t);
  for (const double lambda : {1.0, 0.0}) {
    const Matrix xi = signs(29, 2, 3), limit = [&] {
      const Vector moved = R * xi.reshaped();
      Matrix e = Matrix::Zero(2, 4), sum = e;
      for (Index t = 0; t < 3; ++t) e = lambda * e + xi.col(t) * z.col(t).transpose(), sum += moved(t) * e;
      return sum;
    }();
    rnn::Options o;
    o.draws = each_step(xi), o.sigma = 1e-4, o.antithetic = true, o.lambda = lambda;
    rules::NodePerturbation<double> rule(net, o);
    expect("rules/node_perturbation.h with its trace", relative(recurrent(rules::learn(rule, net, sequence).gradient), limit) < 1e-6);
  }
  std::string ways = "                        mean off by   variance\n";
  const auto way = [&](const char* name, const Spread& s) {
    ways += fmt::format(" {:<24}{:>10}{:>11.2f}\n", name, s.off() < 1e-12 ? "0" : fmt::format("{:.2f}", s.off()), s.variance());
  };
  way("Delta L at the end", all), way("Delta L_t e_t", traced), way("Delta L_t xi_t z_t^T", alone);
  ask("Can the noise at t = 3 have changed L_1?", false, "the present changes no past");
  show(ways);
  //%show
  const double gap = relative(alone.mean(), immediate);
  show("the last, off sum_t dL_t/dtheta_t by", gap);
  expect("whole", all.mean(), g);
  expect("online with a trace", traced.mean(), g);
  expect("the trace leaves out noise that came too late: less variance", traced.variance() < all.variance());
  expect("the step's own noise estimates the diagonal of the double sum", alone.mean(), immediate);
  expect("which is not the gradient", alone.off() > 0.1);
  //% The trace is unbiased, and quieter than waiting. The noise of the same step alone sees the diagonal of lesson 5's picture, $\sum_t \partial L_t / \partial \theta_t$: it cannot learn
  //% what must be remembered.
  //%ja その時刻の雑音だけを掛けると，二重和の対角 $\sum_t \partial L_t / \partial \theta_t$ だけを推定してしまう．

  //% # Noise that is not small
  //% Real noise has a size. How far off is the mean over all signs at a finite $\sigma$? In $\frac{\Delta L}{\sigma} \xi$ the terms of
  //% $\Delta L$ even in $\sigma$ average to zero, as with $\xi$ comes $-\xi$. Beside the gradient the first that stays is the cubic:
  //% $O(\sigma^2)$.
  //%hide
  std::string sizes = "   sigma     bias   deviation: one-sided   antithetic\n";
  std::vector<double> biases;
  Eigen::MatrixXd wide(4, 2);
  for (const double sigma : {0.8, 0.4, 0.2, 0.1}) {
    Spread each[] = {{g}, {g}};
    for (long choice = 0; choice < 64; ++choice)
      for (const bool both : {false, true}) {
        rnn::Options o;
        o.draws = each_step(signs(choice, 2, 3)), o.sigma = sigma, o.antithetic = both;
        rules::NodePerturbation<double> rule(net, o);
        each[both ? 1 : 0].add(recurrent(rules::learn(rule, net, sequence).gradient));
      }
    expect("one-sided or antithetic, the mean is the same", each[0].mean(), each[1].mean(), 1e-13);
    wide.row(static_cast<Index>(biases.size())) << each[0].deviation(), each[1].deviation();
    biases.push_back(each[0].off());
    sizes += fmt::format("{:>8}{:>9.4f}{:>23.2f}{:>13.2f}\n", sigma, biases.back(), each[0].deviation(), each[1].deviation());
  }
  ask("From sigma = 0.2 to 0.1: by what factor does the bias fall?", 4, 0.2);
  show(sizes);
  //%show
  expect("the bias is O(sigma^2)", biases[2] / biases[3], 4.0, 0.5);
  expect("large noise is noisier one-sided", wide(0, 0) > wide(0, 1));
  //% The second run costs as much as the first, and takes away the terms even in $\sigma$ from every single sample, not only from the mean. Here
  //% they are small beside the noise of the direction itself.

  //% # Nobody tells the noise
  //% Must a synapse know its unit's noise? *Activity-based* node perturbation (Garcia Fernandez, Keemink and van Gerven 2024) compares the unit with and without noise,
  //% $\delta u_t$, and lays $\Delta L_t$ along it: $G_t = \Delta L_t \sqrt{n + d + m}\,\delta u_t z_t^\top / |\delta u_t|^2$. But $\delta u_t$ also carries what the noise of *earlier* steps has become.
  //% Eight units, ten steps, 4000 runs:
  //%hide
  rnn::Random draw(4);
  auto eight = rnn::random_network(2, 8, 2, draw);
  eight.alpha = alpha;
  eight.loss = rnn::Loss::softmax_ce;
  const auto ten = rnn::add_task(10, draw, {.t1 = 2, .t2 = 3});
  rules::DoubleSum<double> ten_blocks(eight);
  ten_blocks.keep_blocks();
  const Matrix g_8 = recurrent(rules::learn(ten_blocks, eight, ten).gradient);
  Matrix diagonal = 0 * g_8;
  for (Index t = 1; t <= 10; ++t) diagonal += ten_blocks.block(t, t);
  rnn::Options shaken;
  shaken.draws = rnn::Draws(1), shaken.sigma = 1e-4;
  rules::ActivityPerturbation<double> by_activity(eight, shaken);
  Spread activity{g_8};
  for (int i = 0; i < 4000; ++i) activity.add(recurrent(rules::learn(by_activity, eight, ten).gradient));
  //%show
  show("cosine of its mean with g", cosine(activity.mean(), g_8));
  show("|mean| / |g|", activity.mean().norm() / g_8.norm());
  show("cosine of sum_t dL_t/dtheta_t with g", cosine(diagonal, g_8));
  ask("Is its mean the gradient?", false, "its scale alone is another, and each loss is credited to its own step");
  expect("it points along the gradient, more or less", cosine(activity.mean(), g_8) > 0.3);
  expect("biased", activity.off() > 0.1);

  //% # Units that say the same
  //% If two units always move together, noise in one looks like noise in the other, and they share blame. *Decorrelation* (脱相関; Ahmad et al. 2022) hands on
  //% $\hat{x} = R h$, and $R \leftarrow R - \epsilon\,\mathrm{offdiag}(\hat{x} \hat{x}^\top) R$ makes the products of different units small. Perturbation rules are reported to learn faster from $\hat{x}$.
  rules::Decorrelation<double> decorrelation(8, 0.02);  // d, eps
  //%hide
  const auto stream = rnn::add_task(3000, draw, {.t1 = 2, .t2 = 3});
  const Matrix h = rnn::run(eight, stream).h;
  const auto together = [&](const Matrix& states) {  // of different units, over all
    const Matrix products = states * states.transpose();
    return (products - Matrix(products.diagonal().asDiagonal())).norm() / products.diagonal().norm();
  };
  const Matrix last = h.rightCols(1000);
  //%show
  for (Index t = 1; t <= 2000; ++t) decorrelation.observe(h.col(t));
  show("products of different units over own, h", together(last));
  show("x-hat", together(decorrelation.R() * last));
  ask("Does R ask for any error or loss?", false, "it sees h alone");
  if (at_default()) expect("R decorrelates", together(decorrelation.R() * last) < 0.5 * together(last));
  //%hide
  {
    const auto folded = decorrelation.folded(eight);
    rules::Bptt<double> hand(folded);
    auto unfolded = rules::learn(hand, folded, ten).gradient;
    decorrelation.unfold(unfolded);
    const Vector whole = ad::gradient([&](const auto& at) {
      using S = typename std::decay_t<decltype(at)>::Scalar;
      auto p = rnn::unflatten(eight.parameters, at);
      const rnn::MatrixX<S> mixed = decorrelation.R().template cast<S>();
      p.W_rec = (p.W_rec * mixed).eval(), p.W_out = (p.W_out * mixed).eval();
      return rnn::loss_at(eight, ten, rnn::flatten(p));
    }, rnn::flatten(eight.parameters));
    expect("any rule runs on the folded network, and its gradient is unfolded", rnn::flatten(unfolded), whole);
  }
  //%show

  //% # What blind trying costs
  //% The less a rule knows, the more samples it needs. To bring the deviation of one step's gradient down to $|g|$ itself takes as many samples as the variance
  //% says: for the weights $N - 1$.
  //%hide
  std::string cost = "      d    weights N   samples for deviation 1   units\n";
  for (const int d : {2, 8, 32, 128}) cost += fmt::format("{:>7}{:>13}{:>26}{:>8}\n", d, d * (d + 3), d * (d + 3) - 1, d);
  ask("A network of 128 units, two inputs: N = 128 * 131 = 16768. How many samples?", 16767);
  show(cost);
  //%show
  expect("N = d (d + n + 1)", 128 * 131 - 1, 16767);
  //% What they ask of a synapse is little: its own noise, or its unit's, and one number for all, as a neuromodulator (神経修飾物質) might carry. No weight is
  //% transposed, nothing goes back in time. They pay in time.
  //%
  //% Dropped, masked, cut, sent back another way, projected, predicted, shaken: these were the edits of the two exact programs.
  //% Lesson 13 lets rules of every kind learn side by side.
  //%ja 知ることが少ない規則ほど，多くの試行を要する．
}
