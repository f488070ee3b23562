// The small dense loops under matrix entries of a tape, where Eigen's general ones lose time.
//
// They read and write as many numbers at a time as a register holds, wherever these lie, so that no bit of a result depends
// on where an operand stands. Templates, so that a file pays for what it uses.
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

/// How many numbers a vector register of the processor holds: g++ keeps wider packs in memory.
inline constexpr int lanes = Eigen::internal::packet_traits<double>::size;

/// N numbers side by side in a register.
template <int N>
struct PackOf {
  typedef double type __attribute__((vector_size(sizeof(double) * N)));
};
template <>
struct PackOf<1> {
  using type = double;
};
template <int N>
using Pack = typename PackOf<N>::type;
/// The same anywhere in memory. A member: clang 14 forgets a lesser alignment that comes with a type on its own.
template <int N>
struct [[gnu::packed, gnu::may_alias]] Unaligned {
  Pack<N> v;
};
template <int N>
[[gnu::always_inline]] inline Unaligned<N>& pack(double* p) {
  return *reinterpret_cast<Unaligned<N>*>(p);
}
template <int N>
[[gnu::always_inline]] inline const Unaligned<N>& pack(const double* p) {
  return *reinterpret_cast<const Unaligned<N>*>(p);
}

/// f.operator()<N>(i) for packs of N = `lanes` and then N = lanes / 2, ... 1 that cover 0 .. n-1.
template <class F>
[[gnu::always_inline]] inline void by_packs(Index n, F&& f) {
  Index i = 0;
  for (; i + lanes <= n; i += lanes) f.template operator()<lanes>(i);
  if constexpr (lanes > 4)
    if (n & 4) f.template operator()<4>(i), i += 4;
  if constexpr (lanes > 2)
    if (n & 2) f.template operator()<2>(i), i += 2;
  if constexpr (lanes > 1)
    if (n & 1) f.template operator()<1>(i);
}

/// y = s x
inline void set(double* y, double s, const double* x, Index n) {
  by_packs(n, [=]<int N>(Index i) { pack<N>(y + i).v = s * pack<N>(x + i).v; });
}
/// y += s x
inline void add(double* y, double s, const double* x, Index n) {
  by_packs(n, [=]<int N>(Index i) { pack<N>(y + i).v += s * pack<N>(x + i).v; });
}
/// s x
struct Multiple {
  double s;
  const double* x;
};
/// y = s_1 x_1 + s_2 x_2 + ...
template <class... Term>
[[gnu::always_inline]] inline void combine(double* y, Index n, const Term&... term) {
  by_packs(n, [&]<int N>(Index i) { pack<N>(y + i).v = (... + (term.s * pack<N>(term.x + i).v)); });
}
/// y += s (x - z)
inline void add_difference(double* y, double s, const double* x, const double* z, Index n) {
  by_packs(n, [=]<int N>(Index i) { pack<N>(y + i).v += s * (pack<N>(x + i).v - pack<N>(z + i).v); });
}

/// The sum of N numbers: halves are added, then their halves.
template <int N>
[[gnu::always_inline]] inline double total_of(const Pack<N>& v) {
  if constexpr (N == 8)
    return total_of<4>(__builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7));
  else if constexpr (N == 4)
    return total_of<2>(__builtin_shufflevector(v, v, 0, 1) + __builtin_shufflevector(v, v, 2, 3));
  else if constexpr (N == 2)
    return v[0] + v[1];
  else
    return v;
}
/// The sum of what f.operator()<N>(sum, i) adds to `sum`, a pack of N = `lanes`, and from where these end, of 1.
template <class F>
[[gnu::always_inline]] inline double total(Index n, F&& f) {
  constexpr int sums = lanes < 4 ? 4 : 2;  // that do not wait for each other
  Pack<lanes> sum[sums];
#pragma GCC unroll 4
  for (int k = 0; k < sums; ++k) sum[k] = Pack<lanes>{};
  double one = 0;
  Index i = 0;
  for (; i + sums * lanes <= n; i += sums * lanes) {
#pragma GCC unroll 4
    for (int k = 0; k < sums; ++k) f.template operator()<lanes>(sum[k], i + k * lanes);
  }
  for (; i + lanes <= n; i += lanes) f.template operator()<lanes>(sum[0], i);
  for (; i < n; ++i) f.template operator()<1>(one, i);
#pragma GCC unroll 4
  for (int k = 1; k < sums; ++k) sum[0] += sum[k];
  return one + total_of<lanes>(sum[0]);
}
inline double sum(const double* x, Index n) {
  return total(n, [=]<int N>(Pack<N>& sum, Index i) { sum += pack<N>(x + i).v; });
}
/// x . z
inline double dot(const double* x, const double* z, Index n) {
  return total(n, [=]<int N>(Pack<N>& sum, Index i) { sum += pack<N>(x + i).v * pack<N>(z + i).v; });
}
/// |x - z|^2
inline double squared_distance(const double* x, const double* z, Index n) {
  return total(n, [=]<int N>(Pack<N>& sum, Index i) {
    const Pack<N> r = pack<N>(x + i).v - pack<N>(z + i).v;
    sum += r * r;
  });
}

/// Whether to read a matrix from its end, every other time: what the first cache still holds of one that just fits, or
/// nearly, is its end. Read from the beginning each time, it would push itself out as it goes. Products of small matrices,
/// between two of a large one, do not count. Where a kernel begins changes no bit of what it returns.
inline bool from_the_end(Index size) {
  static thread_local bool end = false;
  return end ^= size >= 2048;
}

/// y += s A x for R rows of A, column after column. The sum stays in registers, as several that do not wait for each other:
/// loops are unrolled by order, since those that g++ unrolls late leave their arrays in memory. Of many packs each half of
/// the columns has a sum of its own, so that either half may be the first.
template <int R, class T>
void add_rows(T* y, const T* A, Index stride, Index cols, const T* x, T s, bool from_end) {
  constexpr int N = R < lanes ? R : lanes, packs = R / N, sums = packs >= 8 ? 1 : packs >= 4 ? 2 : 4;
  Pack<N> sum[sums * packs];
#pragma GCC unroll 16
  for (int k = 0; k < sums * packs; ++k) sum[k] = Pack<N>{};
  const auto add_columns = [&](Index j, Index end) __attribute__((always_inline)) {
    const T* a = A + j * stride;
    for (; j + sums <= end; j += sums, a += sums * stride) {
#pragma GCC unroll 16
      for (int k = 0; k < sums * packs; ++k)
        sum[k] += x[j + k / packs] * pack<N>(a + k / packs * stride + N * (k % packs)).v;
    }
    for (; j < end; ++j, a += stride) {
#pragma GCC unroll 16
      for (int k = 0; k < packs; ++k) sum[k] += x[j] * pack<N>(a + N * k).v;
    }
  };
  if constexpr (sums == 1) {
    const Index half = cols / 2;
    add_columns(from_end ? half : 0, from_end ? cols : half);
    Pack<N> other[packs];
#pragma GCC unroll 16
    for (int k = 0; k < packs; ++k) other[k] = sum[k], sum[k] = Pack<N>{};
    add_columns(from_end ? 0 : half, from_end ? half : cols);
#pragma GCC unroll 16
    for (int k = 0; k < packs; ++k) sum[k] += other[k];
  } else {
    add_columns(0, cols);
  }
#pragma GCC unroll 16
  for (int k = packs; k < sums * packs; ++k) sum[k % packs] += sum[k];
#pragma GCC unroll 16
  for (int k = 0; k < packs; ++k) pack<N>(y + N * k).v += s * sum[k];
}

/// How many numbers fit into half of the processor's vector registers.
template <class T>
inline constexpr int half_of_registers = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS / 2 * lanes;

/// f.operator()<R>(i) for strips of R rows, R = `most`, ... down to `least`, from row i on. Returns where they end.
template <int most, int least, class F>
[[gnu::always_inline]] inline Index by_strips(Index rows, F&& f) {
  Index i = 0;
  const auto strips = [&]<int R>() {
    if constexpr (least <= R && R <= most)
      for (; i + R <= rows; i += R) f.template operator()<R>(i);
  };
  if (rows >= 32) {
    strips.template operator()<128>();
    strips.template operator()<64>();
    strips.template operator()<32>();
  }
  strips.template operator()<16>();
  if (i == rows) return i;
  strips.template operator()<8>();
  strips.template operator()<4>();
  strips.template operator()<2>();
  strips.template operator()<1>();
  return i;
}

// A matrix is multiplied in strips, whose numbers stay in registers. One of longer columns is read from its first number to
// its last: it lies in the second cache or beyond, and strips of it, or several columns at once, come from there slower.
inline constexpr Index long_columns = 256;

/// y += s A x, A rows x cols column by column without gaps.
template <class T>
[[gnu::noinline]] void add_product_in_strips(T* y, const T* A, Index rows, Index cols, const T* x, T s) {
  if (rows > long_columns)
    for (Index j = 0; j < cols; ++j) add(y, s * x[j], A + j * rows, rows);
  else
    by_strips<half_of_registers<T>, 1>(rows, [=, end = from_the_end(rows * cols)]<int R>(Index i) {
      add_rows<R>(y + i, A + i, rows, cols, x, s, end);
    });
}
template <class T>
[[gnu::always_inline]] inline void add_product(T* y, const T* A, Index rows, Index cols, const T* x, T s) {
  if (rows == 1)
    y[0] += s * dot(A, x, cols);
  else if (cols == 1)
    add(y, s * x[0], A, rows);
  else
    add_product_in_strips(y, A, rows, cols, x, s);
}

/// Y = or += s A X for R rows of A and C columns of X, whose sums stay in registers: each number of A is used C times.
template <int R, int C, bool set, class T>
[[gnu::always_inline]] inline void tile(T* Y, Index y_stride, const T* A, Index a_stride, Index depth, const T* X,
                                        Index x_stride, T s) {
  constexpr int N = R < lanes ? R : lanes, packs = R / N;
  Pack<N> sum[C * packs];
#pragma GCC unroll 16
  for (int k = 0; k < C * packs; ++k) sum[k] = Pack<N>{};
  for (Index j = 0; j < depth; ++j, A += a_stride) {
#pragma GCC unroll 16
    for (int k = 0; k < C * packs; ++k) sum[k] += X[j + k / packs * x_stride] * pack<N>(A + N * (k % packs)).v;
  }
#pragma GCC unroll 16
  for (int k = 0; k < C * packs; ++k) {
    auto& y = pack<N>(Y + k / packs * y_stride + N * (k % packs));
    y.v = set ? s * sum[k] : y.v + s * sum[k];
  }
}
/// Y = or += s A X, A rows x depth and Y column by column without gaps. For matrices A that stay in a cache.
template <bool set, class T>
void multiply(T* Y, const T* A, Index rows, Index depth, const T* X, Index x_stride, Index cols, T s) {
  by_strips<half_of_registers<T> / 4, 1>(rows, [=]<int R>(Index i) {
    Index c = 0;
    for (; c + 4 <= cols; c += 4)
      tile<R, 4, set>(Y + i + c * rows, rows, A + i, rows, depth, X + c * x_stride, x_stride, s);
    for (; c < cols; ++c) tile<R, 1, set>(Y + i + c * rows, rows, A + i, rows, depth, X + c * x_stride, x_stride, s);
  });
}

/// n packs, a power of two, to the first of them: the sums of each n numbers that follow each other.
template <int n, int N = lanes>
[[gnu::always_inline]] inline void fold(Pack<N>* all) {
  if constexpr (n > 1) {
#pragma GCC unroll 4
    for (int k = 0; k < n / 2; ++k) {
      const Pack<N> a = all[2 * k], b = all[2 * k + 1];
      if constexpr (N == 8)
        all[k] = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
                 __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
      else if constexpr (N == 4)
        all[k] = __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
      else
        all[k] = __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
    }
    fold<n / 2, N>(all);
  }
}
/// N packs of N numbers to one of their sums. Pairs of numbers, of pairs, of fours: these shuffles are the cheap ones.
template <int N = lanes>
[[gnu::always_inline]] inline void fold_square(Pack<N>* all) {
  if constexpr (N == 8) {
#pragma GCC unroll 4
    for (int k = 0; k < 8; k += 2)
      all[k] = __builtin_shufflevector(all[k], all[k + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
               __builtin_shufflevector(all[k], all[k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
#pragma GCC unroll 2
    for (int k = 0; k < 8; k += 4)
      all[k] = __builtin_shufflevector(all[k], all[k + 2], 0, 1, 8, 9, 4, 5, 12, 13) +
               __builtin_shufflevector(all[k], all[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    all[0] = __builtin_shufflevector(all[0], all[4], 0, 1, 2, 3, 8, 9, 10, 11) +
             __builtin_shufflevector(all[0], all[4], 4, 5, 6, 7, 12, 13, 14, 15);
  } else if constexpr (N == 4) {
#pragma GCC unroll 2
    for (int k = 0; k < 4; k += 2)
      all[k] = __builtin_shufflevector(all[k], all[k + 1], 0, 4, 2, 6) +
               __builtin_shufflevector(all[k], all[k + 1], 1, 5, 3, 7);
    all[0] = __builtin_shufflevector(all[0], all[2], 0, 1, 4, 5) + __builtin_shufflevector(all[0], all[2], 2, 3, 6, 7);
  } else if constexpr (N == 2) {
    all[0] = __builtin_shufflevector(all[0], all[1], 0, 2) + __builtin_shufflevector(all[0], all[1], 1, 3);
  }
}

/// y += s A^T x for R rows of A, a multiple of `lanes`, or if R = 0, for all of them; column after column.
template <int R, class T>
void add_columns(T* y, const T* A, Index rows, Index cols, const T* x, T s, bool from_end) {
  constexpr int packs = R / lanes;
  Pack<lanes> X[packs + 1];
#pragma GCC unroll 16
  for (int k = 0; k < packs; ++k) X[k] = pack<lanes>(x + lanes * k).v;
  const Index last = cols / lanes * lanes, step = from_end ? -lanes : lanes;
  for (Index j = from_end ? last - lanes : 0; 0 <= j && j < last; j += step) {
    Pack<lanes> sum[lanes];
#pragma GCC unroll 8
    for (int c = 0; c < lanes; ++c) {
      const T* const a = A + (j + c) * rows;
      if constexpr (R > 0) {
        sum[c] = X[0] * pack<lanes>(a).v;
        if constexpr (lanes == 8) {  // as many sums that do not wait for each other as keep a processor busy
          for (int k = 1; k < packs; ++k) sum[c] += X[k] * pack<lanes>(a + lanes * k).v;
        } else if constexpr (packs > 1) {
          Pack<lanes> odd = X[1] * pack<lanes>(a + lanes).v;
          for (int k = 2; k < packs; k += 2) sum[c] += X[k] * pack<lanes>(a + lanes * k).v;
          for (int k = 3; k < packs; k += 2) odd += X[k] * pack<lanes>(a + lanes * k).v;
          sum[c] += odd;
        }
      } else {
        Pack<lanes> even{}, odd{};
        Index i = 0;
        for (; i + 2 * lanes <= rows; i += 2 * lanes) {
          even += pack<lanes>(x + i).v * pack<lanes>(a + i).v;
          odd += pack<lanes>(x + i + lanes).v * pack<lanes>(a + i + lanes).v;
        }
        T rest{};
        for (; i < rows; ++i) rest += x[i] * a[i];
        if constexpr (lanes > 1)
          even[0] += rest;
        else
          even += rest;
        sum[c] = even + odd;
      }
    }
    fold_square(sum);
    pack<lanes>(y + j).v += s * sum[0];
  }
  for (Index j = last; j < cols; ++j) y[j] += s * dot(A + j * rows, x, R > 0 ? R : rows);
}
/// The same for 2 or 4 rows: one pack holds several columns, or a column is several packs.
template <int R, class T>
void add_short_columns(T* y, const T* A, Index cols, const T* x, T s) {
  Pack<lanes> X[R];
#pragma GCC unroll 4
  for (int k = 0; k < R; ++k) {
    if constexpr (lanes > 1) {
#pragma GCC unroll 8
      for (int l = 0; l < lanes; ++l) X[k][l] = x[(k * lanes + l) % R];
    } else {
      X[k] = x[k];
    }
  }
  Index j = 0;
  for (; j + lanes <= cols; j += lanes) {
    Pack<lanes> product[R];
#pragma GCC unroll 4
    for (int k = 0; k < R; ++k) product[k] = X[k] * pack<lanes>(A + j * R + lanes * k).v;
    if constexpr (lanes > 1) {
      fold<R>(product);
    } else {
      for (int k = 1; k < R; ++k) product[0] += product[k];
    }
    pack<lanes>(y + j).v += s * product[0];
  }
  for (; j < cols; ++j) y[j] += s * dot(A + j * R, x, R);
}

/// y += s A^T x, A rows x cols column by column without gaps.
template <class T>
void add_transposed_product(T* y, const T* A, Index rows, Index cols, const T* x, T s) {
  if (rows == 1) return add(y, s * x[0], A, cols);
  if (rows == 2) return add_short_columns<2>(y, A, cols, x, s);
  if (rows == 4) return add_short_columns<4>(y, A, cols, x, s);
  const bool end = from_the_end(rows * cols);
  if (rows > long_columns) return add_columns<0>(y, A, rows, cols, x, s, end);
  const Index i = by_strips<half_of_registers<T>, lanes>(
      rows, [=]<int R>(Index k) { add_columns<R>(y, A + k, rows, cols, x + k, s, end); });
  if (i < rows)
    for (Index j = 0; j < cols; ++j) y[j] += s * dot(A + i + j * rows, x + i, rows - i);
}

/// A term g x^T of a sum of outer products.
template <class T>
struct Outer {
  const T *g, *x;
};
/// R rows and C columns of W += g_1 x_1^T + ... + g_n x_n^T, whose sums stay in registers; W's columns are `stride` apart.
template <int R, int C, class T>
void add_outer_products(T* W, Index stride, const Outer<T>* terms, Index n, Index i, Index j) {
  constexpr int N = R < lanes ? R : lanes, packs = R / N;
  Pack<N> sum[C * packs];
#pragma GCC unroll 16
  for (int k = 0; k < C * packs; ++k) sum[k] = Pack<N>{};
  for (const Outer<T>* term = terms; term != terms + n; ++term) {
    const T *const g = term->g + i, *const x = term->x + j;
#pragma GCC unroll 16
    for (int k = 0; k < C * packs; ++k) sum[k] += x[k / packs] * pack<N>(g + N * (k % packs)).v;
  }
#pragma GCC unroll 16
  for (int k = 0; k < C * packs; ++k) pack<N>(W + i + N * (k % packs) + (j + k / packs) * stride).v += sum[k];
}
/// W += g_1 x_1^T + ... + g_n x_n^T, W rows x cols column by column without gaps.
template <class T>
void add_outer_products(T* W, Index rows, Index cols, const Outer<T>* terms, Index n) {
  constexpr int most = 2 * lanes;
  by_strips<most, 1>(rows, [=]<int R>(Index i) {
    by_strips<half_of_registers<T> / most, 1>(
        cols, [=]<int C>(Index j) { add_outer_products<R, C>(W, rows, terms, n, i, j); });
  });
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
  by_eight(
      x, y, n, []<class Eight>(const Eight& v, T* to) __attribute__((always_inline)) {
        const Eight z = v * v, a = v.abs();
        const Eight P = (-9.64399179425052238628E-1 * z - 9.92877231001918586564E1) * z - 1.61468768441708447952E3;
        const Eight Q = ((z + 1.12811678491632931402E2) * z + 2.23548839060100448583E3) * z + 4.84406305325125486048E3;
        const Eight small = v + v * z * (P / Q);
        const Eight large = 1 - 2 / ((2 * a.min(20.0)).exp() + 1);
        for (int i = 0; i < 8; ++i)
          to[i] = a[i] < 0.625 ? small[i] : v[i] == v[i] ? std::copysign(large[i], v[i]) : v[i];
      });
}
/// y = exp(x - shift); 0 below the normal numbers, where Eigen's stops to fall
template <class T>
void exp(const T* x, T shift, T* y, Index n) {
  by_eight(x, y, n, [shift]<class Eight>(const Eight& v, T* to) {
    const Eight u = v - shift;
    Eigen::Map<Eight>{to} = (u < std::log(std::numeric_limits<T>::min())).select(T(0), u.exp());
  });
}

}  // namespace ad::kernels
