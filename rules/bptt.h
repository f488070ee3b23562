// BPTT (Werbos 1990, Proc. IEEE 78:1550; notes (1.12)): c_t = q_t + J_{t+1}^T c_{t+1}, c_{T+1} = 0; G = sum_t diag(c_t) M_t.
//
// c_t = dL/dh_t is the notes' delta_t as a column, q_t = dL_t/dh_t, and M_t = phi_t z_t^T the immediate sensitivity.
// Memory O(T (d + n)), time O(d^2 + d n) a step; nothing is released before the sequence ends.
#pragma once

#include "rules/history.h"

namespace rules {

template <class T = double>
class Bptt {
 public:
  static constexpr Facing facing = Facing::future;

  explicit Bptt(const rnn::Network<T>&, const rnn::Options& = {}) {}
  void reset() { past_.clear(); }

  const Gradient<T>& observe(const rnn::Transition<T>& t) {
    past_.add(t);
    return nothing_;
  }

  const Gradient<T>& finish() {
    const Eigen::Index length = past_.length();
    const T leak = T(1) - past_.alpha;
    delta_.resize(past_.W_rec.rows(), length);
    local_.resize(past_.W_rec.rows(), length);
    rnn::VectorX<T> c = rnn::VectorX<T>::Zero(past_.W_rec.rows());  // J_{t+1}^T c_{t+1}
    for (Eigen::Index t = length; t >= 1; --t) {
      c += past_.error[t];
      delta_.col(t - 1) = c;
      local_.col(t - 1) = past_.slope[t].cwiseProduct(c);
      c = leak * c;
      c.noalias() += past_.W_rec.transpose() * local_.col(t - 1);
    }
    gradient_.noalias() = local_ * past_.z.all().transpose();  // sum_t (phi_t c_t) z_t^T, all outer products at once
    return gradient_;
  }

  /// After finish(): dL/dtheta_s = diag(c_s) M_s, column s of the double sum.
  Gradient<T> at(Eigen::Index s) const { return local_.col(s - 1) * past_.z[s].transpose(); }
  /// After finish(): delta_t = dL/dh_t, d x T.
  const rnn::MatrixX<T>& delta() const { return delta_; }

 private:
  History<T> past_;
  rnn::MatrixX<T> delta_, local_;
  Gradient<T> gradient_;
  const Gradient<T> nothing_;
};

}  // namespace rules
