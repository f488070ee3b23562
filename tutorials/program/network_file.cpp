// Reads and checks the network file.
#include "tutorials/program/network_file.h"

#ifdef UNROLL_HAS_JSON

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

namespace tutorials {
namespace {

using Json = nlohmann::json;
using rnn::MatrixX, rnn::VectorX;

const std::set<std::string> fields = {"alpha", "activation", "loss",     "W_in",     "W_rec",  "b_rec",
                                      "W_out", "b_out",      "h_0",      "x",        "target", "options",
                                      "draws", "state",      "gradient", "per_step", "delta"};

/// What some rule can be started from; its docstring says what.
const std::set<std::string> states = {"A", "B", "E", "Gamma", "Jt", "Omega", "Theta", "Thetabar", "gamma", "zeta"};

class Reader {
 public:
  Reader(std::string name, const Json& json) : name_(std::move(name)), json_(json) {}

  NetworkFile read() {
    if (!json_.is_object()) fail("a network file is one object {{ ... }}, not {}", what(json_));
    for (const auto& [key, value] : json_.items())
      if (!fields.count(key)) fail("unknown field \"{}\"; the fields are {}", key, fmt::join(fields, ", "));

    NetworkFile file;
    file.name = name_;
    auto& net = file.network;
    auto& theta = net.parameters;
    net.alpha = number(field("alpha"), "alpha");
    if (!(net.alpha > 0 && net.alpha <= 1))
      fail("alpha must be above 0 and at most 1 (it is 1 / time constant), not {}", net.alpha);
    net.activation = static_cast<rnn::Activation>(choice("activation", rnn::activation_names));
    net.loss = static_cast<rnn::Loss>(choice("loss", rnn::loss_names));

    theta.W_rec = matrix(field("W_rec"), "W_rec");
    const auto d = theta.W_rec.rows();
    if (d == 0) fail("W_rec has no rows: the network has no units");
    require(theta.W_rec, "W_rec", d, d, "square");
    theta.W_in = matrix(field("W_in"), "W_in");
    const auto n = theta.W_in.cols();
    require(theta.W_in, "W_in", d, n, "d x n, and W_rec gives d");
    theta.b_rec = vector(field("b_rec"), "b_rec", d, "d");
    theta.W_out = matrix(field("W_out"), "W_out");
    const auto m = theta.W_out.rows();
    if (m == 0) fail("W_out has no rows: the network has no outputs");
    require(theta.W_out, "W_out", m, d, "m x d, and W_rec gives d");
    theta.b_out = vector(field("b_out"), "b_out", m, "m");
    net.h_0 = json_.contains("h_0") ? vector(json_["h_0"], "h_0", d, "d") : VectorX<double>::Zero(d).eval();

    const MatrixX<double> x = matrix(field("x"), "x"), target = matrix(field("target"), "target");
    const auto length = x.rows();
    if (length == 0) fail("x has no rows: the sequence has no steps");
    require(x, "x", length, n, "T x n, and W_in gives n");
    require(target, "target", length, m, "T x m, x gives T and W_out gives m");
    file.sequence = {x.transpose(), target.transpose()};

    if (json_.contains("options")) read_options(json_["options"], m, d, file.options);
    if (json_.contains("draws")) file.options.draws = draws(json_["draws"], d, d + n + 1);
    if (json_.contains("state")) read_state(json_["state"], file.options.state);
    auto& claim = file.claim;
    if (json_.contains("gradient")) claim.gradient = given(json_["gradient"], "gradient", theta);
    if (json_.contains("per_step")) {
      const Json& steps = json_["per_step"];
      if (!steps.is_array()) fail("per_step must be a list of T objects, not {}", what(steps));
      if (steps.size() != static_cast<std::size_t>(length))
        fail("per_step has {} entries, but x has {} rows (T)", steps.size(), length);
      for (std::size_t t = 0; t < steps.size(); ++t)
        claim.per_step.push_back(given(steps[t], fmt::format("per_step[{}]", t), theta));
      for (std::size_t t = 1; t < steps.size(); ++t)
        for (const auto block : rnn::block_names)
          if (claim.per_step[t].count(block) != claim.per_step[0].count(block))
            fail("{} is in only one of per_step[0] and per_step[{}]: all steps must give the same arrays", block, t);
    }
    if (json_.contains("delta")) {
      claim.delta = matrix(json_["delta"], "delta");
      require_or_transposed(*claim.delta, "delta", length, d, "T x d, x gives T and W_rec gives d");
    }
    return file;
  }

 private:
  template <class... A>
  [[noreturn]] void fail(fmt::format_string<A...> format, A&&... a) const {
    throw BadFile(name_ + ": " + fmt::format(format, std::forward<A>(a)...));
  }
  static std::string what(const Json& j) {
    return j.is_array()    ? fmt::format("a list of {}", j.size())
           : j.is_object() ? "an object"
           : j.is_null()   ? "null"
                           : j.dump();
  }
  const Json& field(const char* key) const {
    if (!json_.contains(key)) fail("the field \"{}\" is missing", key);
    return json_[key];
  }

  double number(const Json& j, const std::string& at) const {
    if (!j.is_number()) fail("{} must be a number, not {}", at, what(j));
    return j.get<double>();
  }
  template <std::size_t N>
  int choice(const char* key, const std::string_view (&names)[N]) const {
    const Json& j = field(key);
    for (std::size_t i = 0; i < N; ++i)
      if (j.is_string() && j.get_ref<const std::string&>() == names[i]) return static_cast<int>(i);
    fail("{} must be one of {}, not {}", key, fmt::join(names, ", "), what(j));
  }
  /// A list of numbers, in full.
  VectorX<double> numbers(const Json& j, const std::string& at) const {
    if (!j.is_array()) fail("{} must be a list of numbers, not {}", at, what(j));
    VectorX<double> v(static_cast<Eigen::Index>(j.size()));
    for (std::size_t i = 0; i < j.size(); ++i)
      v(static_cast<Eigen::Index>(i)) = number(j[i], fmt::format("{}[{}]", at, i));
    return v;
  }
  VectorX<double> vector(const Json& j, const std::string& at, Eigen::Index size, const char* of) const {
    const VectorX<double> v = numbers(j, at);
    if (v.size() != size) fail("{} has {} numbers, but {} = {}", at, v.size(), of, size);
    return v;
  }
  /// A list of rows of one length.
  MatrixX<double> matrix(const Json& j, const std::string& at) const {
    if (!j.is_array()) fail("{} must be a list of rows, not {}", at, what(j));
    MatrixX<double> m(static_cast<Eigen::Index>(j.size()), 0);
    for (std::size_t i = 0; i < j.size(); ++i) {
      const VectorX<double> row = numbers(j[i], fmt::format("{}[{}]", at, i));
      if (i == 0) m.resize(m.rows(), row.size());
      if (row.size() != m.cols()) fail("{}[{}] has {} numbers, but {}[0] has {}", at, i, row.size(), at, m.cols());
      for (Eigen::Index k = 0; k < row.size(); ++k) m(static_cast<Eigen::Index>(i), k) = row[k];
    }
    return m;
  }
  void require(const MatrixX<double>& m, const std::string& at, Eigen::Index rows, Eigen::Index cols,
               const char* why) const {
    if (m.rows() != rows || m.cols() != cols)
      fail("{} is {} x {}, but must be {} x {} ({})", at, m.rows(), m.cols(), rows, cols, why);
  }
  /// `unroll verify` tells a transposed array from a wrong one.
  void require_or_transposed(const MatrixX<double>& m, const std::string& at, Eigen::Index rows, Eigen::Index cols,
                             const char* why) const {
    if (m.rows() != cols || m.cols() != rows) require(m, at, rows, cols, why);
  }
  void read_options(const Json& given, Eigen::Index m, Eigen::Index d, rnn::Options& o) const {
    if (!given.is_object()) fail("options must be an object, not {}", what(given));
    for (const auto& [key, j] : given.items()) {
      const std::string at = "options." + key;
      const auto whole = [&, &value = j](Eigen::Index least) {
        const double x = number(value, at);
        constexpr Eigen::Index most = 999'999'999;
        if (x < static_cast<double>(least) || x > static_cast<double>(most) || x != std::floor(x))
          fail("{} must be a whole number from {} to {}, not {}", at, least, most, value.dump());
        return static_cast<Eigen::Index>(x);
      };
      const auto yes = [&, &value = j] {
        if (!value.is_boolean()) fail("{} must be true or false, not {}", at, what(value));
        return value.get<bool>();
      };
      // clang-format off
      if (key == "truncation") o.truncation = whole(1);
      else if (key == "block") o.block = whole(0);
      else if (key == "n") o.n = whole(1);
      else if (key == "samples") o.samples = whole(1);
      else if (key == "refresh") o.refresh = whole(1);
      else if (key == "seed") o.draws = rnn::Draws(static_cast<std::uint64_t>(whole(0)));
      else if (key == "lr") o.lr = number(j, at);
      else if (key == "J_lr") o.J_lr = number(j, at);
      else if (key == "sigma") o.sigma = number(j, at);
      else if (key == "gamma") o.gamma = number(j, at);
      else if (key == "lambda") o.lambda = number(j, at);
      else if (key == "sg_factor") o.sg_factor = number(j, at);
      else if (key == "signs") o.signs = yes();
      else if (key == "antithetic") o.antithetic = yes();
      else if (key == "perturb_outputs") o.perturb_outputs = yes();
      else if (key == "learn_at_end") o.learn_at_end = yes();
      // clang-format on
      else if (key == "timing") {
        if (j != "reference" && j != "aligned") fail("{} must be \"reference\" or \"aligned\", not {}", at, what(j));
        o.timing = j == "aligned" ? rnn::Timing::aligned : rnn::Timing::reference;
      } else if (key == "feedback") {
        if (j == "transpose") continue;
        if (!j.is_array()) fail("{} must be \"transpose\" or a matrix, not {}", at, what(j));
        o.feedback = matrix(j, at);
        require(o.feedback, at, m, d, "m x d, as W_out");
      } else {
        fail(
            "unknown option \"{}\"; the options are truncation, block, n, samples, refresh, seed, lr, J_lr, sigma, "
            "gamma, lambda, sg_factor, signs, antithetic, perturb_outputs, learn_at_end, timing, feedback",
            key);
      }
    }
  }
  /// One entry a step: what the rule draws, in its order. Each piece is a number, a list of numbers, or a matrix as a list
  /// of rows, which counts column by column, as it is drawn. An entry may be one d x k matrix itself.
  rnn::Draws draws(const Json& given, Eigen::Index d, Eigen::Index k) const {
    if (!given.is_array()) fail("draws must be a list, one entry a step, not {}", what(given));
    std::vector<std::vector<double>> all;
    for (std::size_t t = 0; t < given.size(); ++t) {
      const std::string at = fmt::format("draws[{}]", t);
      all.emplace_back();
      const Json& entry = given[t];
      const auto lists = [&](auto&& size) {
        return entry.size() > 1 && std::all_of(entry.begin(), entry.end(), [&](const Json& row) {
                 return row.is_array() && !(row.size() > 0 && row[0].is_array()) && size(row.size());
               });
      };
      if (entry.is_number())
        all.back().push_back(entry.get<double>());
      else if (!entry.is_array())
        fail("{} must be a list of numbers, not {}", at, what(entry));
      else if (entry.size() == static_cast<std::size_t>(d) &&
               lists([&](std::size_t size) { return size == static_cast<std::size_t>(k); }))
        take(entry, at, all.back());
      else if (lists([&](std::size_t size) { return size > 1 && size == entry[0].size(); }))
        fail(
            "{} is {} lists of {} numbers: a matrix, or vectors? Put a matrix into one more list [ ], and vectors one "
            "after the other into one list",
            at, entry.size(), entry[0].size());
      else
        for (std::size_t i = 0; i < entry.size(); ++i) take(entry[i], fmt::format("{}[{}]", at, i), all.back());
    }
    return rnn::Draws(std::move(all));
  }
  void take(const Json& piece, const std::string& at, std::vector<double>& to) const {
    if (piece.is_number()) {
      to.push_back(piece.get<double>());
    } else if (piece.is_array() && !piece.empty() && piece[0].is_array()) {
      const MatrixX<double> m = matrix(piece, at);
      to.insert(to.end(), m.data(), m.data() + m.size());
    } else {
      const VectorX<double> v = numbers(piece, at);
      to.insert(to.end(), v.data(), v.data() + v.size());
    }
  }
  /// Start values by name: a number, a list (one column), or a list of rows.
  void read_state(const Json& given, std::map<std::string, MatrixX<double>>& state) const {
    if (!given.is_object()) fail("state must be an object, not {}", what(given));
    for (const auto& [key, j] : given.items()) {
      if (!states.count(key))
        fail("state has an unknown field \"{}\"; the fields are {}", key, fmt::join(states, ", "));
      const std::string at = "state." + key;
      if (j.is_number())
        state[key] = MatrixX<double>::Constant(1, 1, j.get<double>());
      else if (j.is_array() && (j.empty() || !j[0].is_array()))
        state[key] = numbers(j, at);
      else
        state[key] = matrix(j, at);
    }
  }
  rules::Claim::Arrays given(const Json& j, const std::string& at, const rnn::Parameters<double>& theta) const {
    if (!j.is_object()) fail("{} must be an object, not {}", at, what(j));
    rules::Claim::Arrays gradient;
    for (const auto& [key, value] : j.items())
      if (std::find(rnn::block_names.begin(), rnn::block_names.end(), key) == rnn::block_names.end())
        fail("{} has an unknown field \"{}\"; the fields are {}", at, key, fmt::join(rnn::block_names, ", "));
    rnn::for_each_block(
        [&](std::string_view block, const auto& like) {
          const std::string key(block), where = at + "." + key;
          if (!j.contains(key)) return;
          if constexpr (std::decay_t<decltype(like)>::ColsAtCompileTime == 1) {
            gradient[key] = vector(j[key], where, like.size(), ("the size of " + key).c_str());
          } else {
            gradient[key] = matrix(j[key], where);
            require_or_transposed(gradient[key], where, like.rows(), like.cols(), ("as " + key).c_str());
          }
        },
        theta);
    return gradient;
  }

  std::string name_;
  const Json& json_;
};

}  // namespace

NetworkFile read_network_file(const std::string& name) {
  const std::string shown = name == "-" ? "standard input" : name;
  std::ifstream file;
  if (name != "-") {
    file.open(name);
    if (!file) throw BadFile(shown + ": cannot be read");
  }
  std::vector<std::set<std::string>>
      keys;  // of the objects that are open: a field given twice would be lost in silence
  const auto no_doubles = [&](int depth, Json::parse_event_t event, Json& value) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == Json::parse_event_t::object_start) {
      keys.resize(std::max(keys.size(), level + 2));
      keys[level + 1].clear();
    } else if (event == Json::parse_event_t::key && !keys[level].insert(value.get<std::string>()).second) {
      throw BadFile(fmt::format("{}: the field \"{}\" is given twice", shown, value.get<std::string>()));
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(name == "-" ? std::cin : static_cast<std::istream&>(file), no_doubles);
  } catch (const Json::exception& error) {
    const std::string_view what = error.what();
    const bool number = what.ends_with("N'") || what.ends_with("I'");
    throw BadFile(
        fmt::format("{}: not JSON: {}{}", shown, what, number ? " (NaN and Infinity are no JSON numbers)" : ""));
  } catch (const std::ios_base::failure&) {  // a folder, say
    throw BadFile(shown + ": cannot be read");
  }
  return Reader(shown, json).read();
}

}  // namespace tutorials

#else

namespace tutorials {
NetworkFile read_network_file(const std::string& name) {
  throw BadFile(name +
                ": this program was built without nlohmann-json, which reads such files (Debian: nlohmann-json3-dev)");
}
}  // namespace tutorials

#endif
