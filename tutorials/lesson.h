// The words a lesson is written with: LESSON declares one; show, figure, ask and expect record what it does.
//
//   //% # A product has two partial derivatives          "//% # ..." begins a step, "//% ..." is its prose (Markdown),
//   //% How much does the product move with its left factor?           "//%ja ..." is prose in Japanese
//   const double x = 3, y = 2;
//   ask("What is d(xy)/dx at x = 3, y = 2?", y);       asked before the outputs of this piece of code are shown
//   show("d(xy)/dx", y);                                a live value
//   expect("it is the other factor", y, 2.0);           a claim of the prose, held by `unroll lesson --check`
//
// Calls find their step by the line they stand on, so loops and helper functions of the same file need no care.
// Readers see the file from its first //% line on, without LESSON(...) { and its } at the margin, without the statements
// ask, expect, expect_throws, figure and if (at_default()), and without what stands between //%hide and //%show.
#pragma once

#include <fmt/format.h>

#include <Eigen/Core>
#include <concepts>
#include <exception>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tutorials {

/// The words of a call together with the place they were written at. Converts from a string, so that callers pass text.
struct Label {
  template <std::convertible_to<std::string_view> Text>
  Label(const Text& words, const char* in_file = __builtin_FILE(), int on_line = __builtin_LINE())
      : text(std::string_view(words)), file(in_file), line(on_line) {}
  std::string text;
  const char* file;
  int line;
};

/// A lesson as the program knows it: its number, title, source file and the function that runs it.
struct Lesson {
  int number;
  std::string title, file;
  void (*run)();
};
bool add_lesson(Lesson lesson);

/// Declares lesson `number` and opens its body: LESSON(2, "Reverse mode: the tape") { ... }
#define LESSON(number, title)                                               \
  static void lesson_##number();                                            \
  [[maybe_unused]] static const bool lesson_##number##_added =              \
      ::tutorials::add_lesson({number, title, __FILE__, &lesson_##number}); \
  static void lesson_##number()

// ---- values as text and as numbers --------------------------------------------------------------------------------

// clang-format off
template <class T>
concept Dense = requires { typename T::PlainObject; };  // Eigen matrices, arrays, their blocks and expressions
template <class T>
concept Wrapped = requires(const T& x) { x.value(); };  // a Var: its number is x.value()
template <class T>
concept Carrier = requires(const T& x) { x.value; x.tangent; };  // a Dual: its number is x.value
template <class T>
concept List = !Dense<T> && !std::convertible_to<T, std::string_view> &&
               requires(const T& x) { *std::begin(x); std::size(x); };
template <class T>
concept Streamable = requires(std::ostream& out, const T& x) { out << x; };
// clang-format on

/// The plain number under any kind of number: double, Var, Dual, nested.
template <class T>
double number(const T& x) {
  if constexpr (std::is_arithmetic_v<T>)
    return static_cast<double>(x);
  else if constexpr (Wrapped<T>)
    return number(x.value());
  else if constexpr (Carrier<T>)
    return number(x.value);
  else
    return static_cast<double>(x);
}
template <class T>
concept Numeric = !Dense<T> && (std::is_arithmetic_v<T> || Wrapped<T> || Carrier<T>);

/// The plain numbers under an Eigen expression or a list of numbers (as a column).
template <class T>
Eigen::MatrixXd numbers(const T& values) {
  if constexpr (Dense<T>) {
    const auto plain = values.eval();
    Eigen::MatrixXd result(plain.rows(), plain.cols());
    for (Eigen::Index j = 0; j < result.cols(); ++j)
      for (Eigen::Index i = 0; i < result.rows(); ++i) result(i, j) = number(plain(i, j));
    return result;
  } else {
    Eigen::VectorXd result(static_cast<Eigen::Index>(std::size(values)));
    Eigen::Index i = 0;
    for (const auto& value : values) result(i++) = number(value);
    return result;
  }
}

/// Six significant digits; whole numbers without a point; "-0" is "0".
std::string number_text(double x);
/// One line for a column or a row, aligned rows for a matrix; at most 80 columns wide (wide matrices go in pieces).
std::string matrix_text(const Eigen::MatrixXd& m);

template <class T>
std::string text(const T& value) {
  if constexpr (std::is_same_v<T, bool>)
    return value ? "yes" : "no";
  else if constexpr (std::convertible_to<T, std::string_view>)
    return std::string(std::string_view(value));
  else if constexpr (std::is_same_v<T, char>)
    return std::string(1, value);
  else if constexpr (std::integral<T>)
    return std::to_string(value);
  else if constexpr (std::is_arithmetic_v<T>)
    return number_text(static_cast<double>(value));
  else if constexpr (Dense<T>)
    return matrix_text(numbers(value));
  else if constexpr (List<T>) {
    if constexpr (Numeric<std::decay_t<decltype(*std::begin(value))>>)
      return matrix_text(numbers(value));
    else {
      std::string all;
      for (const auto& element : value) all += (all.empty() ? "" : ", ") + text(element);
      return all;
    }
  } else if constexpr (requires { requires Numeric<std::remove_cvref_t<decltype(value.tangent)>>; }) {
    return text(value.value) + " + " + text(value.tangent) + " eps";
  } else if constexpr (Streamable<T>) {
    std::ostringstream out;
    out << value;
    return out.str();
  } else {
    return text(number(value));
  }
}

// ---- what a lesson says -------------------------------------------------------------------------------------------

using Pairs = std::vector<std::pair<std::string, std::string>>;
void record_values(const Label& at, const Pairs& pairs);
void record_expect(const Label& claim, bool holds, const std::string& got, const std::string& want);
void record_ask(const Label& question, double answer, double tolerance, std::string_view hint, bool yes_no);
double record_parameter(const Label& name, double value, double low, double high, bool whole);

/// Shows text that is already laid out: a sentence, or a block of lines (a trace, a table). At most 80 columns.
void show(const Label& block);
/// Shows named values: show("x", x) or show("alpha", alpha, "T", T, ...). Numbers, strings, lists, Eigen, Var, Dual.
template <class T, class... Rest>
void show(const Label& name, const T& value, const Rest&... rest) {
  static_assert(sizeof...(rest) % 2 == 0, "show takes a name and a value, then again a name and a value");
  Pairs pairs{{name.text, text(value)}};
  const std::vector<std::string> words{text(rest)...};
  for (std::size_t i = 0; i < words.size(); i += 2) pairs.emplace_back(words[i], words[i + 1]);
  record_values(name, pairs);
}

/// Shows a drawing: `svg` (one whole <svg> element, trusted) in the browser, `plain` where only text can be shown.
void figure(const Label& caption, std::string_view svg, std::string_view plain);

/// Asks for a number before the outputs of this piece of code are seen. An answer within `tolerance` is right; without
/// one, within 1 % (0.01 when the answer is 0). The hint is given after a first wrong answer.
template <Numeric T>
void ask(const Label& question, const T& answer, double tolerance, std::string_view hint = "") {
  record_ask(question, number(answer), tolerance, hint, false);
}
template <Numeric T>
void ask(const Label& question, const T& answer, const char* hint = "") {
  record_ask(question, number(answer), -1, hint, std::is_same_v<T, bool>);  // a bool is a question for yes or no
}

// Equal to rounding (1e-12 of the wanted object's largest entry; a wanted 0 must be met exactly) without a tolerance,
// else within `tolerance` absolutely. A NaN is never equal to anything.
bool equal_numbers(const Eigen::MatrixXd& got, const Eigen::MatrixXd& want, double tolerance);

/// Asserts a claim of the prose that is true or false.
template <std::same_as<bool> Bool>
void expect(const Label& claim, Bool holds) {
  record_expect(claim, holds, holds ? "yes" : "no", "yes");
}

/// Asserts that two numbers, Eigen objects, lists, strings, ... are equal; see equal_numbers. Sizes must agree.
template <class Got, class Want>
void expect(const Label& claim, const Got& got, const Want& want, double tolerance = -1) {
  constexpr bool exact = std::integral<Got> && std::integral<Want>;
  if constexpr (!exact && Numeric<Got> && Numeric<Want>) {
    const Eigen::MatrixXd a = Eigen::MatrixXd::Constant(1, 1, number(got)),
                          b = Eigen::MatrixXd::Constant(1, 1, number(want));
    record_expect(claim, equal_numbers(a, b, tolerance), fmt::format("{:.15g}", a(0)), fmt::format("{:.15g}", b(0)));
  } else if constexpr ((Dense<Got> || List<Got>)&&(Dense<Want> || List<Want>)) {
    const Eigen::MatrixXd a = numbers(got), b = numbers(want);
    record_expect(claim, equal_numbers(a, b, tolerance), matrix_text(a), matrix_text(b));
  } else if constexpr (std::convertible_to<Got, std::string_view> && std::convertible_to<Want, std::string_view>) {
    record_expect(claim, std::string_view(got) == std::string_view(want), text(got), text(want));
  } else {
    record_expect(claim, got == want, text(got), text(want));
  }
}

/// Asserts that `run()` throws an exception whose text contains `part`.
template <class Run>
void expect_throws(const Label& claim, Run&& run, std::string_view part = "") {
  const std::string want = fmt::format("an exception that says \"{}\"", part);
  try {
    std::forward<Run>(run)();
  } catch (const std::exception& error) {
    return record_expect(claim, std::string_view(error.what()).find(part) != std::string_view::npos, error.what(),
                         want);
  }
  record_expect(claim, false, "no exception", want);
}

/// A number the reader may change with `--set name=value`: const double alpha = parameter("alpha", 0.4, 0.0, 1.0);
/// Returns the value set, else `value`. A value outside [low, high] (or a fraction for a whole T) ends the lesson.
template <class T>
requires std::is_arithmetic_v<T> T parameter(const Label& name, T value, std::type_identity_t<T> low,
                                             std::type_identity_t<T> high) {
  return static_cast<T>(record_parameter(name, static_cast<double>(value), static_cast<double>(low),
                                         static_cast<double>(high), std::is_integral_v<T>));
}
/// True while every parameter has its default: guards claims that hold only then: if (at_default()) expect(...).
bool at_default();

}  // namespace tutorials
