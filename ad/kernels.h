// The small dense loops under vector entries of a tape, where Eigen's general ones lose time.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

namespace ad::kernels {

using Map = Eigen::Map<Eigen::MatrixXd>;
using ConstMap = Eigen::Map<const Eigen::MatrixXd>;
using VectorMap = Eigen::Map<Eigen::VectorXd>;
using ConstVectorMap = Eigen::Map<const Eigen::VectorXd>;

/// y += A x for R rows of A, column after column, y in registers.
template <int R>
inline void add_rows(double* y, const double* A, Eigen::Index stride, const double* x, Eigen::Index cols) {
  using Rows = Eigen::Array<double, R, 1>;
  using ConstRows = Eigen::Map<const Rows>;
  Rows even = ConstRows(y), odd = Rows::Zero();  // two sums: neither waits for the other
  Eigen::Index j = 0;
  for (; j + 2 <= cols; j += 2) {
    even += x[j] * ConstRows(A + j * stride);
    odd += x[j + 1] * ConstRows(A + (j + 1) * stride);
  }
  if (j < cols) even += x[j] * ConstRows(A + j * stride);
  Eigen::Map<Rows>{y} = even + odd;
}

/// y += A x, A rows x cols column by column without gaps.
inline void add_product(double* y, const double* A, Eigen::Index rows, Eigen::Index cols, const double* x) {
  if (rows == 1) {
    y[0] += ConstVectorMap(A, cols).dot(ConstVectorMap(x, cols));
  } else if (rows > 128) {
    VectorMap(y, rows).noalias() += ConstMap(A, rows, cols) * ConstVectorMap(x, cols);
  } else {
    Eigen::Index i = 0;
    for (; i + 32 <= rows; i += 32) add_rows<32>(y + i, A + i, rows, x, cols);
    for (; i + 8 <= rows; i += 8) add_rows<8>(y + i, A + i, rows, x, cols);
    for (; i + 4 <= rows; i += 4) add_rows<4>(y + i, A + i, rows, x, cols);
    for (; i < rows; ++i) add_rows<1>(y + i, A + i, rows, x, cols);
  }
}

/// Eight hyperbolic tangents at once, to about one unit in the last place.
/// |x| < 0.625: x + x^3 P(x^2) / Q(x^2), the rational approximation of the Cephes library; else 1 - 2 / (exp(2|x|) + 1).
inline void tanh8(const double* x, double* y) {
  using Pack = Eigen::Array<double, 8, 1>;
  const Pack v = Eigen::Map<const Pack>(x), z = v * v, a = v.abs();
  const Pack P = (-9.64399179425052238628E-1 * z - 9.92877231001918586564E1) * z - 1.61468768441708447952E3;
  const Pack Q = ((z + 1.12811678491632931402E2) * z + 2.23548839060100448583E3) * z + 4.84406305325125486048E3;
  const Pack small = v + v * z * (P / Q);
  const Pack large = 1 - 2 / ((2 * a.min(20.0)).exp() + 1);
  for (int i = 0; i < 8; ++i) y[i] = a[i] < 0.625 ? small[i] : v[i] == v[i] ? std::copysign(large[i], v[i]) : v[i];
}

/// y = tanh(x), n numbers; x and y may be the same.
inline void tanh(const double* x, double* y, Eigen::Index n) {
  Eigen::Index i = 0;
  for (; i + 8 <= n; i += 8) tanh8(x + i, y + i);
  if (i == n) return;
  double rest[8] = {}, result[8];
  std::copy(x + i, x + n, rest);
  tanh8(rest, result);
  std::copy(result, result + (n - i), y + i);
}

}  // namespace ad::kernels
