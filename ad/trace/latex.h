// The rows of a tape as a LaTeX tabular.
#pragma once

#include "ad/trace/terminal.h"

namespace ad {

/// Needs amsmath for the formulas of branches only.
template <class T>
std::string latex(const Trace<T>& t, const Look& look = {}) {
  const auto math = [](const std::string& s) { return s.empty() ? "" : "$" + s + "$"; };
  const auto node = [](Id i) { return fmt::format("v_{{{}}}", i); };
  std::string all =
      std::string("\\begin{tabular}{llr") + (t.has_tangents ? "r" : "") + (t.has_adjoints ? "rl" : "") + "}\n";
  all += std::string("  node & operation & value") + (t.has_tangents ? " & tangent" : "") +
         (t.has_adjoints ? " & adjoint $g$ & hands out" : "") + " \\\\ \\hline\n";
  for (const Row<T>& r : t.rows) {
    const auto number = [&](const T& x) {
      if (r.folded > 1) return std::string(" & ");
      if constexpr (requires { x.latex(); })
        return " & $" + x.latex() + "$";
      else
        return " & $" + detail::number_text(x, look.decimals) + "$";
    };
    const std::string name = Symbol(r.name.empty() ? std::string("v") : r.name).latex();
    std::string formula = r.op == Op::input ? name : r.formula.latex();
    if (r.op != Op::input && !r.name.empty()) formula = name + " = " + formula;
    all +=
        "  " +
        (r.numbered ? math(node(r.id) + (r.folded > 1 ? " \\ldots " + node(r.id + static_cast<Id>(r.folded) - 1) : ""))
                    : "") +
        " & " + math(formula) + number(r.value);
    if (t.has_tangents) all += number(r.tangent);
    if (t.has_adjoints) {
      all += number(r.adjoint) + " & ";
      for (std::size_t k = 0; k < r.hands_out.size(); ++k) {
        const HandOut<T>& h = r.hands_out[k];
        const std::string bar = "\\bar{" + Symbol(h.label).latex() + "}";
        all += (k == 0 ? "" : ",\\; ") +
               math(bar + " \\mathrel{+}= " +
                    (h.whole.empty() ? (Symbol("g") * h.partial).latex() : "\\text{" + h.whole + "}"));
      }
    }
    all += " \\\\\n";
  }
  return all + "\\end{tabular}\n";
}

}  // namespace ad
