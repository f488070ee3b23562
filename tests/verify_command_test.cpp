// `unroll verify`: exit codes, the fields of its JSON, what a person reads, and files that are refused.
#include <boost/test/unit_test.hpp>

#if defined(UNROLL_HAS_JSON) && __has_include(<nlohmann/json.hpp>)

#include <sstream>

#include "rnn/bptt.h"
#include "rnn/credit.h"
#include "rules/mistakes.h"
#include "tests/network_files.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"

namespace {

using rnn::MatrixX;
using tests::blocks, tests::File, tests::has, tests::Json, tests::rows;

struct Case : tests::NetworkCase {
  rnn::Bptt<double> tape = rnn::bptt(net, sequence);

  /// The file with a gradient in it.
  Json with(const rnn::Parameters<double>& gradient) const {
    Json j = file();
    j["gradient"] = blocks(gradient);
    return j;
  }
  rnn::Parameters<double> not_transposed() const {
    rules::Derivation wrong(net, sequence);
    wrong.back.transposeInPlace();
    return wrong.gradient().gradient;
  }
};

std::string printed(const Json& file, int code, std::vector<std::string> words = {}) {
  const File f(file);
  words.insert(words.begin(), f.path.string());
  return tests::printed(tutorials::verify_command, words, code);
}
Json verified(const Json& file, int code, std::vector<std::string> words = {}) {
  words.push_back("--json");
  return Json::parse(printed(file, code, words));
}
bool names(const Json& found, const std::string& id) {
  return std::any_of(found["mistakes"].begin(), found["mistakes"].end(), [&](const Json& m) { return m["id"] == id; });
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_right_ends_with_0) {
  const Case c;
  Json file = c.with(c.tape.gradient);
  file["delta"] = rows(MatrixX<double>(c.tape.delta.transpose()));
  const rnn::Credit<double> credit(c.net, c.sequence);
  for (const bool past : {true, false}) {
    file["per_step"] = Json::array();
    for (Eigen::Index t = 1; t <= 4; ++t)
      file["per_step"].push_back(blocks(past ? credit.row_sum(t) : credit.column_sum(t)));
    const Json found = verified(file, 0);
    BOOST_TEST((found["correct"] == true && found["verdict"] == "correct"));
    BOOST_TEST(found["facing"] == (past ? "past" : "future"));
    BOOST_TEST(found["parameters"].size() == 11u);
    for (const auto& [name, array] : found["parameters"].items()) {
      BOOST_TEST((array["differ"] == 0 && array["of"] > 0 && array["worst"].empty()), name);
      BOOST_TEST(array["relative"].get<double>() < 1e-12);
    }
    BOOST_TEST((found["mistakes"].empty() && found["nearest"].is_null()));
    BOOST_TEST((found["blind"] == Json{"softmax-elementwise", "feedback-for-transpose", "output-slope-forgotten"}));
  }
  const std::string text = printed(file, 0);
  for (const char* part : {"ok ", "confirmed by forward mode and by differences", "delta", "T=4 n=3 d=5 m=2 alpha=0.3"})
    BOOST_TEST(has(text, part));
}

BOOST_AUTO_TEST_CASE(a_mistake_is_named_with_1) {
  const Case c;
  const Json file = c.with(c.not_transposed()), found = verified(file, 1);
  BOOST_TEST((found["correct"] == false && found["verdict"] == "named"));
  BOOST_REQUIRE(found["mistakes"].size() == 1u);
  const Json& mistake = found["mistakes"][0];
  BOOST_TEST(mistake["id"] == "recursion-not-transposed");
  BOOST_TEST(mistake["residual"].get<double>() < 1e-12);
  BOOST_TEST(mistake["where"] == "W_rec, W_in, b_rec");
  BOOST_TEST((found["nearest"]["id"].is_string() && found["nearest"]["residual"].get<double>() > 1e-3));
  const Json& array = found["parameters"]["W_rec"];
  BOOST_TEST((array["differ"] == 25 && array["of"] == 25 && array["worst"].size() == 5));
  const Json& entry = array["worst"][0];
  const Eigen::Index i = entry["index"][0], j = entry["index"][1];
  BOOST_TEST(entry["expected"].get<double>() == c.tape.gradient.W_rec(i, j), boost::test_tools::tolerance(1e-12));
  BOOST_TEST(entry["got"] == file["gradient"]["W_rec"][static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]);
  BOOST_TEST(entry["ratio"].get<double>() == entry["got"].get<double>() / entry["expected"].get<double>());
  BOOST_TEST((found["parameters"]["b_out"]["differ"] == 0));
  for (std::size_t k = 1; k < 5; ++k) {
    const auto gap = [&](std::size_t of) {
      return std::abs(array["worst"][of]["got"].get<double>() - array["worst"][of]["expected"].get<double>());
    };
    BOOST_TEST(gap(k) <= gap(k - 1));
  }

  const std::string text = printed(file, 1);
  for (const char* part : {"FAIL", "W_rec  25 of 25 entries differ", "recursion-not-transposed", "next best:"})
    BOOST_TEST(has(text, part));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) BOOST_TEST((line.size() <= 80u || has(line, "unroll_")), line);
}

BOOST_AUTO_TEST_CASE(a_factor_of_1_0001_is_seen_and_a_tolerance_is_taken) {
  const Case c;
  auto wrong = c.tape.gradient;
  wrong.b_rec *= 1.0001;
  const Json found = verified(c.with(wrong), 1);
  BOOST_TEST((found["parameters"]["b_rec"]["differ"] == 5 && names(found, "factor-other")));
  BOOST_TEST((verified(c.with(wrong), 0, {"--tolerance", "1e-3"})["parameters"]["b_rec"]["tolerance"] == 1e-3));
  BOOST_CHECK_THROW(printed(c.with(wrong), 0, {"--tolerance", "large"}), tutorials::UsageError);
  BOOST_CHECK_THROW(printed(c.with(wrong), 0, {"--tolerance", "0"}), tutorials::UsageError);
}

BOOST_AUTO_TEST_CASE(all_known_mistakes_are_listed) {
  const std::string text = tests::printed(tutorials::verify_command, {"--list"});
  for (const auto& row : rules::mistakes) BOOST_TEST(has("\n" + text, fmt::format("\n{}\n", row.id)));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) BOOST_TEST(line.size() <= 80u, line);
}

BOOST_AUTO_TEST_CASE(a_transposed_shape_is_another_layout) {
  const Case c;
  Json file = c.with(c.tape.gradient);
  file["gradient"]["W_in"] = rows(MatrixX<double>(c.tape.gradient.W_in.transpose()));
  Json found = verified(file, 1);
  BOOST_TEST((found["verdict"] == "layout" && names(found, "transposed")));
  BOOST_TEST((found["parameters"]["W_in"]["transposed"] == true && found["parameters"]["W_in"]["differ"] == 0));
  file = c.file();
  file["delta"] = rows(c.tape.delta);
  found = verified(file, 1);
  BOOST_TEST((found["verdict"] == "layout" && found["mistakes"][0]["where"] == "delta"));
}

BOOST_AUTO_TEST_CASE(feedback_in_the_file_may_have_been_taken_for_the_transpose) {
  const Case c;
  const MatrixX<double> B = rnn::Random(3).normal(2, 5);
  rules::Derivation wrong(c.net, c.sequence);
  wrong.B = B;
  Json file = c.with(wrong.gradient().gradient);
  BOOST_TEST(!names(verified(file, 1), "feedback-for-transpose"));
  file["options"] = {{"feedback", rows(B)}};
  BOOST_TEST(names(verified(file, 1), "feedback-for-transpose"));
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_judged_is_refused) {
  const Case c;
  const auto refused = [](const Json& file, const std::vector<std::string>& parts) {
    tests::refused(tutorials::verify_command, file, parts);
  };
  refused(c.file(), {"nothing to verify", "gradient", "per_step", "delta"});
  Json file = c.with(c.tape.gradient);
  file["gradient"]["W_in"].erase(0);
  refused(file, {"gradient.W_in", "4 x 3", "5 x 3"});
  file = c.with(c.tape.gradient);
  file["gradient"]["b_rec"].push_back(1);
  refused(file, {"gradient.b_rec", "6 numbers", "5"});
  file = c.file();
  for (int t = 0; t < 4; ++t) file["per_step"].push_back({{t == 2 ? "b_out" : "W_out", rows(c.tape.gradient.W_out)}});
  file["per_step"][2] = {{"b_out", rows(c.tape.gradient.b_out)}};
  refused(file, {"W_out", "per_step[0]", "per_step[2]"});
  file = c.with(c.tape.gradient);
  file["loss"] = "squared", file["b_out"] = {1e200, 1e200};
  refused(file, {"not finite"});
  BOOST_CHECK_THROW(tests::printed(tutorials::verify_command, {}), tutorials::UsageError);
  BOOST_CHECK_THROW(tests::printed(tutorials::verify_command, {"a.json", "b.json"}), tutorials::UsageError);
}

#else

BOOST_AUTO_TEST_CASE(without_json_there_are_no_network_files) {}

#endif
