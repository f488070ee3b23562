// What a learning rule can be told, by hand or derived alike: its few numbers, its random draws, and where it starts.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "rnn/random.h"

namespace rnn {

/// When KeRNL's noise enters: as in the reference code, one step late, or in the step it is drawn.
enum class Timing { reference, aligned };

/// Each rule reads what concerns it; where a field is empty, the rule's own default holds (stated in its docstring).
/// Rules by hand are shown q_t: to them `feedback` comes through rules::learn, Loop or Training.
struct Options {
  Eigen::Index truncation = 10;             // T' of e-bptt and f-bptt, in steps
  Eigen::Index block = 0;                   // of hybrid, in steps; 0: d
  Eigen::Index n = 1;                       // of snap: an influence may pass n - 1 connections
  Eigen::Index samples = 1;                 // perturbations averaged
  bool signs = false;                       // a perturbation is drawn as 1 and -1; otherwise normal
  bool antithetic = false;                  // it is also made with its sign turned: half the difference of the two
  bool perturb_outputs = false;             // it moves the outputs too, as the reference code has it: more variance
  Eigen::Index refresh = 5;                 // steps between two copies of dni's synthesiser
  bool learn_at_end = false;                // bp-lambda's synthesiser changes when a sequence ends, not at each step
  MatrixX<double> feedback{};               // m x d, B in q_t = B^T e_t; empty: W_out
  std::optional<double> lr{};               // of what the rule itself learns
  std::optional<double> J_lr{};             // of the Jacobian that dni-b learns
  std::optional<double> sigma{};            // standard deviation of its noise
  std::optional<double> gamma{}, lambda{};  // discount; decay of the trace
  std::optional<double> sg_factor{};        // what multiplies the synthetic gradient
  Timing timing = Timing::reference;
  Draws draws{};
  std::map<std::string, MatrixX<double>> state{};  // start values by name: A, B, Theta, ...

  /// The start value of this name, or `otherwise`. Throws std::invalid_argument, naming both shapes, if the given one has
  /// another shape than `otherwise`.
  MatrixX<double> start(const std::string& name, const MatrixX<double>& otherwise) const {
    const auto found = state.find(name);
    if (found == state.end()) return otherwise;
    const auto shape = [](const MatrixX<double>& a) {
      return std::to_string(a.rows()) + " x " + std::to_string(a.cols());
    };
    const MatrixX<double>& given = found->second;
    if (given.rows() != otherwise.rows() || given.cols() != otherwise.cols())
      throw std::invalid_argument("state: " + name + " is " + shape(given) + ", but must be " + shape(otherwise));
    return given;
  }
};

}  // namespace rnn
