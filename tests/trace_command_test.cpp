// `unroll trace`: the tape's adjoints are BPTT's credit, its tangents RTRL's P, whole vectors or number by number.
#include <boost/test/unit_test.hpp>

#if defined(UNROLL_HAS_JSON) && __has_include(<nlohmann/json.hpp>)

#include <sstream>

#include "rnn/bptt.h"
#include "rnn/rtrl.h"
#include "tests/network_files.h"
#include "tutorials/program/commands.h"
#include "tutorials/program/options.h"

namespace {

using tests::has, tests::Json;

std::string printed(std::vector<std::string> words) {
  const tests::File file(tests::NetworkCase().file());
  words.insert(words.begin(), file.path.string());
  return tests::printed(tutorials::trace_command, words);
}
const Json& row(const Json& trace, const std::string& name) {
  for (const Json& r : trace["rows"])
    if (r["name"] == name) return r;
  BOOST_FAIL("no row " << name);
  return trace;
}
bool close(const Json& got, double expected) {
  return std::abs(got.get<double>() - expected) <= 1e-12 * std::max(1.0, std::abs(expected));
}

}  // namespace

BOOST_AUTO_TEST_CASE(adjoints_are_the_credit_and_tangents_are_P) {
  const tests::NetworkCase c;
  const auto tape = rnn::bptt(c.net, c.sequence);
  rnn::Rtrl<double> rtrl(c.net);
  for (const bool scalars : {false, true}) {
    std::vector<std::string> words = {"--format", "json", "--tangent", "W_rec[3,1]"};
    if (scalars) words.push_back("--scalars");
    const Json trace = Json::parse(printed(words));
    rtrl.reset();
    for (Eigen::Index t = 1; t <= 4; ++t) {
      rtrl.advance(c.sequence.x.col(t - 1), c.sequence.target.col(t - 1));
      for (Eigen::Index i = 0; i < 5; ++i) {
        const Json& h = row(trace, "h_" + std::to_string(t) + '[' + std::to_string(i) + ']');
        BOOST_TEST(close(h["adjoint"], tape.delta(i, t - 1)));
        BOOST_TEST(close(h["value"], rtrl.h()(i)));
        BOOST_TEST(close(h["tangent"], rtrl.P_W_rec()(i, 3, 1)));
      }
    }
    BOOST_TEST(close(row(trace, "L")["value"], tape.loss));
    BOOST_TEST(close(row(trace, "L")["tangent"], tape.gradient.W_rec(3, 1)));
    // backward from one loss alone
    words.insert(words.end(), {"--output", "L_2"});
    const Json second = Json::parse(printed(words));
    BOOST_TEST(close(row(second, "L_2")["adjoint"], 1));
    BOOST_TEST(close(row(second, "h_3[0]")["adjoint"], 0));
  }
}

BOOST_AUTO_TEST_CASE(a_person_reads_whole_vectors_a_step_or_all) {
  const std::string all = printed({}), second = printed({"--step", "2"}),
                    scalars = printed({"--scalars", "--step", "2"});
  for (const char* part : {"L = ", "u_2 = W_rec*h_1 + W_in*x_2", "f_2 = softplus(u_2)", "h_2 = 0.7*h_1 + 0.3*f_2",
                           "h_1 += W_rec^T*g", "u_4", "W_rec"})
    BOOST_TEST(has(all, part));
  BOOST_TEST((has(second, "u_2 = W_rec*h_1 + W_in*x_2") && second.find("u_3 = ") == std::string::npos));
  BOOST_TEST(has(scalars, "W_rec[0,1]*h_1[1]"));
  for (const std::string* text : {&all, &second, &scalars}) {
    BOOST_TEST((text->find("trace.cpp") == std::string::npos && text->find("bptt.h") == std::string::npos));
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);) BOOST_TEST(line.size() <= 80u, line);
  }
  BOOST_TEST(has(printed({"--step", "2", "--tangent", "x_1[0]"}), "pairing, sum of adjoint * tangent"));
  BOOST_TEST(printed({"--elements", "0"}).size() < all.size());
  BOOST_TEST(has(printed({"--rows", "10"}), " rows)"));
  BOOST_TEST(has(printed({"--format", "markdown", "--step", "1"}), "|---|---|"));
  BOOST_TEST(printed({"--format", "latex", "--step", "1"}).starts_with("\\begin{tabular}"));
}

BOOST_AUTO_TEST_CASE(the_gradient_stands_beside_the_inputs_and_the_loss_is_written_out) {
  tests::NetworkCase c;
  c.net.loss = rnn::Loss::squared;
  const tests::File file(c.file());
  const auto all = [&](std::vector<std::string> words) {
    words.insert(words.begin(), file.path.string());
    return tests::printed(tutorials::trace_command, words);
  };
  BOOST_TEST(has(all({}), "L_1 = 0.5*|v_1 - [2 x 1]|^2"));
  const Json inputs = Json::parse(all({"--inputs", "--elements", "99", "--format", "json"}));
  const auto tape = rnn::bptt(c.net, c.sequence);
  BOOST_TEST(close(row(inputs, "W_rec[3,1]")["adjoint"], tape.gradient.W_rec(3, 1)));
  BOOST_TEST(close(row(inputs, "b_out[1]")["adjoint"], tape.gradient.b_out(1)));
}

BOOST_AUTO_TEST_CASE(a_page_is_written) {
  const std::string page = printed({"--html", "-", "--tangent", "W_rec[1,0]"});
  BOOST_TEST(page.starts_with("<!DOCTYPE html>"));
  for (const char* part : {"\"l\":\"h_3\"", "\"columns\":[\"parameters\",\"t=1\"", "\"t\":[", "W_rec^T*g"})
    BOOST_TEST(has(page, part));
  BOOST_CHECK_THROW(printed({"--html", "/no/such/folder/page.html"}), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(what_does_not_exist_is_told) {
  const auto told = [](const std::vector<std::string>& words, const std::string& part) {
    BOOST_CHECK_EXCEPTION(printed(words), tutorials::UsageError,
                          [&](const tutorials::UsageError& e) { return has(e.what(), part); });
  };
  told({"--step", "5"}, "4 steps");
  told({"--step", "0"}, "from 1 on");
  told({"--tangent", "W_rec[5,0]"}, "W_rec[5,0]");
  told({"--output", "l"}, "\"l\"");
  told({"--format", "html"}, "html");
  told({"other.json"}, "2 are given");
  tests::refused(tutorials::trace_command, Json::object(), {"alpha", "missing"});
}

#else

BOOST_AUTO_TEST_CASE(without_json_there_are_no_network_files) {}

#endif
