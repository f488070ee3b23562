// The cases of reference files, read as networks and sequences; comparison with what a file holds (needs nlohmann-json).
#pragma once

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cctype>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/fixtures.h"
#include "tests/networks.h"

namespace tests {

using Json = nlohmann::json;

/// A matrix, or a vector as one column.
inline rnn::MatrixX<double> matrix(const Json& j) {
  const auto rows = static_cast<Eigen::Index>(j.size());
  const bool flat = rows == 0 || !j[0].is_array();
  rnn::MatrixX<double> m(rows, flat ? 1 : static_cast<Eigen::Index>(j[0].size()));
  for (std::size_t i = 0; i < j.size(); ++i) {
    if (!flat && static_cast<Eigen::Index>(j[i].size()) != m.cols())
      throw std::runtime_error("rows of different lengths");
    for (Eigen::Index k = 0; k < m.cols(); ++k)
      m(static_cast<Eigen::Index>(i), k) = (flat ? j[i] : j[i][static_cast<std::size_t>(k)]).get<double>();
  }
  return m;
}

/// The name of a block in the files: Wrec for W_rec.
inline std::string key(std::string_view block) {
  std::string k(block);
  k.erase(1, 1);
  return k;
}

/// Both sides are right to some 1e-15; sums over a sequence and Hessians lose one or two digits more.
inline constexpr double of_reference = 1e-12;

/// How many arrays and numbers were compared.
inline int compared = 0;

inline void same(const std::string& what, const rnn::MatrixX<double>& got, const rnn::MatrixX<double>& expected,
                 double tolerance = of_reference) {
  ++compared;
  const double error = relative(got, expected);
  BOOST_CHECK_MESSAGE(error <= tolerance, what << " differs by " << error << "\ngot\n"
                                               << got << "\nexpected\n"
                                               << expected);
}
/// Any of the five that the file gives.
inline void same(const std::string& what, const rnn::Parameters<double>& got, const Json& expected) {
  rnn::for_each_block(
      [&](std::string_view block, const auto& b) {
        if (expected.contains(key(block))) same(what + "." + std::string(block), b, matrix(expected[key(block)]));
      },
      got);
}

inline std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

/// A case of a file as the project's own types.
struct Case {
  rnn::Network<double> net;
  rnn::Sequence<double> sequence;
};

/// The network and the sequence of a case; false if the case is of another kind.
inline bool read(const Json& c, Case& out) {
  if (!c.contains("config") || !c.contains("params") || !c.contains("x") || !c.contains("y_target")) return false;
  const Json &config = c["config"], &params = c["params"];
  const char* f = config.contains("f") ? "f" : "activation";
  if (!config.contains("alpha") || !config.contains(f) || !config.contains("head")) return false;
  auto& net = out.net;
  net.alpha = config["alpha"];
  const std::string unit = lower(config[f]), head = lower(config["head"]);
  const auto name = std::find(std::begin(rnn::activation_names), std::end(rnn::activation_names), unit);
  BOOST_REQUIRE_MESSAGE(name != std::end(rnn::activation_names), "unknown activation " << unit);
  net.activation = static_cast<rnn::Activation>(name - std::begin(rnn::activation_names));
  const auto has = [&](const char* word) { return head.find(word) != std::string::npos; };
  if (has("softmax") || head == "ce")
    net.loss = rnn::Loss::softmax_ce;
  else if (has("sigmoid") || has("bce"))
    net.loss = rnn::Loss::sigmoid_ce;
  else if (has("tanh") && !has("identity"))
    net.loss = rnn::Loss::tanh_squared;
  else
    BOOST_REQUIRE_MESSAGE(has("identity") || has("mse"), "unknown head " << head);

  auto& theta = net.parameters;
  theta.W_in = matrix(params.at("Win"));
  theta.W_rec = matrix(params.at("Wrec"));
  theta.W_out = matrix(params.at("Wout"));
  const auto vector = [](const Json& from, const char* k, Eigen::Index size) -> rnn::VectorX<double> {
    return from.contains(k) ? rnn::VectorX<double>(matrix(from[k])) : rnn::VectorX<double>::Zero(size);
  };
  theta.b_rec = vector(params, "brec", net.d());
  theta.b_out = vector(params, "bout", net.m());
  net.h_0 = vector(c, "h0", net.d());
  out.sequence = {matrix(c["x"]).transpose(), matrix(c["y_target"]).transpose()};
  check(net, out.sequence);
  return true;
}

/// f(file name and number of the case, the file, the case, its network and sequence) for every case of this prefix's files
/// that is a network with a sequence. A file without "cases" is passed over.
template <class F>
void for_each_case(std::string_view prefix, F&& f) {
  for (const auto& path : fixtures(prefix)) {
    std::ifstream in(path);
    Json file;
    BOOST_REQUIRE_NO_THROW(file = Json::parse(in));
    if (!file.is_object() || !file.contains("cases")) continue;
    for (std::size_t i = 0; i < file["cases"].size(); ++i) {
      Case k;
      const Json& c = file["cases"][i];
      if (read(c, k)) f(path.filename().string() + ", case " + std::to_string(i), file, c, k);
    }
  }
}

}  // namespace tests
