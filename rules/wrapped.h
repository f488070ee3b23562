// Text in lines of a given width, for reports.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace rules {

/// `text` in lines of at most `width`, each but the first behind `indent` spaces; the text's own lines stay lines.
inline std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
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

}  // namespace rules
