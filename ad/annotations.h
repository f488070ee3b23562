// What people want to know about a recording and a sweep does not: names of operations, names, scopes and lines of entries.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ad/elementary.h"

namespace ad {

using Id = std::uint32_t;  // number of a variable on its tape, from 1; 0 is "none"

/// What a person calls an operation, and its partials as the table states them (empty where there are none).
struct OpText {
  std::string_view name, dx, dz;
  int operands;
  bool infix;
};

inline constexpr OpText op_text(Op op) {
  constexpr auto table = std::to_array<OpText>({
      {"input", "", "", 0, false},
      {"constant", "", "", 0, false},
      {"detach", "0", "", 1, false},
      {"custom", "given", "given", 2, false},
      {"sub_mul", "-z", "-x", 3, false},
#define AD_INFIX(name, symbol, dx, dz, ...) {#symbol, #dx, #dz, 2, true},
#define AD_PREFIX(name, symbol, dx, ...) {#symbol, #dx, "", 1, true},
#define AD_UNARY(name, value, dx, ...) {#name, #dx, "", 1, false},
#define AD_BINARY(name, value, dx, dz, ...) {#name, #dx, #dz, 2, false},
#define AD_TERNARY(name, value, dx, dz, dw) {#name, #dx, #dz, 3, false},
#include "ad/derivatives.def"
  });
  return table[static_cast<std::size_t>(op)];
}

/// A line of somebody's program.
struct Where {
  const char* file = "";
  unsigned line = 0;
};

/// A stretch of a recording with a name: entries begin .. end - 1.
struct Scope {
  std::string name;
  Id begin, end;
  int depth;  // 0 for the outermost
  Where where;
};

/// Side tables of a tape, empty and without cost until they are used.
class Annotations {
 public:
  /// The name given last to entry i, or nothing.
  std::string name_of(Id i) const {
    for (auto n = names_.rbegin(); n != names_.rend(); ++n)
      if (n->first == i) return n->second;
    return {};
  }
  const std::vector<std::pair<Id, std::string>>& names() const { return names_; }
  const std::vector<Scope>& scopes() const { return scopes_; }
  /// The line that recorded entry i; inside Eigen's own code, the line of the scope around it. Line 0: not known.
  Where line_of(Id i) const {
    auto after = std::upper_bound(lines_.begin(), lines_.end(), i, [](Id id, const auto& l) { return id < l.first; });
    const Where here = after == lines_.begin() ? Where{} : std::prev(after)->second;
    if (here.line != 0 && !std::strstr(here.file, "/Eigen/")) return here;
    Where around{};
    for (const Scope& s : scopes_)
      if (s.begin <= i && i < s.end) around = s.where;
    return around.line != 0 ? around : here;
  }

 protected:
  void add_name(Id i, std::string name) { names_.emplace_back(i, std::move(name)); }
  void add_line(Id i, Where where) {
    if (lines_.empty() || lines_.back().second.line != where.line || lines_.back().second.file != where.file)
      lines_.emplace_back(i, where);
  }
  std::size_t open_scope(Id begin, std::string name, Where where) {
    scopes_.push_back({std::move(name), begin, UINT32_MAX, depth_++, where});
    return scopes_.size() - 1;
  }
  void close_scope(std::size_t scope, Id end) {
    scopes_[scope].end = end;
    --depth_;
  }
  void forget() {
    names_.clear();
    scopes_.clear();
    lines_.clear();
    depth_ = 0;
  }

 private:
  std::vector<std::pair<Id, std::string>> names_;
  std::vector<Scope> scopes_;
  std::vector<std::pair<Id, Where>> lines_;  // from this entry on, this line
  int depth_ = 0;
};

}  // namespace ad
