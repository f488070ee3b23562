// The rows of a tape as a LaTeX tabular.
#pragma once

#include "ad/trace/terminal.h"

namespace ad {

/// Needs amsmath.
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
        return " & $" + detail::latex_number(detail::number_text(x, look.decimals)) + "$";
    };
    std::string operation = r.latex;
    if (operation.empty()) {
      const std::string name = r.name.empty() ? "" : detail::latex_name(r.name);
      operation = r.op == Op::input ? name.empty() ? "\\text{input}" : name
                                    : name + (name.empty() ? "" : " = ") + r.formula.latex();
    }
    all +=
        "  " +
        (r.numbered ? math(node(r.id) + (r.folded > 1 ? " \\ldots " + node(r.id + static_cast<Id>(r.folded) - 1) : ""))
                    : "") +
        " & " + math(operation) + number(r.value);
    if (t.has_tangents) all += number(r.tangent);
    if (t.has_adjoints) {
      all += number(r.adjoint) + " & ";
      for (std::size_t k = 0; k < r.hands_out.size(); ++k) {
        const HandOut<T>& h = r.hands_out[k];
        const std::string bar = "\\bar{" + detail::latex_name(h.label) + "}";
        all += (k == 0 ? "" : ",\\; ") +
               math(bar + " \\mathrel{+}= " + (h.whole.empty() ? (Symbol("g") * h.partial).latex() : h.latex));
      }
    }
    all += " \\\\\n";
  }
  return all + "\\end{tabular}\n";
}

}  // namespace ad
