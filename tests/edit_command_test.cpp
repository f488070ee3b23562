// `unroll edit`: what is printed are the numbers of the library, the rule's name is found, and mistakes are told.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "rnn/surgery_edited.h"
#include "tests/commands.h"
#include "tests/networks.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/network_file.h"
#include "tutorials/program/options.h"

#if defined(UNROLL_HAS_JSON) && __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define HAS_JSON
#endif

namespace {

using tests::has;

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string printed(const Words& words) { return tests::printed(tutorials::edit_command, words); }
std::size_t widest(const std::string& text) {
  std::size_t most = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) most = std::max(most, line.size());
  return most;
}

}  // namespace

BOOST_AUTO_TEST_CASE(without_an_edit_every_rule_is_one) {
  const std::string text = printed({});
  for (const auto& row : rnn::edits) {
    BOOST_TEST(has(text, '\n' + std::string(row.id) + ' '));
    if (row.edit != "-" && !row.edit.empty()) BOOST_TEST(has(text, '"' + std::string(row.edit) + '"'));
  }
  BOOST_TEST(widest(text) <= 80u);
}

BOOST_AUTO_TEST_CASE(edits_fit_the_screen_and_are_named) {
  const auto screen = [](const std::string& edit) {
    const std::string text = printed({edit});
    BOOST_TEST(has(text, edit.empty() ? "the exact gradient" : "edit       " + edit + '\n'));
    BOOST_TEST(widest(text) <= 80u);
    for (const char* part : {"W_rec", "cosine", "credit, edited", "credit, exact", "numbers held"})
      BOOST_TEST(has(text, part));
    return text;
  };
  BOOST_TEST(has(screen(""), "which is   bptt "));
  const std::string rflo = screen("J = leak; feedback = random");
  BOOST_TEST((has(rflo, "which is   rflo ") && has(rflo, " e-prop ") && has(rflo, "by a random matrix")));
  BOOST_TEST(has(screen("J = diagonal; feedback = sign"), "by the signs of W_out^T"));
  const std::string snap = screen("J = 2-step mask");  // W_rec is dense
  BOOST_TEST((has(snap, "which is   snap ") && has(snap, "nothing is lost")));
  BOOST_TEST(rflo.find("nothing is lost") == std::string::npos);
  BOOST_TEST(has(screen("cut = every 4"), "which is   e-bptt "));
  BOOST_TEST(has(screen("cut = after 4"), "not in this mode"));
  BOOST_TEST(has(screen("cut = every 3; future = true"), "which is   hybrid "));
  BOOST_TEST(has(screen("projection = Gaussian"), "which is   forward-gradient "));
  BOOST_TEST(has(screen("J = leak; cut = every 3"), "no rule known"));
  const std::string predicted = screen("cut = every 4; future = predicted");
  BOOST_TEST((has(predicted, "\n  g ") && has(predicted, "100 times")));
}

BOOST_AUTO_TEST_CASE(a_seed_repeats) {
  const Words random = {"feedback = random", "--seed", "5"};
  BOOST_TEST(printed(random) == printed(random));
  BOOST_TEST(printed(random) != printed({"feedback = random", "--seed=6"}));
  BOOST_TEST(printed({"future = predicted", "--passes", "0"}) != printed({"future = predicted", "--passes", "3"}));
}

BOOST_AUTO_TEST_CASE(mistakes_are_told) {
  const auto named = [](const char* part) {
    return [part](const std::exception& e) { return std::string(e.what()).find(part) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(printed({"J = lekk"}), std::invalid_argument, named("leak, diagonal"));
  BOOST_CHECK_EXCEPTION(printed({"file.json"}), std::invalid_argument, named("file.json"));
  BOOST_CHECK_EXCEPTION(printed({"J", "=", "leak"}), tutorials::UsageError, named("quotes"));
  BOOST_CHECK_EXCEPTION(printed({"J = 2-step mask; projection = signs"}), std::invalid_argument, named("one tangent"));
  BOOST_CHECK_THROW(printed({"J = leak", "/no/such/file.json"}), tutorials::BadFile);
  BOOST_CHECK_THROW(printed({"J = leak", "--seed", "x"}), tutorials::UsageError);
}

#ifdef HAS_JSON

BOOST_AUTO_TEST_CASE(numbers_of_a_file_are_the_librarys) {
  using Json = nlohmann::json;
  const auto net = tests::generic_network(rnn::Activation::softplus, rnn::Loss::sigmoid_ce);
  const auto sequence = tests::generic_sequence(net, 14);  // more than a screen is wide
  const auto rows = [](const auto& m) {
    Json j = Json::array();
    for (Eigen::Index i = 0; i < m.rows(); ++i) {
      j.push_back(Json::array());
      for (Eigen::Index k = 0; k < m.cols(); ++k) j.back().push_back(m(i, k));
    }
    return j;
  };
  const auto list = [](const auto& v) { return Json(std::vector<double>(v.data(), v.data() + v.size())); };
  const auto& p = net.parameters;
  Json file = {{"alpha", net.alpha},
               {"activation", "softplus"},
               {"loss", "sigmoid_ce"},
               {"W_in", rows(p.W_in)},
               {"W_rec", rows(p.W_rec)},
               {"b_rec", list(p.b_rec)},
               {"W_out", rows(p.W_out)},
               {"b_out", list(p.b_out)},
               {"h_0", list(net.h_0)},
               {"x", rows(sequence.x.transpose())},
               {"target", rows(sequence.target.transpose())}};
  const fs::path path =
      fs::temp_directory_path() / fmt::format("unroll_edit_{}.json", reinterpret_cast<std::uintptr_t>(&net));
  std::ofstream(path) << file.dump();
  const std::string text = printed({"J = leak", path.string()});
  // where a weight is absent the diagonal gives it a gradient, and SnAp-1, the mask, does not; large norms keep apart
  file["W_rec"][1][2] = 0;
  file["target"] = rows(1e6 * sequence.target.transpose().eval());
  file["loss"] = "squared";
  std::ofstream(path) << file.dump();
  BOOST_TEST(has(printed({"J = 1-step mask", path.string()}), "SnAp"));
  const std::string diagonal = printed({"J = diagonal", path.string()});
  BOOST_TEST(has(diagonal, "no rule known here"));
  BOOST_TEST(widest(diagonal.substr(diagonal.find("gradient"))) <= 80u);
  for (std::istringstream words(diagonal.substr(diagonal.find("norm, exact"))); words;) {
    std::string word;
    words >> word;
    BOOST_TEST(std::count(word.begin(), word.end(), '.') <= 1);
  }
  fs::remove(path);

  const auto exact = rnn::edited(net, sequence, {}), edited = rnn::edited(net, sequence, rnn::parse_edit("J = leak"));
  const auto a = rnn::alignment(edited.gradient, exact.gradient);
  BOOST_TEST(has(text, fmt::format("norm, edited     {:>9.4f}{:>9.4f}", edited.gradient.W_rec.norm(),
                                   edited.gradient.W_in.norm())));
  BOOST_TEST(has(
      text, fmt::format("norm, exact      {:>9.4f}{:>9.4f}", exact.gradient.W_rec.norm(), exact.gradient.W_in.norm())));
  BOOST_TEST(has(text, fmt::format("cosine           {:>9.4f}{:>9.4f}{:>9.4f} |{:>9.4f}", a.each.W_rec, a.each.W_in,
                                   a.each.b_rec, a.recurrent)));
  BOOST_TEST(has(text, "T = 14, alpha = 0.3, softplus, sigmoid_ce"));
  BOOST_TEST(has(text, "the last 11 of 14 times"));
  BOOST_TEST(has(text, fmt::format("edited, as forward mode {:>22} a step{:>16}", 3 * 5 * 9, 5 * 9)));
  BOOST_TEST(widest(text.substr(text.find("gradient"))) <= 80u);
}

#endif

// The program itself, where it was built.
BOOST_AUTO_TEST_CASE(the_program_says_0_or_2) {
  const fs::path here = boost::unit_test::framework::master_test_suite().argv[0];
  const fs::path program = fs::absolute(here).parent_path().parent_path() / "tutorials" / "unroll";
  if (!fs::exists(program)) {
    std::cout << "skipped: " << program << " is not built\n";
    return;
  }
  const auto code = [&](const std::string& words) {
    return std::system((program.string() + " edit " + words + " >/dev/null 2>&1").c_str()) / 256;
  };
  BOOST_TEST(code("\"J = leak; feedback = random\"") == 0);
  BOOST_TEST(code("") == 0);
  BOOST_TEST(code("\"J = lekk\"") == 2);
  BOOST_TEST(code("\"J = leak\" /no/such/file.json") == 2);
  BOOST_TEST(code("--nonsense") == 2);
}
