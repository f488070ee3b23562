// The leaky recurrent network of the notes, (1.1) to (1.5), written once for every kind of number.
//
//   u_t = W_rec h_{t-1} + W_in x_t + b_rec        (1.1)      x_t: n   u_t, h_t: d   v_t, y_t: m
//   h_t = (1 - alpha) h_{t-1} + alpha f(u_t)      (1.2)      alpha = 1 / time constant; alpha = 1 is Elman's network
//   v_t = W_out h_t + b_out                       (1.3)      t = 1 .. T
//   y_t = g(v_t)                                  (1.4)
//   L   = sum_t L_t(y_t, y*_t)                    (1.5)      g and L_t: loss.h
#pragma once

#include <array>
#include <type_traits>
#include <utility>

#include "ad/kernels.h"
#include "rnn/loss.h"

namespace rnn {

/// The activation f of (1.2), element by element.
enum class Activation { tanh, relu, sigmoid, softplus, identity };
inline constexpr std::string_view activation_names[] = {"tanh", "relu", "sigmoid", "softplus", "identity"};

/// f(u)
template <class S>
S activate(Activation f, const S& u) {
  using ad::relu, ad::sigmoid, ad::softplus, ad::tanh;
  if (f == Activation::identity) return u;
  if (f == Activation::relu) return relu(u);
  if constexpr (detail::is_exact<S>())
    detail::not_exact(activation_names[static_cast<int>(f)]);
  else
    return f == Activation::tanh ? S(tanh(u)) : f == Activation::sigmoid ? S(sigmoid(u)) : S(softplus(u));
}

/// f(u) of a whole layer; plain tanh by the fast kernel.
template <class S>
void activate(Activation activation, const VectorX<S>& u, VectorX<S>& f) {
  f.resize(u.size());
  if constexpr (std::is_same_v<S, double>)
    if (activation == Activation::tanh) return ad::kernels::tanh(u.data(), f.data(), u.size());
  for (Eigen::Index i = 0; i < u.size(); ++i) f(i) = activate(activation, u(i));
}

/// One thing for each of the five parameters.
template <class ForMatrix, class ForVector = ForMatrix>
struct Blocks {
  ForMatrix W_rec;  // d x d
  ForMatrix W_in;   // d x n
  ForVector b_rec;  // d
  ForMatrix W_out;  // m x d
  ForVector b_out;  // m
};

/// theta, or a gradient by it.
template <class S>
using Parameters = Blocks<MatrixX<S>, VectorX<S>>;

inline constexpr std::array<std::string_view, 5> block_names = {"W_rec", "W_in", "b_rec", "W_out", "b_out"};

/// f(name, block, block of the next, ...) for each of the five parameters, in the order above.
template <class F, class... B>
void for_each_block(F&& f, B&&... b) {
  f(block_names[0], b.W_rec...);
  f(block_names[1], b.W_in...);
  f(block_names[2], b.b_rec...);
  f(block_names[3], b.W_out...);
  f(block_names[4], b.b_out...);
}

/// Each number of the parameters turned into another: f(number), in the same shapes.
template <class To, class From, class F>
Parameters<To> map(const Parameters<From>& theta, F&& f) {
  Parameters<To> result;
  for_each_block(
      [&](auto, auto& to, const auto& from) {
        to.resize(from.rows(), from.cols());
        for (Eigen::Index i = 0; i < from.size(); ++i) to.data()[i] = f(from.data()[i]);
      },
      result, theta);
  return result;
}

/// The same parameters as numbers of another kind, S(number).
template <class S, class From>
Parameters<S> cast(const Parameters<From>& theta) {
  return map<S>(theta, [](const From& x) { return S(x); });
}

template <class S>
Parameters<S> zeros_like(const Parameters<S>& theta) {
  return map<S>(theta, [](const S&) { return S(0); });
}

template <class S>
Parameters<S>& operator+=(Parameters<S>& a, const Parameters<S>& b) {
  for_each_block([](auto, auto& x, const auto& y) { x += y; }, a, b);
  return a;
}

/// |theta|, the number of parameters.
template <class S>
Eigen::Index size(const Parameters<S>& theta) {
  Eigen::Index count = 0;
  for_each_block([&](auto, const auto& b) { count += b.size(); }, theta);
  return count;
}

/// Parameter i of |theta|: block after block, matrices column by column. The first d (d + n + 1) are those of the
/// recurrent part, [W_rec | W_in | b_rec], which act on [h_{t-1}; x_t; 1].
template <class P>
auto& element(P& theta, Eigen::Index i) {
  auto* found = theta.W_rec.data();
  Eigen::Index left = i;
  for_each_block(
      [&](auto, auto& b) {
        if (left >= 0 && left < b.size()) found = b.data() + left;
        left -= b.size();
      },
      theta);
  return *found;
}

/// All parameters as one vector, in the order of element().
template <class S>
VectorX<S> flatten(const Parameters<S>& theta) {
  VectorX<S> all(size(theta));
  Eigen::Index at = 0;
  for_each_block(
      [&](auto, const auto& b) {
        for (Eigen::Index i = 0; i < b.size(); ++i) all(at++) = b.data()[i];
      },
      theta);
  return all;
}

/// Back from a vector of |theta| numbers, in the shapes of `like`. Throws std::invalid_argument for another size.
template <class Like, class V>
auto unflatten(const Parameters<Like>& like, const Eigen::MatrixBase<V>& all) {
  detail::require_size("rnn::unflatten", "the vector's size", all.size(), "the number of parameters", size(like));
  Eigen::Index at = 0;
  return map<typename V::Scalar>(like, [&](const Like&) { return all(at++); });
}

/// A network and all that is fixed about it.
template <class T = double>
struct Network {
  Parameters<T> parameters;
  T alpha = T(1);
  Activation activation = Activation::tanh;
  Loss loss = Loss::squared;
  VectorX<T> h_0;  // d

  Eigen::Index n() const { return parameters.W_in.cols(); }
  Eigen::Index d() const { return parameters.W_rec.rows(); }
  Eigen::Index m() const { return parameters.W_out.rows(); }
};

/// What goes in and what should come out; column t-1 belongs to time t.
template <class T = double>
struct Sequence {
  MatrixX<T> x;       // n x T
  MatrixX<T> target;  // m x T

  Eigen::Index length() const { return x.cols(); }
};

/// The network and the sequence as numbers of another kind, S(number).
template <class S, class T>
Network<S> cast(const Network<T>& net) {
  return {cast<S>(net.parameters), S(net.alpha), net.activation, net.loss,
          net.h_0.unaryExpr([](const T& x) { return S(x); })};
}
template <class S, class T>
Sequence<S> cast(const Sequence<T>& sequence) {
  const auto to = [](const T& x) { return S(x); };
  return {sequence.x.unaryExpr(to), sequence.target.unaryExpr(to)};
}

/// Throws std::invalid_argument unless the parameters fit each other; the text names the array and both shapes.
template <class T>
void check(const Network<T>& net) {
  const auto& theta = net.parameters;
  const Eigen::Index n = net.n(), d = net.d(), m = net.m();
  const auto shape = [](Eigen::Index rows, Eigen::Index cols) {
    return std::to_string(rows) + " x " + std::to_string(cols);
  };
  const auto require = [&](std::string_view name, const auto& b, Eigen::Index rows, Eigen::Index cols) {
    if (b.rows() != rows || b.cols() != cols)
      throw std::invalid_argument("rnn::Network: " + std::string(name) + " is " + shape(b.rows(), b.cols()) +
                                  ", but must be " + shape(rows, cols) + " (n = " + std::to_string(n) +
                                  ", d = " + std::to_string(d) + ", m = " + std::to_string(m) + ")");
  };
  if (d == 0 || m == 0)
    throw std::invalid_argument("rnn::Network: no units or no outputs: W_rec is " + shape(d, theta.W_rec.cols()) +
                                ", W_out is " + shape(m, theta.W_out.cols()));
  require("W_rec", theta.W_rec, d, d);
  require("W_in", theta.W_in, d, n);
  require("b_rec", theta.b_rec, d, 1);
  require("W_out", theta.W_out, m, d);
  require("b_out", theta.b_out, m, 1);
  require("h_0", net.h_0, d, 1);
}

/// The same, and that the sequence fits the network and has at least one step.
template <class T>
void check(const Network<T>& net, const Sequence<T>& sequence) {
  check(net);
  detail::require_size("rnn::Sequence", "the number of rows of x", sequence.x.rows(), "n, the columns of W_in,",
                       net.n());
  detail::require_size("rnn::Sequence", "the number of rows of target", sequence.target.rows(), "m, the rows of W_out,",
                       net.m());
  detail::require_size("rnn::Sequence", "the number of steps of target", sequence.target.cols(), "that of x",
                       sequence.length());
  if (sequence.length() == 0) throw std::invalid_argument("rnn::Sequence: it has no steps: T = 0");
}

// The equations, once for vectors of any kind: Eigen's of any number, or whole vectors as entries of a tape.

/// (1.1): u_t from theta, h_{t-1} and x_t.
template <class Theta, class H, class X>
[[gnu::always_inline]] inline auto preactivation(const Theta& theta, const H& h_before, const X& x) {
  return theta.W_rec * h_before + theta.W_in * x + theta.b_rec;
}
/// (1.2): h_t from h_{t-1} and f(u_t).
template <class T, class H, class F>
[[gnu::always_inline]] inline auto leaky(const T& alpha, const H& h_before, const F& f) {
  return (T(1) - alpha) * h_before + alpha * f;
}
/// (1.3): v_t from theta and h_t.
template <class Theta, class H>
[[gnu::always_inline]] inline auto readout(const Theta& theta, const H& h) {
  return theta.W_out * h + theta.b_out;
}

/// What happens in the recurrent layer at one time.
template <class S>
struct Step {
  VectorX<S> u;  // d, (1.1)
  VectorX<S> f;  // d, f(u)
  VectorX<S> h;  // d, (1.2)
};

/// (1.1) and (1.2) with parameters theta, which need not be the network's own: h_{t-1} (d) and x_t (n) to u_t and h_t.
/// `now` may be that of the step before: its memory is used again. h_before must not be in it.
/// Sizes are the caller's: check(network, sequence) once.
template <class T, class S, class H, class X>
void step(const Network<T>& net, const Parameters<S>& theta, const Eigen::MatrixBase<H>& h_before,
          const Eigen::MatrixBase<X>& x, Step<S>& now) {
  now.u.noalias() = preactivation(theta, h_before.derived(), x.derived());
  activate(net.activation, now.u, now.f);
  now.h = leaky(net.alpha, h_before.derived(), now.f);
}
/// The same, as a new Step.
template <class T, class S, class H, class X>
Step<S> step(const Network<T>& net, const Parameters<S>& theta, const Eigen::MatrixBase<H>& h_before,
             const Eigen::MatrixBase<X>& x) {
  Step<S> now;
  step(net, theta, h_before, x, now);
  return now;
}

/// (1.3): v_t from h_t.
template <class S, class H>
void output(const Parameters<S>& theta, const Eigen::MatrixBase<H>& h, VectorX<S>& v) {
  v.noalias() = readout(theta, h.derived());
}
template <class S, class H>
VectorX<S> output(const Parameters<S>& theta, const Eigen::MatrixBase<H>& h) {
  return readout(theta, h.derived());
}

/// The whole run with the network's own parameters; column t-1 belongs to time t, but column t of h: h_0 is its first.
template <class T>
struct Run {
  MatrixX<T> u, h, v;  // d x T, d x (T+1), m x T
  VectorX<T> losses;   // T
  T loss;
};
/// Throws std::invalid_argument where sizes do not fit.
template <class T>
Run<T> run(const Network<T>& net, const Sequence<T>& sequence) {
  check(net, sequence);
  const Eigen::Index length = sequence.length();
  Run<T> r{MatrixX<T>(net.d(), length), MatrixX<T>(net.d(), length + 1), MatrixX<T>(net.m(), length),
           VectorX<T>(length), T(0)};
  r.h.col(0) = net.h_0;
  for (Eigen::Index t = 0; t < length; ++t) {
    const Step<T> now = step(net, net.parameters, r.h.col(t), sequence.x.col(t));
    r.u.col(t) = now.u;
    r.h.col(t + 1) = now.h;
    r.v.col(t) = output(net.parameters, now.h);
    r.losses(t) = loss_t(net.loss, r.v.col(t), sequence.target.col(t));
    r.loss += r.losses(t);
  }
  return r;
}

/// L as a function of the parameters alone, for any kind of number S: what ad::gradient, ad::hessian, ... are given.
/// `at` holds |theta| numbers in the order of element().
template <class T, class V>
typename V::Scalar loss_at(const Network<T>& net, const Sequence<T>& sequence, const Eigen::MatrixBase<V>& at) {
  using S = typename V::Scalar;
  check(net, sequence);
  const Parameters<S> theta = unflatten(net.parameters, at);
  VectorX<S> h = net.h_0.unaryExpr([](const T& x) { return S(x); });
  S loss(0);
  for (Eigen::Index t = 0; t < sequence.length(); ++t) {
    h = step(net, theta, h, sequence.x.col(t)).h;
    loss += loss_t(net.loss, output(theta, h), sequence.target.col(t));
  }
  return loss;
}

}  // namespace rnn
