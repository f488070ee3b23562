// Runs a lesson and records it: cuts its source into steps, then puts each call's record into the step of its line.
#include "tutorials/lesson.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include "tutorials/prose.h"
#include "tutorials/recording.h"

namespace tutorials {
namespace {

constexpr int width_limit = 80;

std::string base_name(std::string_view path) { return std::string(path.substr(path.find_last_of("/\\") + 1)); }

// ---- the source: pieces of prose and code -------------------------------------------------------------------------

// A piece of code owns the lines [first, first line of the next piece): calls on them add to what follows it.
struct Piece {
  int first;
  std::size_t step;
  Item shown;                  // Prose or Code (empty when all of it is hidden)
  std::vector<Item> recorded;  // questions first
};

// Counts brackets outside of literals and comments, to find where a hidden statement ends.
struct Statement {
  int depth = 0;
  bool ended = false;
  void read(std::string_view line) {
    char quote = 0, last = ' ';
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (quote != 0) {
        if (c == '\\')
          ++i;
        else if (c == quote)
          quote = 0;
      } else if (line.substr(i, 2) == "//") {
        break;
      } else {
        if (c == '"' || (c == '\'' && std::isalnum(static_cast<unsigned char>(last)) == 0)) quote = c;
        depth += c == '(' || c == '{' || c == '[';
        depth -= c == ')' || c == '}' || c == ']';
        if (c != ' ') last = c;
      }
    }
    ended = depth <= 0 && (last == ';' || last == '}');
  }
};

bool starts_hidden(std::string_view code) {
  for (std::string_view word : {"if (at_default())", "ask(", "expect(", "expect_throws(", "figure("})
    if (code.starts_with(word)) return true;
  return code.starts_with("for (") && code.find(") expect(") != std::string_view::npos;
}

struct Source {
  std::vector<Step> steps;
  std::vector<Piece> pieces;
};

// Shown are the lines from the first "//%" on, without LESSON(...) { and its }, without the statements that begin with
// ask, expect, figure or `if (at_default())`, and without what stands between "//%hide" and "//%show".
class SourceReader {
 public:
  explicit SourceReader(const std::string& title) : title_(title) {}

  void read(std::string_view line) {
    ++number_;
    const std::string_view words = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.starts_with("LESSON(")) {
      in_lesson_ = true;
    } else if (in_lesson_ && line.starts_with('}')) {  // nothing behind a lesson is shown
      in_lesson_ = false;
      hiding_ = true;
    } else if (words.starts_with("//%hide") || words.starts_with("//%show")) {
      hiding_ = words.starts_with("//%hide");
    } else if (words.starts_with("//% # ")) {
      result_.steps.push_back({std::string(words.substr(6)), {}, {}});
    } else if (words.starts_with("//%")) {
      const bool japanese = words.starts_with("//%ja");
      std::string_view prose = words.substr(japanese ? 5 : 3);
      if (prose.starts_with(' ')) prose.remove_prefix(1);
      std::get<Prose>(piece(Prose{"", japanese}).shown).markdown.append(prose).append("\n");
    } else if (words.empty()) {
      separate();
    } else if (!result_.steps.empty()) {
      read_code(line, words);
    }
  }

  Source take() {
    for (Piece& p : result_.pieces) {
      if (auto* prose = std::get_if<Prose>(&p.shown))
        prose->markdown.erase(0, prose->markdown.find_first_not_of('\n'));
      else
        dedent(std::get<Code>(p.shown).lines);
    }
    return std::move(result_);
  }

 private:
  using Lines = decltype(Code::lines);

  bool continues(const Item& shown) const {
    if (result_.pieces.empty() || result_.pieces.back().step + 1 != result_.steps.size()) return false;
    const Item& last = result_.pieces.back().shown;
    const auto *a = std::get_if<Prose>(&last), *b = std::get_if<Prose>(&shown);
    return last.index() == shown.index() && (a == nullptr || a->japanese == b->japanese);
  }
  // The piece being read, a new one when its kind changes or a step begins.
  Piece& piece(Item kind) {
    if (result_.steps.empty()) result_.steps.push_back({title_, {}, {}});
    if (!continues(kind)) result_.pieces.push_back({number_, result_.steps.size() - 1, std::move(kind), {}});
    return result_.pieces.back();
  }
  // An empty line separates paragraphs, or lines of code; it opens nothing.
  void separate() {
    if (result_.pieces.empty() || result_.pieces.back().step + 1 != result_.steps.size()) return;
    Item& shown = result_.pieces.back().shown;
    if (auto* prose = std::get_if<Prose>(&shown))
      prose->markdown += "\n";
    else if (!hidden_statement_ && !hiding_)
      std::get<Code>(shown).lines.emplace_back(number_, "");
  }
  void read_code(std::string_view line, std::string_view words) {
    Lines& lines = std::get<Code>(piece(Code{}).shown).lines;
    if (!hidden_statement_ && starts_hidden(words)) {
      hidden_statement_ = true;
      statement_ = {};
    }
    if (hidden_statement_) {
      statement_.read(words);
      hidden_statement_ = !statement_.ended;
    } else if (!hiding_) {
      lines.emplace_back(number_, line);
    }
  }
  // Takes off the common indentation, empty lines at the ends and doubled ones, and loops whose whole body is hidden.
  static void dedent(Lines& lines) {
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const auto &open = lines[i - 1], &close = lines[i];
      const std::size_t indent = close.second.find_first_not_of(' ');
      const bool whole = open.second.ends_with('{') && indent == open.second.find_first_not_of(' ') &&
                         close.second.substr(std::min(indent, close.second.size())) == "}";
      if (!whole || close.first == open.first + 1) continue;
      lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i) - 1,
                  lines.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      i = i < 2 ? 0 : i - 2;  // the loop around it may be empty now
    }
    const auto empty = [](const auto& line) { return line.second.empty(); };
    lines.erase(std::find_if_not(lines.rbegin(), lines.rend(), empty).base(), lines.end());
    lines.erase(lines.begin(), std::find_if_not(lines.begin(), lines.end(), empty));
    lines.erase(
        std::unique(lines.begin(), lines.end(), [&](const auto& a, const auto& b) { return empty(a) && empty(b); }),
        lines.end());
    std::size_t indent = std::string::npos;
    for (const auto& line : lines)
      if (!empty(line)) indent = std::min(indent, line.second.find_first_not_of(' '));
    for (auto& line : lines) line.second.erase(0, std::min(indent, line.second.size()));
  }

  const std::string& title_;
  Source result_;
  Statement statement_;
  int number_ = 0;
  bool hiding_ = false, hidden_statement_ = false, in_lesson_ = false;
};

Source read_source(std::string_view source, const std::string& title) {
  SourceReader reader(title);
  for (const std::string& line : split_lines(source)) reader.read(std::string_view(line).substr(0, line.find('\r')));
  return reader.take();
}

// ---- the recorder -------------------------------------------------------------------------------------------------

struct Recorder {
  std::string file;  // without folder
  Settings settings;
  Recording& recording;
  Source source;

  // A call from another file (a helper shared by lessons) belongs where the lesson spoke last.
  int line_of(const Label& at) {
    if (base_name(at.file) == file) last_line = at.line;
    return last_line;
  }
  Piece& piece_of(const Label& at) {
    if (source.pieces.empty()) throw std::logic_error(file + ": no //% line before the first call");
    const int line = line_of(at);
    auto after =
        std::find_if(source.pieces.begin(), source.pieces.end(), [&](const Piece& p) { return p.first > line; });
    if (after != source.pieces.begin()) --after;
    return *after;
  }
  void add(const Label& at, Item item) {
    auto& recorded = piece_of(at).recorded;
    const auto not_question = [](const Item& i) { return !std::holds_alternative<Question>(i); };
    const bool question = !not_question(item);
    recorded.insert(question ? std::find_if(recorded.begin(), recorded.end(), not_question) : recorded.end(),
                    std::move(item));
  }
  void check(const Label& at, Check result) {
    auto& checks = source.steps[piece_of(at).step].checks;
    result.line = last_line;
    checks.push_back(std::move(result));
  }
  void output(const Label& at, std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    std::size_t start = 0;
    for (std::size_t end = 0; end != std::string::npos; start = end + 1) {
      end = text.find('\n', start);
      const int columns = display_width(std::string_view(text).substr(start, end - start));
      if (columns > width_limit) {
        check(at,
              {"outputs are at most 80 columns wide", false, std::to_string(columns), std::to_string(width_limit), 0});
        break;
      }
    }
    add(at, Output{std::move(text)});
  }
  int last_line = 0;
};

struct SettingError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

void require_parameter(const Recording& recording, const std::string& name) {
  std::string known;
  for (const Parameter& p : recording.parameters) {
    if (p.name == name) return;
    known += fmt::format("{}{} ({}, from {} to {})", known.empty() ? "" : ", ", p.name, p.standard, p.low, p.high);
  }
  throw SettingError(fmt::format("lesson {} has no parameter \"{}\"; it has {}", recording.number, name,
                                 known.empty() ? "none" : known));
}

Recorder* current = nullptr;

Recorder& recorder(const Label& at) {
  if (current == nullptr) throw std::logic_error(fmt::format("\"{}\" is recorded outside of a lesson", at.text));
  return *current;
}

}  // namespace

// ---- what lesson.h declares ---------------------------------------------------------------------------------------

static std::vector<Lesson>& registered() {
  static std::vector<Lesson> all;
  return all;
}
const std::vector<Lesson>& lessons() { return registered(); }

bool add_lesson(Lesson lesson) {
  auto& all = registered();
  const auto after = [&](const Lesson& other) { return other.number >= lesson.number; };
  const auto place = std::find_if(all.begin(), all.end(), after);
  if (place != all.end() && place->number == lesson.number) {
    fmt::print(stderr, "{} and {} are both lesson {}\n", place->file, lesson.file, lesson.number);
    std::abort();
  }
  all.insert(place, std::move(lesson));
  return true;
}

std::string number_text(double x) {
  const std::string s = fmt::format("{:.6g}", x);
  return s == "-0" ? "0" : s;
}

// All entries with the same number of decimals, or all in scientific form when they differ too much in size.
static std::vector<std::string> entries_text(const Eigen::MatrixXd& m) {
  double largest = 0;
  bool whole = true, finite = true;
  for (const double x : m.reshaped()) {
    finite = finite && std::isfinite(x);
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    whole = whole && x == std::round(x);
  }
  const bool fixed = largest < 1e6 && (largest >= 1e-3 || largest == 0);
  const int decimals = whole ? 0 : largest >= 1e4 ? 2 : largest >= 100 ? 4 : 6;
  std::vector<std::string> words;
  for (const double x : m.reshaped()) {
    std::string s = whole && fixed && finite ? fmt::format("{:.0f}", x)
                    : fixed                  ? fmt::format("{:.{}f}", x, decimals)
                                             : fmt::format("{:.5e}", x);
    if (s.find_first_not_of("-0.") == std::string::npos)
      s = x == 0 ? s.substr(s.starts_with('-') ? 1 : 0) : fmt::format("{:.1e}", x);
    words.push_back(std::move(s));
  }
  return words;
}

std::string matrix_text(const Eigen::MatrixXd& m) {
  if (m.size() == 0) return fmt::format("(empty, {} x {})", m.rows(), m.cols());
  const std::vector<std::string> words = entries_text(m);
  if (m.rows() == 1 || m.cols() == 1) {
    std::string line = fmt::format("({})", fmt::join(words, ", "));
    if (line.size() <= 60) return line;
  }
  std::size_t column = 0;
  for (const auto& w : words) column = std::max(column, w.size() + 2);
  // A long vector is laid out like a text, row after row; a wide matrix goes in pieces of whole columns.
  const auto per_line = static_cast<Eigen::Index>(std::max<std::size_t>(1, 76 / column));
  const bool vector = m.cols() == 1 || m.rows() == 1;
  const Eigen::Index cols = vector ? m.size() : m.cols(), rows = vector ? 1 : m.rows();
  std::string all;
  for (Eigen::Index first = 0; first < cols; first += per_line) {
    const Eigen::Index last = std::min(cols, first + per_line);
    if (cols > per_line && !vector) all += fmt::format("{}columns {} to {}\n", first == 0 ? "" : "\n", first + 1, last);
    for (Eigen::Index i = 0; i < rows; ++i, all += '\n')
      for (Eigen::Index j = first; j < last; ++j)
        all += fmt::format("{:>{}}", words[static_cast<std::size_t>(j * rows + i)], column);
  }
  all.pop_back();
  return all;
}

void show(const Label& block) { recorder(block).output(block, block.text); }

void record_values(const Label& at, const Pairs& pairs) {
  std::string all, line;
  const auto flush = [&] {
    if (!line.empty()) all += (all.empty() ? "" : "\n") + line;
    line.clear();
  };
  for (const auto& [name, value] : pairs) {
    if (value.find('\n') != std::string::npos || value.starts_with("  ")) {  // a block: its name stands above it
      flush();
      line = name + " =\n" + value;
      flush();
    } else {
      const std::string pair = name + " = " + value;
      if (!line.empty() && display_width(line) + 3 + display_width(pair) > 76) flush();
      line += (line.empty() ? "" : "   ") + pair;
    }
  }
  flush();
  recorder(at).output(at, all);
}

void figure(const Label& caption, std::string_view svg, std::string_view plain) {
  recorder(caption).add(caption, Figure{caption.text, std::string(svg), std::string(plain)});
}

void record_ask(const Label& question, double answer, double tolerance, std::string_view hint, bool yes_no) {
  if (tolerance < 0) tolerance = answer == 0 ? 0.01 : 0.01 * std::abs(answer);
  if (!std::isfinite(answer))
    recorder(question).check(
        question, {"the answer to \"" + question.text + "\" is a number", false, number_text(answer), "a number", 0});
  recorder(question).add(question, Question{question.text, answer, tolerance, std::string(hint), yes_no});
}

void record_expect(const Label& claim, bool holds, const std::string& got, const std::string& want) {
  recorder(claim).check(claim, {claim.text, holds, got, want, 0});
}

bool equal_numbers(const Eigen::MatrixXd& got, const Eigen::MatrixXd& want, double tolerance) {
  if (got.rows() != want.rows() || got.cols() != want.cols()) return false;
  if (want.size() == 0) return true;
  if (tolerance < 0) tolerance = 1e-12 * want.cwiseAbs().maxCoeff();
  // Equal infinities differ by NaN, hence the first comparison.
  return ((got.array() == want.array()) || ((got - want).array().abs() <= tolerance)).all();
}

double record_parameter(const Label& name, double value, double low, double high, bool whole) {
  Recorder& r = recorder(name);
  const auto set = r.settings.find(name.text);
  const double used = set == r.settings.end() ? value : set->second;
  if (!(used >= low && used <= high))
    throw SettingError(fmt::format("{} = {} is outside of its range, {} to {}", name.text, used, low, high));
  if (whole && used != std::floor(used))
    throw SettingError(fmt::format("{} = {} must be a whole number", name.text, used));
  r.recording.parameters.push_back({name.text, used, value, low, high});
  return used;
}

bool at_default() {
  const auto& parameters = recorder("at_default").recording.parameters;
  return std::all_of(parameters.begin(), parameters.end(), [](const Parameter& p) { return p.value == p.standard; });
}

// ---- what recording.h declares ------------------------------------------------------------------------------------

bool Question::right(double given) const { return std::abs(given - answer) <= tolerance; }
std::string Question::answer_text() const { return yes_no ? (answer != 0 ? "yes" : "no") : number_text(answer); }

bool parse_answer(std::string_view typed, bool yes_no, double& number) {
  std::string s;
  for (const char c : typed)
    if (c != ' ') s += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (yes_no && (s == "yes" || s == "y" || s == "no" || s == "n")) return number = s[0] == 'y' ? 1 : 0, true;
  const auto read = [](std::string_view part, double& x) {
    if (part.starts_with('+')) part.remove_prefix(1);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), x);
    return error == std::errc() && end == part.data() + part.size() && std::isfinite(x);
  };
  const std::size_t slash = s.find('/');
  double below = 1;
  if (!read(std::string_view(s).substr(0, slash), number)) return false;
  if (slash != std::string::npos && (!read(std::string_view(s).substr(slash + 1), below) || below == 0)) return false;
  number /= below;
  return true;
}

int Recording::failures() const {
  int count = error.empty() ? 0 : 1;
  for (const Step& step : steps)
    count += static_cast<int>(
        std::count_if(step.checks.begin(), step.checks.end(), [](const Check& c) { return !c.holds; }));
  return count;
}

Recording record(const Lesson& lesson, std::string_view source, const Settings& settings) {
  Recording recording;
  recording.number = lesson.number;
  recording.title = lesson.title;
  recording.file = "tutorials/" + base_name(lesson.file);
  Recorder recorder{base_name(lesson.file), settings, recording, read_source(source, lesson.title)};
  struct Restore {
    Recorder* outer = current;
    ~Restore() { current = outer; }
  } restore;
  current = &recorder;
  try {
    lesson.run();
    for (const auto& setting : settings) require_parameter(recording, setting.first);
  } catch (const SettingError&) {
    throw;
  } catch (const std::exception& error) {
    recording.error = fmt::format("{}, after line {}: {}", recording.file, recorder.last_line, error.what());
  }
  for (Piece& p : recorder.source.pieces) {
    auto& items = recorder.source.steps[p.step].items;
    const auto* code = std::get_if<Code>(&p.shown);
    if (code == nullptr || !code->lines.empty()) items.push_back(std::move(p.shown));
    std::move(p.recorded.begin(), p.recorded.end(), std::back_inserter(items));
  }
  recording.steps = std::move(recorder.source.steps);
  return recording;
}

}  // namespace tutorials
