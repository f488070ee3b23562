// The one main() of all tests, and the search for reference numbers.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <iostream>

#include "tests/fixtures.h"

namespace tests {

static bool something_skipped = false;

std::filesystem::path data() { return UNROLL_TEST_DATA; }

std::vector<std::filesystem::path> fixtures(std::string_view prefix) {
  const char* given = std::getenv("UNROLL_FIXTURES");
  const std::filesystem::path folder = given != nullptr && *given != '\0' ? given : UNROLL_FIXTURES;
  std::vector<std::filesystem::path> found;
  if (std::filesystem::is_directory(folder)) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(prefix) && name.ends_with(".json")) found.push_back(entry.path());
    }
  }
  if (found.empty()) {
    something_skipped = true;
    std::cout << "skipped: no " << prefix << "*.json in " << folder << " (UNROLL_FIXTURES names the folder)\n";
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace tests

int main(int argc, char* argv[]) {
  const int failed = boost::unit_test::unit_test_main([] { return true; }, argc, argv);
  return failed == 0 && tests::something_skipped ? 77 : failed;
}
