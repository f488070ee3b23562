// DNI (Jaderberg et al. 2017, ICML; as in Marschall, Cho and Savin 2020): G_t = (phi_t .* Theta [h_t; y*_t; 1]) z_t^T; the synthetic gradient predicts c_t = dL_{>=t}/dh_t.
//
// Theta (d x (d + m + 1)) learns from its own next prediction, as values do in temporal difference learning: its target
// at t - 1 is q_{t-1} + J_t^T Thetabar [h_t; y*_t; 1], made by a frozen copy Thetabar.
// DNI(b) knows no J: it learns Jt, which predicts h_t = Jt h_{t-1}; tanh keeps the target's prediction small, and q_t
// may come through random feedback (given to learn() or Training).
// Memory O(d (d + m) + d k), time the same a step.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>

#include "rules/rule.h"

namespace rules {

/// At each step, in this order, with s_t = [h_t; y*_t; 1]:
///   DNI(b) only: Jt <- Jt - J_lr (Jt h_{t-1} - h_t) h_{t-1}^T
///   Theta <- Theta - lr (Theta s_{t-1} - target) s_{t-1}^T,  target = q_{t-1} + J_t^T Thetabar s_t
///                                                   DNI(b): target = q_{t-1} + Jt^T tanh(Thetabar s_t)
///   every `refresh` steps: Thetabar <- Theta
///   G_t with the new Theta
/// At a sequence's first step q_0 = 0 and y*_0 = y*_1. The last loss of a sequence teaches Theta nothing: it would at the
/// step after, from s_{T+1}. What was learned stays from one sequence to the next, and so
/// does the count of steps since the last refresh.
/// Options: lr (0.001), refresh (5), J_lr (0.001), the reference code's values.
/// State: Theta; Thetabar (d x (d + m + 1), Theta unless given); Jt (d x d, W_rec unless given).
/// Draws: only Theta, if it is not given: N(0, 1 / (d + m + 1)), column by column, one entry before the first step's.
template <std::floating_point T = double>
class Dni {
 public:
  static constexpr Facing facing = Facing::future;

  explicit Dni(const rnn::Network<T>& net, const rnn::Options& options = {}) : Dni(net, options, false) {}
  void reset() { begins_ = true; }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    presynaptic(t, z_);
    if (begins_) q_before_.setZero(t.error.size()), target_before_ = t.target;
    before_ << t.h_before, target_before_, T(1);
    now_ << t.h, t.target, T(1);
    if (learns_J_) {
      error_.noalias() = Jt_ * t.h_before - t.h;
      Jt_.noalias() -= J_lr_ * error_ * t.h_before.transpose();
    }
    predicted_.noalias() = Thetabar_ * now_;
    if (learns_J_) {
      predicted_ = predicted_.unaryExpr([](const T& p) { return std::tanh(p); });
      learning_target_.noalias() = Jt_.transpose() * predicted_;
    } else {
      learning_target_ = t.pull(predicted_);
    }
    learning_target_ += q_before_;
    error_.noalias() = Theta_ * before_ - learning_target_;
    Theta_.noalias() -= lr_ * error_ * before_.transpose();
    if (++steps_ % refresh_ == 0) Thetabar_ = Theta_;
    q_before_ = t.error, target_before_ = t.target, begins_ = false;

    synthetic_.noalias() = Theta_ * now_;
    error_ = t.slope.cwiseProduct(synthetic_);
    gradient_.noalias() = error_ * z_.transpose();
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  const rnn::MatrixX<T>& Theta() const { return Theta_; }        // d x (d + m + 1)
  const rnn::MatrixX<T>& Thetabar() const { return Thetabar_; }  // d x (d + m + 1)
  const rnn::MatrixX<T>& Jt() const { return Jt_; }              // d x d; empty but for DNI(b)
  /// Theta s_t, d: the prediction of c_t that G_t is made of.
  const rnn::VectorX<T>& synthetic() const { return synthetic_; }
  /// The target that Theta s_{t-1} was drawn to, d.
  const rnn::VectorX<T>& target() const { return learning_target_; }

 protected:
  Dni(const rnn::Network<T>& net, const rnn::Options& options, bool learns_J)
      : lr_(static_cast<T>(options.lr.value_or(0.001))),
        J_lr_(static_cast<T>(options.J_lr.value_or(0.001))),
        refresh_(options.refresh),
        learns_J_(learns_J) {
    if (refresh_ < 1)
      throw std::invalid_argument("rules::Dni: refresh is " + std::to_string(refresh_) + ", but must be at least 1");
    const Eigen::Index d = net.d(), size = d + net.m() + 1;
    rnn::MatrixX<double> first = rnn::MatrixX<double>::Zero(d, size);
    if (!options.state.contains("Theta")) {
      rnn::Draws draws = options.draws;
      draws.next_step();
      first = draws.normals(d * size).reshaped(d, size) / std::sqrt(static_cast<double>(size));
    }
    first = options.start("Theta", first);
    Theta_ = first.template cast<T>();
    Thetabar_ = options.start("Thetabar", first).template cast<T>();
    if (learns_J_) Jt_ = options.start("Jt", net.parameters.W_rec.template cast<double>()).template cast<T>();
    before_.resize(size), now_.resize(size);
    gradient_.resize(d, d + net.n() + 1);
  }

 private:
  T lr_, J_lr_;
  Eigen::Index refresh_, steps_ = 0;
  bool learns_J_, begins_ = true;
  rnn::MatrixX<T> Theta_, Thetabar_, Jt_;
  rnn::VectorX<T> z_, before_, now_, q_before_, target_before_, predicted_, learning_target_, error_, synthetic_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

/// DNI(b) of Marschall, Cho and Savin 2020.
template <std::floating_point T = double>
class DniB : public Dni<T> {
 public:
  explicit DniB(const rnn::Network<T>& net, const rnn::Options& options = {}) : Dni<T>(net, options, true) {}
};

}  // namespace rules
