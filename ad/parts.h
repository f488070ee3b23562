// Numbers and matrices that stand together in tuples and arrays: laid out flat, and put on a tape.
#pragma once

#include <array>
#include <tuple>

#include "ad/matrix.h"

namespace ad {

/// What stands for X on a tape: a Var for a double; for a matrix of doubles a VarMatrix, or if Kind is Var, a matrix of
/// Vars; for a std::tuple or std::array the same of these.
template <class Kind, class X>
struct OnTape {
  static_assert(std::is_same_v<X, double>, "parts are doubles, Eigen matrices, and std::tuple or std::array of such");
  using type = Var;
};
template <class Kind, class X>
requires requires { typename X::PlainObject; }
struct OnTape<Kind, X> {
  static_assert(std::is_same_v<X, Eigen::Matrix<double, X::RowsAtCompileTime, X::ColsAtCompileTime>>,
                "parts are column-major Eigen matrices of double: call eval() on expressions");
  using Vars = Eigen::Matrix<Var, X::RowsAtCompileTime, X::ColsAtCompileTime>;
  using type = std::conditional_t<std::is_same_v<Kind, VarMatrix>, VarMatrix, Vars>;
};
template <class Kind, class... X>
struct OnTape<Kind, std::tuple<X...>> {
  using type = std::tuple<typename OnTape<Kind, X>::type...>;
};
template <class Kind, class X, std::size_t n>
struct OnTape<Kind, std::array<X, n>> {
  using type = std::array<typename OnTape<Kind, X>::type, n>;
};

/// f(part of x, the same part of y, ...) for each number or matrix.
template <class F, class X, class... Y>
void for_each_part(F&& f, X&& x, Y&&... y) {
  using Whole = std::remove_cvref_t<X>;
  if constexpr (requires { std::tuple_size<Whole>::value; }) {
    const auto part = [&]<std::size_t k>() { for_each_part(f, std::get<k>(x), std::get<k>(y)...); };
    const auto all = [&]<std::size_t... k>(std::index_sequence<k...>) { (part.template operator()<k>(), ...); };
    all(std::make_index_sequence<std::tuple_size_v<Whole>>());
  } else {
    f(x, y...);
  }
}

/// All numbers of x, matrices column by column.
inline Array<double> flat(const auto& x) {
  Array<double> all;
  for_each_part(
      [&](const auto& part) {
        if constexpr (requires { part.data(); })
          all.insert(all.end(), part.data(), part.data() + part.size());
        else
          all.push_back(part);
      },
      x);
  return all;
}
/// The numbers in the shape of x.
template <class X>
X in_shape_of(X x, const Array<double>& all) {
  const double* at = all.data();
  for_each_part(
      [&](auto& part) {
        if constexpr (requires { part.data(); })
          std::copy_n(at, part.size(), part.data()), at += part.size();
        else
          part = *at++;
      },
      x);
  return x;
}

/// Makes on_tape new inputs of the tape, of the shape of x and with the numbers from `at` on.
inline void put_on(Tape& tape, const auto& x, auto& on_tape, const double* at) {
  for_each_part(
      [&]<class Part>(const auto& plain, Part& part) {
        if constexpr (std::is_same_v<Part, Var>) {
          part = tape.input(*at++);
        } else if constexpr (std::is_same_v<Part, VarMatrix>) {
          part = input(tape, kernels::ConstMap(at, plain.rows(), plain.cols()));
          at += plain.size();
        } else {
          part.resize(plain.rows(), plain.cols());
          for (Eigen::Index i = 0; i < part.size(); ++i) part.data()[i] = tape.input(*at++);
        }
      },
      x, on_tape);
}
/// f(first id, values, their count) for each run of variables; the id is 0 where a part depends on no variable.
template <class F>
void for_each_run(const Tape& tape, const auto& on_tape, F&& f) {
  const auto number = [&](const Var& x) { f(Matrices::id(tape, x), &x.value(), Eigen::Index{1}); };
  for_each_part(
      [&]<class Part>(const Part& part) {
        if constexpr (std::is_same_v<Part, Var>)
          number(part);
        else if constexpr (std::is_same_v<Part, VarMatrix>)
          f(part.is_plain() ? 0 : part.id(), part.values().data(), part.size());
        else
          for (Eigen::Index i = 0; i < part.size(); ++i) number(part.data()[i]);
      },
      on_tape);
}

}  // namespace ad
