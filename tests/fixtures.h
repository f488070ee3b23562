// Finds the reference numbers that other people's programs computed (PyTorch and others).
#pragma once
#include <filesystem>
#include <string_view>
#include <vector>

namespace tests {

/// tests/data: reference numbers that come with the project.
std::filesystem::path data();

/// The files of $UNROLL_FIXTURES (default: ../shared/fixtures beside the project) named `prefix`*.json, sorted.
/// None there: says so and lets ctest show this executable as skipped (exit code 77) unless one of its tests fails.
std::vector<std::filesystem::path> fixtures(std::string_view prefix);

}  // namespace tests
