// Backpropagation through time is reverse mode: the network, unrolled on a tape, swept once from L down.
#pragma once

#include <vector>

#include "ad/eigen.h"
#include "rnn/network.h"

namespace rnn {

/// The network on a tape. Vectors of times: u[t-1], v[t-1], x[t-1], losses[t-1] belong to time t; h[0] is h_0, h[t] is h_t.
template <class T>
struct Unrolled {
  using V = ad::Variable<T>;
  Parameters<V> theta;
  std::vector<Parameters<V>> theta_at;  // theta_1 .. theta_T of (1.6), if each time has its own copy; else empty
  std::vector<VectorX<V>> x, u, h, v;
  std::vector<V> losses;
  V loss;
};

/// How a network is recorded.
struct Recording {
  bool names = false;   // name the variables and make a scope "t=3" of each step: for people, it costs time
  bool copies = false;  // give each time its own copy theta_t of the parameters, d theta_t / d theta = I
};

/// Runs the network on a tape, which must be the active one. Inputs are theta, h_0, and all x_t.
/// Throws std::invalid_argument where sizes do not fit.
template <class T>
Unrolled<T> unroll(ad::TapeOf<T>& tape, const Network<T>& net, const Sequence<T>& sequence, Recording how = {}) {
  using V = ad::Variable<T>;
  check(net, sequence);
  const auto time = [](Eigen::Index t) { return '_' + std::to_string(t); };
  const auto input = [&](const auto& m, const std::string& name) {
    return how.names ? tape.input(m, name) : tape.input(m);
  };
  const auto name = [&](const VectorX<V>& v, const std::string& of) {
    if (how.names)
      for (Eigen::Index i = 0; i < v.size(); ++i) {
        if (v(i).id() != 0) tape.name(v(i), of + '[' + std::to_string(i) + ']');
      }
  };

  Unrolled<T> r;
  for_each_block([&](std::string_view block, auto& to, const auto& from) { to = input(from, std::string(block)); },
                 r.theta, net.parameters);
  r.h.push_back(input(net.h_0, "h_0"));
  for (Eigen::Index t = 1; t <= sequence.length(); ++t)
    r.x.push_back(input(VectorX<T>(sequence.x.col(t - 1)), "x" + time(t)));

  const auto at = [&](Eigen::Index t) {
    if (how.copies) r.theta_at.push_back(map<V>(r.theta, [](const V& x) -> V { return copy(x); }));
    const Parameters<V>& theta = how.copies ? r.theta_at.back() : r.theta;
    const Step<V> now = step(net, theta, r.h.back(), r.x[static_cast<std::size_t>(t - 1)]);
    r.u.push_back(now.u);
    r.h.push_back(now.h);
    r.v.push_back(output(theta, now.h));
    r.losses.push_back(loss_t(net.loss, r.v.back(), sequence.target.col(t - 1)));
    r.loss = t == 1 ? r.losses.back() : V(r.loss + r.losses.back());
    name(r.u.back(), "u" + time(t));
    name(r.h.back(), "h" + time(t));
    name(r.v.back(), "v" + time(t));
    if (how.names) tape.name(r.losses.back(), "L" + time(t));
  };
  for (Eigen::Index t = 1; t <= sequence.length(); ++t) {
    if (how.names) {
      const auto scope = tape.scope("t=" + std::to_string(t));
      at(t);
    } else {
      at(t);
    }
  }
  if (how.names) tape.name(r.loss, "L");
  return r;
}

/// What one reverse sweep gives. Column t-1 belongs to time t.
template <class T>
struct Bptt {
  T loss;
  VectorX<T> losses;                    // T
  Parameters<T> gradient;               // dL/dtheta
  MatrixX<T> delta;                     // d x T: delta_t = dL/dh_t of (1.12) as columns, the adjoints of h_t
  MatrixX<T> x;                         // n x T: dL/dx_t
  VectorX<T> h_0;                       // d: dL/dh_0
  std::vector<Parameters<T>> per_step;  // [s-1]: dL/dtheta_s, the column sums of (1.7), if each time has its own copy
  std::size_t bytes;                    // of the tape with its adjoints
};

/// What the last reverse sweep over an unrolled network has left: of L, or of whatever else was swept.
template <class T>
Bptt<T> adjoints(const ad::TapeOf<T>& tape, const Unrolled<T>& net) {
  Bptt<T> r;
  const Eigen::Index length = static_cast<Eigen::Index>(net.losses.size());
  r.loss = net.loss.value();
  r.losses.resize(length);
  for_each_block([&](auto, auto& to, const auto& from) { to = ad::adjoint(tape, from); }, r.gradient, net.theta);
  r.delta.resize(net.h[0].size(), length);
  r.x.resize(net.x[0].size(), length);
  r.h_0 = ad::adjoint(tape, net.h[0]);
  for (Eigen::Index t = 1; t <= length; ++t) {
    const auto i = static_cast<std::size_t>(t);
    r.losses(t - 1) = net.losses[i - 1].value();
    r.delta.col(t - 1) = ad::adjoint(tape, net.h[i]);
    r.x.col(t - 1) = ad::adjoint(tape, net.x[i - 1]);
  }
  for (const auto& theta : net.theta_at)
    r.per_step.push_back(map<T>(theta, [&](const ad::Variable<T>& v) -> T { return tape.adjoint(v); }));
  r.bytes = tape.bytes();
  return r;
}

/// Records the network on a tape of its own and sweeps it back from L.
/// Throws std::invalid_argument where sizes do not fit.
template <class T>
Bptt<T> bptt(const Network<T>& net, const Sequence<T>& sequence, Recording how = {}) {
  ad::TapeOf<T> tape;
  const Unrolled<T> unrolled = unroll(tape, net, sequence, how);
  tape.reverse(unrolled.loss);
  return adjoints(tape, unrolled);
}

}  // namespace rnn
