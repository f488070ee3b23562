// Exact rational numbers for networks: with them a derivative is right or wrong, not close.
#pragma once

#include <Eigen/Core>
#include <boost/multiprecision/cpp_int.hpp>

// Boost 1.74 asks every matrix for its const_iterator, which Eigen 3.4 declares as void for all that is not a vector.
namespace boost::multiprecision::detail {
// clang-format off
template <class M>
  requires requires { typename M::StorageKind; }
struct is_byte_container<M> : boost::false_type {};
// clang-format on
}  // namespace boost::multiprecision::detail

#include <boost/multiprecision/eigen.hpp>

#include "rnn/network.h"

namespace tests {

using Fraction =
    boost::multiprecision::number<boost::multiprecision::cpp_rational_backend, boost::multiprecision::et_off>;

/// Small fractions, the same each time, none of them zero.
class Fractions {
 public:
  Fraction next() {
    state_ = (state_ * 1103515245 + 12345) % 2147483648;
    const long over = static_cast<long>(state_ / 65536 % 19) - 9, under = static_cast<long>(state_ / 1024 % 7) + 2;
    return Fraction(over >= 0 ? over + 1 : over) / under;
  }
  rnn::MatrixX<Fraction> matrix(Eigen::Index rows, Eigen::Index cols) {
    return rnn::MatrixX<Fraction>::NullaryExpr(rows, cols, [&] { return next(); });
  }

 private:
  unsigned long state_ = 1;
};

}  // namespace tests
