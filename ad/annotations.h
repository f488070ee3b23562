// What people want to know about a recording and a sweep does not: names, scopes and source lines of its entries.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace ad {

using Id = std::uint32_t;  // number of a variable on its tape, from 1; 0 is "none"

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
