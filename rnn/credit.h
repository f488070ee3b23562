// Temporal credit assignment, block by block: dL_t/dtheta_s, what the use of the parameters at time s did to the loss at t.
#pragma once

#include <cmath>

#include "rnn/bptt.h"

namespace rnn {

/// The T x T picture of the double sum (1.6), (1.7): row t is a loss, column s a use of the parameters, s <= t.
/// Rows summed are RTRL's dL_t/dtheta (past-facing), columns summed BPTT's dL/dtheta_s (future-facing).
template <class T = double>
class Credit {
 public:
  /// Gives each time its own copy theta_s of the parameters on a tape, and sweeps it T times: once from each L_t.
  /// The blocks themselves, T (T + 1) / 2 times |theta| numbers, are kept only if asked for.
  /// Throws std::invalid_argument where sizes do not fit.
  Credit(const Network<T>& net, const Sequence<T>& sequence, bool keep_blocks = false) {
    ad::TapeOf<T> tape;
    const Unrolled<T> r = unroll(tape, net, sequence, {.copies = true});
    const Eigen::Index length = sequence.length();
    const Parameters<T> zero = zeros_like(net.parameters);
    row_sums_.assign(static_cast<std::size_t>(length), zero);
    column_sums_ = row_sums_;
    total_ = zero;
    for_each_block([&](auto, auto& norms) { norms.setZero(length, length); }, squares_);
    losses_.resize(length);
    for (Eigen::Index t = 1; t <= length; ++t) {
      losses_(t - 1) = r.losses[at(t)].value();
      tape.reverse(r.losses[at(t)]);
      for (Eigen::Index s = 1; s <= t; ++s) {
        const Parameters<T> block = map<T>(r.theta_at[at(s)], [&](const auto& x) -> T { return tape.adjoint(x); });
        row_sums_[at(t)] += block;
        column_sums_[at(s)] += block;
        for_each_block([&](auto, auto& norms, const auto& b) { norms(t - 1, s - 1) = b.squaredNorm(); }, squares_,
                       block);
        if (keep_blocks) blocks_.push_back(block);
      }
      // d theta_s / d theta = I: the adjoint that all copies together hand to theta
      total_ += map<T>(r.theta, [&](const auto& x) -> T { return tape.adjoint(x); });
    }
  }

  Eigen::Index length() const { return losses_.size(); }
  const VectorX<T>& losses() const { return losses_; }

  /// dL_t/dtheta_s, times from 1; zero for s > t. Throws std::logic_error if the blocks were not kept, and
  /// std::out_of_range for times that do not exist.
  Parameters<T> block(Eigen::Index t, Eigen::Index s) const {
    require(t), require(s);
    if (blocks_.empty())
      throw std::logic_error("rnn::Credit::block: the blocks were not kept: Credit(net, sequence, true)");
    return s > t ? zeros_like(total_) : blocks_[static_cast<std::size_t>((t - 1) * t / 2 + s - 1)];
  }
  /// dL_t/dtheta = sum over s <= t of the blocks: past-facing.
  const Parameters<T>& row_sum(Eigen::Index t) const { return require(t), row_sums_[at(t)]; }
  /// dL/dtheta_s = sum over t >= s of the blocks: future-facing.
  const Parameters<T>& column_sum(Eigen::Index s) const { return require(s), column_sums_[at(s)]; }
  /// dL/dtheta, as the tape itself adds it up.
  const Parameters<T>& total() const { return total_; }

  /// For each parameter, T x T: the squared Frobenius norm of block (t, s) at (t-1, s-1), zero for s > t.
  const Blocks<MatrixX<T>>& squared_norms() const { return squares_; }
  /// The norms themselves.
  Blocks<MatrixX<T>> norms() const {
    Blocks<MatrixX<T>> roots;
    for_each_block(
        [](auto, auto& to, const auto& from) {
          to = from.unaryExpr([](const T& x) -> T {
            using ad::sqrt;
            return sqrt(x);
          });
        },
        roots, squares_);
    return roots;
  }

 private:
  static std::size_t at(Eigen::Index t) { return static_cast<std::size_t>(t - 1); }
  void require(Eigen::Index t) const {
    if (t < 1 || t > length())
      throw std::out_of_range("rnn::Credit: time " + std::to_string(t) + " is not among 1 .. " +
                              std::to_string(length()));
  }

  VectorX<T> losses_;
  std::vector<Parameters<T>> blocks_, row_sums_, column_sums_;
  Parameters<T> total_;
  Blocks<MatrixX<T>> squares_;
};

}  // namespace rnn
