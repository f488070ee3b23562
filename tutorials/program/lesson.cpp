// `unroll lesson`: runs lessons and hands their recordings to a reader.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>

#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"
#include "tutorials/readers.h"
#include "tutorials/sources.h"

namespace tutorials {
namespace {

Recording load(int number, const Settings& settings) {
  const auto lesson =
      std::find_if(lessons().begin(), lessons().end(), [&](const Lesson& l) { return l.number == number; });
  if (lesson == lessons().end())
    throw UsageError(fmt::format("there is no lesson {}; `unroll lesson --list` names them", number));
  for (const Source& source : sources())
    if (("/" + lesson->file).ends_with("/" + std::string(source.file))) return record(*lesson, source.text, settings);
  throw std::runtime_error("the source of " + lesson->file + " is not built into this program");
}

bool interactive() {
  const char* term = std::getenv("TERM");
  return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && term != nullptr && *term != '\0' &&
         std::string_view(term) != "dumb";
}

}  // namespace

int lesson_command(const std::vector<std::string>& words) {
  bool print = false, check_only = false, list = false;
  std::string html_file, markdown_file;
  std::optional<std::size_t> step;
  Settings settings;
  Options options("unroll lesson [N] [options]",
                  "Steps through lesson N, or from the table of contents. Without a terminal it prints plain text.");
  options.flag("--print", "plain text: the whole lesson, or all of them", [&] { print = true; });
  options.value("--html", "FILE", "one self-contained page: the lesson, or the book of all",
                [&](const std::string& v) { html_file = v; });
  options.value("--markdown", "FILE", "the same as Markdown (FILE may be -)",
                [&](const std::string& v) { markdown_file = v; });
  options.value("--step", "K", "begin at step K, or print only it",
                [&](const std::string& v) { step = static_cast<std::size_t>(whole_number(v, 1, "--step")) - 1; });
  options.flag("--check", "run and hold every claim of the prose; fails with file:line", [&] { check_only = true; });
  options.value("--set", "NAME=VALUE", "give a parameter of the lesson another value", [&](const std::string& v) {
    const std::size_t equals = v.find('=');
    double value = 0;
    if (equals == std::string::npos || equals == 0 ||
        !parse_answer(std::string_view(v).substr(equals + 1), false, value))
      throw UsageError(fmt::format("--set {}: NAME=VALUE with a number is needed", v));
    settings[v.substr(0, equals)] = value;
  });
  options.flag("--list", "the lessons' numbers and titles", [&] { list = true; });
  bool go_on = true;
  const std::vector<std::string> others = options.parse(words, go_on);
  if (!go_on) return 0;
  if (others.size() > 1) throw UsageError("one lesson at a time: " + others[1] + " is one word too many");

  const bool one = !others.empty();
  const int number = one ? whole_number(others[0], 1, "lesson") : 0;
  if (!one && !settings.empty()) throw UsageError("--set needs the number of a lesson");
  if (!one && step) throw UsageError("--step needs the number of a lesson");
  const bool reads = print || check_only || !html_file.empty() || !markdown_file.empty();
  if (list) {
    if (reads || one) throw UsageError("--list only lists: leave the rest out");
    for (const Lesson& lesson : lessons()) fmt::print("{:2}  {}\n", lesson.number, lesson.title);
    return 0;
  }
  if (!reads && interactive()) {
    if (one) load(number, settings);  // a wrong number or setting is told before the screen changes
    browse(number, step.value_or(0), settings, load);
    return 0;
  }
  if (!reads && !one) {
    fmt::print("unroll: the lessons\n");
    for (const Lesson& lesson : lessons()) fmt::print("{:2}  {}\n", lesson.number, lesson.title);
    fmt::print("\nunroll lesson N prints lesson N here and steps through it in a terminal; unroll lesson --help\n");
    return 0;
  }

  std::vector<Recording> recordings;
  if (one)
    recordings.push_back(load(number, settings));
  else
    for (const Lesson& lesson : lessons()) recordings.push_back(load(lesson.number, settings));
  if (step && *step >= recordings[0].steps.size())
    throw UsageError(fmt::format("lesson {} has steps 1 to {}", number, recordings[0].steps.size()));
  if (!html_file.empty()) write_file(html_file, html(recordings));
  if (!markdown_file.empty()) {
    std::string all;
    for (const Recording& r : recordings) all += (all.empty() ? "" : "\n") + markdown(r);
    write_file(markdown_file, all);
  }
  if (print || !reads) {
    const char* no_colour = std::getenv("NO_COLOR");
    const Look look{80, isatty(STDOUT_FILENO) != 0 && interactive() && (no_colour == nullptr || *no_colour == '\0')};
    std::string all;
    for (const Recording& r : recordings)
      all += (all.empty() ? "" : "\n") + (step ? plain_step(r, *step, look) : plain_text(r, look));
    std::cout << all << std::flush;
  }
  if (check_only) return check(recordings, std::cout) == 0 ? 0 : 1;
  return 0;
}

}  // namespace tutorials
