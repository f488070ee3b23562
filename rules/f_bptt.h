// F-BPTT (Marschall, Cho and Savin 2020): c_s = q_s + J_{s+1}^T (q_{s+1} + ... + J_t^T q_t), t = s + T' - 1; G = diag(c_s) M_s, released at t.
//
// Each use of the parameters, at s, is credited with the losses of its own T' steps s .. t: of the double sum a band of
// width T'. The last T' - 1 uses of a sequence see fewer losses; finish() releases them together.
// Memory O(T' (d + n)), time O(T' d^2 + d n) a step: T' - 1 products with W_rec^T.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "rules/rule.h"

namespace rules {

/// Options: truncation, T' >= 1 (throws std::invalid_argument below). Where weights change in between, J is made of the
/// slopes seen at each time and of W_rec as it is when c_s is computed: T' copies of J would be T' d^2 numbers.
/// The network must outlive the rule.
template <class T = double>
class FBptt {
 public:
  static constexpr Facing facing = Facing::future;

  explicit FBptt(const rnn::Network<T>& net, const rnn::Options& options = {})
      : net_(net), truncation_(options.truncation) {
    if (truncation_ < 1)
      throw std::invalid_argument("rules::FBptt: truncation is " + std::to_string(truncation_) +
                                  ", but a use of the parameters is credited with at least its own step's loss: 1");
    const Eigen::Index d = net.d(), k = d + net.n() + 1;
    z_.resize(k, 0), slope_.resize(d, 0), error_.resize(d, 0);
    gradient_.resize(d, k);
  }
  void reset() { now_ = 0, kept_.clear(); }

  /// Keep dL/dtheta_s of every time, d k numbers each, so that at(s) can be asked for. Call before the sequence.
  void keep_times() { keep_ = true; }

  /// At time t: releases what belongs to s = t - T' + 1, if there is such a time.
  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    const Eigen::Index here = place(++now_);
    if (here == z_.cols())  // more than ever before, and not yet T'
      for (auto* last : {&z_, &slope_, &error_})
        last->conservativeResize(Eigen::NoChange, std::min(truncation_, std::max<Eigen::Index>(16, 2 * here)));
    z_.col(here) << t.h_before, t.x, T(1);
    slope_.col(here) = t.slope;
    error_.col(here) = t.error;
    if (now_ < truncation_) return nothing_;
    const Eigen::Index oldest = now_ - truncation_ + 1;
    c_ = t.error;
    for (Eigen::Index s = now_; s > oldest; --s) pull(s);
    gradient_.setZero();
    release(oldest);
    return gradient_;
  }
  /// The last T' - 1 uses: every loss still to come is known to be none, so one sweep serves them all.
  const Gradient<T>& finish() {
    const Eigen::Index oldest = std::max<Eigen::Index>(1, now_ - truncation_ + 2);
    if (now_ < oldest) return nothing_;
    gradient_.setZero();
    c_ = error_.col(place(now_));
    for (Eigen::Index s = now_;; --s) {
      release(s);
      if (s == oldest) return gradient_;
      pull(s);
    }
  }

  /// After finish(): diag(c_s) M_s, times from 1. Throws std::logic_error if nothing was kept and std::out_of_range for
  /// times not seen.
  const Gradient<T>& at(Eigen::Index s) const {
    if (!keep_) throw std::logic_error("rules::FBptt::at: call keep_times() before the sequence");
    if (s < 1 || s > now_)
      throw std::out_of_range("rules::FBptt::at: time " + std::to_string(s) + " is not among 1 .. " +
                              std::to_string(now_));
    return kept_[static_cast<std::size_t>(s - 1)];
  }

 private:
  Eigen::Index place(Eigen::Index t) const { return (t - 1) % truncation_; }
  /// c <- q_{s-1} + J_s^T c
  void pull(Eigen::Index s) {
    local_ = slope_.col(place(s)).cwiseProduct(c_);
    c_ = error_.col(place(s - 1)) + (T(1) - net_.alpha) * c_;
    c_.noalias() += net_.parameters.W_rec.transpose() * local_;
  }
  /// G += diag(c) M_s
  void release(Eigen::Index s) {
    local_ = slope_.col(place(s)).cwiseProduct(c_);
    gradient_.noalias() += local_ * z_.col(place(s)).transpose();
    if (!keep_) return;
    kept_.resize(static_cast<std::size_t>(now_));
    kept_[static_cast<std::size_t>(s - 1)] = local_ * z_.col(place(s)).transpose();
  }

  const rnn::Network<T>& net_;
  Eigen::Index truncation_, now_ = 0;
  rnn::MatrixX<T> z_, slope_, error_;  // of the last T' steps, each in turn in the oldest one's place
  rnn::VectorX<T> c_, local_;
  Gradient<T> gradient_;
  std::vector<Gradient<T>> kept_;
  bool keep_ = false;
  const Gradient<T> nothing_;
};

}  // namespace rules
