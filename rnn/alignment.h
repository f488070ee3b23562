// How far two gradients point the same way.
#pragma once

#include "rnn/network.h"

namespace rnn {

/// [W_rec | W_in | b_rec] of parameters or of a gradient, d x (d + n + 1): what acts on [h_{t-1}; x_t; 1].
template <class S>
MatrixX<S> recurrent(const Parameters<S>& theta) {
  MatrixX<S> all(theta.W_rec.rows(), theta.W_rec.cols() + theta.W_in.cols() + 1);
  all << theta.W_rec, theta.W_in, theta.b_rec;
  return all;
}

/// Cosine of the angle between two gradients by one parameter; 1 where both are zero, 0 where one is. Of unit vectors:
/// squares of small numbers would be lost.
template <class A, class B>
double cosine(const Eigen::MatrixBase<A>& a, const Eigen::MatrixBase<B>& b) {
  const double x = a.stableNorm(), z = b.stableNorm();
  return x == 0 && z == 0 ? 1 : (a / (x > 0 ? x : 1)).cwiseProduct(b / (z > 0 ? z : 1)).sum();
}

struct Alignment {
  Blocks<double> each;      // of every parameter
  double recurrent, total;  // of W_rec, W_in, b_rec together; of all five
};
inline Alignment alignment(const Parameters<double>& a, const Parameters<double>& b) {
  Alignment r{};
  for_each_block([](auto, double& to, const auto& x, const auto& y) { to = cosine(x, y); }, r.each, a, b);
  r.recurrent = cosine(recurrent(a), recurrent(b)), r.total = cosine(flatten(a), flatten(b));
  return r;
}

}  // namespace rnn
