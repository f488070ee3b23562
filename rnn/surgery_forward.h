// Edits of forward mode: tangents carried up the steps, with J or the tangents replaced by something cheaper.
#pragma once

#include <cmath>
#include <optional>

#include "rnn/surgery_edit.h"
#include "rnn/surgery_run.h"

namespace rnn {

/// Which units keep a tangent of the weights into unit l: (i, l) is true if i is reached from l in at most n - 1 of the
/// connections that W_rec has, d x d.
inline MatrixX<bool> reached(const MatrixX<double>& W_rec, Eigen::Index n) {
  MatrixX<bool> there = MatrixX<bool>::Identity(W_rec.rows(), W_rec.rows());
  for (Eigen::Index step = 1; step < n; ++step) {
    const MatrixX<bool> before = there;
    for (Eigen::Index l = 0; l < there.cols(); ++l)
      for (Eigen::Index j = 0; j < there.rows(); ++j)
        if (before(j, l)) there.col(l).array() = there.col(l).array() || (W_rec.col(j).array() != 0);
    if (there == before) break;
  }
  return there;
}

/// What an edit of J detaches inside a step; a mask detaches nothing.
inline Path path_of(Edit::J j) {
  return j == Edit::J::leak       ? Path::leak
         : j == Edit::J::diagonal ? Path::diagonal
         : j == Edit::J::none     ? Path::none
                                  : Path::full;
}

namespace detail {

/// Forward mode, J edited: P_t = J_t P_{t-1} + P~_t, masked. Weights that W_rec does not have get no tangent from a
/// mask. A readout that leaks by kappa (e-prop's) adds up q_t^T (P_t + kappa P_{t-1} + ...).
inline Derived carry(Surgery& run, const Edit& edit, double kappa = 0) {
  const bool masked = edit.j == Edit::J::mask;
  const MatrixX<bool> there = masked ? reached(run.net.parameters.W_rec, edit.mask) : MatrixX<bool>();
  MatrixX<double> P = MatrixX<double>::Zero(run.d, run.d * run.k), filtered = P;
  if (edit.j == Edit::J::leak) {  // rflo's E: what is left of P, column l d + i for the weight onto unit i from l
    const MatrixX<double> E = run.options.start("E", MatrixX<double>::Zero(run.d, run.k));
    for (Eigen::Index c = 0; c < P.cols(); ++c) P(c % run.d, c) = E.data()[c];
  }
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    P = run.at(t).push(P, run.each_weight());
    if (masked)
      for (Eigen::Index c = 0; c < P.cols(); ++c) {  // column l d + j: the weight onto unit j from l
        const bool absent = c < run.d * run.d && run.net.parameters.W_rec.data()[c] == 0;
        for (Eigen::Index i = 0; i < run.d; ++i)
          if (absent || !there(i, c % run.d)) P(i, c) = 0;
      }
    filtered = kappa * filtered + P;
    run.give(t, filtered.transpose() * run.at(t).credit);
  }
  return run.sum();
}

/// sqrt(|a| / |b|), the ratio that gives two factors one size; 1 where there is nothing to share.
inline double balance(double a, double b) { return a > 0 && b > 0 ? std::sqrt(a / b) : 1; }

/// UORO: P ~ A B, projected on signs nu: A <- p0 J A + p1 nu, B <- B / p0 + nu^T P~ / p1.
inline Derived uoro(Surgery& run) {
  Draws draws = run.options.draws;
  MatrixX<double> A = run.options.start("A", MatrixX<double>::Zero(run.d, 1));
  MatrixX<double> B = run.options.start("B", MatrixX<double>::Zero(run.d, run.k));
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const VectorX<double> nu = draws.signs(run.d);
    const MatrixX<double> JA = run.at(t).push(A), projected = run.at(t).pull(nu).theta;
    const double p0 = balance(B.norm(), JA.norm()), p1 = balance(projected.norm(), std::sqrt(double(run.d)));
    A = p0 * JA + p1 * nu;
    B = B / p0 + projected / p1;
    run.give(t, run.at(t).credit.dot(A.col(0)) * B);
  }
  return run.sum();
}

/// KF-RTRL: P ~ A (x) B, as P~_t = z_t (x) diag(phi_t):
///   A <- nu_0 p0 A + nu_1 p1 z        B <- nu_0 J B / p0 + nu_1 diag(phi) / p1
inline Derived kf_rtrl(Surgery& run) {
  Draws draws = run.options.draws;
  MatrixX<double> A = run.options.start("A", MatrixX<double>::Zero(run.k, 1));
  MatrixX<double> B = run.options.start("B", MatrixX<double>::Zero(run.d, run.d));
  const MatrixX<double> still = MatrixX<double>::Zero(run.d, run.d), kicks = MatrixX<double>::Identity(run.d, run.d);
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const double nu0 = draws.sign(), nu1 = draws.sign();
    const VectorX<double> z =
        run.at(t).pull_u(VectorX<double>::Unit(run.d, 0)).theta.row(0);  // du_0 by its own weights
    const MatrixX<double> phi = run.at(t).push_u(still, kicks), JB = run.at(t).push(B);
    const double p0 = balance(JB.norm(), A.norm()), p1 = balance(phi.norm(), z.norm());
    A = nu0 * p0 * A + nu1 * p1 * z;
    B = nu0 / p0 * JB + nu1 / p1 * phi;
    run.give(t, B.transpose() * run.at(t).credit * A.transpose());
  }
  return run.sum();
}

/// R-KF-RTRL: P ~ A (x) B, projected on signs nu: A <- p0 A + p1 nu, B <- J B / p0 + nu^T P~ / p1.
inline Derived r_kf_rtrl(Surgery& run) {
  Draws draws = run.options.draws;
  MatrixX<double> A = run.options.start("A", MatrixX<double>::Zero(run.d, 1));
  MatrixX<double> B = run.options.start("B", MatrixX<double>::Zero(run.d, run.k));
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const VectorX<double> nu = draws.signs(run.d);
    const MatrixX<double> JB = run.at(t).push(B), projected = run.at(t).pull(nu).theta;
    const double p0 = balance(JB.norm(), A.norm()), p1 = balance(projected.norm(), std::sqrt(double(run.d)));
    A = p0 * A + p1 * nu;
    B = JB / p0 + projected / p1;
    run.give(t, A * (run.at(t).credit.transpose() * B));
  }
  return run.sum();
}

/// KeRNL: J ... J P~ is replaced by A diag(kappa)^s P~. The kernel is learned from how h really answers to noise, which
/// is a tangent here (by hand: a disturbed copy of the network; the two agree as sigma goes to 0).
inline Derived learned_kernel(Surgery& run) {
  using Matrix = MatrixX<double>;
  const auto& o = run.options;
  Draws draws = o.draws;
  const double lr = o.lr.value_or(5), sigma = o.sigma.value_or(1e-3);
  Matrix A = o.start("A", Matrix::Identity(run.d, run.d)), gamma = o.start("gamma", Matrix::Constant(run.d, 1, 0.8));
  Matrix moved = o.start("zeta", Matrix::Zero(run.d, 1)), zeta;
  Matrix Omega = o.start("Omega", Matrix::Zero(run.d, 1)), Gamma = o.start("Gamma", Matrix::Zero(run.d, 1));
  Matrix E = o.start("E", Matrix::Zero(run.d, run.k));
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const Matrix answer = run.at(t).push(moved);
    zeta = Matrix::NullaryExpr(run.d, 1, [&] { return draws.noise(sigma); });
    moved = answer + zeta;
    const Matrix kappa = (1 - gamma.array()).max(0);
    Gamma = kappa.cwiseProduct(Gamma) - Omega;
    Omega = kappa.cwiseProduct(Omega) + zeta;
    const Matrix err = A * Omega - (o.timing == Timing::aligned ? moved : answer);
    gamma -= lr * (A.transpose() * err).cwiseProduct(Gamma);
    A -= lr * err * Omega.transpose();
    E = kappa.col(0).asDiagonal() * E + run.at(t).pull(VectorX<double>::Ones(run.d)).theta;  // + M_t
    run.give(t, (A.transpose() * run.at(t).credit).asDiagonal() * E);
  }
  return run.sum();
}

/// What a perturbation rule draws: normal numbers, or signs; one column for each sample.
inline MatrixX<double> drawn(Draws& draws, const Options& o, Eigen::Index rows) {
  return o.signs ? draws.signs(rows) : draws.normals(rows);
}
inline void require_samples(const Options& o) {
  if (o.samples < 1)
    throw std::invalid_argument("rnn::derived: samples is " + std::to_string(o.samples) + ", but must be at least 1");
}

/// One tangent: the weights move along V, G_t = (dL_t/dtheta V) V. That is the forward gradient, and weight
/// perturbation as its noise goes to 0: there the outputs' weights may move too, and V may be drawn anew at each step,
/// with a trace.
inline Derived one_tangent(Surgery& run, bool outputs, std::optional<double> lambda) {
  const Options& o = run.options;
  require_samples(o);
  Draws draws = o.draws;
  const Eigen::Index m = run.net.m();
  struct Sample {
    MatrixX<double> V, hdot, trace, on_W_out, on_b_out;
  };
  std::vector<Sample> samples(static_cast<std::size_t>(o.samples));
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const EditedStep& now = run.at(t);
    for (Sample& s : samples) {
      if (t == 1) s.hdot.setZero(run.d, 1), s.trace.setZero(run.d * run.k, 1);
      if (t == 1 || lambda) {
        s.V = drawn(draws, o, run.d * run.k);
        s.trace = lambda.value_or(0) * s.trace + s.V;
        if (outputs) s.on_W_out = drawn(draws, o, m * run.d).reshaped(m, run.d), s.on_b_out = drawn(draws, o, m);
      }
      s.hdot = now.push(s.hdot, s.V);
      double Ldot = now.credit.dot(s.hdot.col(0));
      if (outputs) Ldot += now.readout.W_out.cwiseProduct(s.on_W_out).sum() + now.readout.b_out.dot(s.on_b_out.col(0));
      run.give(t, Ldot / static_cast<double>(o.samples) * s.trace);
    }
  }
  return run.sum();
}

/// Node perturbation as its noise goes to 0: u_t moves along xi_t, and what L does is laid along sum_t xi_t z_t^T, the
/// pullback of xi_t from u_t to the weights; with a trace at each step, or at the end for the whole sequence.
inline Derived noise_on_units(Surgery& run) {
  const Options& o = run.options;
  require_samples(o);
  Draws draws = o.draws;
  struct Sample {
    MatrixX<double> hdot, trace;
    double total = 0;
  };
  std::vector<Sample> samples(static_cast<std::size_t>(o.samples),
                              {MatrixX<double>::Zero(run.d, 1), MatrixX<double>::Zero(run.d, run.k)});
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const EditedStep& now = run.at(t);
    for (Sample& s : samples) {
      const MatrixX<double> xi = drawn(draws, o, run.d);
      s.hdot = now.push_u(s.hdot, xi);
      s.trace = o.lambda.value_or(1) * s.trace + now.pull_u(xi).theta;
      double Ldot = now.credit.dot(s.hdot.col(0));
      if (o.perturb_outputs) Ldot += now.readout.b_out.dot(drawn(draws, o, run.net.m()).col(0));
      s.total += Ldot;
      if (o.lambda) run.give(t, Ldot / static_cast<double>(o.samples) * s.trace);
      if (!o.lambda && t == run.T) run.give(t, s.total / static_cast<double>(o.samples) * s.trace);
    }
  }
  return run.sum();
}

/// Activity-based perturbation as its noise goes to 0: what L_t does is laid along what u_t does, step by step.
inline Derived movement_of_units(Surgery& run) {
  const Options& o = run.options;
  require_samples(o);
  Draws draws = o.draws;
  const Eigen::Index m = run.net.m();
  const double scale = std::sqrt(static_cast<double>(run.net.n() + run.d + m)) / static_cast<double>(o.samples);
  std::vector<MatrixX<double>> moving(static_cast<std::size_t>(o.samples), MatrixX<double>::Zero(run.d, 1));
  for (Eigen::Index t = 1; t <= run.T; ++t) {
    draws.next_step();
    const EditedStep& now = run.at(t);
    for (MatrixX<double>& hdot : moving) {
      const MatrixX<double> xi = drawn(draws, o, run.d), udot = now.movement_of_u(hdot, xi);
      hdot = now.push_u(hdot, xi);
      double Ldot = now.credit.dot(hdot.col(0));
      if (o.perturb_outputs) Ldot += now.readout.b_out.dot(drawn(draws, o, m).col(0));
      if (udot.squaredNorm() > 0) run.give(t, now.pull_u(scale * Ldot / udot.squaredNorm() * udot).theta);
    }
  }
  return run.sum();
}

}  // namespace detail
}  // namespace rnn
