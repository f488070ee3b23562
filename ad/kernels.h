// The small dense loops under matrix entries of a tape, where Eigen's general ones lose time.
//
// They read and write eight numbers at a time wherever these lie, so that no bit of a result depends on where an operand
// stands. Templates, so that a file pays for what it uses.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

namespace ad::kernels {

using Eigen::Index;
using Map = Eigen::Map<Eigen::MatrixXd>;
using ConstMap = Eigen::Map<const Eigen::MatrixXd>;
using VectorMap = Eigen::Map<Eigen::VectorXd>;
using ConstVectorMap = Eigen::Map<const Eigen::VectorXd>;

/// N numbers side by side.
template <int N>
struct PackOf {
  typedef double type __attribute__((vector_size(sizeof(double) * N), aligned(8), may_alias));
};
template <>
struct PackOf<1> {
  using type = double;
};
template <int N>
using Pack = typename PackOf<N>::type;
template <int N>
[[gnu::always_inline]] inline Pack<N>& pack(double* p) {
  return *reinterpret_cast<Pack<N>*>(p);
}
template <int N>
[[gnu::always_inline]] inline const Pack<N>& pack(const double* p) {
  return *reinterpret_cast<const Pack<N>*>(p);
}

/// f.operator()<N>(i) for packs of N = 8, 4, 2, 1 that cover 0 .. n-1.
template <class F>
[[gnu::always_inline]] inline void by_packs(Index n, F&& f) {
  Index i = 0;
  for (; i + 8 <= n; i += 8) f.template operator()<8>(i);
  if (n & 4) f.template operator()<4>(i), i += 4;
  if (n & 2) f.template operator()<2>(i), i += 2;
  if (n & 1) f.template operator()<1>(i);
}

/// y = s x
inline void set(double* y, double s, const double* x, Index n) {
  by_packs(n, [=]<int N>(Index i) { pack<N>(y + i) = s * pack<N>(x + i); });
}
/// y += s x
inline void add(double* y, double s, const double* x, Index n) {
  by_packs(n, [=]<int N>(Index i) { pack<N>(y + i) += s * pack<N>(x + i); });
}
/// y += s (x - z)
inline void add_difference(double* y, double s, const double* x, const double* z, Index n) {
  by_packs(n, [=]<int N>(Index i) { pack<N>(y + i) += s * (pack<N>(x + i) - pack<N>(z + i)); });
}

/// The sum of what f.operator()<N>(sum, i) adds to `sum`, a pack of N = 8, and from where these end, of 1.
template <class F>
[[gnu::always_inline]] inline double total(Index n, F&& f) {
  Pack<8> eight{};
  double one = 0;
  Index i = 0;
  for (; i + 8 <= n; i += 8) f.template operator()<8>(eight, i);
  for (; i < n; ++i) f.template operator()<1>(one, i);
  return one + (((eight[0] + eight[4]) + (eight[2] + eight[6])) + ((eight[1] + eight[5]) + (eight[3] + eight[7])));
}
inline double sum(const double* x, Index n) {
  return total(n, [=]<int N>(Pack<N>& sum, Index i) { sum += pack<N>(x + i); });
}
/// x . z
inline double dot(const double* x, const double* z, Index n) {
  return total(n, [=]<int N>(Pack<N>& sum, Index i) { sum += pack<N>(x + i) * pack<N>(z + i); });
}
/// |x - z|^2
inline double squared_distance(const double* x, const double* z, Index n) {
  return total(n, [=]<int N>(Pack<N>& sum, Index i) {
    const Pack<N> r = pack<N>(x + i) - pack<N>(z + i);
    sum += r * r;
  });
}

/// y += s A x for R rows of A, column after column. The sum stays in registers, as several that do not wait for each other.
template <int R, class T>
void add_rows(T* y, const T* A, Index stride, Index cols, const T* x, T s) {
  constexpr int N = R < 8 ? R : 8, packs = R / N, sums = packs >= 8 ? 1 : packs >= 4 ? 2 : 4;
  Pack<N> sum[sums][packs]{};
  Index j = 0;
  for (; j + sums <= cols; j += sums, A += sums * stride)
    for (int m = 0; m < sums; ++m)
      for (int k = 0; k < packs; ++k) sum[m][k] += x[j + m] * pack<N>(A + m * stride + N * k);
  for (; j < cols; ++j, A += stride)
    for (int k = 0; k < packs; ++k) sum[0][k] += x[j] * pack<N>(A + N * k);
  for (int m = 1; m < sums; ++m)
    for (int k = 0; k < packs; ++k) sum[0][k] += sum[m][k];
  for (int k = 0; k < packs; ++k) pack<N>(y + N * k) += s * sum[0][k];
}

/// y += s A x, A rows x cols column by column without gaps.
template <class T>
void add_product(T* y, const T* A, Index rows, Index cols, const T* x, T s) {
  constexpr int most = 8 * Eigen::internal::packet_traits<T>::size;  // rows at a time: eight registers
  if (rows == 1) {
    y[0] += s * dot(A, x, cols);
  } else if (cols == 1) {
    add(y, s * x[0], A, rows);
  } else if (rows > 2 * most) {
    VectorMap(y, rows).noalias() += s * (ConstMap(A, rows, cols) * ConstVectorMap(x, cols));
  } else {
    Index i = 0;
    for (; i + most <= rows; i += most) add_rows<most>(y + i, A + i, rows, cols, x, s);
    const auto some = [&]<int R>() {
      if (i + R <= rows) add_rows<R>(y + i, A + i, rows, cols, x, s), i += R;
    };
    if constexpr (most > 32) some.template operator()<32>();
    if constexpr (most > 16) some.template operator()<16>();
    some.template operator()<8>();
    some.template operator()<4>();
    some.template operator()<2>();
    some.template operator()<1>();
  }
}

/// y += s A^T x, eight columns of A at a time: their eight sums of packs are folded into one pack of sums.
template <class T>
void add_transposed_product(T* y, const T* A, Index rows, Index cols, const T* x, T s) {
  if (rows == 1) return add(y, s * x[0], A, cols);
  Index j = 0;
  if (rows < 8) {
    for (; j < cols; ++j, A += rows) {
      double sum = 0;
      for (Index i = 0; i < rows; ++i) sum += A[i] * x[i];
      y[j] += s * sum;
    }
    return;
  }
  for (; j + 8 <= cols; j += 8) {
    const T* const a = A + j * rows;
    Pack<8> sum[8]{}, rest{};  // sums of eight rows each, and of the rows that are left
    Index i = 0;
    for (; i + 8 <= rows; i += 8)
      for (int k = 0; k < 8; ++k) sum[k] += pack<8>(a + i + k * rows) * pack<8>(x + i);
    for (; i < rows; ++i)
      for (int k = 0; k < 8; ++k) rest[k] += a[i + k * rows] * x[i];
    for (int k = 0; k < 8; k += 2)
      sum[k] = __builtin_shufflevector(sum[k], sum[k + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
               __builtin_shufflevector(sum[k], sum[k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    for (int k = 0; k < 8; k += 4)
      sum[k] = __builtin_shufflevector(sum[k], sum[k + 2], 0, 1, 8, 9, 4, 5, 12, 13) +
               __builtin_shufflevector(sum[k], sum[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    rest += __builtin_shufflevector(sum[0], sum[4], 0, 1, 2, 3, 8, 9, 10, 11) +
            __builtin_shufflevector(sum[0], sum[4], 4, 5, 6, 7, 12, 13, 14, 15);
    pack<8>(y + j) += s * rest;
  }
  for (; j < cols; ++j) y[j] += s * dot(A + j * rows, x, rows);
}

/// f(eight numbers of x, where in y their results go) for all n; x and y may be the same.
template <class T, class F>
void by_eight(const T* x, T* y, Index n, F f) {
  using Eight = Eigen::Array<T, 8, 1>;
  using Input = Eigen::Map<const Eight>;
  Index i = 0;
  for (; i + 8 <= n; i += 8) f(Eight(Input(x + i)), y + i);
  if (i == n) return;
  T rest[8] = {}, result[8];
  std::copy(x + i, x + n, rest);
  f(Eight(Input(rest)), result);
  std::copy(result, result + (n - i), y + i);
}

/// y = tanh(x), to about one unit in the last place.
/// |x| < 0.625: x + x^3 P(x^2) / Q(x^2), the rational approximation of the Cephes library; else 1 - 2 / (exp(2|x|) + 1).
template <class T>
void tanh(const T* x, T* y, Index n) {
  by_eight(x, y, n, []<class Eight>(const Eight& v, T* to) [[gnu::always_inline]] {
    const Eight z = v * v, a = v.abs();
    const Eight P = (-9.64399179425052238628E-1 * z - 9.92877231001918586564E1) * z - 1.61468768441708447952E3;
    const Eight Q = ((z + 1.12811678491632931402E2) * z + 2.23548839060100448583E3) * z + 4.84406305325125486048E3;
    const Eight small = v + v * z * (P / Q);
    const Eight large = 1 - 2 / ((2 * a.min(20.0)).exp() + 1);
    for (int i = 0; i < 8; ++i) to[i] = a[i] < 0.625 ? small[i] : v[i] == v[i] ? std::copysign(large[i], v[i]) : v[i];
  });
}
/// y = exp(x - shift)
template <class T>
void exp(const T* x, T shift, T* y, Index n) {
  by_eight(x, y, n, [shift]<class Eight>(const Eight& v, T* to) { Eigen::Map<Eight>{to} = (v - shift).exp(); });
}

}  // namespace ad::kernels
