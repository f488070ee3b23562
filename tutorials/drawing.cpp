// Drawings that several lessons share, as SVG and as plain text.
#include "tutorials/drawing.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace tutorials {
namespace {

// ".465", "1.20", and "0" for an exact zero.
std::string short_text(double x) {
  if (x == 0) return "0";
  if (x < 0.0005 || x >= 999.95) return fmt::format("{:.0e}", x);
  const std::string s = fmt::format("{:.{}f}", x, x < 9.995 ? (x < 0.9995 ? 3 : 2) : 1);
  return s.starts_with("0.") ? s.substr(1) : s;
}

void require_lower_triangle(const Eigen::MatrixXd& m) {
  if (m.rows() != m.cols())
    throw std::invalid_argument(
        fmt::format("tutorials: a credit picture is square, this one is {} x {}", m.rows(), m.cols()));
  for (Eigen::Index t = 0; t < m.rows(); ++t)
    for (Eigen::Index s = t + 1; s < m.cols(); ++s)
      if (m(t, s) != 0)
        throw std::invalid_argument(
            fmt::format("tutorials: the entry of loss {} and use {} is {}, but the present changes no past", t + 1,
                        s + 1, m(t, s)));
}

std::string svg_text(double x, double y, std::string_view words, std::string_view more = "") {
  return fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" {}>{}</text>", x, y, more, words);
}
// A name with its time below the line: h_t.
std::string indexed(std::string_view name, std::string_view time) {
  return fmt::format("{}<tspan dy=\"3\" font-size=\"10\">{}</tspan>", name, time);
}
std::string arrow(double x1, double y1, double x2, double y2) {
  return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#111\" marker-end=\"url(#tip)\"/>", x1, y1,
                     x2, y2);
}
std::string svg(double width, double height, const std::string& name, const std::string& inside) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "role=\"img\" aria-label=\"{2}\" font-family=\"system-ui,sans-serif\" font-size=\"13\" fill=\"#111\">{3}</svg>",
      width, height, name, inside);
}

std::string triangle_text(const Eigen::MatrixXd& m, bool sums) {
  require_lower_triangle(m);
  const Eigen::Index n = m.rows();
  std::string all = " t\\s";
  for (Eigen::Index s = 1; s <= n; ++s) all += fmt::format("{:>9}", s);
  all += sums ? " |   sum of row\n" : "\n";
  for (Eigen::Index t = 0; t < n; ++t) {
    all += fmt::format("{:>4}", t + 1);
    for (Eigen::Index s = 0; s < n; ++s) all += s > t ? std::string(9, ' ') : fmt::format("{:>9.5f}", m(t, s));
    if (sums) all += fmt::format(" | {:>9.5f}", m.row(t).sum());
    all.erase(all.find_last_not_of(' ') + 1);
    all += '\n';
  }
  if (!sums) return all;
  all += std::string(static_cast<std::size_t>(4 + 9 * n), '-') + "-+----------\n sum";
  for (Eigen::Index s = 0; s < n; ++s) all += fmt::format("{:>9.5f}", m.col(s).sum());
  return all + fmt::format(" | {:>9.5f}\n", m.sum());
}

}  // namespace

void figure(const Label& caption, const Drawing& drawing) { figure(caption, drawing.svg, drawing.plain); }

Drawing credit_square(const Eigen::MatrixXd& sizes, Cut cut) {
  require_lower_triangle(sizes);
  const Eigen::Index n = sizes.rows();
  const double largest = sizes.maxCoeff(), cell = 56, tall = 34, left = 64, top = 44;
  std::size_t width = 5;  // of a column of the plain text
  for (Eigen::Index t = 0; t < n; ++t)
    for (Eigen::Index s = 0; s <= t; ++s) width = std::max(width, short_text(sizes(t, s)).size() + 1);
  std::string plain = " t\\s", drawn = svg_text(left, 16, "use of the parameters at s (column)");
  drawn += fmt::format("<text transform=\"translate(16 {}) rotate(-90)\">loss at t (row)</text>",
                       top + tall * static_cast<double>(n) / 2 + 44);
  const auto at = [](Eigen::Index i) { return static_cast<double>(i); };
  for (Eigen::Index s = 0; s < n; ++s) {
    plain += fmt::format("{}{:>{}}", cut.time > 0 && s == cut.time ? " " : "", s + 1, width);
    drawn += svg_text(left + cell * (at(s) + 0.5), top - 8, std::to_string(s + 1), "text-anchor=\"middle\"");
  }
  for (Eigen::Index t = 0; t < n; ++t) {
    if (cut.time > 0 && t == cut.time)
      plain += "\n    " + std::string(width * static_cast<std::size_t>(cut.time), '-') + "+";
    plain += fmt::format("\n{:>4}", t + 1);
    drawn += svg_text(left - 12, top + tall * (at(t) + 0.65), std::to_string(t + 1), "text-anchor=\"end\"");
    for (Eigen::Index s = 0; s <= t; ++s) {
      const std::string number = short_text(sizes(t, s));
      plain += fmt::format("{}{:>{}}", cut.time > 0 && s == cut.time ? "|" : "", number, width);
      // the square root lets small ones be told from none
      const double shade = largest > 0 ? std::sqrt(sizes(t, s) / largest) : 0;
      const int gray = static_cast<int>(std::lround(255 - 225 * shade));
      drawn += fmt::format(
          "<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" fill=\"rgb({4},{4},{4})\" stroke=\"#111\" "
          "stroke-width=\".6\"/>",
          left + cell * at(s), top + tall * at(t), cell, tall, gray);
      drawn += svg_text(left + cell * (at(s) + 0.5), top + tall * (at(t) + 0.63), number,
                        gray < 128 ? "text-anchor=\"middle\" fill=\"#fff\"" : "text-anchor=\"middle\"");
    }
  }
  const double end = left + cell * at(n), bottom = top + tall * at(n);
  if (n > 2) drawn += svg_text(end - 6, top + tall * 0.63, "0: the present changes no past", "text-anchor=\"end\"");
  if (cut.time > 0)
    for (const char* stroke : {"stroke=\"#fff\" stroke-width=\"7\"", "stroke=\"#111\" stroke-width=\"3\""})
      drawn += fmt::format("<path d=\"M{} {}H{}V{}\" {} fill=\"none\"/>", left - 4, top + tall * cut.time,
                           left + cell * cut.time, bottom + 6, stroke);
  return {svg(end + 12, bottom + 12, "credit of each use of the parameters for each loss", drawn), plain + "\n"};
}

std::string triangle_with_sums(const Eigen::MatrixXd& m) { return triangle_text(m, true); }
std::string triangle(const Eigen::MatrixXd& m) { return triangle_text(m, false); }

Drawing unrolled_network(int length) {
  if (length < 2) throw std::invalid_argument("tutorials::unrolled_network: at least two steps");
  const std::string last = std::to_string(length);
  std::string plain = fmt::format("            t=1       t=2              t={}\n", last);
  plain += fmt::format("            L_1       L_2              L_{}\n", last);
  plain += "             ^         ^                ^\n";
  plain += fmt::format("   h_0 ---> h_1 ----> h_2 ---> ... --> h_{}\n", last);
  plain += "             ^         ^                ^\n";
  plain += fmt::format("            x_1       x_2              x_{}\n", last);
  plain += "   theta ----*---------*------- ... ----*\n";

  const double column = 92, left = 120, y_loss = 40, y_h = 96, y_x = 152, y_theta = 190;
  const auto x = [&](int t) { return left + column * t; };
  std::string drawn =
      "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" "
      "orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>";
  const auto node = [&](int t, double y, std::string_view name) {
    drawn += svg_text(x(t), y + 4, indexed(name, std::to_string(t)), "text-anchor=\"middle\"");
  };
  const auto circle = [&](double cx, double cy) {
    drawn += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"16\" fill=\"#fff\" stroke=\"#111\"/>", cx, cy);
  };
  circle(x(0), y_h);
  node(0, y_h, "h");
  drawn += svg_text(28, y_theta + 4, "θ");
  drawn += fmt::format("<line x1=\"42\" y1=\"{0}\" x2=\"{1}\" y2=\"{0}\" stroke=\"#111\" stroke-dasharray=\"4 3\"/>",
                       y_theta, x(length) - 26);
  for (int t = 1; t <= length; ++t) {
    drawn += svg_text(x(t), 16, fmt::format("t = {}", t), "text-anchor=\"middle\" font-size=\"11\"");
    node(t, y_loss, "L");
    circle(x(t), y_h);
    node(t, y_h, "h");
    node(t, y_x, "x");
    drawn += arrow(x(t - 1) + 17, y_h, x(t) - 17, y_h);
    drawn += arrow(x(t), y_h - 17, x(t), y_loss + 14);
    drawn += arrow(x(t), y_x - 12, x(t), y_h + 18);
    drawn += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"3\"/>", x(t) - 26, y_theta);
    drawn += arrow(x(t) - 26, y_theta, x(t) - 13, y_h + 13);
  }
  return {svg(x(length) + 40, y_theta + 14, "the network unrolled over time", drawn), plain};
}

}  // namespace tutorials
