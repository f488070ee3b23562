// What a lesson did: a page per step with its prose, code, outputs, questions and checks. Every reader starts from this.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tutorials/lesson.h"

namespace tutorials {

struct Prose {
  std::string markdown;
  bool japanese;
};
struct Code {
  std::vector<std::pair<int, std::string>> lines;  ///< line number and text, dedented
};
struct Output {
  std::string text;
};
struct Figure {
  std::string caption, svg, plain;
};
struct Question {
  std::string text;
  double answer, tolerance;
  std::string hint;
  bool yes_no;  ///< a question for yes (1) or no (0)
  bool right(double given) const;
  std::string answer_text() const;
};
/// Number typed by a reader: "-0.25", "1/3", "2e-3", "yes", "n". False when it is none.
bool parse_answer(std::string_view typed, bool yes_no, double& number);

using Item = std::variant<Prose, Code, Question, Output, Figure>;

struct Check {
  std::string claim;
  bool holds;
  std::string got, want;
  int line;
};
struct Step {
  std::string title;
  std::vector<Item> items;
  std::vector<Check> checks;
};
struct Parameter {
  std::string name;
  double value, standard, low, high;
};
struct Recording {
  int number = 0;
  std::string title, file;  ///< file: "tutorials/02_tape.cpp"
  std::vector<Parameter> parameters;
  std::vector<Step> steps;
  std::string error;  ///< what the lesson threw, if it did
  int failures() const;
};
using Settings = std::map<std::string, double>;  ///< parameter name -> value

/// Every lesson of the program, by number.
const std::vector<Lesson>& lessons();

/// Runs a lesson once and places what it recorded into the steps of its `source`. An exception of the lesson becomes
/// `error`. Throws std::invalid_argument for a setting the lesson does not have or does not allow.
Recording record(const Lesson& lesson, std::string_view source, const Settings& settings = {});

}  // namespace tutorials
