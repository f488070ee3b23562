// Readers that write text: a page of a terminal, the plain lesson, Markdown, and the check.
#include <algorithm>
#include <iterator>
#include <ostream>

#include "tutorials/prose.h"
#include "tutorials/readers.h"

namespace tutorials {
namespace {

// The code up to a comment is in its own colour, the comment is dim.
std::string code_text(const std::string& line, bool colour) {
  const std::size_t comment = line.find("//");
  if (!colour || comment == std::string::npos ||
      std::count(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(comment), '"') % 2 == 1)
    return line;
  return line.substr(0, comment) + paint(std::string_view(line).substr(comment), "2", colour);
}

// A line of code in pieces of at most `width` columns, cut behind spaces; the others are indented.
std::vector<std::string> fold(const std::string& line, int width) {
  std::vector<std::string> pieces{line};
  const std::string margin(std::min<std::size_t>(line.find_first_not_of(' ') + 4, 24), ' ');
  while (display_width(pieces.back()) > std::max(width, 30)) {
    std::string& last = pieces.back();
    const std::string head = cut_to_width(last, std::max(width, 30));
    const std::size_t first = last.find_first_not_of(' '), space = head.find_last_of(' ');
    const std::size_t cut = space == std::string::npos || space <= first ? head.size() : space + 1;
    std::string tail = margin + last.substr(cut);
    last.resize(cut);
    last.erase(last.find_last_not_of(' ') + 1);
    pieces.push_back(std::move(tail));
  }
  return pieces;
}

// Text of several lines goes below, further right.
std::string indented(const std::string& text) {
  if (text.find('\n') == std::string::npos) return text;
  std::string all;
  for (const auto& line : split_lines(text)) all += "\n      " + line;
  return all;
}

struct Layout {
  const Recording& recording;
  Look look;
  const std::vector<std::string>* verdicts;
  Page page{};
  std::size_t questions = 0;

  int text_width() const { return std::min(look.width - 2, 96); }
  void gap() {
    if (!page.lines.empty() && !page.lines.back().empty()) page.lines.emplace_back();
  }
  // " > " before the first line, or before the only one; what is as wide as the screen stands at its left edge.
  void block(const std::string& text) {
    const auto lines = split_lines(text);
    int widest = 0;
    for (const auto& line : lines) widest = std::max(widest, display_width(line));
    const bool narrow = widest + 3 <= look.width;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string margin = !narrow ? "" : i == 0 ? paint(" > ", "32;1", look.colour) : "   ";
      page.lines.push_back(lines[i].empty() ? "" : margin + lines[i]);
    }
  }
  void operator()(const Prose& prose) {
    gap();
    for (const auto& line : prose_lines(prose.markdown, text_width(), look.colour))
      page.lines.push_back(line.empty() ? "" : " " + line);
  }
  void operator()(const Code& code) {
    gap();
    for (std::size_t i = 0; i < code.lines.size(); ++i) {
      const auto& [number, text] = code.lines[i];
      const auto pieces = fold(text, look.width - 8);
      std::string line = paint(fmt::format("{:5} | ", number), "2", look.colour) + code_text(pieces[0], look.colour);
      const int left = look.width - display_width(line) - static_cast<int>(recording.file.size());
      if (i == 0 && left >= 2)
        line += std::string(static_cast<std::size_t>(left), ' ') + paint(recording.file, "2", look.colour);
      page.lines.push_back(std::move(line));
      for (std::size_t k = 1; k < pieces.size(); ++k)
        page.lines.push_back(paint("      | ", "2", look.colour) + code_text(pieces[k], look.colour));
    }
  }
  void operator()(const Question& question) {
    gap();
    const auto lines = paragraph_lines(question.text, text_width() - 3, look.colour);
    for (std::size_t i = 0; i < lines.size(); ++i)
      page.lines.push_back((i == 0 ? paint(" ? ", "33;1", look.colour) : "   ") + lines[i]);
    if (verdicts == nullptr)
      page.lines.push_back("   answer: " + question.answer_text());
    else if (questions < verdicts->size())
      page.lines.push_back("   " + (*verdicts)[questions]);
    else
      page.asked = &question;
    ++questions;
    page.lines.emplace_back();
  }
  void operator()(const Output& output) { block(output.text); }
  void operator()(const Figure& drawn) {
    gap();
    block(drawn.caption + "\n" + drawn.plain);
  }
};

std::string parameters_text(const Recording& recording) {
  std::string text;
  for (const Parameter& p : recording.parameters)
    text += fmt::format("{}{} = {} ({} to {})", text.empty() ? "" : ", ", p.name, number_text(p.value),
                        number_text(p.low), number_text(p.high));
  return text;
}

}  // namespace

std::string top_line(const Recording& recording, std::size_t step, Look look) {
  const std::size_t count = recording.steps.size();
  const std::string left =
      recording.number == 0 ? recording.title + " " : fmt::format("{:02} {} ", recording.number, recording.title);
  std::string right;
  if (count > 1) {
    const std::size_t bar = std::min<std::size_t>(count, 20), done = (bar * (step + 1) + count - 1) / count;
    right = fmt::format(" step {}/{} {}{}", step + 1, count, std::string(done, '='), std::string(bar - done, '-'));
  }
  const std::string title = cut_to_width(left, look.width - static_cast<int>(right.size()));
  const int dashes = std::max(0, look.width - display_width(title) - static_cast<int>(right.size()));
  return paint(title, "1", look.colour) + paint(std::string(static_cast<std::size_t>(dashes), '-'), "2", look.colour) +
         right;
}

Page lay_out(const Recording& recording, std::size_t step, Look look, const std::vector<std::string>* verdicts) {
  Layout layout{recording, look, verdicts};
  auto& lines = layout.page.lines;
  const Step& now = recording.steps.at(step);
  if (now.title != recording.title) lines.push_back(" " + paint(now.title, "1", look.colour));
  if (step == 0 && !recording.parameters.empty())
    lines.push_back(" " + paint("parameters: " + parameters_text(recording), "2", look.colour));
  for (const Item& item : now.items) {
    std::visit(layout, item);
    if (layout.page.asked != nullptr) return std::move(layout.page);
  }
  const auto failed = static_cast<std::size_t>(
      std::count_if(now.checks.begin(), now.checks.end(), [](const Check& c) { return !c.holds; }));
  if (!now.checks.empty()) layout.gap();
  if (const std::size_t held = now.checks.size() - failed; held > 0)
    lines.push_back("   " + paint("ok", "32", look.colour) +
                    fmt::format(" {} check{} in this step", held, held == 1 ? "" : "s"));
  for (const Check& c : now.checks)
    if (!c.holds)
      lines.push_back(
          "   " + paint("FAIL", "31;1", look.colour) +
          fmt::format(" line {}: {}: got {}, claimed {}", c.line, c.claim, indented(c.got), indented(c.want)));
  if (step + 1 == recording.steps.size() && !recording.error.empty())
    lines.push_back("   " + paint("the lesson stopped", "31;1", look.colour) + ": " + recording.error);
  std::vector<std::string> split;
  for (const auto& line : lines)
    for (auto& part : split_lines(line)) split.push_back(std::move(part));
  lines = std::move(split);
  return std::move(layout.page);
}

std::string plain_step(const Recording& recording, std::size_t step, Look look) {
  return top_line(recording, step, look) + "\n" + join_lines(lay_out(recording, step, look).lines) + "\n";
}

std::string plain_text(const Recording& recording, Look look) {
  std::string all;
  for (std::size_t step = 0; step < recording.steps.size(); ++step)
    all += (step == 0 ? "" : "\n") + plain_step(recording, step, look);
  return all;
}

std::string markdown(const Recording& recording) {
  std::string all = fmt::format("# {:02} {}\n\n", recording.number, recording.title);
  if (!recording.parameters.empty()) all += "Parameters: " + parameters_text(recording) + "\n\n";
  const auto fenced = [&](std::string_view language, const std::string& text) {
    const std::string fence = text.find("```") == std::string::npos ? "```" : "`````";
    all += fmt::format("{}{}\n{}\n{}\n\n", fence, language, text, fence);
  };
  for (const Step& step : recording.steps) {
    all += "## " + step.title + "\n\n";
    for (const Item& item : step.items) {
      if (const auto* prose = std::get_if<Prose>(&item)) {
        bool in_fence = false;
        for (const auto& line : split_lines(prose->markdown)) {
          in_fence ^= line.starts_with("```");
          all += (line.starts_with('#') && !in_fence ? "#" : "") + line + "\n";  // below the step's own heading
        }
        all.erase(all.find_last_not_of('\n') + 1);
        all += "\n\n";
      } else if (const auto* code = std::get_if<Code>(&item)) {
        std::vector<std::string> lines;
        for (const auto& line : code->lines) lines.push_back(line.second);
        fenced("cpp", join_lines(lines));
      } else if (const auto* question = std::get_if<Question>(&item)) {
        all += fmt::format("> **Predict.** {}\n\n<details><summary>Answer</summary>\n\n{}\n\n</details>\n\n",
                           question->text, question->answer_text());
      } else if (const auto* output = std::get_if<Output>(&item)) {
        fenced("text", output->text);
      } else if (const auto* drawn = std::get_if<Figure>(&item)) {
        all += drawn->caption + "\n\n";
        fenced("text", drawn->plain);
      }
    }
    for (const Check& c : step.checks)
      if (!c.holds)
        all += fmt::format("**Does not hold** ({}:{}): {}: got {}, claimed {}\n\n", recording.file, c.line, c.claim,
                           c.got, c.want);
  }
  if (!recording.error.empty()) all += "**The lesson stopped**: " + recording.error + "\n";
  all.erase(all.find_last_not_of('\n') + 1);
  return all + "\n";
}

int check(const std::vector<Recording>& recordings, std::ostream& out) {
  int failures = 0;
  for (const Recording& recording : recordings) {
    std::size_t claims = 0, questions = 0;
    for (const Step& step : recording.steps) {
      claims += step.checks.size();
      for (const Item& item : step.items) questions += std::holds_alternative<Question>(item);
    }
    const int failed = recording.failures();
    failures += failed;
    out << fmt::format("{} lesson {:2}  {}: {} steps, {} checks, {} questions{}\n", failed == 0 ? "ok  " : "FAIL",
                       recording.number, recording.title, recording.steps.size(), claims, questions,
                       failed == 0 ? "" : fmt::format(", {} failed", failed));
    for (const Step& step : recording.steps)
      for (const Check& c : step.checks)
        if (!c.holds)
          out << fmt::format("  {}:{}: {}\n    got     {}\n    claimed {}\n", recording.file, c.line, c.claim,
                             indented(c.got), indented(c.want));
    if (!recording.error.empty()) out << "  the lesson stopped: " << recording.error << "\n";
  }
  return failures;
}

Recording contents() {
  std::string list;
  for (const Lesson& lesson : lessons()) list += fmt::format("{}. {}\n", lesson.number, lesson.title);
  list += lessons().empty() ? "No lesson is built into this program yet.\n"
                            : "\nEvery number in them is computed as you read. Where a question stands, type what you "
                              "expect before you look.\n";
  Recording all;
  all.title = "unroll: the lessons";
  all.steps.push_back({all.title, {Prose{list, false}}, {}});
  return all;
}

}  // namespace tutorials
