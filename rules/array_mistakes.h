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
  double tolerance = 1e-9;             // two numbers are the same if they differ by no more than this times the scale
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
  template <class A, class B>
  bool same(const Eigen::MatrixBase<A>& a, const Eigen::MatrixBase<B>& b) const {
    return off(a, b) <= tolerance;
  }
  /// Whether a factor fitted to these numbers is this one.
  bool is_factor(double fitted, double x) const { return std::abs(fitted - x) <= 10 * tolerance * std::abs(x); }
  /// How many entries expected are not zero.
  Eigen::Index entries() const { return (expected.array().abs() > 1e-12 * scale).count(); }
};

/// The residual of a mistake that cannot be made in an array.
inline constexpr double not_made = std::numeric_limits<double>::infinity();

/// What a mistake comes to in one array.
struct Outcome {
  double residual = not_made;  // what it leaves of the numbers given
  bool shows = false;          // it would change this array
};

/// A mistake of any array, in one way of making it. Made in one array it says nothing of the others.
struct ArrayMistake {
  std::string_view id;
  std::string how;
  std::function<Outcome(const GivenArray&)> outcome;
  bool fitted = false;  // it is made to measure, and leaves little whatever happened: no candidate for the next best
  bool aside = false;   // as in Mistake
};

/// A factor, 2 or 1 / T, and what a mistake by it is called.
struct Factor {
  std::string_view id;
  double value;
  std::string text;
  bool aside = false;  // as in Mistake
};
inline std::vector<Factor> known_factors(const Derivation& right) {
  const double alpha = right.net.alpha, T = static_cast<double>(right.length()), m = static_cast<double>(right.net.m());
  std::vector<Factor> all = {{"sign", -1, "times -1"},
                             {"factor-2", 2, "times 2"},
                             {"factor-half", 0.5, "times 1/2"},
                             {"factor-T", T, "times T"},
                             {"mean-over-time", 1 / T, "divided by T"},
                             {"mean-over-outputs", 1 / m, "divided by m"},
                             {"mean-over-outputs", 2 / m, "times 2, divided by m", true},
                             {"mean-over-outputs", 1 / (T * m), "divided by T m", true},
                             {"mean-over-time", 1 / (T * m), "divided by T m", true},
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
  const double of_got = got.size() == 0 ? 0 : got.cwiseAbs().maxCoeff(),
               of_made = made.size() == 0 ? 0 : made.cwiseAbs().maxCoeff();
  if (!(of_got > 0 && of_made > 0)) return 0;
  const rnn::MatrixX<double> g = got / of_got, m = made / of_made;  // no square overflows
  return g.cwiseProduct(m).sum() / m.squaredNorm() * (of_got / of_made);
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
/// The same, written column after column and read by rows, or the other way (back); empty if that changes nothing.
inline rnn::MatrixX<double> made_column_major(const GivenArray& a, const rnn::MatrixX<double>& m, bool back) {
  const Eigen::Index rows = a.rows(), cols = a.cols();
  if (rows < 2 || cols < 2 || a.turned || (back && rows == cols)) return {};  // square: both ways are one
  rnn::MatrixX<double> made(m.rows(), cols);
  for (Eigen::Index s = 0; s < a.steps; ++s)
    for (Eigen::Index i = 0; i < rows * cols; ++i) {
      auto by_rows = std::pair(s * rows + i / cols, i % cols), by_columns = std::pair(s * rows + i % rows, i / rows);
      if (back) std::swap(by_rows, by_columns);
      made(by_rows.first, by_rows.second) = m(by_columns.first, by_columns.second);
    }
  return made;
}

namespace detail {

/// What stands k lines further on is what belongs here, along rows (down) or columns. What comes in at the edge is not
/// judged: zeros, the other end, or one step more.
inline Outcome shift(const GivenArray& a, bool down, Eigen::Index k) {
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
  return {off(a.got), off(a.expected) > a.tolerance};
}

/// A vector, or rows that are multiples of one another as in the part of one step: either of its two factors, wrong in
/// whatever way, scales rows or columns.
inline bool one_outer_product(const GivenArray& a) {
  if (a.steps > 1 || a.rows() < 2 || a.cols() < 2) return true;
  Eigen::Index row = 0, column = 0;
  const double most = a.expected.cwiseAbs().maxCoeff(&row, &column);
  return most == 0 || a.same(a.expected.col(column) / a.expected(row, column) * a.expected.row(row), a.expected);
}

/// The smallest rectangle that holds every entry that is off.
struct Rectangle {
  Eigen::Index top, left, rows, cols;
};
inline std::optional<Rectangle> wrong_part(const GivenArray& a) {
  Eigen::Index top = a.expected.rows(), bottom = -1, left = a.cols(), right = -1;
  for (Eigen::Index j = 0; j < a.cols(); ++j)
    for (Eigen::Index i = 0; i < a.expected.rows(); ++i)
      if (!(std::abs(a.got(i, j) - a.expected(i, j)) <= a.tolerance * a.scale))
        top = std::min(top, i), bottom = std::max(bottom, i), left = std::min(left, j), right = std::max(right, j);
  if (bottom < 0) return std::nullopt;
  return Rectangle{top, left, bottom - top + 1, right - left + 1};
}

/// "rows 1 to 2, columns 0 to 3" of an array; of parts with the step first.
inline std::string place(const GivenArray& a, const Rectangle& part) {
  const Eigen::Index rows = a.rows(), step = part.top / rows, last = (part.top + part.rows - 1) / rows;
  const auto range = [](const char* one, const char* many, Eigen::Index from, Eigen::Index count) {
    return count == 1 ? fmt::format("{} {}", one, from) : fmt::format("{} {} to {}", many, from, from + count - 1);
  };
  std::string text;
  if (a.steps > 1) text = range("step", "steps", step, last - step + 1) + ", ";
  if (a.steps == 1 || step == last) text += range("row", "rows", part.top % rows, part.rows) + ", ";
  return text + range("column", "columns", part.left, part.cols) + " (from 0)";
}

/// What gives this factor out of the known ones, in the fewest words: " = 2/(T m)"; empty if nothing does.
inline std::string made_of(double s, const Derivation& right, const GivenArray& a) {
  const std::pair<const char*, double> parts[] = {{"2", 2},
                                                  {"T", static_cast<double>(right.length())},
                                                  {"m", static_cast<double>(right.net.m())},
                                                  {"alpha", right.net.alpha},
                                                  {"(1 - alpha)", 1 - right.net.alpha}};
  std::string best;
  int fewest = 4;
  for (int choice = 0; choice < 243; ++choice) {  // of each: below, not there, above
    double value = s < 0 ? -1 : 1;
    int count = 0, rest = choice, below = 0;
    std::string over, under;
    for (const auto& [name, x] : parts) {
      const int power = rest % 3 - 1;
      rest /= 3;
      if (power == 0) continue;
      ++count, below += power < 0;
      value *= power > 0 ? x : 1 / x;
      (power > 0 ? over : under) += (power > 0 ? over : under).empty() ? name : std::string(" ") + name;
    }
    if (count >= fewest || !std::isfinite(value) || !a.is_factor(s, value)) continue;
    fewest = count;
    best = fmt::format(" = {}{}{}", s < 0 ? "-" : "", over.empty() ? "1" : over,
                       under.empty() ? ""
                       : below > 1   ? "/(" + under + ")"
                                     : "/" + under);
  }
  return best;
}

}  // namespace detail

/// Every known mistake of an array, in every way of making it.
inline std::vector<ArrayMistake> array_mistakes(const std::vector<GivenArray>& arrays, const Derivation& right) {
  using M = rnn::MatrixX<double>;
  std::vector<ArrayMistake> all;
  /// made(array): what would be there, empty if it cannot be made there
  const auto add = [&](std::string_view id, std::string how, auto made) {
    all.push_back({id, std::move(how), [made](const GivenArray& a) -> Outcome {
                     const M m = made(a);
                     if (m.size() == 0) return {};
                     return {a.off(a.got, m), !a.same(m, a.expected)};
                   }});
  };
  const auto factors = known_factors(right);
  for (const auto& f : factors) {
    add(f.id, f.text, [s = f.value](const GivenArray& a) -> M { return s * a.expected; });
    all.back().aside = f.aside;
  }
  all.push_back({"transposed", "", [](const GivenArray& a) -> Outcome {
                   const M m = made_transposed(a, a.expected);
                   if (m.size() == 0) return {not_made, a.rows() > 1 && a.cols() > 1};  // its shape would tell
                   return {a.off(a.got, m), a.turned || !a.same(m, a.expected)};
                 }});
  for (const bool back : {false, true})
    add("column-major", back ? "written by rows, read by columns" : "",
        [back](const GivenArray& a) { return made_column_major(a, a.expected, back); });
  for (const bool down : {true, false})
    for (const Eigen::Index k : {1, -1, 2, -2, 3, -3}) {
      const char* const way = down ? (k > 0 ? "down" : "up") : (k > 0 ? "to the right" : "to the left");
      const char* const what = down ? "row or step" : "column";
      all.push_back({"shifted", fmt::format("by {} {} {}", std::abs(k), what, way),
                     [=](const GivenArray& a) { return detail::shift(a, down, k); }});
    }
  add("shifted", "rows or steps in backward order", [](const GivenArray& a) -> M {
    M made(a.expected.rows(), a.cols());
    const Eigen::Index unit = a.steps > 1 ? a.rows() : 1, count = a.expected.rows() / unit;
    for (Eigen::Index k = 0; k < count; ++k)
      made.middleRows(k * unit, unit) = a.expected.middleRows((count - 1 - k) * unit, unit);
    return made;
  });

  // From here on numbers are taken from what is given. Each id stands there once without, for whether it would show.
  const auto would_show = [&](std::string_view id, Eigen::Index least, bool matrix) {
    all.push_back({id, "",
                   [=](const GivenArray& a) -> Outcome {
                     return {not_made, a.entries() >= least && (!matrix || !detail::one_outer_product(a))};
                   },
                   true});
  };
  would_show("factor-other", 2, false);
  std::vector<double> tried{1};
  for (const auto& f : factors) tried.push_back(f.value);
  for (const auto& a : arrays) {
    const double s = fitted_factor(a.got, a.expected);
    const auto is = [&](double x) { return a.is_factor(s, x); };
    if (!a.wrong || s == 0 || !a.same(a.got, s * a.expected) || std::any_of(tried.begin(), tried.end(), is)) continue;
    tried.push_back(s);
    all.push_back({"factor-other", fmt::format("times {:.10g}{}", s, detail::made_of(s, right, a)),
                   [=](const GivenArray& b) -> Outcome {
                     return {b.off(b.got, s * b.expected), b.entries() >= 2};
                   },
                   true});
  }
  const auto add_lines = [&](std::string_view id, auto scale_lines) {
    would_show(id, 2, true);
    all.push_back({id, "",
                   [=](const GivenArray& a) -> Outcome {
                     if (detail::one_outer_product(a)) return {};
                     M made = a.expected;
                     scale_lines(a, made);
                     if (a.same(made, fitted_factor(a.got, a.expected) * a.expected)) return {};  // one factor for all
                     return {a.off(a.got, made), a.entries() >= 2};
                   },
                   true});
  };
  add_lines("row-scaled", [](const GivenArray& a, M& made) {
    for (Eigen::Index i = 0; i < made.rows(); ++i) made.row(i) *= fitted_factor(a.got.row(i), made.row(i));
  });
  for (const auto& matrix : arrays) {  // a vector whose entries are scaled as the rows of a matrix beside it
    if (!matrix.wrong || detail::one_outer_product(matrix) || matrix.name == "delta") continue;
    rnn::VectorX<double> by_row(matrix.rows());
    for (Eigen::Index i = 0; i < matrix.rows(); ++i)
      by_row(i) = fitted_factor(matrix.got.row(i), matrix.expected.row(i));
    if (!matrix.same(matrix.got, by_row.asDiagonal() * matrix.expected)) continue;
    all.push_back({"row-scaled", "",
                   [by_row](const GivenArray& a) -> Outcome {
                     if (a.cols() != 1 || a.steps > 1 || a.rows() != by_row.size()) return {};
                     return {a.off(a.got, by_row.asDiagonal() * a.expected), true};
                   },
                   true});
  }
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
    would_show(id, 1, false);
    for (const auto& a : arrays) {
      const auto part = detail::wrong_part(a);
      if (!a.wrong || !part) continue;
      const bool whole = part->rows == a.expected.rows() && part->cols == a.cols();
      if (whole && doubled) continue;  // that is factor-2
      M made = a.expected;
      made.block(part->top, part->left, part->rows, part->cols) *= doubled ? 2 : 0;
      all.push_back({id, whole ? std::string("all of it is zero") : detail::place(a, *part),
                     [made, name = a.name](const GivenArray& b) -> Outcome {
                       return {b.name == name ? b.off(b.got, made) : not_made, b.entries() > 0};
                     },
                     true});
    }
  }
  return all;
}

}  // namespace rules
