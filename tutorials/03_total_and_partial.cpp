// Lesson 3: total and partial derivatives. Contributions add over paths; detach() holds something fixed.
#include "ad/operators.h"
#include "ad/trace/terminal.h"
#include "tutorials/lesson.h"

using namespace tutorials;
using ad::detach;

//%hide
// A reader's screen has 72 columns for code.
// clang-format off
//%show
LESSON(3, "Total and partial: contributions add over paths") {
  //% # Two answers
  //% The notes try the chain rule on $f(\theta) = \theta\, h(\theta) + \theta^2$ with $h(\theta) = 3\theta$. On one page
  //% they arrive at $2\theta + 3\theta = 5\theta$, on the next at $8\theta$. Which one is the derivative?
  //%ja ノートには 5θ と 8θ という二つの答えがある．どちらが正しいだろうか．
  const double theta = 3;
  const auto f = [](const auto& s, const auto& h) {
    return s * h + s * s;
  };
  const auto triple = [](const auto& s) { return 3 * s; };
  const auto total = [&](const auto& s) { return f(s, triple(s)); };
  show("f", total(theta), "4 theta^2", 4 * theta * theta);
  ask("With h put in, f = 4 theta^2. What is its derivative at theta = 3?", 24, 0.0, "8 theta");
  show("derivative", ad::derivative(total, theta));
  expect("f = 4 theta^2", total(theta), 4 * theta * theta);
  expect("8 theta", ad::derivative(total, theta), 8 * theta);
  //% $8\theta$. Yet $5\theta$ is a derivative, too, if not the one the notes meant: of what?

  //% # Who uses theta?
  //% Lesson 2 told us how to look: record $f$, sweep back, and see who hands something to $\theta$.
  ad::Tape tape;
  const ad::Var t = tape.input(theta, "theta");
  const ad::Var h = 3 * t;
  const ad::Var product = t * h;
  const ad::Var square = t * t;
  const ad::Var y = product + square;
  tape.name(h, "h");
  tape.reverse(y);
  show(ad::terminal(ad::trace(tape, y)));
  double through_h = 0, direct = 0;
  //%hide
  for (const auto& step : ad::adjoint_steps(tape, y))
    for (const auto& hand : step.hands_out)
      if (hand.to == t.id()) (step.entry == h.id() ? through_h : direct) += hand.amount;
  //%show
  ask("theta receives h = 9 from the product and 3 + 3 from the square. What comes through h?", through_h, "h's adjoint is theta, and dh/dtheta is 3");
  show("through h", through_h, "directly", direct);
  expect("through h", through_h, 9.0);
  expect("directly", direct, 15.0);
  expect("the sum", tape.adjoint(t), through_h + direct);
  //% $9 + 15 = 24$. And $15$ is $5\theta$.

  //% # Hold h still
  //% What if $\theta$ moves and $h$ does not? The answer has a name, the **partial derivative** (偏微分) at fixed $h$, and
  //% the notes write what is held as an index, $\left(\frac{\partial f}{\partial \theta}\right)_h$. By hand it is
  //% $h + 2\theta$.
  //%
  //% In a program, `detach` holds a number still: the same value, no derivative.
  const auto partial = [&](const auto& s) {
    return f(s, detach(triple(s)));
  };
  ask("h + 2 theta at theta = 3, h = 9?", 15);
  show("total", ad::derivative(total, theta));
  show("at fixed h", ad::derivative(partial, theta));
  expect("the value is the same", partial(theta), total(theta));
  expect("h + 2 theta", ad::derivative(partial, theta), 3 * theta + 2 * theta);
  //% Both are derivatives of $f$. They answer different questions, and the notation $\frac{\partial f}{\partial \theta}$ does
  //% not say which one was asked. (How the notes came to $5\theta$: step 5.)
  //%ja 全微分と偏微分は別の問いへの答えである．何を固定したかを書かなければ，記号だけでは区別できない．

  //% # The other path alone
  //% Now hold the $\theta$ that $f$ sees directly, and let only $h$ move. What should come out, if contributions add?
  const auto by_h = [&](const auto& s) {
    return f(detach(s), triple(s));
  };
  ask("Total 24, at fixed h 15. What comes through h alone?", 9);
  show("through h", ad::derivative(by_h, theta));
  expect("theta times 3", ad::derivative(by_h, theta), theta * 3);
  expect("the two paths add up to the total derivative", ad::derivative(by_h, theta) + ad::derivative(partial, theta), ad::derivative(total, theta));
  //% $$\frac{df}{d\theta} = \left(\frac{\partial f}{\partial \theta}\right)_h + \frac{\partial f}{\partial h} \frac{dh}{d\theta}$$
  //% the **total derivative** (全微分): every path from $\theta$ to $f$, each with the product along it, added up.

  //% # A coincidence
  //% How did the notes get $3\theta + 2\theta$? As $\frac{\partial f}{\partial h}\frac{dh}{d\theta} + 2\theta$: the path
  //% through $h$, and of the direct ones only $2\theta$; $h$ itself was lost. For $h = 3\theta$ the lost $h$ equals what
  //% stands in its place. Take $h = \theta^2$ instead: at $\theta = 3$ it has the same value, 9.
  const auto squared = [](const auto& s) { return s * s; };
  //%hide
  std::string table = "                     total   at fixed h   through h   theta h' + 2 theta\n";
  const auto row = [&](const std::string& name, const auto& inner) {
    const double all = ad::derivative([&](const auto& s) { return f(s, inner(s)); }, theta);
    const double fixed = ad::derivative([&](const auto& s) { return f(s, detach(inner(s))); }, theta);
    const double lost = theta * ad::derivative(inner, theta) + 2 * theta;
    table += fmt::format("h = {:15} {:6g}   {:10g}   {:9g}   {:18g}\n", name, all, fixed, all - fixed, lost);
    return Eigen::Vector3d(all, fixed, lost);
  };
  const Eigen::Vector3d linear = row("3 theta", triple), curved = row("theta^2", squared);
  show(table);
  //%show
  ask("h = theta^2 is 9 as well. What is the partial derivative at fixed h now?", curved(1), "h + 2 theta: only the value of h matters");
  expect("for h = 3 theta the slip is invisible", linear, Eigen::Vector3d(24, 15, 15));
  expect("for h = theta^2 the three differ", curved, Eigen::Vector3d(33, 15, 24));
  //% Held fixed, $h$ is a number: the partial derivative cannot know how it came about. The total derivative does, and the
  //% slip agrees with neither. A test whose numbers coincide finds nothing: this project tests at points where they do not.

  //% # The question in the notes
  //% The notes ask of a recurrent network (RNN), with state $h_t$, output $o_t$ and loss $L$: why is
  //% $$\frac{\partial L}{\partial h_t} = \left(\frac{\partial L}{\partial h_t}\right)_{o_t} + \left(\frac{\partial L}{\partial h_t}\right)_{h_{t+1}}$$
  //% a sum of a path through the output and a path through the next state? どうして？ Let us record one, two steps long.
  const double x[] = {0.5, -0.3}, target[] = {0.2, 0.6}, c = 1.5;
  ad::Tape time;
  const ad::Var w = time.input(0.8, "w");
  std::vector<ad::Var> state{time.input(0.4, "h_0")}, output, loss;
  for (int s = 1; s <= 2; ++s) {
    const ad::Var u = w * state.back() + x[s - 1];
    state.push_back(tanh(u));
    output.push_back(c * state.back());
    const ad::Var e = output.back() - target[s - 1];
    loss.push_back(e * e / 2);
    //%hide
    time.name(u, fmt::format("u_{}", s));
    time.name(state.back(), fmt::format("h_{}", s));
    time.name(output.back(), fmt::format("o_{}", s));
    time.name(loss.back(), fmt::format("L_{}", s));
    //%show
  }
  const ad::Var L = loss[0] + loss[1];
  time.reverse(L);
  //%hide
  time.name(L, "L");
  std::string users;
  double via_output = 0, via_next = 0;
  int uses = 0;
  for (const auto& step : ad::adjoint_steps(time, L))
    for (const auto& hand : step.hands_out)
      if (hand.to == state[1].id()) {
        ++uses;
        (step.entry == output[0].id() ? via_output : via_next) += hand.amount;
        users += fmt::format("{:24}  {:34} {:+.6f}\n", step.label + " = " + step.operation, ad::hand_out_text(hand), hand.amount);
      }
  show(users);
  //%show
  ask("How many entries use h_1?", uses, 0.0, "h_1 goes into o_1, and into ...");
  expect("two entries use h_1", uses, 2);
  //% One makes the output, one is on its way to $h_2$. The reason is nothing more than this: $h_1$ is used **twice**, and
  //% who is used twice receives twice. (Mind the notes' index: here it names the path a change goes *through*; in step 3 it
  //% named what is held.)

  //% # Two paths, two numbers
  //% So the adjoint of $h_1$ is a sum by construction, and each half can be named. The later notes write it as (1.12),
  //% $\delta_t = \tilde{\delta}_t + \delta_{t+1} J_{t+1}$: what $h_t$ does to $L_t$ at once, and what it does by way of
  //% $h_{t+1}$, whose own $\delta_{t+1}$ is known already.
  const double h_2 = state[2].value();
  const double delta_2 = time.adjoint(state[2]);
  const double J_2 = w.value() * (1 - h_2 * h_2);
  const double immediate = c * (output[0].value() - target[0]);
  ask(fmt::format("delta~_1 = {:.6f}, delta_2 = {:.6f}, J_2 = {:.6f}. What is delta_1?", immediate, delta_2, J_2), time.adjoint(state[1]));
  show("through o_1", via_output, "through h_2", via_next);
  show("adjoint of h_1", time.adjoint(state[1]));
  expect("the path through the output is delta~_1", via_output, immediate);
  expect("the path through the next state is delta_2 J_2", via_next, delta_2 * J_2, 1e-14);
  expect("together they are the adjoint", time.adjoint(state[1]), via_output + via_next, 1e-14);
  //%ja h_1 は出力 o_1 と次の状態 h_2 の両方に使われる．だから二つの経路の寄与が足される．それがノートの問いへの答えである．

  //% # The same with detach
  //% It is the example of $\theta$ and $h$ once more: write $L$ with *two places* for $h_1$, and hold one of them.
  const auto rest = [&](const auto& to_output, const auto& to_next) {
    const auto e_1 = c * to_output - target[0];
    const auto e_2 = c * tanh(w.value() * to_next + x[1]) - target[1];
    return (e_1 * e_1 + e_2 * e_2) / 2;
  };
  const double h_1 = state[1].value();
  const auto h_2_held = [&](const auto& s) { return rest(s, detach(s)); };
  const auto o_1_held = [&](const auto& s) { return rest(detach(s), s); };
  const auto none_held = [&](const auto& s) { return rest(s, s); };
  const double output_path = ad::derivative(h_2_held, h_1);
  const double next_path = ad::derivative(o_1_held, h_1);
  const double both = ad::derivative(none_held, h_1);
  show("h_2 held", output_path, "o_1 held", next_path, "none held", both);
  expect("h_2 held: the path through the output", output_path, via_output, 1e-14);
  expect("o_1 held: the path through the next state", next_path, via_next, 1e-14);
  expect("none held: the adjoint", both, time.adjoint(state[1]), 1e-14);
  //% To hold $h_2$ is to forget that the state is remembered. Learning rules do that on purpose, to save work; what they
  //% lose by it can be computed exactly, by this very cut. That is the second half of this course.

  //% # A weight is used at every time
  //% And $w$? It was used at both times. Give each use its own name, $w_1$ and $w_2$ (the notes' $\theta_s$): the gradient
  //% is the sum, equation (1.6).
  const auto unrolled = [&](const auto& s) {
    const auto first = tanh(s(0) * 0.4 + x[0]);
    const auto second = tanh(s(1) * first + x[1]);
    const auto e_1 = c * first - target[0], e_2 = c * second - target[1];
    return (e_1 * e_1 + e_2 * e_2) / 2;
  };
  const Eigen::Vector2d w_w(0.8, 0.8);
  const Eigen::Vector2d each = ad::gradient(unrolled, w_w);
  ask(fmt::format("dL/dw_1 = {:.6f} and dL/dw_2 = {:.6f}. What is dL/dw?", each(0), each(1)), each.sum());
  show("dL/dw_1", each(0), "dL/dw_2", each(1));
  show("adjoint of w", time.adjoint(w));
  expect("the sum over the times of use", time.adjoint(w), each.sum(), 1e-14);
  //% Backpropagation through time (経時的誤差逆伝播法, BPTT) is this sum, and the recursion (1.12) of step 7 is how it is found
  //% quickly.

  //% # What the notes drop
  //% One handwritten line stops after one step: it lets $h_t$ act on $L_t$ and $L_{t+1}$, but not beyond. Another has a sum
  //% where a product belongs, $\nabla L + \nabla g$ for $\nabla L\, \nabla g$. How much does that matter, in a sequence of
  //% 6 steps? The second column is $\frac{\partial L}{\partial h_t}$ by forward mode, for comparison.
  //%hide
  const int T = 6;
  const double input[] = {0.5, -0.3, 0.8, 0.1, -0.6, 0.4}, wanted[] = {0.2, 0.6, -0.4, 0.3, 0.9, -0.5};
  Eigen::VectorXd hs(T + 1), at_once(T + 2), jacobian(T + 2);
  at_once(T + 1) = jacobian(T + 1) = 0;
  hs(0) = 0.4;
  double sum_slip = 0;
  for (int s = 1; s <= T; ++s) {
    hs(s) = std::tanh(0.8 * hs(s - 1) + input[s - 1]);
    at_once(s) = c * (c * hs(s) - wanted[s - 1]);
    jacobian(s) = 0.8 * (1 - hs(s) * hs(s));
    if (s == 1) sum_slip = c + (c * hs(s) - wanted[s - 1]);
  }
  const auto credit_of = [&](int from) {  // dL/dh_from by forward mode
    return ad::derivative(
        [&](const auto& start) {
          auto now = start;
          std::decay_t<decltype(start)> all = (c * now - wanted[from - 1]) * (c * now - wanted[from - 1]) / 2;
          for (int s = from + 1; s <= T; ++s) {
            now = tanh(0.8 * now + input[s - 1]);
            all += (c * now - wanted[s - 1]) * (c * now - wanted[s - 1]) / 2;
          }
          return all;
        },
        hs(from));
  };
  Eigen::VectorXd delta = Eigen::VectorXd::Zero(T + 2), one_step(T), truth(T);
  for (int s = T; s >= 1; --s) {
    delta(s) = at_once(s) + delta(s + 1) * jacobian(s + 1);
    one_step(s - 1) = at_once(s) + at_once(s + 1) * jacobian(s + 1);
    truth(s - 1) = credit_of(s);
  }
  std::string lines = "  t   dL/dh_t     recursion   one step only\n";
  for (int s = 1; s <= T; ++s) lines += fmt::format("{:3}  {:9.6f}   {:9.6f}   {:9.6f}\n", s, truth(s - 1), delta(s), one_step(s - 1));
  ask("At how many of the 6 times is one step enough?", 2, 0.0, "at t = 6 nothing follows; at t = 5 one loss does");
  const double relative = (one_step - truth).norm() / truth.norm();
  show(lines);
  show("relative error of one step only", relative);
  show("dL_1/dh_1 as a product", at_once(1), "as a sum", sum_slip);
  //%show
  expect("the recursion is exact", delta.segment(1, T), truth, 1e-14);
  expect("at the last two times one step is enough", one_step.tail(2), truth.tail(2), 1e-14);
  expect("before, it is not", relative > 0.05);
  expect("a sum is not a product", std::abs(sum_slip - at_once(1)) > 0.1);
  //% Feed the *whole* $\delta_{t+1}$ into $\delta_t$, not only its first part, and every later loss is included: the
  //% recursion (1.12) of the later notes is the handwritten page, repaired.
}
