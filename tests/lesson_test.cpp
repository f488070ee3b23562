// The lesson runner: steps are cut from the source, calls find their step by line, every reader tells the same.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <csignal>
#include <cstdlib>
#include <sstream>

#include "ad/dual.h"
#include "tutorials/prose.h"
#include "tutorials/readers.h"
#include "tutorials/recording.h"

using namespace tutorials;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A Label on a line of one's own choice, to place calls into a source written here.
Label on(int line, const char* text) { return Label(text, "01_small.cpp", line); }

Recording run(const char* source, void (*body)(), const Settings& settings = {}) {
  return record({1, "Small", "tutorials/01_small.cpp", body}, source, settings);
}

constexpr const char* small = R"lesson(// not shown
#include "not_shown.h"
//% # First & foremost
//% Prose with `code`.
//%ja 日本語の文。
LESSON(1, "Small") {
  int twice(int);

  expect("hidden",
         f("a;b)"), 2);
  if (at_default()) {
    expect("hidden too", 1, 1);
  }
  ask("hidden", 1);
  show("x", x);
  //%hide
  secret();
  //%show
  //% # Second <step>
  for (int i = 0; i < 3; ++i) {
    show("i", i);
  }
  //% Prose after it.
  last();
}
after();
)lesson";
const auto nothing = [] {};

std::string code_of(const Step& step) {
  std::string all;
  for (const Item& item : step.items)
    if (const auto* code = std::get_if<Code>(&item))
      for (const auto& [number, line] : code->lines) all += std::to_string(number) + ":" + line + "\n";
  return all;
}
std::string outputs_of(const Step& step) {
  std::string all;
  for (const Item& item : step.items)
    if (const auto* output = std::get_if<Output>(&item)) all += output->text + "\n";
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(source_is_cut_into_steps_with_prose_and_visible_code) {
  const Recording r = run(small, nothing);
  BOOST_REQUIRE_EQUAL(r.steps.size(), 2u);
  BOOST_TEST(r.file == "tutorials/01_small.cpp");
  BOOST_TEST(r.steps[0].title == "First & foremost");
  BOOST_TEST(r.steps[1].title == "Second <step>");
  BOOST_REQUIRE_EQUAL(r.steps[0].items.size(), 3u);
  BOOST_TEST(std::get<Prose>(r.steps[0].items[0]).markdown == "Prose with `code`.\n");
  BOOST_TEST(std::get<Prose>(r.steps[0].items[1]).japanese);
  BOOST_TEST(code_of(r.steps[0]) == "7:int twice(int);\n8:\n15:show(\"x\", x);\n");
  BOOST_TEST(code_of(r.steps[1]) == "20:for (int i = 0; i < 3; ++i) {\n21:  show(\"i\", i);\n22:}\n24:last();\n");
}

BOOST_AUTO_TEST_CASE(loops_of_claims_only_are_hidden) {
  const Recording r =
      run("//% # One\nint a;\nfor (int i : x) {\n  for (int j : y) {\n    expect(\"\", i, j);\n  }\n}\n"
          "for (int i : x) expect(\"\", i, 1);\nint b;\nvoid f() {\n}\n",
          nothing);
  BOOST_TEST(code_of(r.steps[0]) == "2:int a;\n9:int b;\n10:void f() {\n11:}\n");
}

BOOST_AUTO_TEST_CASE(source_without_a_step_title_takes_the_lessons) {
  const Recording r = run("//% Words.\nint x;\n", nothing);
  BOOST_REQUIRE_EQUAL(r.steps.size(), 1u);
  BOOST_TEST(r.steps[0].title == "Small");
}

BOOST_AUTO_TEST_CASE(calls_go_to_the_piece_of_code_of_their_line_in_order_and_questions_first) {
  const Recording r = run(small, [] {
    for (int i = 0; i < 3; ++i) show(on(21, "i"), i);
    show(on(24, "late"), 1);
    show(on(15, "x"), 2.5, "y", -0.0);  // an earlier line called later still belongs to its step
    ask(on(14, "how much?"), 2.5, 0.1, "half of 5");
    show(Label("from a helper", "other.cpp", 3), 7);  // another file: where the lesson spoke last
  });
  BOOST_TEST(outputs_of(r.steps[0]) == "x = 2.5   y = 0\nfrom a helper = 7\n");
  BOOST_TEST(outputs_of(r.steps[1]) == "i = 0\ni = 1\ni = 2\nlate = 1\n");
  const auto& items = r.steps[1].items;
  BOOST_TEST(std::holds_alternative<Output>(items[3]));
  BOOST_TEST(std::holds_alternative<Prose>(items[4]));
  BOOST_TEST(std::get<Output>(items[6]).text == "late = 1");
  BOOST_TEST(std::get<Question>(r.steps[0].items[3]).text == "how much?");
}

BOOST_AUTO_TEST_CASE(a_call_knows_the_line_it_stands_on) {
  const auto line_of = [](const Label& label) { return label.line; };
  BOOST_TEST(line_of("literal") == __LINE__);
  BOOST_TEST(line_of(std::string("string")) == __LINE__);
  static int line = 0;
  const auto body = [] { line = __LINE__, expect("here", false); };
  const Recording r = record({1, "Here", __FILE__, body}, "//% # One\ncode();\n");
  BOOST_REQUIRE_EQUAL(r.steps.at(0).checks.size(), 1u);
  BOOST_TEST(r.steps[0].checks[0].line == line);
}

BOOST_AUTO_TEST_CASE(values_are_shown_with_their_sizes_and_within_80_columns) {
  BOOST_TEST(text(2.0) == "2");
  BOOST_TEST(text(1.0 / 3) == "0.333333");
  BOOST_TEST(text(true) == "yes");
  BOOST_TEST(text(std::vector<std::string>{"a", "b"}) == "a, b");
  BOOST_TEST(text(Eigen::Vector3d(1, -0.5, 0)) == "(1.000000, -0.500000, 0.000000)");
  BOOST_TEST(text(Eigen::Matrix2i::Identity()) == "  1  0\n  0  1");
  BOOST_TEST(text(Eigen::Vector2d(1, 1e-9)) == "(1.000000, 1.0e-09)");  // a small number is not shown as zero
  BOOST_TEST(text(Eigen::MatrixXd(0, 3)) == "(empty, 0 x 3)");
  for (const auto& line : split_lines(text(Eigen::MatrixXd::Random(3, 40) * 1e4)))
    BOOST_TEST(display_width(line) <= 80);
  struct Number {
    double inside;
    double value() const { return inside; }
  };
  BOOST_TEST(number(Number{4}) == 4);
  struct Pair {
    double value, tangent;
  };
  BOOST_TEST(text(Pair{4, 0.5}) == "4 + 0.5 eps");
  BOOST_TEST(text(ad::Dual<>(49, 56)) == "49 + 56 eps");
  BOOST_TEST(text(std::vector<Number>{{1}, {2}}) == "(1, 2)");
}

BOOST_AUTO_TEST_CASE(a_claim_that_does_not_hold_is_a_failure_with_file_line_claimed_and_got) {
  const Recording r = run(small, [] {
    const Eigen::Vector2d a(1, 2), b(1, 2.001);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    expect(on(9, "holds"), 1 + 1 == 2);
    expect(on(9, "holds"), 0.1 + 0.2, 0.3);
    expect(on(9, "holds"), a, b, 0.01);
    expect(on(9, "holds"), std::string("ab"), "ab");
    expect(on(9, "holds"), std::vector<double>{1, 2}, a);
    expect_throws(
        on(9, "holds"), [] { throw std::runtime_error("2 x 3 against 3 x 2"); }, "3 against 3");
    expect(on(21, "false"), false);
    expect(on(21, "a tenth of a percent"), 1.0001, 1.0);
    expect(on(21, "beyond the tolerance"), 1.2, 1.0, 0.1);
    expect(on(21, "not a number"), nan, nan);
    expect(on(21, "rounding is not zero"), 1e-17, 0.0);
    expect(on(21, "entry"), a, b);
    expect(on(21, "sizes"), a, Eigen::Vector3d(1, 2, 3));
    expect(on(21, "whole"), 3, 4);
    expect(on(21, "words"), "ab", "ac");
    expect_throws(
        on(21, "silent"), [] {}, "");
    expect_throws(
        on(21, "other text"), [] { throw std::runtime_error("else"); }, "this");
  });
  for (const Check& c : r.steps[0].checks) BOOST_TEST(c.holds, c.claim << " " << c.got << " " << c.want);
  for (const Check& c : r.steps[1].checks) BOOST_TEST(!c.holds, c.claim);
  BOOST_TEST(r.steps[0].checks.size() == 6u);
  BOOST_TEST(r.failures() == 11);
  std::ostringstream out;
  BOOST_TEST(check({r}, out) == 11);
  BOOST_TEST(has(out.str(), "FAIL lesson  1  Small"));
  BOOST_TEST(has(out.str(), "tutorials/01_small.cpp:21: a tenth of a percent\n    got     1.0001\n    claimed 1\n"));
  BOOST_TEST(has(plain_step(r, 1, {}), "FAIL line 21: whole: got 3, claimed 4"));
  BOOST_TEST(has(plain_step(r, 0, {}), "ok 6 checks in this step"));
}

BOOST_AUTO_TEST_CASE(a_lesson_that_throws_or_prints_too_wide_fails_its_check) {
  const Recording r = run(small, [] {
    show(on(15, "before"), 1);
    show(Label(std::string(81, 'x'), "01_small.cpp", 21));
    throw std::runtime_error("the reason");
  });
  BOOST_TEST(r.failures() == 2);
  BOOST_TEST(r.error == "tutorials/01_small.cpp, after line 21: the reason");
  BOOST_TEST(outputs_of(r.steps[0]) == "before = 1\n");
  BOOST_TEST(has(html({r}), "the reason"));
}

BOOST_AUTO_TEST_CASE(parameters_can_be_set_within_their_range_only) {
  const auto body = [] {
    const double alpha = parameter(on(7, "alpha"), 0.4, 0, 1);
    const int steps = parameter(on(7, "T"), 6, 1, 100);
    show(on(15, "alpha"), alpha, "T", steps);
    if (at_default()) expect(on(9, "default"), alpha, 0.4);
  };
  BOOST_TEST(outputs_of(run(small, body).steps[0]) == "alpha = 0.4   T = 6\n");
  BOOST_TEST(run(small, body).steps[0].checks.size() == 1u);
  const Recording changed = run(small, body, {{"alpha", 1.0}, {"T", 7}});
  BOOST_TEST(outputs_of(changed.steps[0]) == "alpha = 1   T = 7\n");
  BOOST_TEST(changed.steps[0].checks.empty());
  const auto message = [&](const Settings& settings) -> std::string {
    try {
      run(small, body, settings);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  BOOST_TEST(message({{"alpha", 1.5}}) == "alpha = 1.5 is outside of its range, 0 to 1");
  BOOST_TEST(message({{"alpha", -0.1}}) == "alpha = -0.1 is outside of its range, 0 to 1");
  BOOST_TEST(message({{"alpha", std::numeric_limits<double>::quiet_NaN()}}) != "accepted");
  BOOST_TEST(message({{"T", 2.5}}) == "T = 2.5 must be a whole number");
  BOOST_TEST(message({{"beta", 1}}) ==
             "lesson 1 has no parameter \"beta\"; it has alpha (0.4, from 0 to 1), T (6, from 1 to 100)");
}

BOOST_AUTO_TEST_CASE(recording_outside_of_a_lesson_is_refused) {
  BOOST_CHECK_THROW(show("x", 1), std::logic_error);
  run(small, [] { show(on(15, "x"), 1); });
  BOOST_CHECK_THROW(show("x", 1), std::logic_error);
}

BOOST_AUTO_TEST_CASE(answers_are_read_and_judged) {
  double x = 0;
  BOOST_TEST((parse_answer("-0.25", false, x) && x == -0.25));
  BOOST_TEST((parse_answer(" +1/4 ", false, x) && x == 0.25));
  BOOST_TEST((parse_answer("2e-3", false, x) && x == 0.002));
  BOOST_TEST((parse_answer("Y", true, x) && x == 1));
  for (const char* bad : {"", "abc", "1/0", "1/2/3", "1..2", "nan", "inf", "yes"})
    BOOST_TEST(!parse_answer(bad, false, x), bad);
  const Recording r = run(small, [] {
    ask(on(14, "a"), 2.0);
    ask(on(14, "b"), 2.0, 0.5);
    ask(on(14, "c"), true);
    ask(on(14, "d"), 0);
  });
  const auto question = [&](std::size_t i) { return std::get<Question>(r.steps[0].items[3 + i]); };
  BOOST_TEST((question(0).right(1.99) && !question(0).right(1.9)));
  BOOST_TEST((question(1).right(1.6) && !question(1).right(2.6)));
  BOOST_TEST(
      (question(2).yes_no && question(2).right(1) && !question(2).right(0) && question(2).answer_text() == "yes"));
  BOOST_TEST((question(3).right(0) && !question(3).right(0.02)));
}

BOOST_AUTO_TEST_CASE(the_terminals_page_ends_at_the_first_open_question) {
  const Recording r = run(small, [] {
    ask(on(14, "first?"), 1);
    ask(on(14, "second?"), 2);
    show(on(15, "x"), 12345);
  });
  std::vector<std::string> verdicts;
  const auto page = [&] { return lay_out(r, 0, {}, &verdicts); };
  const auto text_of = [](const Page& p) { return join_lines(p.lines); };
  BOOST_REQUIRE(page().asked != nullptr);
  BOOST_TEST(page().asked->text == "first?");
  BOOST_TEST(!has(text_of(page()), "12345"));
  verdicts.push_back("right: 1");
  BOOST_TEST(page().asked->text == "second?");
  BOOST_TEST(has(text_of(page()), "right: 1"));
  BOOST_TEST(!has(text_of(page()), "12345"));
  verdicts.push_back("answer: 2");
  BOOST_TEST((page().asked == nullptr));
  BOOST_TEST(has(text_of(page()), " > x = 12345"));
  BOOST_TEST(has(plain_text(r, {}), "   answer: 2"));
}

BOOST_AUTO_TEST_CASE(plain_text_fits_the_width_and_has_no_escapes_without_colour) {
  std::string source = "//% # Long\n//%";
  for (int i = 0; i < 60; ++i) source += " word" + std::to_string(i) + " *強調* `code` $h_t$ 長い日本語の文が続く。";
  source +=
      "\n  int a_line_of_code_that_is_longer_than_the_screen = 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12;\n";
  const Recording r = run(source.c_str(), nothing);
  for (const int width : {80, 100, 61}) {
    for (const auto& line : split_lines(plain_text(r, {width, false}))) {
      BOOST_TEST(display_width(line) <= width, line);
      BOOST_TEST(!has(line, "\033"));
    }
    for (const auto& line : split_lines(plain_text(r, {width, true}))) BOOST_TEST(display_width(line) <= width, line);
  }
  BOOST_TEST(display_width(top_line(r, 0, {80, false})) == 80);
  BOOST_TEST(has(plain_text(r, {80, true}), "\033["));
}

BOOST_AUTO_TEST_CASE(japanese_is_measured_two_columns_wide_and_broken_between_characters) {
  BOOST_TEST(display_width("随伴") == 4);
  BOOST_TEST(display_width("h随伴。") == 7);
  BOOST_TEST(display_width("\033[1mab\033[0m") == 2);
  BOOST_TEST(display_width("x\u0307") == 1);
  BOOST_TEST(display_width("ｶﾅ") == 2);  // half width
  BOOST_TEST(display_width("₀ₜ∂·") == 4);
  BOOST_TEST(cut_to_width("随伴変数", 5) == "随伴");
  // no line begins with 。, and lines of source join without a space
  const auto lines = prose_lines("前の状態か\nらの勾配。次", 12, false);
  BOOST_REQUIRE_EQUAL(lines.size(), 2u);
  BOOST_TEST(lines[0] == "前の状態から");
  const auto kinsoku = paragraph_lines("勾配勾配勾配。次", 12, false);
  BOOST_TEST(kinsoku[0] == "勾配勾配勾");
  BOOST_TEST(kinsoku[1] == "配。次");
}

BOOST_AUTO_TEST_CASE(everything_a_lesson_says_is_escaped_in_html) {
  const Recording r = run(small, [] {
    show(on(15, "<b>"), std::string("a & b </pre><script>"));
    ask(on(14, "is \"a\" < b?"), 1.0, 0.1, "it's \"quoted\" <i>");
    figure(on(15, "a <figure>"), "<svg><path d=\"M0 0\"/></svg>", "plain");
    expect(on(9, "1 < 2 & so on"), false);
  });
  const std::string page = html({r});
  BOOST_TEST(has(page, "&lt;b&gt; = a &amp; b &lt;/pre&gt;&lt;script&gt;"));
  BOOST_TEST(has(page, "data-hint=\"it&#39;s &quot;quoted&quot; &lt;i&gt;\""));
  BOOST_TEST(has(page, "is &quot;a&quot; &lt; b?"));
  BOOST_TEST(has(page, "<svg><path d=\"M0 0\"/></svg><figcaption>a &lt;figure&gt;"));
  BOOST_TEST(has(page, "1 &lt; 2 &amp; so on"));
  BOOST_TEST(has(page, "First &amp; foremost</h2>"));
  BOOST_TEST(has(page, "Second &lt;step&gt;</h2>"));
  BOOST_TEST(has(page, "<p lang=\"ja\">日本語の文。</p>"));
  BOOST_TEST(has(page, "id=\"step-2\""));
  BOOST_TEST(!has(page, "http"));  // nothing is fetched
  BOOST_TEST(has(html({r, r}), "id=\"lesson-1-step-2\""));
  BOOST_TEST(has(plain_text(r, {}), "plain"));
  BOOST_TEST(!has(prose_html("[x](javascript:alert)"), "href"));
}

BOOST_AUTO_TEST_CASE(markdown_keeps_the_prose_and_fences_code_and_output) {
  const Recording r = run("//% # One\n//% ## Below\n//% Text.\nint x;\n", [] { show(on(4, "x"), 3); });
  BOOST_TEST(markdown(r) == "# 01 Small\n\n## One\n\n### Below\nText.\n\n```cpp\nint x;\n```\n\n```text\nx = 3\n```\n");
}

BOOST_AUTO_TEST_CASE(prose_reads_lists_tables_quotes_and_emphasis) {
  const std::string source =
      "## Head\n- a *b*\n  - c\n- d\n\n1. one\n2. two\n\n| x | y |\n|---|---|\n| `a|b` | 1 |\n\n> said\n\n5 * 3 * 2 "
      "and h_t_1 \\*\n";
  BOOST_TEST(prose_html(source) ==
             "<h3>Head</h3>\n<ul>\n<li>a "
             "<em>b</em><ul>\n<li>c</li></ul>\n</li>\n<li>d</li></ul>\n<ol>\n<li>one</li>\n<li>two</li></ol>\n"
             "<table>\n<tr><th>x</th><th>y</th></tr>\n<tr><td><code>a|b</code></td><td>1</td></tr>\n</table>\n"
             "<blockquote><p>said</p></blockquote>\n<p>5 * 3 * 2 and h_t_1 *</p>\n");
  const std::string lines = join_lines(prose_lines(source, 78, false));
  BOOST_TEST(lines ==
             "Head\n\n - a b\n    - c\n - d\n 1. one\n 2. two\n\n  x      y\n  -----  -\n  `a|b`  1\n\n| said\n\n5 * 3 "
             "* 2 and h_t_1 *");
}

BOOST_AUTO_TEST_CASE(formulas_read_well_as_text_and_are_mathml_in_html) {
  BOOST_TEST(math_text("h_{t-1}^2 = \\alpha f(u_t)") == "hₜ₋₁² = αf(uₜ)");
  BOOST_TEST(math_text("\\frac{\\partial L}{\\partial h_t}") == "∂L/∂hₜ");
  BOOST_TEST(math_text("\\frac{a+b}{2x}") == "(a + b)/(2x)");
  BOOST_TEST(math_text("W_\\mathrm{rec} h") == "W_rec h");
  BOOST_TEST(math_text("\\frac{\\partial L}{\\partial W_{\\mathrm{rec}}} \\Delta W_\\mathrm{in}") == "∂L/∂W_rec ΔW_in");
  BOOST_TEST(math_text("-x + (-y)") == "-x + (-y)");
  BOOST_TEST(math_text("J^\\top \\tanh u") == "Jᵀ tanh u");
  BOOST_TEST(math_text("\\unknown{x") == "unknown x");
  BOOST_TEST(math_text("\\sum_{t=1}^T \\frac{\\partial L_t}{\\partial h_t}\\frac{a}{b}^2") == "∑ₜ₌₁ᵀ ∂Lₜ/∂hₜ a/b²");
  BOOST_TEST(math_text("\\bar v += (x)^2 y") == "v̄ += (x)²y");
  BOOST_TEST(math_html("x^2") == "<math><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>");
  BOOST_TEST(math_html("a<b") == "<math><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>");
}

// A terminal of 80 by 24 with a reader of two lessons in it: what a person types, and what comes onto the screen.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    BOOST_REQUIRE(grantpt(master_) == 0 && unlockpt(master_) == 0);
    const winsize size{24, 80, 0, 0};
    ioctl(master_, TIOCSWINSZ, &size);
    tcgetattr(master_, &before);
    child_ = fork();
    if (child_ == 0) {
      setsid();
      const int slave = open(ptsname(master_), O_RDWR);
      ioctl(slave, TIOCSCTTY, 0);
      dup2(slave, 0), dup2(slave, 1);
      browse(1, 0, {}, [](int number, const Settings& settings) {
        Recording r = run(
            small,
            [] {
              parameter(on(7, "alpha"), 0.4, 0, 1);
              ask(on(14, "how much?"), 12345, 0.5, "a hint");
              show(on(15, "x"), 12345);
            },
            settings);
        r.number = number;
        return r;
      });
      _exit(0);
    }
  }
  ~Terminal() {
    if (child_ > 0) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
    close(master_);
  }
  // Types, then returns what is written until nothing more comes.
  std::string type(const std::string& keys) {
    BOOST_REQUIRE(write(master_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
    return read_screen();
  }
  std::string read_screen() {
    std::string screen;
    pollfd ready{master_, POLLIN, 0};
    while (poll(&ready, 1, screen.empty() ? 5000 : 150) > 0) {
      char bytes[4096];
      const ssize_t n = read(master_, bytes, sizeof bytes);
      if (n <= 0) break;
      screen.append(bytes, static_cast<std::size_t>(n));
    }
    return screen;
  }
  int exit_status() {
    int status = 0;
    waitpid(std::exchange(child_, 0), &status, 0);
    return status;
  }
  void signal(int number) { kill(child_, number); }
  bool as_before() {
    termios now;
    tcgetattr(master_, &now);
    return now.c_lflag == before.c_lflag;
  }

 private:
  int master_;
  pid_t child_ = 0;
  termios before;
};

// Where there are no pseudo-terminals (a bare chroot without /dev/pts), these cases are skipped and Boost says so.
boost::test_tools::assertion_result has_terminals(boost::unit_test::test_unit_id) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  boost::test_tools::assertion_result there(master >= 0 && grantpt(master) == 0);
  there.message() << "no pseudo-terminals here";
  close(master);
  return there;
}

BOOST_AUTO_TEST_CASE(a_reader_in_a_terminal_predicts_then_sees_and_gets_the_terminal_back,
                     *boost::unit_test::precondition(has_terminals)) {
  add_lesson({1, "Small", "tutorials/01_small.cpp", nothing});
  setenv("NO_COLOR", "1", 1);
  Terminal terminal;
  std::string screen = terminal.read_screen();
  BOOST_TEST(has(screen, " lesson 1 runs ..."));
  BOOST_TEST(has(screen, "01 Small"));
  BOOST_TEST(has(screen, "your answer: _"));
  BOOST_TEST(!has(screen, "12345\033"));
  BOOST_TEST(!has(screen, "\033[1m"));  // NO_COLOR
  BOOST_TEST(!terminal.as_before());
  BOOST_TEST(has(terminal.type("7\r"), "not yet. a hint"));
  screen = terminal.type("12345 ");  // behind a number, space is enter
  BOOST_TEST(has(screen, "right: 12345"));
  BOOST_TEST(has(screen, " > x = 12345"));
  BOOST_TEST(has(terminal.type(" "), "step 2/2"));
  BOOST_TEST(has(terminal.type("\033[D"), "right: 12345"));  // back, and still answered
  BOOST_TEST(has(terminal.type("g2\r"), "step 2/2"));
  BOOST_TEST(has(terminal.type("salpha=2\r"), "alpha = 2 is outside of its range, 0 to 1"));
  BOOST_TEST(has(terminal.type("?"), "table of contents"));
  BOOST_TEST(has(terminal.type("xq"), "\033[?1049l"));
  BOOST_TEST(terminal.exit_status() == 0);
  BOOST_TEST(terminal.as_before());
}

BOOST_AUTO_TEST_CASE(a_signal_ends_the_reader_as_it_would_otherwise_with_the_terminal_restored,
                     *boost::unit_test::precondition(has_terminals)) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    Terminal terminal;
    terminal.read_screen();
    BOOST_TEST(!terminal.as_before());
    terminal.signal(number);
    BOOST_TEST(has(terminal.read_screen(), "\033[?1049l"));
    const int status = terminal.exit_status();
    BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == number));
    BOOST_TEST(terminal.as_before());
  }
}
