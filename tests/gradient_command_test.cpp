// `unroll gradient`: what is printed reads back as the very numbers, and a bad file is told by field and sizes.
#include <boost/test/unit_test.hpp>
#include <iostream>

#if defined(UNROLL_HAS_JSON) && __has_include(<nlohmann/json.hpp>)

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rules/registry.h"
#include "tests/fixtures.h"
#include "tests/network_files.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/network_file.h"
#include "tutorials/program/options.h"

namespace {

using Eigen::Index;
using Json = nlohmann::json;
using rnn::MatrixX;
using tests::blocks, tests::File, tests::rows;
using Case = tests::NetworkCase;

std::string printed(const std::vector<std::string>& words) {
  return tests::printed(tutorials::gradient_command, words);
}
void refused(const Json& file, const std::vector<std::string>& parts) {
  tests::refused(tutorials::gradient_command, file, parts);
}

/// The same structure, and numbers equal to rounding: the program is compiled with other flags than this test, and a
/// fused multiply-add rounds once where two operations round twice.
bool close(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) <= 1e-13 * std::max({1.0, std::abs(x), std::abs(y)});
  }
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (!a.is_structured()) return a == b;
  for (auto i = a.items().begin(), end = a.items().end(); i != end; ++i)
    if (!close(i.value(), a.is_object() ? b.at(i.key()) : b.at(std::stoul(i.key())))) return false;
  return true;
}

/// All numbers of a parameter, step after step.
rnn::VectorX<double> numbers(const Json& steps, const std::string& block) {
  std::vector<double> all;
  for (const Json& step : steps)
    for (const Json& number : step.at(block).flatten()) all.push_back(number.get<double>());
  return Eigen::Map<rnn::VectorX<double>>(all.data(), static_cast<Index>(all.size()));
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_rule_prints_what_the_libraries_give) {
  const Case c;
  const File f(c.file());
  const std::vector<std::string> ids = {"bptt", "rtrl", "double-sum", "ad:bptt", "ad:rtrl", "ad:double-sum"};
  std::vector<std::string> words = {f.path.string(), "--per-step", "--sensitivity"};
  for (const auto& id : ids) words.insert(words.end(), {"--rule", id});
  const Json all = Json::parse(printed(words));
  BOOST_REQUIRE((all.is_array() && all.size() == ids.size()));

  const auto tape = rnn::bptt(c.net, c.sequence, {.copies = true});
  const auto forward = rnn::rtrl(c.net, c.sequence);
  rnn::Rtrl<double> stepwise(c.net);
  for (Index t = 0; t < 4; ++t) stepwise.advance(c.sequence.x.col(t), c.sequence.target.col(t));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    BOOST_TEST_CONTEXT(ids[i]) {
      const Json& a = all[i];
      BOOST_TEST(a["rule"].get<std::string>() == ids[i]);
      BOOST_TEST(
          (a["loss"].get<double>() == tape.loss || std::abs(a["loss"].get<double>() - tape.loss) < 1e-14 * tape.loss));
      BOOST_TEST(close(a["losses"], rows(tape.losses)));
      BOOST_TEST(a["per_step"].size() == 4u);
      BOOST_TEST(a.contains("delta") == (i == 0 || i == 3));
      BOOST_TEST(a.contains("P") == (i == 1 || i == 4));
    }
  }
  // what the libraries give
  rules::Bptt<double> bptt(c.net);
  const auto by_hand = rules::learn(bptt, c.net, c.sequence, true);
  BOOST_TEST(close(all[0]["gradient"], blocks(by_hand.gradient)));
  BOOST_TEST(close(all[0]["per_step"][2], blocks(by_hand.per_step[2])));
  BOOST_TEST(close(all[0]["delta"], rows(bptt.delta().transpose())));
  BOOST_TEST(close(all[3]["gradient"], blocks(tape.gradient)));
  BOOST_TEST(close(all[3]["per_step"][2], blocks(tape.per_step[2])));
  BOOST_TEST(close(all[3]["delta"], rows(tape.delta.transpose())));
  BOOST_TEST(close(all[4]["gradient"], blocks(forward.gradient)));
  BOOST_TEST(close(all[4]["per_step"][3], blocks(forward.per_step[3])));
  BOOST_TEST(all[4]["P"].size() == 4u);
  BOOST_TEST(close(all[4]["P"][3][1]["W_in"][2][0], stepwise.P_W_in()(1, 2, 0)));
  BOOST_TEST(close(all[4]["P"][3][4]["W_rec"][0][3], stepwise.P_W_rec()(4, 0, 3)));
  BOOST_TEST(close(all[4]["P"][3][0]["b_rec"][0], stepwise.P_b_rec()(0, 0)));
  BOOST_TEST(close(all[1]["P"], all[4]["P"]));
}

BOOST_AUTO_TEST_CASE(one_rule_is_one_object_and_bptt_if_none_is_asked) {
  const Case c;
  const File f(c.file());
  const Json a = Json::parse(printed({f.path.string()}));
  BOOST_TEST(a["rule"].get<std::string>() == "bptt");
  BOOST_TEST(!a.contains("per_step"));
  const auto in_order = nlohmann::ordered_json::parse(printed({f.path.string()}))["gradient"];
  std::vector<std::string> keys;
  for (const auto& [key, value] : in_order.items()) keys.push_back(key);
  BOOST_TEST((keys == std::vector<std::string>{"W_in", "W_rec", "b_rec", "W_out", "b_out"}));
  BOOST_TEST((a == Json::parse(printed({"--rule=bptt", f.path.string()}))));

  std::istringstream text(c.file().dump());
  std::streambuf* const before = std::cin.rdbuf(text.rdbuf());
  const Json from_stdin = Json::parse(printed({"-"}));
  std::cin.rdbuf(before);
  BOOST_TEST((from_stdin == a));
}

BOOST_AUTO_TEST_CASE(the_initial_state_may_be_left_out_and_there_may_be_no_inputs) {
  Case c;
  Json file = c.file();
  file.erase("h_0");
  c.net.h_0.setZero();
  BOOST_TEST((Json::parse(printed({File(file).path.string(), "--rule", "ad:bptt"}))["gradient"] ==
              blocks(rnn::bptt(c.net, c.sequence).gradient)));
  for (auto& row : file["W_in"]) row = Json::array();
  for (auto& row : file["x"]) row = Json::array();
  const Json a = Json::parse(printed({File(file).path.string()}));
  BOOST_TEST((a["gradient"]["W_in"] == Json::parse("[[],[],[],[],[]]")));
}

BOOST_AUTO_TEST_CASE(bad_files_are_refused_by_field_and_sizes) {
  const Json good = Case().file();
  const auto changed = [&](const char* field, const Json& value) {
    Json j = good;
    j[field] = value;
    return j;
  };
  const Json two = {{1, 2}, {3, 4}};
  for (const char* field : {"alpha", "activation", "loss", "W_in", "W_rec", "b_rec", "W_out", "b_out", "x", "target"}) {
    Json j = good;
    j.erase(field);
    refused(j, {field, "missing"});
  }
  refused(changed("alhpa", 0.3), {"alhpa", "unknown"});
  refused(changed("h0", good["h_0"]), {"h0", "h_0"});
  refused(changed("W_in", two), {"W_in", "2 x 2", "5 x 2"});
  refused(changed("W_rec", {{1, 2, 3}, {1, 2, 3}}), {"W_rec", "2 x 3", "2 x 2"});
  refused(changed("W_rec", {{1, 2}, {3}}), {"W_rec[1]", "1 numbers", "2"});
  refused(changed("W_rec", Json::array()), {"W_rec", "no rows"});
  refused(changed("W_out", two), {"W_out", "2 x 2", "2 x 5"});
  refused(changed("b_rec", {1, 2}), {"b_rec", "2 numbers", "d = 5"});
  refused(changed("b_out", {1}), {"b_out", "1 numbers", "m = 2"});
  refused(changed("h_0", {1, 2, 3}), {"h_0", "3 numbers", "d = 5"});
  refused(changed("x", two), {"x", "2 x 2", "2 x 3"});
  refused(changed("x", Json::array()), {"x", "no rows"});
  refused(changed("target", {{1, 2}}), {"target", "1 x 2", "4 x 2"});
  refused(changed("b_rec", "none"), {"b_rec", "list"});
  refused(changed("b_rec", {1, 2, "three", 4, 5}), {"b_rec[2]", "three"});
  refused(changed("alpha", "0.3"), {"alpha", "number"});
  for (const double alpha : {0.0, -1.0, 2.0}) refused(changed("alpha", alpha), {"alpha", "at most 1"});
  refused(changed("activation", "tahn"), {"activation", "tahn", "softplus"});
  refused(changed("loss", 3), {"loss", "3", "squared"});
  refused(changed("options", {1}), {"options", "object"});
  refused(changed("options", {{"truncatoin", 3}}), {"truncatoin", "truncation"});
  refused(changed("options", {{"truncation", 0}}), {"options.truncation", "from 1 to 999999999", "0"});
  refused(changed("options", {{"n", 1.5}}), {"options.n", "whole", "1.5"});
  refused(changed("options", {{"sigma", "small"}}), {"options.sigma", "small"});
  refused(changed("options", {{"timing", "late"}}), {"options.timing", "aligned", "late"});
  refused(changed("options", {{"feedback", "random"}}), {"options.feedback", "random"});
  refused(changed("options", {{"feedback", two}}), {"options.feedback", "2 x 2", "2 x 5"});
  refused(changed("options", {{"signs", 1}}), {"options.signs", "true"});
  refused(changed("draws", Json::object()), {"draws", "list"});
  refused(changed("draws", {{1, "x"}}), {"draws[0][1]", "x"});
  refused(changed("draws", Json::parse("[[[1, 2], [3, 4]]]")), {"draws[0]", "2 lists of 2 numbers"});
  refused(changed("draws", Json::parse("[[[[[1]]]]]")), {"draws[0][0][0][0]"});
  Json huge = changed("loss", "squared");  // each L_t is finite, not their sum
  huge["target"] = rows(MatrixX<double>(MatrixX<double>::Constant(4, 2, 0.9e154)));
  refused(huge, {"summed over time", "inf"});
  refused(changed("state", {1}), {"state", "object"});
  refused(changed("state", {{"theta", 1}}), {"state", "theta", "Theta"});
  refused(changed("state", {{"A", {{1, 2}, {3}}}}), {"state.A[1]", "1 numbers"});
  refused(changed("gradient", {{"W_rec", two}}), {"gradient.W_rec", "2 x 2", "5 x 5"});
  refused(changed("gradient", {{"Wrec", two}}), {"gradient", "Wrec"});
  refused(changed("per_step", Json::array({Json::object()})), {"per_step", "1 entries", "4"});
  refused(changed("delta", two), {"delta", "2 x 2", "4 x 5"});
  Json large = changed("b_out", {1e200, 1e200});
  large["loss"] = "squared";
  refused(large, {"t = 1", "finite"});
  refused(Json::array({1, 2}), {"object", "list of 2"});
  const auto text = [](const char* json, const char* part) {
    const File f{std::string(json)};
    BOOST_CHECK_EXCEPTION(printed({f.path.string()}), tutorials::BadFile, [&](const tutorials::BadFile& e) {
      return std::string(e.what()).find(part) != std::string::npos;
    });
  };
  text("{\"alpha\": 1, \"alpha\": 2}", "twice");
  text("{\"alpha\": 1,", "JSON");
  text("", "JSON");
  text("{\"alpha\": 1e999}", "JSON");
  text("{\"alpha\": NaN}", "NaN and Infinity are no JSON numbers");
  text("{\"alpha\": -Infinity}", "NaN and Infinity are no JSON numbers");
  BOOST_CHECK_THROW(printed({"/no/such/file.json"}), tutorials::BadFile);
}

// To the last bit, both ways: what is read is what was written, and what is printed would be printed again.
BOOST_AUTO_TEST_CASE(numbers_survive_the_file) {
  const Case c;
  const File f(c.file());
  const auto file = tutorials::read_network_file(f.path.string());
  BOOST_TEST((flatten(file.network.parameters) == flatten(c.net.parameters)));
  BOOST_TEST((file.network.h_0 == c.net.h_0 && file.network.alpha == c.net.alpha));
  BOOST_TEST((file.sequence.x == c.sequence.x && file.sequence.target == c.sequence.target));
  const std::string text = printed({f.path.string()});
  const std::size_t loss = text.find("\"loss\": ") + 8;
  const std::string digits = text.substr(loss, text.find(',', loss) - loss);
  BOOST_TEST(Json(std::stod(digits)).dump() == digits);
  BOOST_TEST(digits.size() > 15u);
}

BOOST_AUTO_TEST_CASE(what_verify_needs_is_read) {
  const Case c;
  const auto tape = rnn::bptt(c.net, c.sequence, {.copies = true});
  Json j = c.file();
  j["gradient"] = {{"W_rec", rows(tape.gradient.W_rec)}, {"b_out", rows(tape.gradient.b_out)}};
  j["per_step"] = Json::array();
  for (const auto& part : tape.per_step) j["per_step"].push_back(blocks(part));
  j["delta"] = rows(tape.delta.transpose());
  const File f(j);
  const auto file = tutorials::read_network_file(f.path.string());
  BOOST_TEST(file.claim.gradient.size() == 2u);
  BOOST_TEST((file.claim.gradient.at("W_rec") == tape.gradient.W_rec));
  BOOST_TEST((file.claim.gradient.at("b_out") == tape.gradient.b_out));
  BOOST_TEST((file.claim.per_step.at(3).at("W_in") == tape.per_step[3].W_in));
  BOOST_TEST((file.claim.delta.value() == tape.delta.transpose()));
}

// What a rule is told in the file reaches it, by hand and derived; and the table has the derived one too.
BOOST_AUTO_TEST_CASE(every_rule_is_served_with_its_options) {
  const Case c;
  Json j = c.file();
  j["options"] = {{"truncation", 3},
                  {"block", 2},
                  {"n", 2},
                  {"seed", 7},
                  {"lr", 0.02},
                  {"J_lr", 0.01},
                  {"gamma", 0.9},
                  {"sg_factor", 0.7},
                  {"refresh", 2},
                  {"timing", "aligned"},
                  {"feedback", Json::array()}};
  rnn::Random random(3);
  const MatrixX<double> B = random.normal(2, 5);
  j["options"]["feedback"] = rows(B);
  j["state"] = {{"Theta", 0}};
  for (const auto& facts : rules::registry) {
    const std::string id(facts.id);
    if (id.ends_with("perturbation")) continue;  // derived, these are a limit: tests/perturbation_test
    BOOST_TEST_CONTEXT(id) {
      const Eigen::Index columns = id == "bp-lambda" ? 6 : 8;
      j["options"]["lr"] = id == "kernl" ? 0 : 0.02;  // derived, its noise is a limit too
      j["state"]["Theta"] = rows(rnn::Random(4).normal(5, columns, 0.3));
      const File f(j);
      const Json both = Json::parse(printed({f.path.string(), "--per-step", "--rule", id, "--rule", "ad:" + id}));
      BOOST_TEST(both[1]["rule"].get<std::string>() == "ad:" + id);
      BOOST_TEST(close(both[0]["gradient"], both[1]["gradient"]));
      BOOST_TEST(both[0]["per_step"].size() == 4u);
      Json plain = j;
      plain["options"].erase("feedback");
      plain["options"]["truncation"] = 2;
      plain["options"]["sg_factor"] = 0.5;
      plain["options"]["lr"] = 0.03;
      plain["options"]["seed"] = 8;
      const Json other = Json::parse(printed({File(plain).path.string(), "--rule", id}));
      BOOST_TEST(close(other["gradient"], both[0]["gradient"]) == (id == "readout"));
    }
  }
}

BOOST_AUTO_TEST_CASE(recorded_draws_and_start_states_are_replayed) {
  const Case c;
  Json j = c.file();
  rnn::Random random(5);
  std::vector<std::vector<double>> signs(4, std::vector<double>(5));
  for (auto& step : signs)
    for (double& sign : step) sign = random.sign();
  const MatrixX<double> A = random.normal(5, 1), B = random.normal(5, 9);
  j["draws"] = signs;
  j["state"] = {{"A", rows(rnn::VectorX<double>(A))}, {"B", rows(B)}};
  rnn::Options options;
  options.draws = rnn::Draws(signs);
  options.state = {{"A", A}, {"B", B}};
  rules::Uoro<double> uoro(c.net, options);
  const auto expected = blocks(rules::learn(uoro, c.net, c.sequence).gradient);
  const Json got = Json::parse(printed({File(j).path.string(), "--rule", "uoro", "--rule", "ad:uoro"}));
  BOOST_TEST(close(got[0]["gradient"], expected));
  BOOST_TEST(close(got[1]["gradient"], expected));

  // a direction for all weights, given as a d x k matrix
  const MatrixX<double> V = random.normal(5, 9);
  j.erase("state");
  j["draws"] = Json::array({rows(V)});  // at the first step; no other draws
  const Json forward = Json::parse(printed({File(j).path.string(), "--rule", "forward-gradient"}));
  const auto tape = rnn::bptt(c.net, c.sequence);
  const double along = tape.gradient.W_rec.cwiseProduct(V.leftCols(5)).sum() +
                       tape.gradient.W_in.cwiseProduct(V.middleCols(5, 3)).sum() + tape.gradient.b_rec.dot(V.col(8));
  BOOST_TEST(close(forward["gradient"]["W_rec"], rows(MatrixX<double>(along * V.leftCols(5)))));

  // a matrix of another shape as a piece of an entry, column by column too: dni's start
  const MatrixX<double> Theta = random.normal(5, 5 + 2 + 1);
  j["draws"] = Json::array({Json::array({rows(Theta)})});
  const Json by_rows = Json::parse(printed({File(j).path.string(), "--rule", "dni"}));
  j["draws"] = Json::array({std::vector<double>(Theta.data(), Theta.data() + Theta.size())});
  BOOST_TEST((by_rows == Json::parse(printed({File(j).path.string(), "--rule", "dni"}))));
  j["draws"] = signs;
  j["draws"][0][1] = 0.5;
  BOOST_CHECK_EXCEPTION(printed({File(j).path.string(), "--rule", "uoro"}), tutorials::BadFile,
                        [&](const tutorials::BadFile& e) {
                          return std::string(e.what()).find("entry 1 holds 0.5") != std::string::npos;
                        });

  const auto told = [&](const Json& file, const char* part) {
    const File f(file);
    BOOST_CHECK_EXCEPTION(printed({f.path.string(), "--rule", "uoro"}), tutorials::BadFile,
                          [&](const tutorials::BadFile& e) {
                            return std::string(e.what()).find(part) != std::string::npos &&
                                   std::string(e.what()).find(f.path.string()) != std::string::npos;
                          });
  };
  signs.pop_back();
  j["draws"] = signs;
  told(j, "3 entries");
  signs[1].push_back(1);
  j["draws"] = signs;
  told(j, "entry 2 has 6 numbers");
  signs[1] = {1};
  j["draws"] = signs;
  told(j, "entry 2 has 1 numbers");
  j.erase("draws");
  j["state"] = {{"A", {1, 2, 3}}};
  told(j, "A is 3 x 1, but must be 5 x 1");
}

// Every rule a third time, by a program that shares nothing with this one: tests/data/rule_cases.py says how. Both sides
// are right to some 1e-15; differences of losses over sigma = 0.1, and sums over steps that cancel, lose a digit or two.
BOOST_AUTO_TEST_CASE(every_rule_is_its_definition_in_numpy) {
  std::ifstream in(tests::data() / "rule_cases.json");
  const Json cases = Json::parse(in)["cases"];
  std::set<std::string> seen;
  for (const Json& c : cases) {
    Json file = c;
    const std::string id = file["rule"];
    file.erase("rule");
    // Derived, these are the limit of small noise, and so is what kernl learns: tests/surgery_test.
    const bool a_limit = id.ends_with("-perturbation") || (id == "kernl" && c["options"]["lr"] != 0);
    std::vector<std::string> rules = {id};
    if (!a_limit) rules.push_back("ad:" + id);
    seen.insert(id);
    const File f(file);
    for (const std::string& rule : rules) {
      const Json got = Json::parse(printed({f.path.string(), "--per-step", "--rule", rule}));
      for (const auto& [block, expected] : c["gradient"].items()) BOOST_TEST_CONTEXT(rule << ", " << block) {
          const Json one = Json::array({got["gradient"]}), other = Json::array({c["gradient"]});
          BOOST_TEST(tests::relative(numbers(one, block), numbers(other, block)) < 1e-12);
          BOOST_TEST(tests::relative(numbers(got["per_step"], block), numbers(c["per_step"], block)) < 1e-12);
        }
    }
  }
  for (const auto& facts : rules::registry)
    BOOST_TEST(seen.count(std::string(facts.id)) == 1u, "no case of " << facts.id);
}

BOOST_AUTO_TEST_CASE(wrong_words_are_explained) {
  const File f(Case().file());
  const std::string name = f.path.string();
  BOOST_CHECK_THROW(printed({}), tutorials::UsageError);
  BOOST_CHECK_THROW(printed({name, name}), tutorials::UsageError);
  BOOST_CHECK_THROW(printed({name, "--per-stpe"}), tutorials::UsageError);
  BOOST_CHECK_THROW(printed({name, "--sensitivity"}), tutorials::UsageError);  // bptt has no P
  BOOST_CHECK_EXCEPTION(printed({name, "--rule", "btpp"}), tutorials::UsageError, [](const std::exception& e) {
    return std::string(e.what()).find("ad:rtrl") != std::string::npos;
  });
}

// The program itself, where it was built.
BOOST_AUTO_TEST_CASE(the_program_says_0_or_2) {
  namespace fs = std::filesystem;
  const fs::path here = boost::unit_test::framework::master_test_suite().argv[0];
  const fs::path program = fs::absolute(here).parent_path().parent_path() / "tutorials" / "unroll";
  if (!fs::exists(program)) {
    std::cout << "skipped: " << program << " is not built\n";
    return;
  }
  const Json good = Case().file();
  Json bad = good;
  bad.erase("alpha");
  const File f(good), g(bad);
  const auto call = [&](const std::string& words) {
    std::FILE* pipe = popen((program.string() + " gradient " + words + " 2>/dev/null").c_str(), "r");
    std::string out;
    for (int c = 0; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
    const int status = pclose(pipe);
    return std::pair(status / 256, out);
  };
  const auto [code, out] = call(f.path.string() + " --rule ad:rtrl");
  BOOST_TEST(code == 0);
  BOOST_TEST(close(Json::parse(out)["losses"], rows(rnn::run(Case().net, Case().sequence).losses)));
  BOOST_TEST(close(Json::parse(call("- < " + f.path.string()).second), Json::parse(printed({f.path.string()}))));
  BOOST_TEST(call(g.path.string()).first == 2);
  BOOST_TEST(call(g.path.string()).second.empty());
  BOOST_TEST(call("").first == 2);
  BOOST_TEST(call(f.path.string() + " --rule nobody").first == 2);
}

#else

BOOST_AUTO_TEST_CASE(without_json) {
  std::cout << "skipped: unroll gradient needs nlohmann-json (Debian: nlohmann-json3-dev)\n";
}

#endif
