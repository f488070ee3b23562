// What each operation on whole matrices computes, and how derivatives pass it: value, pullback and pushforward side by side.
#pragma once

#include <Eigen/Cholesky>

#include "ad/seeds.h"
#include "ad/uses.h"

namespace ad::detail {

/// A block in the hands of its rule.
struct Call {
  const Tape& t;
  const Block& b;
  const BlockOperand* q = M::operands(t, b);

  Index rows() const { return b.rows; }
  Index cols() const { return b.cols; }
  Index size() const { return rows() * cols(); }
  Index size(Index k) const { return Index{q[k].rows()} * q[k].cols(); }
  const double* x(Index k) const { return M::data(t, q[k]); }
  M::ConstMap X(Index k) const { return M::values(t, q[k]); }
  double* y() const { return M::values(t, b).data(); }
  M::Map Y() const { return M::values(t, b); }
};

/// The tangents of a result, one column a direction.
using Columns = Eigen::Map<Eigen::MatrixXd>;
auto column(auto& d, Index k) { return d.data() + k * d.outerStride(); }
inline bool contiguous(const auto& d) { return d.outerStride() == d.rows(); }
inline void set_zero(Columns& dy) { std::fill_n(dy.data(), dy.size(), 0.0); }
/// dy += s x . dx, in each direction
void add_dots(Columns& dy, double s, const double* x, const auto& dx) {
  if (contiguous(dx)) return kernels::add_transposed_product<double>(dy.data(), dx.data(), dx.rows(), dx.cols(), x, s);
  for (Index k = 0; k < dx.cols(); ++k) dy(0, k) += s * kernels::dot(x, column(dx, k), dx.rows());
}

/// a += s x by flow(): s may be infinite where elements of x are zero.
inline void add_flows(double* a, double s, const double* x, Index n) {
  if (nonzero_and_finite(s)) [[likely]]
    return kernels::add(a, s, x, n);
  for (Index i = 0; i < n; ++i) a[i] += flow(s, x[i]);
}
inline double sum_of_flows(const double* x, const double* z, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += flow(x[i], z[i]);
  return sum;
}
/// x . z by flow()
inline double flow_dot(const double* x, const double* z, Index n) {
  const double dot = kernels::dot(x, z, n);
  return std::isnan(dot) ? sum_of_flows(x, z, n) : dot;
}
/// dy += s x . dx by flow(), in each direction
void add_flow_dots(Columns& dy, double s, const double* x, const auto& dx) {
  const Eigen::VectorXd before = dy.row(0);
  add_dots(dy, s, x, dx);
  for (Index k = 0; k < dy.cols(); ++k)
    if (std::isnan(dy(0, k))) dy(0, k) = before[k] + flow(s, sum_of_flows(x, column(dx, k), dx.rows()));
}

bool any(const auto& d) {
  for (Index k = 0; k < d.cols(); ++k)
    for (Index i = 0; i < d.rows(); ++i)
      if (d(i, k) != 0) return true;
  return false;
}

/// The sweeps over one block. R knows, of operand k: pull(c, k, g, a) adds to its adjoint a what the result's adjoint g
/// makes of it; push(c, k, dx, dy) adds to the result's tangents dy what its tangents dx make of them, or sets them to it.
/// Where a derivative is zero as a whole nothing flows, whatever the partials are. (Within a product of matrices, zero times
/// infinity is NaN, as in any: each element on its own is for numbers, see flow().)
template <class R>
struct Rule {
  static void pullback(const Tape& t, const Block& b, double* adjoint, Waiting<double>*& waiting) {
    const Call c{t, b};
    const double* g = adjoint + b.first;
    if (!any(M::ConstVectorMap(g, c.size()))) return;
    if constexpr (requires { R::pull_all(c, g, adjoint, waiting); })
      R::pull_all(c, g, adjoint, waiting);
    else
      for (Id k = 0; k < b.operands; ++k)
        if (!c.q[k].plain()) R::pull(c, k, g, adjoint + c.q[k].first());
  }
  static void pushforward(const Tape& t, const Block& b, Panel<double> d) {
    const Call c{t, b};
    Columns dy(d.of(b.first), c.size(), d.directions);
    bool set = d.seeds != nullptr;  // else it comes on top of what is there
    if constexpr (requires { R::push_all(c, d, dy, set); }) {
      R::push_all(c, d, dy, set);
    } else {
      constexpr bool can_set = requires(Moves m) { R::push(c, 0, m.tangents, dy, set); };
      if (!can_set && set) set_zero(dy);
      for (Id k = 0; k < b.operands; ++k) {
        if (c.q[k].plain()) continue;
        const Moves dx = moves(t, d, c.q[k].first(), c.size(k), true);
        if (!dx.at_all || !any(dx.tangents)) continue;
        if constexpr (can_set)
          R::push(c, k, dx.tangents, dy, std::exchange(set, false));
        else
          R::push(c, k, dx.tangents, dy);
      }
      set = can_set && set;
    }
    if (set) set_zero(dy);
  }
  static constexpr Block::Rule rule{R::name, pullback, pushforward};
};

struct Input {
  static constexpr const char* name = "input";
  static void pull(const auto&, Index, const double*, double*) {}
  static void push(const auto&, Index, const auto&, auto&) {}
};

// --- Y = s_1 W_1 X_1 + s_2 W_2 X_2 + ... + t_1 z_1 + ..., each W perhaps transposed ------------------------------------
// dX += s W^T dY; dW += s dY X^T, taken in for later; dz += t dY, summed over columns where z is one column beside several

struct Linear {
  static constexpr const char* name = affine;

  static bool in_product(const auto& c, Index k) { return k < 2 * Index{c.b.extra}; }

  template <int products, int summands>
  [[gnu::always_inline]] static void value(const auto& c) {
    double* const y = c.y();
    if constexpr (summands == 0) {
      std::fill_n(y, c.size(), 0.0);
    } else {  // a single column beside several is added to each
      const Index columns = products == 0 ? 1 : c.cols(), n = products == 0 ? c.size() : c.rows();
      for (Index j = 0; j < columns; ++j) {
        const auto term = [&](Index k) {
          return kernels::Multiple{c.q[k].s, c.x(k) + (c.q[k].cols() == c.b.cols ? j * n : 0)};
        };
        [&]<int... k>(std::integer_sequence<int, k...>) { kernels::combine(y + j * n, n, term(2 * products + k)...); }
        (std::make_integer_sequence<int, summands>());
      }
    }
    for (Index k = 0; k < 2 * products; k += 2) add_product(c, y, c.q[k], c.q[k].transposed(), c.x(k + 1));
  }

  [[gnu::always_inline]] static void pull_all(const auto& c, const double* g, double* adjoint,
                                              Waiting<double>*& waiting) {
    const BlockOperand *q = c.q, *const summands = q + 2 * c.b.extra, *const end = c.q + c.b.operands;
    for (; q != summands; q += 2) pull_product(c, q[0], q[1], g, adjoint, waiting);
    for (; q != end; ++q)
      if (!q->plain()) pull_summand(*q, g, c.b.rows, c.b.cols, adjoint + q->first());
  }
  static void pull_product(const auto& c, const BlockOperand& W, const BlockOperand& X, const double* g,
                           double* adjoint, Waiting<double>*& waiting) {
    if (!X.plain()) add_product(c, adjoint + X.first(), W, !W.transposed(), g);
    if (W.plain()) return;
    const double *left = g, *right = M::data(c.t, X);
    if (W.transposed()) std::swap(left, right);
    if (W.rows() > 1 && W.cols() > 1)
      uses(waiting).take(W, left, right, c.cols());
    else
      add_outer(adjoint + W.first(), W, left, right, c.cols());
  }
  static void pull_summand(const BlockOperand& z, const double* g, Index rows, Index cols, double* a) {
    if (z.s == 0) return;  // 0 * infinity = 0
    if (z.cols() == cols) return kernels::add(a, z.s, g, rows * cols);
    for (Index j = 0; j < cols; ++j) kernels::add(a, z.s, g + j * rows, rows);
  }

  /// First what moves as a whole through large products, then the rest.
  static void push_all(const auto& c, const Panel<double>& d, auto& dy, bool& set) {
    const auto of = [&](Id k) {
      const bool stays = c.q[k].plain() || (!in_product(c, k) && c.q[k].s == 0);  // 0 * infinity = 0
      return stays ? Moves{.at_all = false} : moves(c.t, d, c.q[k].first(), c.size(k), false);
    };
    if (set && c.b.extra == 0 && c.b.operands == 2) {  // s dx + t dz in one pass
      const Moves dx = of(0), dz = of(1);
      if (dx.whole() && dz.whole()) {
        kernels::combine(dy.data(), dy.size(), kernels::Multiple{c.q[0].s, dx.tangents.data()},
                         kernels::Multiple{c.q[1].s, dz.tangents.data()});
        set = false;
        return;
      }
    }
    for (Id k = 1; k < 2 * c.b.extra; k += 2)
      if (const Moves dX = of(k); dX.at_all && !dX.one_by_one && any(dX.tangents))
        push_right(c, c.q[k - 1], dX.tangents, dy, std::exchange(set, false));
    for (Id k = 0; k < c.b.operands; ++k) {
      const bool left = in_product(c, k) && k % 2 == 0, right = in_product(c, k) && k % 2 == 1;
      const Moves dx = of(k);
      if (!dx.at_all || (right && !dx.one_by_one) || (!dx.one_by_one && !any(dx.tangents))) continue;
      if (set && (dx.one_by_one || left)) set_zero(dy), set = false;
      if (dx.one_by_one)
        push_one_by_one(c, k, dx.column, dy);
      else if (left)
        push_left(c, c.q[k], c.X(k + 1), dx.tangents, dy);
      else
        push_summand(c.q[k].s, dx.tangents, dy, std::exchange(set, false));
    }
  }
  /// dY += s W dX
  static void push_right(const auto& c, const BlockOperand& W, const Moves::Columns& dX, auto& dy, bool set) {
    if (c.cols() == 1 && W.rows() == 1 && !W.transposed()) {
      if (set) set_zero(dy);
      add_dots(dy, W.s, M::data(c.t, W), dX);
    } else if (c.cols() == 1) {  // all directions at once
      const M::ConstMap A = M::values(c.t, W);
      if (!W.transposed() && std::max(A.rows(), A.cols()) <= cached)
        (set ? kernels::multiply<true, double> : kernels::multiply<false, double>)(dy.data(), A.data(), A.rows(),
                                                                                   A.cols(), dX.data(),
                                                                                   dX.outerStride(), dX.cols(), W.s);
      else if (W.transposed())
        multiply(dy, A.transpose(), dX, W.s, set);
      else
        multiply(dy, A, dX, W.s, set);
    } else {
      if (set) set_zero(dy);
      for (Index j = 0; j < dy.cols(); ++j) add_product(c, column(dy, j), W, W.transposed(), column(dX, j));
    }
  }
  static constexpr Index cached = 128;  // rows and columns of a matrix that stays in a cache
  static void multiply(auto& dy, const auto& A, const Moves::Columns& dX, double s, bool set) {
    if (set)
      dy.noalias() = s * (A * dX);
    else
      dy.noalias() += s * (A * dX);
  }
  /// dY += s dW X
  static void push_left(const auto& c, const BlockOperand& W, const M::ConstMap& X, const Moves::Columns& dW,
                        auto& dy) {
    for (Index j = 0; j < dy.cols(); ++j) {
      auto dY = dy.col(j).reshaped(c.rows(), c.cols());
      const auto dW_j = dW.col(j).reshaped(W.rows(), W.cols());
      if (W.transposed())
        dY.noalias() += W.s * (dW_j.transpose() * X);
      else
        dY.noalias() += W.s * (dW_j * X);
    }
  }
  /// dY += s dz; one column is added to each
  static void push_summand(double s, const Moves::Columns& dz, auto& dy, bool set) {
    const bool whole = contiguous(dz) && dz.rows() == dy.rows();  // then all columns are one
    const Index n = whole ? dy.size() : dz.rows();
    for (Index j = 0; j < (whole ? 1 : dy.cols()); ++j)
      for (Index i = 0; i < (whole ? n : dy.rows()); i += n)
        (set ? kernels::set : kernels::add)(column(dy, j) + i, s, column(dz, j), n);
  }
  /// Element e = (i, j) of operand k moves alone in direction column + e: then so does one row or column of Y, or one
  /// element.
  template <class C, class D>
  static void push_one_by_one(const C& c, Index k, Index column, D& dy) {
    const BlockOperand &q = c.q[k], &W = c.q[k - k % 2];
    const Index first = std::max<Index>(0, -column), last = std::min(c.size(k), dy.cols() - column);
    if (c.cols() == 1 && !W.transposed() && in_product(c, k) && k % 2 == 0) {  // dW x, W's elements column by column
      const double* const x = c.x(k + 1);
      for (Index e = first; e < last;) {
        const Index j = e / q.rows(), end = std::min(last, (j + 1) * q.rows());
        for (Index i = e % q.rows(); e < end; ++e, ++i) dy(i, column + e) += W.s * x[j];
      }
      return;
    }
    for (Index e = first; e < last; ++e) {
      auto dY = dy.col(column + e).reshaped(c.rows(), c.cols());
      const Index i = e % q.rows(), j = e / q.rows();
      if (!in_product(c, k)) {
        for (Index l = j; l < c.cols(); l += q.cols()) dY(i, l) += q.s;
      } else if (k % 2 == 0) {
        const auto X = c.X(k + 1);
        if (W.transposed())
          dY.row(j) += W.s * X.row(i);
        else
          dY.row(i) += W.s * X.row(j);
      } else if (W.transposed()) {
        dY.col(j) += W.s * c.X(k - 1).row(i).transpose();
      } else {
        dY.col(j) += W.s * c.X(k - 1).col(i);
      }
    }
  }

  /// y += s W x, or s W^T x, for all columns of x.
  [[gnu::always_inline]] static void add_product(const auto& c, double* y, const BlockOperand& W, bool transpose,
                                                 const double* x) {
    const double* const A = M::data(c.t, W);
    if (c.cols() != 1)
      add_products(M::values(c.t, W), y, W.s, transpose, x, c.cols());
    else if (transpose)
      kernels::add_transposed_product<double>(y, A, W.rows(), W.cols(), x, W.s);
    else
      kernels::add_product<double>(y, A, W.rows(), W.cols(), x, W.s);
  }
  [[gnu::noinline]] static void add_products(const auto& A, double* y, double s, bool transpose, const double* x,
                                             Index cols) {
    if (transpose)
      M::Map(y, A.cols(), cols).noalias() += s * (A.transpose() * M::ConstMap(x, A.rows(), cols));
    else
      M::Map(y, A.rows(), cols).noalias() += s * (A * M::ConstMap(x, A.cols(), cols));
  }
  /// dW += s G X^T: of a single row or column, as it comes.
  static void add_outer(double* a, const BlockOperand& W, const double* g, const double* x, Index cols) {
    for (Index n = 0; n < cols; ++n, g += W.rows(), x += W.cols())
      if (W.rows() == 1)
        kernels::add(a, W.s * *g, x, W.cols());
      else
        for (Index j = 0; j < W.cols(); ++j) kernels::add(a + j * W.rows(), W.s * x[j], g, W.rows());
  }
};

// --- element by element: every function of the table; one number beside a matrix is used for each element --------------

template <class Row>
struct Elementwise {
  static constexpr OpText text = op_text(Row::op);
  static constexpr const char* name = text.name.data();
  static constexpr bool of_two = text.operands == 2;

  /// f(i of the result, of x, of z) for each element: loops that the compiler can widen where nothing is repeated.
  template <class F>
  [[gnu::always_inline]] static void each(const auto& c, F&& f) {
    const Index n = c.size(), sx = repeated(c, 0) ? 0 : 1, sz = of_two && repeated(c, 1) ? 0 : 1;
    Index i = 0;
    if (sx == 1 && sz == 1)
      for (; i + 8 <= n; i += 8)
        for (Index j = i; j < i + 8; ++j) f(j, j, j);
    for (; i < n; ++i) f(i, i * sx, i * sz);
  }
  static bool repeated(const auto& c, Index k) { return c.size(k) == 1 && c.size() != 1; }
  [[gnu::always_inline]] static double partial(Index k, double x, double z, double y) {
    if constexpr (of_two)
      return k == 0 ? Row::dx(x, z, y) : Row::dz(x, z, y);
    else
      return Row::dx(x, y);
  }
  /// The same as ad::flow, without a branch.
  [[gnu::always_inline]] static double flow(double p, double g) {
    const double product = p * g;
    return ((p == 0) | (g == 0)) ? 0 : product;
  }

  static void value(const auto& c) {
    const double *x = c.x(0), *z = c.x(of_two);
    double* __restrict y = c.y();
    if constexpr (Row::op == Op::tanh)
      kernels::tanh(x, y, c.size());
    else if constexpr (of_two)
      each(c, [&](Index i, Index j, Index k) { y[i] = Row::value(x[j], z[k]); });
    else
      each(c, [&](Index i, Index j, Index) { y[i] = Row::value(x[j]); });
  }
  static void pull(const auto& c, Index operand, const double* g, double* a) {
    const double *x = c.x(0), *z = c.x(of_two), *y = c.y();
    if constexpr (!of_two) return pull_each(c.size(), x, y, g, a);
    if (operand == 0)
      each(c, [&](Index i, Index j, Index k) { a[j] += flow(partial(0, x[j], z[k], y[i]), g[i]); });
    else
      each(c, [&](Index i, Index j, Index k) { a[k] += flow(partial(1, x[j], z[k], y[i]), g[i]); });
  }
  static void pull_each(Index n, const double* x, const double* y, const double* g, double* a) {
    kernels::by_packs(n, [=]<int N>(Index i) {
      double p[N];
#pragma GCC unroll 1
      for (int k = 0; k < N; ++k) p[k] = partial(0, x[i + k], 0, y[i + k]);
      flow<N, false>(a + i, p, g + i);
    });
  }
  static void push(const auto& c, Index operand, const auto& dx, auto& dy, bool set) {
    const double *x = c.x(0), *z = c.x(of_two), *y = c.y();
    static thread_local Array<double> partials;
    partials.resize(static_cast<std::size_t>(c.size()));
    double* const p = partials.data();
    each(c, [&](Index i, Index j, Index k) { p[i] = partial(operand, x[j], z[k], y[i]); });
    if (repeated(c, operand)) {
      if (set) set_zero(dy);
      for (Index d = 0; d < dy.cols(); ++d)
        for (Index i = 0; i < c.size(); ++i) column(dy, d)[i] += flow(p[i], column(dx, d)[0]);
    } else {
      (set ? flow_all<true> : flow_all<false>)(c.size(), dy.cols(), column(dy, 0), dy.outerStride(), p, column(dx, 0),
                                               dx.outerStride());
    }
  }
  template <bool set>
  [[gnu::noinline]] static void flow_all(Index n, Index directions, double* to, Index to_stride, const double* p,
                                         const double* from, Index from_stride) {
    kernels::by_packs(n, [=]<int N>(Index i) {
      for (Index d = 0; d < directions; ++d) flow<N, set>(to + i + d * to_stride, p + i, from + i + d * from_stride);
    });
  }
  /// to = or += flow(p, g), N numbers at a time
  template <int N, bool set>
  [[gnu::always_inline]] static void flow(double* to, const double* p, const double* g) {
    const kernels::Pack<N> P = kernels::pack<N>(p).v, G = kernels::pack<N>(g).v, product = P * G;
    const kernels::Pack<N> flows = ((P == 0) | (G == 0)) ? kernels::Pack<N>{} : product;
    kernels::pack<N>(to).v = set ? flows : kernels::pack<N>(to).v + flows;
  }
};

// --- one number of a matrix --------------------------------------------------------------------------------------------

struct Total {  // y = s sum x
  static constexpr const char* name = "sum";
  static void value(const auto& c) { *c.y() = c.q->s * kernels::sum(c.x(0), c.size(0)); }
  static void pull(const auto& c, Index, const double* g, double* a) {
    for (Index i = 0; i < c.size(0); ++i) a[i] += c.q->s * *g;
  }
  static void push(const auto& c, Index, const auto& dx, auto& dy) { dy += c.q->s * dx.colwise().sum(); }
};

struct Dot {  // y = s x . z,  dx += s g z,  dz += s g x
  static constexpr const char* name = "dot";
  static void value(const auto& c) { *c.y() = c.q->s * kernels::dot(c.x(0), c.x(1), c.size(0)); }
  static void pull(const auto& c, Index k, const double* g, double* a) {
    add_flows(a, c.q->s * *g, c.x(1 - k), c.size(k));
  }
  static void push(const auto& c, Index k, const auto& dx, auto& dy) { add_flow_dots(dy, c.q->s, c.x(1 - k), dx); }
};

struct Expectation : Dot {  // y = s p . x, where what has no weight does not count: 0 * -infinity = 0
  static void value(const auto& c) {
    Dot::value(c);
    double sum = *c.y();
    if (std::isnan(sum)) {
      sum = 0;
      for (Index i = 0; i < c.size(0); ++i)
        if (c.x(0)[i] != 0) sum += c.q->s * c.x(0)[i] * c.x(1)[i];
    }
    *c.y() = sum + 0.0;  // where s is negative, no -0
  }
};

struct SquaredDistance {  // y = s |x - z|^2,  dx += 2 s g (x - z),  dz += 2 s g (z - x)
  static constexpr const char* name = "squared_distance";
  static void value(const auto& c) { *c.y() = c.q->s * kernels::squared_distance(c.x(0), c.x(1), c.size(0)); }
  static void pull(const auto& c, Index k, const double* g, double* a) {
    const double s = 2 * c.q->s * *g, *x = c.x(k), *z = c.x(1 - k);
    if (nonzero_and_finite(s)) [[likely]]
      return kernels::add_difference(a, s, x, z, c.size(k));
    for (Index i = 0; i < c.size(k); ++i) a[i] += flow(s, x[i] - z[i]);
  }
  static void push(const auto& c, Index k, const auto& dx, auto& dy) {
    static thread_local Array<double> difference;
    difference.resize(static_cast<std::size_t>(c.size(k)));
    for (Index i = 0; i < c.size(k); ++i) difference[static_cast<std::size_t>(i)] = c.x(k)[i] - c.x(1 - k)[i];
    add_flow_dots(dy, 2 * c.q->s, difference.data(), dx);
  }
};

// --- y_j = log sum_i exp x_ij, column by column, the largest taken out first ---------------------------------------------
// dx_ij += p_ij g_j with the softmax p, which is kept behind the result

struct LogSumExp {
  static constexpr const char* name = "log_sum_exp";
  static double* softmax(const auto& c, Index j) { return c.y() + c.cols() + j * c.q->rows(); }
  static void value(const auto& c) {
    for (Index j = 0, n = c.q->rows(); j < c.cols(); ++j) {
      const double *x = c.x(0) + j * n, largest = *std::max_element(x, x + n);
      double* const p = softmax(c, j);
      const bool plain = std::isfinite(largest) || std::any_of(x, x + n, [](double x_i) { return std::isnan(x_i); });
      if (plain)
        kernels::exp(x, largest, p, n);
      else
        std::transform(x, x + n, p, [&](double x_i) { return x_i == largest ? 1.0 : 0.0; });
      const double sum = kernels::sum(p, n);
      kernels::set(p, 1 / sum, p, n);
      c.y()[j] = plain ? largest + std::log(sum) : largest;
    }
  }
  static void pull(const auto& c, Index, const double* g, double* a) {
    for (Index j = 0, n = c.q->rows(); j < c.cols(); ++j) add_flows(a + j * n, g[j], softmax(c, j), n);
  }
  static void push(const auto& c, Index, const auto& dx, auto& dy) {
    for (Index d = 0, n = c.q->rows(); d < dy.cols(); ++d)
      for (Index j = 0; j < c.cols(); ++j) dy(j, d) += flow_dot(softmax(c, j), column(dx, d) + j * n, n);
  }
};

// --- y_ij = log softmax(x)_ij, column by column: x_ij less the largest, x_a, less log(1 + the other terms beside it) ----------
// dx_ij += g_ij - p_ij sum_k g_kj with the softmax p, which is kept behind the result

struct LogSoftmax {
  static constexpr const char* name = "log_softmax";
  static double* softmax(const auto& c, Index j) { return c.y() + c.size() + j * c.rows(); }
  static void value(const auto& c) {
    for (Index j = 0, n = c.rows(); j < c.cols(); ++j) {
      const double *x = c.x(0) + j * n, *const at = std::max_element(x, x + n), largest = *at;
      double *const y = c.y() + j * n, *const p = softmax(c, j);
      kernels::exp(x, largest, p, n);
      const double top = std::exchange(p[at - x], 0.0), others = kernels::sum(p, n), log = std::log1p(others);
      p[at - x] = top;
      kernels::set(p, 1 / (1 + others), p, n);
      for (Index i = 0; i < n; ++i) y[i] = (x[i] - largest) - log;
    }
  }
  static void pull(const auto& c, Index, const double* g, double* a) {
    for (Index j = 0, n = c.rows(); j < c.cols(); ++j) {
      add_flows(a + j * n, -kernels::sum(g + j * n, n), softmax(c, j), n);
      kernels::add(a + j * n, 1, g + j * n, n);
    }
  }
  static void push(const auto& c, Index, const auto& dx, auto& dy) {
    for (Index d = 0, n = c.rows(); d < dy.cols(); ++d)
      for (Index j = 0; j < c.cols(); ++j) {
        const double *const dx_j = column(dx, d) + j * n, mean = flow_dot(softmax(c, j), dx_j, n);
        for (Index i = 0; i < n; ++i) dy(j * n + i, d) += dx_j[i] - mean;
      }
  }
};

// --- X = A^-1 B with A symmetric and positive definite -------------------------------------------------------------------
// dB += A^-1 dX,  dA -= A^-1 dX X^T: as if the elements of A moved one by one, though only symmetric matrices have a value.
// L of A = L L^T is kept behind the result.

struct CholeskySolve {
  static constexpr const char* name = "cholesky_solve";
  static constexpr bool may_refuse = true;
  static M::Map L(const auto& c) { return {c.y() + c.size(), c.rows(), c.rows()}; }
  static void solve(const auto& c, auto& B) {
    const auto lower = L(c).template triangularView<Eigen::Lower>();
    lower.solveInPlace(B);
    lower.transpose().solveInPlace(B);
  }
  static void value(const auto& c) {
    const auto llt = c.X(0).llt();
    if (llt.info() != Eigen::Success)
      throw std::invalid_argument("ad::cholesky_solve: the matrix of " + std::to_string(c.rows()) +
                                  " rows is not positive definite");
    L(c) = llt.matrixLLT();
    auto X = c.Y();
    X = c.X(1);
    solve(c, X);
  }
  static void pull(const auto& c, Index k, const double* g, double* a) {
    Eigen::MatrixXd dB = M::ConstMap(g, c.rows(), c.cols());
    solve(c, dB);
    if (k == 1)
      kernels::add(a, 1, dB.data(), c.size());
    else
      M::Map(a, c.rows(), c.rows()).noalias() -= dB * c.Y().transpose();
  }
  static void push(const auto& c, Index k, const auto& dx, auto& dy) {
    for (Index d = 0; d < dy.cols(); ++d) {
      Eigen::MatrixXd R = dx.col(d).reshaped(c.q[k].rows(), c.q[k].cols());
      if (k == 0) R = -(R * c.Y()).eval();
      solve(c, R);
      kernels::add(column(dy, d), 1, R.data(), c.size());
    }
  }
};

// --- each element of the result is one variable from somewhere: transposes, blocks, concatenations, Vars made a matrix ---

struct Gathered {
  static void pullback(const Tape& t, const Block& b, double* adjoint, Waiting<double>*&) {
    const Id* from = M::indices(t).data() + b.extra;
    for (Id i = 0; i < b.rows * b.cols; ++i)
      if (from[i] != 0) adjoint[from[i]] += adjoint[b.first + i];
  }
  static void pushforward(const Tape& t, const Block& b, Panel<double> d) {
    const Id *from = M::indices(t).data() + b.extra, size = b.rows * b.cols;
    double* const to = d.of(b.first);
    if (d.seeds) std::fill_n(to, std::size_t{size} * d.directions, 0.0);
    for (Id i = 0; i < size; ++i) {
      const Moves dx = from[i] == 0 ? Moves{.at_all = false} : moves(t, d, from[i], 1, true);
      for (Id k = 0; dx.at_all && k < d.directions; ++k) to[std::size_t{k} * size + i] += dx.tangents(0, k);
    }
  }
  static constexpr Block::Rule rule{"gathered", pullback, pushforward};
};

}  // namespace ad::detail
