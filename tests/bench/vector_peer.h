// Libraries that have the vector RNN's gradient too.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rnn/network.h"

namespace bench {

struct VectorPeer {
  std::string name;
  /// Returns L and fills the gradient: the leaky tanh network, squared loss, h_0 a constant.
  std::function<double(const rnn::Network<double>&, const rnn::Sequence<double>&, rnn::Parameters<double>& gradient)>
      run;
};

inline std::vector<VectorPeer>& vector_peers() {
  static std::vector<VectorPeer> all;
  return all;
}

}  // namespace bench
