// What RTRL is made of at each step, by the engine: the rules that approximate it are edits of these.
#pragma once

#include <functional>
#include <vector>

#include "rnn/alignment.h"
#include "rnn/rtrl.h"
#include "tests/networks.h"

namespace tests {

struct ForwardStep {
  rnn::MatrixX<double> J;          // d x d: dh_t/dh_{t-1}
  rnn::MatrixX<double> immediate;  // d x (d k): dh_t/dtheta at fixed h_{t-1}
  rnn::VectorX<double> e;          // m: dL_t/dv_t
};

inline std::vector<ForwardStep> forward_steps(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence) {
  std::vector<ForwardStep> steps;
  auto now = net;
  for (Eigen::Index t = 0; t < sequence.length(); ++t) {
    rnn::Rtrl<double> one(now);  // from P = 0 a single step leaves the immediate sensitivity
    one.advance(sequence.x.col(t), sequence.target.col(t));
    steps.push_back({one.J(), one.P(), one.gradient().b_out});  // v_t = W_out h_t + b_out: dL_t/db_out is e_t
    now.h_0 = one.h();
  }
  return steps;
}

/// M_t (d x k) of an immediate sensitivity: row i holds dh_i/dW_il.
inline rnn::MatrixX<double> compact(const rnn::MatrixX<double>& immediate) {
  const Eigen::Index d = immediate.rows();
  return rnn::MatrixX<double>::NullaryExpr(d, immediate.cols() / d,
                                           [&](Eigen::Index i, Eigen::Index l) { return immediate(i, l * d + i); });
}

using Edit = std::function<rnn::MatrixX<double>(const rnn::MatrixX<double>&)>;
inline rnn::MatrixX<double> as_it_is(const rnn::MatrixX<double>& a) { return a; }

/// P_t (d x (d k)) and G_t (d x k), [t-1].
struct Forward {
  std::vector<rnn::MatrixX<double>> P, G;
};
/// P_t = mask(edit(J_t) P_{t-1} + P~_t), G_t = (B^T e_t)^T P_t.
inline Forward edited(const std::vector<ForwardStep>& steps, const rnn::MatrixX<double>& B, const Edit& J,
                      const Edit& mask = as_it_is) {
  Forward r;
  rnn::MatrixX<double> P = 0 * steps[0].immediate;
  for (const ForwardStep& step : steps) {
    P = mask(J(step.J) * P + step.immediate);
    const rnn::VectorX<double> flat = P.transpose() * (B.transpose() * step.e);
    r.P.push_back(P);
    r.G.push_back(flat.reshaped(P.rows(), P.cols() / P.rows()));
  }
  return r;
}

}  // namespace tests
