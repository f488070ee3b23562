// A whole vector or matrix as one entry of the tape: products, sums and elementwise functions at the speed of plain loops.
//
// A VarMatrix is a run of consecutive variables; its values and its adjoints are contiguous, and element (i, j) is an
// ordinary Var. What an operation computes, and how derivatives pass it, its rule knows (ad/matrix_rules.h). Plain matrices
// take part without being recorded. Where one matrix is multiplied again and again, its adjoint is a few large products
// (ad/uses.h).
#pragma once

#include "ad/matrix_rules.h"

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

/// What waits to become one entry of the tape: s W X or s W^T X, s z, and a sum of two such.
template <bool transposed>
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
    if (id > Run::most) throw std::length_error("ad::VarMatrix: a variable beyond the first 2^31 of the tape");
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
  /// Element i of a column or a row.
  Var operator[](Index i) const { return rows() == 1 ? (*this)(0, i) : (*this)(i); }

  // views: the same variables, nothing recorded
  VarMatrix middleCols(Index j, Index n) const {
    if (j < 0 || n < 0 || n > cols() - j) refuse("columns", j, n);
    return part(j * rows(), rows(), n);
  }
  VarMatrix col(Index j) const { return middleCols(j, 1); }
  VarMatrix segment(Index i, Index n) const {
    if (cols() != 1 || i < 0 || n < 0 || n > rows() - i) refuse("segment", i, n);
    return part(i, n, 1);
  }
  VarMatrix reshaped(Index rows, Index cols) const {
    const bool fit = rows > 0 && cols > 0 ? rows <= size() && cols == size() / rows && size() % rows == 0
                                          : rows >= 0 && cols >= 0 && size() == 0 && rows + cols <= Index{Run::most};
    if (!fit) refuse("shape", rows, cols);
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
  /// By a number, or a matrix from the right.
  template <class X>
  VarMatrix& operator*=(const X& x) {
    return *this = *this * x;
  }
  template <class X>
  VarMatrix& operator/=(const X& s) {
    return *this = *this / s;
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

namespace detail {

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
[[gnu::always_inline]] inline Block& record_block(Tape& t, double s, Index rows, Index cols, Index behind, X... x) {
  (x.require_on(t, "an operand"), ...);
  BlockOperand* q = M::new_operands(t, sizeof...(X));
  ((*q++ = {x.run(), s}), ...);
  Block& b = M::open(t, Rule<R>::rule, rows, cols, sizeof...(X), behind);
  if constexpr (requires { R::may_refuse; }) {
    try {
      R::value(Call{t, b});
    } catch (...) {
      M::take_back(t);
      throw;
    }
  } else {
    R::value(Call{t, b});
  }
  return b;
}
template <class R, class... X>
VarMatrix record(double s, Index rows, Index cols, Index behind, X... x) {
  Tape& t = M::active();
  return {t, record_block<R>(t, s, rows, cols, behind, x...)};
}
template <class R, class... X>
Var record_number(double s, X... x) {
  Tape& t = M::active();
  return M::variable(t, record_block<R>(t, s, 1, 1, 0, x...).first);
}
/// A rows x cols matrix of the Vars element(i), column by column.
template <class F>
VarMatrix gathered(Index rows, Index cols, F&& element) {
  Tape& t = M::active();
  const auto indices = static_cast<Id>(M::indices(t).size());
  for (Index i = 0; i < rows * cols; ++i) M::add_index(t, M::id(t, element(i)));  // first: a variable may be refused
  Block& b = M::open(t, Gathered::rule, rows, cols);
  b.extra = indices;
  for (Index i = 0; i < rows * cols; ++i) M::values(t, b).data()[i] = element(i).value();
  return {t, b};
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
/// What the terms of a sum must fit when it is recorded: its shape.
struct NewSum {
  Run shape;
  int products;

  [[gnu::always_inline]] void require(Run x) const {
    if (x.generation() != shape.generation()) [[unlikely]]
      VarMatrix::stale(x, "an operand");
  }
  [[gnu::always_inline]] void require_shape(Id rows, Id cols) const {
    if (rows != shape.rows() || cols != shape.cols()) [[unlikely]]
      refuse_term(rows, cols);
  }
  [[gnu::always_inline]] void require_summand(Run z) const {
    require(z);
    if (!z.same_shape(shape) && !(products > 0 && z.cols() == 1 && z.rows() == shape.rows())) [[unlikely]]
      refuse_term(z.rows(), z.cols());  // one column is added to each of a product
  }
  [[noreturn, gnu::noinline, gnu::cold]] void refuse_term(Id r, Id c) const {
    throw std::invalid_argument("ad::VarMatrix: sum of a " + std::to_string(shape.rows()) + " x " +
                                std::to_string(shape.cols()) + " and a " + std::to_string(r) + " x " +
                                std::to_string(c) + " matrix");
  }
};
}  // namespace detail

template <bool transposed>
struct Product : MatrixOperations<Product<transposed>> {
  static constexpr int products = 1, summands = 0;
  Run W, X;
  double s;

  [[gnu::always_inline]] Product(Run W_, Run X_, double s_) : W(W_), X(X_), s(s_) {
    if ((transposed ? W.rows() : W.cols()) != X.rows()) [[unlikely]]
      detail::refuse(transposed ? "transposed product" : "product", W, X);
  }
  Id rows() const { return transposed ? W.cols() : W.rows(); }
  Id cols() const { return X.cols(); }
  [[gnu::always_inline]] void write(const detail::NewSum& sum, BlockOperand*& product, BlockOperand*&) const {
    sum.require_shape(rows(), cols());
    sum.require(W), sum.require(X);
    *product++ = {transposed ? W.transpose() : W, s};
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
    sum.require_summand(z);
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

[[gnu::always_inline]] inline Product<false> times(const Multiple& W, const VarMatrix& X) {
  return {W.z, X.run(), W.s};
}
[[gnu::always_inline]] inline Product<false> times(const VarMatrix& W, const VarMatrix& X) {
  return {W.run(), X.run(), 1};
}
[[gnu::always_inline]] inline Product<true> times(const Transposed& T, const VarMatrix& X) {
  return {T.W.run(), X.run(), 1};
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
  const detail::NewSum needs{Run(0, sum.rows(), sum.cols(), false, Matrices::generation(t)), S::products};
  BlockOperand *product = Matrices::new_operands(t, 2 * S::products + S::summands),
               *summand = product + 2 * S::products;
  sum.write(needs, product, summand);
  using Linear =
      std::conditional_t<(S::products >= 0), detail::Linear, void>;  // compiled where there is a sum, not before
  Matrices::Block& b =
      Matrices::open(t, detail::Rule<Linear>::rule, sum.rows(), sum.cols(), 2 * S::products + S::summands);
  b.extra = S::products;
  Linear::template value<S::products, S::summands>(detail::Call{t, b});
  run_ = needs.shape.at(b.first);
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
/// (1/s) x: of s below 6e-309 the reciprocal is infinite.
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
/// The same numbers without a derivative.
template <Recorded X>
VarMatrix detach(const X& x) {
  return VarMatrix(VarMatrix(x).values());
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
/// log sum exp of each column, a row; stable for any size of x. Where all of a column is -infinity, or some of it
/// infinity, its derivative is shared by the largest.
template <std::convertible_to<VarMatrix> X>
VarMatrix log_sum_exp(const X& of) {
  const VarMatrix x = of;
  if (x.cols() > 0) detail::require_elements("log_sum_exp", x);
  return detail::record<detail::LogSumExp>(1, 1, x.cols(), x.size(), x);
}
/// The logarithm of the softmax of each column, in the shape of x: does not overflow, and does not cancel where one element
/// is by far the largest. NaN where all of a column is -infinity or some of it infinity.
template <std::convertible_to<VarMatrix> X>
VarMatrix log_softmax(const X& of) {
  const VarMatrix x = of;
  if (x.cols() > 0) detail::require_elements("log_softmax", x);
  return detail::record<detail::LogSoftmax>(1, x.rows(), x.cols(), x.size(), x);
}
/// -sum_ij target_ij log softmax(v)_ij, the softmax of each column
template <std::convertible_to<VarMatrix> V, std::convertible_to<VarMatrix> Y>
Var softmax_cross_entropy(const V& of, const Y& wanted) {
  const VarMatrix v = of, target = wanted;
  detail::same_shape("softmax_cross_entropy", v, target);
  return detail::record_number<detail::Expectation>(-1, target, log_softmax(v));
}

// --- matrices of matrices ------------------------------------------------------------------------------------------------

/// x z^T of two vectors
inline auto outer(VarMatrix x, VarMatrix z) { return x.reshaped(x.size(), 1) * z.reshaped(1, z.size()); }
/// A^-1 B for a symmetric positive definite A; throws std::invalid_argument if A is not.
template <std::convertible_to<VarMatrix> X, std::convertible_to<VarMatrix> Z>
VarMatrix cholesky_solve(const X& matrix, const Z& with) {
  const VarMatrix A = matrix, B = with;
  if (A.rows() != A.cols() || A.rows() != B.rows()) detail::refuse("cholesky_solve", A.run(), B.run());
  if (!A.values().allFinite())
    throw std::invalid_argument("ad::cholesky_solve: the " + A.shape() + " matrix is not finite");
  if (A.size() > 0 && !A.values().isApprox(A.values().transpose(), 1e-10))
    throw std::invalid_argument("ad::cholesky_solve: the " + A.shape() + " matrix is not symmetric");
  return detail::record<detail::CholeskySolve>(1, B.rows(), B.cols(), A.size(), A, B);
}
/// A matrix of Vars as one VarMatrix.
template <class D>
requires std::same_as<typename D::Scalar, Var> VarMatrix whole(const Eigen::DenseBase<D>& x) {
  const auto& m = x.derived().eval();
  return detail::gathered(m.rows(), m.cols(), [&](Eigen::Index i) { return m(i % m.rows(), i / m.rows()); });
}
inline VarMatrix VarMatrix::block(Index i, Index j, Index rows, Index cols) const {
  if (i < 0 || j < 0 || rows < 0 || cols < 0 || rows > this->rows() - i || cols > this->cols() - j)
    refuse("block", i, j);
  return detail::gathered(rows, cols, [&](Index k) { return (*this)(i + k % rows, j + k / rows); });
}
inline Transposed VarMatrix::transpose() const { return Transposed(*this); }
inline VarMatrix::VarMatrix(const Transposed& T) {
  const VarMatrix& W = T.W;
  const bool vector = W.rows() <= 1 || W.cols() <= 1;
  const auto element = [&](Index k) { return W(k / W.cols(), k % W.cols()); };
  *this = vector ? W.reshaped(W.cols(), W.rows()) : detail::gathered(W.cols(), W.rows(), element);
}
/// One above the other.
inline VarMatrix vertical(VarMatrix x, VarMatrix z) {
  if (x.cols() != z.cols()) detail::refuse("vertical", x.run(), z.run());
  const Eigen::Index n = x.rows() + z.rows();
  return detail::gathered(
      n, x.cols(), [&](Eigen::Index k) { return k % n < x.rows() ? x(k % n, k / n) : z(k % n - x.rows(), k / n); });
}
/// Side by side.
inline VarMatrix horizontal(VarMatrix x, VarMatrix z) {
  if (x.rows() != z.rows()) detail::refuse("horizontal", x.run(), z.run());
  const Eigen::Index n = x.rows();
  return detail::gathered(n, x.cols() + z.cols(), [&](Eigen::Index k) {
    return k / n < x.cols() ? x(k % n, k / n) : z(k % n, k / n - x.cols());
  });
}

// --- inputs and derivatives ----------------------------------------------------------------------------------------------

/// An independent matrix or vector of variables on this tape. Elements are named "name[i,j]".
template <PlainMatrix D>
VarMatrix input(Matrices::Tape& t, const D& m, const std::string& name = {}) {
  const auto record = [&](const auto& numbers) -> VarMatrix {
    Matrices::Block& b = Matrices::open(t, detail::Rule<detail::Input>::rule, numbers.rows(), numbers.cols());
    Matrices::values(t, b) = numbers.matrix();
    if (!name.empty()) Matrices::name(t, b, name);
    return {t, b};
  };
  if (Matrices::has_room(t, m.size())) return record(m);
  return record(m.eval());  // m may look into the tape, whose memory will move
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
