// The gradient of many sequences, on all cores.
#pragma once

#include <span>

#include "ad/parallel.h"
#include "rnn/long_sequence.h"

namespace rnn {

struct BatchGradient {
  double loss;                  // the sum over sequences
  VectorX<double> losses;       // one for each
  Parameters<double> gradient;  // of the sum
};

/// dL/dtheta of L = the sum over sequences, whose lengths may differ. The bits do not depend on the number of threads:
/// the sequences are divided into at most 64 parts, each is summed in order, and so are the parts.
/// Throws std::invalid_argument for no sequences, where sizes do not fit, and if the memory, for one sequence in one
/// thread, is too small; the text names the sequence.
inline BatchGradient batch_bptt(const Network<double>& net, std::span<const Sequence<double>> sequences,
                                ad::Pool& pool = ad::Pool::shared(), const ad::Memory& memory = {}) {
  if (sequences.empty()) throw std::invalid_argument("rnn::batch_bptt: there are no sequences");
  const std::size_t n = sequences.size(), in_a_part = (n + 63) / 64, parts = (n + in_a_part - 1) / in_a_part;
  BatchGradient r{0, VectorX<double>(static_cast<Eigen::Index>(n)), zeros_like(net.parameters)};
  std::vector<Parameters<double>> gradients(parts);
  pool.run(parts, [&](std::size_t part) {
    for (std::size_t i = part * in_a_part; i < std::min(n, (part + 1) * in_a_part); ++i) try {
        LongBptt one = long_bptt(net, sequences[i], memory);
        r.losses(static_cast<Eigen::Index>(i)) = one.loss;
        if (i == part * in_a_part)
          gradients[part] = std::move(one.gradient);
        else
          gradients[part] += one.gradient;
      } catch (const std::invalid_argument& e) {
        throw std::invalid_argument("rnn::batch_bptt: sequence " + std::to_string(i) + " of " + std::to_string(n) +
                                    ": " + e.what());
      }
  });
  for (const Parameters<double>& g : gradients) r.gradient += g;
  for (const double l : r.losses) r.loss += l;
  return r;
}

}  // namespace rnn
