// What a run found: rows, as a table for people and as JSON.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

/// One subject on one work.
struct Row {
  std::string work, subject, reference;
  double reference_ns = 0, ns = 0;      // medians
  double ratio = 0, low = 0, high = 0;  // median and quartiles of the rounds' ratios
  std::size_t rounds = 0;
  double at_most = 0;  // the ratio's target; 0: none
  std::size_t bytes = 0,
              bytes_at_most = 0;          // held at most: a tape and its adjoints, as a rule; 0: not known, no target
  std::size_t entries = 0, recorded = 0;  // of the tape, where it has an entry an operation; bytes without adjoints
  std::size_t steps = 0;                  // of a sequence, where its length is what the work is about
};

struct Setting {
  std::string date, machine, compiler, flags;

  static Setting here() {
    char date[16];
    const std::time_t now = std::time(nullptr);
    std::strftime(date, sizeof date, "%Y-%m-%d", std::localtime(&now));
    std::string machine = "unknown processor";
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
      if (line.rfind("model name", 0) == 0) {
        machine = line.substr(std::min(line.find(':') + 2, line.size()));
        break;
      }
    }
    return {date, machine, BENCH_COMPILER, BENCH_FLAGS};
  }
};

inline std::string duration(double ns) {
  if (ns < 1e4) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e7) return fmt::format("{:.1f} us", ns * 1e-3);
  return fmt::format("{:.1f} ms", ns * 1e-6);
}

inline std::string megabytes(std::size_t bytes) { return fmt::format("{:.2f} MB", static_cast<double>(bytes) * 1e-6); }

/// "33 + 8", bytes an entry, or what is held in all.
inline std::string memory(const Row& row) {
  if (row.entries == 0) {
    return (row.bytes_at_most > 0 && row.bytes > row.bytes_at_most ? "! " : "") + megabytes(row.bytes);
  }
  const double entries = static_cast<double>(row.entries), recorded = static_cast<double>(row.recorded) / entries;
  return fmt::format("{:.0f} + {:.0f}", recorded, static_cast<double>(row.bytes) / entries - recorded);
}

/// One line a work: the reference's time, unroll's ratio with its target and spread, then the peers'.
inline void print(const Setting& setting, const std::vector<Row>& rows) {
  std::vector<std::string> peers;
  std::size_t widest = 0, widest_reference = 9;  // of the names
  for (const Row& row : rows) {
    widest = std::max(widest, row.work.size());
    widest_reference = std::max(widest_reference, row.reference.size());
    if (row.subject != "unroll" && std::find(peers.begin(), peers.end(), row.subject) == peers.end()) {
      peers.push_back(row.subject);
    }
  }
  fmt::print("{}, {}, {} {}\n", setting.date, setting.machine, setting.compiler, setting.flags);
  fmt::print(
      "Each ratio is the time of unroll, or of a peer, over that of the reference, in turns: the median of the rounds, "
      "+-\n"
      "half of what the middle half of them spans. \"peer\": the fastest peer's time over unroll's. Bytes: of an "
      "entry, tape\n"
      "+ adjoint; or of all that is held.\n\n");
  fmt::print("{:<{}}  {:<{}}{:>10} |{:>8}{:>7}{:>9}", "work", widest, "reference", widest_reference, "time", "unroll",
             "+-", "at most");
  for (const std::string& peer : peers) fmt::print("{:>11}", peer);
  fmt::print("{:>7}{:>12}\n", "peer", "bytes");
  for (auto row = rows.begin(); row != rows.end();) {
    const auto end = std::find_if(row, rows.end(), [&](const Row& other) { return other.work != row->work; });
    const auto named = [&](const std::string& name) {
      return std::find_if(row, end, [&](const Row& other) { return other.subject == name; });
    };
    const auto ours = named("unroll");
    fmt::print("{:<{}}  {:<{}}{:>10} |", row->work, widest, row->reference, widest_reference,
               duration(row->reference_ns));
    if (ours == end) {
      fmt::print("{:>24}", "");
    } else {
      const std::string target =
          ours->at_most == 0 ? "" : fmt::format("{}{:.3g}", ours->ratio > ours->at_most ? "! " : "", ours->at_most);
      fmt::print("{:>8.2f}{:>7.2f}{:>9}", ours->ratio, (ours->high - ours->low) / 2, target);
    }
    double best = 0;
    for (const std::string& peer : peers) {
      const auto theirs = named(peer);
      if (theirs == end) {
        fmt::print("{:>11}", "-");
      } else {
        fmt::print("{:>11.2f}", theirs->ratio);
        if (best == 0 || theirs->ratio < best) best = theirs->ratio;
      }
    }
    fmt::print("{:>7}", best > 0 && ours != end ? fmt::format("{:.2f}", best / ours->ratio) : "-");
    if (ours != end && ours->bytes > 0) fmt::print("{:>12}", memory(*ours));
    fmt::print("\n");
    row = end;
  }
}

inline std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) result += c;
  }
  return result + '"';
}

/// Throws std::runtime_error, with the file's name, if it cannot be written.
inline void write_json(const std::string& file, const Setting& setting, const std::vector<Row>& rows) {
  std::string text =
      fmt::format("{{\n\"date\": {}, \"machine\": {}, \"compiler\": {}, \"flags\": {},\n\"rows\": [\n",
                  quoted(setting.date), quoted(setting.machine), quoted(setting.compiler), quoted(setting.flags));
  for (const Row& row : rows) {
    const auto or_null = [](const auto& number) {
      return number == 0 ? "null" : fmt::format("{:.10g}", double(number));
    };
    text += fmt::format(
        "{{\"work\": {}, \"subject\": {}, \"reference\": {}, \"ratio\": {:.4g}, \"quartiles\": [{:.4g}, {:.4g}], "
        "\"at_most\": {}, \"ns\": {:.6g}, \"reference_ns\": {:.6g}, \"rounds\": {}, \"bytes\": {}, "
        "\"bytes_at_most\": {}, \"entries\": {}, \"recorded\": {}, \"steps\": {}}}{}\n",
        quoted(row.work), quoted(row.subject), quoted(row.reference), row.ratio, row.low, row.high,
        or_null(row.at_most), row.ns, row.reference_ns, row.rounds, or_null(row.bytes), or_null(row.bytes_at_most),
        or_null(row.entries), or_null(row.recorded), or_null(row.steps), &row == &rows.back() ? "" : ",");
  }
  text += "]\n}\n";
  std::ofstream out(file);
  if (!(out << text).flush()) throw std::runtime_error("cannot write " + file);
}

}  // namespace bench
