// The two special functions the table needs and the standard library lacks: derivatives of the logarithm of Gamma.
#pragma once

#include <cmath>
#include <numbers>

namespace ad {

/// psi(x) = d/dx log Gamma(x), the digamma function, to a few units in the last place away from its zeros.
/// Poles at 0, -1, -2, ... give NaN. Abramowitz and Stegun 6.3.5, 6.3.7, 6.3.18.
inline double digamma(double x) {
  if (x <= 0 && x == std::floor(x)) return std::nan("");
  if (x < -10) return digamma(1 - x) - std::numbers::pi / std::tan(std::numbers::pi * (x - std::floor(x)));
  double shifted = 0;
  for (; x < 10; ++x) shifted -= 1 / x;  // psi(x) = psi(x + 1) - 1 / x
  const double r = 1 / (x * x);
  const double series =
      r * (1. / 12 - r * (1. / 120 - r * (1. / 252 - r * (1. / 240 - r * (1. / 132 - r * (691. / 32760 - r / 12))))));
  return shifted + std::log(x) - 0.5 / x - series;
}

/// psi^(n)(x), the n-th derivative of digamma; n is a whole number >= 0, poles at 0, -1, -2, ... give NaN.
/// (-1)^(n+1) n! zeta(n + 1, x), the Hurwitz zeta function summed by Euler and Maclaurin; A. and S. 6.4.10, 23.2.
inline double polygamma(double n, double x) {
  if (n == 0) return digamma(x);
  if (n < 0 || n != std::floor(n) || (x <= 0 && x == std::floor(x))) return std::nan("");
  const double s = n + 1;
  double zeta = 0;
  for (; x < 14 + n; ++x) zeta += std::pow(x, -s);
  zeta += std::pow(x, 1 - s) / (s - 1) + 0.5 * std::pow(x, -s);
  constexpr double bernoulli[] = {1. / 6, -1. / 30, 1. / 42, -1. / 30, 5. / 66, -691. / 2730, 7. / 6, -3617. / 510};
  double term = s * std::pow(x, -s - 1) / 2;  // s (s+1) .. (s+2j-2) x^(-s-2j+1) / (2j)!
  for (int j = 1; j <= 8; ++j) {
    zeta += bernoulli[j - 1] * term;
    term *= (s + 2 * j - 1) * (s + 2 * j) / ((2 * j + 1.) * (2 * j + 2.) * x * x);
  }
  return (std::fmod(n, 2) == 0 ? -1 : 1) * std::tgamma(s) * zeta;
}

}  // namespace ad
