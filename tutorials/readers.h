// The readers of a recording: plain text, Markdown, HTML, the check, and stepping in a terminal.
#pragma once

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "tutorials/recording.h"

namespace tutorials {

struct Look {
  int width = 80;
  bool colour = false;
};

/// "02 Reverse mode: the tape ------ step 4/9 ====-----", exactly as wide as asked.
std::string top_line(const Recording& recording, std::size_t step, Look look);

/// A step laid out for a screen. With `verdicts`, one for each question answered so far, it ends at the first question
/// without one, which is `asked`; without, questions are followed by their answers.
struct Page {
  std::vector<std::string> lines;
  const Question* asked = nullptr;
};
Page lay_out(const Recording& recording, std::size_t step, Look look,
             const std::vector<std::string>* verdicts = nullptr);

/// The whole lesson, or one step (counted from 0).
std::string plain_text(const Recording& recording, Look look);
std::string plain_step(const Recording& recording, std::size_t step, Look look);
std::string markdown(const Recording& recording);

/// One self-contained page: a lesson (steps at #step-3) or, of several, the book (#lesson-2-step-3) with its contents.
std::string html(const std::vector<Recording>& recordings);

/// Prints a line per lesson and every claim that does not hold, with file:line; returns the number of failures.
int check(const std::vector<Recording>& recordings, std::ostream& out);

/// The table of contents as a recording of one step, number 0.
Recording contents();

/// Steps through the lessons until the reader quits; `load` records lesson N. Needs a terminal.
void browse(int lesson, std::size_t step, const Settings& settings,
            const std::function<Recording(int number, const Settings&)>& load);

}  // namespace tutorials
