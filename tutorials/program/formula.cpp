// The cost formulas of rules/registry.def as numbers: a sum of products of powers.
#include "tutorials/program/formula.h"

#include <cctype>
#include <cmath>
#include <stdexcept>

namespace tutorials {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::map<std::string, double>& values) : text_(text), values_(values) {}

  double whole() {
    const double value = sum();
    if (at_ < text_.size()) fail();
    return value;
  }

 private:
  double sum() {
    double value = product();
    while (take('+')) value += product();
    return value;
  }
  double product() {
    double value = power();
    for (;;) {
      if (take('/'))
        value /= power();
      else if (skip(); at_ < text_.size() && text_[at_] != '+' && text_[at_] != ')')
        value *= power();
      else
        return value;
    }
  }
  double power() {
    const double base = one();
    return take('^') ? std::pow(base, one()) : base;
  }
  double one() {
    if (take('(')) {
      const double value = sum();
      if (!take(')')) fail();
      return value;
    }
    skip();
    std::string word;
    const auto is = [&](int (*kind)(int)) {
      return at_ < text_.size() && kind(static_cast<unsigned char>(text_[at_])) != 0;
    };
    if (is(std::isdigit)) {
      while (is(std::isdigit)) word += text_[at_++];
      return std::stod(word);
    }
    if (is(std::isalpha)) word += text_[at_++];
    if (at_ < text_.size() && text_[at_] == '\'') word += text_[at_++];  // T'
    const auto found = values_.find(word);
    if (found == values_.end()) fail();
    return found->second;
  }
  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void fail() const {
    throw std::invalid_argument("the formula \"" + std::string(text_) + "\" cannot be read at place " +
                                std::to_string(at_ + 1));
  }

  std::string_view text_;
  const std::map<std::string, double>& values_;
  std::size_t at_ = 0;
};

}  // namespace

double evaluate(std::string_view formula, const std::map<std::string, double>& values) {
  if (const auto colon = formula.rfind(": "); colon != formula.npos) formula.remove_prefix(colon + 2);
  return Reader(formula.substr(0, formula.find(',')), values).whole();
}

}  // namespace tutorials
