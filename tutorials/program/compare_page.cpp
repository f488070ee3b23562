// What `unroll compare` found, as one page: curves, credit matrices and the table, drawn here, readable without colour.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "rules/registry.h"
#include "tutorials/program/comparison.h"

namespace tutorials {
namespace {

constexpr std::string_view style = R"css(
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fdfdfb;--soft:#666;--line:#d5d3cc}
@media(prefers-color-scheme:dark){:root{--ink:#e4e2dc;--paper:#191a1b;--soft:#9b9a95;--line:#3c3d3e}}
body{margin:0 auto;max-width:60rem;padding:1.5rem 1.2rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.5rem 0 .2rem}h2{font-size:1.15rem;margin:2.4rem 0 .4rem}
p{max-width:46rem;margin:.4rem 0}.soft{color:var(--soft)}
svg{display:block;width:100%;height:auto;color:var(--ink);font:12px system-ui,sans-serif}
svg text{fill:currentColor}svg .grid{stroke:var(--line)}svg .soft{fill:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.6rem 0}
th,td{padding:.18rem .75rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}thead th{border-bottom-width:2px}
.many{display:flex;flex-wrap:wrap;gap:1.2rem}.many figure{margin:0;width:17.5rem}
.many svg{background:#fff;color:#111;border-radius:4px}figcaption{font-size:.88rem}
@media print{:root{--ink:#000;--paper:#fff;--soft:#444;--line:#999}figure,svg{break-inside:avoid}}
)css";

struct Point {
  double x, y;
};
struct Line {
  std::string name;
  std::vector<Point> points;
};

/// 1, 2 or 5 times a power of ten, so that about five of them fill the range.
double tick(double range) {
  const double power = std::pow(10, std::floor(std::log10(range / 5)));
  for (const double f : {1.0, 2.0, 5.0})
    if (range / (f * power) <= 6.5) return f * power;
  return 10 * power;
}

/// The mark of line i: five shapes, the last ones open.
std::string mark(std::size_t i, double x, double y) {
  const std::string_view fill = i % 10 < 5 ? "currentColor" : "var(--paper)";
  switch (i % 5) {
    case 0:
      return fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3.4" fill="{}" stroke="currentColor"/>)", x, y, fill);
    case 1:
      return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="6.4" height="6.4" fill="{}" stroke="currentColor"/>)",
                         x - 3.2, y - 3.2, fill);
    case 2:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l4 7h-8z" fill="{}" stroke="currentColor"/>)", x, y - 4, fill);
    case 3:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l4.2 4.2 -4.2 4.2 -4.2 -4.2z" fill="{}" stroke="currentColor"/>)", x,
                         y - 4.2, fill);
    default:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l4 -7h-8z" fill="{}" stroke="currentColor"/>)", x, y + 4, fill);
  }
}

/// Lines over the steps, told apart by dashes and marks, each named at its end. `floors`: levels with a name.
std::string plot(const std::vector<Line>& lines, const std::string& title, const std::string& y_name, double x_end,
                 const std::vector<std::pair<double, std::string>>& floors, bool from_zero_to_one) {
  constexpr double left = 56, right = 690, top = 28, bottom = 350, names = right + 16;
  double low = 1e300, high = -1e300;
  for (const Line& line : lines)
    for (const Point& p : line.points) low = std::min(low, p.y), high = std::max(high, p.y);
  if (low > high) return "<p class=\"soft\">Nothing was measured.</p>\n";
  for (const auto& [level, name] : floors) low = std::min(low, level), high = std::max(high, level);
  if (from_zero_to_one) low = std::min(low, 0.0), high = 1;
  if (high - low < 1e-9) high = low + 1;
  if (!from_zero_to_one) low -= 0.03 * (high - low), high += 0.03 * (high - low);
  const auto X = [&](double x) { return left + (right - left) * x / x_end; };
  const auto Y = [&](double y) { return bottom - (bottom - top) * (y - low) / (high - low); };

  std::string s = fmt::format(R"(<svg viewBox="0 0 830 400" role="img" aria-label="{}" fill="none">)", title);
  s += fmt::format(R"(<text x="{}" y="14">{}</text>)", left, y_name);
  const double every = tick(high - low);
  for (double y = std::ceil(low / every) * every; y <= high + 1e-12; y += every)
    s += fmt::format(
        R"(<path class="grid" d="M{0} {1:.1f}H{2}"/><text class="soft" x="{3}" y="{4:.1f}" text-anchor="end">{5:.3g}</text>)",
        left, Y(y), right, left - 7, Y(y) + 4, std::abs(y) < 1e-12 ? 0.0 : y);
  for (double x = 0; x <= x_end * 1.0001; x += tick(x_end))
    s +=
        fmt::format(R"(<text class="soft" x="{:.1f}" y="{}" text-anchor="middle">{:.0f}</text>)", X(x), bottom + 18, x);
  s += fmt::format(R"(<text class="soft" x="{}" y="{}" text-anchor="end">steps</text>)", right, bottom + 38);
  for (const auto& [level, name] : floors)
    s += fmt::format(
        R"(<path d="M{0} {1:.1f}H{2}" stroke="currentColor" stroke-dasharray="1 4"/><text class="soft" x="{3}" y="{4:.1f}">{5}</text>)",
        left, Y(level), right, left + 6, Y(level) - 5, name);

  constexpr std::string_view dashes[] = {"", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 2 2 2 2"};
  std::vector<double> ends(lines.size(), -1);  // where each line's name should stand
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string path, marks;
    const auto& points = lines[i].points;
    // marks stand at different places on different lines, so that lines that coincide are seen to
    const std::size_t apart = std::max<std::size_t>(1, points.size() / 6);
    const std::size_t first = apart * i / std::max<std::size_t>(1, lines.size());
    for (std::size_t k = 0; k < points.size(); ++k) {
      path += fmt::format("{}{:.1f} {:.1f}", k == 0 ? 'M' : 'L', X(points[k].x), Y(points[k].y));
      if (k % apart == first) marks += mark(i, X(points[k].x), Y(points[k].y));
    }
    if (points.empty()) continue;
    s += fmt::format(R"(<path d="{}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="{}"/>)", path,
                     dashes[i % std::size(dashes)]) +
         marks;
    ends[i] = Y(points.back().y);
  }
  std::vector<std::size_t> order(lines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ends[a] < ends[b]; });
  // names from the top down, 15 apart at least; then from the bottom up, should they have left the picture
  std::vector<double> at = ends;
  double last = -1e300;
  for (const std::size_t i : order)
    if (ends[i] >= 0) last = at[i] = std::max(at[i], last + 15);
  last = 396;
  for (std::size_t k = order.size(); k-- > 0;)
    if (ends[order[k]] >= 0) last = (at[order[k]] = std::min(at[order[k]], last)) - 15;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (ends[i] < 0) continue;
    s += fmt::format(R"(<path class="grid" d="M{:.1f} {:.1f}L{} {:.1f}"/>)", X(lines[i].points.back().x) + 4, ends[i],
                     names - 8, at[i]);
    s += mark(i, names, at[i]) +
         fmt::format(R"(<text x="{}" y="{:.1f}">{}</text>)", names + 10, at[i] + 4, lines[i].name);
  }
  return s + "</svg>\n";
}

/// The mean over seeds of the k-th entry of each, as far as any of them goes.
template <class Get>
std::vector<double> mean_curve(const Compared& c, Get&& get) {
  std::vector<double> curve;
  for (std::size_t k = 0;; ++k) {
    std::vector<double> here;
    bool any = false;
    for (const Course& course : c.courses) {
      const auto [has, value] = get(course, k);
      any = any || has;
      if (has) here.push_back(value);
    }
    if (!any) return curve;
    curve.push_back(mean(here).mean);
  }
}

std::string cell(double x, int digits) { return std::isfinite(x) ? fmt::format("{:.{}f}", x, digits) : "–"; }

std::string table(const Comparison& s, const std::vector<Compared>& all) {
  const double unit = loss_unit(*s.task);
  std::string t =
      "<div class=\"wide\"><table><thead><tr><th>rule</th><th>loss</th><th>±</th><th>alignment</th><th>W_rec</th>"
      "<th>W_in</th><th>b_rec</th><th>of sums</th><th>noise</th><th>µs a step</th></tr></thead><tbody>\n";
  for (const Compared& c : all) {
    const Mean loss = last_loss(c);
    const Alignment step = mean(c.courses, &Course::step), sum = mean(c.courses, &Course::sum);
    const Alignment& parts = std::isnan(step.all) ? sum : step;
    t += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}"
        "</td></tr>\n",
        c.rule, cell(loss.mean / unit, 4), cell(loss.error / unit, 4), cell(step.all, 3), cell(parts.W_rec, 3),
        cell(parts.W_in, 3), cell(parts.b_rec, 3), cell(sum.all, 3), cell(median(c, &Course::noise), 1),
        cell(1e6 * median(c, &Course::seconds_a_step), 2));
  }
  return t + "</tbody></table></div>\n";
}

/// Rows are losses at t, columns uses of the weights at s; darker is larger. What is predicted has a row of its own.
std::string matrix(const Compared& c) {
  const Eigen::Index n = c.credit.rows();
  const double size = n > 12 ? 14 : 22, left = 30, top = 34;
  const auto at = [&](Eigen::Index i) { return static_cast<double>(i); };
  std::string s =
      fmt::format(R"(<svg viewBox="0 0 {0:.0f} {1:.0f}" role="img" aria-label="credit matrix of {2}">)",
                  left + size * at(n) + 12, top + size * at(n + (c.predicted.size() != 0 ? 2 : 0)) + 10, c.rule);
  s += fmt::format(R"(<text x="{}" y="13">s: use of the weights</text><text x="4" y="{}">t</text>)", left, top - 6);
  const double largest = std::max(c.credit.maxCoeff(), c.predicted.size() != 0 ? c.predicted.maxCoeff() : 0);
  const auto square = [&](Eigen::Index row, Eigen::Index column, double x, const std::string& title) {
    const auto gray = std::lround(255 - 225 * (largest > 0 ? std::sqrt(x / largest) : 0));
    s += fmt::format(
        R"svg(<rect x="{:.0f}" y="{:.0f}" width="{}" height="{}" fill="rgb({},{},{})" stroke="#111" stroke-width=".5"><title>{}: {:.3g}</title></rect>)svg",
        left + size * at(column), top + size * at(row), size, size, gray, gray, gray, title, x);
  };
  for (Eigen::Index t = 0; t < n; ++t) {
    if (n <= 12 || t % 5 == 4 || t == 0) {
      s += fmt::format(R"(<text x="{:.0f}" y="{:.0f}" text-anchor="end">{}</text>)", left - 6,
                       top + size * (at(t) + 0.5) + 4, t + 1);
      s += fmt::format(R"(<text x="{:.0f}" y="{:.0f}" text-anchor="middle">{}</text>)", left + size * (at(t) + 0.5),
                       top - 6, t + 1);
    }
    for (Eigen::Index u = 0; u < n; ++u)
      if (u <= t || c.credit(t, u) > 0) square(t, u, c.credit(t, u), fmt::format("loss {}, use {}", t + 1, u + 1));
  }
  for (Eigen::Index u = 0; u < c.predicted.size(); ++u)
    square(n + 1, u, c.predicted(u), fmt::format("predicted, use {}", u + 1));
  return s + "</svg>";
}

}  // namespace

std::string compare_page(const Comparison& s, const std::vector<Compared>& all, bool stopped) {
  const rnn::TaskFacts& task = *s.task;
  const double unit = loss_unit(task);
  std::vector<Line> losses, alignments;
  for (const Compared& c : all) {
    Line loss{c.rule, {}}, cosine{c.rule, {}};
    const std::vector<double> curve = mean_curve(c, [&](const Course& course, std::size_t k) {
      return std::pair(k < course.losses.size(), k < course.losses.size() ? course.losses[k] / unit : 0);
    });
    for (std::size_t k = 0; k < curve.size(); ++k)
      if (std::isfinite(curve[k]))
        loss.points.push_back({(static_cast<double>(k) + 0.5) * static_cast<double>(s.steps) / 100, curve[k]});
    const std::vector<double> steps = mean_curve(c, [](const Course& course, std::size_t k) {
      return std::pair(k < course.at.size(), k < course.at.size() ? static_cast<double>(course.at[k]) : 0);
    });
    const std::vector<double> cosines = mean_curve(c, [](const Course& course, std::size_t k) {
      if (k >= course.at.size()) return std::pair(false, 0.0);
      return std::pair(true, std::isfinite(course.step[k].all) ? course.step[k].all : course.sum[k].all);
    });
    for (std::size_t k = 0; k < steps.size(); ++k)
      if (std::isfinite(cosines[k])) cosine.points.push_back({steps[k], cosines[k]});
    losses.push_back(std::move(loss));
    alignments.push_back(std::move(cosine));
  }
  std::vector<std::pair<double, std::string>> floors;
  if (task.name == "add")
    floors = {{0.6616, "remembering nothing .6616"}, {0.5192, "the first lag .5192"}, {0.4545, "both .4545"}};

  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\">\n<title>unroll compare: {}</title>\n<style>{}</style>\n</head>\n"
      "<body>\n",
      task.name, style);
  page += fmt::format(
      "<h1>{}: {}</h1>\n<p class=\"soft\">{}. n = {}, d = {}, m = {}, α = {}; {}, rate {}; truncation {}; "
      "{} steps, {} seed{}, from {} on.{}</p>\n",
      task.name, task.purpose, task.source, task.n, s.units, task.m, s.alpha, s.optimizer, s.rate, s.truncation,
      s.steps, s.seeds, s.seeds == 1 ? "" : "s", s.first_seed,
      s.along.empty() ? "" : " " + s.along + " trains, and all are measured beside it.");
  if (stopped) page += "<p><strong>Stopped before its end: what follows is what there was.</strong></p>\n";
  for (const Compared& c : all)
    for (const Course& course : c.courses)
      if (course.diverged)
        page += fmt::format("<p><strong>{} diverged before step {}.</strong></p>\n", c.rule, course.done);
  page += "<h2>Learning</h2>\n";
  page +=
      plot(losses, "learning curves", unit == 1 ? "mean loss a step" : fmt::format("mean loss a step / {:.0f}", unit),
           static_cast<double>(s.steps), floors, false);
  page +=
      "<h2>Alignment</h2>\n<p>The cosine of what a rule releases with the exact gradient: of the same loss, by all "
      "uses of "
      "the weights before it, for rules that face the past; of all later losses, by the same use, for those that face "
      "the "
      "future. Where a rule releases sums only, the cosine of sums.</p>\n";
  page +=
      plot(alignments, "alignment curves", "cosine with the exact gradient", static_cast<double>(s.steps), {}, true);
  page += table(s, all);
  page +=
      "<p class=\"soft\">Loss: the mean of the last tenth of the steps, over all seeds, ± its standard error. Noise: "
      "the standard deviation of one sample of a gradient, over the exact gradient’s norm, of "
      "rules "
      "that draw. Alignment does not explain what is learned: an unbiased rule may point well only on average.</p>\n";
  page +=
      "<h2>Credit</h2>\n<p>How much of the loss at t (row) each rule hands to the use of the weights at s (column): "
      "the size "
      "of its dL<sub>t</sub>/dθ<sub>s</sub>, on the first seed’s network as it ended. Darker is larger; the present "
      "changes no past, and where a rule has something above the diagonal it credits noise with losses before it. A "
      "row "
      "below is what a rule predicts at s: dni and dni-b all losses from s on, bp-lambda those after s. Of "
      "rules with noise on their units, only W<sub>rec</sub>’s part.</p>\n<div class=\"many\">\n";
  for (const Compared& c : all) {
    if (c.credit.size() != 0)
      page += fmt::format("<figure>{}<figcaption>{}{}</figcaption></figure>\n", matrix(c), c.rule,
                          std::isfinite(c.courses[0].noise) ? ", one draw"
                          : c.predicted.size() != 0         ? "; below: predicted"
                                                            : "");
    else
      page += fmt::format("<figure><figcaption><strong>{}</strong> has none: {}.</figcaption></figure>\n", c.rule,
                          c.no_credit.empty() ? "its run did not end" : c.no_credit);
  }
  return page + "</div>\n</body>\n</html>\n";
}

}  // namespace tutorials
