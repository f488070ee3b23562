// Tells which mistake a gradient derived by hand has made: of all known ones, those that give exactly its numbers.
//
// What is right is given as numbers, by the engine or by whatever one trusts: nothing here derives.
#pragma once

#include <fmt/format.h>

#include <set>
#include <tuple>

#include "rules/array_mistakes.h"
#include "rules/claim.h"
#include "rules/rule.h"

namespace rules {

/// What is right, from somebody else. The last two are needed where the claim has parts: dL_t/dtheta and dL/dtheta_t for
/// t = 1 .. T, the row and column sums of the double sum (1.7).
struct Reference {
  rnn::Parameters<double> gradient;
  rnn::MatrixX<double> delta{};  // d x T; needed where the claim has it
  std::vector<rnn::Parameters<double>> past{}, future{};
};

/// `layout`: right numbers, in other places. `unknown`: no known mistake gives some of the arrays.
enum class Verdict { correct, named, unknown, layout };
inline constexpr std::string_view verdict_names[] = {"correct", "named", "unknown", "layout"};

struct Diagnosis {
  struct Entry {
    std::vector<Eigen::Index> index;  // from 0; in parts and delta the step comes first
    double expected, got;
  };
  /// One of the arrays that are claimed.
  struct Array {
    std::string name;          // "W_rec", "delta", "per_step.W_rec"
    Eigen::Index differ, of;   // entries
    double relative;           // largest difference over the largest entry expected
    std::vector<Entry> worst;  // the five that are farthest off
    bool turned;               // it came in its transposed shape and was compared after turning it
  };
  /// A mistake, or two made together, that gives the numbers of some of the arrays.
  struct Named {
    std::string_view id;
    double residual;                  // what it leaves of them, relative as above
    std::vector<std::string> arrays;  // those it gives
    std::string how;                  // in which way it was made; empty: there is one
    std::string_view with{};          // the other mistake, if two were made
    bool alone = false;  // it was made there alone: everywhere, it would change arrays that are as they are
    std::string where() const {
      return fmt::format("{}{}{}{}", fmt::join(arrays, ", "), alone ? " alone" : "", how.empty() ? "" : ": ", how);
    }
  };
  /// The best of those that do not.
  struct Nearest {
    std::string_view id;
    double residual;
    std::string how;
  };

  Verdict verdict = Verdict::correct;
  std::vector<Array> arrays;
  std::vector<Named> mistakes;  // the likeliest first
  std::optional<Nearest> nearest;
  std::vector<std::string_view> blind;  // mistakes that would not show in these arrays
  double tolerance = 0;                 // relative to the largest entry of an array
  std::string_view precision;           // "double", "single", "rounded", or "as asked"
  std::optional<Facing> facing;         // how parts were read
  bool pairs_tried = false;             // two mistakes at once were looked for, not only one and a factor

  explicit operator bool() const { return verdict == Verdict::correct; }
};

namespace detail {

/// How exactly numbers can be judged: doubles to 1e-9 of the largest; of single precision, or printed with six digits or
/// more, to what that leaves. Fewer digits are taken at their word.
struct Precision {
  double tolerance = 1e-9;
  std::string_view name = "double";
};
inline Precision precision_of(const std::vector<GivenArray>& arrays) {
  std::size_t digits = 0;
  bool single = true;
  for (const auto& a : arrays)
    for (const double x : a.got.reshaped()) {
      single = single && x == static_cast<double>(static_cast<float>(x));
      std::string text = fmt::format("{}", std::abs(x));  // in the fewest digits that read back as x
      text.resize(std::min(text.find('e'), text.size()));
      std::erase(text, '.');
      text.erase(0, text.find_first_not_of('0'));
      digits = std::max(digits, text.find_last_not_of('0') + 1);
    }
  if (digits >= 6 && digits <= 12)
    return {std::max(1e-9, 0.6 * std::pow(10.0, 1.0 - static_cast<double>(digits))), "rounded"};
  if (digits > 12 && single) return {1e-5, "single"};
  return {};
}

/// Looks for the mistakes of one claim, once: Search(...).diagnosis().
class Search {
  using M = rnn::MatrixX<double>;

 public:
  Search(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, const Claim& claim,
         const Reference& reference, Parts parts, const M& feedback, double tolerance)
      : right_(net, sequence), parts_(parts), known_(known_mistakes(right_, feedback)) {
    read(claim, reference);
    const Precision p = tolerance > 0 ? Precision{tolerance, "as asked"} : precision_of(arrays_);
    found_.tolerance = p.tolerance, found_.precision = p.name;
    for (auto& a : arrays_) {
      const double most = a.expected.cwiseAbs().maxCoeff(), given = a.got.cwiseAbs().maxCoeff();
      a.scale = most > 0 ? most : given > 0 ? given : 1;
      a.wrong = a.turned || !(a.off() <= found_.tolerance);
      wrong_ += a.wrong;
      describe(a);
    }
  }

  Diagnosis diagnosis() {
    for (const auto& mistake : known_) {
      Derivation wrong = right_;
      mistake.make(wrong);
      keep(judged(mistake.id, mistake.how, arrays_of(wrong)));
    }
    for (const auto& mistake : array_mistakes(arrays_, right_, found_.tolerance)) {
      Candidate c{mistake.id, mistake.how, {}, {}, true, mistake.fitted};
      for (const auto& a : arrays_) c.outcomes.push_back(mistake.outcome(a));
      keep(std::move(c));
    }
    for (const auto& row : mistakes)
      if (!visible_.count(row.id)) found_.blind.push_back(row.id);
    if (wrong_ == 0) return found_;
    choose();
    if (!all_of_wrong([&](const auto& a) { return explained(a, false); })) pairs();
    const bool named = all_of_wrong([&](const auto& a) { return explained(a, true); });
    found_.verdict = !named ? Verdict::unknown : only_layout() ? Verdict::layout : Verdict::named;
    find_nearest();
    return found_;
  }

 private:
  /// A mistake, or two, and what it comes to in each array.
  struct Candidate {
    std::string_view id;
    std::string how;
    std::string_view with{};
    std::vector<Outcome> outcomes{};
    bool anywhere = false;  // made in one array, it says nothing of the others
    bool fitted = false;
  };

  // --- what is given ---------------------------------------------------------------------------------------------------

  void add(const std::string& name, Eigen::Index steps, const M& expected, M got) {
    if (expected.size() == 0) return;
    const Eigen::Index rows = expected.rows() / steps, cols = expected.cols();
    const bool turn = rows != cols && got.rows() == steps * cols && got.cols() == rows;
    if (turn) got = turned(got, steps);
    if (got.rows() != expected.rows() || got.cols() != cols)
      throw std::invalid_argument(fmt::format("rules::diagnose: {} is {} x {}, but must be {} x {}", name,
                                              got.rows() / steps, got.cols(), rows, cols));
    arrays_.push_back({name, steps, expected, std::move(got), turn});
  }
  void read(const Claim& claim, const Reference& reference) {
    require_known(claim.gradient);
    for (const auto block : rnn::block_names)
      if (const auto got = claim.gradient.find(block); got != claim.gradient.end())
        add(got->first, 1, stacked(block, {reference.gradient}), got->second);
    if (claim.delta) {
      if (reference.delta.size() == 0) throw std::invalid_argument("rules::diagnose: the reference has no delta");
      add("delta", 1, reference.delta.transpose(), *claim.delta);
    }
    if (!claim.per_step.empty()) {
      const auto& parts = parts_ == Parts::past ? reference.past : reference.future;
      for (const auto count : {parts.size(), claim.per_step.size()})
        rnn::detail::require_size("rules::diagnose", "the number of parts", static_cast<Eigen::Index>(count), "T",
                                  right_.length());
      found_.facing = parts_ == Parts::past ? Facing::past : Facing::future;
      require_known(claim.per_step[0]);
      for (const auto block : rnn::block_names) {
        const auto found = claim.per_step[0].find(block);
        if (found == claim.per_step[0].end()) continue;
        const auto& [name, first] = *found;
        M got(0, first.cols());
        for (const auto& step : claim.per_step) {
          const auto part = step.find(name);
          if (step.size() != claim.per_step[0].size() || part == step.end() || part->second.rows() != first.rows() ||
              part->second.cols() != first.cols())
            throw std::invalid_argument("rules::diagnose: not all parts have the same arrays in the same sizes");
          got.conservativeResize(got.rows() + first.rows(), Eigen::NoChange);
          got.bottomRows(first.rows()) = part->second;
        }
        add("per_step." + name, right_.length(), stacked(name, parts), std::move(got));
      }
    }
    if (arrays_.empty())
      throw std::invalid_argument("rules::diagnose: nothing is claimed: no gradient, no parts, no delta");
  }
  static void require_known(const Claim::Arrays& arrays) {
    for (const auto& [name, array] : arrays)
      if (std::find(rnn::block_names.begin(), rnn::block_names.end(), name) == rnn::block_names.end())
        throw std::invalid_argument(fmt::format("rules::diagnose: there is no parameter \"{}\"", name));
  }
  /// One parameter of all parts, one below the other.
  static M stacked(std::string_view name, const std::vector<rnn::Parameters<double>>& parts) {
    M all;
    for (std::size_t t = 0; t < parts.size(); ++t)
      for_each_block(
          [&](std::string_view block, const auto& b) {
            if (block != name) return;
            if (t == 0) all.resize(b.rows() * static_cast<Eigen::Index>(parts.size()), b.cols());
            all.middleRows(b.rows() * static_cast<Eigen::Index>(t), b.rows()) = b;
          },
          parts[t]);
    return all;
  }
  void describe(const GivenArray& a) {
    Diagnosis::Array r{a.name, 0, a.expected.size(), a.off(), {}, a.turned};
    std::vector<std::pair<double, Eigen::Index>> apart;  // minus the difference, and which
    for (Eigen::Index i = 0; i < a.expected.size(); ++i) {
      const double gap = std::abs(a.got.data()[i] - a.expected.data()[i]);
      if (!(gap <= found_.tolerance * a.scale)) apart.push_back({std::isnan(gap) ? -HUGE_VAL : -gap, i});
    }
    r.differ = static_cast<Eigen::Index>(apart.size());
    std::sort(apart.begin(), apart.end());
    const bool vector = a.name.ends_with("b_rec") || a.name.ends_with("b_out");
    for (std::size_t k = 0; k < std::min<std::size_t>(5, apart.size()); ++k) {
      const Eigen::Index row = apart[k].second % a.expected.rows(), column = apart[k].second / a.expected.rows();
      Diagnosis::Entry e{{}, a.expected(row, column), a.got(row, column)};
      if (a.name.starts_with("per_step.")) e.index.push_back(row / a.rows());
      e.index.push_back(row % a.rows());
      if (!vector) e.index.push_back(column);
      r.worst.push_back(std::move(e));
    }
    found_.arrays.push_back(std::move(r));
  }

  // --- candidates ------------------------------------------------------------------------------------------------------

  /// What a derivation comes to, as the arrays that are claimed.
  std::vector<M> arrays_of(const Derivation& d) const {
    const DerivedGradient g = d.gradient(parts_);
    std::vector<M> all;
    for (const auto& a : arrays_)
      all.push_back(a.name == "delta"                 ? M(g.delta.transpose())
                    : a.name.starts_with("per_step.") ? stacked(a.name.substr(9), g.parts)
                                                      : stacked(a.name, {g.gradient}));
    return all;
  }
  Candidate judged(std::string_view id, std::string how, const std::vector<M>& made) const {
    Candidate c{id, std::move(how)};
    for (std::size_t i = 0; i < arrays_.size(); ++i)
      c.outcomes.push_back({arrays_[i].off(arrays_[i].got, made[i]),
                            !(arrays_[i].off(made[i], arrays_[i].expected) <= found_.tolerance)});
    return c;
  }
  void keep(Candidate c) {
    if (std::none_of(c.outcomes.begin(), c.outcomes.end(), [](const Outcome& o) { return o.shows; })) return;
    visible_.insert(c.id);
    if (wrong_ > 0) candidates_.push_back(std::move(c));
  }

  /// The candidate gives this array's numbers, and not because they are nearly right.
  bool gives(const Candidate& c, std::size_t i) const {
    const auto& a = arrays_[i];
    if (!a.wrong || !(c.outcomes[i].residual <= found_.tolerance)) return false;
    if (a.turned) return c.id == "transposed" || c.with == "transposed";
    return c.outcomes[i].shows && c.outcomes[i].residual <= 0.01 * a.off();
  }
  std::ptrdiff_t given_by(const Candidate& c) const {
    std::ptrdiff_t count = 0;
    for (std::size_t i = 0; i < arrays_.size(); ++i) count += gives(c, i);
    return count;
  }
  /// How many arrays speak against it: it would change them, and not into what they are.
  std::ptrdiff_t against(const Candidate& c) const {
    std::ptrdiff_t count = 0;
    for (std::size_t i = 0; !c.anywhere && i < arrays_.size(); ++i) count += c.outcomes[i].shows && !gives(c, i);
    return count;
  }

  // --- choice ----------------------------------------------------------------------------------------------------------

  /// If one mistake explains everything, all that do; otherwise, for each array, those with least against them, and of these
  /// those that explain most.
  void choose() {
    const auto everything = [&](const Candidate& c) { return given_by(c) == wrong_ && against(c) == 0; };
    const bool one = std::any_of(candidates_.begin(), candidates_.end(), everything);
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      const auto key = [&](const Candidate& c) { return std::pair(against(c), -given_by(c)); };
      auto best = std::pair(std::numeric_limits<std::ptrdiff_t>::max(), std::ptrdiff_t{0});
      for (const auto& c : candidates_)
        if (gives(c, i)) best = std::min(best, key(c));
      for (const auto& c : candidates_)
        if (gives(c, i) && (one ? everything(c) : key(c) == best || given_by(c) == wrong_)) name(c, i);
    }
    sort();
  }
  void name(const Candidate& c, std::size_t i) {
    const double residual = c.outcomes[i].residual;
    for (auto& m : found_.mistakes)
      if (m.id == c.id && m.how == c.how && m.with == c.with) {
        m.arrays.push_back(arrays_[i].name);
        m.residual = std::max(m.residual, residual);
        return;
      }
    found_.mistakes.push_back({c.id, residual, {arrays_[i].name}, c.how, c.with, against(c) > 0});
  }
  /// What speaks for all before what is there alone; a step of the derivation before what can happen to any array.
  void sort() {
    const auto key = [](const Diagnosis::Named& m) {
      return std::tuple(m.alone, -static_cast<std::ptrdiff_t>(m.arrays.size()),
                        mistake(m.id).kind == MistakeKind::array);
    };
    const auto likelier = [&](const auto& x, const auto& y) { return key(x) < key(y); };
    std::stable_sort(found_.mistakes.begin(), found_.mistakes.end(), likelier);
  }
  static bool names(const Diagnosis::Named& m, const GivenArray& a) {
    return std::find(m.arrays.begin(), m.arrays.end(), a.name) != m.arrays.end();
  }
  bool explained(const GivenArray& a, bool alone_too) const {
    return std::any_of(found_.mistakes.begin(), found_.mistakes.end(),
                       [&](const auto& m) { return (alone_too || !m.alone) && names(m, a); });
  }
  template <class F>
  bool all_of_wrong(F&& f) const {
    return std::all_of(arrays_.begin(), arrays_.end(), [&](const auto& a) { return !a.wrong || f(a); });
  }

  /// Two mistakes at once, for the arrays that no single one explains.
  void pairs() {
    std::vector<bool> open;
    for (const auto& a : arrays_) open.push_back(a.wrong && !explained(a, false));
    std::vector<Candidate> both;
    const auto consider = [&](Candidate c, std::string_view with) {
      c.with = with;
      for (std::size_t i = 0; i < arrays_.size(); ++i)
        if (open[i] && gives(c, i)) return both.push_back(std::move(c));
    };
    // a step of the derivation, or a layout, and a factor; or that step in a transposed shape
    const auto factors = known_factors(right_);
    const auto with_a_factor = [&](std::string_view id, const std::string& how, const std::vector<M>& made) {
      for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const auto& a = arrays_[i];
        if (!open[i] || made[i].size() < 2) continue;
        const double s = fitted_factor(a.got, made[i]);
        const auto is = [&](double x) { return std::abs(s - x) <= 10 * found_.tolerance * std::abs(x); };
        if (!(a.off(a.got, s * made[i]) <= found_.tolerance) || s == 0 || (is(1) && !a.turned)) continue;
        const auto f = std::find_if(factors.begin(), factors.end(), [&](const Factor& x) { return is(x.value); });
        const std::string text = is(1) ? "" : f == factors.end() ? fmt::format("times {:.10g}", s) : f->text;
        std::vector<M> scaled = made;  // where it fits
        for (std::size_t j = 0; j < made.size(); ++j)
          if (arrays_[j].off(arrays_[j].got, s * made[j]) <= found_.tolerance) scaled[j] = s * made[j];
        consider(judged(id, how.empty() || text.empty() ? how + text : how + ", " + text, scaled),
                 a.turned             ? "transposed"
                 : f == factors.end() ? "factor-other"
                                      : f->id);
      }
    };
    const auto laid_out = [&](std::string_view id, auto layout) {
      std::vector<M> made;
      for (const auto& a : arrays_) {
        made.push_back(layout(a, a.expected));
        if (made.back().size() == 0) made.back() = a.expected;
      }
      with_a_factor(id, "", made);
    };
    for (const auto& mistake : known_) {
      Derivation wrong = right_;
      mistake.make(wrong);
      with_a_factor(mistake.id, mistake.how, arrays_of(wrong));
    }
    laid_out("transposed", made_transposed);
    laid_out("column-major", made_column_major);
    // two steps of the derivation, where that takes no more than seconds
    const double T = static_cast<double>(right_.length()), d = static_cast<double>(right_.net.d()),
                 n = static_cast<double>(right_.net.n()), work = T * d * (2 * d + n) * (parts_ == Parts::past ? T : 1);
    found_.pairs_tried = work < 5e5;
    for (const auto& first : known_)
      for (const auto& second : known_) {
        if (!found_.pairs_tried || first.many || second.many || first.id == second.id) continue;
        if (second.reruns || (!first.reruns && &second < &first)) continue;  // each two once, a rerun first
        Derivation wrong = right_;
        first.make(wrong);
        second.make(wrong);
        const auto part = [](const Mistake& m) {
          return m.how.empty() ? std::string(m.id) : fmt::format("{} {}", m.id, m.how);
        };
        consider(judged(first.id, part(first) + "; " + part(second), arrays_of(wrong)), second.id);
      }
    // those that explain most and have least against them, one way of making the same two
    const auto key = [&](const Candidate& c) { return std::tuple(against(c), -given_by(c)); };
    std::stable_sort(both.begin(), both.end(), [&](const auto& x, const auto& y) { return key(x) < key(y); });
    std::set<std::pair<std::string_view, std::string_view>> known;
    for (const auto& c : both) {
      bool helps = key(c) == key(both[0]);
      for (std::size_t i = 0; i < arrays_.size(); ++i) helps = helps || (gives(c, i) && !explained(arrays_[i], true));
      if (!helps || !known.insert({c.id, c.with}).second) continue;
      for (std::size_t i = 0; i < arrays_.size(); ++i)
        if (gives(c, i)) name(c, i);
    }
    sort();
  }

  /// Every wrong array is only laid out otherwise. But a W_rec that is transposed where no other matrix is, is no layout.
  bool only_layout() const {
    const auto says = [&](std::string_view id, const GivenArray& a) {
      return std::any_of(found_.mistakes.begin(), found_.mistakes.end(),
                         [&](const auto& m) { return m.id == id && m.with.empty() && names(m, a); });
    };
    const auto matrix = [](const GivenArray& a) { return a.rows() > 1 && a.cols() > 1 && a.name != "delta"; };
    const bool another =
        std::any_of(arrays_.begin(), arrays_.end(), [&](const auto& a) { return !a.wrong && matrix(a); });
    return all_of_wrong([&](const auto& a) {
      return (says("transposed", a) || says("column-major", a)) && !(another && says("dw-transposed", a));
    });
  }

  /// Of those that would change a wrong array, the one that leaves least. A mistake of any array is made where it can be.
  void find_nearest() {
    for (const auto& c : candidates_) {
      const auto is_named = [&](const auto& m) { return m.id == c.id; };
      bool changes = false;
      double left = 0;
      for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const auto& [residual, shows] = c.outcomes[i];
        const bool made = !c.anywhere || (arrays_[i].wrong && residual != Outcome().residual);
        changes = changes || (made && shows && arrays_[i].wrong);
        left = std::max(left, made ? residual : arrays_[i].off());
      }
      if (c.fitted || !changes || std::any_of(found_.mistakes.begin(), found_.mistakes.end(), is_named)) continue;
      if (!found_.nearest || left < found_.nearest->residual) found_.nearest = {c.id, left, c.how};
    }
  }

  Derivation right_;
  Parts parts_;
  std::vector<Mistake> known_;
  std::vector<GivenArray> arrays_;
  std::ptrdiff_t wrong_ = 0;
  std::vector<Candidate> candidates_;  // those that would show
  std::set<std::string_view> visible_;
  Diagnosis found_;
};

}  // namespace detail

/// What is wrong with a claimed gradient of the network over the sequence, and which mistakes give exactly its numbers.
/// `feedback` (m x d) is a matrix that may have been taken for W_out^T. `tolerance` is relative to the largest entry of each
/// array; 0: as the numbers are, 1e-9, or coarser where they look rounded or of single precision. Parts are read as facing
/// the past or the future, whichever explains them, or is nearer.
/// Throws std::invalid_argument where sizes do not fit, and where nothing is claimed.
inline Diagnosis diagnose(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, const Claim& claim,
                          const Reference& reference, const rnn::MatrixX<double>& feedback = {}, double tolerance = 0) {
  const auto as = [&](Parts parts) {
    return detail::Search(net, sequence, claim, reference, parts, feedback, tolerance).diagnosis();
  };
  if (claim.per_step.empty()) return as(Parts::none);
  Diagnosis past = as(Parts::past), future = as(Parts::future);
  const auto key = [](const Diagnosis& d) {
    double most = 0;
    for (const auto& a : d.arrays) most = std::max(most, a.relative);
    return std::tuple(d.verdict == Verdict::correct ? 0 : d.verdict == Verdict::unknown ? 2 : 1, most);
  };
  return key(future) < key(past) ? future : past;
}

}  // namespace rules
