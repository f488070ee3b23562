// Prose of a lesson (a small Markdown with simple formulas) as lines of text and as HTML; how wide text is on a screen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tutorials {

/// Columns a text takes on a terminal: Japanese and other wide characters take two, accents and colours none.
int display_width(std::string_view text);

/// The lines of a text, without their ends; one empty line for an empty text.
std::vector<std::string> split_lines(std::string_view text);
std::string join_lines(const std::vector<std::string>& lines);

/// `text` cut to at most `columns` columns; colours are closed.
std::string cut_to_width(std::string_view text, int columns);

/// `text` in the style of `codes` ("1;32"), or as it is without colour.
std::string paint(std::string_view text, std::string_view codes, bool colour);

/// Markdown (headings, paragraphs, lists, tables, quotes, fences, *emphasis*, **strong**, `code`, [link](url),
/// $formula$, $$formula$$) as lines of at most `width` columns.
std::vector<std::string> prose_lines(std::string_view markdown, int width, bool colour);
/// One paragraph without blocks.
std::vector<std::string> paragraph_lines(std::string_view markdown, int width, bool colour);

std::string escape_html(std::string_view text);
std::string prose_html(std::string_view markdown, std::string_view attributes = "");
/// One paragraph without blocks and without <p>.
std::string inline_html(std::string_view markdown);

/// A formula of simple LaTeX as one line of Unicode text: \frac{\partial L}{\partial h_t} -> "∂L/∂hₜ".
std::string math_text(std::string_view latex);
/// The same as native MathML.
std::string math_html(std::string_view latex, bool display = false);

}  // namespace tutorials
