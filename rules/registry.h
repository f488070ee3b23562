// The table of rules: what each is called, who found it, what it costs and what a synapse would have to know.
#pragma once

#include <array>

#include "rules/bptt.h"
#include "rules/double_sum.h"
#include "rules/rtrl.h"

namespace rules {

enum class Randomness { deterministic, stochastic };
enum class Form { closed, numerical };
enum class Exactness { exact, unbiased, biased };

/// One row of registry.def.
struct Facts {
  std::string_view id, name, citation;
  int year;
  Facing facing;
  std::string_view tensor;
  Randomness randomness;
  Form form;
  Exactness exactness;
  std::string_view locality, memory, time;
};

inline constexpr auto registry = std::to_array<Facts>({
#define UNROLL_RULE(id, type, name, citation, year, facing, tensor, randomness, form, exactness, locality, memory,     \
                    time)                                                                                              \
  {id,       name,   citation, year, Facing::facing, tensor, Randomness::randomness, Form::form, Exactness::exactness, \
   locality, memory, time},
#include "rules/registry.def"
});

/// Calls f with the rule of this id, made for the network: f(rule). False if there is no such rule.
template <class T, class F>
bool with_rule(std::string_view wanted, const rnn::Network<T>& net, F&& f) {
#define UNROLL_RULE(id, type, ...) \
  if (wanted == id) {              \
    type<T> rule(net);             \
    f(rule);                       \
    return true;                   \
  }
#include "rules/registry.def"
  return false;
}

}  // namespace rules
