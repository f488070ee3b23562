// BPTT by hand, in parts, so that each can be got wrong on purpose. Where none is, the result is the gradient.
//
//   c_t = q_t + (1 - alpha) c_{t+1} + W_rec^T (phi_{t+1} c_{t+1})        the recursion (notes (1.12)); c_t = dL/dh_t
//   dL/d[W_rec | W_in | b_rec] = sum_t (phi_t c_t) [h_{t-1}; x_t; 1]^T   the outer product; phi_t = alpha f'(u_t)
//   q_t = W_out^T e_t,  dL/dW_out = sum_t e_t h_t^T,  dL/db_out = sum_t e_t          the errors; e_t = dL_t/dv_t
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "rules/activation.h"
#include "rules/output_error.h"

namespace rules {

/// A gradient with its parts, right or wrong.
struct DerivedGradient {
  rnn::Parameters<double> gradient;            // dL/dtheta
  rnn::MatrixX<double> delta;                  // d x T: c_t = dL/dh_t
  std::vector<rnn::Parameters<double>> parts;  // [t-1], if asked for: dL_t/dtheta, or dL/dtheta_t
};

/// Which parts of a gradient are wanted: none, of each loss (dL_t/dtheta, rows of the double sum), or of each use of the
/// parameters (dL/dtheta_t, its columns).
enum class Parts { none, past, future };

/// What BPTT by hand is made of. Columns are times, column t - 1 belongs to time t.
struct Derivation {
  rnn::Network<double> net;
  rnn::Sequence<double> sequence;
  rnn::Run<double> run;
  rnn::MatrixX<double> f_prime;  // d x T, f'(u_t)

  // the errors
  rnn::MatrixX<double> e_readout;    // m x T: e_t where the readout's gradient is made
  rnn::MatrixX<double> e_back;       // m x T: e_t on its way back to h, in q_t
  rnn::MatrixX<double> B;            // m x d, W_out: q_t = B^T e_t
  double q_factor = 1;               // q_t is multiplied by it
  bool total_for_immediate = false;  // q_t is replaced by c_t
  bool own_missing = false;          // c_t lacks its own q_t: only what later losses send is there

  // the recursion
  double leak;                      // 1 - alpha
  rnn::MatrixX<double> back;        // d x d, W_rec^T: what takes phi_t c_t to c_{t-1}
  rnn::MatrixX<double> slope_back;  // d x T, phi_t there
  bool slope_behind = false;        // phi * (W_rec^T c) in place of W_rec^T (phi * c)
  enum class Cut { none, band, blocks, blocks_from_end, window } cut = Cut::none;
  Eigen::Index K = 0;  // steps that a cut leaves

  // the outer product
  rnn::MatrixX<double> slope;           // d x T, phi_t in the sum
  rnn::MatrixX<double> h_before, x;     // d x T, n x T: h_{t-1} in dL/dW_rec, x_t in dL/dW_in
  rnn::MatrixX<double> h_after;         // d x T: h_t in dL/dW_out
  rnn::VectorX<double> one;             // T, what b_rec acts on
  rnn::VectorX<double> weight;          // T, how often step t is counted by the recurrent parameters
  rnn::VectorX<double> weight_readout;  // T, and by the readout
  bool slope_on_columns = false;        // phi scales the columns, where sizes allow it
  bool W_rec_transposed = false, W_in_transposed = false, W_out_transposed = false;  // where square
  bool keep_W_out = true, keep_b_out = true;                                         // false: zeros

  /// Runs the network. Throws std::invalid_argument where sizes do not fit.
  Derivation(const rnn::Network<double>& network, const rnn::Sequence<double>& s)
      : net(network), sequence(s), run(rnn::run(network, s)) {
    const auto& theta = net.parameters;
    const Eigen::Index T = length();
    f_prime.resize(net.d(), T);
    e_readout.resize(net.m(), T);
    for (Eigen::Index t = 0; t < T; ++t) {
      f_prime.col(t) = slope_at(run.u.col(t));
      e_readout.col(t) = error(run.v.col(t), sequence.target.col(t));
    }
    e_back = e_readout;
    B = theta.W_out;
    leak = 1 - net.alpha;
    back = theta.W_rec.transpose();
    slope = slope_back = net.alpha * f_prime;
    h_before = run.h.leftCols(T);
    h_after = run.h.rightCols(T);
    x = sequence.x;
    one = weight = weight_readout = rnn::VectorX<double>::Ones(T);
  }

  Eigen::Index length() const { return sequence.length(); }
  /// f'(u), d.
  rnn::VectorX<double> slope_at(const rnn::VectorX<double>& u) const {
    rnn::VectorX<double> f;
    activate(net.activation, u, f);
    return rules::slope(net.activation, 1.0, u, f);
  }
  rnn::VectorX<double> error(const rnn::VectorX<double>& v, const rnn::VectorX<double>& target) const {
    return output_error(net.loss, v, target);
  }

  /// What this derivation comes to.
  DerivedGradient gradient(Parts parts = Parts::none) const {
    const auto& theta = net.parameters;
    const Eigen::Index T = length();
    rnn::MatrixX<double> q = q_factor * (B.transpose() * e_back);
    if (total_for_immediate) q = credits(q);
    DerivedGradient r{zeros_like(theta), credits(q), {}};
    if (own_missing) r.delta -= q;
    r.gradient = outer(r.delta, 0, T);
    if (parts == Parts::future) {
      for (Eigen::Index t = 0; t < T; ++t) r.parts.push_back(outer(r.delta.col(t), t, 1));
    } else if (parts == Parts::past) {
      for (Eigen::Index t = 0; t < T; ++t) r.parts.push_back(outer(rnn::MatrixX<double>::Zero(net.d(), 1), t, 1));
      for_each_diagonal(q, [&](Eigen::Index k, const auto& R) {  // R's column s - 1: what L_{s+k} sends to h_s
        if (own_missing && k == 0) return;
        for (Eigen::Index s = 0; s + k < T; ++s) recurrent(R.col(s), s, 1, r.parts[static_cast<std::size_t>(s + k)]);
      });
    }
    return r;
  }

 private:
  /// What c at times first + 1, ... + count hands to h one step earlier, all columns at once.
  rnn::MatrixX<double> pull(const rnn::MatrixX<double>& c, Eigen::Index first) const {
    const auto phi = slope_back.middleCols(first, c.cols());
    if (slope_behind) return leak * c + phi.cwiseProduct(back * c);
    return leak * c + back * phi.cwiseProduct(c);
  }
  /// Whether blocks or a window let the loss at time s + k reach time s (times from 1).
  bool reaches(Eigen::Index s, Eigen::Index k) const {
    if (cut == Cut::blocks) return (s - 1) / K == (s + k - 1) / K;
    if (cut == Cut::blocks_from_end) return (length() - s) / K == (length() - s - k) / K;
    return cut != Cut::window || s > length() - K;
  }
  /// visit(k, R) for k = 0, 1, ...: column s - 1 of R (d x (T - k)) is what the loss at s + k sends to h_s.
  template <class Visit>
  void for_each_diagonal(const rnn::MatrixX<double>& q, Visit&& visit) const {
    rnn::MatrixX<double> R = q;
    const Eigen::Index T = length(), depth = cut == Cut::none ? T : std::min(T, K);
    for (Eigen::Index k = 0; k < depth; ++k) {
      if (k > 0) R = pull(R.rightCols(T - k), 1).eval();
      if (cut == Cut::none || cut == Cut::band) {
        visit(k, R);
        continue;
      }
      rnn::MatrixX<double> kept = R;
      for (Eigen::Index s = 1; s + k <= T; ++s)
        if (!reaches(s, k)) kept.col(s - 1).setZero();
      visit(k, kept);
    }
  }
  /// c_t of all times.
  rnn::MatrixX<double> credits(const rnn::MatrixX<double>& q) const {
    rnn::MatrixX<double> c = q;
    if (cut == Cut::band) {
      c.setZero();
      for_each_diagonal(q, [&](Eigen::Index, const auto& R) { c.leftCols(R.cols()) += R; });
      return c;
    }
    for (Eigen::Index t = length() - 1; t >= 1; --t)  // from time t + 1 to time t
      if (!(cut == Cut::blocks && t % K == 0) && !(cut == Cut::blocks_from_end && (length() - t) % K == 0))
        c.col(t - 1) += pull(c.col(t), t);
    if (cut == Cut::window) c.leftCols(length() - K).setZero();
    return c;
  }
  /// Adds what c at `count` times, from time first + 1 on, makes of the recurrent parameters.
  void recurrent(const rnn::MatrixX<double>& c, Eigen::Index first, Eigen::Index count,
                 rnn::Parameters<double>& to) const {
    const auto phi = slope.middleCols(first, count);
    const rnn::MatrixX<double> counted = c * weight.segment(first, count).asDiagonal();
    const rnn::MatrixX<double> local = phi.cwiseProduct(counted);
    const auto before = h_before.middleCols(first, count), in = x.middleCols(first, count);
    const auto product = [&](const auto& z) -> rnn::MatrixX<double> {
      if (slope_on_columns && z.rows() == phi.rows()) return counted * phi.cwiseProduct(z).transpose();
      return local * z.transpose();
    };
    rnn::MatrixX<double> dW_rec = product(before), dW_in = product(in);
    if (W_rec_transposed) dW_rec.transposeInPlace();
    if (W_in_transposed && dW_in.rows() == dW_in.cols()) dW_in.transposeInPlace();
    to.W_rec += dW_rec;
    to.W_in += dW_in;
    to.b_rec += local * one.segment(first, count);
  }
  rnn::Parameters<double> outer(const rnn::MatrixX<double>& c, Eigen::Index first, Eigen::Index count) const {
    rnn::Parameters<double> g = zeros_like(net.parameters);
    recurrent(c, first, count, g);
    const rnn::MatrixX<double> e =
        e_readout.middleCols(first, count) * weight_readout.segment(first, count).asDiagonal();
    if (keep_W_out) g.W_out = e * h_after.middleCols(first, count).transpose();
    if (W_out_transposed && net.m() == net.d()) g.W_out.transposeInPlace();
    if (keep_b_out) g.b_out = e.rowwise().sum();
    return g;
  }
};

}  // namespace rules
