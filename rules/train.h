// A network that learns while it runs: at every step forward, the rule's update, its gradient, the optimizer.
#pragma once

#include "rnn/optimizer.h"
#include "rules/rule.h"

namespace rules {

/// When the parameters move: after every step, or once at the end of a sequence, by the sum of all its gradients.
enum class Moves { every_step, every_sequence };

/// Nothing is allocated in a step. The order of a step: forward, what the rule releases, the optimizer: a rule sees the
/// parameters of the step it is shown, and the next step runs with those it has changed.
template <class R>
requires Rule<R, double>
class Training {
 public:
  /// The network, which learns, and the rule must outlive it. `feedback`: see Loop. Throws std::invalid_argument where sizes
  /// do not fit.
  Training(rnn::Network<double>& net, R& rule, rnn::Optimizer optimizer, const rnn::MatrixX<double>& feedback = {},
           Moves moves = Moves::every_step)
      : net_(net), rule_(rule), optimizer_(std::move(optimizer)), loop_(net, feedback), moves_(moves) {
    gradient_ = zeros_like(net.parameters);
    restart();
  }

  /// A sequence begins: h = h_0, and the rule forgets.
  void restart() {
    loop_.restart();
    begin();
  }

  /// One step with x (n) and target (m); L_t is returned. `last`: the rule also releases the rest, and then forgets; h goes
  /// on unless restart() is called. `asked`: see Loop.
  double step(const Eigen::Ref<const rnn::VectorX<double>>& x, const Eigen::Ref<const rnn::VectorX<double>>& target,
              bool last = false, bool asked = true) {
    const Gradient<double>& released = loop_.advance(rule_, x, target, last, asked);
    if (moves_ == Moves::every_step) {
      set(released);
      gradient_.W_out.noalias() = loop_.error() * loop_.h().transpose();
      gradient_.b_out = loop_.error();
    } else {
      add(released, gradient_);
      gradient_.W_out.noalias() += loop_.error() * loop_.h().transpose();
      gradient_.b_out += loop_.error();
    }
    if (last) add(rule_.finish(), gradient_);
    if (last || moves_ == Moves::every_step) rnn::step(optimizer_, net_.parameters, gradient_);
    if (last) begin();
    return loop_.loss();
  }

  const Loop<double>& loop() const { return loop_; }

 private:
  void begin() {
    rule_.reset();
    if (moves_ == Moves::every_sequence) gradient_ = zeros_like(net_.parameters);
  }
  void set(const Gradient<double>& g) {
    if (g.size() == 0) {
      gradient_.W_rec.setZero(), gradient_.W_in.setZero(), gradient_.b_rec.setZero();
      return;
    }
    const Eigen::Index d = net_.d(), n = net_.n();
    rnn::detail::require_size("rules::Training", "the number of columns of the gradient", g.cols(), "d + n + 1",
                              d + n + 1);
    gradient_.W_rec = g.leftCols(d);
    gradient_.W_in = g.middleCols(d, n);
    gradient_.b_rec = g.col(d + n);
  }

  rnn::Network<double>& net_;
  R& rule_;
  rnn::Optimizer optimizer_;
  Loop<double> loop_;
  rnn::Parameters<double> gradient_;
  Moves moves_;
};

}  // namespace rules
