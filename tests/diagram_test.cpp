// The picture of a recording: a column a scope, alike beside alike, and a page that holds what the tape holds.
#include <boost/test/unit_test.hpp>
#include <numeric>

#include "ad/matrix.h"
#include "ad/trace/explorer.h"
#include "rnn/bptt.h"
#include "tests/networks.h"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define HAS_JSON
#endif

namespace {

const ad::DiagramBox& box(const ad::Diagram& d, const std::string& label) {
  for (const auto& b : d.boxes)
    if (b.label == label) return b;
  throw std::runtime_error("no box " + label);
}
void nothing_lies_on_top_of_anything(const ad::Diagram& d) {
  std::set<std::pair<int, int>> places;
  for (const auto& b : d.boxes) {
    BOOST_TEST(places.insert({b.column, b.row}).second, b.label);
    BOOST_TEST((0 <= b.row && b.row < d.rows && 0 <= b.column && b.column < static_cast<int>(d.columns.size())));
    for (const std::size_t o : b.operands) BOOST_TEST(&d.boxes[o] < &b, b.label << " reads what comes later");
  }
}
/// The sum of what the boxes hand out is the adjoint, number by number.
void hand_outs_add_up(const ad::Diagram& d, const ad::Tape& tape) {
  std::vector<double> sum(d.boxes.size(), 0.);
  sum[d.output] = 1;
  for (const auto& b : d.boxes)
    for (const auto& h : b.hands_out) sum[h.to] += h.amount;
  for (std::size_t i = 0; i < d.boxes.size(); ++i) {
    const auto& b = d.boxes[i];
    if (b.first == b.last) BOOST_TEST(std::abs(sum[i] - tape.adjoint(b.first)) < 1e-12, b.label);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(steps_of_a_network_are_columns_and_alike_stands_beside_alike) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared, 1, 1, 1, 1);
  ad::Tape tape;
  const auto unrolled = rnn::unroll(tape, net, tests::generic_sequence(net, 4), {.names = true});
  tape.reverse(unrolled.loss);
  const ad::Diagram d = ad::diagram(tape, unrolled.loss);
  BOOST_TEST((d.columns == std::vector<std::string>{"parameters", "t=1", "t=2", "t=3", "t=4"}));
  nothing_lies_on_top_of_anything(d);
  hand_outs_add_up(d, tape);
  BOOST_TEST(d.boxes[d.output].label == "L");
  for (const char* name : {"W_rec[0]", "W_in[0]", "b_rec[0]", "W_out[0]", "b_out[0]"})
    BOOST_TEST(box(d, name).column == 0, name);
  for (int t = 1; t <= 4; ++t)
    for (const std::string of : {"x_", "u_", "h_", "v_"}) {
      const auto& b = box(d, of + std::to_string(t) + "[0]");
      BOOST_TEST(b.column == t, b.label);
      BOOST_TEST(b.row == box(d, of + "2[0]").row, b.label);  // t = 1 has an operation less: there is no sum of losses
      BOOST_TEST(b.input == (of == "x_"));
    }
  BOOST_TEST((box(d, "h_0[0]").column == 1 && box(d, "h_0[0]").row < box(d, "x_1[0]").row));
  const auto& u = box(d, "h_2[0]");
  BOOST_TEST(u.operands.size() == 2u);
}

BOOST_AUTO_TEST_CASE(fused_products_and_whole_vectors_are_one_box) {
  ad::Tape tape;
  ad::Var x = tape.input(2.0, "x"), y = tape.input(3.0, "y");
  ad::Var z = x * y + x;
  tape.reverse(z);
  const ad::Diagram d = ad::diagram(tape, z);
  BOOST_TEST(d.boxes.size() == 3u);
  BOOST_TEST((d.boxes[2].operands == std::vector<std::size_t>{0, 1}));
  BOOST_TEST(d.boxes[2].hands_out.size() == 3u);
  hand_outs_add_up(d, tape);
  nothing_lies_on_top_of_anything(d);

  tape.clear();
  const ad::VarMatrix W = ad::input(tape, Eigen::Matrix3d(Eigen::Matrix3d::Random()), "W");
  ad::VarMatrix h = ad::input(tape, Eigen::Vector3d(0.1, -0.2, 0.3), "h");
  for (int t = 1; t <= 3; ++t) {
    const auto scope = tape.scope("t=" + std::to_string(t));
    h = tanh(ad::VarMatrix(W * h));
  }
  const ad::Var last = h.squaredNorm();
  tape.reverse(last);
  const ad::Diagram whole = ad::diagram(tape, last);
  nothing_lies_on_top_of_anything(whole);
  BOOST_TEST(whole.boxes.size() == 9u);  // W, h, three times two, and the norm behind the last scope
  BOOST_TEST((whole.columns == std::vector<std::string>{"parameters", "t=1", "t=2", "t=3", "-"}));
  BOOST_TEST((box(whole, "W").column == 0 && box(whole, "h").column == 1));
  BOOST_TEST((box(whole, "W").last - box(whole, "W").first == 8u));
}

#ifdef HAS_JSON
BOOST_AUTO_TEST_CASE(the_page_holds_what_the_tape_holds) {
  const auto net = tests::generic_network(rnn::Activation::tanh, rnn::Loss::squared, 1, 1, 1, 1);
  ad::Tape tape;
  const auto unrolled = rnn::unroll(tape, net, tests::generic_sequence(net, 3), {.names = true});
  tape.name(unrolled.losses[0], "</script> \"<b>");  // a name is text
  tape.forward(unrolled.theta.W_rec(0, 0));
  tape.reverse(unrolled.loss);
  const std::string page = ad::explorer(tape, unrolled.loss), tag = "type=\"application/json\">";
  const std::size_t begin = page.find(tag) + tag.size(), end = page.find("</script>", begin);
  const auto data = nlohmann::json::parse(page.substr(begin, end - begin));
  BOOST_TEST(page.size() - (end - begin) < 60'000u);
  for (const char* outside : {"http://", "https://", "src=", "href="})  // but for the name of SVG
    BOOST_TEST((page.find(outside) == std::string::npos || std::string(outside) == "http://"), outside);
  const ad::Diagram d = ad::diagram(tape, unrolled.loss);
  BOOST_REQUIRE(data["boxes"].size() == d.boxes.size());
  for (std::size_t i = 0; i < d.boxes.size(); ++i) {
    const auto& b = data["boxes"][i];
    BOOST_TEST(b["l"] == d.boxes[i].label);
    const auto near = [](double got, double expected) {
      return std::abs(got - expected) <= 1e-5 * std::max(1e-5, std::abs(expected));
    };
    BOOST_TEST(near(b["v"][0], tape.value_of(d.boxes[i].first)), b);
    BOOST_TEST(near(b["d"][0], tape.adjoint(d.boxes[i].first)), b);
    BOOST_TEST(near(b["t"][0], tape.tangent(d.boxes[i].first)), b);
  }
}
#endif
