// `unroll`: the lessons, and the commands that inspect and verify.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>
#include <string_view>

#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"

namespace {

struct Command {
  std::string_view name, purpose;
  int (*run)(const std::vector<std::string>&);
};
constexpr Command commands[] = {
    {"lesson", "step through a lesson, or write it as text, HTML or Markdown", tutorials::lesson_command},
    {"gradient", "the gradient of a network in a file, by any rule", tutorials::gradient_command},
    {"verify", "which mistake a gradient derived by hand has made", tutorials::verify_command},
    {"trace", "the tape of a network in a file, line by line", tutorials::trace_command},
    {"edit", "a gradient edited in words, beside the exact one", tutorials::edit_command},
    {"compare", "learning rules side by side: loss, alignment, credit, time", tutorials::compare_command},
    {"rules", "every rule: what it is, what it costs, what a synapse must know", tutorials::rules_command},
};

void usage(std::FILE* out) {
  fmt::print(out, "usage: unroll COMMAND [words]\n");
  for (const Command& command : commands) fmt::print(out, "  {:<10} {}\n", command.name, command.purpose);
  fmt::print(out, "Without words the lessons open. unroll COMMAND --help tells more.\n");
}

/// The exit code; 2 if standard output took less than was printed, as a full disk does.
int all_written(int code) {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return code;
  fmt::print(stderr, "unroll: not all could be written to standard output\n");
  return 2;
}

}  // namespace

int main(int argc, char* argv[]) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  try {
    if (words.empty()) return all_written(tutorials::lesson_command({}));
    if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") return usage(stdout), all_written(0);
    for (const Command& command : commands)
      if (words[0] == command.name) return all_written(command.run({words.begin() + 1, words.end()}));
    fmt::print(stderr, "unroll: there is no command {}\n", words[0]);
    usage(stderr);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "unroll: not enough memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "unroll: {}\n", error.what());
  }
  return 2;
}
