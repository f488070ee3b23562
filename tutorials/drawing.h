// Drawings that several lessons share, each as SVG and as plain text: the T x T picture of credit, the unrolled network.
#pragma once

#include <Eigen/Core>
#include <string>

#include "tutorials/lesson.h"

namespace tutorials {

/// One whole <svg> element, readable in black and white, and the same as lines of text.
struct Drawing {
  std::string svg, plain;
};

/// Shows a drawing; see figure in lesson.h. Hidden from the reader's code, as every figure(...) is.
void figure(const Label& caption, const Drawing& drawing);

/// Where a time cuts the T x T picture in three: losses up to it (above), uses after it (right), later losses of earlier uses.
struct Cut {
  int time = 0;  // 0: no cut
};

/// The lower triangle of a square matrix of sizes, T x T, entries >= 0: row t a loss, column s a use of the parameters;
/// darker is larger. What lies above the diagonal is left white, so it must be zero: throws std::invalid_argument else.
Drawing credit_square(const Eigen::MatrixXd& sizes, Cut cut = {});

/// A lower triangle of signed numbers with the sum of every row at its right, of every column below, of all in the corner.
std::string triangle_with_sums(const Eigen::MatrixXd& m);
/// The same without sums.
std::string triangle(const Eigen::MatrixXd& m);

/// The network unrolled over `length` times: a column for each, h_{t-1} -> h_t, and theta at the left with all its uses.
Drawing unrolled_network(int length);

}  // namespace tutorials
