// Trains a network by several learning rules on the same data from the same weights, and measures how each fares.
#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "rnn/options.h"
#include "rnn/task.h"
#include "rules/train.h"

namespace tutorials {

inline constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// What is compared. What is left unknown, 0 or empty is taken from the task's row in rnn/task.h.
struct Comparison {
  const rnn::TaskFacts* task = &rnn::task("add");
  std::vector<std::string> rules{"bptt", "rtrl", "rflo", "uoro"};  // ids of rules/registry.def
  long steps = 20000;                                              // of each run; episodes are not cut
  int seeds = 1;
  int first_seed = 8;  // networks 8 to 10 learn Add about as fast as the published three; over 24 seeds, readout only
                       // ends at 0.582, deviation 0.02
  Eigen::Index units = 0;  // d
  double alpha = unknown, rate = unknown;
  std::string optimizer;
  Eigen::Index truncation = 0;   // T' of e-bptt and f-bptt; 0: the task's length
  Eigen::Index block = 100;      // on a stream: steps after which a rule that must end its sequence ends it; h goes on
  bool random_feedback = false;  // q = B^T e with random B for every rule; dni-b always has it
  bool each_sequence = false;    // the parameters move at the end of an episode or block, not at every step
  double gain = unknown, readout = unknown;  // of the weights before learning, see rnn::TaskFacts
  std::string along;     // this rule trains, and all are measured beside it; empty: each trains its own network
  int points = 20;       // times in a run at which the alignment is measured; 0: never
  unsigned threads = 0;  // 0: as many as there are cores

  /// All of the above made definite. Throws std::invalid_argument for rules that do not exist, numbers that make no sense.
  Comparison complete() const;
};

/// The cosine of a rule's gradient with the exact one; NaN where there is none to compare.
struct Alignment {
  double W_rec = unknown, W_in = unknown, b_rec = unknown, all = unknown;
};

/// One rule with one seed.
struct Course {
  long done = 0;                // steps
  std::vector<double> losses;   // mean loss a step in each hundredth of the run, as far as it came
  double last = unknown;        // mean loss a step of the last tenth of what was done
  std::vector<long> at;         // when the alignment was measured
  std::vector<Alignment> step;  // the mean, over a stretch of steps, of the cosine at one step
  std::vector<Alignment> sum;   // the cosine of the sums over such a stretch
  double noise = unknown;  // of stochastic rules: deviation of one sample of a stretch's gradient over its exact norm
  double seconds_a_step = unknown;
  double feedback = unknown;  // the cosine of B with W_out in the end
  bool diverged = false;      // the loss was no longer finite
};

/// One rule, and all seeds.
struct Compared {
  std::string rule;
  std::vector<Course> courses;
  // Of the first seed's network in the end. Rules that try noise are seen by W_rec alone, others by W_rec and W_in.
  rnn::MatrixX<double> credit;     // |dL_t/dtheta_s| as the rule has it, T x T
  rnn::VectorX<double> predicted;  // T, of rules that predict: at s, what is taken for later losses; of dni, for all
  std::string no_credit;           // why there is none
};

/// The mean over all courses that have the number, and the standard error of that mean (NaN for fewer than two).
struct Mean {
  double mean = unknown, error = unknown;
};
Mean mean(const std::vector<double>& numbers);
Mean last_loss(const Compared& compared);
/// The middle one of all courses that have the number.
double median(const Compared& compared, double Course::*which);
/// The mean over points and seeds.
Alignment mean(const std::vector<Course>& courses, std::vector<Alignment> Course::*which);

/// Runs it all. `progress` is told the part that is done, in [0, 1], from any thread, one call at a time. Where `stop`
/// becomes true, every run ends soon with what it has. The same numbers, except times, for any number of threads.
std::vector<Compared> compare(const Comparison& settings, const std::function<void(double)>& progress,
                              const std::atomic<bool>& stop);

/// What a loss is divided by where it is told: m for squared losses, as the papers do (half the mean square), else 1.
double loss_unit(const rnn::TaskFacts& task);

/// One self-contained page: learning curves, alignment, credit matrices, the table.
std::string compare_page(const Comparison& settings, const std::vector<Compared>& all, bool stopped);
/// The table in at most 80 columns.
std::string compare_table(const Comparison& settings, const std::vector<Compared>& all, bool stopped);
/// All numbers, as JSON.
std::string compare_json(const Comparison& settings, const std::vector<Compared>& all, bool stopped);

}  // namespace tutorials
