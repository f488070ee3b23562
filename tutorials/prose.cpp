// Reads a lesson's small Markdown into blocks and spans, and writes them as lines of a terminal or as HTML.
#include "tutorials/prose.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <numeric>
#include <utility>

namespace tutorials {
namespace {

// ---- characters ---------------------------------------------------------------------------------------------------

struct Character {
  std::string_view bytes;
  int width;
};

int width_of(std::uint32_t c) {
  struct Range {
    std::uint32_t first, last;
  };
  constexpr std::array<Range, 7> none{{{0x0300, 0x036F},
                                       {0x200B, 0x200F},
                                       {0x20D0, 0x20FF},
                                       {0x3099, 0x309A},
                                       {0xFE00, 0xFE0F},
                                       {0xFEFF, 0xFEFF},
                                       {0xE0100, 0xE01EF}}};
  constexpr std::array<Range, 13> two{{{0x1100, 0x115F},
                                       {0x2E80, 0x303E},
                                       {0x3041, 0x33FF},
                                       {0x3400, 0x4DBF},
                                       {0x4E00, 0x9FFF},
                                       {0xA000, 0xA4CF},
                                       {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF},
                                       {0xFE30, 0xFE6F},
                                       {0xFF00, 0xFF60},
                                       {0xFFE0, 0xFFE6},
                                       {0x1F300, 0x1FAFF},
                                       {0x20000, 0x3FFFD}}};
  const auto within = [c](const Range& r) { return c >= r.first && c <= r.last; };
  if (c < 0x20 || std::any_of(none.begin(), none.end(), within)) return 0;
  return std::any_of(two.begin(), two.end(), within) ? 2 : 1;
}

// The next character, or a whole escape sequence ("\033[1m", width 0).
Character next_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead == 0x1B && text.size() > 1 && text[1] == '[') {
    std::size_t n = 2;
    while (n < text.size() && (text[n] < '@' || text[n] > '~')) ++n;
    return {text.substr(0, n + 1), 0};
  }
  std::size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  std::uint32_t code = n == 1 ? lead : lead & (0x7Fu >> n);
  n = std::min(n, text.size());
  for (std::size_t i = 1; i < n; ++i) code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  return {text.substr(0, n), width_of(code)};
}

bool contains(std::string_view set, std::string_view character) {
  return set.find(character) != std::string_view::npos;
}

// ---- spans: emphasis, code, formulas, links -----------------------------------------------------------------------

enum Style : unsigned { plain = 0, strong = 1, emphasis = 2, code = 4, formula = 8 };
struct Span {
  std::string text;
  unsigned style = plain;
  std::string link;
};

std::vector<Span> spans_of(std::string_view text) {
  std::vector<Span> spans;
  unsigned style = plain;
  std::string pending;
  const auto flush = [&] {
    if (!pending.empty()) spans.push_back({std::exchange(pending, ""), style, ""});
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : ' ';
    const auto closing = [&](std::string_view mark) { return text.find(mark, i + mark.size()); };
    std::size_t end = std::string_view::npos;
    if (c == '\\' && std::ispunct(static_cast<unsigned char>(next)) != 0) {
      pending += text[++i];
    } else if ((c == '`' || (c == '$' && next != ' ')) &&
               (end = closing(text.substr(i, 1))) != std::string_view::npos) {
      flush();
      spans.push_back({std::string(text.substr(i + 1, end - i - 1)), style | (c == '`' ? code : formula), ""});
      i = end;
    } else if (c == '*') {
      const std::string_view mark = next == '*' ? "**" : "*";
      const unsigned bit = next == '*' ? strong : emphasis;
      const bool opens = (style & bit) == 0 && i + mark.size() < text.size() && text[i + mark.size()] != ' ' &&
                         closing(mark) != std::string_view::npos;
      const bool closes = (style & bit) != 0 && i > 0 && text[i - 1] != ' ';
      if (opens || closes) {
        flush();
        style ^= bit;
        i += mark.size() - 1;
      } else {
        pending += c;
      }
    } else if (c == '[' && (end = closing("](")) != std::string_view::npos &&
               text.find(')', end) != std::string_view::npos) {
      flush();
      const std::size_t stop = text.find(')', end);
      spans.push_back(
          {std::string(text.substr(i + 1, end - i - 1)), style, std::string(text.substr(end + 2, stop - end - 2))});
      i = stop;
    } else {
      pending += c;
    }
  }
  flush();
  return spans;
}

// ---- blocks -------------------------------------------------------------------------------------------------------

struct Block {
  enum Kind { heading, paragraph, item, table, display, fence, quote } kind;
  int level = 0;                               // of a heading (2 for ##) or of a list item (0 outermost)
  std::string marker;                          // "-" or "1."
  std::string text;                            // lines joined; a fence keeps its line ends
  std::vector<std::vector<std::string>> rows;  // of a table; rows[0] is its head
};

// Continues a paragraph: with a space, but not between two Japanese characters.
void join(std::string& text, std::string_view line) {
  const bool wide_before =
      text.size() >= 3 && next_character(std::string_view(text).substr(text.size() - 3)).width == 2;
  if (!text.empty() && !(wide_before && !line.empty() && next_character(line).width == 2)) text += ' ';
  text += line;
}

std::vector<std::string> cells_of(std::string_view row) {
  std::vector<std::string> cells;
  std::string cell;
  bool in_code = false;
  const auto finish = [&] {
    const std::size_t first = cell.find_first_not_of(' ');
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
    cell.clear();
  };
  for (std::size_t i = 1; i < row.size(); ++i) {
    in_code ^= row[i] == '`';
    if (row[i] == '|' && !in_code && row[i - 1] != '\\')
      finish();
    else
      cell += row[i];
  }
  if (cell.find_first_not_of(' ') != std::string::npos) finish();
  return cells;
}

std::vector<Block> blocks_of(std::string_view markdown) {
  std::vector<Block> blocks;
  bool open = false, in_fence = false, in_display = false;
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find('\n'), markdown.size());
    const std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    const std::size_t indent = line.find_first_not_of(' ');
    const std::string_view text = indent == std::string_view::npos
                                      ? std::string_view()
                                      : line.substr(indent, line.find_last_not_of(' ') - indent + 1);
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const bool number = digits > 0 && text.substr(digits).starts_with(". ");
    if (in_fence || text.starts_with("```")) {
      if (!in_fence)
        blocks.push_back({Block::fence, 0, "", "", {}});
      else if (!text.starts_with("```"))
        blocks.back().text.append(line).append("\n");
      if (text.starts_with("```")) in_fence = !in_fence;
      open = false;
    } else if (in_display || text.starts_with("$$")) {
      std::string_view inside = text;
      if (!in_display) blocks.push_back({Block::display, 0, "", "", {}}), inside.remove_prefix(2);
      in_display = !inside.ends_with("$$");
      if (!in_display) inside.remove_suffix(2);
      blocks.back().text.append(" ").append(inside);
      open = false;
    } else if (text.empty()) {
      open = false;
    } else if (text.starts_with('#') && text.find_first_not_of('#') != std::string_view::npos &&
               text[text.find_first_not_of('#')] == ' ') {
      const std::size_t level = text.find_first_not_of('#');
      blocks.push_back({Block::heading, static_cast<int>(level), "", std::string(text.substr(level + 1)), {}});
      open = false;
    } else if (text.starts_with('|')) {
      if (blocks.empty() || blocks.back().kind != Block::table || !open)
        blocks.push_back({Block::table, 0, "", "", {}});
      if (text.find_first_not_of("|-: ") != std::string_view::npos) blocks.back().rows.push_back(cells_of(text));
      open = true;
    } else if (text.starts_with("- ") || text.starts_with("* ") || number) {
      const std::string_view marker = number ? text.substr(0, digits + 1) : "-";
      blocks.push_back({Block::item,
                        static_cast<int>(indent / 2),
                        std::string(marker),
                        std::string(text.substr(marker.size() + 1)),
                        {}});
      open = true;
    } else if (text.starts_with("> ")) {
      if (!open || blocks.back().kind != Block::quote) blocks.push_back({Block::quote, 0, "", "", {}});
      join(blocks.back().text, text.substr(2));
      open = true;
    } else {
      if (!open || blocks.back().kind == Block::table) blocks.push_back({Block::paragraph, 0, "", "", {}});
      join(blocks.back().text, text);
      open = true;
    }
  }
  return blocks;
}

// ---- as lines -----------------------------------------------------------------------------------------------------

struct Cell {
  Character character;
  unsigned style;
  bool glued;  // no break here: inside a short formula or piece of code
};

// The lines of one paragraph. Breaks at spaces and next to wide characters, where Japanese typesetting allows it.
std::vector<std::string> wrap(const std::vector<Span>& spans, int width, bool colour) {
  std::vector<std::string> kept;  // owns the characters' bytes
  kept.reserve(spans.size());
  std::vector<Cell> cells;
  for (const Span& span : spans) {
    std::string text = (span.style & formula) != 0 ? math_text(span.text) : span.text;
    if ((span.style & code) != 0 && !colour) text = "`" + text + "`";
    if (!span.link.empty()) text += " (" + span.link + ")";
    kept.push_back(std::move(text));
    const bool glue = (span.style & (formula | code)) != 0 && display_width(kept.back()) <= 30;
    for (std::string_view rest = kept.back(); !rest.empty();) {
      cells.push_back({next_character(rest), span.style, glue && rest.size() < kept.back().size()});
      rest.remove_prefix(cells.back().character.bytes.size());
    }
  }
  const auto may_break = [&](std::size_t i) {  // before cell i
    const Character &before = cells[i - 1].character, &after = cells[i].character;
    if (cells[i].glued) return false;
    if (before.bytes == " ") return true;
    if (before.width != 2 && after.width != 2) return false;
    return after.bytes != " " && !contains("、。，．」』）］｝！？：；ー々・,.;:!?)]}", after.bytes) &&
           !contains("「『（［｛([{", before.bytes);
  };
  std::vector<std::string> lines;
  std::size_t start = 0;
  while (start < cells.size()) {
    std::size_t end = start, good = start;
    for (int used = 0; end < cells.size() && used + cells[end].character.width <= width; ++end)
      used += cells[end].character.width;
    if (end < cells.size()) {
      if (cells[end].character.bytes == " " && !cells[end].glued) good = end;
      for (std::size_t i = end; good == start && i > start; --i)
        if (may_break(i)) good = i;
      end = good > start ? good : std::max(end, start + 1);
    }
    std::size_t stop = end;
    while (stop > start && cells[stop - 1].character.bytes == " ") --stop;
    std::string line;
    unsigned style = plain;
    for (std::size_t i = start; i <= stop; ++i) {
      const unsigned now = colour && i < stop ? cells[i].style : plain;
      if (now != style) {
        line += "\033[0m";
        if ((now & strong) != 0) line += "\033[1m";
        if ((now & emphasis) != 0) line += "\033[3m";
        if ((now & code) != 0) line += "\033[36m";
        style = now;
      }
      if (i < stop) line += cells[i].character.bytes;
    }
    lines.push_back(std::move(line));
    for (start = end; start < cells.size() && cells[start].character.bytes == " ";) ++start;
  }
  return lines;
}

std::string padded(const std::string& text, int columns) {
  return text + std::string(static_cast<std::size_t>(std::max(0, columns - display_width(text))), ' ');
}

std::vector<std::string> table_lines(const Block& block, int width, bool colour) {
  std::vector<int> columns;
  for (const auto& row : block.rows) {
    columns.resize(std::max(columns.size(), row.size()));
    for (std::size_t j = 0; j < row.size(); ++j) {
      const auto lines = wrap(spans_of(row[j]), 10000, colour);
      columns[j] = std::max(columns[j], lines.empty() ? 0 : display_width(lines[0]));
    }
  }
  const int room = width - 2 * static_cast<int>(columns.size()),
            needed = std::accumulate(columns.begin(), columns.end(), 0);
  if (needed > room) {  // the widest column gives way, its cells wrap
    auto widest = std::max_element(columns.begin(), columns.end());
    *widest = std::max(10, *widest - (needed - room));
  }
  std::vector<std::string> lines;
  for (std::size_t r = 0; r < block.rows.size(); ++r) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 1;
    for (std::size_t j = 0; j < block.rows[r].size(); ++j) {
      cells.push_back(wrap(spans_of(block.rows[r][j]), columns[j], colour));
      height = std::max(height, cells.back().size());
    }
    for (std::size_t k = 0; k < height; ++k) {
      std::string line;
      for (std::size_t j = 0; j < cells.size(); ++j)
        line += "  " + padded(k < cells[j].size() ? cells[j][k] : "", columns[j]);
      line.erase(line.find_last_not_of(' ') + 1);
      lines.push_back(std::move(line));
    }
    if (r == 0) {
      std::string rule;
      for (const int column : columns) rule += "  " + std::string(static_cast<std::size_t>(column), '-');
      lines.push_back(paint(rule, "2", colour));
    }
  }
  return lines;
}

// ---- as HTML ------------------------------------------------------------------------------------------------------

std::string spans_html(const std::vector<Span>& spans) {
  std::string html;
  for (const Span& span : spans) {
    std::string inside = (span.style & formula) != 0 ? math_html(span.text) : escape_html(span.text);
    if ((span.style & code) != 0) inside = "<code>" + inside + "</code>";
    if ((span.style & emphasis) != 0) inside = "<em>" + inside + "</em>";
    if ((span.style & strong) != 0) inside = "<strong>" + inside + "</strong>";
    const bool safe = span.link.starts_with("https://") || span.link.starts_with("http://") ||
                      span.link.starts_with('#') || span.link.find(':') == std::string::npos;
    if (!span.link.empty() && safe) inside = "<a href=\"" + escape_html(span.link) + "\">" + inside + "</a>";
    html += inside;
  }
  return html;
}

}  // namespace

// ---- what prose.h declares ----------------------------------------------------------------------------------------

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Character c = next_character(text);
    width += c.width;
    text.remove_prefix(c.bytes.size());
  }
  return width;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  for (std::size_t end = 0; end != std::string_view::npos; text.remove_prefix(std::min(text.size(), end + 1))) {
    end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
  }
  return lines;
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (std::size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : "\n") + lines[i];
  return text;
}

std::string cut_to_width(std::string_view text, int columns) {
  std::string cut;
  bool styled = false;
  while (!text.empty()) {
    const Character c = next_character(text);
    if ((columns -= c.width) < 0) break;
    styled = styled || c.bytes[0] == '\033';
    cut += c.bytes;
    text.remove_prefix(c.bytes.size());
  }
  return styled && !text.empty() ? cut + "\033[0m" : cut;
}

std::string paint(std::string_view text, std::string_view codes, bool colour) {
  if (!colour || text.empty()) return std::string(text);
  return "\033[" + std::string(codes) + "m" + std::string(text) + "\033[0m";
}

std::vector<std::string> paragraph_lines(std::string_view markdown, int width, bool colour) {
  return wrap(spans_of(markdown), width, colour);
}

std::vector<std::string> prose_lines(std::string_view markdown, int width, bool colour) {
  std::vector<std::string> lines;
  const auto add = [&](const std::vector<std::string>& more, const std::string& first, const std::string& others) {
    for (std::size_t i = 0; i < more.size(); ++i) lines.push_back((i == 0 ? first : others) + more[i]);
  };
  bool after_item = false;
  for (const Block& block : blocks_of(markdown)) {
    if (!lines.empty() && !(after_item && block.kind == Block::item)) lines.emplace_back();
    after_item = block.kind == Block::item;
    switch (block.kind) {
      case Block::heading:
        lines.push_back(paint(block.text, "1", colour));
        break;
      case Block::paragraph:
        add(wrap(spans_of(block.text), width, colour), "", "");
        break;
      case Block::quote:
        add(wrap(spans_of(block.text), width - 2, colour), "| ", "| ");
        break;
      case Block::display:
        lines.push_back("    " + math_text(block.text));
        break;
      case Block::table:
        add(table_lines(block, width, colour), "", "");
        break;
      case Block::item: {
        const std::string indent(static_cast<std::size_t>(3 * block.level + 1), ' ');
        const std::string others = indent + std::string(block.marker.size() + 1, ' ');
        add(wrap(spans_of(block.text), width - static_cast<int>(others.size()), colour), indent + block.marker + " ",
            others);
        break;
      }
      case Block::fence:
        for (std::string_view rest = block.text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1))
          lines.push_back("    " + std::string(rest.substr(0, rest.find('\n'))));
        break;
    }
  }
  return lines;
}

std::string escape_html(std::string_view text) {
  std::string html;
  for (const char c : text) {
    if (c == '&')
      html += "&amp;";
    else if (c == '<')
      html += "&lt;";
    else if (c == '>')
      html += "&gt;";
    else if (c == '"')
      html += "&quot;";
    else if (c == '\'')
      html += "&#39;";
    else
      html += c;
  }
  return html;
}

std::string inline_html(std::string_view markdown) { return spans_html(spans_of(markdown)); }

std::string prose_html(std::string_view markdown, std::string_view attributes) {
  std::string html;
  const std::string with(attributes);
  std::vector<std::string> lists;  // the open <ul> or <ol>, outermost first
  const auto close_lists = [&](std::size_t depth) {
    for (; lists.size() > depth; lists.pop_back()) html += "</li></" + lists.back() + ">\n";
  };
  for (const Block& block : blocks_of(markdown)) {
    if (block.kind != Block::item) close_lists(0);
    const std::string inside = block.kind == Block::table ? "" : inline_html(block.text);
    switch (block.kind) {
      case Block::heading: {
        const std::string name = "h" + std::to_string(std::min(6, block.level + 1));
        html += "<" + name + with + ">" + inside + "</" + name + ">\n";
        break;
      }
      case Block::paragraph:
        html += "<p" + with + ">" + inside + "</p>\n";
        break;
      case Block::quote:
        html += "<blockquote" + with + "><p>" + inside + "</p></blockquote>\n";
        break;
      case Block::display:
        html += "<p>" + math_html(block.text, true) + "</p>\n";
        break;
      case Block::fence:
        html += "<pre>" + escape_html(block.text) + "</pre>\n";
        break;
      case Block::item: {
        const std::string list = block.marker == "-" ? "ul" : "ol";
        const std::size_t depth = std::min(static_cast<std::size_t>(block.level), lists.size());
        close_lists(depth + 1);
        if (lists.size() == depth + 1 && lists.back() != list) close_lists(depth);
        if (lists.size() == depth) {
          html += "<" + list + with + ">\n";
          lists.push_back(list);
        } else {
          html += "</li>\n";
        }
        html += "<li>" + inside;
        break;
      }
      case Block::table:
        html += "<table" + with + ">\n";
        for (std::size_t r = 0; r < block.rows.size(); ++r) {
          html += "<tr>";
          for (const std::string& cell : block.rows[r])
            html += (r == 0 ? "<th>" : "<td>") + inline_html(cell) + (r == 0 ? "</th>" : "</td>");
          html += "</tr>\n";
        }
        html += "</table>\n";
        break;
    }
  }
  close_lists(0);
  return html;
}

}  // namespace tutorials
