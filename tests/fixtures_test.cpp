// PyTorch's numbers, and vanilla-rtrl's: every case of every file, by the derived gradients and by those written by hand.
//
// tests/data is always run; $UNROLL_FIXTURES (default ../shared/fixtures) where it exists. What a file holds is told by its
// fields, not by its name; of the fields described in tests/data/torch_cases.py all that are there are compared.
#include "tests/fixtures.h"

#include <boost/test/unit_test.hpp>
#include <iostream>

#ifdef UNROLL_HAS_JSON

#include <numeric>

#include "ad/operators.h"
#include "rnn/credit.h"
#include "rnn/rtrl.h"
#include "rules/registry.h"
#include "tests/fixture_cases.h"

namespace {

using rnn::MatrixX, rnn::Parameters, rnn::VectorX;
using tests::Case, tests::Json, tests::compared, tests::key, tests::matrix, tests::same;
using Index = Eigen::Index;

Parameters<double> parameters(const Json& j, const Parameters<double>& like) {
  Parameters<double> p = zeros_like(like);
  rnn::for_each_block([&](std::string_view block, auto& b) { b = matrix(j.at(key(block))); }, p);
  return p;
}

/// A sum of products that may cancel: relative to the sum of their sizes.
void same(const std::string& what, double got, double expected, double scale) {
  ++compared;
  BOOST_CHECK_MESSAGE(std::abs(got - expected) <= tests::of_reference * scale,
                      what << " is " << got << ", expected " << expected);
}

/// [W_rec | W_in | b_rec] as parameters, the readout zero.
Parameters<double> recurrent(const rules::Gradient<double>& g, const Parameters<double>& like) {
  Parameters<double> p = zeros_like(like);
  rules::add(g, p);
  return p;
}

/// P_t (d x d k) against the file's list of units.
void same_P(const std::string& what, const MatrixX<double>& P, const Json& units, const Parameters<double>& like) {
  const Index d = P.rows();
  BOOST_REQUIRE(static_cast<Index>(units.size()) == d);
  for (Index i = 0; i < d; ++i) {
    const VectorX<double> row = P.row(i);
    const MatrixX<double> by = Eigen::Map<const MatrixX<double>>(row.data(), d, P.cols() / d);
    Json expected = units[static_cast<std::size_t>(i)];
    expected.erase("Wout"), expected.erase("bout");
    same(what + "[" + std::to_string(i) + "]", recurrent(by, like), expected);
  }
}

/// Element i of the flattened parameters of a file, block after block row by row, is element order[i] of ours.
std::vector<Index> file_order(std::string text, const Parameters<double>& theta) {
  std::vector<std::pair<std::size_t, std::vector<Index>>> blocks;
  Index first = 0;
  rnn::for_each_block(
      [&](std::string_view block, const auto& b) {
        std::vector<Index> places;
        for (Index i = 0; i < b.rows(); ++i)
          for (Index j = 0; j < b.cols(); ++j) places.push_back(first + j * b.rows() + i);
        first += b.size();
        BOOST_REQUIRE_MESSAGE(text.find(key(block)) != std::string::npos, "no " << block << " in the order " << text);
        blocks.push_back({text.find(key(block)), std::move(places)});
      },
      theta);
  std::sort(blocks.begin(), blocks.end());
  std::vector<Index> order;
  for (const auto& [at, places] : blocks) order.insert(order.end(), places.begin(), places.end());
  return order;
}

void first_order(const Json& c, const Case& k) {
  const auto& net = k.net;
  const auto& sequence = k.sequence;
  const auto& theta = net.parameters;
  const Index length = sequence.length(), columns = net.d() + net.n() + 1;
  const auto has = [&](const char* field) { return c.contains(field); };
  const auto step = [&](const char* field, Index t) -> const Json& {
    return c[field][static_cast<std::size_t>(t - 1)];
  };

  const auto run = rnn::run(net, sequence);
  if (has("u")) same("u", run.u.transpose(), matrix(c["u"]));
  if (has("h")) same("h", run.h.transpose(), matrix(c["h"]));
  if (has("v")) same("v", run.v.transpose(), matrix(c["v"]));
  if (has("L_t")) same("L_t", run.losses, matrix(c["L_t"]));
  if (has("L")) same("L", run.loss, c["L"], c["L"].get<double>());
  if (has("y"))
    for (Index t = 1; t <= length; ++t) same("y", rnn::prediction(net.loss, run.v.col(t - 1)), matrix(step("y", t)));

  // Reverse mode, and BPTT by hand.
  const auto reverse = rnn::bptt(net, sequence, {.copies = true});
  rules::Bptt<double> bptt(net);
  const auto by_bptt = rules::learn(bptt, net, sequence, true);
  if (has("grad")) {
    same("grad by reverse mode", reverse.gradient, c["grad"]);
    same("grad by reverse mode without copies", rnn::bptt(net, sequence).gradient, c["grad"]);
    same("grad by BPTT", by_bptt.gradient, c["grad"]);
    same("grad by BPTT at once", rules::learn(bptt, net, sequence).gradient, c["grad"]);
  }
  if (has("delta")) {
    same("delta by reverse mode", reverse.delta.transpose(), matrix(c["delta"]));
    same("delta by BPTT", bptt.delta().transpose(), matrix(c["delta"]));
  }
  MatrixX<double> local(net.d(), length);  // phi_t c_t = dL/du_t
  for (Index t = 1; t <= length; ++t) local.col(t - 1) = bptt.at(t).col(columns - 1);
  if (has("grad_x")) {
    same("grad_x by reverse mode", reverse.x.transpose(), matrix(c["grad_x"]));
    same("grad_x by BPTT", local.transpose() * theta.W_in, matrix(c["grad_x"]));
  }
  if (has("grad_h0")) {
    same("grad_h0 by reverse mode", reverse.h_0, matrix(c["grad_h0"]));
    same("grad_h0 by BPTT", (1 - net.alpha) * bptt.delta().col(0) + theta.W_rec.transpose() * local.col(0),
         matrix(c["grad_h0"]));
  }
  if (has("future_facing_dL_dthetas"))
    for (Index s = 1; s <= length; ++s) {
      const auto i = static_cast<std::size_t>(s - 1);
      same("dL/dtheta_s by reverse mode", reverse.per_step[i], step("future_facing_dL_dthetas", s));
      same("dL/dtheta_s by BPTT", by_bptt.per_step[i], step("future_facing_dL_dthetas", s));
    }

  // Forward mode, and RTRL by hand.
  rnn::Rtrl<double> forward(net);
  rules::Rtrl<double> rtrl(net);
  const auto by_rtrl = rules::learn(rtrl, net, sequence, true);
  Parameters<double> total = zeros_like(theta);
  for (Index t = 1; t <= length; ++t) {
    const auto i = static_cast<std::size_t>(t - 1);
    forward.advance(sequence.x.col(t - 1), sequence.target.col(t - 1));
    total += forward.gradient();
    rnn::Sequence<double> past{sequence.x.leftCols(t), sequence.target.leftCols(t)};
    if (has("J_t") || has("P_t_rec")) rules::learn(rtrl, net, past);
    if (has("past_facing_dLt_dtheta")) {
      same("dL_t/dtheta by forward mode", forward.gradient(), step("past_facing_dLt_dtheta", t));
      same("dL_t/dtheta by RTRL", by_rtrl.per_step[i], step("past_facing_dLt_dtheta", t));
    }
    if (has("J_t")) {
      same("J_t by forward mode", forward.J(), matrix(step("J_t", t)));
      same("J_t by hand", rtrl.J(), matrix(step("J_t", t)));
    }
    if (has("P_t_rec")) {
      same_P("P_t by forward mode", forward.P(), step("P_t_rec", t), theta);
      same_P("P_t by RTRL", rtrl.P(), step("P_t_rec", t), theta);
    }
    if (has("steps")) {  // of vanilla-rtrl, whose mean squared loss is a mean and its gradient that of a sum
      const Json& s = step("steps", t);
      if (s.contains("u")) same("u", run.u.col(t - 1), matrix(s["u"]));
      if (s.contains("h")) same("h", run.h.col(t), matrix(s["h"]));
      if (s.contains("v")) same("v", run.v.col(t - 1), matrix(s["v"]));
      if (s.contains("dL_dv"))
        same("e_t", rules::output_error<double>(net.loss, run.v.col(t - 1), sequence.target.col(t - 1)),
             matrix(s["dL_dv"]));
      if (s.contains("grad")) {
        same("dL_t/dtheta by forward mode", forward.gradient(), s["grad"]);
        same("dL_t/dtheta by RTRL", by_rtrl.per_step[i], s["grad"]);
      }
    }
  }
  if (has("grad")) {
    same("grad by forward mode", total, c["grad"]);
    same("grad by RTRL", by_rtrl.gradient, c["grad"]);
    same("grad by RTRL at once", rules::learn(rtrl, net, sequence).gradient, c["grad"]);
  }

  // Block by block.
  const rnn::Credit<double> credit(net, sequence, true);
  rules::DoubleSum<double> blocks(net);
  blocks.keep_blocks();
  const auto by_blocks = rules::learn(blocks, net, sequence, true);
  if (has("grad")) {
    same("grad by blocks", credit.total(), c["grad"]);
    same("grad by the double sum", by_blocks.gradient, c["grad"]);
  }
  const auto norms = credit.norms();
  for (Index t = 1; t <= length; ++t) {
    if (has("past_facing_dLt_dtheta")) {
      same("row sum", credit.row_sum(t), step("past_facing_dLt_dtheta", t));
      same("row sum of the double sum", by_blocks.per_step[static_cast<std::size_t>(t - 1)],
           step("past_facing_dLt_dtheta", t));
    }
    if (has("future_facing_dL_dthetas")) same("column sum", credit.column_sum(t), step("future_facing_dL_dthetas", t));
    if (has("blocks_dLt_dthetas"))
      for (Index s = 1; s <= t; ++s) {
        Json expected = step("blocks_dLt_dthetas", t)[static_cast<std::size_t>(s - 1)];
        same("block", credit.block(t, s), expected);
        expected.erase("Wout"), expected.erase("bout");  // the readout is not the rule's business
        same("block by hand", recurrent(blocks.block(t, s), theta), expected);
      }
  }
  if (has("block_norms_Frobenius")) {
    const auto by_hand = [&](const auto& part) {
      return MatrixX<double>::NullaryExpr(length, length,
                                          [&](Index t, Index s) { return part(blocks.block(t + 1, s + 1)).norm(); })
          .eval();
    };
    rnn::for_each_block(
        [&](std::string_view block, const auto& b) {
          if (c["block_norms_Frobenius"].contains(key(block)))
            same("norms", b, matrix(c["block_norms_Frobenius"][key(block)]));
        },
        norms);
    const Json& expected = c["block_norms_Frobenius"];
    if (expected.contains("Wrec"))
      same("norms by hand", by_hand([&](const auto& g) { return g.leftCols(net.d()).eval(); }),
           matrix(expected["Wrec"]));
    if (expected.contains("Win"))
      same("norms by hand", by_hand([&](const auto& g) { return g.middleCols(net.d(), net.n()).eval(); }),
           matrix(expected["Win"]));
    if (expected.contains("brec"))
      same("norms by hand", by_hand([&](const auto& g) { return g.col(columns - 1).eval(); }),
           matrix(expected["brec"]));
  }
}

/// The derivative of a gradient by hand along V: the rule's own code, run on dual numbers.
template <template <class> class R>
VectorX<double> along(const Case& k, const VectorX<double>& V) {
  using D = ad::Dual<double>;
  auto net = rnn::cast<D>(k.net);
  for (Index i = 0; i < V.size(); ++i) rnn::element(net.parameters, i).tangent = V(i);
  R<D> rule(net);
  return flatten(rules::learn(rule, net, rnn::cast<D>(k.sequence)).gradient).unaryExpr([](const D& x) {
    return x.tangent;
  });
}

void second_order(const Json& c, const Case& k) {
  const auto& theta = k.net.parameters;
  const auto loss = [&](const auto& at) { return rnn::loss_at(k.net, k.sequence, at); };
  const VectorX<double> at = flatten(theta);
  if (c.contains("direction")) {
    const VectorX<double> V = flatten(parameters(c["direction"], theta));
    rules::Bptt<double> bptt(k.net);
    const VectorX<double> g = flatten(rules::learn(bptt, k.net, k.sequence).gradient);
    const double scale = g.cwiseAbs().dot(V.cwiseAbs());
    if (c.contains("jvp")) {
      same("jvp by forward mode", ad::jvp(loss, at, V), c["jvp"], scale);
      same("jvp by BPTT", g.dot(V), c["jvp"], scale);
    }
    const VectorX<double> derived = ad::hessian_vector_product(loss, at, V);
    const VectorX<double> by_bptt = along<rules::Bptt>(k, V), by_rtrl = along<rules::Rtrl>(k, V);
    if (c.contains("hvp")) {
      same("hvp by forward over reverse", unflatten(theta, derived), c["hvp"]);
      same("hvp by BPTT on dual numbers", unflatten(theta, by_bptt), c["hvp"]);
      same("hvp by RTRL on dual numbers", unflatten(theta, by_rtrl), c["hvp"]);
    }
    if (c.contains("vHv")) {
      same("vHv by forward over reverse", derived.dot(V), c["vHv"], derived.cwiseAbs().dot(V.cwiseAbs()));
      same("vHv by BPTT on dual numbers", by_bptt.dot(V), c["vHv"], derived.cwiseAbs().dot(V.cwiseAbs()));
    }
  }
  if (c.contains("hessian")) {
    const auto order = file_order(c.value("hessian_order", "Win,Wrec,brec,Wout,bout"), theta);
    const MatrixX<double> expected = matrix(c["hessian"]), derived = ad::hessian(loss, at);
    MatrixX<double> got(at.size(), at.size()), by_hand(at.size(), at.size());
    for (Index j = 0; j < at.size(); ++j) {
      const VectorX<double> column =
          along<rules::Bptt>(k, VectorX<double>::Unit(at.size(), order[static_cast<std::size_t>(j)]));
      for (Index i = 0; i < at.size(); ++i) {
        got(i, j) = derived(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
        by_hand(i, j) = column(order[static_cast<std::size_t>(i)]);
      }
    }
    same("hessian", got, expected);
    same("hessian by BPTT on dual numbers", by_hand, expected);
  }
}

/// Compares what the file holds; returns the number of its cases that are of the exact kind.
int hold(const std::filesystem::path& path) {
  std::ifstream in(path);
  Json file;
  BOOST_REQUIRE_NO_THROW(file = Json::parse(in));
  if (!file.is_object() || !file.contains("cases")) return 0;
  const std::string algorithm = file.value("algorithm", "");
  int cases = 0;
  for (std::size_t i = 0; i < file["cases"].size(); ++i) {
    Json c = file["cases"][i];
    Case k;
    if (c.contains("algorithm") || !tests::read(c, k)) continue;
    if (!algorithm.empty() && algorithm != "RTRL") {  // an approximation's gradients are not ours; its network is
      if (c.contains("grad")) c.erase("grad");
      for (Json& s : c["steps"]) s.erase("grad");
    }
    BOOST_TEST_CONTEXT(path.filename().string() << ", case " << i << " " << c.value("name", "")) {
      const int before = compared;
      first_order(c, k);
      second_order(c, k);
      BOOST_TEST(compared > before);
    }
    ++cases;
  }
  return cases;
}

}  // namespace

BOOST_AUTO_TEST_CASE(our_copy_of_pytorchs_numbers) {
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(tests::data()))
    if (entry.path().extension() == ".json") cases += hold(entry.path());
  BOOST_TEST(cases >= 5);
}

BOOST_AUTO_TEST_CASE(every_fixture) {
  const int before = compared;
  int cases = 0;
  for (const auto& path : tests::fixtures("")) cases += hold(path);
  std::cout << cases << " cases, " << compared - before << " arrays and numbers compared\n";
}

#else

BOOST_AUTO_TEST_CASE(without_json) {
  std::cout << "skipped: PyTorch's numbers need nlohmann-json (Debian: nlohmann-json3-dev)\n";
}

#endif
