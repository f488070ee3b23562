// Accumulate BP(lambda) (Pemberton and Costa 2024, TMLR): G_t = ((q_t + s g_t) .* phi_t) z_t^T; g_t = Theta [h_t; 1] predicts dL_{>t}/dh_t.
//
// Theta (d x (d + 1)) learns as accumulate TD(lambda) does. The trace E_t (d x d x (d + 1)) is what the prediction at
// t - 1 owes to Theta now and, through the network, before:
//   E_{ikl} <- gamma lambda sum_j (J_{t-1})_{ij} E_{jkl},  then E_{iil} += [h_{t-1}; 1]_l
//   delta = J_t^T (q_t + gamma g_t) - g_{t-1},  Theta_{kl} += lr sum_i delta_i E_{ikl},  from t = 2 on
// lambda = 0 looks one step ahead and needs no trace, O(d^2). Else memory d^2 (d + 1), time d^3 (d + 1): RTRL's order.
// With lambda = gamma = 1 and Theta fixed, a sequence's updates sum to the regression of g_t on the true dL_{>t}/dh_t.
#pragma once

#include <algorithm>

#include "rules/rule.h"

namespace rules {

/// At each step: the trace, delta and Theta first, then G_t with the new Theta. The network's weights descend G.
/// Nothing is predicted after a sequence's last step (Transition::last): g_T = 0. The trace begins at 0 with each
/// sequence; Theta stays. learn_at_end: Theta is fixed through a sequence and takes the sum of its updates in finish().
/// Options: gamma (1), lambda (1), lr (0.01), sg_factor s (1), the reference code's values; learn_at_end (false).
/// State: Theta, 0 unless given. No draws.
template <std::floating_point T = double>
class BpLambda {
 public:
  static constexpr Facing facing = Facing::future;

  explicit BpLambda(const rnn::Network<T>& net, const rnn::Options& options = {})
      : gamma_(static_cast<T>(options.gamma.value_or(1))),
        decay_(gamma_ * static_cast<T>(options.lambda.value_or(1))),
        lr_(static_cast<T>(options.lr.value_or(0.01))),
        factor_(static_cast<T>(options.sg_factor.value_or(1))),
        at_end_(options.learn_at_end),
        d_(net.d()) {
    Theta_ = options.start("Theta", rnn::MatrixX<double>::Zero(d_, d_ + 1)).template cast<T>();
    before_.resize(d_ + 1), now_.resize(d_ + 1);
    gradient_.resize(d_, d_ + net.n() + 1);
    reset();
  }
  void reset() {
    begins_ = true;
    update_.setZero(d_, d_ + 1);
    pending_.setZero(d_, d_ + 1);
    before_.setZero();
    if (decay_ != 0) E_.setZero(d_, d_ * (d_ + 1));
  }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    now_ << t.h, T(1);
    if (!begins_) {
      before_ << t.h_before, T(1);
      predict(t.last);
      delta_ = t.pull(t.error + gamma_ * g_);
      delta_.noalias() -= Theta_ * before_;
      advance_trace();
      (at_end_ ? pending_ : Theta_) += lr_ * update_;
    }
    begins_ = false;
    if (decay_ != 0) {
      J_ = t.slope.asDiagonal() * t.W_rec;
      J_.diagonal().array() += T(1) - t.alpha;
    }
    predict(t.last);
    credit_ = t.slope.cwiseProduct(t.error + factor_ * g_);
    gradient_.noalias() = credit_ * z_.transpose();
    return gradient_;
  }
  const Gradient<T>& finish() {
    Theta_ += pending_;
    pending_.setZero();
    return nothing_;
  }

  const rnn::MatrixX<T>& Theta() const { return Theta_; }     // d x (d + 1)
  const rnn::VectorX<T>& synthetic() const { return g_; }     // d, g_t
  const rnn::VectorX<T>& td_error() const { return delta_; }  // d, the error of the prediction at t - 1
  const rnn::MatrixX<T>& update() const { return update_; }   // d x (d + 1), sum_i delta_i E_i: before lr
  /// E_t, d x (d (d + 1)): column l d + k holds E_{.kl}.
  rnn::MatrixX<T> trace() const {
    if (decay_ != 0) return E_;
    rnn::MatrixX<T> only_now = rnn::MatrixX<T>::Zero(d_, d_ * (d_ + 1));
    for (Eigen::Index l = 0; l <= d_; ++l) only_now.middleCols(l * d_, d_).diagonal().setConstant(before_(l));
    return only_now;
  }

 private:
  void predict(bool last) {
    if (last)
      g_.setZero(d_);
    else
      g_.noalias() = Theta_ * now_;
  }
  /// E and sum_i delta_i E_i. E is sparse in one way only: what is added has E_{ikl} = 0 for i != k.
  void advance_trace() {
    if (decay_ == 0) {
      update_.noalias() = delta_ * before_.transpose();
      return;
    }
    J_ *= decay_;
    for (Eigen::Index first = 0; first <= d_; first += panel) {  // a few columns of Theta at a time stay in the cache
      const Eigen::Index count = std::min(panel, d_ + 1 - first);
      earlier_ = E_.middleCols(first * d_, count * d_);
      E_.middleCols(first * d_, count * d_).noalias() = J_ * earlier_;
      for (Eigen::Index l = first; l < first + count; ++l) {
        auto column = E_.middleCols(l * d_, d_);  // d x d: what the prediction owes to Theta_{.l}
        column.diagonal().array() += before_(l);
        update_.col(l).noalias() = column.transpose() * delta_;
      }
    }
  }

  static constexpr Eigen::Index panel = 4;
  T gamma_, decay_, lr_, factor_;
  bool at_end_, begins_ = true;
  Eigen::Index d_;
  rnn::MatrixX<T> Theta_, E_, earlier_, J_, update_, pending_;  // J: of the transition before
  rnn::VectorX<T> z_, before_, now_, g_, delta_, credit_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
