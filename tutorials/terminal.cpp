// Steps through lessons in a terminal: draws a page, reads a key, asks before it shows. Leaves the terminal as it was.
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>

#include "tutorials/prose.h"
#include "tutorials/readers.h"

extern char** environ;

namespace tutorials {
namespace {

// ---- the terminal: raw while a Screen lives, restored on the way out, also by a signal ----------------------------

termios before, raw;  // the handlers' only state; everything they call is async-signal-safe

void write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n > 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      return;
  }
}
void enter_screen() {
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  write_all("\033[?1049h\033[?25l");
}
void leave_screen() {
  write_all("\033[?25h\033[?1049l");
  tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

constexpr std::array<int, 5> signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

// Does what the signal does by default, with the terminal restored. After a stop (Ctrl-Z) all is set up again.
void on_signal(int signal) {
  const int kept = errno;
  leave_screen();
  struct sigaction usual {
  }, ours;
  usual.sa_handler = SIG_DFL;
  sigaction(signal, &usual, &ours);
  sigset_t only, old;
  sigemptyset(&only);
  sigaddset(&only, signal);
  raise(signal);
  sigprocmask(SIG_UNBLOCK, &only, &old);  // it is delivered here
  sigprocmask(SIG_SETMASK, &old, nullptr);
  sigaction(signal, &ours, nullptr);
  enter_screen();
  errno = kept;
}
void on_resize(int) {}  // only interrupts poll, so that the page is drawn anew

class Screen {
 public:
  Screen() {
    if (tcgetattr(STDIN_FILENO, &before) != 0) throw std::runtime_error("standard input is not a terminal");
    raw = before;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &action, &usual_[i]);
    action.sa_handler = on_resize;
    sigaction(SIGWINCH, &action, &usual_resize_);
    enter_screen();
  }
  ~Screen() {
    leave_screen();
    for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &usual_[i], nullptr);
    sigaction(SIGWINCH, &usual_resize_, nullptr);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

 private:
  std::array<struct sigaction, signals.size()> usual_{};
  struct sigaction usual_resize_ {};
};

std::pair<int, int> screen_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 24};
  return {std::max<int>(20, size.ws_col), std::max<int>(4, size.ws_row)};
}

// Keys beyond the characters they send.
enum Key : int { nothing = 0, up = 256, down, left, right, page_up, page_down, home, end_key, escape, closed };

int read_byte(int wait_ms) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, wait_ms) <= 0) return nothing;  // nothing typed, or a signal (a new size): draw again
  unsigned char byte = 0;
  const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
  if (n == 1) return byte;
  return n == 0 || errno != EINTR ? closed : nothing;
}

int read_key() {
  const int first = read_byte(-1);
  if (first != '\033') return first == '\n' ? '\r' : first;
  std::string rest;
  for (int byte = read_byte(40); byte > 0 && byte < 256; byte = read_byte(40)) {
    rest += static_cast<char>(byte);
    if (rest.size() > 1 && byte >= '@' && byte <= '~') break;
  }
  static const std::map<std::string, int> keys = {{"", escape},    {"[A", up},       {"[B", down},       {"[C", right},
                                                  {"[D", left},    {"OA", up},       {"OB", down},       {"OC", right},
                                                  {"OD", left},    {"[5~", page_up}, {"[6~", page_down}, {"[H", home},
                                                  {"[F", end_key}, {"[1~", home},    {"[4~", end_key}};
  const auto found = keys.find(rest);
  return found == keys.end() ? nothing : found->second;
}

const char* const help = R"( space, enter, n, right   the next page of a long step, then the next step
 b, left                  the step before
 down, up, j, k           a line further, a line back; page down, page up
 g                        go to a step ("4"), or to a step of a lesson ("2.4")
 ] [                      the next lesson, the lesson before
 t                        the table of contents
 s                        set a parameter of the lesson and run it again
 o                        write this lesson as a page and open it in the browser
 q                        quit

 At a question, type a number (-0.25, 1/3, 2e-3) and enter; space or enter
 without a number shows the answer. "yes" and "no" can be y and n.)";

// ---- the reader ---------------------------------------------------------------------------------------------------

class Browser {
 public:
  explicit Browser(const std::function<Recording(int, const Settings&)>& load) : load_(load) {}

  void run(int lesson, std::size_t step, const Settings& settings) {
    settings_[lesson] = settings;
    open(lesson);
    go(step);
    draw();
    while (!quit_) {
      const int key = read_key();
      if (key == closed) return;
      if (key != nothing) press(key);
      if (!quit_) draw();
    }
  }

 private:
  using Where = std::pair<int, std::size_t>;  // lesson and step

  /// The lesson, run now. Some take seconds: the bottom line says so.
  Recording ran(int lesson, const Settings& settings) const {
    write_all(fmt::format("\033[{};1H\033[K lesson {} runs ...", screen_size().second, lesson));
    return load_(lesson, settings);
  }
  void open(int lesson) {
    if (lesson != 0 &&
        std::none_of(lessons().begin(), lessons().end(), [&](const Lesson& l) { return l.number == lesson; })) {
      message_ = fmt::format("there is no lesson {}", lesson);
      return;
    }
    recording_ = lesson == 0 ? contents() : ran(lesson, settings_[lesson]);
    if (recording_.steps.empty()) recording_.steps.push_back({recording_.title, {}, {}});
    step_ = 0, scroll_ = 0;
  }
  void go(std::size_t step) {
    step_ = std::min(step, recording_.steps.size() - 1);
    scroll_ = 0;
    typed_.clear();
    hinted_ = false;
  }
  // The lesson before or after this one; 0 is the table of contents, -1 is none.
  int neighbour(int direction) const {
    int best = direction < 0 && recording_.number > 0 ? 0 : -1;
    for (const Lesson& l : lessons()) {
      if (direction > 0 && l.number > recording_.number) return l.number;
      if (direction < 0 && l.number < recording_.number) best = l.number;
    }
    return best;
  }
  void turn(int direction, bool to_end = false) {
    const int lesson = neighbour(direction);
    if (lesson < 0) {
      message_ = direction > 0 ? "this was the last lesson" : "this is the beginning";
      return;
    }
    open(lesson);
    go(to_end ? recording_.steps.size() : 0);
  }

  Page page(int columns) {
    return lay_out(recording_, step_, {columns, colour_}, &verdicts_[{recording_.number, step_}]);
  }

  // What can be scrolled: the page, and behind a question the line that is being typed.
  std::vector<std::string> body(const Page& page) const {
    auto lines = page.lines;
    if (page.asked != nullptr) {
      while (!lines.empty() && lines.back().empty()) lines.pop_back();
      if (hinted_) lines.push_back("   " + paint("not yet. ", "33;1", colour_) + page.asked->hint);
      lines.push_back("   " + std::string(page.asked->yes_no ? "yes or no: " : "your answer: ") + typed_ +
                      paint("_", "5", colour_));
    }
    return lines;
  }

  void press(int key) {
    message_.clear();
    const auto [columns, rows] = screen_size();
    const Page now = page(columns);
    const int height = rows - 2, lines = static_cast<int>(body(now).size()), bottom = std::max(0, lines - height);
    scroll_ = std::min(scroll_, bottom);
    if (now.asked != nullptr && answers_with(key, *now.asked)) {
      scroll_ = std::max(0, static_cast<int>(body(now).size()) - height);
      return;
    }
    switch (key) {
      case '\r':
      case ' ':
        if (!typed_.empty()) return judge(*now.asked, lines);
        [[fallthrough]];
      case 'n':
      case right:
      case page_down:
        if (scroll_ < bottom)
          scroll_ = std::min(bottom, scroll_ + height - 1);
        else if (now.asked != nullptr)
          reveal("answer: " + now.asked->answer_text(), lines);
        else if (step_ + 1 < recording_.steps.size())
          go(step_ + 1);
        else
          turn(1);
        break;
      case 'b':
      case left:
        if (step_ > 0)
          go(step_ - 1);
        else
          turn(-1, true);
        break;
      case 'j':
      case down:
        scroll_ = std::min(bottom, scroll_ + 1);
        break;
      case 'k':
      case up:
        scroll_ = std::max(0, scroll_ - 1);
        break;
      case page_up:
        scroll_ = std::max(0, scroll_ - height + 1);
        break;
      case home:
        scroll_ = 0;
        break;
      case end_key:
        scroll_ = bottom;
        break;
      case ']':
        turn(1);
        break;
      case '[':
        turn(-1);
        break;
      case 't':
        open(0);
        break;
      case 'g':
        goto_step();
        break;
      case 's':
        set_parameter();
        break;
      case 'o':
        open_in_browser();
        break;
      case '?':
        show_help();
        break;
      case 'q':
        quit_ = true;
        break;
      default:
        break;
    }
  }

  // Takes keys that belong to an answer: a number's characters, or letters of yes and no; erasing.
  bool answers_with(int key, const Question& question) {
    if ((key == 127 || key == 8) && !typed_.empty()) return typed_.pop_back(), true;
    if (key == 21 || key == escape) return typed_.clear(), true;
    if (key >= 128 || key <= 32 || typed_.size() > 30) return false;
    const std::string_view allowed = question.yes_no  ? (typed_.empty() ? "yn" : "yesno")
                                     : typed_.empty() ? "0123456789.-+"
                                                      : "0123456789.-+/e";
    if (allowed.find(static_cast<char>(key)) == std::string_view::npos) return !typed_.empty();
    typed_ += static_cast<char>(key);
    return true;
  }
  void judge(const Question& question, int lines) {
    double given = 0;
    if (!parse_answer(typed_, question.yes_no, given)) {
      message_ = question.yes_no ? "yes or no, please" : "a number, please: -0.25, 1/3, 2e-3";
    } else if (question.right(given)) {
      reveal(paint("right", "32;1", colour_) + ": " + question.answer_text(), lines);
    } else if (!hinted_ && !question.hint.empty()) {
      hinted_ = true;
      typed_.clear();
      scroll_ += 1;  // the hint takes a line; draw() keeps this within the page
    } else {
      reveal("you said " + typed_ + ", it is " + paint(question.answer_text(), "1", colour_), lines);
    }
  }
  // Ends a question; what it hid stands just below it.
  void reveal(const std::string& verdict, int lines) {
    verdicts_[{recording_.number, step_}].push_back(verdict);
    typed_.clear();
    hinted_ = false;
    const auto [columns, rows] = screen_size();
    const int bottom = std::max(0, static_cast<int>(body(page(columns)).size()) - (rows - 2));
    scroll_ = std::min(bottom, std::max(scroll_, lines - 4));
  }

  // Asks for a line in the bottom line. Nothing when the reader leaves it with escape or empty.
  std::string read_line(const std::string& prompt) {
    std::string line;
    while (true) {
      draw(prompt + line + "_");
      const int key = read_key();
      if (key == closed) quit_ = true;
      if (key == closed || key == escape) return "";
      if (key == '\r') return line;
      if ((key == 127 || key == 8) && !line.empty())
        line.pop_back();
      else if (key >= ' ' && key < 127)
        line += static_cast<char>(key);
    }
  }
  void goto_step() {
    const bool toc = recording_.number == 0;
    const std::string line =
        read_line(toc ? " lesson: " : fmt::format(" step (1 to {}), or lesson.step: ", recording_.steps.size()));
    if (line.empty()) return;
    int first = 0, second = 0;
    const int read = std::sscanf(line.c_str(), "%d%*[.: ]%d", &first, &second);
    if (read < 1 || first < 0) {
      message_ = "\"" + line + "\" is no step";
    } else if (toc || read == 2) {
      open(first);
      if (message_.empty()) go(static_cast<std::size_t>(std::max(1, second) - 1));
    } else if (first < 1 || first > static_cast<int>(recording_.steps.size())) {
      message_ = fmt::format("this lesson has steps 1 to {}", recording_.steps.size());
    } else {
      go(static_cast<std::size_t>(first - 1));
    }
  }
  void set_parameter() {
    if (recording_.parameters.empty()) {
      message_ = "this lesson has no parameters";
      return;
    }
    std::string names;
    for (const Parameter& p : recording_.parameters)
      names += fmt::format("{}{}={}", names.empty() ? "" : ", ", p.name, number_text(p.value));
    const std::string line = read_line(fmt::format(" set ({}): ", names));
    if (line.empty()) return;
    const std::size_t equals = line.find('=');
    double value = 0;
    if (equals == std::string::npos || !parse_answer(std::string_view(line).substr(equals + 1), false, value)) {
      message_ = "name=value, please";
      return;
    }
    Settings changed = settings_[recording_.number];
    changed[line.substr(0, equals)] = value;
    try {
      Recording again = ran(recording_.number, changed);
      recording_ = std::move(again);
    } catch (const std::invalid_argument& error) {
      message_ = error.what();
      return;
    }
    settings_[recording_.number] = std::move(changed);
    std::erase_if(verdicts_, [&](const auto& entry) { return entry.first.first == recording_.number; });
    go(step_);
    message_ = line + ": the lesson ran again";
  }

  void open_in_browser() {
    if (recording_.number == 0) {
      message_ = "open a lesson first; the whole book: unroll lesson --html FILE";
      return;
    }
    if (folder_.empty()) {
      // mkdtemp() makes up the last six letters
      std::string name = (std::filesystem::temp_directory_path() / "unroll-").string() + std::string(6, 'X');
      if (mkdtemp(name.data()) == nullptr) {
        message_ = "cannot write in " + std::filesystem::temp_directory_path().string();
        return;
      }
      folder_ = name;
    }
    const auto file = std::filesystem::path(folder_) / fmt::format("lesson-{:02}.html", recording_.number);
    std::ofstream(file) << html({recording_});
    const std::string address = fmt::format("file://{}#step-{}", file.string(), step_ + 1);
    message_ = "written: " + address;
#ifdef __APPLE__
    const char* opener = "open";
#else
    const char* opener = "xdg-open";
    if (std::getenv("DISPLAY") == nullptr && std::getenv("WAYLAND_DISPLAY") == nullptr) return;
#endif
    std::array<char*, 3> words{const_cast<char*>(opener), const_cast<char*>(address.c_str()), nullptr};
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    for (const int fd : {0, 1, 2}) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", fd == 0 ? 0x0 : 0x2, 0);
    pid_t child = 0;
    if (posix_spawnp(&child, opener, &quiet, nullptr, words.data(), environ) == 0) waitpid(child, nullptr, WNOHANG);
    posix_spawn_file_actions_destroy(&quiet);
  }

  void show_help() {
    help_ = true;
    draw();
    while (read_key() == nothing) draw();
    help_ = false;
  }

  void draw(const std::string& prompt = "") {
    const auto [columns, rows] = screen_size();
    const int height = rows - 2;
    std::vector<std::string> lines;
    bool asking = false;
    if (help_) {
      lines = split_lines(help);
    } else {
      const Page now = page(columns);
      lines = body(now);
      asking = now.asked != nullptr;
    }
    const int bottom = std::max(0, static_cast<int>(lines.size()) - height);
    scroll_ = std::min(scroll_, bottom);
    const int top = help_ ? 0 : scroll_;
    std::string frame =
        "\033[H" + cut_to_width(top_line(recording_, step_, {columns, colour_}), columns) + "\033[K\r\n";
    for (int i = top; i < top + height; ++i) {
      if (i < static_cast<int>(lines.size())) frame += cut_to_width(lines[static_cast<std::size_t>(i)], columns);
      frame += "\033[0m\033[K\r\n";
    }
    std::string status = prompt;
    if (status.empty()) status = message_.empty() ? "" : " " + message_;
    if (status.empty() && help_) status = " any key goes back";
    if (status.empty()) {
      status = top < bottom             ? " space more   "
               : asking                 ? " type, then enter   space show   "
               : recording_.number == 0 ? " space first lesson   "
                                        : " space next   ";
      status += recording_.number == 0 ? "g go to a lesson   ? help   q quit"
                : asking               ? "b back   ? help   q quit"
                                       : "b back   g goto   o open in browser   ? help   q quit";
      if (bottom > 0) status += fmt::format("   {}%", 100 * (top + height) / static_cast<int>(lines.size()));
    }
    frame +=
        paint(cut_to_width(status, columns - 1), "2", colour_ && prompt.empty() && message_.empty()) + "\033[K\033[J";
    write_all(frame);
  }

  std::map<int, Settings> settings_;  // of each lesson
  const std::function<Recording(int, const Settings&)>& load_;
  Recording recording_;
  std::size_t step_ = 0;
  int scroll_ = 0;
  std::map<Where, std::vector<std::string>> verdicts_;
  std::string typed_, message_, folder_;
  bool hinted_ = false, help_ = false, quit_ = false;
  const bool colour_ = std::getenv("NO_COLOR") == nullptr || *std::getenv("NO_COLOR") == '\0';
};

}  // namespace

void browse(int lesson, std::size_t step, const Settings& settings,
            const std::function<Recording(int, const Settings&)>& load) {
  Screen screen;
  Browser(load).run(lesson, step, settings);
}

}  // namespace tutorials
