// `unroll compare`: learning rules side by side, on the same data from the same weights.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <fstream>

#include "rules/registry.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/comparison.h"
#include "tutorials/program/options.h"

namespace tutorials {
namespace {

std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // so that a signal's handler may set it

/// While it lives, the first Ctrl-C asks the work to end; a second one ends the program as usual.
class StopsOnInterrupt {
 public:
  StopsOnInterrupt() {
    stop = false;
    before_ = std::signal(SIGINT, [](int) {
      stop = true;
      std::signal(SIGINT, SIG_DFL);
    });
  }
  ~StopsOnInterrupt() { std::signal(SIGINT, before_); }
  StopsOnInterrupt(const StopsOnInterrupt&) = delete;
  StopsOnInterrupt& operator=(const StopsOnInterrupt&) = delete;

 private:
  void (*before_)(int);
};

/// How far the work is, on standard error: a bar that moves on a terminal, elsewhere a line now and then. Short work is
/// done in silence.
class Progress {
 public:
  void operator()(double part) {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - begin_).count();
    if (now - shown_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000))) return;
    shown_ = now;
    const double left = part > 0 ? seconds * (1 - part) / part : 0;
    if (!terminal_) return fmt::print(stderr, "{:.0f} % done, {:.0f} s left\n", 100 * part, left);
    const auto full = static_cast<std::size_t>(std::lround(40 * part));
    fmt::print(stderr, "\r[{:<40}] {:3.0f} %  {:.0f} s left   ", std::string(full, '='), 100 * part, left);
    std::fflush(stderr);
    drawn_ = true;
  }
  ~Progress() {
    if (drawn_) fmt::print(stderr, "\r{:70}\r", "");
  }

 private:
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point shown_ = begin_;
  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
};

std::vector<std::string> list(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text)
    if (c == ',')
      words.emplace_back();
    else
      words.back() += c;
  return words;
}
/// Before the work: whether the file can be written when it is done.
void require_writable(const std::string& name) {
  if (!std::ofstream(name, std::ios::app)) throw std::runtime_error("compare: cannot write " + name);
}
/// False where it failed: the other files are written all the same.
bool write(const std::string& name, const std::string& text) {
  std::ofstream file(name);
  file << text;
  file.close();
  if (file)
    fmt::print("written: {}\n", name);
  else
    fmt::print(stderr, "unroll: compare: cannot write {}\n", name);
  return bool(file);
}

}  // namespace

int compare_command(const std::vector<std::string>& words) {
  Comparison s;
  std::string html, json, tasks, ids;
  for (const rnn::TaskFacts& task : rnn::tasks) tasks += (tasks.empty() ? "" : ", ") + std::string(task.name);
  for (const rules::Facts& rule : rules::registry) ids += (ids.empty() ? "" : ", ") + std::string(rule.id);
  Options options("unroll compare [--task NAME] [--rules ID,ID,...] [--steps N] [--seeds K]",
                  fmt::format("Trains a network by each rule, on the same data and from the same weights.\n"
                              "Tasks: {}.\nRules: {}.\n"
                              "Ctrl-C ends it with what it has; the exit code is then 130, as shells have it.\n",
                              tasks, ids));
  const auto whole = [&](const char* name, const char* purpose, auto& to, int low = 1) {
    options.value(name, "N", purpose, [&to, name, low](const std::string& text) {
      to = static_cast<std::remove_reference_t<decltype(to)>>(whole_number(text, low, name));
    });
  };
  const auto real = [&](const char* name, const char* purpose, double& to) {
    options.value(name, "X", purpose, [&to, name](const std::string& text) { to = number(text, name); });
  };
  options.value("--task", "NAME", "what to learn (add)", [&](const std::string& name) { s.task = &rnn::task(name); });
  options.value("--rules", "IDS", "by which rules, with commas (bptt,rtrl,rflo,uoro)",
                [&](const std::string& text) { s.rules = list(text); });
  whole("--steps", "steps of each run (20000)", s.steps);
  whole("--seeds", "runs of each rule (1)", s.seeds);
  whole("--seed", "seed of the first run (8)", s.first_seed, 0);
  real("--alpha", "the network's leak (the task's)", s.alpha);
  whole("--units", "its units d (the task's)", s.units);
  options.value("--optimizer", "NAME", "sgd, momentum or adam (the task's)",
                [&](const std::string& name) { s.optimizer = name; });
  real("--rate", "its learning rate (the task's)", s.rate);
  whole("--truncation", "steps of e-bptt and f-bptt (the task's length)", s.truncation);
  whole("--block", "on a stream, steps after which bptt is done (100)", s.block);
  options.flag("--random-feedback", "errors come back through a fixed random matrix",
               [&] { s.random_feedback = true; });
  options.flag("--each-sequence", "parameters move at the end of an episode or block", [&] { s.each_sequence = true; });
  real("--gain", "W_rec begins as N(0, X^2 / d), or, for 0, orthogonal (the task's)", s.gain);
  real("--readout", "W_out begins as N(0, X^2 / d) (the task's)", s.readout);
  options.value("--along", "ID", "this rule trains; all are measured beside it",
                [&](const std::string& id) { s.along = id; });
  whole("--points", "times at which alignment is measured (20; 0: never)", s.points, 0);
  whole("--threads", "runs at a time (as many as there are cores)", s.threads);
  options.value("--html", "FILE", "writes a page: curves, alignment, credit matrices",
                [&](const std::string& name) { html = name; });
  options.value("--json", "FILE", "writes all numbers", [&](const std::string& name) { json = name; });
  bool go_on = true;
  if (const auto others = options.parse(words, go_on); !others.empty())
    throw UsageError(fmt::format("\"{}\" is no option\n{}", others[0], options.help()));
  if (!go_on) return 0;

  s = s.complete();
  if (!html.empty() && html == json) throw UsageError("--html and --json name the same file, " + html);
  for (const std::string& name : {html, json})
    if (!name.empty()) require_writable(name);
  std::vector<Compared> all;
  const StopsOnInterrupt interrupt;
  {
    Progress progress;
    all = compare(
        s, [&](double part) { progress(part); }, stop);
  }
  const bool stopped = stop;
  fmt::print("{}", compare_table(s, all, stopped));
  bool written = html.empty() || write(html, compare_page(s, all, stopped));
  written = (json.empty() || write(json, compare_json(s, all, stopped))) && written;
  return stopped ? 130 : written ? 0 : 2;
}

}  // namespace tutorials
