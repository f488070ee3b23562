// Trains a network by several learning rules on the same data from the same weights, and measures how each fares.
#include "tutorials/program/comparison.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>

#include "ad/parallel.h"
#include "rnn/alignment.h"
#include "tutorials/program/all_rules.h"

namespace tutorials {
namespace {

using Eigen::Index;
using rnn::MatrixX, rnn::VectorX;
using rules::Facing, rules::Gradient;
using Rule = rules::AnyRule<double>;

const rules::Facts& facts_of(const std::string& id) {
  std::string all;
  for (const rules::Facts& facts : rules::registry) {
    if (facts.id == id) return facts;
    all += (all.empty() ? "" : ", ") + std::string(facts.id);
  }
  throw std::invalid_argument(fmt::format("there is no rule \"{}\"; the rules are {}", id, all));
}

/// Seconds this thread has computed so far: other programs do not count.
double seconds_of_this_thread() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// When a rule says what, as far as comparing its words with the exact gradient needs it.
struct Manner {
  bool ends = false;    // it must see a sequence's end: a stream is cut into blocks for it
  Index period = 1;     // what it releases is complete after every so many steps
  bool by_step = true;  // what it releases belongs to one time, else only sums can be compared
  Index delay = 0;      // what it releases at t belongs to t - delay
};
Manner manner(const std::string& id, const Comparison& s) {
  Manner m;
  const rules::Facts& facts = facts_of(id);
  m.ends = facts.memory.find("T (") != facts.memory.npos || id == "forward-gradient";
  if (m.ends && !s.task->episodes) m.period = s.block;
  if (id == "e-bptt") m.period = s.truncation;
  if (id == "hybrid") m.period = s.units;
  if (id == "f-bptt") m.delay = s.truncation - 1;
  m.by_step = facts.facing != Facing::neither && id != "hybrid" && id != "bptt";
  return m;
}

/// The cosines of two gradients, block by block; NaN where one of them is zero.
double cosine(double product, double a, double b) { return a > 0 && b > 0 ? product / std::sqrt(a * b) : unknown; }
template <class A, class B>
double cosine(const A& a, const B& b) {
  return cosine(a.cwiseProduct(b).sum(), a.squaredNorm(), b.squaredNorm());
}
Alignment alignment(const Gradient<double>& got, const Gradient<double>& exact) {
  if (got.size() == 0) return {};
  const Index d = got.rows(), n = got.cols() - d - 1;
  return {cosine(got.leftCols(d), exact.leftCols(d)), cosine(got.middleCols(d, n), exact.middleCols(d, n)),
          cosine(got.rightCols(1), exact.rightCols(1)), cosine(got, exact)};
}

/// The mean of numbers of which some may be missing.
struct Average {
  double sum = 0;
  int count = 0;
  void add(double x) {
    if (std::isfinite(x)) sum += x, ++count;
  }
  double value() const { return count > 0 ? sum / count : unknown; }
};
struct AlignmentAverage {
  Average W_rec, W_in, b_rec, all;
  void add(const Alignment& a) { W_rec.add(a.W_rec), W_in.add(a.W_in), b_rec.add(a.b_rec), all.add(a.all); }
  Alignment value() const { return {W_rec.value(), W_in.value(), b_rec.value(), all.value()}; }
};

/// The rule that trains, and beside it, for a stretch of steps at a time, the exact gradient, with errors that come back
/// through W_out^T whatever the rule is told: RTRL by hand for dL_t/dtheta, BPTT by hand for dL/dtheta_s. The first
/// `before` steps of a stretch let RTRL's P fill; the last `after` ones let the credit of the steps in between come back to
/// them.
class Watched {
 public:
  const Facing facing;

  /// `feedback`: B of the rule that is measured; empty for W_out.
  Watched(Rule& trains, Rule& measured, const rnn::Network<double>& net, const MatrixX<double>& feedback,
          const Manner& manner)
      : facing(trains.facing),
        trains_(trains),
        measured_(measured),
        net_(net),
        feedback_(feedback),
        manner_(manner),
        rtrl_(net),
        bptt_(net),
        future_(measured.facing == Facing::future) {}

  void reset() {
    trains_.reset();
    if (beside()) measured_.reset();
  }
  const Gradient<double>& observe(const rnn::Transition<double>& t) {
    const Gradient<double>& trained = trains_.observe(t);
    if (!beside()) {
      if (watching_) watch(t, trained);
      return trained;
    }
    const bool last = t.last || (manner_.ends && ++seen_ % manner_.period == 0);
    const Gradient<double>& released =
        measured_.observe(with_credit(t, feedback_.size() == 0 ? net_.parameters.W_out : feedback_, last));
    if (watching_) watch(t, released);
    if (last && !t.last) end_measured();
    return trained;
  }
  const Gradient<double>& finish() {
    const Gradient<double>& trained = trains_.finish();
    if (!beside() && watching_) collect(trained);
    if (beside()) end_measured();
    return trained;
  }

  void begin(Index before, Index length) {
    watching_ = true;
    before_ = before, length_ = length, now_ = 0;
    rtrl_.reset(), bptt_.reset();
    got_.clear();
    sum_.resize(0, 0), exact_.resize(0, 0);
    mean_ = {};
  }
  bool watching() const { return watching_; }
  /// The stretch has been seen: what came of it.
  void end(Course& course, long at) {
    if (future_) {
      bptt_.finish();
      for (Index s = before_ + 1; s <= before_ + length_; ++s) {
        const Gradient<double> exact = bptt_.at(s);
        grow(exact_, exact);
        if (const auto& got = got_[static_cast<std::size_t>(s - before_ - 1)]; got.size() != 0) {
          mean_.add(alignment(got, exact));
          if (manner_.delay > 0) grow(sum_, got);
        }
      }
    }
    course.at.push_back(at);
    course.step.push_back(mean_.value());
    course.sum.push_back(alignment(sum_, exact_));
    watching_ = false;
  }

 private:
  static void grow(Gradient<double>& sum, const Gradient<double>& by) {
    if (by.size() == 0) return;
    if (sum.size() == 0)
      sum = by;
    else
      sum += by;
  }
  /// The same transition, with q_t = B^T e_t.
  rnn::Transition<double> with_credit(const rnn::Transition<double>& t, const MatrixX<double>& B, bool last) {
    credit_.noalias() = B.transpose() * t.output_error;
    return {t.h_before, t.x, t.u, t.h, t.slope, t.W_rec, t.alpha, credit_, t.output_error, t.target, last, t.asked};
  }
  bool beside() const { return &measured_ != &trains_; }
  void end_measured() {
    const Gradient<double>& rest = measured_.finish();
    if (watching_) collect(rest);
    measured_.reset();
  }
  /// Whether what is released now counts in the sums.
  bool inside() const { return now_ > before_ && now_ <= before_ + length_; }
  void collect(const Gradient<double>& released) {
    if (inside() && (!future_ || manner_.delay == 0)) grow(sum_, released);
  }
  void watch(const rnn::Transition<double>& t, const Gradient<double>& released) {
    ++now_;
    collect(released);
    if (future_) {
      bptt_.observe(with_credit(t, net_.parameters.W_out, t.last));
      got_.resize(static_cast<std::size_t>(length_));
      const Index s = now_ - manner_.delay;
      if (manner_.by_step && s > before_ && s <= before_ + length_)
        got_[static_cast<std::size_t>(s - before_ - 1)] = released;
      return;
    }
    const Gradient<double>& exact = rtrl_.observe(with_credit(t, net_.parameters.W_out, t.last));
    if (!inside()) return;
    grow(exact_, exact);
    if (manner_.by_step && released.size() != 0) mean_.add(alignment(released, exact));
  }

  Rule &trains_, &measured_;
  const rnn::Network<double>& net_;
  const MatrixX<double>& feedback_;
  VectorX<double> credit_;
  Manner manner_;
  rules::Rtrl<double> rtrl_;
  rules::Bptt<double> bptt_;
  bool future_, watching_ = false;
  Index before_ = 0, length_ = 0, now_ = 0;  // of the stretch
  Index seen_ = 0;                           // steps of the run
  std::vector<Gradient<double>> got_;        // [s - before - 1], rules that face the future
  Gradient<double> sum_, exact_;
  AlignmentAverage mean_;
};

/// What a rule is told; `seed` draws its noise.
rnn::Options options_for(const std::string& id, const Comparison& s, const MatrixX<double>& feedback, int seed) {
  rnn::Options o;
  o.truncation = s.truncation;
  o.draws = rnn::Draws(static_cast<std::uint64_t>(1'000'000 + seed));
  o.feedback = feedback;
  const bool stream = !s.task->episodes, fast = s.task->name == "add" && s.alpha == 1;
  // The rates of the code beside Marschall, Cho and Savin 2020, whose tasks Add and Mimic are.
  if (id == "dni" || id == "dni-b") o.lr = fast ? 0.05 : 0.001;
  if (id == "dni-b") o.J_lr = fast ? 0.01 : 0.001;
  // Where no sequence ends, the trace of the noise must fade.
  if (stream && (id == "node-perturbation" || id == "weight-perturbation")) o.lambda = 0.9;
  return o;
}

/// What is the same for every rule with the same seed.
struct Start {
  rnn::Network<double> net;
  MatrixX<double> B;  // m x d, N(0, 1/m)

  Start(const Comparison& s, int seed) {
    rnn::Random random(static_cast<std::uint64_t>(2 * seed));
    net = rnn::random_network(s.task->n, s.units, s.task->m, random);
    if (s.gain > 0)
      net.parameters.W_rec = random.normal(s.units, s.units, s.gain / std::sqrt(static_cast<double>(s.units)));
    net.parameters.W_out *= s.readout;
    net.alpha = s.alpha;
    net.loss = s.task->loss;
    B = random.normal(s.task->m, s.units, 1 / std::sqrt(static_cast<double>(s.task->m)));
    if (s.task->name == "periodic") net.h_0 = random.normal(s.units, 1);  // nothing else starts this network
  }
  MatrixX<double> feedback(const std::string& id, const Comparison& s) const {
    return s.random_feedback || id == "dni-b" ? B : MatrixX<double>();
  }
};

rnn::Random data_of(int seed) { return rnn::Random(static_cast<std::uint64_t>(2 * seed + 1)); }

/// What is left of a run: the network where it stopped, what comes next, and what its rule makes of that.
struct End {
  rnn::Network<double> net;
  rnn::Piece next;
  MatrixX<double> credit;     // of a rule that predicts; the others' is made from the network
  VectorX<double> predicted;  // of a rule that predicts
};

/// How much of a sequence a credit matrix shows: long enough to see where a truncation cuts.
Index shown(const Comparison& s, const rnn::Sequence<double>& sequence) {
  return std::min<Index>({s.units > 40 ? 10 : s.truncation + 4, 20, sequence.length()});
}
bool predicts(const std::string& id) {
  const rules::Facts& facts = facts_of(id);
  return facts.facing == Facing::future && facts.form == rules::Form::numerical;
}
/// A rule that predicts sees no later loss by itself. Its credit is what it learned to say at each s, and, of bp-lambda,
/// the loss of that very step.
void show_prediction(const std::string& id, Rule& rule, const Comparison& s, const MatrixX<double>& feedback,
                     End& end) {
  const auto& [x, target] = end.next.sequence;
  const Index length = shown(s, end.next.sequence), k = end.net.d() + end.net.n();
  const auto own = rules::make_rule("e-bptt", end.net, rnn::Options{.truncation = 1});  // diag(q_s) M_s
  rules::Loop<double> loop(end.net, feedback), beside(end.net, feedback);
  rule.reset(), own->reset();
  end.credit.setZero(length, length), end.predicted.setZero(length);
  for (Index t = 0; t < length; ++t) {
    const bool asked = t + 1 >= end.next.asked_from, last = s.task->episodes && t + 1 == x.cols();
    MatrixX<double> g = loop.advance(rule, x.col(t), target.col(t), last, asked).leftCols(k);
    if (id == "bp-lambda") {
      const MatrixX<double> now = beside.advance(*own, x.col(t), target.col(t), last, asked).leftCols(k);
      end.credit(t, t) = now.norm();
      g -= now;
    }
    end.predicted(t) = g.norm();
  }
}

/// One rule with one seed. `more` is told how many steps were done.
End run(const std::string& id, const Comparison& s, int seed, Course& course, const std::function<void(Index)>& more,
        const std::atomic<bool>& stop) {
  const Start start(s, seed);
  rnn::Network<double> net = start.net;
  const std::string& teacher = s.along.empty() ? id : s.along;
  const MatrixX<double> feedback = start.feedback(teacher, s), own_feedback = start.feedback(id, s);
  const auto trains = rules::make_rule(teacher, net, options_for(teacher, s, feedback, seed));
  const auto other = id == teacher ? nullptr : rules::make_rule(id, net, options_for(id, s, own_feedback, seed));
  const Manner manner = tutorials::manner(id, s), teaching = tutorials::manner(teacher, s);
  Watched watched(*trains, other ? *other : *trains, net, own_feedback, manner);
  rules::Training<Watched> training(net, watched, rnn::make_optimizer(s.optimizer, s.rate), feedback,
                                    s.each_sequence ? rules::Moves::every_sequence : rules::Moves::every_step);
  const auto task = s.task->make(s.alpha);
  rnn::Random random = data_of(seed);
  const bool episodes = s.task->episodes, ends = teaching.ends || s.each_sequence;

  // A stretch on a stream: credit passes from one step to the next for some lengths of the task; whole periods.
  const Index reach = std::max<Index>(50, 4 * s.task->length), period = std::max(manner.period, teaching.period);
  const Index watched_steps = period * ((19 + period) / period);
  const bool future = facts_of(id).facing == Facing::future;
  const long every = s.points > 0 ? std::max<long>(s.steps / s.points, 1) : s.steps + 1;
  long next_look = s.points > 0 ? std::min<long>(every / 2, 500) : s.steps + 1;

  std::vector<double> sums(100, 0), tail;
  std::vector<long> counts(100, 0);
  double seconds = 0;
  long timed = 0;
  // `from` is the time of the piece's first step; the loss counts the steps that are asked.
  const auto train = [&](const rnn::Piece& piece, bool begins) {
    const auto& [x, target] = piece.sequence;
    if (begins) training.restart();
    const double clock = seconds_of_this_thread();
    const bool looking = watched.watching();
    double sum = 0;
    for (Index t = 1; t <= x.cols(); ++t) {
      const bool last = episodes ? t == x.cols() : ends && (course.done + t) % s.block == 0;
      const double loss = training.step(x.col(t - 1), target.col(t - 1), last, t >= piece.asked_from);
      sum += loss;
      const auto bin = static_cast<std::size_t>(std::min<long>(99, 100 * (course.done + t - 1) / s.steps));
      if (t >= piece.asked_from) sums[bin] += loss, ++counts[bin], tail.push_back(loss);
    }
    if (!looking) {
      seconds += seconds_of_this_thread() - clock;
      timed += x.cols();
    }
    course.done += x.cols();
    more(x.cols());
    if (episodes) task->tell(sum / static_cast<double>(x.cols() - piece.asked_from + 1));
    course.diverged = !std::isfinite(sum);
  };
  const auto going = [&] { return course.done < s.steps && !stop && !course.diverged; };
  while (going()) {
    const bool look = course.done >= next_look;
    if (look) next_look += every;
    if (episodes) {
      const rnn::Piece piece = task->next(0, random);
      if (look) watched.begin(0, piece.sequence.length());
      train(piece, true);
      if (look && !course.diverged) watched.end(course, course.done);
      continue;
    }
    if (!look) {
      train(
          task->next(std::min<long>({500, s.steps - course.done, std::max<long>(1, next_look - course.done)}), random),
          false);
      continue;
    }
    const Index to_start = (period - (course.done + reach) % period) % period + reach;  // whole periods are watched
    const Index after = future ? std::max(reach, manner.delay) : 0;
    if (course.done + to_start + watched_steps + after > s.steps) {
      next_look = s.steps + 1;
      continue;
    }
    watched.begin(to_start, watched_steps);
    train(task->next(to_start + watched_steps + after, random), false);
    if (!course.diverged) watched.end(course, course.done - after);
  }

  for (std::size_t bin = 0; bin < 100 && counts[bin] > 0; ++bin)
    course.losses.push_back(sums[bin] / static_cast<double>(counts[bin]));
  const std::size_t tenth = std::max<std::size_t>(1, tail.size() / 10);
  if (!tail.empty() && !course.diverged) {
    course.last = 0;
    for (std::size_t i = tail.size() - tenth; i < tail.size(); ++i) course.last += tail[i] / static_cast<double>(tenth);
  }
  if (timed > 0) course.seconds_a_step = seconds / static_cast<double>(timed);
  if (feedback.size() != 0) course.feedback = cosine(feedback, net.parameters.W_out);
  if (!episodes) net.h_0 = training.loop().h();
  End end{net, task->next(2 * s.task->length, random), {}, {}};
  if (predicts(id) && !course.diverged && !stop) show_prediction(id, other ? *other : *trains, s, own_feedback, end);
  return end;
}

/// How far one sample of a stochastic rule is from its mean, over the exact gradient's norm, at fixed weights.
double deviation(const std::string& id, const Comparison& s, const End& end, const MatrixX<double>& feedback) {
  constexpr int samples = 64;
  const auto& sequence = end.next.sequence;
  rules::Bptt<double> bptt(end.net);
  const double exact = recurrent(rules::learn(bptt, end.net, sequence).gradient).norm();
  MatrixX<double> sum;
  double squares = 0;
  rnn::Options options = options_for(id, s, feedback, 0);
  options.lambda.reset();
  for (int i = 0; i < samples; ++i) {
    options.draws = rnn::Draws(static_cast<std::uint64_t>(3'000'000 + i));
    const auto rule = rules::make_rule(id, end.net, options);
    const MatrixX<double> g = recurrent(rules::learn(*rule, end.net, sequence, false, feedback).gradient);
    sum = i == 0 ? g : MatrixX<double>(sum + g);
    squares += g.squaredNorm();
  }
  return std::sqrt(std::max(0.0, squares - sum.squaredNorm() / samples) / (samples - 1)) / exact;
}

/// The blocks dL_t/dtheta_s as the rule has them, by W_rec and W_in: only the error of time t is shown to it, and only the
/// presynaptic activity of time s, in which it is linear. Where a rule feels the losses by noise on its units, only the loss
/// of time t is asked for, and x, which its noisy copy needs, is left alone: these blocks are by W_rec.
MatrixX<double> credit(const std::string& id, const Comparison& s, const End& end, const MatrixX<double>& feedback) {
  const auto& sequence = end.next.sequence;
  const auto& net = end.net;
  const bool feels = id == "node-perturbation" || id == "activity-perturbation";
  const Index d = net.d(), k = feels ? d : d + net.n(), length = shown(s, sequence);
  const rnn::Run<double> r = rnn::run(net, sequence);
  rnn::Options options = options_for(id, s, feedback, 0);
  if (id == "kernl") options.lr = 0;  // its kernel as it starts
  const MatrixX<double>& back = feedback.size() != 0 ? feedback : net.parameters.W_out;
  MatrixX<double> sizes = MatrixX<double>::Zero(length, length);
  for (Index t = 0; t < length; ++t)
    for (Index from = 0; from < (feels ? length : t + 1); ++from) {  // noise may be credited with losses before it
      const auto rule = rules::make_rule(id, net, options);
      rule->reset();
      MatrixX<double> sum = MatrixX<double>::Zero(d, k);
      const auto take = [&](const Gradient<double>& g) {
        if (g.size() != 0) sum += g.leftCols(k);
      };
      for (Index now = 0; now < length; ++now) {
        const VectorX<double> u = r.u.col(now), f = u.unaryExpr([&](double x) { return activate(net.activation, x); });
        const VectorX<double> slope = rules::slope(net.activation, net.alpha, u, f), target = sequence.target.col(now);
        VectorX<double> h_before = r.h.col(now), x = sequence.x.col(now), v = r.v.col(now);
        VectorX<double> e = rules::output_error(net.loss, v, target);
        if (now != from) h_before.setZero();
        if (now != from && !feels) x.setZero();
        const bool asked = now == t && t + 1 >= end.next.asked_from;
        if (!asked) e.setZero();
        const VectorX<double> q = back.transpose() * e, h = r.h.col(now + 1);
        take(rule->observe(
            {h_before, x, u, h, slope, net.parameters.W_rec, net.alpha, q, e, target, now + 1 == length, asked}));
      }
      take(rule->finish());
      sizes(t, from) = sum.norm();
    }
  return sizes;
}

/// Why a rule has no credit matrix; empty if it has one.
std::string why_no_credit(const std::string& id) {
  if (id == "readout") return "it gives no credit to the recurrent weights";
  if (id == "weight-perturbation") return "it tries the weights themselves, not their single uses";
  return "";
}

}  // namespace

Comparison Comparison::complete() const {
  Comparison s = *this;
  if (s.units == 0) s.units = s.task->d;
  if (std::isnan(s.alpha)) s.alpha = s.task->alpha;
  if (std::isnan(s.rate)) s.rate = s.task->rate;
  if (s.optimizer.empty()) s.optimizer = s.task->optimizer;
  if (std::isnan(s.gain)) s.gain = s.task->gain;
  if (std::isnan(s.readout)) s.readout = s.task->readout;
  if (s.truncation == 0) s.truncation = s.task->length;
  if (s.threads == 0) s.threads = std::max(1U, std::thread::hardware_concurrency());
  if (s.rules.empty()) throw std::invalid_argument("compare: no rules are given");
  for (const std::string& id : s.rules) facts_of(id);
  if (!s.along.empty()) facts_of(s.along);
  rnn::make_optimizer(s.optimizer, s.rate);
  if (s.steps < 1 || s.seeds < 1 || s.units < 1 || s.truncation < 1 || s.block < 1 || s.points < 0)
    throw std::invalid_argument("compare: steps, seeds, units, truncation and block are 1 at least");
  if (!(s.alpha > 0 && s.alpha <= 1))
    throw std::invalid_argument(fmt::format("compare: alpha is {}, but must be above 0 and at most 1", s.alpha));
  if (s.gain < 0 || s.readout < 0)
    throw std::invalid_argument(
        fmt::format("compare: gain is {} and readout {}, but neither may be below 0", s.gain, s.readout));
  return s;
}

Mean mean(const std::vector<double>& numbers) {
  Average average;
  for (const double x : numbers) average.add(x);
  Mean m{average.value(), unknown};
  if (average.count < 2) return m;
  double squares = 0;
  for (const double x : numbers)
    if (std::isfinite(x)) squares += (x - m.mean) * (x - m.mean);
  m.error = std::sqrt(squares / (average.count - 1) / average.count);
  return m;
}
Mean last_loss(const Compared& compared) {
  std::vector<double> all;
  for (const Course& c : compared.courses) all.push_back(c.diverged ? unknown : c.last);
  return mean(all);
}
double median(const Compared& compared, double Course::*which) {
  std::vector<double> all;
  for (const Course& c : compared.courses)
    if (std::isfinite(c.*which)) all.push_back(c.*which);
  if (all.empty()) return unknown;
  std::sort(all.begin(), all.end());
  return (all[(all.size() - 1) / 2] + all[all.size() / 2]) / 2;
}
Alignment mean(const std::vector<Course>& courses, std::vector<Alignment> Course::*which) {
  AlignmentAverage average;
  for (const Course& c : courses)
    for (const Alignment& a : c.*which) average.add(a);
  return average.value();
}

double loss_unit(const rnn::TaskFacts& task) {
  return task.loss == rnn::Loss::squared ? static_cast<double>(task.m) : 1;
}

std::vector<Compared> compare(const Comparison& given, const std::function<void(double)>& progress,
                              const std::atomic<bool>& stop) {
  const Comparison s = given.complete();
  const auto seeds = static_cast<std::size_t>(s.seeds);
  std::vector<Compared> all;
  for (const std::string& id : s.rules) all.push_back({id, std::vector<Course>(seeds), {}, {}, why_no_credit(id)});

  std::mutex one_at_a_time;
  const double total = static_cast<double>(s.steps) * static_cast<double>(s.rules.size() * seeds);
  double done = 0;
  ad::Pool pool(static_cast<unsigned>(std::min<std::size_t>(s.threads, s.rules.size() * seeds)));
  pool.run(s.rules.size() * seeds, [&](std::size_t i) {
    if (stop) return;
    Compared& compared = all[i % s.rules.size()];
    const std::size_t which = i / s.rules.size();
    const int seed = s.first_seed + static_cast<int>(which);
    const End end = run(
        compared.rule, s, seed, compared.courses[which],
        [&](Index steps) {
          const std::lock_guard lock(one_at_a_time);
          done += static_cast<double>(steps);
          if (progress) progress(std::min(1.0, done / total));
        },
        stop);
    if (compared.courses[which].diverged || stop) return;
    const MatrixX<double> feedback = Start(s, seed).feedback(compared.rule, s);
    if (facts_of(compared.rule).randomness == rules::Randomness::stochastic)
      compared.courses[which].noise = deviation(compared.rule, s, end, feedback);
    if (which != 0 || !compared.no_credit.empty()) return;
    compared.credit = predicts(compared.rule) ? end.credit : credit(compared.rule, s, end, feedback);
    compared.predicted = end.predicted;
  });
  return all;
}

}  // namespace tutorials
