// RTRL by forward mode over whole vectors: each step is recorded, and its tangents swept up as products of matrices.
#pragma once

#include "ad/panel_sweep.h"
#include "rnn/recorded_step.h"

namespace rnn {

/// The same as Rtrl<double> (rnn/rtrl.h), which carries eight tangents a number, but with a panel of directions a sweep. What
/// a parameter moves like is one by one; what h_{t-1} moves like is P_{t-1}; the tape of one step says how h_t and L_t do.
/// Memory: P, d^2 (d + n + 1) numbers, and the tangents of one step in a panel of at most 64 directions.
class PanelRtrl {
 public:
  /// Starts at h_0. Throws std::invalid_argument where the network's sizes do not fit each other.
  explicit PanelRtrl(const Network<double>& net) : net_((check(net), net)) { reset(); }

  /// Back to the start of a sequence: h = h_0, which no parameter moves, P_0 = 0.
  void reset() {
    h_ = net_.h_0;
    P_.setZero(net_.d(), net_.d() * (net_.d() + net_.n() + 1));
    gradient_.setZero(size(net_.parameters));
    loss_ = 0;
  }

  /// From h_{t-1} and P_{t-1} to h_t and P_t, and on to L_t and dL_t/dtheta.
  /// x: n, target: m. Throws std::invalid_argument where they are not.
  void advance(const VectorX<double>& x, const VectorX<double>& target) {
    detail::require_size("rnn::PanelRtrl::advance", "the size of x", x.size(), "n", net_.n());
    detail::require_size("rnn::PanelRtrl::advance", "the size of target", target.size(), "m", net_.m());
    ad::Tape tape;
    const auto& [W_rec, W_in, b_rec, W_out, b_out] = net_.parameters;
    const std::tuple theta(input(tape, W_rec), input(tape, W_in), input(tape, b_rec), input(tape, W_out),
                           input(tape, b_out));
    const ad::VarMatrix h_before = input(tape, h_);
    ad::PanelSweep sweep(tape, tape.length());
    const auto [h, loss] = recorded_step(net_, theta, h_before, x, target);

    Eigen::Index direction = 0;
    std::apply([&](const auto&... block) { ((sweep.move_each(block, direction), direction += block.size()), ...); },
               theta);
    sweep.move_along(h_before, 0, {P_.data(), P_.rows(), P_.cols(), Eigen::OuterStride<>(P_.rows())});
    const Eigen::Index all = direction, recurrent = P_.cols();
    const Eigen::Index width = std::clamp<Eigen::Index>(2048 / net_.d(), 16, 64);  // tangents that stay in a cache
    for (Eigen::Index first = 0, count; first < all; first += count) {
      count = std::min(width, (first < recurrent ? recurrent : all) - first);
      sweep.run(first, count);
      if (first < recurrent) P_.middleCols(first, count) = sweep.tangents(h);  // nobody reads the old ones again
      gradient_.segment(first, count) = sweep.tangents(loss).transpose();
    }
    h_ = h.values();
    loss_ = loss.value();
  }

  /// Of the last step: L_t, and dL_t/dtheta, the sum of row t of the double sum (1.7).
  double loss() const { return loss_; }
  Parameters<double> gradient() const { return unflatten(net_.parameters, gradient_); }
  const VectorX<double>& h() const { return h_; }
  /// P_t, d x d (d + n + 1): column c d + j is dh_t / dW_jc, W = [W_rec | W_in | b_rec].
  const MatrixX<double>& P() const { return P_; }

 private:
  Network<double> net_;
  MatrixX<double> P_;
  VectorX<double> h_, gradient_;
  double loss_ = 0;
};

}  // namespace rnn
