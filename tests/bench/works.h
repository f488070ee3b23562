// The functions whose gradients are timed: each is written once, for every kind of number.
//
// To add a work: write a struct with a name, a point at which it is differentiated, and one templated
// function from that point to a number; add it to `for_each_work`. Every subject (plain double, unroll, each
// peer) then runs that same source.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// Numbers in (-1, 1) that are the same in every translation unit, on every machine.
inline std::vector<double> numbers(std::size_t count, std::uint64_t seed, double scale = 1.0) {
  std::vector<double> result(count);
  for (double& number : result) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    number = scale * (static_cast<double>(seed >> 11) * 0x1p-52 - 1.0);
  }
  return result;
}

/// y = x_1 x_2 ... x_n, the factors near 1.
struct Product {
  std::string name = "product n=1000";
  double at_most = 8.0;  // gradient time over the plain function's

  std::vector<double> point() const {
    std::vector<double> x = numbers(1000, 1, 0.05);
    for (double& factor : x) factor += 1.0;
    return x;
  }

  template <class Number>
  Number operator()(std::span<const Number> x) const {
    Number y = x[0];
    for (std::size_t i = 1; i < x.size(); ++i) y = y * x[i];
    return y;
  }
};

// The chains below neither forget nor explode: where a step shrinks what it is given, 1000 steps take adjoints to
// denormal numbers and to zero, and then a sweep's time is that of something else.

/// y <- sin(p y)/10 + p exp(-y^2) + 0.98 y, nine operations in one expression, 1000 times over.
struct CompoundChain {
  std::string name = "chain, compound lines";
  double at_most = 2.8;

  std::vector<double> point() const { return numbers(100, 2); }

  template <class Number>
  Number operator()(std::span<const Number> x) const {
    using std::exp, std::sin;
    Number y = x[0];
    for (int pass = 0; pass < 10; ++pass) {
      for (const Number& p : x) y = sin(y * p) * 0.1 + exp(-(y * y)) * p + 0.98 * y;
    }
    return y;
  }
};

/// The same chain, one operation a line, each result named.
struct NamedChain {
  std::string name = "chain, one operation a line";
  double at_most = 3.0;

  std::vector<double> point() const { return numbers(100, 2); }

  template <class Number>
  Number operator()(std::span<const Number> x) const {
    using std::exp, std::sin;
    Number y = x[0];
    for (int pass = 0; pass < 10; ++pass) {
      for (const Number& p : x) {
        Number angle = y * p;
        Number wave = sin(angle);
        Number tenth = wave * 0.1;
        Number square = y * y;
        Number exponent = -square;
        Number bell = exp(exponent);
        Number weighted = bell * p;
        Number sum = tenth + weighted;
        Number kept = 0.98 * y;
        y = sum + kept;
      }
    }
    return y;
  }
};

/// Only + - * /, one operation a line, short paths from step to step: nothing for the tape's cost to hide behind.
struct CheapChain {
  std::string name = "chain, cheap operations";
  double at_most = 10.0;

  std::vector<double> point() const { return numbers(100, 2); }

  template <class Number>
  Number operator()(std::span<const Number> x) const {
    Number y = x[0];
    Number total = x[1];
    for (int pass = 0; pass < 10; ++pass) {
      for (const Number& p : x) {
        Number a = y * p;
        Number b = p / 3.0;
        Number c = y * 0.25;
        Number d = a - c;
        y = d + b;
        Number e = y * p;
        Number f = e * 0.5;
        total = total + f;
      }
    }
    return total;
  }
};

/// The leaky tanh network of the notes, (1.1) to (1.5), in plain loops over single numbers:
/// u_t = W_rec h_{t-1} + W_in x_t + b_rec, h_t = (1 - alpha) h_{t-1} + alpha tanh(u_t), v_t = W_out h_t + b_out,
/// L = sum_t 1/2 |v_t - y_t|^2. The point is [W_rec | W_in | b_rec | W_out | b_out], row by row.
struct ScalarRnn {
  std::string name;
  double at_most;
  std::size_t d, T, n = 2, m = 1;
  double alpha = 0.3;
  std::vector<double> inputs = numbers(T * n, 4);   // T x n
  std::vector<double> targets = numbers(T * m, 5);  // T x m

  std::vector<double> point() const {
    return numbers(d * d + d * n + d + m * d + m, 6, 1.5 / std::sqrt(static_cast<double>(d)));
  }

  template <class Number>
  Number operator()(std::span<const Number> x) const {
    using std::tanh;
    const Number* W_rec = x.data();
    const Number* W_in = W_rec + d * d;
    const Number* b_rec = W_in + d * n;
    const Number* W_out = b_rec + d;
    const Number* b_out = W_out + m * d;
    std::vector<Number> h(d, Number(0.0)), h_next(d, Number(0.0));
    Number loss = 0.0;
    for (std::size_t t = 0; t < T; ++t) {
      for (std::size_t i = 0; i < d; ++i) {
        const Number *w_rec = W_rec + i * d, *w_in = W_in + i * n;
        Number u = b_rec[i];
        for (std::size_t j = 0; j < d; ++j) u += w_rec[j] * h[j];
        for (std::size_t j = 0; j < n; ++j) u += w_in[j] * inputs[t * n + j];
        h_next[i] = (1.0 - alpha) * h[i] + alpha * tanh(u);
      }
      std::swap(h, h_next);
      for (std::size_t k = 0; k < m; ++k) {
        Number v = b_out[k];
        for (std::size_t j = 0; j < d; ++j) v += W_out[k * d + j] * h[j];
        Number error = v - targets[t * m + k];
        loss += 0.5 * error * error;
      }
    }
    return loss;
  }
};

/// Calls visit(work) for every work, in the order of the table.
template <class Visit>
void for_each_work(Visit visit) {
  visit(Product{});
  visit(CompoundChain{});
  visit(NamedChain{});
  visit(CheapChain{});
  visit(ScalarRnn{.name = "scalar RNN d=32 T=100", .at_most = 8.0, .d = 32, .T = 100});
  visit(ScalarRnn{.name = "scalar RNN d=128 T=200", .at_most = 10.0, .d = 128, .T = 200});
}

}  // namespace bench
