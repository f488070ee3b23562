// What networks are to learn: every task by its own words, its floors, the same numbers from the same seed.
#include "rnn/task.h"

#include <boost/test/unit_test.hpp>
#include <map>
#include <set>

namespace {

using Eigen::Index;
using rnn::MatrixX, rnn::Random;

/// The mean of 1/2 sum_k (y*_k)^2, what silence costs.
double silence(const MatrixX<double>& target) { return target.squaredNorm() / 2 / static_cast<double>(target.cols()); }

}  // namespace

// Orthogonal, W_in ~ N(0, 1/n), W_out ~ N(0, 1/d): 400 numbers each, so a deviation is known to 4 %. A rotation drawn
// without favour has a first entry of either sign.
BOOST_AUTO_TEST_CASE(a_network_begins_as_its_docstring_says) {
  Random random(3);
  const auto net = rnn::random_network(20, 20, 20, random), wide = rnn::random_network(4, 100, 4, random);
  const auto& W = net.parameters.W_rec;
  BOOST_TEST((W * W.transpose() - MatrixX<double>::Identity(20, 20)).norm() < 1e-13);
  const auto deviation = [](const MatrixX<double>& m) { return m.norm() / std::sqrt(static_cast<double>(m.size())); };
  BOOST_TEST(std::abs(deviation(wide.parameters.W_in) - 0.5) < 0.08);
  BOOST_TEST(std::abs(deviation(wide.parameters.W_out) - 0.1) < 0.016);
  BOOST_TEST((wide.parameters.b_rec.isZero(0) && wide.parameters.b_out.isZero(0) && wide.h_0.isZero(0)));
  int positive = 0;
  for (int i = 0; i < 100; ++i) positive += rnn::random_network(1, 3, 1, random).parameters.W_rec(0, 0) > 0;
  BOOST_TEST((positive > 30 && positive < 70), positive);  // four standard errors
}

BOOST_AUTO_TEST_CASE(the_add_task_adds) {
  Random random(5);
  const auto s = rnn::add_task(200, random, {.t1 = 2, .t2 = 5});
  const auto bit = [&](Index t) { return t < 0 ? 0. : s.x(0, t); };
  std::set<double> targets;
  for (Index t = 0; t < 200; ++t) {
    BOOST_TEST((s.x(0, t) == 0 || s.x(0, t) == 1));
    BOOST_TEST(s.x(1, t) == 1 - s.x(0, t));
    BOOST_TEST(s.target(0, t) == 0.5 + 0.5 * bit(t - 2) - 0.25 * bit(t - 5));
    BOOST_TEST(s.target(1, t) == 1 - s.target(0, t));
    targets.insert(s.target(0, t));
  }
  BOOST_TEST((targets == std::set<double>{0.25, 0.5, 0.75, 1}));
  const auto held = rnn::add_task(20, random, {.t1 = 1, .t2 = 2, .hold = 2});
  for (Index t = 0; t < 20; t += 2) BOOST_TEST((held.x.col(t) == held.x.col(t + 1)));
  BOOST_TEST(held.target(0, 6) == 0.5 + 0.5 * held.x(0, 4) - 0.25 * held.x(0, 2));
  BOOST_CHECK_THROW(rnn::add_task(5, random, {.t1 = -1}), std::invalid_argument);
  BOOST_CHECK_THROW(rnn::add_task(5, random, {.hold = 0}), std::invalid_argument);
}

// The entropies of p given nothing, the bit t1 ago, both: the floors of the docstring.
BOOST_AUTO_TEST_CASE(the_floors_of_the_add_task_are_entropies) {
  const auto entropy = [](double p) { return p == 0 || p == 1 ? 0 : -p * std::log(p) - (1 - p) * std::log(1 - p); };
  const double both = (entropy(0.5) + entropy(1.0) + entropy(0.25) + entropy(0.75)) / 4;
  const double first = (entropy(0.375) + entropy(0.875)) / 2;
  BOOST_TEST(std::abs(both - 0.4545) < 5e-5);
  BOOST_TEST(std::abs(first - 0.5192) < 5e-5);
  BOOST_TEST(std::abs(entropy(0.625) - 0.6616) < 5e-5);
}

// The published lags: 6 and 10 at alpha = 1; 5 and 7, each bit held for two steps, else.
BOOST_AUTO_TEST_CASE(lags_and_holds_follow_alpha) {
  for (const double alpha : {1., 0.5}) {
    Random random(5);
    const auto s = rnn::task("add").make(alpha)->next(60, random).sequence;
    const Index t1 = alpha == 1 ? 6 : 10, t2 = alpha == 1 ? 10 : 14;  // in steps
    for (Index t = 14; t < 60; ++t) BOOST_TEST(s.target(0, t) == 0.5 + 0.5 * s.x(0, t - t1) - 0.25 * s.x(0, t - t2));
    for (const char* name : {"add", "mimic"}) {
      const auto x = rnn::task(name).make(alpha)->next(60, random).sequence.x.eval();
      Index changes = 0;
      for (Index t = 1; t < 60; t += 2) changes += x.col(t) != x.col(t - 1);
      BOOST_TEST((changes > 0) == (alpha == 1));
    }
  }
}

// In pieces or in one: a stream is one stream, for every task that is one; an episode always has its own length.
BOOST_AUTO_TEST_CASE(every_task_fits_its_row_and_repeats_from_its_seed) {
  for (const auto& facts : rnn::tasks) {
    BOOST_TEST_CONTEXT(facts.name) {
      BOOST_TEST(&rnn::task(facts.name) == &facts);
      for (const double alpha : {facts.alpha, 0.5}) {
        Random one(3), other(3);
        const auto whole = facts.make(alpha), parts = facts.make(alpha);
        const auto a = whole->next(31, one);
        BOOST_TEST(a.sequence.x.rows() == facts.n);
        BOOST_TEST(a.sequence.target.rows() == facts.m);
        BOOST_TEST(a.sequence.length() == a.sequence.target.cols());
        BOOST_TEST((a.asked_from >= 1 && a.asked_from <= a.sequence.length()));
        BOOST_TEST((a.sequence.x.allFinite() && a.sequence.target.allFinite()));
        if (facts.episodes) {
          BOOST_TEST(a.sequence.length() == facts.length);
          BOOST_TEST((parts->next(1, other).sequence.target == a.sequence.target));
          continue;
        }
        for (const Index from : {0, 20}) {
          const Index count = from == 0 ? 20 : 11;
          const auto part = parts->next(count, other).sequence;
          BOOST_TEST((part.x == a.sequence.x.middleCols(from, count)));
          BOOST_TEST((part.target == a.sequence.target.middleCols(from, count)));
        }
      }
    }
  }
  BOOST_CHECK_EXCEPTION(rnn::task("ad"), std::invalid_argument, [](const std::exception& e) {
    return std::string(e.what()).find("mackey-glass") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(mimic_is_a_networks_output) {
  Random random(4), again(4);
  const auto s = rnn::Mimic(0.5, 2, 6).next(40, random).sequence;
  auto hidden = rnn::random_network(6, 6, 6, again);
  hidden.alpha = 0.5;
  hidden.parameters.b_rec = again.normal(6, 1, 0.1);
  hidden.parameters.b_out = again.normal(6, 1, 0.1);
  BOOST_TEST((rnn::run(hidden, s).v - s.target).norm() < 1e-13);
  for (Index t = 0; t < 40; t += 2) BOOST_TEST((s.x.col(t) == s.x.col(t + 1)));
  BOOST_TEST((s.x.array() * (1 - s.x.array()) == 0).all());
}

BOOST_AUTO_TEST_CASE(the_flip_flop_holds_the_last_sign) {
  Random random(4);
  const auto s = rnn::FlipFlop(3, 0.1).next(20000, random).sequence;
  Eigen::Vector3d held = Eigen::Vector3d::Zero();
  for (Index t = 0; t < s.length(); ++t)
    for (Index k = 0; k < 3; ++k) {
      if (s.x(k, t) != 0) held(k) = s.x(k, t);
      if (s.target(k, t) != held(k)) BOOST_TEST(s.target(k, t) == held(k));
    }
  BOOST_TEST(std::abs(s.x.cwiseAbs().mean() - 0.1) < 0.005);  // four standard errors
  BOOST_TEST(std::abs(silence(s.target - s.x) - 3 * 0.9 / 2) < 0.02);
  const auto x = rnn::FlipFlop().next(20000, random).sequence.x;
  BOOST_TEST(std::abs(x.cwiseAbs().mean() - 0.05) < 0.004);
  BOOST_TEST(std::abs(x.mean()) < 0.004);  // either sign
}

BOOST_AUTO_TEST_CASE(the_sine_turns_with_the_period_it_is_told) {
  Random random(6);
  const auto s = rnn::Sine().next(5000, random).sequence;
  std::set<int> periods;
  for (Index t = 1; t < s.length(); ++t) {
    const bool on = s.x(0, t) == 1;
    if (std::abs(s.target.col(t).norm() - (on ? 0.1 : 0)) > 1e-15) BOOST_TEST(s.target.col(t).norm() == 0.1);
    if (!on || s.x.col(t) != s.x.col(t - 1)) continue;
    const double period = std::exp(-s.x(1, t));
    periods.insert(static_cast<int>(std::lround(period)));
    const double turned =
        std::atan2(s.target(1, t), s.target(0, t)) - std::atan2(s.target(1, t - 1), s.target(0, t - 1));
    const double want = 2 * std::numbers::pi / period;
    if (std::abs(std::remainder(turned - want, 2 * std::numbers::pi)) > 1e-12) BOOST_TEST(turned == want);
  }
  BOOST_TEST((periods == std::set<int>{8, 12, 16}));
  Index starts = 0, stops = 0;
  for (Index t = 1; t < s.length(); ++t) {
    stops += s.x(0, t) == 0 && s.x(0, t - 1) == 1;
    if (s.x(0, t) == 0 || s.x(0, t - 1) == 1) continue;
    ++starts;
    BOOST_TEST((std::abs(s.target(0, t) - 0.1) < 1e-15 && std::abs(s.target(1, t)) < 1e-15));  // from the angle 0
  }
  BOOST_TEST((starts + stops > 22 && starts + stops < 78), starts + stops);  // 50 +- four standard errors
}

BOOST_AUTO_TEST_CASE(the_periodic_output_is_murrays) {
  Random random(1);
  const auto s = rnn::Periodic().next(0, random).sequence;
  BOOST_TEST(std::abs(silence(s.target) - 0.328125) < 1e-14);  // (1 + 1/4 + 1/16) / 4
  BOOST_TEST(std::abs(s.target(0, 24) - 1) < 1e-14);           // a quarter: sin = 1, the others 0
  BOOST_TEST(s.x.norm() == 0);
}

BOOST_AUTO_TEST_CASE(the_line_shows_a_cue_and_asks_at_the_end) {
  Random random(2);
  rnn::Line line;
  std::set<double> angles;
  std::map<double, rnn::VectorX<double>> cue;
  for (int i = 0; i < 200; ++i) {
    const auto piece = line.next(0, random);
    BOOST_TEST(piece.asked_from == 10);
    BOOST_TEST(piece.sequence.x.rightCols(9).norm() == 0);
    BOOST_TEST(std::abs(piece.sequence.target.col(9).norm() - 1) < 1e-15);
    BOOST_TEST(piece.sequence.target.leftCols(9).norm() == 0);
    const double angle = std::atan2(piece.sequence.target(1, 9), piece.sequence.target(0, 9));
    const double tenth = angle * 10 / (2 * std::numbers::pi);
    BOOST_TEST(std::abs(tenth - std::round(tenth)) < 1e-12);
    BOOST_TEST((piece.sequence.x.array() * (1 - piece.sequence.x.array()) == 0).all());
    const auto [at, is_new] = cue.emplace(angle, piece.sequence.x.col(0));
    BOOST_TEST((is_new || at->second == piece.sequence.x.col(0)));
  }
  BOOST_TEST(cue.size() == 10u);
}

BOOST_AUTO_TEST_CASE(copy_repeat_repeats_and_its_curriculum_goes_on) {
  Random random(2);
  rnn::CopyRepeat task(3, 2);
  const auto piece = task.next(0, random);
  const auto& [x, target] = piece.sequence;
  BOOST_TEST(x.cols() == (2 + 1) * 3 + 3);
  BOOST_TEST(piece.asked_from == 6);
  BOOST_TEST((x(8, 0) == 1 && x(9, 4) == 0.2 && target(8, 11) == 1));
  for (Index w = 0; w < 3; ++w)
    for (Index r = 0; r < 2; ++r) BOOST_TEST((target.col(5 + 3 * r + w).head(8) == x.col(1 + w).head(8)));
  BOOST_TEST(target.leftCols(5).norm() == 0);
  BOOST_TEST(x.rightCols(7).norm() == 0);

  rnn::CopyRepeat learned;
  for (int i = 0; i < 50; ++i) learned.tell(0.2 * std::numbers::ln2);
  BOOST_TEST((learned.words() == 1 && learned.times() == 1));
  for (int i = 0; i < 150; ++i) learned.tell(0.1 * std::numbers::ln2);
  BOOST_TEST((learned.words() == 3 && learned.times() == 2));
}

BOOST_AUTO_TEST_CASE(delayed_copy_says_the_letters_after_the_mark) {
  Random random(2);
  rnn::VectorX<double> seen = rnn::VectorX<double>::Zero(8);
  for (int i = 0; i < 20; ++i) {
    const auto other = rnn::DelayedCopy(4, 3).next(0, random).sequence;
    BOOST_TEST((other.target.rightCols(4) == other.x.leftCols(4)));
    seen += other.x.topLeftCorner(8, 4).rowwise().sum();
  }
  BOOST_TEST(seen.minCoeff() > 0);  // of 80 letters, each
  const auto s = rnn::DelayedCopy(4, 3).next(0, random).sequence;
  BOOST_TEST(s.length() == 11);
  BOOST_TEST((s.target.rightCols(4) == s.x.leftCols(4)));
  BOOST_TEST(s.x(9, 6) == 1);
  BOOST_TEST((s.x.colwise().sum().array() == 1).all());
  BOOST_TEST((s.target.colwise().sum().array() == 1).all());
  BOOST_TEST(s.target.row(8).leftCols(7).sum() == 7);
}

BOOST_AUTO_TEST_CASE(mackey_glass_asks_for_what_comes_15_steps_later) {
  Random random(2);
  const auto s = rnn::MackeyGlass().next(3000, random).sequence;
  BOOST_TEST((s.target.leftCols(2985) == s.x.rightCols(2985)));
  BOOST_TEST(s.x.minCoeff() > -0.85);
  BOOST_TEST(s.x.maxCoeff() < 0.45);
  const double mean = s.target.mean();
  BOOST_TEST(std::abs((s.target.array() - mean).square().mean() / 2 - 0.025) < 0.003);
  // the equation itself, with central differences over two units: the series is smooth
  for (Index t = 20; t < 200; ++t) {
    const double late = s.x(0, t - 17) + 1, now = s.x(0, t) + 1, slope = (s.x(0, t + 1) - s.x(0, t - 1)) / 2;
    BOOST_TEST(std::abs(slope - (0.2 * late / (1 + std::pow(late, 10)) - 0.1 * now)) < 0.02);
  }
}

BOOST_AUTO_TEST_CASE(characters_are_the_sonnets) {
  Random random(1);
  rnn::Characters task;
  const auto s = task.next(700, random).sequence;
  std::string read;
  for (Index t = 0; t < 700; ++t) {
    Index which = 0;
    s.x.col(t).maxCoeff(&which);
    read += task.alphabet()[static_cast<std::size_t>(which)];
  }
  BOOST_TEST(read == (std::string(rnn::sonnet) + std::string(rnn::sonnet)).substr(0, 700));
  BOOST_TEST((s.target.leftCols(699) == s.x.rightCols(699)));
  double entropy = 0;
  for (const char c : task.alphabet()) {
    const double p = static_cast<double>(std::count(rnn::sonnet.begin(), rnn::sonnet.end(), c)) /
                     static_cast<double>(rnn::sonnet.size());
    entropy -= p * std::log(p);
  }
  BOOST_TEST(std::abs(entropy - 2.94) < 0.005);
}
