// The double sum (Marschall, Cho and Savin 2020, JMLR 21:135; notes (1.6)): G_t = sum_{s<=t} diag(c_{t,s}) M_s, c_{t,s} = J_{s+1}^T ... J_t^T q_t.
//
// Every block dL_t/dtheta_s on its own, reusing c_{t,s} along a row: T (T-1) / 2 products with J. Without that reuse it
// would be (T^3 - T) / 6; BPTT and RTRL, which reuse along both, need T - 1. Memory O(T (d + n)).
#pragma once

#include <stdexcept>
#include <vector>

#include "rules/history.h"

namespace rules {

template <class T = double>
class DoubleSum {
 public:
  static constexpr Facing facing = Facing::neither;

  explicit DoubleSum(const rnn::Network<T>&, const rnn::Options& = {}) {}
  void reset() {
    past_.clear();
    kept_.clear();
    products_ = 0;
  }

  /// Keep c_{t,s}, T^2 d / 2 numbers, so that block(t, s) can be asked for. Call before the sequence.
  void keep_blocks() { keep_ = true; }

  /// Releases G_t = dL_t/dtheta, the sum of row t.
  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    past_.add(t);
    const Eigen::Index now = past_.length();
    local_.resize(t.error.size(), now);
    rnn::VectorX<T> c = t.error;  // c_{t,t} = q_t
    for (Eigen::Index s = now; s >= 1; --s) {
      local_.col(s - 1) = past_.slope[s].cwiseProduct(c);
      if (s == 1) break;
      c = (T(1) - past_.alpha) * c + past_.W_rec.transpose() * local_.col(s - 1);  // J_s^T c_{t,s} = c_{t,s-1}
      ++products_;
    }
    gradient_.noalias() = local_ * past_.z.all().transpose();
    if (keep_) kept_.push_back(local_);
    return gradient_;
  }
  const Gradient<T>& finish() { return nothing_; }

  /// dL_t/dtheta_s = diag(c_{t,s}) M_s; times from 1, zero for s > t. Throws std::logic_error if nothing was kept and
  /// std::out_of_range for times not seen.
  Gradient<T> block(Eigen::Index t, Eigen::Index s) const {
    if (!keep_) throw std::logic_error("rules::DoubleSum::block: call keep_blocks() before the sequence");
    for (const Eigen::Index time : {t, s})
      if (time < 1 || time > past_.length())
        throw std::out_of_range("rules::DoubleSum::block: time " + std::to_string(time) + " is not among 1 .. " +
                                std::to_string(past_.length()));
    if (s > t) return Gradient<T>::Zero(past_.slope[s].size(), past_.z[s].size());
    return kept_[static_cast<std::size_t>(t - 1)].col(s - 1) * past_.z[s].transpose();
  }
  /// Products of a vector with some J so far: T (T - 1) / 2.
  long products() const { return products_; }

 private:
  History<T> past_;
  std::vector<rnn::MatrixX<T>> kept_;  // [t-1]: phi_s c_{t,s}, d x t
  rnn::MatrixX<T> local_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
  bool keep_ = false;
  long products_ = 0;
};

}  // namespace rules
