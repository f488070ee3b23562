// The past of a sequence, for the rules that need it: O(T (d + n)) numbers.
#pragma once

#include <algorithm>

#include "rules/rule.h"

namespace rules {

/// Columns of a matrix that grows; memory is kept when it is emptied.
template <class T>
class Columns {
 public:
  void clear() { count_ = 0; }
  /// Room for one column more of this size, to be filled.
  auto add(Eigen::Index rows) {
    if (count_ == all_.cols() || all_.rows() != rows)
      all_.conservativeResize(rows, std::max<Eigen::Index>(16, 2 * count_));
    return all_.col(count_++);
  }
  Eigen::Index count() const { return count_; }
  auto all() const { return all_.leftCols(count_); }
  auto first(Eigen::Index t) const { return all_.leftCols(t); }
  auto operator[](Eigen::Index t) const { return all_.col(t - 1); }  // times from 1

 private:
  rnn::MatrixX<T> all_;
  Eigen::Index count_ = 0;
};

/// z_t, phi_t and q_t of every step so far, and the weights of the first: where weights move from step to step, J_s is made
/// of these.
template <class T>
struct History {
  Columns<T> z;      // k x T, z_t = [h_{t-1}; x_t; 1]
  Columns<T> slope;  // d x T, phi_t
  Columns<T> error;  // d x T, q_t = dL_t/dh_t
  rnn::MatrixX<T> W_rec;
  T alpha{1};

  void clear() { z.clear(), slope.clear(), error.clear(); }
  Eigen::Index length() const { return z.count(); }
  void add(const rnn::Transition<T>& t) {
    if (length() == 0) W_rec = t.W_rec, alpha = t.alpha;
    z.add(t.h_before.size() + t.x.size() + 1) << t.h_before, t.x, T(1);
    slope.add(t.slope.size()) = t.slope;
    error.add(t.error.size()) = t.error;
  }
};

}  // namespace rules
