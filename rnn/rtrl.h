// Real-time recurrent learning is forward mode: h_t carries its derivatives by every parameter along, step by step.
#pragma once

#include <algorithm>
#include <vector>

#include "ad/eigen.h"
#include "rnn/network.h"
#include "rnn/tensor.h"

namespace rnn {

/// Runs the network one step at a time and keeps, instead of the past, P_t = dh_t/dtheta (1.17): the tangents of h_t, as
/// many as there are parameters, carried eight at a time.
/// Memory: d^2 (d + n + 1) numbers for P, whatever the length of the sequence.
template <class T = double>
class Rtrl {
  static constexpr int N = 8;
  using D = ad::Dual<T, N>;

 public:
  /// Starts at h_0. Throws std::invalid_argument where the network's sizes do not fit each other.
  explicit Rtrl(const Network<T>& net) : net_(net), theta_((check(net), cast<D>(net.parameters))) { reset(); }

  /// Back to the start of a sequence: h = h_0, which no parameter moves, P_0 = 0.
  void reset() {
    h_ = h_before_ = net_.h_0;
    P_.setZero(net_.d(), net_.d() * (net_.d() + net_.n() + 1));
    gradient_ = zeros_like(net_.parameters);
    x_ = u_ = v_ = {};
    loss_ = T(0);
  }

  /// From h_{t-1} and P_{t-1} to h_t and P_t, and on to L_t and dL_t/dtheta, in the same passes.
  /// x: n, target: m. Throws std::invalid_argument where they are not.
  void advance(const VectorX<T>& x, const VectorX<T>& target) {
    detail::require_size("rnn::Rtrl::advance", "the size of x", x.size(), "n", net_.n());
    detail::require_size("rnn::Rtrl::advance", "the size of target", target.size(), "m", net_.m());
    x_ = x;
    h_before_ = h_;
    const Eigen::Index all = size(theta_);
    for (Eigen::Index first = 0; first < all; first += N) {
      // The tangent of a parameter is a unit vector, that of h_{t-1} is P_{t-1}; W_out and b_out never move h.
      const int count = static_cast<int>(std::min<Eigen::Index>(N, all - first));
      const int moving = static_cast<int>(std::clamp<Eigen::Index>(P_.cols() - first, 0, count));
      for (int k = 0; k < count; ++k) element(theta_, first + k).tangent[k] = T(1);
      const Step<D> now = step(net_, theta_, before(first, moving), x_);
      const VectorX<D> v = output(theta_, now.h);
      const D loss = loss_t(net_.loss, v, target);
      for (int k = 0; k < moving; ++k)
        for (Eigen::Index i = 0; i < P_.rows(); ++i) P_(i, first + k) = now.h(i).tangent[k];
      for (int k = 0; k < count; ++k) {
        element(gradient_, first + k) = loss.tangent[k];
        element(theta_, first + k).tangent[k] = T(0);
      }
      if (first == 0) {
        const auto value = [](const D& s) -> T { return s.value; };
        u_ = now.u.unaryExpr(value);
        h_ = now.h.unaryExpr(value);
        v_ = v.unaryExpr(value);
        loss_ = loss.value;
      }
    }
  }

  /// Of the last step: L_t, and dL_t/dtheta, the sum of row t of the double sum (1.7).
  const T& loss() const { return loss_; }
  const Parameters<T>& gradient() const { return gradient_; }
  const VectorX<T>& u() const { return u_; }
  const VectorX<T>& h() const { return h_; }
  const VectorX<T>& v() const { return v_; }
  VectorX<T> y() const { return prediction(net_.loss, v_); }

  /// P_t as one matrix, d x d (d + n + 1): column c d + j is dh_t / dW_jc, W = [W_rec | W_in | b_rec].
  const MatrixX<T>& P() const { return P_; }
  /// P_t by one parameter, as in the notes: (i, j, k) is dh_i / dW_jk.
  Tensor3<T> P_W_rec() const { return {P_.leftCols(net_.d() * net_.d()), net_.d()}; }  // d x d x d
  Tensor3<T> P_W_in() const {
    return {P_.middleCols(net_.d() * net_.d(), net_.d() * net_.n()), net_.d()};
  }                                                              // d x d x n
  MatrixX<T> P_b_rec() const { return P_.rightCols(net_.d()); }  // d x d

  /// J_t = dh_t/dh_{t-1} of the last step, d x d: forward mode again, the directions now those of h_{t-1}.
  /// Throws std::logic_error before the first step.
  MatrixX<T> J() const {
    const Eigen::Index d = net_.d();
    if (u_.size() == 0) throw std::logic_error("rnn::Rtrl: J_t before the first step");
    MatrixX<T> j(d, d);
    for (Eigen::Index first = 0; first < d; first += N) {
      const int count = static_cast<int>(std::min<Eigen::Index>(N, d - first));
      VectorX<D> h = h_before_.unaryExpr([](const T& s) { return D(s); });
      for (int k = 0; k < count; ++k) h(first + k).tangent[k] = T(1);
      const Step<D> now = step(net_, theta_, h, x_);
      for (int k = 0; k < count; ++k)
        for (Eigen::Index i = 0; i < d; ++i) j(i, first + k) = now.h(i).tangent[k];
    }
    return j;
  }

  /// Bytes held from one step to the next.
  std::size_t bytes() const { return sizeof(T) * static_cast<std::size_t>(P_.size() + h_.size()); }

 private:
  VectorX<D> before(Eigen::Index first, int moving) const {
    VectorX<D> h = h_before_.unaryExpr([](const T& s) { return D(s); });
    for (int k = 0; k < moving; ++k)
      for (Eigen::Index i = 0; i < h.size(); ++i) h(i).tangent[k] = P_(i, first + k);
    return h;
  }

  Network<T> net_;
  Parameters<D> theta_;  // all tangents zero between two passes
  MatrixX<T> P_;
  VectorX<T> x_, h_before_, u_, h_, v_;
  T loss_{0};
  Parameters<T> gradient_;
};

/// The total by forward mode, and what each step gave.
template <class T>
struct RtrlRun {
  T loss;
  VectorX<T> losses;                    // T
  Parameters<T> gradient;               // dL/dtheta
  std::vector<Parameters<T>> per_step;  // [t-1]: dL_t/dtheta
};

/// The whole sequence. Throws std::invalid_argument where sizes do not fit.
template <class T>
RtrlRun<T> rtrl(const Network<T>& net, const Sequence<T>& sequence) {
  check(net, sequence);
  Rtrl<T> run(net);
  RtrlRun<T> r{T(0), VectorX<T>(sequence.length()), zeros_like(net.parameters), {}};
  for (Eigen::Index t = 0; t < sequence.length(); ++t) {
    run.advance(sequence.x.col(t), sequence.target.col(t));
    r.losses(t) = run.loss();
    r.loss += run.loss();
    r.gradient += run.gradient();
    r.per_step.push_back(run.gradient());
  }
  return r;
}

}  // namespace rnn
