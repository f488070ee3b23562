// The text of the lessons' own source files, built into the program (CMake: unroll_embed_sources).
#pragma once
#include <string_view>
#include <vector>

namespace tutorials {

struct Source {
  std::string_view file;  ///< name without folder, as __FILE__ ends: "02_tape.cpp"
  std::string_view text;  ///< the whole file
};

/// Every embedded file, in the order of the lessons.
const std::vector<Source>& sources();

}  // namespace tutorials
