// Lesson 1: numbers that carry a derivative. Dual numbers, forward mode, and what n inputs cost.
#include "ad/operators.h"
#include "ad/symbol.h"
#include "tutorials/lesson.h"

using namespace tutorials;

//%hide
// A reader's screen has 72 columns for code.
// clang-format off
//%show
LESSON(1, "Numbers that carry a derivative") {
  //% # How fast does it grow?
  //% The notes begin with a small function: $z = 4x + 3$ and $f = z^2$. With the chain rule (連鎖律) they find
  //% $$\frac{df}{dx} = \frac{df}{dz} \frac{dz}{dx} = 2z \cdot 4 = 32x + 24$$
  //% That took a person who knows rules. Could the *numbers themselves* find it, while the program merely computes $f$?
  //%ja 計算するだけで，数が自分の微分を求めてくれるだろうか．それが自動微分 (automatic differentiation) である．
  const double x = 1;
  const double z = 4 * x + 3;
  show("z", z, "f", z * z);
  ask("By the notes' formula: what is df/dx at x = 1?", 32 * x + 24, "32 x + 24");
  expect("32 x + 24 at x = 1", 32 * x + 24, 56.0);
  show("df/dx by hand", 32 * x + 24);

  //% # A small step?
  //% Anyone's first idea: move $x$ by a little $h$ and see how far $f$ moves, $\frac{f(x + h) - f(x)}{h}$.
  const auto square = [](const auto& s) {
    return (4 * s + 3) * (4 * s + 3);
  };
  //%hide
  std::string table = "     h      quotient            error\n";
  double error_large = 0, error_best = 1, error_small = 0;
  //%show
  for (double h = 1e-1; h > 1e-16; h *= 1e-3) {
    const double quotient = (square(1 + h) - square(1.0)) / h;
    const double error = std::abs(quotient - 56);
    //%hide
    table += fmt::format("{:8.0e}  {:15.10f}  {:11.1e}\n", h, quotient, error);
    if (h > 0.05) error_large = error;
    error_best = std::min(error_best, error);
    error_small = error;
    //%show
  }
  ask("Does the error shrink as long as h shrinks?", false, "rounding: f(x + h) and f(x) share their leading digits");
  //%hide
  show(table);
  //%show
  expect("a large step is wrong by 16 h", error_large, 1.6, 1e-9);
  expect("the smallest step is worse than the best", error_small > 10 * error_best);
  expect("no step is right", error_best > 1e-9);
  //% A large step sees the bend of $f$, a small one sees only rounding. No $h$ is right.

  //% # A step that is not a number
  //% Take a step $\varepsilon$ that is too small to be squared: $\varepsilon^2 = 0$, though $\varepsilon \ne 0$. Then
  //% $$(z + 4\varepsilon)^2 = z^2 + 2 \cdot 4 z \varepsilon + 16 \varepsilon^2 = z^2 + 8z\,\varepsilon$$
  //% and nothing is rounded away: what stands before $\varepsilon$ *is* the derivative. A pair $a + b\varepsilon$ is a
  //% dual number (二重数): a value $a$ and a tangent (接ベクトル) $b$, the speed at which $a$ changes.
  const ad::Dual<> x_moving(1.0, 1.0);  // 1 + 1 eps: x moves at speed 1
  const ad::Dual<> z_moving = 4 * x_moving + 3;
  const ad::Dual<> f_moving = z_moving * z_moving;
  ask("z = 4 x + 3, and x moves at speed 1. At what speed does z move?", z_moving.tangent);
  show("z", z_moving);
  show("f", f_moving);
  expect("z moves at speed 4", z_moving.tangent, 4.0);
  expect("f's tangent is the derivative, exactly", f_moving.tangent == 56.0);
  //% The program computed $f$, and $32x + 24 = 56$ came along.

  //% # Why the chain rule comes for free
  //% No operation knows what came before it. Each does one thing with the tangents it is given:
  //% $$g(a + b\varepsilon) = g(a) + g'(a)\, b\, \varepsilon$$
  //% The next one receives $g'(a)\,b$ as *its* $b$ and multiplies by its own derivative. A product of local derivatives,
  //% one factor a step: that is the chain rule, and nobody has applied it.
  //%ja 各演算は自分の微分を掛けるだけでよい．それを続けると連鎖律になる．
  const ad::Dual<> u = f_moving / 50;
  const ad::Dual<> y = tanh(u);
  const double slope = 1 - y.value * y.value;
  show("u", u, "y = tanh(u)", y);
  ask("u moves at speed " + number_text(u.tangent) + ", and tanh'(u) = 1 - y^2 = " + number_text(slope) + " here. What is y's tangent?", y.tangent, "the slope times the tangent of u");
  expect("the tangent of u", u.tangent, 1.12);
  expect("one factor more", y.tangent, slope * u.tangent);
  //% Derivatives that travel along with the values: this is **forward mode** (順モード).

  //% # Where the derivatives stand
  //% So somebody must state the derivative of each elementary function, once. Here they stand in one table,
  //% `ad/derivatives.def`. A row has the function, and its derivative in terms of $x$ and of the result $y$; a product and
  //% a quotient have two. These are some of its rows, printed by the program itself:
  //%hide
  std::string rows;
  for (const ad::Formula& row : ad::table())
    for (const char* name : {"mul", "div", "exp", "log", "sin", "tanh", "sigmoid", "relu"})
      if (row.name == name)
        rows += fmt::format("{:8} y = {:20} dy/dx = {}{}\n", row.name, row.value.plain(), row.partial[0].plain(),
                            row.operands == 2 ? ", dy/dz = " + row.partial[1].plain() : "");
  show(rows);
  //%show
  expect("the row of tanh", ad::formula(ad::Op::tanh, ad::Symbol("x"), 0, 0, ad::Symbol("y")).partial[0].plain(), "1 - y^2");
  expect("the row of sigmoid", ad::formula(ad::Op::sigmoid, ad::Symbol("x"), 0, 0, ad::Symbol("y")).partial[0].plain(), "y*(1 - y)");
  //% `mul` is the product rule, `div` the quotient rule, and $1 - y^2$ is what you used on the page before. The same row
  //% serves dual numbers, the tape of lesson 2, and even formulas, as the next page shows.

  //% # The same, with a letter
  //% What is a "number"? Anything that can be added, multiplied, put into `tanh`. A `Symbol` can: it is a formula. Let it
  //% be the $x$ of the same function, and its tangent is the derivative as a formula.
  const ad::Symbol letter("x");
  show("d/dx (4x + 3)^2", ad::derivative(square, letter));
  const auto ratio = [](const auto& s) { return tanh(2 * s) / s; };
  show("d/dx tanh(2x)/x", ad::derivative(ratio, letter));
  expect("the notes' 32 x + 24", ad::derivative(square, letter).plain(), "8*(4*x + 3)");
  expect("formula and number agree", ad::derivative(ratio, letter).evaluate<double>({{"x", 0.7}}), ad::derivative(ratio, 0.7), 1e-14);
  //% `derivative(f, x)` puts in $x + 1\varepsilon$ and hands back what stands before $\varepsilon$. That is all it does.

  //% # What if there is no formula?
  //% A program may loop. This one finds $\sqrt{x}$ by Newton's method, six times the same line:
  const auto root = [](const auto& s) {
    auto r = s;
    for (int i = 0; i < 6; ++i) r = 0.5 * (r + s / r);
    return r;
  };
  const double at_2 = ad::derivative(root, 2.0);
  ask("The derivative of the square root is 1 / (2 sqrt(x)). What should come out at x = 2?", 1 / (2 * std::sqrt(2.0)), 0.005);
  show("root(2)", root(2.0), "derivative(root, 2)", at_2);
  expect("it is the root", root(2.0), std::sqrt(2.0), 1e-12);
  expect("and its derivative", at_2, 1 / (2 * std::sqrt(2.0)), 1e-12);
  //% Automatic differentiation differentiates what *happened*, not what is written. A recurrent network is such a loop:
  //% one line, once for every time step. That is why this course can be short.
  //%ja 自動微分は式ではなく「実際に行われた計算」を微分する．再帰型ニューラルネットワーク (RNN) もまたループである．

  //% # Two inputs
  //% Now $f(x_1, x_2) = \ln x_1 + x_1 x_2 - \sin x_2$. Which derivative do you want? Tell the inputs how to move: the
  //% direction $v$ is the tangent they start with, the **seed**. What comes out is $\frac{\partial f}{\partial x} v$, a
  //% Jacobian-vector product (jvp).
  using Eigen::Vector2d;
  const auto f = [](const auto& s) {
    return log(s(0)) + s(0) * s(1) - sin(s(1));
  };
  const Vector2d at(2, 5);
  ask("df/dx1 = 1/x1 + x2. What comes out at (2, 5) with the seed (1, 0)?", 5.5);
  show("seed (1, 0)", ad::jvp(f, at, Vector2d(1, 0)));
  show("seed (0, 1)", ad::jvp(f, at, Vector2d(0, 1)));
  show("seed (3, 1)", ad::jvp(f, at, Vector2d(3, 1)));
  expect("1/x1 + x2", ad::jvp(f, at, Vector2d(1, 0)), 5.5);
  expect("x1 - cos x2", ad::jvp(f, at, Vector2d(0, 1)), 2 - std::cos(5.0));
  expect("linear in the seed", ad::jvp(f, at, Vector2d(3, 1)), 3 * 5.5 + 2 - std::cos(5.0));
  //% Both at once? Give each number two tangents, one for each direction: `Dual<double, 2>`.
  ad::Dual<double, 2> x1(2.0), x2(5.0);
  x1.tangent[0] = 1;  // direction 0: along x1
  x2.tangent[1] = 1;  // direction 1: along x2
  const auto both = log(x1) + x1 * x2 - sin(x2);
  show("along x1", both.derivative(0), "along x2", both.derivative(1));
  expect("two directions in one pass", Vector2d(both.derivative(0), both.derivative(1)), Vector2d(5.5, 2 - std::cos(5.0)));

  //% # A Jacobian, column by column
  //% Two neurons with states $h$ that act on each other, one step of a network: $h \mapsto \tanh(W h)$. Its derivative is a
  //% matrix (ヤコビ行列); the notes call it $J$. A seed along $h_j$ gives its column $j$.
  Eigen::Matrix2d W;
  W << 0.5, -1.0, 2.0, 0.3;
  const auto step = [&](const auto& s) {
    return (W * s).array().tanh().matrix().eval();
  };
  const Vector2d h(0.2, -0.4), h_next = step(h);
  Eigen::Matrix2d J;
  J.col(0) = ad::jvp(step, h, Vector2d(1, 0));
  J.col(1) = ad::jvp(step, h, Vector2d(0, 1));
  show("h after the step", h_next, "J", J);
  const Vector2d slopes = 1 - h_next.array().square();
  const Eigen::Matrix2d by_hand = slopes.asDiagonal() * W;
  expect("diag(1 - tanh^2) W", J, by_hand, 1e-14);
  expect("jacobian() does the same", J, ad::jacobian(step, h), 1e-14);
  //% By hand it is $\mathrm{diag}(1 - \tanh^2(Wh))\, W$: equal, entry by entry. `ad::jacobian(step, h)` does all columns.

  //% # What it costs
  //% One pass answers for one direction. A loss has one value and many weights. Let us count how often $f$ is run to get
  //% the whole gradient of a function of $n$ numbers.
  int passes = 0;
  const auto loss = [&](const auto& s) {
    ++passes;
    return s.squaredNorm();
  };
  const int n = parameter("n", 100, 1, 10000);
  const Eigen::VectorXd w = Eigen::VectorXd::LinSpaced(n, -1, 1);
  Eigen::VectorXd gradient(n);
  for (int i = 0; i < n; ++i)
    gradient(i) = ad::jvp(loss, w, Eigen::VectorXd::Unit(n, i));
  ask("How many passes for n = " + std::to_string(n) + " inputs?", n, 0.0);
  show("passes", passes);
  expect("one pass an input", passes, n);
  expect("d|w|^2/dw = 2w", gradient, (2 * w).eval(), 1e-14);
  //% With more tangents per number there are fewer passes, but not less work. So forward mode suits few inputs and many
  //% outputs, and a network is the opposite: a million weights, one loss. Can **one** pass do? It can, if we write down
  //% what we did. That is lesson 2.
  //%ja 順モードの計算量は入力の数に比例する．重みが百万個あれば百万回になる．では 1 回で済ませる方法はあるだろうか．
}
