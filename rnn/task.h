// What networks are to learn, and networks to begin with, drawn from a seed: the same numbers on every machine.
#pragma once

#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <memory>
#include <numbers>
#include <vector>

#include "rnn/network.h"
#include "rnn/random.h"
#include "rnn/text.h"

namespace rnn {

/// A network before learning: W_rec orthogonal, W_in ~ N(0, 1/n), W_out ~ N(0, 1/d), b_rec = b_out = h_0 = 0 (Marschall,
/// Cho and Savin 2020). alpha = 1, tanh and squared loss unless changed.
inline Network<double> random_network(Eigen::Index n, Eigen::Index d, Eigen::Index m, Random& random) {
  Network<double> net;
  auto& theta = net.parameters;
  const Eigen::HouseholderQR<MatrixX<double>> qr(random.normal(d, d));
  theta.W_rec = qr.householderQ();
  for (Eigen::Index j = 0; j < d; ++j)  // with this sign every rotation is equally likely
    if (qr.matrixQR()(j, j) < 0) theta.W_rec.col(j) *= -1;
  theta.W_in = random.normal(d, n, 1 / std::sqrt(static_cast<double>(n)));
  theta.W_out = random.normal(m, d, 1 / std::sqrt(static_cast<double>(d)));
  theta.b_rec.setZero(d);
  theta.b_out.setZero(m);
  net.h_0.setZero(d);
  return net;
}

/// What a network is shown in one piece.
struct Piece {
  Sequence<double> sequence;
  Eigen::Index asked_from = 1;  // the first time whose output counts; before it nothing the network says costs
};

/// A task deals out its data piece by piece: episodes, each of them begun at h_0, or parts of one stream without an end.
class Task {
 public:
  virtual ~Task() = default;
  /// The next piece: an episode, of its own length, or so many steps more of the stream.
  virtual Piece next(Eigen::Index steps, Random& random) = 0;
  /// How well the last episode went, the mean loss a step that counted: a curriculum may go on.
  virtual void tell(double) {}
};

/// The lags of the Add task; each bit stays for `hold` steps, and lags count bits.
struct AddTask {
  Eigen::Index t1 = 6, t2 = 10, hold = 1;
};

/// The Add task (Marschall, Cho and Savin 2020): random bits x_t go in, p_t = 1/2 + x_{t-t1} / 2 - x_{t-t2} / 4 should come
/// out; two complementary channels each, [x_t, 1 - x_t] (n = 2) and [p_t, 1 - p_t] (m = 2), for Loss::softmax_ce. Bits
/// before t = 1 count as 0. Mean loss a step, remembering nothing: 0.6616; the first lag: 0.5192; both: 0.4545.
class Add final : public Task {
 public:
  /// Throws std::invalid_argument for a negative lag, or hold below 1.
  explicit Add(AddTask task = {}) : task_(task), bits_(static_cast<std::size_t>(std::max(task.t1, task.t2)) + 1) {
    if (task.t1 < 0 || task.t2 < 0 || task.hold < 1)
      throw std::invalid_argument("rnn::Add: a lag is negative, or hold is below 1");
  }
  Piece next(Eigen::Index steps, Random& random) override {
    Piece piece{{MatrixX<double>(2, steps), MatrixX<double>(2, steps)}};
    for (Eigen::Index t = 0; t < steps; ++t, ++step_) {
      if (step_ % task_.hold == 0) {
        bits_.pop_back();
        bits_.push_front(random.bit());
      }
      const auto bit = [&](Eigen::Index lag) { return bits_[static_cast<std::size_t>(lag)]; };
      const double p = 0.5 + 0.5 * bit(task_.t1) - 0.25 * bit(task_.t2);
      piece.sequence.x.col(t) << bit(0), 1 - bit(0);
      piece.sequence.target.col(t) << p, 1 - p;
    }
    return piece;
  }

 private:
  AddTask task_;
  std::deque<int> bits_;  // [lag]
  Eigen::Index step_ = 0;
};
/// The Add task's first steps.
inline Sequence<double> add_task(Eigen::Index length, Random& random, AddTask task = {}) {
  return Add(task).next(length, random).sequence;
}

/// Mimic (Marschall, Cho and Savin 2020): random bits go in (n), each held for `hold` steps, and the outputs of another
/// network with the same leak, which the first call draws, should come out (m = n = d = 32, biases ~ N(0, 0.01)), for
/// Loss::squared. The published losses are half the mean square: L_t / m.
class Mimic final : public Task {
 public:
  explicit Mimic(double alpha = 1, Eigen::Index hold = 1, Eigen::Index size = 32)
      : alpha_(alpha), hold_(hold), size_(size) {
    if (hold < 1) throw std::invalid_argument("rnn::Mimic: hold is below 1");
  }
  Piece next(Eigen::Index steps, Random& random) override {
    if (hidden_.d() == 0) {
      hidden_ = random_network(size_, size_, size_, random);
      hidden_.alpha = alpha_;
      hidden_.parameters.b_rec = random.normal(size_, 1, 0.1);
      hidden_.parameters.b_out = random.normal(size_, 1, 0.1);
      now_.h = hidden_.h_0;
    }
    Piece piece{{MatrixX<double>(size_, steps), MatrixX<double>(size_, steps)}};
    for (Eigen::Index t = 0; t < steps; ++t, ++step_) {
      if (step_ % hold_ == 0) x_ = VectorX<double>::NullaryExpr(size_, [&] { return random.bit(); });
      before_.swap(now_.h);
      step(hidden_, hidden_.parameters, before_, x_, now_);
      piece.sequence.x.col(t) = x_;
      piece.sequence.target.col(t) = output(hidden_.parameters, now_.h);
    }
    return piece;
  }

 private:
  double alpha_;
  Eigen::Index hold_, size_, step_ = 0;
  Network<double> hidden_;
  Step<double> now_;
  VectorX<double> before_, x_;
};

/// The flip-flop (Sussillo and Barak 2013, Neural Comput. 25:626): each of n = m channels gets 0, or, with probability
/// `flips`, 1 or -1; its output holds the last sign (0 before the first), for Loss::squared. Remembering nothing, the best
/// output is the input: mean loss a step n (1 - flips) / 2 in the long run.
class FlipFlop final : public Task {
 public:
  explicit FlipFlop(Eigen::Index channels = 3, double flips = 0.05)
      : flips_(flips), held_(VectorX<double>::Zero(channels)) {}
  Piece next(Eigen::Index steps, Random& random) override {
    Piece piece{{MatrixX<double>::Zero(held_.size(), steps), MatrixX<double>(held_.size(), steps)}};
    for (Eigen::Index t = 0; t < steps; ++t) {
      for (Eigen::Index k = 0; k < held_.size(); ++k)
        if (random.uniform() < flips_) piece.sequence.x(k, t) = held_(k) = random.sign();
      piece.sequence.target.col(t) = held_;
    }
    return piece;
  }

 private:
  double flips_;
  VectorX<double> held_;
};

/// The sine wave (after the code beside Marschall, Cho and Savin 2020): told a period, x = [1, -log period] (n = 2), the
/// network should go round a circle of radius 0.1 with it, y* = 0.1 [cos, sin] (m = 2); told nothing, x = [0, 0], stay at 0.
/// It switches with probability 1/100 a step, to one of the periods 8, 12, 16, for Loss::squared. Silence costs 0.005 a
/// step while it turns.
class Sine final : public Task {
 public:
  Piece next(Eigen::Index steps, Random& random) override {
    Piece piece{{MatrixX<double>::Zero(2, steps), MatrixX<double>::Zero(2, steps)}};
    for (Eigen::Index t = 0; t < steps; ++t, ++since_) {
      if (random.uniform() < 0.01) {
        period_ = period_ > 0 ? 0 : 8 + 4 * static_cast<int>(3 * random.uniform());
        since_ = 0;
      }
      if (period_ == 0) continue;
      const double angle = 2 * std::numbers::pi * since_ / period_;
      piece.sequence.x.col(t) << 1, -std::log(period_);
      piece.sequence.target.col(t) << 0.1 * std::cos(angle), 0.1 * std::sin(angle);
    }
    return piece;
  }

 private:
  int period_ = 0, since_ = 0;
};

/// The periodic output (Murray 2019, eLife 8:e43299): from a fixed h_0 alone (n = 1, x = 0) y*_t = sin a + sin(2a) / 2 + sin(4a) / 4,
/// a = 2 pi t / T, T = 100, m = 1, for Loss::squared. Silence costs 0.328 a step.
class Periodic final : public Task {
 public:
  explicit Periodic(Eigen::Index length = 100) : length_(length) {}
  Piece next(Eigen::Index, Random&) override {
    Piece piece{{MatrixX<double>::Zero(1, length_), MatrixX<double>(1, length_)}};
    for (Eigen::Index t = 0; t < length_; ++t) {
      const double a = 2 * std::numbers::pi * static_cast<double>(t + 1) / static_cast<double>(length_);
      piece.sequence.target(0, t) = std::sin(a) + std::sin(2 * a) / 2 + std::sin(4 * a) / 4;
    }
    return piece;
  }

 private:
  Eigen::Index length_;
};

/// The line (after Pemberton and Costa 2024, TMLR): one of `cues` random words of 10 bits is shown at t = 1 (n = 10), then
/// nothing; at t = T = 10, and only then, the output (m = 2) should be that cue's point on the unit circle, for
/// Loss::squared. The first call draws the cues. Staying at 0 costs 0.5 an episode.
class Line final : public Task {
 public:
  explicit Line(Eigen::Index length = 10, Eigen::Index cues = 10) : length_(length), cues_(10, cues) {}
  Piece next(Eigen::Index, Random& random) override {
    if (!drawn_) cues_ = cues_.NullaryExpr(10, cues_.cols(), [&] { return double(random.bit()); }), drawn_ = true;
    const auto which = static_cast<Eigen::Index>(static_cast<double>(cues_.cols()) * random.uniform());
    const double angle = 2 * std::numbers::pi * static_cast<double>(which) / static_cast<double>(cues_.cols());
    Piece piece{{MatrixX<double>::Zero(10, length_), MatrixX<double>::Zero(2, length_)}, length_};
    piece.sequence.x.col(0) = cues_.col(which);
    piece.sequence.target.col(length_ - 1) << std::cos(angle), std::sin(angle);
    return piece;
  }

 private:
  Eigen::Index length_;
  MatrixX<double> cues_;
  bool drawn_ = false;
};

/// Copy-repeat (Graves, Wayne and Danihelka 2014; Jaderberg et al. 2017): a start mark, N random words of 8 bits, a mark
/// that says how often, R, then the N words R times and a stop mark: (R + 1) N + 3 steps. n = 10: the bits, the start, R / 10
/// at its mark; m = 9: the bits, the stop; asked from the first word to repeat on; for Loss::sigmoid_ce. Curriculum: from
/// N = R = 1; each time the mean over 50 episodes is below 0.15 bits a step, N or R grows by one, in turn.
/// Knowing nothing of the bits costs 8 bits a step.
class CopyRepeat final : public Task {
 public:
  explicit CopyRepeat(Eigen::Index words = 1, Eigen::Index times = 1) : N_(words), R_(times) {}
  Piece next(Eigen::Index, Random& random) override {
    const Eigen::Index length = (R_ + 1) * N_ + 3;
    Piece piece{{MatrixX<double>::Zero(10, length), MatrixX<double>::Zero(9, length)}, N_ + 3};
    auto& [x, target] = piece.sequence;
    x(8, 0) = 1;
    for (Eigen::Index w = 0; w < N_; ++w)
      for (Eigen::Index k = 0; k < 8; ++k) {
        const double bit = random.bit();
        x(k, 1 + w) = bit;
        for (Eigen::Index r = 0; r < R_; ++r) target(k, N_ + 2 + r * N_ + w) = bit;
      }
    x(9, N_ + 1) = static_cast<double>(R_) / 10;
    target(8, length - 1) = 1;
    return piece;
  }
  void tell(double loss) override {
    sum_ += loss / std::numbers::ln2;
    if (++told_ < 50) return;
    if (sum_ / 50 < 0.15) ++(N_ > R_ ? R_ : N_);
    told_ = 0, sum_ = 0;
  }
  Eigen::Index words() const { return N_; }
  Eigen::Index times() const { return R_; }

 private:
  Eigen::Index N_, R_;
  int told_ = 0;
  double sum_ = 0;
};

/// Delayed copy (Hochreiter and Schmidhuber 1997; in this form Arjovsky, Shah and Bengio 2016): `length` letters out of 8,
/// `delay` blanks, the last of which is a mark, then the letters should come out, in order. One-hot: n = m = 10 (the letters,
/// blank, mark); asked at every step (blank until then), for Loss::softmax_ce; 2 length + delay steps. Blank until the mark
/// and knowing nothing afterwards costs length log 8 / (2 length + delay) a step.
class DelayedCopy final : public Task {
 public:
  explicit DelayedCopy(Eigen::Index length = 3, Eigen::Index delay = 5) : length_(length), delay_(delay) {
    if (length < 1 || delay < 1) throw std::invalid_argument("rnn::DelayedCopy: length and delay are 1 at least");
  }
  Piece next(Eigen::Index, Random& random) override {
    constexpr Eigen::Index blank = 8, mark = 9;
    const Eigen::Index steps = 2 * length_ + delay_, answer = length_ + delay_;
    Piece piece{{MatrixX<double>::Zero(10, steps), MatrixX<double>::Zero(10, steps)}};
    for (Eigen::Index t = 0; t < steps; ++t) {
      Eigen::Index shown = t == answer - 1 ? mark : blank;
      if (t < length_) {
        shown = static_cast<Eigen::Index>(8 * random.uniform());
        piece.sequence.target(shown, answer + t) = 1;
      }
      piece.sequence.x(shown, t) = 1;
      if (t < answer) piece.sequence.target(blank, t) = 1;
    }
    return piece;
  }

 private:
  Eigen::Index length_, delay_;
};

/// Mackey-Glass (Mackey and Glass 1977, Science 197:287): dx/dt = 0.2 x(t-17) / (1 + x(t-17)^10) - 0.1 x(t), ten Euler steps
/// a time unit, chaotic; goes in is x_t - 1, should come out x_{t+ahead} - 1, `ahead` = 15 time units LATER (n = m = 1), for
/// Loss::squared. The first call draws the past. Saying the mean always costs about 0.025 a step.
class MackeyGlass final : public Task {
 public:
  explicit MackeyGlass(Eigen::Index ahead = 15) : ahead_(ahead) {}
  Piece next(Eigen::Index steps, Random& random) override {
    if (past_.empty()) {
      for (int i = 0; i < 171; ++i) past_.push_back(1.2 + 0.2 * (random.uniform() - 0.5));
      for (int i = 0; i < 500; ++i) unit();
      for (Eigen::Index i = 0; i < ahead_; ++i) known_.push_back(unit());
    }
    Piece piece{{MatrixX<double>(1, steps), MatrixX<double>(1, steps)}};
    for (Eigen::Index t = 0; t < steps; ++t) {
      known_.push_back(unit());
      piece.sequence.x(0, t) = known_.front() - 1;
      piece.sequence.target(0, t) = known_.back() - 1;
      known_.pop_front();
    }
    return piece;
  }

 private:
  double unit() {
    for (int i = 0; i < 10; ++i) {
      const double late = past_.front(), squared = late * late, fourth = squared * squared;
      past_.push_back(past_.back() + 0.1 * (0.2 * late / (1 + fourth * fourth * squared) - 0.1 * past_.back()));
      past_.pop_front();
    }
    return past_.back();
  }
  Eigen::Index ahead_;
  std::deque<double> past_;   // 17 time units, ten values each, and now
  std::deque<double> known_;  // x_t .. x_{t + ahead - 1}
};

/// Characters: the next letter of text.h's sonnet, said over and over; one-hot over its letters (n = m), for
/// Loss::softmax_ce. Knowing only how frequent each letter is costs 2.94 a step.
class Characters final : public Task {
 public:
  Characters() : alphabet_(sonnet) {
    std::sort(alphabet_.begin(), alphabet_.end());
    alphabet_.erase(std::unique(alphabet_.begin(), alphabet_.end()), alphabet_.end());
  }
  const std::string& alphabet() const { return alphabet_; }
  Piece next(Eigen::Index steps, Random&) override {
    const auto size = static_cast<Eigen::Index>(alphabet_.size());
    Piece piece{{MatrixX<double>::Zero(size, steps), MatrixX<double>::Zero(size, steps)}};
    const auto place = [&](std::size_t i) {
      return static_cast<Eigen::Index>(alphabet_.find(sonnet[i % sonnet.size()]));
    };
    for (Eigen::Index t = 0; t < steps; ++t, ++at_) {
      piece.sequence.x(place(at_), t) = 1;
      piece.sequence.target(place(at_ + 1), t) = 1;
    }
    return piece;
  }

 private:
  std::string alphabet_;
  std::size_t at_ = 0;
};

/// A task by name, with the network and the training it is usually met with.
struct TaskFacts {
  std::string_view name, purpose, source;
  Eigen::Index n, m, d;  // inputs, outputs, units
  Loss loss;
  double alpha;
  bool episodes;        // each piece begins at h_0; else all are one stream
  Eigen::Index length;  // of an episode, or the first ones; of a stream: steps whose credit is still felt
  std::string_view optimizer;
  double rate;
  double gain;     // W_rec ~ N(0, gain^2 / d) before learning; 0: orthogonal
  double readout;  // W_out ~ N(0, readout^2 / d)
  std::unique_ptr<Task> (*make)(double alpha);
};

inline constexpr auto tasks = std::to_array<TaskFacts>({
    {"add", "add two bits of the past", "Marschall, Cho and Savin 2020", 2, 2, 32, Loss::softmax_ce, 1, false, 14,
     "sgd", 1e-3, 0, 1,
     [](double alpha) -> std::unique_ptr<Task> {
       return std::make_unique<Add>(alpha == 1 ? AddTask{} : AddTask{.t1 = 5, .t2 = 7, .hold = 2});
     }},
    {"mimic", "do as another network does", "Marschall, Cho and Savin 2020", 32, 32, 32, Loss::squared, 1, false, 14,
     "sgd", 1e-3, 0, 1,
     [](double alpha) -> std::unique_ptr<Task> { return std::make_unique<Mimic>(alpha, alpha == 1 ? 1 : 2); }},
    {"flip-flop", "hold the last sign of each channel", "Sussillo and Barak 2013", 3, 3, 32, Loss::squared, 1, false,
     20, "sgd", 1e-3, 0, 1, [](double) -> std::unique_ptr<Task> { return std::make_unique<FlipFlop>(); }},
    {"sine", "turn round with the period asked for", "after Marschall, Cho and Savin 2020", 2, 2, 32, Loss::squared,
     0.5, false, 20, "sgd", 1e-2, 0, 1, [](double) -> std::unique_ptr<Task> { return std::make_unique<Sine>(); }},
    {"periodic", "three sines from the start state alone", "Murray 2019", 1, 1, 50, Loss::squared, 0.1, true, 100,
     "sgd", 3e-4, 1.5, 0.058, [](double) -> std::unique_ptr<Task> { return std::make_unique<Periodic>(); }},
    {"line", "a point on the circle, nine steps after its cue", "after Pemberton and Costa 2024", 10, 2, 30,
     Loss::squared, 1, true, 10, "adam", 1e-3, 0, 1,
     [](double) -> std::unique_ptr<Task> { return std::make_unique<Line>(); }},
    {"copy-repeat", "words of eight bits, said again", "Graves, Wayne and Danihelka 2014", 10, 9, 100, Loss::sigmoid_ce,
     1, true, 5, "adam", 1e-3, 0, 1, [](double) -> std::unique_ptr<Task> { return std::make_unique<CopyRepeat>(); }},
    {"delayed-copy", "letters, said again after a pause", "Arjovsky, Shah and Bengio 2016", 10, 10, 64,
     Loss::softmax_ce, 1, true, 11, "adam", 1e-3, 0, 1,
     [](double) -> std::unique_ptr<Task> { return std::make_unique<DelayedCopy>(); }},
    {"mackey-glass", "a chaotic series, 15 steps ahead", "Mackey and Glass 1977", 1, 1, 50, Loss::squared, 0.5, false,
     20, "sgd", 1e-2, 0, 1, [](double) -> std::unique_ptr<Task> { return std::make_unique<MackeyGlass>(); }},
    {"characters", "the next letter of a sonnet", "Shakespeare 1609", 30, 30, 64, Loss::softmax_ce, 1, false, 20,
     "adam", 1e-3, 0, 1, [](double) -> std::unique_ptr<Task> { return std::make_unique<Characters>(); }},
});

/// The row of this name. Throws std::invalid_argument, naming all, for another.
inline const TaskFacts& task(std::string_view name) {
  std::string all;
  for (const TaskFacts& facts : tasks) {
    if (facts.name == name) return facts;
    all += (all.empty() ? "" : ", ") + std::string(facts.name);
  }
  throw std::invalid_argument("there is no task \"" + std::string(name) + "\"; the tasks are " + all);
}

}  // namespace rnn
