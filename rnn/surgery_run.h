// A sequence recorded step by step, and the gradient that is put together from what comes up and down those steps.
#pragma once

#include "rnn/options.h"
#include "rnn/surgery_step.h"

namespace rnn {

/// The gradient of a whole sequence, and its parts.
struct Derived {
  double loss = 0;
  VectorX<double> losses;       // T
  Parameters<double> gradient;  // the sum of all parts
  /// [t-1]: of forward mode dL_t/dtheta, of reverse mode dL/dtheta_t; where the tape is cut into blocks, a block's
  /// share at its end.
  std::vector<Parameters<double>> per_step;
};

namespace detail {

/// A run of recorded steps, and the gradient that is being put together from it.
class Surgery {
 public:
  using Index = Eigen::Index;
  using Vector = VectorX<double>;
  using Matrix = MatrixX<double>;

  Surgery(const Network<double>& network, const Sequence<double>& shown, const Options& o, Path path,
          const Matrix& feedback)
      : net(network),
        sequence(shown),
        options(o),
        steps(network, shown, path, feedback),
        T(shown.length()),
        d(network.d()),
        k(network.d() + network.n() + 1) {
    result.losses.resize(T);
    result.gradient = zeros_like(net.parameters);
    for (Index t = 1; t <= T; ++t) {
      result.losses(t - 1) = at(t).loss;
      result.loss += at(t).loss;
      result.per_step.push_back(at(t).readout);
    }
  }

  const Network<double>& net;
  const Sequence<double>& sequence;
  const Options& options;
  EditedSteps steps;
  const Index T, d, k;
  Derived result;

  const EditedStep& at(Index t) const { return steps.at(t); }
  const Vector& h(Index t) const { return t == 0 ? net.h_0 : at(t).h; }
  /// G (d x k), or d k numbers column by column, becomes part of what time t is told.
  template <class G>
  void give(Index t, const Eigen::MatrixBase<G>& g) {
    const Matrix W = g.reshaped(d, k);
    auto& part = result.per_step[static_cast<std::size_t>(t - 1)];
    part.W_rec += W.leftCols(d);
    part.W_in += W.middleCols(d, k - d - 1);
    part.b_rec += W.col(k - 1);
  }
  Derived sum() {
    for (const auto& part : result.per_step) result.gradient += part;
    return std::move(result);
  }

  /// Reverse mode from h_last down to h_{first-1}: starts with c, gathers every q_s unless told not to, hands what
  /// comes to theta_s to each(s, G), and returns what comes out below.
  template <class F>
  Vector sweep(Index first, Index last, Vector c, bool losses, F&& each) const {
    for (Index s = last; s >= first; --s) {
      if (losses) c += at(s).credit;
      EditedStep::Pulled pulled = at(s).pull(c);
      each(s, pulled.theta);
      c = std::move(pulled.before);
    }
    return c;
  }
  Vector nothing() const { return Vector::Zero(d); }
  /// Each weight moves by itself: d k directions.
  auto each_weight() const { return Matrix::Identity(d * k, d * k); }
};

}  // namespace detail
}  // namespace rnn
