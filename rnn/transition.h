// All that a learning rule written by hand may know of one time step.
#pragma once

#include "rnn/network.h"

namespace rnn {

/// The transition h_{t-1} -> h_t with its loss, as views: nothing is copied, and all is gone when the next step begins.
template <class T>
struct Transition {
  using View = Eigen::Ref<const VectorX<T>>;

  View h_before, x;         // d, n: presynaptic, h_{t-1} and x_t
  View u, h;                // d: (1.1), (1.2)
  View slope;               // d: phi_t = alpha f'(u_t); alpha is in it, and nowhere else
  const MatrixX<T>& W_rec;  // d x d
  T alpha;
  View error;         // d: dL_t/dh_t, the immediate credit of the notes, as a column
  View output_error;  // m: e_t = dL_t/dv_t
  View target;        // m
  bool last;          // no step follows
  bool asked = true;  // false: what the network says here costs nothing, L_t = 0

  /// J_t v, J_t = dh_t/dh_{t-1} = (1 - alpha) I + diag(slope) W_rec. v: d, or several columns.
  template <class V>
  auto push(const Eigen::MatrixBase<V>& v) const {
    return ((T(1) - alpha) * v.derived() + slope.asDiagonal() * (W_rec * v.derived())).eval();
  }
  /// J_t^T c. c: d, or several columns.
  template <class C>
  auto pull(const Eigen::MatrixBase<C>& c) const {
    return ((T(1) - alpha) * c.derived() + W_rec.transpose() * (slope.asDiagonal() * c.derived())).eval();
  }
};

}  // namespace rnn
