// The functions whose gradients are timed: each is written once, for every kind of number.
//
// To add a work: write a struct with a name, a point at which it is differentiated, and one templated function from that
// point to a number; add it to `for_each_work`. Every subject (plain double, unroll, each peer) then runs that same source.
// The function is compiled on its own, as a user's is: inside what surrounds it, registers would be a matter of chance.
#pragma once

#include <algorithm>
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
  [[gnu::noinline]] Number operator()(std::span<const Number> x) const {
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
  [[gnu::noinline]] Number operator()(std::span<const Number> x) const {
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
  [[gnu::noinline]] Number operator()(std::span<const Number> x) const {
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
  [[gnu::noinline]] Number operator()(std::span<const Number> x) const {
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
  [[gnu::noinline]] Number operator()(std::span<const Number> x) const {
    using std::tanh;
    const Number* W_rec = x.data();
    const Number* W_in = W_rec + d * d;
    const Number* b_rec = W_in + d * n;
    const Number* W_out = b_rec + d;
    const Number* b_out = W_out + m * d;
    std::vector<Number> h(d, Number(0.0)), h_next(d, Number(0.0));
    Number loss(0.0);
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

/// log p(data) of a mixture of K Gaussians in D dimensions, N points, by the Cholesky factors Q_k of the precisions:
/// sum_i log sum_k exp(a_k + log det Q_k - 1/2 |Q_k (x_i - mu_k)|^2) - N log sum_k exp a_k, without its constant.
/// The point is [a | mu | q], where q_k holds the logarithms of the diagonal of Q_k, then what is below it, row by row.
struct Mixture {
  std::string name;
  double at_most;
  std::size_t K, D, N;
  std::vector<double> data = numbers(N * D, 7, 2.0);  // N x D

  std::size_t factor() const { return D * (D + 1) / 2; }
  std::vector<double> point() const { return numbers(K * (1 + D + factor()), 8); }

  template <class Number>
  static Number log_sum_exp(const std::vector<Number>& x) {
    using std::exp, std::log;
    const Number largest = *std::max_element(x.begin(), x.end());
    Number sum(0.0);
    for (const Number& term : x) sum += exp(term - largest);
    return log(sum) + largest;
  }

  template <class Number>
  [[gnu::noinline]] Number operator()(std::span<const Number> x) const {
    using std::exp;
    const Number *a = x.data(), *mu = a + K, *q = mu + K * D;
    std::vector<Number> diagonal(K * D), log_det(K, Number(0.0)), term(K), centered(D);
    for (std::size_t k = 0; k < K; ++k) {
      for (std::size_t i = 0; i < D; ++i) {
        diagonal[k * D + i] = exp(q[k * factor() + i]);
        log_det[k] += q[k * factor() + i];
      }
    }
    Number total(0.0);
    for (std::size_t n = 0; n < N; ++n) {
      for (std::size_t k = 0; k < K; ++k) {
        for (std::size_t i = 0; i < D; ++i) centered[i] = data[n * D + i] - mu[k * D + i];
        const Number* below = q + k * factor() + D;
        Number distance(0.0);
        for (std::size_t i = 0; i < D; ++i) {
          Number z = diagonal[k * D + i] * centered[i];
          for (std::size_t j = 0; j < i; ++j) z += *below++ * centered[j];
          distance += z * z;
        }
        term[k] = a[k] + log_det[k] - 0.5 * distance;
      }
      total += log_sum_exp(term);
    }
    return total - static_cast<double>(N) * log_sum_exp(std::vector<Number>(a, a + K));
  }
};

/// 1 / (1 + exp(-x)), as one operation where the library has it.
template <class Number>
Number logistic(const Number& x) {
  using std::exp;
  if constexpr (requires { sigmoid(x); }) {
    return sigmoid(x);
  } else {
    return 1.0 / (1.0 + exp(-x));
  }
}

/// One unit of long short-term memory: c <- f c + i g and h <- o tanh(c), from what drives i, f, o and g.
template <class Number>
void lstm_unit(const Number& in, const Number& forget, const Number& out, const Number& candidate, Number& c,
               Number& h) {
  using std::tanh;
  c = logistic(forget) * c + logistic(in) * tanh(candidate);
  h = logistic(out) * tanh(c);
}

/// L_t = -log softmax(v)_k: the unit k was right.
template <class Number>
Number cross_entropy(std::span<const Number> v, std::size_t k) {
  using std::exp, std::log;
  Number sum = 0.0;
  for (const Number& v_j : v) sum += exp(v_j);
  return log(sum) - v[k];
}

/// Two layers of long short-term memory whose weights are no matrices: unit k hears unit k of the layer below and itself,
/// as in the LSTM of ADBench (Srajer, Kukelova and Fitzgibbon 2018). The outputs are scaled, shifted, and judged by the
/// next letter. The point is, for each unit, four pairs (weight, bias); then, for each output, one pair.
struct ThinLstm {
  std::string name;
  double at_most;
  std::size_t d, T;
  std::vector<double> inputs = numbers(T * d, 9);  // T x d

  std::vector<double> point() const { return numbers(2 * 8 * d + 2 * d, 10); }

  template <class Number>
  Number operator()(std::span<const Number> w) const {
    std::vector<Number> h(2 * d, Number(0.0)), c(2 * d, Number(0.0)), v(d);
    const auto unit = [&](std::size_t k, const auto& x) {
      const Number* p = w.data() + 8 * k;
      lstm_unit<Number>(p[0] * h[k] + p[1], p[2] * x + p[3], p[4] * x + p[5], p[6] * h[k] + p[7], c[k], h[k]);
    };
    Number loss(0.0);
    for (std::size_t t = 0; t < T; ++t) {
      for (std::size_t k = 0; k < d; ++k) {
        unit(k, inputs[t * d + k]);
        unit(d + k, h[k]);
        const Number* p = w.data() + 16 * d + 2 * k;
        v[k] = p[0] * h[d + k] + p[1];
      }
      loss += cross_entropy(std::span<const Number>(v), t % d);
    }
    return loss;
  }
};

/// A layer of long short-term memory with full matrices, d units on n inputs: each of i, f, o, g is driven by
/// W [x_t; h_{t-1}; 1]. L = sum_t -log softmax(h_t)_k, k = t mod d. The point is the four W, row by row.
struct Lstm {
  std::string name;
  double at_most;
  std::size_t d, n, T;
  std::vector<double> inputs = numbers(T * n, 11);  // T x n

  std::vector<double> point() const {
    return numbers(4 * d * (n + d + 1), 12, 1.5 / std::sqrt(static_cast<double>(n + d)));
  }

  template <class Number>
  Number operator()(std::span<const Number> w) const {
    std::vector<Number> h(d, Number(0.0)), c(d, Number(0.0)), h_next(d);
    Number loss(0.0);
    for (std::size_t t = 0; t < T; ++t) {
      for (std::size_t k = 0; k < d; ++k) {
        Number drive[4];
        for (std::size_t gate = 0; gate < 4; ++gate) {
          const Number* row = w.data() + (gate * d + k) * (n + d + 1);
          drive[gate] = row[n + d];
          for (std::size_t j = 0; j < n; ++j) drive[gate] += row[j] * inputs[t * n + j];
          for (std::size_t j = 0; j < d; ++j) drive[gate] += row[n + j] * h[j];
        }
        lstm_unit(drive[0], drive[1], drive[2], drive[3], c[k], h_next[k]);
      }
      std::swap(h, h_next);
      loss += cross_entropy(std::span<const Number>(h), t % d);
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
  // Two dimensions and five components, the least of ADBench's sizes; in ten, multiplications are most of the work.
  visit(Mixture{.name = "Gaussian mixture D=2", .at_most = 4.6, .K = 5, .D = 2, .N = 200});
  visit(Mixture{.name = "Gaussian mixture D=10", .at_most = 0, .K = 5, .D = 10, .N = 200});
  visit(ThinLstm{.name = "LSTM, two weights a gate", .at_most = 2.4, .d = 14, .T = 100});
  visit(Lstm{.name = "LSTM d=32, full matrices", .at_most = 0, .d = 32, .n = 4, .T = 100});
}

}  // namespace bench
