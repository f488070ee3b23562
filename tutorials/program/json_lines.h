// JSON as the program prints it: an object's fields by lines, matrices in one.
#pragma once

#ifdef UNROLL_HAS_JSON

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace tutorials {

using Json = nlohmann::ordered_json;

/// Objects by lines down to `depth`; numbers in the fewest digits that read back as the same number.
inline void print_lines(std::ostream& out, const Json& j, int depth, const std::string& indent = "") {
  const bool list = j.is_array() && !j.empty() && j[0].is_object();
  if (depth == 0 || !(j.is_object() || list)) {
    out << j.dump();
    return;
  }
  const char* separator = "\n";
  out << (list ? '[' : '{');
  for (const auto& [key, value] : j.items()) {
    out << separator << indent << "  ";
    if (!list) out << '"' << key << "\": ";
    print_lines(out, value, depth - 1, indent + "  ");
    separator = ",\n";
  }
  out << '\n' << indent << (list ? ']' : '}');
}

}  // namespace tutorials

#endif
