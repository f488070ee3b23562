// A whole vector or matrix as one entry of the tape: products, sums and elementwise functions at the speed of plain loops.
//
// A VarMatrix is a run of consecutive variables; its values and its adjoints are contiguous, and element (i, j) is an
// ordinary Var. Each operation below is a rule: value, pullback and pushforward side by side. Plain matrices take part
// without being recorded. Products with one matrix are remembered, and their part of its adjoint is added with few large
// matrix products when the sweep comes to the matrix itself.
#pragma once

#include <Eigen/Cholesky>
#include <tuple>

#include "ad/kernels.h"
#include "ad/seeds.h"

namespace ad {

class VarMatrix;

/// What one may do with a matrix, and with what waits to become one: a sum, a product, a transpose.
template <class X>
struct MatrixOperations {
  Var sum() const;
  Var mean() const;
  Var squaredNorm() const;
  template <std::convertible_to<VarMatrix> Z>
  Var dot(const Z& z) const;
  template <std::convertible_to<VarMatrix> Z>
  VarMatrix cwiseProduct(const Z& z) const;
  template <std::convertible_to<VarMatrix> Z>
  VarMatrix cwiseQuotient(const Z& z) const;
};
template <class X>
concept Recorded = std::derived_from<X, MatrixOperations<X>>;
template <class X>
concept PlainMatrix = requires {
  typename X::PlainObject;
}
&&std::convertible_to<typename X::Scalar, double>;

/// What waits to become one entry of the tape: s W X, s z, and a sum of two such.
struct Product;
struct Multiple;
template <class A, class B>
struct Sum;
template <class X>
concept Unrecorded = Recorded<X> && requires {
  X::products;
};
/// W^T, which waits for what it is multiplied with.
struct Transposed;

/// A vector (one column) or matrix of variables of the active tape, or of plain numbers (which have no derivative).
/// Sizes that do not fit, and matrices of another or an earlier recording, throw std::invalid_argument.
class VarMatrix : public MatrixOperations<VarMatrix> {
 public:
  using Index = Eigen::Index;

  VarMatrix() = default;
  /// Plain numbers. They are copied to the active tape, not recorded.
  template <PlainMatrix D>
  VarMatrix(const D& x) {
    Matrices::Tape& t = Matrices::active();
    *this = VarMatrix(Matrices::add_numbers(t, x), x.rows(), x.cols(), true, Matrices::generation(t));
  }
  /// One number, 1 x 1. In an elementwise function of two it is used for each element of the other. A Var stays itself.
  VarMatrix(double x) : VarMatrix(Eigen::Matrix<double, 1, 1>(x)) {}
  VarMatrix(const Var& x) {
    Matrices::Tape& t = Matrices::active();
    const Id id = Matrices::id(t, x);
    *this = id == 0 ? VarMatrix(x.value()) : VarMatrix(id, 1, 1, false, Matrices::generation(t));
  }
  template <Unrecorded S>
  VarMatrix(const S& sum);
  VarMatrix(const Transposed& x);

  Index rows() const { return run_.rows(); }
  Index cols() const { return run_.cols(); }
  Index size() const { return rows() * cols(); }
  bool is_plain() const { return run_.plain(); }
  /// The id of element 0; the others follow, column by column.
  Id id() const { return run_.first(); }
  /// Valid until the next operation is recorded.
  Matrices::ConstMap values() const { return Matrices::values(tape("values"), run_); }

  Var operator()(Index i, Index j = 0) const {
    const Matrices::Tape& t = tape("an element");
    if (i < 0 || i >= rows() || j < 0 || j >= cols()) refuse("element", i, j);
    const Id at = static_cast<Id>(j * rows() + i);
    return is_plain() ? Var(Matrices::data(t, run_)[at]) : Matrices::variable(t, id() + at);
  }
  Var operator[](Index i) const { return (*this)(i); }

  // views: the same variables, nothing recorded
  VarMatrix middleCols(Index j, Index n) const {
    if (j < 0 || n < 0 || j + n > cols()) refuse("columns", j, n);
    return part(j * rows(), rows(), n);
  }
  VarMatrix col(Index j) const { return middleCols(j, 1); }
  VarMatrix segment(Index i, Index n) const {
    if (cols() != 1 || i < 0 || n < 0 || i + n > rows()) refuse("segment", i, n);
    return part(i, n, 1);
  }
  VarMatrix reshaped(Index rows, Index cols) const {
    if (rows < 0 || cols < 0 || rows * cols != size()) refuse("shape", rows, cols);
    return part(0, rows, cols);
  }

  /// The rows x cols elements from (i, j) on: a copy, recorded.
  VarMatrix block(Index i, Index j, Index rows, Index cols) const;
  /// As left factor of a product, and of a vector, nothing is recorded; elsewhere a copy is.
  Transposed transpose() const;

  template <class X>
  VarMatrix& operator+=(const X& x) {
    return *this = *this + x;
  }
  template <class X>
  VarMatrix& operator-=(const X& x) {
    return *this = *this - x;
  }

  /// "3 x 2"
  std::string shape() const { return std::to_string(rows()) + " x " + std::to_string(cols()); }

  // --- for rules
  VarMatrix(const Matrices::Tape& t, const Matrices::Block& b)
      : VarMatrix(b.first, b.rows, b.cols, false, Matrices::generation(t)) {}
  const Run& run() const { return run_; }
  const Matrices::Tape& tape(const char* what) const {
    const Matrices::Tape& t = Matrices::active();
    require_on(t, what);
    return t;
  }
  void require_on(const Matrices::Tape& t, const char* what) const {
    if (run_.generation() != Matrices::generation(t)) [[unlikely]]
      stale(run_, what);
  }
  [[noreturn, gnu::noinline, gnu::cold]] static void stale(Run x, const char* what) {
    throw std::invalid_argument(
        "ad::VarMatrix: " + std::string(what) + ": the " + std::to_string(x.rows()) + " x " + std::to_string(x.cols()) +
        " matrix " +
        (x.generation() == 0 ? "was never recorded" : "belongs to another tape or to an earlier recording"));
  }

 private:
  Run run_;

  VarMatrix(Id first, Index rows, Index cols, bool plain, std::uint32_t generation)
      : run_(first, static_cast<Id>(rows), static_cast<Id>(cols), plain, generation) {}
  VarMatrix part(Index first, Index rows, Index cols) const {
    return {id() + static_cast<Id>(first), rows, cols, is_plain(), run_.generation()};
  }
  [[noreturn, gnu::noinline, gnu::cold]] void refuse(const char* what, Index i, Index j) const {
    throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + " (" + std::to_string(i) + ", " +
                                std::to_string(j) + ") of a " + shape() + " matrix");
  }
};

// --- rules -------------------------------------------------------------------------------------------------------------

namespace detail {

using Tape = Matrices::Tape;
using Block = Matrices::Block;
using M = Matrices;
using Eigen::Index;

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

bool any(const auto& d) {
  for (Index k = 0; k < d.cols(); ++k)
    for (Index i = 0; i < d.rows(); ++i)
      if (d(i, k) != 0) return true;
  return false;
}

/// The sweeps over one block. R knows, of operand k: pull(c, k, g, a) adds to its adjoint a what the result's adjoint g
/// makes of it; push(c, k, dx, dy) adds to the result's tangents dy what its tangents dx make of them, or sets them to it.
/// Where a derivative is zero as a whole nothing flows, whatever the partials are.
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

inline constexpr const char* affine = "affine";

/// Products whose left factors have yet to get their part, dW += s G X^T. Columns of G and X are taken in as the sweep comes
/// down, and multiplied many at a time. Groups of at most `narrow` columns are summed apart from what else an adjoint is
/// made of, so that a sweep may be interrupted and taken up on another tape (ad/checkpoint.h), and gives the same bits.
template <class T = double>
class Uses : public ad::Waiting<T> {
 public:
  static constexpr Index narrow = 256;

  Uses() {
    this->add = [](ad::Waiting<T>& w, Id first, T* adjoint) { static_cast<Uses&>(w).finish(first, adjoint); };
    this->take_in = [](ad::Waiting<T>& w) { static_cast<Uses&>(w).take_all_in(); };
  }

  /// Factors among the variables up to this one wait until finish(0, ...), whatever tapes are swept before.
  void keep_up_to(Id variable) { kept_ = variable; }
  void forget() { waiting_ = this->from = kept_ = 0; }
  void take_all_in() {
    for (Id i = 0; i < waiting_; ++i) parts_[i].take_in();
  }

  /// dW += W.s G X^T, with n columns in G and X.
  void take(const BlockOperand& W, const T* G, const T* X, Index n) {
    Id& at = recent_[(W.first() + W.cols()) * 2654435769u >> 28];  // Fibonacci hashing
    if (at >= waiting_ || !parts_[at].W.is(W)) [[unlikely]]
      at = place_of(W);
    parts_[at].take(W.s, G, X, n);
  }
  /// Adds to the adjoint of each factor from this variable on what waits for it, whatever the order in which it came.
  void finish(Id first, T* adjoint) {
    const auto end = parts_.begin() + waiting_;
    const auto done = std::partition(parts_.begin(), end, [&](const Part& p) { return p.W.first() < first; });
    std::sort(done, end, [](const Part& p, const Part& q) { return before(p.W, q.W); });
    for (auto p = done; p != end; ++p) p->finish(adjoint + p->W.first());
    waiting_ = static_cast<Id>(done - parts_.begin());
    this->from = 0;
    for (auto p = parts_.begin(); p != done; ++p) look_out_for(p->W);
  }

  std::size_t bytes() const {
    std::size_t sum = 0;
    for (Id i = 0; i < waiting_; ++i) sum += bytes(parts_[i].W);
    return sum;
  }
  /// Bytes that uses of matrices among the variables up to `last` may take, if all steps use them as this recording does.
  static std::size_t bytes(const Tape& t, Id last) {
    std::vector<Run> all;
    for (const Block& b : t.blocks())
      if (b.before > last)
        for (Id k = 0; k < 2 * b.extra && b.rule->name == affine; k += 2)
          if (const Run W = M::operands(t, b)[k]; !W.plain() && W.first() <= last) all.push_back(W);
    for (const Block& b : t.blocks())  // perhaps used as a whole by a later step
      if (b.before <= last &&
          std::none_of(all.begin(), all.end(), [&](Run W) { return t.block_before(W.first()) == &b; }))
        all.emplace_back(b.first, b.rows, b.cols, false, 0);
    std::sort(all.begin(), all.end(), before);
    all.erase(std::unique(all.begin(), all.end(), [](Run x, Run z) { return x.is(z); }), all.end());
    std::size_t sum = 0;
    for (const Run& W : all) sum += bytes(W);
    return sum;
  }

 private:
  struct Part {
    Run W;
    Array<T> G{}, X{};  // columns taken in
    Array<T> sum{};     // of the groups before; empty as long as there are none
    Index waiting = 0;
    // behind these, columns that still stand where they were computed, at equal distances: in a loop over time they do
    Index standing = 0, from_g = 0, from_x = 0;
    const T *g_0 = nullptr, *x_0 = nullptr, *g_next = nullptr, *x_next = nullptr;
    T s_0{};

    Index rows() const { return W.rows(); }
    Index cols() const { return W.cols(); }
    void begin(Run of) {
      W = of;
      G.resize(static_cast<std::size_t>(narrow * rows()));
      X.resize(static_cast<std::size_t>(narrow * cols()));
      sum.clear();
      waiting = standing = 0;
    }
    [[gnu::always_inline]] void take(T s, const T* g, const T* x, Index n) {
      if (g == g_next && x == x_next && s == s_0 && n == 1 && standing > 1 && waiting + standing < narrow) [[likely]]
        ++standing, g_next += from_g, x_next += from_x;
      else
        take_another(s, g, x, n);
    }
    [[gnu::noinline]] void take_another(T s, const T* g, const T* x, Index n) {
      if (standing == 1 && n == 1 && s == s_0 && waiting < narrow - 1) {
        from_g = g - g_0, from_x = x - x_0;
        g_next = g + from_g, x_next = x + from_x;
        standing = 2;
        return;
      }
      take_in();
      if (waiting + n > narrow) multiply();
      if (n == 1) {
        g_0 = g, x_0 = x, s_0 = s;
        standing = 1;
        return;
      }
      for (; n > narrow; n -= narrow, g += narrow * rows(), x += narrow * cols()) append(s, g, x, narrow), multiply();
      append(s, g, x, n);
    }
    /// After this the tape may go.
    void take_in() {
      for (Index i = 0; i < standing; ++i) append(s_0, g_0 + i * from_g, x_0 + i * from_x, 1);
      standing = 0;
    }
    void append(T s, const T* g, const T* x, Index n) {
      kernels::set(G.data() + waiting * rows(), s, g, n * rows());
      kernels::set(X.data() + waiting * cols(), 1, x, n * cols());
      waiting += n;
    }
    void multiply() {
      if (sum.empty()) sum.assign(static_cast<std::size_t>(rows() * cols()), 0.0);
      multiply(sum.data());
    }
    void multiply(T* to) {
      if (waiting > 0 || s_0 != 1) take_in();
      using Group = Eigen::Map<const MatrixX<T>, 0, Eigen::OuterStride<>>;
      const bool in_place = standing > 0;
      const Index n = in_place ? standing : waiting;
      const Group g(in_place ? g_0 : G.data(), rows(), n, Eigen::OuterStride<>(in_place ? from_g : rows()));
      const Group x(in_place ? x_0 : X.data(), cols(), n, Eigen::OuterStride<>(in_place ? from_x : cols()));
      Eigen::Map<MatrixX<T>>(to, rows(), cols()).noalias() += g * x.transpose();
      waiting = standing = 0;
    }
    void finish(T* to) {
      if (sum.empty()) return multiply(to);
      multiply();
      kernels::add(to, 1, sum.data(), rows() * cols());
    }
  };
  std::vector<Part> parts_;  // the first waiting_ of them; those behind are memory for others
  Id waiting_ = 0, kept_ = 0;
  std::array<Id, 16> recent_{};  // where to look first

  static bool before(Run x, Run z) {
    return std::tuple(x.first(), x.cols(), x.rows()) < std::tuple(z.first(), z.cols(), z.rows());
  }
  static std::size_t bytes(Run W) {
    const std::size_t rows = W.rows(), cols = W.cols();
    return (narrow * (rows + cols) + rows * cols) * sizeof(T);
  }
  [[gnu::noinline]] Id place_of(Run W) {
    for (Id i = waiting_; i-- > 0;)
      if (parts_[i].W.is(W)) return i;
    if (waiting_ == parts_.size()) parts_.emplace_back();
    parts_[waiting_].begin(W);
    look_out_for(W);
    return waiting_++;
  }
  void look_out_for(Run W) {
    if (W.first() > kept_) this->from = std::max(this->from, W.first());
  }
};
template <class T = double>
[[gnu::noinline]] Waiting<double>* new_uses() {
  static thread_local Uses<T> own;
  own.forget();
  return &own;
}
/// Those of the sweep that goes on.
inline Uses<>& uses(Waiting<double>*& waiting) {
  if (!waiting) [[unlikely]]
    waiting = new_uses();
  return static_cast<Uses<>&>(*waiting);
}

// --- Y = s_1 W_1 X_1 + s_2 W_2 X_2 + ... + t_1 z_1 + ..., each W perhaps transposed ------------------------------------
// dX += s W^T dY; dW += s dY X^T, taken in for later; dz += t dY, summed over columns where z is one column beside several

struct Linear {
  static constexpr const char* name = affine;

  static bool in_product(const auto& c, Index k) { return k < 2 * Index{c.b.extra}; }

  template <int products, int summands>
  static void value(const auto& c) {
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
    if (z.cols() == cols) return kernels::add(a, z.s, g, rows * cols);
    for (Index j = 0; j < cols; ++j) kernels::add(a, z.s, g + j * rows, rows);
  }

  /// First what moves as a whole through large products, then the rest.
  static void push_all(const auto& c, const Panel<double>& d, auto& dy, bool& set) {
    const auto of = [&](Id k) {
      return c.q[k].plain() ? Moves{.at_all = false} : moves(c.t, d, c.q[k].first(), c.size(k), false);
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
    if (set && repeated(c, operand)) set_zero(dy);
    for (Index d = 0; d < dy.cols(); ++d) {
      const double* const from = column(dx, d);
      double* const to = column(dy, d);
      if (repeated(c, operand))
        for (Index i = 0; i < c.size(); ++i) to[i] += flow(p[i], from[0]);
      else if (set)
        kernels::by_packs(c.size(), [=]<int N>(Index i) { flow<N, true>(to + i, p + i, from + i); });
      else
        kernels::by_packs(c.size(), [=]<int N>(Index i) { flow<N, false>(to + i, p + i, from + i); });
    }
  }
  /// to = or += flow(p, g), N numbers at a time
  template <int N, bool set>
  [[gnu::always_inline]] static void flow(double* to, const double* p, const double* g) {
    const kernels::Pack<N> P = kernels::pack<N>(p), G = kernels::pack<N>(g), product = P * G;
    const kernels::Pack<N> flows = (P == 0) | (G == 0) ? kernels::Pack<N>{} : product;
    kernels::pack<N>(to) = set ? flows : kernels::pack<N>(to) + flows;
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
    kernels::add(a, c.q->s * *g, c.x(1 - k), c.size(k));
  }
  static void push(const auto& c, Index k, const auto& dx, auto& dy) { add_dots(dy, c.q->s, c.x(1 - k), dx); }
};

struct SquaredDistance {  // y = s |x - z|^2,  dx += 2 s g (x - z),  dz += 2 s g (z - x)
  static constexpr const char* name = "squared_distance";
  static void value(const auto& c) { *c.y() = c.q->s * kernels::squared_distance(c.x(0), c.x(1), c.size(0)); }
  static void pull(const auto& c, Index k, const double* g, double* a) {
    kernels::add_difference(a, 2 * c.q->s * *g, c.x(k), c.x(1 - k), c.size(k));
  }
  static void push(const auto& c, Index k, const auto& dx, auto& dy) {
    static thread_local Array<double> difference;
    difference.resize(static_cast<std::size_t>(c.size(k)));
    for (Index i = 0; i < c.size(k); ++i) difference[static_cast<std::size_t>(i)] = c.x(k)[i] - c.x(1 - k)[i];
    add_dots(dy, 2 * c.q->s, difference.data(), dx);
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
      kernels::exp(x, largest, p, n);
      const double sum = kernels::sum(p, n);
      kernels::set(p, 1 / sum, p, n);
      c.y()[j] = largest + std::log(sum);
    }
  }
  static void pull(const auto& c, Index, const double* g, double* a) {
    for (Index j = 0, n = c.q->rows(); j < c.cols(); ++j) kernels::add(a + j * n, g[j], softmax(c, j), n);
  }
  static void push(const auto& c, Index, const auto& dx, auto& dy) {
    for (Index d = 0, n = c.q->rows(); d < dy.cols(); ++d)
      for (Index j = 0; j < c.cols(); ++j) dy(j, d) += kernels::dot(softmax(c, j), column(dx, d) + j * n, n);
  }
};

// --- X = A^-1 B with A symmetric and positive definite -------------------------------------------------------------------
// dB += A^-1 dX,  dA -= A^-1 dX X^T: as if the elements of A moved one by one, though only symmetric matrices have a value.
// L of A = L L^T is kept behind the result.

struct CholeskySolve {
  static constexpr const char* name = "cholesky_solve";
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

  /// A rows x cols matrix of the Vars element(i), column by column.
  template <class F>
  static VarMatrix of(Index rows, Index cols, F&& element) {
    Tape& t = M::active();
    Block& b = M::open(t, rule, rows, cols);
    b.extra = static_cast<Id>(M::indices(t).size());
    for (Index i = 0; i < rows * cols; ++i) {
      const Var x = element(i);
      M::add_index(t, M::id(t, x));
      M::values(t, b).data()[i] = x.value();
    }
    return {t, b};
  }
};

// --- recording -----------------------------------------------------------------------------------------------------------

[[noreturn, gnu::noinline, gnu::cold]] inline void refuse(const char* what, Run x, Run z) {
  const auto shape = [](Run r) { return std::to_string(r.rows()) + " x " + std::to_string(r.cols()); };
  throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + " of a " + shape(x) + " and a " + shape(z) +
                              " matrix");
}
inline void same_shape(const char* what, VarMatrix x, VarMatrix z) {
  if (x.rows() != z.rows() || x.cols() != z.cols()) [[unlikely]]
    refuse(what, x.run(), z.run());
}
inline void require_elements(const char* what, VarMatrix x) {
  if (x.size() == 0)
    throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + " of a " + x.shape() + " matrix");
}

/// The operation R on x with the coefficient s, rows x cols, with `behind` numbers behind the result.
template <class R, class... X>
VarMatrix record(double s, Index rows, Index cols, Index behind, X... x) {
  Tape& t = M::active();
  (x.require_on(t, "an operand"), ...);
  BlockOperand* q = M::new_operands(t, sizeof...(X));
  ((*q++ = {x.run(), s}), ...);
  Block& b = M::open(t, Rule<R>::rule, rows, cols, sizeof...(X), behind);
  R::value(Call{t, b});
  return {t, b};
}
template <class R, class... X>
Var record_number(double s, X... x) {
  return record<R>(s, 1, 1, 0, x...)[0];
}
template <class Row>
VarMatrix elementwise(VarMatrix x) {
  return record<Elementwise<Row>>(1, x.rows(), x.cols(), 0, x);
}
template <class Row>
VarMatrix elementwise(VarMatrix x, VarMatrix z) {
  const VarMatrix larger = x.size() == 1 ? z : x;
  if (z.size() != 1) same_shape(op_text(Row::op).name.data(), larger, z);
  return record<Elementwise<Row>>(1, larger.rows(), larger.cols(), 0, x, z);
}

}  // namespace detail

// --- sums and products ---------------------------------------------------------------------------------------------------

struct Transposed : MatrixOperations<Transposed> {
  VarMatrix W;
  explicit Transposed(VarMatrix of) : W(of) {}
  VarMatrix transpose() const { return W; }
};

namespace detail {
/// What the terms of a sum must fit when it is recorded.
struct NewSum {
  Id rows, cols;
  std::uint32_t generation;
  int products;

  [[gnu::always_inline]] void require(Id r, Id c, bool to_each_column) const {
    if (r != rows || (c != cols && !to_each_column)) [[unlikely]]
      refuse_term(rows, cols, r, c);
  }
  [[gnu::always_inline]] void require(Run x) const {
    if (x.generation() != generation) [[unlikely]]
      VarMatrix::stale(x, "an operand");
  }
  [[noreturn, gnu::noinline, gnu::cold]] static void refuse_term(Id rows, Id cols, Id r, Id c) {
    throw std::invalid_argument("ad::VarMatrix: sum of a " + std::to_string(rows) + " x " + std::to_string(cols) +
                                " and a " + std::to_string(r) + " x " + std::to_string(c) + " matrix");
  }
};
}  // namespace detail

struct Product : MatrixOperations<Product> {
  static constexpr int products = 1, summands = 0;
  Run W, X;
  double s;

  [[gnu::always_inline]] Product(Run W_, Run X_, double s_) : W(W_), X(X_), s(s_) {
    if ((W.transposed() ? W.rows() : W.cols()) != X.rows()) [[unlikely]]
      detail::refuse(W.transposed() ? "transposed product" : "product", W, X);
  }
  Id rows() const { return W.transposed() ? W.cols() : W.rows(); }
  Id cols() const { return X.cols(); }
  [[gnu::always_inline]] void write(const detail::NewSum& sum, BlockOperand*& product, BlockOperand*&) const {
    sum.require(rows(), cols(), false);
    sum.require(W), sum.require(X);
    *product++ = {W, s};
    *product++ = {X, 1};
  }
};
struct Multiple : MatrixOperations<Multiple> {
  static constexpr int products = 0, summands = 1;
  Run z;
  double s;

  [[gnu::always_inline]] Multiple(Run z_, double s_) : z(z_), s(s_) {}
  Id rows() const { return z.rows(); }
  Id cols() const { return z.cols(); }
  [[gnu::always_inline]] void write(const detail::NewSum& sum, BlockOperand*&, BlockOperand*& summand) const {
    sum.require(rows(), cols(), cols() == 1 && sum.products > 0);  // one column is added to each of a product
    sum.require(z);
    *summand++ = {z, s};
  }
};
template <class A, class B>
struct Sum : MatrixOperations<Sum<A, B>> {
  static constexpr int products = A::products + B::products, summands = A::summands + B::summands;
  A a;
  B b;

  [[gnu::always_inline]] Sum(const A& a_, const B& b_) : a(a_), b(b_) {}
  Id rows() const { return take_a ? a.rows() : b.rows(); }
  Id cols() const { return take_a ? a.cols() : b.cols(); }
  [[gnu::always_inline]] void write(const detail::NewSum& sum, BlockOperand*& product, BlockOperand*& summand) const {
    a.write(sum, product, summand), b.write(sum, product, summand);
  }

 private:
  static constexpr bool take_a =
      A::products > 0 || B::products == 0;  // the shape is that of a product, if there is one
};

namespace detail {

template <class X>
[[gnu::always_inline]] inline X scaled(X x, double by) {
  x.s *= by;
  return x;
}
template <class A, class B>
[[gnu::always_inline]] inline Sum<A, B> scaled(Sum<A, B> x, double by) {
  return {scaled(x.a, by), scaled(x.b, by)};
}

template <class A, class B>
[[gnu::always_inline]] inline Sum<A, B> sum_of(const A& a, const B& b) {
  return {a, b};
}

[[gnu::always_inline]] inline Multiple as_sum(const VarMatrix& x) { return {x.run(), 1}; }
template <Unrecorded S>
[[gnu::always_inline]] inline const S& as_sum(const S& x) {
  return x;
}
template <PlainMatrix X>
Multiple as_sum(const X& x) {
  return as_sum(VarMatrix(x));
}

[[gnu::always_inline]] inline Product times(const Multiple& W, const VarMatrix& X) { return {W.z, X.run(), W.s}; }
[[gnu::always_inline]] inline Product times(const VarMatrix& W, const VarMatrix& X) { return {W.run(), X.run(), 1}; }
[[gnu::always_inline]] inline Product times(const Transposed& T, const VarMatrix& X) {
  return {T.W.run().transpose(), X.run(), 1};
}

}  // namespace detail

template <Unrecorded S>
[[gnu::always_inline]] inline VarMatrix::VarMatrix(const S& sum) {
  if constexpr (std::is_same_v<S, Multiple>)
    if (sum.s == 1) {
      run_ = sum.z;
      return;
    }
  Matrices::Tape& t = Matrices::active();
  const detail::NewSum needs{sum.rows(), sum.cols(), Matrices::generation(t), S::products};
  BlockOperand *product = Matrices::new_operands(t, 2 * S::products + S::summands),
               *summand = product + 2 * S::products;
  sum.write(needs, product, summand);
  using Linear =
      std::conditional_t<(S::products >= 0), detail::Linear, void>;  // compiled where there is a sum, not before
  Matrices::Block& b =
      Matrices::open(t, detail::Rule<Linear>::rule, needs.rows, needs.cols, 2 * S::products + S::summands);
  b.extra = S::products;
  Linear::template value<S::products, S::summands>(detail::Call{t, b});
  *this = {t, b};
}

/// Sums, differences, multiples and products wait to be one entry of the tape. Eigen's plain matrices take part on either
/// side. One column beside a product of several is added to each.
#define AD_SUM(op, sign)                                                                        \
  template <class X, class Z>                                                                   \
  requires((Recorded<X> && (Recorded<Z> || PlainMatrix<Z>)) || (PlainMatrix<X> && Recorded<Z>)) \
      [[gnu::always_inline]] inline auto                                                        \
      operator op(const X& x, const Z& z) {                                                     \
    return detail::sum_of(detail::as_sum(x), detail::scaled(detail::as_sum(z), sign));          \
  }
AD_SUM(+, 1)
AD_SUM(-, -1)
#undef AD_SUM
template <Recorded W, class X>
requires(Recorded<X> || PlainMatrix<X>) [[gnu::always_inline]] inline auto operator*(const W& w, const X& x) {
  return detail::times(w, VarMatrix(x));
}
template <PlainMatrix W, Recorded X>
auto operator*(const W& w, const X& x) {
  return detail::times(VarMatrix(w), VarMatrix(x));
}
template <Recorded X>
[[gnu::always_inline]] inline auto operator*(double s, const X& x) {
  return detail::scaled(detail::as_sum(x), s);
}
template <Recorded X>
[[gnu::always_inline]] inline auto operator*(const X& x, double s) {
  return s * x;
}
template <Recorded X>
[[gnu::always_inline]] inline auto operator/(const X& x, double s) {
  return (1 / s) * x;
}
template <Recorded X>
[[gnu::always_inline]] inline auto operator-(const X& x) {
  return -1.0 * x;
}

// --- element by element --------------------------------------------------------------------------------------------------

/// A matrix times or divided by one number of the tape.
template <Recorded X>
VarMatrix operator*(const Var& s, const X& x) {
  return detail::elementwise<row::mul_>(s, x);
}
template <Recorded X>
VarMatrix operator*(const X& x, const Var& s) {
  return detail::elementwise<row::mul_>(x, s);
}
template <Recorded X>
VarMatrix operator/(const X& x, const Var& s) {
  return detail::elementwise<row::div_>(x, s);
}
/// Every function of the table.
#define AD_UNARY(name, ...)                      \
  template <Recorded X>                          \
  VarMatrix name(const X& x) {                   \
    return detail::elementwise<row::name##_>(x); \
  }
#define AD_BINARY(name, ...)                                                    \
  template <class X, class Z>                                                   \
  requires(Recorded<X> || Recorded<Z>) VarMatrix name(const X& x, const Z& z) { \
    return detail::elementwise<row::name##_>(x, z);                             \
  }
#include "ad/derivatives.def"

template <class X>
template <std::convertible_to<VarMatrix> Z>
VarMatrix MatrixOperations<X>::cwiseProduct(const Z& z) const {
  return detail::elementwise<row::mul_>(static_cast<const X&>(*this), z);
}
template <class X>
template <std::convertible_to<VarMatrix> Z>
VarMatrix MatrixOperations<X>::cwiseQuotient(const Z& z) const {
  return detail::elementwise<row::div_>(static_cast<const X&>(*this), z);
}

// --- one number of a matrix, or of each column ---------------------------------------------------------------------------

template <class X>
Var MatrixOperations<X>::sum() const {
  return detail::record_number<detail::Total>(1, VarMatrix(static_cast<const X&>(*this)));
}
template <class X>
Var MatrixOperations<X>::mean() const {
  const VarMatrix x = static_cast<const X&>(*this);
  detail::require_elements("mean", x);
  return detail::record_number<detail::Total>(1 / static_cast<double>(x.size()), x);
}
template <class X>
template <std::convertible_to<VarMatrix> Z>
Var MatrixOperations<X>::dot(const Z& with) const {
  const VarMatrix x = static_cast<const X&>(*this), z = with;
  detail::same_shape("dot product", x, z);
  return detail::record_number<detail::Dot>(1, x, z);
}
template <class X>
Var MatrixOperations<X>::squaredNorm() const {
  const VarMatrix x = static_cast<const X&>(*this);
  return x.dot(x);
}
/// s |x - z|^2
template <std::convertible_to<VarMatrix> X, std::convertible_to<VarMatrix> Z>
Var squared_distance(const X& from, const Z& to, double s = 1) {
  const VarMatrix x = from, z = to;
  detail::same_shape("squared distance", x, z);
  return detail::record_number<detail::SquaredDistance>(s, x, z);
}
/// log sum exp of each column, a row; stable for any size of x.
template <std::convertible_to<VarMatrix> X>
VarMatrix log_sum_exp(const X& of) {
  const VarMatrix x = of;
  if (x.cols() > 0) detail::require_elements("log_sum_exp", x);
  return detail::record<detail::LogSumExp>(1, 1, x.cols(), x.size(), x);
}
/// -sum_ij target_ij log softmax(v)_ij, the softmax of each column: sum_j (sum_i target_ij) log_sum_exp(v)_j - target . v
template <std::convertible_to<VarMatrix> V, std::convertible_to<VarMatrix> Y>
Var softmax_cross_entropy(const V& of, const Y& wanted) {
  const VarMatrix v = of, target = wanted;
  detail::same_shape("softmax_cross_entropy", v, target);
  const VarMatrix weight = target.values().colwise().sum();
  return log_sum_exp(v).dot(weight) - v.dot(target);
}

// --- matrices of matrices ------------------------------------------------------------------------------------------------

/// x z^T of two vectors
inline auto outer(VarMatrix x, VarMatrix z) { return x.reshaped(x.size(), 1) * z.reshaped(1, z.size()); }
/// A^-1 B for a symmetric positive definite A; throws std::invalid_argument if A is not.
template <std::convertible_to<VarMatrix> X, std::convertible_to<VarMatrix> Z>
VarMatrix cholesky_solve(const X& matrix, const Z& with) {
  const VarMatrix A = matrix, B = with;
  if (A.rows() != A.cols() || A.rows() != B.rows()) detail::refuse("cholesky_solve", A.run(), B.run());
  if (A.size() > 0 && !A.values().isApprox(A.values().transpose(), 1e-10))
    throw std::invalid_argument("ad::cholesky_solve: the " + A.shape() + " matrix is not symmetric");
  return detail::record<detail::CholeskySolve>(1, B.rows(), B.cols(), A.size(), A, B);
}
/// A matrix of Vars as one VarMatrix.
template <class D>
requires std::same_as<typename D::Scalar, Var> VarMatrix whole(const Eigen::DenseBase<D>& x) {
  const auto& m = x.derived().eval();
  return detail::Gathered::of(m.rows(), m.cols(), [&](Eigen::Index i) { return m(i % m.rows(), i / m.rows()); });
}
inline VarMatrix VarMatrix::block(Index i, Index j, Index rows, Index cols) const {
  if (i < 0 || j < 0 || rows < 0 || cols < 0 || i + rows > this->rows() || j + cols > this->cols())
    refuse("block", i, j);
  return detail::Gathered::of(rows, cols, [&](Index k) { return (*this)(i + k % rows, j + k / rows); });
}
inline Transposed VarMatrix::transpose() const { return Transposed(*this); }
inline VarMatrix::VarMatrix(const Transposed& T) {
  const VarMatrix& W = T.W;
  const bool vector = W.rows() <= 1 || W.cols() <= 1;
  const auto element = [&](Index k) { return W(k / W.cols(), k % W.cols()); };
  *this = vector ? W.reshaped(W.cols(), W.rows()) : detail::Gathered::of(W.cols(), W.rows(), element);
}
/// One above the other.
inline VarMatrix vertical(VarMatrix x, VarMatrix z) {
  if (x.cols() != z.cols()) detail::refuse("vertical", x.run(), z.run());
  const Eigen::Index n = x.rows() + z.rows();
  return detail::Gathered::of(
      n, x.cols(), [&](Eigen::Index k) { return k % n < x.rows() ? x(k % n, k / n) : z(k % n - x.rows(), k / n); });
}
/// Side by side.
inline VarMatrix horizontal(VarMatrix x, VarMatrix z) {
  if (x.rows() != z.rows()) detail::refuse("horizontal", x.run(), z.run());
  const Eigen::Index n = x.rows();
  return detail::Gathered::of(n, x.cols() + z.cols(), [&](Eigen::Index k) {
    return k / n < x.cols() ? x(k % n, k / n) : z(k % n, k / n - x.cols());
  });
}

// --- inputs and derivatives ----------------------------------------------------------------------------------------------

/// An independent matrix or vector of variables on this tape. Elements are named "name[i,j]".
template <PlainMatrix D>
VarMatrix input(Matrices::Tape& t, const D& m, const std::string& name = {}) {
  Matrices::Block& b = Matrices::open(t, detail::Rule<detail::Input>::rule, m.rows(), m.cols());
  Matrices::values(t, b) = m.matrix();
  if (!name.empty()) Matrices::name(t, b, name);
  return {t, b};
}
namespace detail {
inline Eigen::MatrixXd derivatives(const Tape& t, VarMatrix x, bool adjoints) {
  if (x.run().generation() != M::generation(t) || x.is_plain())
    throw std::invalid_argument("ad::VarMatrix: the " + std::string(adjoints ? "adjoint" : "tangent") + " of a " +
                                x.shape() + " matrix that was not recorded on this tape");
  return M::derivatives(t, adjoints, x.id(), x.rows(), x.cols());
}
}  // namespace detail
/// The adjoints (tangents) of a matrix after a sweep, in its shape.
inline Eigen::MatrixXd adjoint(const Matrices::Tape& t, VarMatrix x) { return detail::derivatives(t, x, true); }
inline Eigen::MatrixXd tangent(const Matrices::Tape& t, VarMatrix x) { return detail::derivatives(t, x, false); }

}  // namespace ad
