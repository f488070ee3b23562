// A gradient that somebody claims to be right: numbers, whoever made them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rnn/network.h"

namespace rules {

/// What somebody says a gradient is: any of its arrays. A matrix may come in its transposed shape; that will be told.
struct Claim {
  using Arrays = std::map<std::string, rnn::MatrixX<double>,
                          std::less<>>;         // of W_rec, W_in, b_rec, W_out, b_out; vectors: one column
  Arrays gradient{};                            // dL/dtheta
  std::vector<Arrays> per_step{};               // [t-1], all with the same names: dL_t/dtheta, or dL/dtheta_t
  std::optional<rnn::MatrixX<double>> delta{};  // T x d, row t-1: dL/dh_t
};
/// All five parameters of a gradient as a claim.
inline Claim claim(const rnn::Parameters<double>& gradient) {
  Claim c;
  for_each_block([&](std::string_view name, const auto& b) { c.gradient[std::string(name)] = b; }, gradient);
  return c;
}

}  // namespace rules
