// Mistakes that can be made with any array of numbers: a factor, another layout, a part that is missing.
#pragma once

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "rules/mistakes.h"

namespace rules {

/// An array that somebody gives, beside what is right. Parts stand one below the other, step after step.
struct GivenArray {
  std::string name;
  Eigen::Index steps;                  // 1, or T for parts
  rnn::MatrixX<double> expected, got;  // steps * rows x cols
  bool turned = false;                 // it came in its transposed shape, and was turned
  double scale = 1;                    // the largest entry expected; where all are zero, of those given
  bool wrong = false;

  Eigen::Index rows() const { return expected.rows() / steps; }
  Eigen::Index cols() const { return expected.cols(); }
  /// The largest difference between two arrays, over the scale; infinite if something is not finite.
  template <class A, class B>
  double off(const Eigen::MatrixBase<A>& a, const Eigen::MatrixBase<B>& b) const {
    const double most = a.size() == 0 ? 0 : (a - b).cwiseAbs().maxCoeff();
    return a.allFinite() && std::isfinite(most) ? most / scale : std::numeric_limits<double>::infinity();
  }
  double off() const { return off(got, expected); }
  /// How many entries expected are not zero.
  Eigen::Index entries() const { return (expected.array().abs() > 1e-12 * scale).count(); }
};

/// What a mistake comes to in one array.
struct Outcome {
  double residual = std::numeric_limits<double>::infinity();  // what it leaves of the numbers given
  bool shows = false;                                         // it would change this array
};

/// A mistake of any array, in one way of making it. Made in one array it says nothing of the others.
struct ArrayMistake {
  std::string_view id;
  std::string how;
  std::function<Outcome(const GivenArray&)> outcome;
  bool fitted = false;  // numbers were taken from what is given: it leaves little whatever happened
};

/// A factor, 2 or 1 / T, and what a mistake by it is called.
struct Factor {
  std::string_view id;
  double value;
  std::string text;
};
inline std::vector<Factor> known_factors(const Derivation& right) {
  const double alpha = right.net.alpha, T = static_cast<double>(right.length()), m = static_cast<double>(right.net.m());
  std::vector<Factor> all = {{"sign", -1, "times -1"},
                             {"factor-2", 2, "times 2"},
                             {"factor-half", 0.5, "times 1/2"},
                             {"factor-T", T, "times T"},
                             {"mean-over-time", 1 / T, "divided by T"},
                             {"mean-over-outputs", 1 / m, "divided by m"},
                             {"factor-alpha", alpha, "times alpha"},
                             {"factor-alpha", 1 / alpha, "divided by alpha"},
                             {"factor-one-minus-alpha", 1 - alpha, "times 1 - alpha"},
                             {"factor-one-minus-alpha", 1 / (1 - alpha), "divided by 1 - alpha"}};
  std::erase_if(all, [](const Factor& f) { return !std::isfinite(f.value) || f.value == 0; });
  return all;
}

/// s in got = s * made, by least squares.
template <class A, class B>
double fitted_factor(const Eigen::MatrixBase<A>& got, const Eigen::MatrixBase<B>& made) {
  const double size = made.squaredNorm();
  return size > 0 ? got.cwiseProduct(made).sum() / size : 0;
}

/// Each step's block transposed.
inline rnn::MatrixX<double> turned(const rnn::MatrixX<double>& m, Eigen::Index steps) {
  const Eigen::Index rows = m.rows() / steps, cols = m.cols();
  rnn::MatrixX<double> t(steps * cols, rows);
  for (Eigen::Index s = 0; s < steps; ++s) t.middleRows(s * cols, cols) = m.middleRows(s * rows, rows).transpose();
  return t;
}
/// What `m` looks like when it is transposed, in its own shape; empty if it is not square.
inline rnn::MatrixX<double> made_transposed(const GivenArray& a, const rnn::MatrixX<double>& m) {
  if (a.turned) return m;
  return a.rows() > 1 && a.rows() == a.cols() ? turned(m, a.steps) : rnn::MatrixX<double>();
}
/// The same, written column after column; empty if that changes nothing.
inline rnn::MatrixX<double> made_column_major(const GivenArray& a, const rnn::MatrixX<double>& m) {
  const Eigen::Index rows = a.rows(), cols = a.cols();
  if (rows < 2 || cols < 2 || a.turned) return {};
  rnn::MatrixX<double> made(m.rows(), cols);
  for (Eigen::Index s = 0; s < a.steps; ++s) {
    const rnn::MatrixX<double> block = m.middleRows(s * rows, rows);
    for (Eigen::Index i = 0; i < block.size(); ++i) made(s * rows + i / cols, i % cols) = block.data()[i];
  }
  return made;
}

namespace detail {

/// What stands k lines further on is what belongs here, along rows (down) or columns. What comes in at the edge is not
/// judged: zeros, the other end, or one step more.
inline Outcome shift(const GivenArray& a, bool down, Eigen::Index k, double tolerance) {
  const Eigen::Index by = std::abs(k) * (down && a.steps > 1 ? a.rows() : 1),
                     size = down ? a.expected.rows() : a.cols(), rest = size - by;
  if (2 * rest < size || rest * (down ? a.cols() : a.expected.rows()) < 2) return {};
  const auto off = [&](const auto& moved) {
    const auto& from = a.expected;
    if (down)
      return k > 0 ? a.off(moved.bottomRows(rest), from.topRows(rest))
                   : a.off(moved.topRows(rest), from.bottomRows(rest));
    return k > 0 ? a.off(moved.rightCols(rest), from.leftCols(rest))
                 : a.off(moved.leftCols(rest), from.rightCols(rest));
  };
  return {off(a.got), off(a.expected) > tolerance};
}

/// The smallest rectangle that holds every entry that is off.
struct Rectangle {
  Eigen::Index top, left, rows, cols;
};
inline std::optional<Rectangle> wrong_part(const GivenArray& a, double tolerance) {
  Eigen::Index top = a.expected.rows(), bottom = -1, left = a.cols(), right = -1;
  for (Eigen::Index j = 0; j < a.cols(); ++j)
    for (Eigen::Index i = 0; i < a.expected.rows(); ++i)
      if (!(std::abs(a.got(i, j) - a.expected(i, j)) <= tolerance * a.scale))
        top = std::min(top, i), bottom = std::max(bottom, i), left = std::min(left, j), right = std::max(right, j);
  if (bottom < 0) return std::nullopt;
  return Rectangle{top, left, bottom - top + 1, right - left + 1};
}

}  // namespace detail

/// Every known mistake of an array, in every way of making it. Two numbers are the same if they differ by no more than
/// `tolerance` times an array's scale.
inline std::vector<ArrayMistake> array_mistakes(const std::vector<GivenArray>& arrays, const Derivation& right,
                                                double tolerance) {
  using M = rnn::MatrixX<double>;
  std::vector<ArrayMistake> all;
  /// made(array): what would be there, empty if it cannot be made there
  const auto add = [&](std::string_view id, std::string how, auto made) {
    all.push_back({id, std::move(how), [made, tolerance](const GivenArray& a) -> Outcome {
                     const M m = made(a);
                     if (m.size() == 0) return {};
                     return {a.off(a.got, m), a.off(m, a.expected) > tolerance};
                   }});
  };
  const auto scaled = [](double s) { return [s](const GivenArray& a) -> M { return s * a.expected; }; };

  const auto factors = known_factors(right);
  for (const auto& f : factors) add(f.id, f.text, scaled(f.value));
  all.push_back({"transposed", "", [tolerance](const GivenArray& a) -> Outcome {
                   const M m = made_transposed(a, a.expected);
                   if (m.size() == 0) return {};
                   return {a.off(a.got, m), a.turned || a.off(m, a.expected) > tolerance};
                 }});
  add("column-major", "", [](const GivenArray& a) { return made_column_major(a, a.expected); });
  for (const bool down : {true, false})
    for (const Eigen::Index k : {1, -1, 2, -2, 3, -3}) {
      const char* const way = down ? (k > 0 ? "down" : "up") : (k > 0 ? "to the right" : "to the left");
      all.push_back(
          {"shifted",
           fmt::format("by {} {}{} {}", std::abs(k), down ? "row" : "column", std::abs(k) > 1 ? "s" : "", way),
           [=](const GivenArray& a) { return detail::shift(a, down, k, tolerance); }});
    }

  // From here on numbers are taken from what is given.
  const auto same = [tolerance](double s, double x) { return std::abs(s - x) <= 10 * tolerance * std::abs(x); };
  const auto add_other = [&](const std::string& how, double s) {
    all.push_back({"factor-other", how,
                   [=](const GivenArray& a) -> Outcome {
                     return {s == 0 ? Outcome().residual : a.off(a.got, s * a.expected), a.entries() >= 2};
                   },
                   true});
  };
  add_other("", 0);
  std::vector<double> tried{1};
  for (const auto& f : factors) tried.push_back(f.value);
  for (const auto& a : arrays) {
    const double s = fitted_factor(a.got, a.expected);
    if (!a.wrong || s == 0 || !(a.off(a.got, s * a.expected) <= tolerance) ||
        std::any_of(tried.begin(), tried.end(), [&](double x) { return same(s, x); }))
      continue;
    tried.push_back(s);
    add_other(fmt::format("times {:.10g}", s), s);
  }

  const auto add_lines = [&](std::string_view id, auto scale_lines) {
    all.push_back({id, "",
                   [=](const GivenArray& a) -> Outcome {
                     if (a.rows() < 2 || a.cols() < 2) return {};
                     M made = a.expected;
                     scale_lines(a, made);
                     const bool one_factor = a.off(made, fitted_factor(a.got, a.expected) * a.expected) <= tolerance;
                     return {one_factor ? Outcome().residual : a.off(a.got, made), a.entries() >= 2};
                   },
                   true});
  };
  add_lines("row-scaled", [](const GivenArray& a, M& made) {
    for (Eigen::Index i = 0; i < made.rows(); ++i) made.row(i) *= fitted_factor(a.got.row(i), made.row(i));
  });
  add_lines("column-scaled", [](const GivenArray& a, M& made) {
    for (Eigen::Index s = 0; s < a.steps; ++s)
      for (Eigen::Index j = 0; j < made.cols(); ++j) {
        const auto got = a.got.col(j).segment(s * a.rows(), a.rows());
        auto column = made.col(j).segment(s * a.rows(), a.rows());
        column *= fitted_factor(got, column);
      }
  });

  for (const bool doubled : {false, true}) {
    const std::string_view id = doubled ? "block-doubled" : "block-missing";
    all.push_back({id, "", [](const GivenArray& a) -> Outcome { return {Outcome().residual, a.entries() > 0}; }, true});
    for (const auto& a : arrays) {
      const auto part = detail::wrong_part(a, tolerance);
      if (!a.wrong || !part) continue;
      const bool whole = part->rows == a.expected.rows() && part->cols == a.cols();
      if (whole && doubled) continue;  // that is factor-2
      M made = a.expected;
      made.block(part->top, part->left, part->rows, part->cols) *= doubled ? 2 : 0;
      all.push_back({id,
                     whole ? std::string("all of it is zero")
                           : fmt::format("rows {} to {}, columns {} to {}", part->top, part->top + part->rows - 1,
                                         part->left, part->left + part->cols - 1),
                     [made, name = a.name](const GivenArray& b) -> Outcome {
                       return {b.name == name ? b.off(b.got, made) : Outcome().residual, b.entries() > 0};
                     }});
    }
  }
  return all;
}

}  // namespace rules
