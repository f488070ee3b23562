// A subject is one library differentiating the works. Each has a translation unit of its own and registers here.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "works.h"

namespace bench {

/// What a recording of a work takes.
struct Memory {
  std::size_t entries = 0;
  std::size_t recorded = 0;  // bytes of the recording
  std::size_t swept = 0;     // bytes of the recording and its adjoints
};

/// A work in the hands of a subject.
struct Task {
  /// The value at x; fills the gradient, which has the size of x. (The plain function leaves it alone.)
  std::function<double(const std::vector<double>& x, std::vector<double>& gradient)> run;
  /// Empty if the subject cannot tell.
  std::function<Memory(const std::vector<double>& x)> memory;
};

struct Subject {
  std::string name;
  std::map<std::string, Task> tasks;  // by the work's name
};

/// Subjects in this program, in the order of the table's columns.
enum Column { plain_double, unroll, adolc, sacado, stan };
inline std::map<Column, Subject>& subjects() {
  static std::map<Column, Subject> all;
  return all;
}

/// Registers a subject: `differentiate(work, x, gradient)` returns the value and fills the gradient;
/// `differentiate.memory(work, x)`, if there is one, tells what that took.
template <class Differentiate>
bool add_subject(Column column, std::string name, Differentiate differentiate) {
  Subject& subject = subjects()[column];
  subject.name = std::move(name);
  for_each_work([&](const auto& work) {
    Task& task = subject.tasks[work.name];
    task.run = [=](const std::vector<double>& x, std::vector<double>& gradient) {
      return differentiate(work, x, gradient);
    };
    if constexpr (requires { differentiate.memory(work, std::vector<double>{}); }) {
      task.memory = [=](const std::vector<double>& x) { return differentiate.memory(work, x); };
    }
  });
  return true;
}

}  // namespace bench
