// Runs every work on every subject, each gradient verified before it is timed, and prints one line a work.
//
//   bench [--quick] [--json FILE] [Google Benchmark's own options, as --benchmark_filter=RNN]
//
// Why the rounds are our own: Google Benchmark's random interleaving, with repetitions and medians, was tried and gives
// the same ratios within 3 %. But a ratio of two medians has no spread of its own to print, and it takes several times
// as long to settle. So one work is ONE registered benchmark, in whose body the reference and each subject take turns
// of some milliseconds (race.h): every round is a pair of neighbours in time, with a ratio. Google Benchmark still
// names, lists and filters the works.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "growth.h"
#include "pair.h"
#include "race.h"
#include "report.h"
#include "subject.h"
#include "verify.h"

namespace {

using namespace bench;

/// All subjects' gradients of one work: the first against differences, the others against the first, to rounding.
template <class Work>
void verify(const Work& work) {
  const std::vector<double> x = work.point();
  std::vector<double> first, gradient(x.size());
  std::string first_name;
  const Function f = [&](const std::vector<double>& at) {
    return subjects().at(plain_double).tasks.at(work.name).run(at, gradient);
  };
  const double plain = f(x);
  for (const auto& [column, subject] : subjects()) {
    if (column == plain_double) continue;
    const std::string who = subject.name + ", " + work.name;
    gradient.assign(x.size(), std::nan(""));
    const double value = subject.tasks.at(work.name).run(x, gradient);
    if (!(std::abs(value - plain) <= 1e-12 * std::abs(plain))) {
      throw std::runtime_error(fmt::format("{}: the value is {:.17g}, in plain double {:.17g}", who, value, plain));
    }
    if (first.empty()) {
      first = gradient;
      first_name = subject.name;
      verify_gradient(who, f, x, first);
    } else {
      verify_equal(who, gradient, first_name, first);
    }
  }
}

Race raced(std::vector<Race::Lane> lanes, bool quick, Clock clock = thread_time) {
  Race race(std::move(lanes), quick ? 5e-4 : 2e-3, clock);
  const double start = wall_time(), enough = quick ? 1.0 : 10.0;
  for (int round = 0; round < 301 && (round < 3 || wall_time() - start < enough); ++round) race.round();
  return race;
}

Row result(const std::string& work, const Race::Lane& reference, const Race::Lane& lane) {
  Row row{.work = work, .subject = lane.name, .reference = reference.name};
  row.reference_ns = 1e9 * quantile(reference.seconds, 0.5);
  row.ns = 1e9 * quantile(lane.seconds, 0.5);
  row.ratio = quantile(lane.ratios, 0.5);
  row.low = quantile(lane.ratios, 0.25);
  row.high = quantile(lane.ratios, 0.75);
  row.rounds = lane.ratios.size();
  return row;
}

template <class Work>
void measure(const Work& work, bool quick, std::vector<Row>& rows) {
  verify(work);

  // Each call's point takes a zero from the last call's results, as an optimizer's next point takes a number: otherwise
  // the processor starts on the next call before this one has ended, and a chain of multiplications looks too fast.
  std::vector<double> x = work.point(), gradient(x.size(), 0.0);
  const double x0 = x[0];
  std::vector<Race::Lane> lanes;
  for (const auto& [column, subject] : subjects()) {
    lanes.push_back({subject.name, [&, run = subject.tasks.at(work.name).run] {
                       const double value = run(x, gradient);
                       x[0] = x0 + 0.0 * (value + gradient[0]);
                     }});
  }
  const Race race = raced(std::move(lanes), quick);

  std::size_t i = 0;
  for (const auto& [column, subject] : subjects()) {
    const Race::Lane& lane = race.lanes()[i++];
    if (column == plain_double) continue;
    Row row = result(work.name, race.lanes()[0], lane);
    if (column == unroll) row.at_most = work.at_most;
    if (const auto& memory = subject.tasks.at(work.name).memory) {
      const Memory taken = memory(work.point());
      row.entries = taken.entries;
      row.recorded = taken.recorded;
      row.bytes = taken.swept;
    }
    rows.push_back(std::move(row));
  }
}

void measure(const Pair& pair, bool quick, std::vector<Row>& rows) {
  pair.verify();
  std::vector<Race::Lane> lanes{{pair.reference, pair.run_reference}, {"unroll", pair.run}};
  for (const auto& [name, run] : pair.peers) lanes.push_back({name, run});
  const std::size_t bytes = pair.bytes ? pair.bytes() : 0;
  const Race race = raced(std::move(lanes), quick, pair.clock);
  for (std::size_t i = 1; i < race.lanes().size(); ++i) {
    Row row = result(pair.name, race.lanes()[0], race.lanes()[i]);
    row.steps = pair.steps;
    if (i == 1) {
      row.at_most = pair.at_most;
      row.bytes = bytes;
      row.bytes_at_most = pair.bytes_at_most;
    }
    rows.push_back(std::move(row));
  }
}

/// The table is ours to print.
struct Silent : benchmark::BenchmarkReporter {
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

int run(int argc, char** argv) {
  bool quick = false;
  std::string json;
  std::vector<char*> rest{argv[0]};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--quick") {
      quick = true;
    } else if (word == "--json") {
      if (++i == argc) throw std::runtime_error("--json needs a file");
      json = argv[i];
    } else {
      rest.push_back(argv[i]);
    }
  }
  int words = static_cast<int>(rest.size());
  benchmark::Initialize(&words, rest.data());
  if (benchmark::ReportUnrecognizedArguments(words, rest.data())) return 2;

  std::vector<Row> rows;
  std::exception_ptr failure;
  const auto add = [&](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(name.c_str(), [&, run](benchmark::State& state) {
      for (auto _ : state) {
        try {
          if (!failure) run();
        } catch (...) {
          failure = std::current_exception();
        }
      }
    })->Iterations(1);
  };
  for_each_work([&](const auto& work) { add(work.name, [&, work] { measure(work, quick, rows); }); });
  for (const auto& [name, make] : pairs()) add(name, [&, make = make] { measure(make(), quick, rows); });
  Silent silent;
  benchmark::RunSpecifiedBenchmarks(&silent);
  if (failure) std::rethrow_exception(failure);
  if (rows.empty()) return 0;
  const Setting setting = Setting::here();
  print(setting, rows);
  Growth(rows).print();
  if (!json.empty()) write_json(json, setting, rows);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench: {}\n", error.what());
    return 1;
  }
}
