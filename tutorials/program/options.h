// The options of one command of `unroll`: declared once, they are parsed, checked and explained by --help.
//
// The program parses its few options itself: every command behaves alike with and without a parser library installed.
#pragma once

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "rules/wrapped.h"

namespace tutorials {

/// A mistake in the words after the command; the program prints it and exits with 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Options {
 public:
  /// `usage` as in "unroll lesson [N]"; `purpose` in a sentence.
  Options(std::string usage, std::string purpose) : usage_(std::move(usage)), purpose_(std::move(purpose)) {}

  /// --name: calls `set`.
  void flag(std::string name, std::string purpose, std::function<void()> set) {
    rows_.push_back({std::move(name), "", std::move(purpose), [set = std::move(set)](const std::string&) { set(); }});
  }
  /// --name VALUE or --name=VALUE: calls `set` with the value, each time it is given.
  void value(std::string name, std::string argument, std::string purpose, std::function<void(const std::string&)> set) {
    rows_.push_back({std::move(name), std::move(argument), std::move(purpose), std::move(set)});
  }

  /// Returns the words that are no options. `--help` prints the help and returns false in `go_on`.
  std::vector<std::string> parse(const std::vector<std::string>& words, bool& go_on) const;
  /// The same where exactly one file is needed: its name; nothing after --help. Throws UsageError for none or several.
  std::optional<std::string> parse_one_file(const std::vector<std::string>& words) const;
  std::string help() const;

 private:
  struct Row {
    std::string name, argument, purpose;
    std::function<void(const std::string&)> set;
  };
  std::string usage_, purpose_;
  std::vector<Row> rows_;
};

using rules::wrapped;

/// Reads a whole number from `low` on; `what` names it in the error.
int whole_number(const std::string& text, int low, const std::string& what);

/// Reads a finite number; `what` names it in the error.
double number(const std::string& text, const std::string& what);

/// Writes the file, or to standard output for "-", and says so on standard error. Throws std::runtime_error where that
/// fails.
void write_file(const std::string& name, const std::string& text);

}  // namespace tutorials
