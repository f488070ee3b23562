// Reads the network file: a network, a sequence, and what somebody says their gradients are, as JSON.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "rnn/options.h"

namespace tutorials {

/// A file that cannot be used; the text names the file, the field and, where sizes differ, both. The program exits with 2.
struct BadFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A gradient that somebody gives: any of the five parameters, by name, in its shape (vectors as one column).
using GivenGradient = std::map<std::string, rnn::MatrixX<double>>;

struct NetworkFile {
  std::string name;  // for messages
  rnn::Network<double> network;
  rnn::Sequence<double> sequence;
  rnn::Options options;    // of a rule, with its draws and where it starts
  GivenGradient gradient;  // the last three are what `unroll verify` checks
  std::vector<GivenGradient> per_step;
  std::optional<rnn::MatrixX<double>> delta;  // d x T
};

/// Reads the file of this name; "-" is standard input.
/// Throws BadFile for a file that is missing, is not JSON, lacks a field, has an unknown one, or whose sizes do not fit.
NetworkFile read_network_file(const std::string& name);

}  // namespace tutorials
