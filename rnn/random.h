// Random numbers that repeat: drawn from a seed, the same on every machine, or read back from a record of an earlier run.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rnn/network.h"

namespace rnn {

/// Random numbers from a seed. (The distributions of the standard library differ from one library to the next.)
class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}

  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
  /// Normal with mean 0 and variance 1 (Box and Muller 1958).
  double normal() {
    const double r = std::sqrt(-2 * std::log(1 - uniform()));
    return r * std::cos(2 * std::numbers::pi * uniform());
  }
  /// 0 or 1, each with probability 1/2.
  int bit() { return static_cast<int>(bits_() >> 63); }
  /// 1 or -1, each with probability 1/2.
  double sign() { return 2 * bit() - 1; }
  MatrixX<double> normal(Eigen::Index rows, Eigen::Index cols, double deviation = 1) {
    return MatrixX<double>::NullaryExpr(rows, cols, [&] { return deviation * normal(); });
  }

 private:
  std::mt19937_64 bits_;
};

/// The draws of a learning rule, step by step. A record has one entry a step, the numbers in the order the rule draws them.
class Draws {
 public:
  Draws() = default;
  explicit Draws(std::uint64_t seed) : random_(seed) {}
  /// Numbers drawn before, one entry a step. No generator is used.
  explicit Draws(std::vector<std::vector<double>> recorded) : recorded_(std::move(recorded)), replays_(true) {}

  /// A step begins. Throws std::invalid_argument if the last entry held more numbers than were drawn. A record may end
  /// when nothing more is drawn.
  void next_step() {
    if (!replays_) return;
    if (step_ > 0 && step_ <= recorded_.size() && used_ != entry().size())
      fail("has " + std::to_string(entry().size()) + " numbers, but the rule draws " + std::to_string(used_));
    ++step_, used_ = 0;
  }
  /// The next number: normal with mean 0 and variance 1, or 1 or -1. Throws std::invalid_argument if a record does not
  /// hold it.
  double normal() { return replays_ ? next() : random_.normal(); }
  double sign() {
    if (!replays_) return random_.sign();
    const double s = next();
    if (s != 1 && s != -1) fail("holds " + std::to_string(s) + " where the rule draws 1 or -1");
    return s;
  }
  /// The noise that a rule adds to its network: normal with this deviation. A record holds it as it was added.
  double noise(double deviation) { return replays_ ? next() : deviation * random_.normal(); }
  VectorX<double> normals(Eigen::Index count) {
    return VectorX<double>::NullaryExpr(count, [&] { return normal(); });
  }
  VectorX<double> signs(Eigen::Index count) {
    return VectorX<double>::NullaryExpr(count, [&] { return sign(); });
  }

 private:
  const std::vector<double>& entry() const { return recorded_[step_ - 1]; }
  double next() {
    if (step_ == 0) throw std::logic_error("rnn::Draws: a number is drawn before the first next_step()");
    if (step_ > recorded_.size())
      throw std::invalid_argument("draws: there are " + std::to_string(recorded_.size()) +
                                  " entries, but the rule draws at step " + std::to_string(step_));
    if (used_ == entry().size()) fail("has " + std::to_string(entry().size()) + " numbers, but the rule draws more");
    return entry()[used_++];
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument("draws: entry " + std::to_string(step_) + " " + what);
  }

  Random random_{0};
  std::vector<std::vector<double>> recorded_;
  std::size_t step_ = 0, used_ = 0;
  bool replays_ = false;
};

}  // namespace rnn
