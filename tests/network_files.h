// Network files for the commands that read them (needs nlohmann-json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/commands.h"
#include "tests/networks.h"
#include "tutorials/program/network_file.h"

namespace tests {

using Json = nlohmann::json;

/// Nested lists by rows; a vector is one list.
template <class M>
Json rows(const Eigen::MatrixBase<M>& m) {
  Json j = Json::array();
  for (Eigen::Index i = 0; i < m.rows(); ++i) {
    if (M::ColsAtCompileTime == 1) {
      j.push_back(m(i, 0));
      continue;
    }
    j.push_back(Json::array());
    for (Eigen::Index k = 0; k < m.cols(); ++k) j.back().push_back(m(i, k));
  }
  return j;
}
inline Json blocks(const rnn::Parameters<double>& p) {
  Json j;
  rnn::for_each_block([&](std::string_view name, const auto& b) { j[std::string(name)] = rows(b); }, p);
  return j;
}

/// A network with a sequence, and its file.
struct NetworkCase {
  rnn::Network<double> net = generic_network(rnn::Activation::softplus, rnn::Loss::sigmoid_ce);
  rnn::Sequence<double> sequence = generic_sequence(net, 4);

  Json file() const {
    Json j = {{"alpha", net.alpha},
              {"activation", rnn::activation_names[static_cast<int>(net.activation)]},
              {"loss", rnn::loss_names[static_cast<int>(net.loss)]}};
    j.update(blocks(net.parameters));
    j["h_0"] = rows(net.h_0);
    j["x"] = rows(sequence.x.transpose());
    j["target"] = rows(sequence.target.transpose());
    return j;
  }
};

/// A file that is gone when the test is.
struct File {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("unroll_" + std::to_string(getpid()) + "_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".json");
  explicit File(const std::string& text) { std::ofstream(path) << text; }
  explicit File(const Json& j) : File(j.dump()) {}
  ~File() { std::filesystem::remove(path); }
};

/// The command refuses the file, and the text names it and all of `parts`.
inline void refused(Command command, const Json& file, std::vector<std::string> parts) {
  const File f(file);
  parts.push_back(f.path.string());
  BOOST_TEST_CONTEXT(file.dump().substr(0, 200))
  BOOST_CHECK_EXCEPTION(printed(command, {f.path.string()}), tutorials::BadFile, [&](const tutorials::BadFile& e) {
    for (const auto& part : parts)
      if (std::string(e.what()).find(part) == std::string::npos) {
        BOOST_TEST_MESSAGE("no \"" << part << "\" in: " << e.what());
        return false;
      }
    return true;
  });
}

}  // namespace tests
