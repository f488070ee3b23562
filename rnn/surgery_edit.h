// An edit of the gradient in words: "J = leak; feedback = random" says what is left of the exact one.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cctype>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace rnn {

/// What is done to the exact gradient dL/dtheta = sum over t, s of q_t^T J_t ... J_{s+1} P~_s. Untouched, it is exact.
struct Edit {
  /// Of J_t: all of it; the leak 1 - alpha; its diagonal; all of it, but of the weights into unit k only those units
  /// keep a tangent that k reaches in n - 1 connections; nothing.
  enum class J { full, leak, diagonal, mask, none };
  /// Adjoints pass no block's end, each block `every` so many steps; or come from less than so many steps `after`.
  enum class Cut { never, every, after };
  /// What the errors of the outputs go back through: W_out^T, a random matrix, or the signs of W_out^T.
  enum class Feedback { transpose, random, sign };
  /// What arrives at a cut from later times: what truly comes; a prediction of it, learned on the way; nothing.
  enum class Future { actual, predicted, none };
  /// All tangents, or one, in a direction drawn once: signs or Gaussian numbers.
  enum class Projection { none, signs, Gaussian };

  J j = J::full;
  Eigen::Index mask = 1;  // n
  Cut cut = Cut::never;
  Eigen::Index steps = 0;  // of cut
  Feedback feedback = Feedback::transpose;
  Future future = Future::actual;
  Projection projection = Projection::none;

  bool operator==(const Edit&) const = default;
};

namespace detail {

struct EditWords {
  std::string_view key;
  std::vector<std::string_view> values;  // in the order of the enumerators; # stands for a whole number
};
inline const std::array<EditWords, 5>& edit_words() {
  static const std::array<EditWords, 5> words = {{{"J", {"full", "leak", "diagonal", "#-step mask", "none"}},
                                                  {"cut", {"never", "every #", "after #"}},
                                                  {"feedback", {"transpose", "random", "sign"}},
                                                  {"future", {"true", "predicted", "none"}},
                                                  {"projection", {"none", "signs", "Gaussian"}}}};
  return words;
}

inline std::string joined(const std::vector<std::string_view>& words) {
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : ", ") + std::string(word);
  return all;
}
inline std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

/// Whether `text` is `pattern`, in which # stands for a whole number from 1 on; then that number is in `number`.
inline bool matches(std::string_view text, std::string_view pattern, Eigen::Index& number) {
  const std::size_t hash = pattern.find('#');
  if (hash == std::string_view::npos) return text == pattern;
  const std::string_view before = pattern.substr(0, hash), after = pattern.substr(hash + 1);
  if (!text.starts_with(before) || !text.ends_with(after) || text.size() <= before.size() + after.size()) return false;
  const std::string_view digits = text.substr(before.size(), text.size() - before.size() - after.size());
  if (digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string_view::npos) return false;
  number = std::stol(std::string(digits));
  return number >= 1;
}

/// The place of `value` among the words of `key`.
inline int edit_choice(const EditWords& words, std::string_view value, Eigen::Index& number) {
  for (std::size_t i = 0; i < words.values.size(); ++i)
    if (matches(value, words.values[i], number)) return static_cast<int>(i);
  const std::string allowed = joined(words.values), key(words.key);
  throw std::invalid_argument("edit: " + key + " = \"" + std::string(value) + "\" is not known; " + key + " may be " +
                              allowed +
                              (allowed.find('#') == std::string::npos ? "" : " (#: a whole number from 1 on)"));
}

inline std::string with_number(std::string_view pattern, Eigen::Index number) {
  std::string text(pattern);
  if (const std::size_t hash = text.find('#'); hash != std::string::npos) text.replace(hash, 1, std::to_string(number));
  return text;
}

}  // namespace detail

/// Reads "J = leak; feedback = random". What is not said is left as it is in the exact gradient, except that a cut lets
/// nothing through, and that a future predicted, or none, without a cut means a cut after every step. Throws
/// std::invalid_argument, naming the word and the words allowed.
inline Edit parse_edit(std::string_view text) {
  Edit edit;
  std::array<bool, 5> said{};
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(";,");
    const std::string_view clause = detail::trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (clause.empty()) continue;
    const std::size_t equals = clause.find('=');
    const std::string_view key = detail::trimmed(clause.substr(0, equals));
    std::size_t which = 0;
    std::vector<std::string_view> keys;
    for (const auto& words : detail::edit_words()) keys.push_back(words.key);
    while (which < keys.size() && keys[which] != key) ++which;
    if (which == keys.size())
      throw std::invalid_argument("edit: \"" + std::string(key) + "\" cannot be edited; " + detail::joined(keys) +
                                  " can: \"J = leak; feedback = random\"");
    if (equals == std::string_view::npos)
      throw std::invalid_argument("edit: \"" + std::string(key) +
                                  "\" stands alone; it may be = " + detail::joined(detail::edit_words()[which].values));
    if (said[which]) throw std::invalid_argument("edit: \"" + std::string(key) + "\" is given twice");
    said[which] = true;
    Eigen::Index number = 0;
    const int i = detail::edit_choice(detail::edit_words()[which], detail::trimmed(clause.substr(equals + 1)), number);
    if (which == 0) edit.j = static_cast<Edit::J>(i), edit.mask = number == 0 ? 1 : number;
    if (which == 1) edit.cut = static_cast<Edit::Cut>(i), edit.steps = number;
    if (which == 2) edit.feedback = static_cast<Edit::Feedback>(i);
    if (which == 3) edit.future = static_cast<Edit::Future>(i);
    if (which == 4) edit.projection = static_cast<Edit::Projection>(i);
  }
  if (!said[3] && edit.cut != Edit::Cut::never) edit.future = Edit::Future::none;
  if (edit.future != Edit::Future::actual && edit.cut == Edit::Cut::never) edit.cut = Edit::Cut::every, edit.steps = 1;
  return edit;
}

/// The edit in words that parse_edit reads back; only what differs from the exact gradient, which is "".
inline std::string to_string(const Edit& e) {
  std::string text;
  const auto say = [&](std::size_t which, int value, Eigen::Index number) {
    const auto& words = detail::edit_words()[which];
    text += (text.empty() ? "" : "; ") + std::string(words.key) + " = " +
            detail::with_number(words.values[static_cast<std::size_t>(value)], number);
  };
  const bool cut = e.cut != Edit::Cut::never;
  if (e.j != Edit::J::full) say(0, static_cast<int>(e.j), e.mask);
  if (cut) say(1, static_cast<int>(e.cut), e.steps);
  if (e.feedback != Edit::Feedback::transpose) say(2, static_cast<int>(e.feedback), 0);
  if (e.future != (cut ? Edit::Future::none : Edit::Future::actual)) say(3, static_cast<int>(e.future), 0);
  if (e.projection != Edit::Projection::none) say(4, static_cast<int>(e.projection), 0);
  return text;
}

}  // namespace rnn
