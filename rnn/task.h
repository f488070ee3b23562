// Sequences to learn, and networks to begin with, drawn from a seed: the same numbers on every machine.
#pragma once

#include <Eigen/QR>
#include <cmath>
#include <vector>

#include "rnn/network.h"
#include "rnn/random.h"

namespace rnn {

/// A network before learning: W_rec orthogonal, W_in ~ N(0, 1/n), W_out ~ N(0, 1/d), b_rec = b_out = h_0 = 0 (Marschall,
/// Cho and Savin 2020). alpha = 1, tanh and squared loss unless changed.
inline Network<double> random_network(Eigen::Index n, Eigen::Index d, Eigen::Index m, Random& random) {
  Network<double> net;
  auto& theta = net.parameters;
  const Eigen::HouseholderQR<MatrixX<double>> qr(random.normal(d, d));
  theta.W_rec = qr.householderQ();
  for (Eigen::Index j = 0; j < d; ++j)  // with this sign every rotation is equally likely
    if (qr.matrixQR()(j, j) < 0) theta.W_rec.col(j) *= -1;
  theta.W_in = random.normal(d, n, 1 / std::sqrt(static_cast<double>(n)));
  theta.W_out = random.normal(m, d, 1 / std::sqrt(static_cast<double>(d)));
  theta.b_rec.setZero(d);
  theta.b_out.setZero(m);
  net.h_0.setZero(d);
  return net;
}

/// The lags of the Add task; each bit stays for `hold` steps, and lags count bits.
struct AddTask {
  Eigen::Index t1 = 6, t2 = 10, hold = 1;
};

/// The Add task (Marschall, Cho and Savin 2020): random bits x_t go in, p_t = 1/2 + x_{t-t1} / 2 - x_{t-t2} / 4 should come
/// out; two complementary channels each, [x_t, 1 - x_t] (n = 2) and [p_t, 1 - p_t] (m = 2), for Loss::softmax_ce. Bits
/// before t = 1 count as 0. Mean loss a step, remembering nothing: 0.6616; the first lag: 0.5192; both: 0.4545.
inline Sequence<double> add_task(Eigen::Index length, Random& random, AddTask task = {}) {
  if (task.t1 < 0 || task.t2 < 0 || task.hold < 1)
    throw std::invalid_argument("rnn::add_task: a lag is negative, or hold is below 1");
  std::vector<int> bits;
  for (Eigen::Index t = 0; t < length; t += task.hold) bits.push_back(random.bit());
  const auto bit = [&](Eigen::Index i) { return i < 0 ? 0 : bits[static_cast<std::size_t>(i)]; };
  Sequence<double> sequence{MatrixX<double>(2, length), MatrixX<double>(2, length)};
  for (Eigen::Index t = 0; t < length; ++t) {
    const Eigen::Index i = t / task.hold;
    const double p = 0.5 + 0.5 * bit(i - task.t1) - 0.25 * bit(i - task.t2);
    sequence.x.col(t) << bit(i), 1 - bit(i);
    sequence.target.col(t) << p, 1 - p;
  }
  return sequence;
}

}  // namespace rnn
