// Lesson 2: the tape. What a recording remembers, the reverse sweep entry by entry, and backpropagation as the base case.
#include "ad/operators.h"
#include "ad/trace/terminal.h"
#include "tutorials/lesson.h"

using namespace tutorials;

//%hide
// A reader's screen has 72 columns for code.
// clang-format off
//%show
LESSON(2, "Reverse mode: the tape") {
  //% # Write down what you do
  //% Once more $f(x_1, x_2) = \ln x_1 + x_1 x_2 - \sin x_2$ at $(2, 5)$. Forward mode needs one pass for each input. Now let
  //% the numbers keep a record instead: every operation, when it happens, adds an entry to a **tape** (テープ).
  //%ja 計算をひとつずつ記録する．この記録をテープ (tape) と呼ぶ．
  ad::Tape tape;
  const ad::Var x1 = tape.input(2.0, "x1"), x2 = tape.input(5.0, "x2");
  const ad::Var v3 = log(x1);
  const ad::Var v4 = x1 * x2;
  const ad::Var v5 = v3 + v4;
  const ad::Var v6 = sin(x2);
  const ad::Var y = v5 - v6;
  const ad::View numbered{.numbers = true};  // rows speak of v1, v2, ...
  ask("How many entries does the tape have: two inputs and the operations?", static_cast<int>(tape.length()), 0.0);
  show(ad::terminal(ad::trace(tape, y, numbered)));
  expect("two inputs, five operations", tape.length(), ad::Id{7});
  expect("f(2, 5)", y.value(), std::log(2.0) + 10 - std::sin(5.0));
  //% Each entry defines one variable $v_i$ and never changes it: this is an evaluation trace.

  //% # What an entry knows
  //% An entry does not know the function. It knows its operands, and how fast its own result moves with each of them: the
  //% **local partial derivatives**, from the table of lesson 1, evaluated at once.
  const auto& entry = tape.entry_of(4);  // v4 = v1*v2
  ask("v4 = v1*v2 with v1 = 2 and v2 = 5. How fast does v4 move with v1?", entry.pa, "the other factor");
  show("dv4/dv1", entry.pa, "dv4/dv2", entry.pb);
  //%hide
  std::string partials;
  for (ad::Id i = 3; i <= tape.length(); ++i) {
    const ad::Entry<double>& e = tape.entry_of(i);
    const auto term = [](double partial, ad::Id of) { return fmt::format(" {} {:8.6f} dv{}", partial < 0 ? '-' : '+', std::abs(partial), of); };
    partials += fmt::format("dv{} = {}{}\n", i, term(e.pa, e.a).substr(3), e.b ? term(e.pb, e.b) : "");
  }
  show(partials);
  //%show
  expect("the other factor", tape.entry_of(4).pa, 5.0);
  expect("ln' = 1/x", tape.entry_of(3).pa, 0.5);
  expect("sin' = cos", tape.entry_of(6).pa, std::cos(5.0));
  expect("a difference", tape.entry_of(7).pb, -1.0);
  //% All entries together are a list of small linear equations. What follows is a question of the order in which to go
  //% through it.

  //% # Downward: tangents
  //% From the first entry to the last we know how to do it: give $v_1$ the tangent 1 and $v_2$ the tangent 0, and put them
  //% in. That is forward mode again, over the recording; $f$ itself is not run a second time.
  tape.forward(x1);
  ask("dv3 = 0.5 dv1, dv4 = 5 dv1 + 2 dv2. With dv1 = 1 and dv2 = 0, what is dv5 = dv3 + dv4?", tape.tangent(v5));
  show(ad::terminal(ad::trace(tape, y, numbered)));
  expect("dv5", tape.tangent(v5), 5.5);
  expect("df/dx1", tape.tangent(y), 5.5);
  //% Read downward: $\frac{\partial f}{\partial x_1} = 5.5$. For $x_2$ we would have to start again.

  //% # Upward: adjoints
  //% Turn the question around. Not "what does this input do to everything?" but "**what does everything do to $f$?**" Call
  //% the answer the adjoint (随伴) of a variable,
  //% $$\bar{v}_i = \frac{\partial f}{\partial v_i}$$
  //% For the last entry it is clear: $\bar{v}_7 = 1$. And $v_7 = v_5 - v_6$ says how $f$ moves with $v_5$ and with $v_6$. So
  //% the entry *hands out*: to each operand its own adjoint times the local partial.
  const auto steps = ad::adjoint_steps(tape, y, numbered);
  ask("What does v6 receive?", steps[0].so_far[6], "v7 = v5 - v6: the partial with respect to v6 is -1");
  for (const auto& hand : steps[0].hands_out)
    show(ad::hand_out_text(hand));
  expect("v5 receives 1", steps[0].so_far[5], 1.0);
  expect("v6 receives -1", steps[0].so_far[6], -1.0);
  //% This is **reverse mode** (逆モード): from the result back to the inputs.

  //% # Entry by entry
  //% Entries are read last to first, so when an entry's turn comes, everything that uses it has already been heard: its
  //% adjoint is complete. Each line of this table is the state after one entry; a point has received nothing yet.
  ask("After v6 = sin(v2), with adjoint -1 and cos(5) = 0.283662: what is the adjoint of v2 so far?", steps[1].so_far[2], "-1 * cos(5)");
  show(ad::terminal(steps, {1, 2, 3, 4, 5, 6, 7}));
  expect("after v6", steps[1].so_far[2], -std::cos(5.0));
  const auto coming = ad::still_to_come(steps, 1, 2);
  ask("v2 = 5 is also a factor of v4 = v1*v2, whose adjoint will be 1. How much is still to come for v2?", coming[0].second);
  show("still to come for v2, from " + coming[0].first, coming[0].second);
  expect("v4 is still to come", coming.size() == 1 && coming[0].first == "v4");
  expect("with 1 * v1", coming[0].second, 2.0);
  //% In the end $\bar{v}_2 = 2 - 0.283662 = 1.716338$ and $\bar{v}_1 = 5.5$. **Both** derivatives, in one sweep.
  expect("adjoint of v2", steps.back().so_far[2], 2 - std::cos(5.0));
  expect("adjoint of v1", steps.back().so_far[1], 5.5);

  //% # Who is used twice receives twice
  //% $x_1$ is used by $\ln$ and by the product. Moving it moves $f$ through both, so the contributions **add**:
  //% $$\bar{v}_j = \sum_i \bar{v}_i \frac{\partial v_i}{\partial v_j}$$
  //% summed over all entries $i$ that use $v_j$. That is the whole of reverse mode: the chain rule of several variables,
  //% one entry at a time.
  //%ja 二度使われる変数は二度受け取り，それらは足し合わされる．これが多変数の連鎖律である．
  tape.reverse(y);
  ask("ln(x1) hands over 1/2, the product hands over x2 = 5. What is the adjoint of x1?", tape.adjoint(x1));
  show("df/dx1", tape.adjoint(x1), "df/dx2", tape.adjoint(x2));
  expect("df/dx1", tape.adjoint(x1), 5.5);
  expect("df/dx2", tape.adjoint(x2), 2 - std::cos(5.0));
  const auto square = [](const auto& s) { return s * s; };
  show("d(x*x)/dx at 3", ad::gradient(square, 3.0));
  expect("one entry that uses x twice", ad::gradient(square, 3.0), 6.0);
  //% In $x \cdot x$ a single entry uses $x$ twice: $3 + 3$. Nothing special needs to be done.

  //% # The whole trace
  //% Now everything on one page. Values and tangents are read downward (`v`), adjoints upward (`^`). The last column is
  //% what an entry hands out: its adjoint times the partial, as the table of lesson 1 has it.
  show(ad::terminal(ad::trace(tape, y, numbered)));
  ask("df/dx1 will stand here twice: as the tangent of v7, and as the adjoint of v_i. Which i?", 1, 0.0, "the adjoint of v_i is df/dv_i");
  expect("first", tape.tangent(y), tape.adjoint(x1));

  //% # At every cut
  //% Cut the tape anywhere between two entries. All that $x_1$ does to $f$ passes through the variables open at the cut. Each
  //% moves with its tangent, and $f$ moves with it by its adjoint, so
  //% $$\sum_{\text{open}} \bar{v}_i \dot{v}_i$$
  //% should be the same number at every cut.
  const auto pairing = ad::pairing(tape, y);
  ask("Before v7, v5 and v6 are open: adjoints 1 and -1, tangents 5.5 and 0. What is the sum?", pairing.cut[6]);
  //%hide
  std::string cuts;
  for (std::size_t i = 2; i < pairing.cut.size(); ++i) cuts += fmt::format("after v{}: {:.6f}\n", i, pairing.cut[i]);
  show(cuts);
  //%show
  expect("the same everywhere", pairing.ok);
  for (std::size_t i = 0; i < pairing.cut.size(); ++i) expect("at each cut", pairing.cut[i], 5.5, 1e-12);
  //% Forward and reverse mode sum the same products in two orders. A wrong rule in either would break this, and the entry
  //% where it breaks is named: the tests of this project do so with random programs.

  //% # One pass for all inputs
  //% A product of $n$ numbers has $n$ derivatives. Forward mode: $n$ passes. And reverse mode?
  const int n = parameter("n", 1000, 2, 100000);
  ad::Tape long_tape;
  const Eigen::VectorXd numbers = Eigen::VectorXd::LinSpaced(n, 0.99, 1.01);
  const auto w = long_tape.input(numbers);
  ad::Var product = w(0);
  for (int i = 1; i < n; ++i) product *= w(i);
  long_tape.reverse(product);
  const Eigen::VectorXd all = ad::adjoint(long_tape, w);
  ask("How many reverse sweeps for n = " + std::to_string(n) + " derivatives?", 1, 0.0);
  show("derivatives", all.size(), "entries", long_tape.length());
  show("bytes", long_tape.bytes());
  expect("d(product)/dx_i = product / x_i", all, (product.value() / numbers.array()).matrix().eval(), 1e-12);
  expect("n inputs, n - 1 products", static_cast<int>(long_tape.length()), 2 * n - 1);
  //% One, whatever $n$. What it costs is **memory**: the tape holds every step until it has been swept. For a network that
  //% runs through a long time this will matter, in lesson 6.

  //% # Backpropagation is the base case
  //% A network with two layers, as it stands in every textbook:
  //% $$u_1 = W_1 x, \quad h = \tanh(u_1), \quad u_2 = W_2 h, \quad L = \frac{1}{2} |u_2 - y^*|^2$$
  //% Error backpropagation (誤差逆伝播法) by hand gives $\delta_2 = u_2 - y^*$ and
  //% $\delta_1 = (W_2^\top \delta_2) \odot (1 - h^2)$. Where are they on the tape?
  Eigen::MatrixXd A(2, 2), B(1, 2);
  A << 0.5, -1.0, 1.5, 0.2;
  B << 1.0, -2.0;
  const Eigen::Vector2d x(1.0, 0.8);
  ad::Tape net;
  const auto W1 = net.input(A, "W1"), W2 = net.input(B, "W2");
  const ad::VectorX<ad::Var> u1 = W1 * x;
  const ad::VectorX<ad::Var> h = u1.array().tanh();
  const ad::VectorX<ad::Var> u2 = W2 * h;
  const ad::Var error = u2(0) - 0.3;
  const ad::Var L = error * error / 2;
  net.reverse(L);
  //%hide
  const double delta_2 = error.value();
  const Eigen::Vector2d h_values = ad::values(h);
  const Eigen::Vector2d delta_1 = (B.transpose() * delta_2).array() * (1 - h_values.array().square());
  const Eigen::Matrix2d outer = delta_1 * x.transpose();
  //%show
  ask("delta_2 = u_2 - 0.3 is " + number_text(delta_2) + ". What is the adjoint of u_2?", net.adjoint(u2(0)));
  show("delta_2", delta_2, "adjoint of u_2", net.adjoint(u2(0)));
  show("delta_1", delta_1, "adjoint of u_1", ad::adjoint(net, u1));
  expect("delta_2 is the adjoint of u_2", net.adjoint(u2(0)), delta_2);
  expect("delta_1 is the adjoint of u_1", ad::adjoint(net, u1), delta_1);
  //% The famous $\delta$ is an adjoint. And the weights' gradient, $\delta_1 x^\top$ by hand?
  show("delta_1 x^T", outer, "adjoint of W_1", ad::adjoint(net, W1));
  expect("dL/dW_1 = delta_1 x^T", ad::adjoint(net, W1), outer);
  expect("dL/dW_2 = delta_2 h^T", ad::adjoint(net, W2), (delta_2 * h_values.transpose()).eval());
  //% Backpropagation *is* reverse mode over a feed-forward network: the same sweep under another name.
  //%ja 誤差逆伝播法は，順伝播型ネットワークに対する逆モード自動微分である．
}
