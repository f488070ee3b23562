// The judges: derivatives without calculus and with an error bar, comparison entry by entry, pairing of both sweeps.
//
// No judge divides by a number whose sign or size it is to judge. One that cannot see says so: by an error bar that is
// wide, and in its verdict.
#pragma once

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <complex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ad/pairing.h"

namespace ad {

/// A number, vector or matrix, and how far each entry may be from the truth.
template <class Y>
struct Estimate {
  Y value, error;
};

namespace detail {

template <class X>
concept Shaped = requires {
  typename X::PlainObject;
};

template <class Y>
Eigen::ArrayXd flat(const Y& y) {
  if constexpr (Shaped<Y>) {
    const typename Y::PlainObject m = y;
    return Eigen::Map<const Eigen::Array<typename Y::Scalar, Eigen::Dynamic, 1>>(m.data(), m.size())
        .template cast<double>();
  } else {
    return Eigen::ArrayXd::Constant(1, static_cast<double>(y));
  }
}

/// A flat estimate in the shape of y.
template <class Y>
auto in_shape_of(const Y& y, const Estimate<Eigen::ArrayXd>& e) {
  if constexpr (Shaped<Y>) {
    Estimate<typename Y::PlainObject> m{y, y};
    Eigen::Map<Eigen::ArrayXd>(m.value.data(), m.value.size()) = e.value;
    Eigen::Map<Eigen::ArrayXd>(m.error.data(), m.error.size()) = e.error;
    return m;
  } else {
    return Estimate<double>{e.value[0], e.error[0]};
  }
}

/// The derivative at t = 0 of f(t), a flat array; f may change t to the step it really took.
///
/// Central differences D(h) = f' + c2 h^2 + c4 h^4 + ... for smaller and smaller h; Neville's scheme removes one power
/// after the other (Ridders, Adv. Eng. Software 4, 1982). For each component the entry of least error is taken; its
/// error is how far it, or the entry above it, is from three neighbours in the scheme, and the noise of f carried
/// through. The noise is measured, as f may lose more digits than its value shows: f(h) - 2 f(0) + f(-h) at this and
/// all smaller steps, with the powers of h removed in the same way.
template <class F>
Estimate<Eigen::ArrayXd> extrapolate(F&& f, double h) {
  constexpr std::size_t rows = 40, columns = 7;
  constexpr double shrink = 1.77245385;  // no ratio of small numbers, at which rounding would repeat itself
  using Array = Eigen::ArrayXd;
  double zero = 0;
  const Array f_0 = f(zero), nothing = Array::Zero(f_0.size());
  const auto larger = [](const Array& a, const Array& b) -> Array { return (b > a).select(b, a); };  // a, if b is NaN
  std::vector<Array> slope, noise, even;
  std::vector<double> width;
  for (std::size_t k = 0; k < rows; ++k, h /= shrink) {
    double up = h, down = -h;
    const Array f_up = f(up), f_down = f(down);
    width.push_back(up - down);
    slope.push_back((f_up - f_down) / width[k]);
    noise.push_back(std::numeric_limits<double>::epsilon() * (f_up.abs() + f_down.abs()));
    Array rest = f_up + f_down - 2 * f_0;
    for (std::size_t power = 0; power < 4; ++power) {
      if (k == 0) even.push_back(nothing);
      const Array before = std::exchange(even[power], rest);
      rest -= before / std::pow(shrink, 2 * static_cast<double>(power + 1));
    }
    noise[k] = larger(noise[k], rest.abs());
  }
  for (std::size_t k = rows - 1; k > 0; --k) noise[k - 1] = larger(noise[k - 1], noise[k]);

  Estimate<Array> best{nothing + std::nan(""), nothing + std::numeric_limits<double>::infinity()};
  std::vector<Array> before, before_rounding, before_moved;
  std::vector<std::pair<Array, Array>> fine;
  constexpr std::size_t last = rows - 5;  // noise is known only where it was measured often enough
  for (std::size_t k = 0; k <= last; ++k) {
    std::vector<Array> row{slope[k]}, rounding{noise[k] / width[k]}, moved;
    for (std::size_t j = 0; j <= std::min(k, columns); ++j) {
      moved.push_back(nothing);
      if (j > 0) {
        const double w = std::pow(shrink, 2 * static_cast<double>(j));
        row.push_back((w * row[j - 1] - before[j - 1]) / (w - 1));
        rounding.push_back((w * rounding[j - 1] + before_rounding[j - 1]) / (w - 1));
        moved[j] = (row[j] - row[j - 1]).abs() + (row[j] - before[j - 1]).abs();
      }
      if (j < before.size()) moved[j] += (row[j] - before[j]).abs();
      if (k == 0 || j >= before.size()) continue;
      const Array error = moved[j].max(before_moved[j]) + 2 * rounding[j];
      const auto better = (error < best.error).eval();  // never, where something is not finite
      best.value = better.select(row[j], best.value);
      best.error = better.select(error, best.error);
    }
    if (k >= last / 2) fine.push_back({row[2], rounding[2]});
    before = std::move(row);
    before_rounding = std::move(rounding);
    before_moved = std::move(moved);
  }
  // The small steps, which see what is near, must not all contradict: slopes that grow without end have no limit.
  Array contradiction = nothing + std::numeric_limits<double>::infinity();
  for (const auto& [value, rounding] : fine)
    contradiction = contradiction.min((best.value - value).abs() - 4 * rounding);
  best.error = larger(best.error, contradiction);
  return best;
}

/// Of two estimates, by long steps and by steps that stay near: the better one. If they contradict, it is no better than
/// they are apart, unless the near one sees no slope: f may be constant there by its rounding alone.
inline Estimate<Eigen::ArrayXd> closer(Estimate<Eigen::ArrayXd> d, const Estimate<Eigen::ArrayXd>& near) {
  for (Eigen::Index i = 0; i < d.value.size(); ++i) {
    const double gap = std::abs(d.value[i] - near.value[i]), bar = near.error[i];
    const bool apart = gap > bar + d.error[i], slope = bar < std::abs(near.value[i]);
    if (bar < d.error[i] && (slope || !apart))
      d.value[i] = near.value[i], d.error[i] = bar;
    else if (apart && slope)
      d.error[i] = gap;
  }
  return d;
}

inline void require_direction(const char* who, const auto& x, const auto& v) {
  if (v.rows() != x.rows() || v.cols() != x.cols())
    throw std::invalid_argument(
        fmt::format("ad::{}: the direction is {} x {}, but x is {} x {}", who, v.rows(), v.cols(), x.rows(), x.cols()));
}

}  // namespace detail

/// df/dx of a function of one number, by differences. f returns a number or an Eigen object.
/// Where f has no derivative, or is not finite near x, the error is large or infinite. What f does within less than
/// about 1e-9 of x is seen only if x is as small itself, and not zero.
template <class F>
auto differences(F&& f, double x) {
  const auto y = f(x);
  const double size = std::abs(x);
  const auto moved = [&](double& t) {
    const double at = x + t;
    t = at - x;  // exact: no rounding of x + t enters
    return detail::flat(f(at));
  };
  auto d = detail::extrapolate(moved, 0.125 * std::max(1., size));
  if (1e-280 < size && size < 1e-6) d = detail::closer(d, detail::extrapolate(moved, 0.125 * size));
  return detail::in_shape_of(y, d);
}

/// How fast f(x) changes as x moves with velocity v, by differences. x and v are Eigen objects of one shape.
template <class F, class X, class V>
auto differences(F&& f, const Eigen::DenseBase<X>& x, const Eigen::DenseBase<V>& v) {
  detail::require_direction("differences", x, v);
  const typename X::PlainObject at = x, direction = v;
  const auto y = f(at);
  // the longest step moves no component by more than an eighth of its size, or of 1
  const double reach = at.size() == 0 ? 0 : (detail::flat(direction).abs() / detail::flat(at).abs().max(1)).maxCoeff();
  const auto d =
      detail::extrapolate([&](double& t) { return detail::flat(f(typename X::PlainObject(at + t * direction))); },
                          reach > 0 ? 0.125 / reach : 0.125);
  return detail::in_shape_of(y, d);
}

/// df/dx of a function with one number as result, entry by entry of the Eigen object x, by differences.
template <class F, class X>
auto difference_gradient(F&& f, const Eigen::DenseBase<X>& x) {
  typename X::PlainObject at = x;
  Estimate<typename X::PlainObject> g{at, at};
  for (Eigen::Index i = 0; i < at.size(); ++i) {
    const auto d = differences(
        [&](double s) {
          auto moved = at;
          moved.data()[i] = s;
          return f(moved);
        },
        at.data()[i]);
    g.value.data()[i] = d.value;
    g.error.data()[i] = d.error;
  }
  return g;
}

/// df/dx to rounding error, where f is analytic and takes std::complex<double>: Im f(x + ih) / h, with no difference
/// (Squire and Trapp, SIAM Review 40, 1998).
template <class F>
double complex_step(F&& f, double x) {
  constexpr double h = 0x1p-300;  // h^2 is nothing, h itself loses no digit
  return std::imag(f(std::complex<double>(x, h))) / h;
}
/// The same along a direction: f takes an Eigen object of complex numbers and returns a number or another object.
template <class F, class X, class V>
auto complex_step(F&& f, const Eigen::DenseBase<X>& x, const Eigen::DenseBase<V>& v) {
  constexpr double h = 0x1p-300;
  detail::require_direction("complex_step", x, v);
  const auto y = f((x.derived().template cast<std::complex<double>>() +
                    v.derived().template cast<std::complex<double>>() * std::complex<double>(0, h))
                       .eval());
  if constexpr (detail::Shaped<std::remove_cvref_t<decltype(y)>>)
    return (y.imag() / h).eval();
  else
    return std::imag(y) / h;
}

// --- comparison ------------------------------------------------------------------------------------------------------

/// A verdict in words. Converts to bool: true where everything agrees.
struct Comparison {
  bool ok = true;
  bool judged = true;   // false, and so is ok: nothing is known to differ, but some of it could not be seen
  double relative = 0;  // largest difference over the largest number wanted (not used for the verdict)
  std::string text;
  explicit operator bool() const { return ok; }
};

namespace detail {
template <class M>
Eigen::ArrayXXd table(const M& m) {
  if constexpr (Shaped<M>)
    return m.template cast<double>().eval().array();
  else
    return Eigen::ArrayXXd::Constant(1, 1, static_cast<double>(m));
}
inline std::string entry(const std::string& name, const Eigen::ArrayXXd& of, Eigen::Index i) {
  return of.size() == 1   ? name
         : of.cols() == 1 ? fmt::format("{}[{}]", name, i)
                          : fmt::format("{}[{},{}]", name, i % of.rows(), i / of.rows());
}
}  // namespace detail

/// Entries of `got` may differ from those of `want` by `allowed` each; one that is not a number never agrees, and an
/// infinite one only with itself. Names the five worst entries.
inline Comparison compare_entries(const std::string& name, const Eigen::ArrayXXd& got, const Eigen::ArrayXXd& want,
                                  const Eigen::ArrayXXd& allowed) {
  Comparison c;
  if (got.rows() != want.rows() || got.cols() != want.cols()) {
    c.ok = false;
    c.relative = std::numeric_limits<double>::infinity();
    c.text =
        fmt::format("{} is {} x {}, and should be {} x {}", name, got.rows(), got.cols(), want.rows(), want.cols());
    return c;
  }
  constexpr double inf = std::numeric_limits<double>::infinity();
  const auto off = [&](Eigen::Index i) {
    const double d = got.data()[i] == want.data()[i] ? 0 : std::abs(got.data()[i] - want.data()[i]);
    return d < inf ? d : inf;
  };
  std::vector<Eigen::Index> wrong;
  double most = 0, size = 0;
  for (Eigen::Index i = 0; i < want.size(); ++i) {
    most = std::max(most, off(i));
    if (std::isfinite(want.data()[i])) size = std::max(size, std::abs(want.data()[i]));
    if (off(i) == inf || off(i) > std::max(0., allowed.data()[i])) wrong.push_back(i);
  }
  c.ok = wrong.empty();
  c.relative = most == 0 ? 0 : most / size;
  if (c.ok) {
    c.text = fmt::format("{}  {} entries agree   |difference| / |{}| = {:.1e}", name, want.size(), name, c.relative);
    return c;
  }
  std::stable_sort(wrong.begin(), wrong.end(), [&](Eigen::Index i, Eigen::Index j) { return off(i) > off(j); });
  c.text = fmt::format(
      "{}  {} of {} entries differ   |difference| / |{}| = {:.1e}     worst:\n  {:<14}{:>12}{:>12}{:>14}{:>11}{:>9}",
      name, wrong.size(), want.size(), name, c.relative, "entry", "expected", "got", "difference", "allowed", "ratio");
  for (std::size_t k = 0; k < std::min<std::size_t>(5, wrong.size()); ++k) {
    const Eigen::Index i = wrong[k];
    const double g = got.data()[i], w = want.data()[i];
    c.text += fmt::format("\n  {:<14}{:>12.5g}{:>12.5g}{:>14.0e}{:>11.0e}{:>9}", detail::entry(name, want, i), w, g,
                          off(i), allowed.data()[i], w == 0 ? "-" : fmt::format("{:.6g}", g / w));
  }
  return c;
}

/// Two numbers or Eigen objects, to a tolerance relative to the largest entry wanted: rounding in a sum leaves errors
/// of the size of its terms, not of its small results.
template <class M, class N>
Comparison compare(const std::string& name, const M& got, const N& want, double tolerance) {
  const Eigen::ArrayXXd w = detail::table(want);
  double size = 0;
  for (Eigen::Index i = 0; i < w.size(); ++i)
    if (std::isfinite(w.data()[i])) size = std::max(size, std::abs(w.data()[i]));
  return compare_entries(name, detail::table(got), w, Eigen::ArrayXXd::Constant(w.rows(), w.cols(), tolerance * size));
}

/// The same against an estimate, each entry to its own error bar. One that is not a number, or as uncertain as it is
/// large, judges nothing; up to a millionth of the largest entry, or of 1, it may be zero.
template <class M, class Y>
Comparison compare(const std::string& name, const M& got, const Estimate<Y>& want) {
  Eigen::ArrayXXd g = detail::table(got), w = detail::table(want.value), bar = detail::table(want.error);
  double size = 1;
  for (const double v : w.reshaped())
    if (std::isfinite(v)) size = std::max(size, std::abs(v));
  int blind = 0;
  std::string unseen;
  for (Eigen::Index i = 0; i < w.size() && g.rows() == w.rows() && g.cols() == w.cols(); ++i) {
    double &value = w.data()[i], &error = bar.data()[i];
    if (std::isfinite(value) && (error < std::abs(value) || error <= 1e-6 * size)) continue;
    if (++blind <= 5)
      unseen += fmt::format("\n  {}: got {:.5g}, differences give {:.5g} +- {:.0e}", detail::entry(name, w, i),
                            g.data()[i], value, error);
    g.data()[i] = value = 0;
  }
  Comparison c = compare_entries(name, g, w, bar);
  if (blind > 0 && c.ok) {
    c.ok = c.judged = false;
    c.text = fmt::format("{}  cannot judge {} of {} entries:{}", name, blind, w.size(), unseen);
  }
  return c;
}

}  // namespace ad
