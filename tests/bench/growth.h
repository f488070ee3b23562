// How time and memory grow with the length of a sequence, drawn in letters, both axes logarithmic.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "report.h"

namespace bench {

/// One point a row; rows of works "1000 steps so", "10000 steps so" make one series, "so".
class Growth {
 public:
  explicit Growth(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
      if (row.steps == 0) continue;
      const std::string series = row.work.substr(row.work.find("steps ") + 6);
      auto place = std::find(names_.begin(), names_.end(), series);
      if (place == names_.end()) place = names_.insert(place, series);
      points_.push_back({&row, "*o+x"[static_cast<std::size_t>(place - names_.begin()) % 4]});
    }
  }

  void print() const {
    if (points_.empty()) return;
    draw("bytes held at most", [](const Row& row) { return static_cast<double>(row.bytes); });
    draw("seconds", [](const Row& row) { return 1e-9 * row.ns; });
    for (std::size_t i = 0; i < names_.size(); ++i)
      fmt::print("{}   {} {}", i == 0 ? "   " : "", "*o+x"[i % 4], names_[i]);
    fmt::print("\n");
  }

 private:
  struct Point {
    const Row* row;
    char mark;
  };
  static constexpr int columns = 16, lines = 3;  // a decade

  static int place(double x, int a_decade) { return static_cast<int>(std::lround(std::log10(x) * a_decade)); }
  static int decade_below(int place, int a_decade) {
    return static_cast<int>(std::floor(static_cast<double>(place) / a_decade)) * a_decade;
  }

  template <class Height>
  void draw(const char* title, Height height) const {
    const auto y_of = [&](const Point& p) { return place(height(*p.row), lines); };
    const auto x_of = [](const Point& p) { return place(static_cast<double>(p.row->steps), columns); };
    const auto by = [](auto f) { return [=](const Point& a, const Point& b) { return f(a) < f(b); }; };
    const auto [low, high] = std::minmax_element(points_.begin(), points_.end(), by(y_of));
    const auto [left, right] = std::minmax_element(points_.begin(), points_.end(), by(x_of));
    const int bottom = decade_below(y_of(*low), lines), first = decade_below(x_of(*left), columns);
    const std::size_t width = static_cast<std::size_t>(x_of(*right) - first) + 5;

    fmt::print("\n{}\n", title);
    for (int y = y_of(*high); y >= bottom; --y) {
      std::string line(width, y == bottom ? '-' : ' ');
      for (const Point& p : points_)
        if (y_of(p) == y) line[static_cast<std::size_t>(x_of(p) - first) + 2] = p.mark;
      fmt::print("{:>6} |{}\n", y % lines == 0 ? fmt::format("10^{}", y / lines) : "", line);
    }
    fmt::print("{:>7}", "");
    for (int x = first; x <= x_of(*right); x += columns)
      fmt::print("{:<{}}", fmt::format("  10^{}", x / columns), columns);
    fmt::print("steps\n");
  }

  std::vector<Point> points_;
  std::vector<std::string> names_;
};

}  // namespace bench
