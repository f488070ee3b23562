// Lets Dual and Variable be the scalars of Eigen's matrices, alone and mixed with plain numbers.
#pragma once

#include <Eigen/Core>
#include <stdexcept>

#include "ad/dual.h"
#include "ad/tape.h"

namespace ad {

/// Column vectors and matrices of any kind of number, sized at run time.
template <class S>
using VectorX = Eigen::Matrix<S, Eigen::Dynamic, 1>;
template <class S>
using MatrixX = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;

/// Numbers that carry or record derivatives.
template <class S>
inline constexpr bool is_active = false;
template <class T, int N, class Tag>
inline constexpr bool is_active<Dual<T, N, Tag>> = true;
template <class T, class Tag>
inline constexpr bool is_active<Variable<T, Tag>> = true;

/// The same matrix with numbers of type S; a plain number becomes a constant.
template <class S, class M>
auto cast(const Eigen::DenseBase<M>& m) {
  return m.derived().unaryExpr([](const typename M::Scalar& x) { return S(x); });
}

/// The plain numbers under a matrix of any kind of number.
template <class M>
auto values(const Eigen::DenseBase<M>& m) {
  using Plain = std::decay_t<decltype(value(std::declval<typename M::Scalar>()))>;
  return m.derived().unaryExpr([](const typename M::Scalar& x) -> Plain { return value(x); }).eval();
}

/// A matrix whose elements have no derivative.
template <class M>
auto detach(const Eigen::DenseBase<M>& m) {
  return m.derived().unaryExpr([](const typename M::Scalar& x) { return detach(x); }).eval();
}

namespace detail {

template <class X>
concept EigenObject = requires {
  typename X::PlainObject;
};

template <class X>
struct ScalarOf {
  using type = std::conditional_t<std::is_integral_v<X>, double, X>;
};
template <EigenObject X>
struct ScalarOf<X> {
  using type = typename ScalarOf<typename X::Scalar>::type;
};

/// The shape of X with numbers S.
template <class X, class S>
struct Reshaped {
  using type = S;
};
template <EigenObject X, class S>
struct Reshaped<X, S> {
  using P = typename X::PlainObject;
  template <class, int R, int C, int O>
  struct As {
    using type = Eigen::Matrix<S, R, C, O>;
  };
  static constexpr bool array = std::is_base_of_v<Eigen::ArrayBase<P>, P>;
  using M = Eigen::Matrix<S, P::RowsAtCompileTime, P::ColsAtCompileTime, P::Options>;
  using A = Eigen::Array<S, P::RowsAtCompileTime, P::ColsAtCompileTime, P::Options>;
  using type = std::conditional_t<array, A, M>;
};
template <class X, class S>
using Like = typename Reshaped<X, S>::type;

template <class X>
Eigen::Index size_of(const X& x) {
  if constexpr (EigenObject<X>)
    return x.size();
  else
    return 1;
}
template <class X>
decltype(auto) element(X& x, Eigen::Index i) {
  if constexpr (EigenObject<std::remove_const_t<X>>)
    return x(i % x.rows(), i / x.rows());
  else
    return (x);
}
/// One number made from each number of x, in x's shape.
template <class S, class X, class Make>
Like<X, S> map(const X& x, Make make) {
  if constexpr (EigenObject<X>) {
    Like<X, S> y;
    y.resize(x.rows(), x.cols());
    for (Eigen::Index i = 0; i < x.size(); ++i) element(y, i) = make(i, element(x, i));
    return y;
  } else {
    return make(0, x);
  }
}
template <class X>
auto evaluated(const X& x) {
  if constexpr (EigenObject<X>)
    return x.eval();
  else if constexpr (std::is_integral_v<X>)
    return static_cast<double>(x);
  else
    return x;
}

}  // namespace detail

/// What TapeOf::input does for a matrix or vector: independent variables, named name[i] or name[i,j].
template <class Tag, class T, class M>
auto record_input(TapeOf<T>& tape, const M& m, const std::string& name) {
  using Plain = detail::Like<M, T>;
  std::conditional_t<Plain::IsVectorAtCompileTime, const Eigen::Ref<const Plain>, const Plain> values(
      m.template cast<T>());
  detail::Like<M, Variable<T, Tag>> x;
  x.resize(m.rows(), m.cols());
  tape.input(values.data(), static_cast<std::size_t>(values.size()), x.data());
  if (!name.empty())
    for (Eigen::Index j = 0; j < x.cols(); ++j)
      for (Eigen::Index i = 0; i < x.rows(); ++i)
        tape.name(x(i, j), name + '[' + std::to_string(i) + (x.cols() == 1 ? "" : ',' + std::to_string(j)) + ']');
  return x;
}

/// The adjoints of a matrix of variables, in its shape.
template <class T, class M>
auto adjoint(const TapeOf<T>& tape, const Eigen::DenseBase<M>& x) {
  return x.derived().unaryExpr([&tape](const typename M::Scalar& v) -> T { return tape.adjoint(v); }).eval();
}
/// The tangents of a matrix of variables, in its shape.
template <class T, class M>
auto tangent(const TapeOf<T>& tape, const Eigen::DenseBase<M>& x) {
  return x.derived().unaryExpr([&tape](const typename M::Scalar& v) -> T { return tape.tangent(v); }).eval();
}

// Every function of the table on arrays, element by element. Being constrained, they go before those Eigen has itself.
template <class A>
concept Elementwise = requires {
  typename A::Scalar;
};
#define AD_UNARY(name, ...)                                                \
  template <Elementwise A>                                                 \
  auto name(const Eigen::ArrayBase<A>& x) {                                \
    using S = typename A::Scalar;                                          \
    return x.derived().unaryExpr([](const S& s) -> S { return name(s); }); \
  }
#define AD_BINARY(name, ...)                                                                                      \
  template <Elementwise A, Elementwise B>                                                                         \
  auto name(const Eigen::ArrayBase<A>& x, const Eigen::ArrayBase<B>& z) {                                         \
    using S = typename A::Scalar;                                                                                 \
    using T = typename B::Scalar;                                                                                 \
    return x.derived().binaryExpr(z.derived(),                                                                    \
                                  [](const S& s, const T& t) -> std::common_type_t<S, T> { return name(s, t); }); \
  }                                                                                                               \
  template <Elementwise A, std::convertible_to<typename A::Scalar> U>                                             \
  auto name(const Eigen::ArrayBase<A>& x, const U& z) {                                                           \
    using S = typename A::Scalar;                                                                                 \
    return x.derived().unaryExpr([z](const S& s) -> S { return name(s, z); });                                    \
  }                                                                                                               \
  template <class U, Elementwise A>                                                                               \
  requires std::convertible_to<U, typename A::Scalar>                                                             \
  auto name(const U& x, const Eigen::ArrayBase<A>& z) {                                                           \
    using S = typename A::Scalar;                                                                                 \
    return z.derived().unaryExpr([x](const S& s) -> S { return name(x, s); });                                    \
  }
#include "ad/derivatives.def"

}  // namespace ad

namespace Eigen {

namespace ad_traits {
template <class S, class T>
struct Numbers : NumTraits<T> {
  using Real = S;
  using NonInteger = S;
  using Nested = S;
  using Literal = S;
  using Under = T;
  enum {
    IsComplex = 0,
    IsInteger = 0,
    IsSigned = 1,
    RequireInitialization = 1,
    ReadCost = 2 * NumTraits<T>::ReadCost,
    AddCost = 4 * NumTraits<T>::AddCost,
    MulCost = 6 * NumTraits<T>::MulCost
  };
  static S epsilon() { return S(NumTraits<T>::epsilon()); }
  static S dummy_precision() { return S(NumTraits<T>::dummy_precision()); }
  static S highest() { return S(NumTraits<T>::highest()); }
  static S lowest() { return S(NumTraits<T>::lowest()); }
};
}  // namespace ad_traits

template <class T, int N, class Tag>
struct NumTraits<ad::Dual<T, N, Tag>> : ad_traits::Numbers<ad::Dual<T, N, Tag>, T> {};
template <class T, class Tag>
struct NumTraits<ad::Variable<T, Tag>> : ad_traits::Numbers<ad::Variable<T, Tag>, T> {};

// double and active, or inner and outer number of a nested differentiation, in one expression
template <class S, class U, class Op>
requires(ad::is_active<S>&& std::convertible_to<U, S> && !std::same_as<S, U>) struct ScalarBinaryOpTraits<S, U, Op> {
  using ReturnType = S;
};
template <class S, class U, class Op>
requires(ad::is_active<S>&& std::convertible_to<U, S> && !std::same_as<S, U>) struct ScalarBinaryOpTraits<U, S, Op> {
  using ReturnType = S;
};

namespace internal {

// Substitution. Eigen's own passes over elements of x that are exactly zero, but they may have a derivative.
template <class L, class R, class Index, int Mode, int Order>
struct ActiveSubstitution {
  static void run(Index n, const L* a, Index stride, R* x) {
    constexpr bool lower = (Mode & Lower) == Lower;
    const auto at = [=](Index i, Index j) -> const L& {
      return a[Order == RowMajor ? i * stride + j : i + j * stride];
    };
    for (Index step = 0; step < n; ++step) {
      const Index i = lower ? step : n - 1 - step;
      for (Index j = lower ? 0 : i + 1; j < (lower ? i : n); ++j) x[i] -= at(i, j) * x[j];
      if ((Mode & UnitDiag) == 0) x[i] /= at(i, i);
    }
  }
};
template <class L, class R, class Index, int Mode, bool Conjugate>
requires ad::is_active<R>
struct triangular_solve_vector<L, R, Index, OnTheLeft, Mode, Conjugate, ColMajor>
    : ActiveSubstitution<L, R, Index, Mode, ColMajor> {
};
template <class L, class R, class Index, int Mode, bool Conjugate>
requires ad::is_active<R>
struct triangular_solve_vector<L, R, Index, OnTheLeft, Mode, Conjugate, RowMajor>
    : ActiveSubstitution<L, R, Index, Mode, RowMajor> {
};

// Pivots are compared as plain numbers: no |x| is recorded for it.
template <class S>
requires ad::is_active<S>
struct scalar_score_coeff_op<S> {
  using result_type = std::decay_t<decltype(value(std::declval<S>()))>;
  result_type operator()(const S& x) const {
    using ad::abs;
    return abs(value(x));
  }
};

// The determinant with all pivots: those of exactly zero come last, so no number below one is lost, which may move.
template <class M, int Size>
struct determinant_impl;
template <class M, int Size>
requires(ad::is_active<typename traits<M>::Scalar> && (Size < 0 || Size > 3)) struct determinant_impl<M, Size> {
  using S = typename traits<M>::Scalar;
  static S run(const M& m) {
    if (m.rows() == 0) return S(1);
    const auto lu = m.fullPivLu();
    const auto n = m.rows(), rank = lu.nonzeroPivots();
    if (ad::is_active<typename NumTraits<S>::Under> && rank < n - 1 &&
        !lu.matrixLU().bottomRightCorner(n - rank, n - rank).unaryExpr([](const S& x) { return ad::is_zero(x); }).all())
      throw std::domain_error("ad: the determinant's second derivative, of a matrix of rank below n - 1");
    return lu.determinant();
  }
};
template <class M>
requires ad::is_active<typename traits<M>::Scalar>
struct determinant_impl<M, 4> : determinant_impl<M, Dynamic> {
};

// Products of active matrices are sums of products, element by element: each multiply-add is one entry of the tape, and
// the factors 1 of Eigen's blocked kernels are not recorded.
template <class Lhs, class Rhs, class S>
struct ActiveProduct : generic_product_impl_base<Lhs, Rhs, ActiveProduct<Lhs, Rhs, S>> {
  template <class F>
  static void each(const Lhs& lhs, const Rhs& rhs, F&& store) {
    const auto& a = lhs.eval();
    const auto& b = rhs.eval();
    for (Index j = 0; j < b.cols(); ++j)
      for (Index i = 0; i < a.rows(); ++i) {
        S sum(0);
        for (Index k = 0; k < a.cols(); ++k) sum += a.coeff(i, k) * b.coeff(k, j);
        store(i, j, sum);
      }
  }
  template <class Dst>
  static void evalTo(Dst& dst, const Lhs& lhs, const Rhs& rhs) {
    each(lhs, rhs, [&](Index i, Index j, const S& sum) { dst.coeffRef(i, j) = sum; });
  }
  template <class Dst>
  static void addTo(Dst& dst, const Lhs& lhs, const Rhs& rhs) {
    each(lhs, rhs, [&](Index i, Index j, const S& sum) { dst.coeffRef(i, j) += sum; });
  }
  template <class Dst>
  static void subTo(Dst& dst, const Lhs& lhs, const Rhs& rhs) {
    each(lhs, rhs, [&](Index i, Index j, const S& sum) { dst.coeffRef(i, j) -= sum; });
  }
  template <class Dst>
  static void scaleAndAddTo(Dst& dst, const Lhs& lhs, const Rhs& rhs, const S& alpha) {
    each(lhs, rhs, [&](Index i, Index j, const S& sum) { dst.coeffRef(i, j) += alpha * sum; });
  }
};

#define AD_PRODUCT(kind)                                                                                        \
  template <class Lhs, class Rhs>                                                                               \
  requires(ad::is_active<typename Product<Lhs, Rhs>::Scalar>) struct generic_product_impl<Lhs, Rhs, DenseShape, \
                                                                                          DenseShape, kind>     \
      : ActiveProduct<Lhs, Rhs, typename Product<Lhs, Rhs>::Scalar> {};
AD_PRODUCT(GemmProduct)
AD_PRODUCT(GemvProduct)
AD_PRODUCT(CoeffBasedProductMode)
AD_PRODUCT(LazyCoeffBasedProductMode)
#undef AD_PRODUCT

// A.llt().solve(b) and the like with A active and b not, which then is a constant.
template <class D, class R, class S = typename traits<D>::Scalar>
concept MixedSolve =
    ad::is_active<S> && !std::same_as<typename R::Scalar, S> && std::convertible_to<typename R::Scalar, S>;
template <class D, class R>
requires MixedSolve<D, R>
struct solve_traits<D, R, Dense> : solve_traits<D, ad::detail::Like<R, typename traits<D>::Scalar>, Dense> {
};

}  // namespace internal

template <class D, class R>
requires internal::MixedSolve<D, R>
class Solve<D, R> : public SolveImpl<D, R, Dense> {
  using S = typename internal::traits<D>::Scalar;
  const D& dec_;
  ad::detail::Like<R, S> rhs_;

 public:
  using PlainObject = typename internal::traits<Solve>::PlainObject;
  using StorageIndex = typename internal::traits<Solve>::StorageIndex;
  Solve(const D& dec, const R& rhs) : dec_(dec), rhs_(ad::cast<S>(rhs)) {}
  Index rows() const { return dec_.cols(); }
  Index cols() const { return rhs_.cols(); }
  const D& dec() const { return dec_; }
  const auto& rhs() const { return rhs_; }
};

// Householder reflections, H x = (beta, 0, ..., 0). Of x with a tail of zeros Eigen's own makes H = I; but the tail may
// move, and this is the limit of what is made of its neighbours, where beta = -x_0: for all numbers with derivatives,
// whether they move or not, so that directions and modes agree.
template <class X, int R, int C, bool Inner>
requires(ad::is_active<typename internal::traits<X>::Scalar> &&
         (R == 1 || C == 1)) class BlockImpl<X, R, C, Inner, Dense> : public internal::BlockImpl_dense<X, R, C, Inner> {
  using S = typename internal::traits<X>::Scalar;

 public:
  using Base = internal::BlockImpl_dense<X, R, C, Inner>;
  using Base::Base;
  EIGEN_INHERIT_ASSIGNMENT_OPERATORS(BlockImpl)

  void makeHouseholderInPlace(S& tau, S& beta) {
    auto tail = this->tail(this->size() - 1);
    const S c = this->coeff(0);
    tau = S(0), beta = c;
    if (tail.size() == 0) return;
    const S square = c * c + tail.squaredNorm();
    if (square == 0 && this->unaryExpr([](const S& x) { return ad::is_zero(x); }).all()) return;
    if (square == 0)
      throw std::domain_error(
          "ad: a Householder reflection of a column that is zero (or too small to square) but may move has no "
          "derivative: of QR without full rank, of eigenvectors with zeros beside the diagonal");
    beta = c < 0 ? S(sqrt(square)) : S(-sqrt(square));
    tail /= S(c - beta);
    tau = (beta - c) / beta;
  }
};

}  // namespace Eigen
