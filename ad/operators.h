// What one asks of a function f: its derivative, gradient, Jacobian, Hessian, or one product with them.
//
// f is any callable. Written for any number, [](const auto& x) { ... }, it may be nested in other differentiations; written
// for ad::Var it works where one reverse sweep is enough (gradient, vjp, jacobian). x is a number, or an Eigen vector,
// matrix or array; derivatives come back in the same shape. Numbers of x may themselves be Dual or Variable: that is how
// an inner differentiation depends on an outer one. A size that does not fit throws std::invalid_argument.
#pragma once

#include "ad/eigen.h"

namespace ad {

namespace detail {

/// A callable with one fixed signature cannot take numbers of its own kind.
template <class F>
inline constexpr bool one_signature = std::is_pointer_v<F> || std::is_function_v<F> || requires {
  &F::operator();
};

/// The tag of a differentiation of F: F itself, where F takes any number.
template <class F>
using TagOf = std::conditional_t<one_signature<std::decay_t<F>>, void, std::decay_t<F>>;

template <class F>
void require_function(const F& f, const char* who) {
  if constexpr (!std::is_function_v<F> && requires { f == nullptr; })
    if (f == nullptr) throw std::invalid_argument(std::string("ad::") + who + ": the function is empty");
}
template <class F>
void require_any_number() {
  static_assert(!one_signature<std::decay_t<F>>,
                "this derivative calls f with nested numbers: write f for any number, [](const auto& x) { ... }");
}
inline void require_size(const char* who, const char* what, Eigen::Index got, const char* of, Eigen::Index want) {
  if (got != want)
    throw std::invalid_argument(std::string("ad::") + who + ": " + what + " has " + std::to_string(got) +
                                " elements, but " + of + " has " + std::to_string(want));
}

/// A Product or an expression becomes the variables it stands for.
template <class V, class Y>
auto as_variables(const Y& y) {
  if constexpr (EigenObject<Y>)
    return map<V>(y.eval(), [](Eigen::Index, const auto& s) { return V(s); });
  else
    return V(y);
}

/// f recorded on a tape of its own. Newer than any other, the tape refuses the variables of an enclosing recording, so
/// that no derivative is lost in silence.
template <class T, class F, class X>
struct Recording {
  using V = Variable<T, TagOf<F>>;
  TapeOf<T> tape;
  Like<X, V> x;
  decltype(as_variables<V>(std::declval<F&>()(std::declval<const Like<X, V>&>()))) y;
  Id top;  // of the tape when f had run

  Recording(F& f, const X& at)
      : x(map<V>(evaluated(at), [this](Eigen::Index, const auto& s) { return tape.template input<TagOf<F>>(T(s)); })),
        y(as_variables<V>(f(std::as_const(x)))),
        top(tape.length()) {}

  /// Ids of the outputs; 0 for one that depends on nothing.
  Id output(Eigen::Index k) const {
    const V& v = element(y, k);
    return v.id() == 0 ? 0 : tape.check(v, "the result of f");
  }
  /// The gradient of sum_k weight(k) y_k, by one reverse sweep.
  template <class W>
  Like<X, T> pull(const W& weight) {
    std::vector<std::pair<V, T>> outputs;
    for (Eigen::Index k = 0; k < size_of(y); ++k)
      if (output(k) != 0) outputs.emplace_back(element(y, k), weight(k));
    tape.reverse(outputs);
    return map<T>(x, [this](Eigen::Index, const V& v) { return tape.adjoint(v); });
  }
};

}  // namespace detail

/// f(x) and its gradient.
template <class Value, class Gradient>
struct ValueAndGradient {
  Value value;
  Gradient gradient;
};

/// df/dx of a function of one number, by forward mode. f may return a number, or an Eigen object of numbers.
template <class F, class X>
auto derivative(F&& f, const X& x) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_any_number<F>();
  using D = Dual<T, 1, detail::TagOf<F>>;
  const auto y = detail::evaluated(f(D(T(x), T(1))));
  return detail::map<T>(y, [](Eigen::Index, const auto& s) { return D(s).tangent; });
}

/// J v: how fast f(x) changes as x moves with velocity v, by forward mode. v is in the shape of x.
template <class F, class X, class V>
auto jvp(F&& f, const X& x, const V& v) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_any_number<F>();
  detail::require_function(f, "jvp");
  detail::require_size("jvp", "the direction", detail::size_of(v), "x", detail::size_of(x));
  using D = Dual<T, 1, detail::TagOf<F>>;
  const auto at = detail::evaluated(x);
  const auto direction = detail::evaluated(v);
  const auto y = detail::evaluated(
      f(detail::map<D>(at, [&](Eigen::Index i, const auto& s) { return D(T(s), T(detail::element(direction, i))); })));
  return detail::map<T>(y, [](Eigen::Index, const auto& s) { return D(s).tangent; });
}

/// w^T J, by one reverse sweep: the gradient of w . f. w is in the shape of f(x).
template <class F, class X, class W>
auto vjp(F&& f, const X& x, const W& w) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_function(f, "vjp");
  detail::Recording<T, F, X> r(f, x);
  detail::require_size("vjp", "the weight of the outputs", detail::size_of(w), "f(x)", detail::size_of(r.y));
  const auto weight = detail::evaluated(w);
  return r.pull([&](Eigen::Index k) { return T(detail::element(weight, k)); });
}

/// f(x) and df/dx of a function with one number as result, by one reverse sweep.
template <class F, class X>
auto value_and_gradient(F&& f, const X& x) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_function(f, "gradient");
  detail::Recording<T, F, X> r(f, x);
  detail::require_size("gradient", "f(x)", detail::size_of(r.y), "the result of a function with a gradient", 1);
  return ValueAndGradient<T, detail::Like<X, T>>{detail::element(r.y, 0).value(),
                                                 r.pull([](Eigen::Index) { return T(1); })};
}

/// df/dx of a function with one number as result, by one reverse sweep.
template <class F, class X>
auto gradient(F&& f, const X& x) {
  return value_and_gradient(std::forward<F>(f), x).gradient;
}

/// The matrix of all df_i/dx_j, size(f(x)) x size(x); matrices count column by column. One recording, swept in whichever
/// direction takes fewer passes, eight inputs or outputs at a time (one at a time over matrix entries).
template <class F, class X>
auto jacobian(F&& f, const X& x) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_function(f, "jacobian");
  detail::Recording<T, F, X> r(f, x);
  std::vector<Id> in, out;  // 0: an output that depends on nothing
  for (Eigen::Index j = 0; j < detail::size_of(r.x); ++j) in.push_back(detail::element(r.x, j).id());
  for (Eigen::Index i = 0; i < detail::size_of(r.y); ++i) out.push_back(r.output(i));
  const bool forward = in.size() <= out.size();
  const std::vector<Id>&from = forward ? in : out, &to = forward ? out : in;

  MatrixX<T> jacobian(out.size(), in.size());
  const auto passes = [&]<class A>(A zero, auto&& part) {  // part(a, k): direction k of a
    constexpr std::size_t width = std::is_same_v<A, T> ? 1 : 8;
    std::vector<A> d;
    for (std::size_t first = 0; first < from.size(); first += width) {
      const std::size_t count = std::min(width, from.size() - first);
      d.assign(r.top + 1, zero);
      for (std::size_t k = 0; k < count; ++k)
        if (from[first + k] != 0) part(d[from[first + k]], k) += T(1);
      if (forward)
        r.tape.sweep_up(d.data());
      else
        r.tape.sweep_down(d.data(), r.top);
      for (std::size_t k = 0; k < count; ++k)
        for (std::size_t l = 0; l < to.size(); ++l) {
          const Eigen::Index i = static_cast<Eigen::Index>(forward ? l : first + k);
          const Eigen::Index j = static_cast<Eigen::Index>(forward ? first + k : l);
          jacobian(i, j) = to[l] != 0 ? part(d[to[l]], k) : T(0);
        }
    }
  };
  if (r.tape.only_scalars())
    passes(Tangents<T, 8>(T(0)), [](auto& a, std::size_t k) -> T& { return a[static_cast<int>(k)]; });
  else
    passes(T(0), [](T& a, std::size_t) -> T& { return a; });
  return jacobian;
}

/// H v of a function with one number as result: forward over reverse, the derivative of the gradient along v.
template <class F, class X, class V>
auto hessian_vector_product(F&& f, const X& x, const V& v) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_any_number<F>();
  detail::require_size("hessian_vector_product", "the direction", detail::size_of(v), "x", detail::size_of(x));
  using D = Dual<T, 1, detail::TagOf<F>>;
  const auto direction = detail::evaluated(v);
  const auto g = gradient(f, detail::map<D>(detail::evaluated(x), [&](Eigen::Index i, const auto& s) {
                            return D(T(s), T(detail::element(direction, i)));
                          }));
  return detail::map<T>(g, [](Eigen::Index, const D& s) { return s.tangent; });
}

/// The matrix of second derivatives, size(x) x size(x): forward over reverse, eight directions at a time.
template <class F, class X>
auto hessian(F&& f, const X& x) {
  using T = typename detail::ScalarOf<X>::type;
  detail::require_any_number<F>();
  using D = Dual<T, 8, detail::TagOf<F>>;
  const Eigen::Index n = detail::size_of(x);
  MatrixX<T> hessian(n, n);
  const auto at = detail::evaluated(x);
  for (Eigen::Index first = 0; first < n; first += 8) {
    const auto g = gradient(f, detail::map<D>(at, [&](Eigen::Index i, const auto& s) {
                              D d{T(s)};
                              if (i >= first && i < first + 8) d.tangent[static_cast<int>(i - first)] = T(1);
                              return d;
                            }));
    for (Eigen::Index k = 0; k < std::min<Eigen::Index>(8, n - first); ++k)
      for (Eigen::Index i = 0; i < n; ++i)
        hessian(i, first + k) = detail::element(g, i).derivative(static_cast<int>(k));
  }
  return hessian;
}

}  // namespace ad
