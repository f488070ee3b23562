// Parses the options a command declared.
#include "tutorials/program/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace tutorials {

std::vector<std::string> Options::parse(const std::vector<std::string>& words, bool& go_on) const {
  std::vector<std::string> others;
  go_on = true;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help" || words[i] == "-h") {
      fmt::print("{}", help());
      go_on = false;
      return {};
    }
    if (words[i].size() < 2 || words[i][0] != '-') {
      others.push_back(words[i]);
      continue;
    }
    const std::size_t equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.name == name; });
    if (row == rows_.end()) throw UsageError(fmt::format("{} is no option here\n{}", name, help()));
    const bool takes = !row->argument.empty(), inside = equals != std::string::npos;
    if (!takes && inside) throw UsageError(name + " takes no value");
    if (takes && !inside && i + 1 == words.size()) throw UsageError(fmt::format("{} needs {}", name, row->argument));
    row->set(!takes ? "" : inside ? words[i].substr(equals + 1) : words[++i]);
  }
  return others;
}

std::string Options::help() const {
  std::string text = fmt::format("usage: {}\n{}\n", wrapped(usage_, 7, 73), wrapped(purpose_, 0, 80));
  for (const Row& r : rows_)
    text += fmt::format("  {:<20}  {}\n", r.name + (r.argument.empty() ? "" : " " + r.argument),
                        wrapped(r.purpose, 24, 56));
  return text;
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  const std::string behind(indent, ' ');
  std::string all;
  for (;;) {
    const std::size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, newline);
    std::size_t column = std::min(line.find_first_not_of(' '), line.size());
    if (!all.empty() && !line.empty()) all += behind;
    all += line.substr(0, column);
    line.remove_prefix(column);
    for (bool first = true; !line.empty(); first = false) {
      const std::size_t word = std::min(line.find(' '), line.size());
      if (!first && column + 1 + word > width) {
        all += '\n' + behind;
        column = 0;
      } else if (!first) {
        all += ' ';
        ++column;
      }
      all += line.substr(0, word);
      column += word;
      line.remove_prefix(std::min(word + 1, line.size()));
    }
    if (newline == text.size()) return all;
    all += '\n';
    text.remove_prefix(newline + 1);
  }
}

int whole_number(const std::string& text, int low, const std::string& what) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low)
    throw UsageError(fmt::format("{}: \"{}\" is not a whole number from {} on", what, text, low));
  return number;
}

}  // namespace tutorials
