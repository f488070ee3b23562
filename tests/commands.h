// What a command of the program prints.
#pragma once

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <string>
#include <vector>

namespace tests {

using Command = int (*)(const std::vector<std::string>&);

/// What a command writes to standard output, and that it ends with this code. Some print with the C library: a file takes
/// it all.
inline std::string printed(Command command, const std::vector<std::string>& words, int code = 0) {
  std::fflush(stdout);
  const int kept = dup(1);
  std::FILE* file = std::tmpfile();
  dup2(fileno(file), 1);
  int got = -1;
  try {
    got = command(words);
  } catch (...) {
    std::fflush(stdout);
    dup2(kept, 1), close(kept), std::fclose(file);
    throw;
  }
  std::fflush(stdout);
  dup2(kept, 1), close(kept);
  std::rewind(file);
  std::string text;
  for (int c = 0; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  std::fclose(file);
  BOOST_TEST(got == code);
  return text;
}

/// Whether the part is in the text; the log says so if not.
inline bool has(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) BOOST_TEST_MESSAGE("not found: \"" << part << "\" in\n" << text);
  return found;
}

}  // namespace tests
