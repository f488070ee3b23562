// The cost formulas of rules/registry.def as numbers.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace tutorials {

/// The value of a formula such as "T' d^2 + d n" or "d^3 k / h": names side by side are multiplied; ^ + / and parentheses
/// mean what they mean. Where a formula tells several cases, "...; n = 1: d k", the last is taken; what stands behind a
/// comma is not read. Throws std::invalid_argument for a name that has no value, or anything else.
double evaluate(std::string_view formula, const std::map<std::string, double>& values);

}  // namespace tutorials
