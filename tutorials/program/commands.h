// The commands of the program. Each takes the words after its name and returns the exit code.
#pragma once

#include <string>
#include <vector>

namespace tutorials {

int lesson_command(const std::vector<std::string>& words);
int gradient_command(const std::vector<std::string>& words);
int verify_command(const std::vector<std::string>& words);
int trace_command(const std::vector<std::string>& words);
int edit_command(const std::vector<std::string>& words);
int compare_command(const std::vector<std::string>& words);
int rules_command(const std::vector<std::string>& words);

}  // namespace tutorials
