// Reads the network file: a network, a sequence, and what somebody says their gradients are, as JSON.
#pragma once

#include <stdexcept>
#include <string>

#include "rnn/options.h"
#include "rules/claim.h"

namespace tutorials {

/// A file that cannot be used; the text names the file, the field and, where sizes differ, both. The program exits with 2.
struct BadFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct NetworkFile {
  std::string name;  // for messages
  rnn::Network<double> network;
  rnn::Sequence<double> sequence;
  rnn::Options options;  // of a rule, with its draws and where it starts
  rules::Claim claim;    // the fields gradient, per_step and delta: what `unroll verify` judges
};

/// Reads the file of this name; "-" is standard input.
/// Throws BadFile for a file that is missing, is not JSON, lacks a field, has an unknown one, or whose sizes do not fit.
NetworkFile read_network_file(const std::string& name);

}  // namespace tutorials
