// Parses the options a command declared.
#include "tutorials/program/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>

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

std::optional<std::string> Options::parse_one_file(const std::vector<std::string>& words) const {
  bool go_on = true;
  const std::vector<std::string> files = parse(words, go_on);
  if (!go_on) return std::nullopt;
  if (files.size() != 1)
    throw UsageError(fmt::format("one file is needed, and {} are given\n{}", files.size(), help()));
  return files[0];
}

std::string Options::help() const {
  std::string text = fmt::format("usage: {}\n{}\n", wrapped(usage_, 7, 73), wrapped(purpose_, 0, 80));
  for (const Row& r : rows_)
    text += fmt::format("  {:<20}  {}\n", r.name + (r.argument.empty() ? "" : " " + r.argument),
                        wrapped(r.purpose, 24, 56));
  return text;
}

int whole_number(const std::string& text, int low, const std::string& what) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low)
    throw UsageError(fmt::format("{}: \"{}\" is not a whole number from {} on", what, text, low));
  return number;
}

double number(const std::string& text, const std::string& what) {
  double x = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(x))
    throw UsageError(fmt::format("{}: \"{}\" is not a number", what, text));
  return x;
}
void write_file(const std::string& name, const std::string& text) {
  if (name == "-") {
    std::cout << text << std::flush;
    return;
  }
  std::ofstream file(name, std::ios::binary);
  file << text << std::flush;
  if (!file) throw std::runtime_error("cannot write " + name);
  std::cerr << "written: " << name << "\n";
}

}  // namespace tutorials
