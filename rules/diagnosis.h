// Tells which mistake a gradient derived by hand has made: of all known ones, those that give exactly its numbers.
//
// What is right is given as numbers, by the engine or by whatever one trusts: nothing here decides it.
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
    double tolerance;          // in the same measure: up to it numbers are the same
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
  std::vector<std::string_view> blind;      // mistakes that would not show in these arrays
  std::vector<std::string_view> elsewhere;  // those of them that would in others, which are not given
  std::string_view precision;               // "double", "single", "rounded", or "as asked"
  std::optional<Facing> facing;             // how parts were read
  bool pairs_tried = false;                 // two mistakes at once were looked for, not only one and a factor
  bool long_families_cut = false;           // the sequence is longer than the families of known_mistakes go

  explicit operator bool() const { return verdict == Verdict::correct; }
};

namespace detail {

/// How exactly numbers can be judged. Doubles: to 1e-9 of the largest in their array. Single precision: to 1e-5. Rounded to
/// so many digits, or so many decimal places: to what that leaves, but no coarser than 5e-5; else they are taken at their word.
struct Precision {
  std::string_view name = "double";
  double digits = 0;  // relative to the largest
  double places = 0;  // absolute
  double tolerance(double scale) const {
    const double rounding = std::max(digits, places / scale);
    return rounding <= 5e-5 ? std::max(1e-9, rounding) : 1e-9;
  }
};
inline Precision precision_of(const GivenArray& a) {
  std::size_t digits = 0;
  int places = 0;
  bool single = true;
  for (const double x : a.got.reshaped()) {
    std::string text = fmt::format("{}", std::abs(x));  // in the fewest digits that read back as x
    const std::size_t e = std::min(text.find('e'), text.size());
    const int exponent = e == text.size() ? 0 : std::atoi(text.c_str() + e + 1);
    text.resize(e);
    if (const std::size_t point = text.find('.'); point != std::string::npos) {
      text.erase(text.find_last_not_of('0') + 1);
      places = std::max(places, static_cast<int>(text.size() - point) - 1 - exponent);
      text.erase(point, 1);
    }
    text.erase(0, text.find_first_not_of('0'));
    digits = std::max(digits, text.find_last_not_of('0') + 1);
    single = single && x == static_cast<double>(static_cast<float>(x));
    if (digits > 12 && !single) return {};
  }
  if (digits > 12) return {"single", 1e-5};
  return {"rounded", 0.6 * std::pow(10.0, 1 - static_cast<double>(digits)), 0.6 * std::pow(10.0, -places)};
}

/// Looks for the mistakes of one claim, once: Search(...).diagnosis().
class Search {
  using M = rnn::MatrixX<double>;

 public:
  Search(const rnn::Network<double>& net, const rnn::Sequence<double>& sequence, const Claim& claim,
         const Reference& reference, Parts parts, const M& feedback, double tolerance)
      : right_(net, sequence), parts_(parts), known_(known_mistakes(right_, feedback)) {
    read(claim, reference);
    const std::vector<double> noise = rounding();
    std::size_t at = 0;
    for (auto& a : arrays_) {
      const double most = a.expected.cwiseAbs().maxCoeff(), given = a.got.cwiseAbs().maxCoeff();
      a.scale = most > 0 ? most : given > 0 ? given : 1;
      const Precision p = precision_of(a);
      if (found_.precision.empty() || p.name != "double") found_.precision = tolerance > 0 ? "as asked" : p.name;
      a.tolerance = std::max(tolerance > 0 ? tolerance : p.tolerance(a.scale), noise[at++] / a.scale);
      a.wrong = a.turned || !a.same(a.got, a.expected);
      wrong_ += a.wrong;
      describe(a);
    }
  }

  Diagnosis diagnosis() {
    const std::vector<GivenArray> all = all_arrays(right_);
    found_.long_families_cut = right_.length() > longest_family;
    std::set<std::string_view> in_all;  // what would show if all arrays were given
    for (const auto& known : known_) {
      Derivation wrong = right_;
      known.make(wrong);
      Candidate c = judged(known.id, known.how, wrong);
      c.aside = known.aside;
      keep(std::move(c));
      if (visible_.count(known.id) || known.aside) continue;
      const auto made = all_arrays(wrong);
      for (std::size_t i = 0; i < all.size(); ++i)
        if (!all[i].same(made[i].expected, all[i].expected)) in_all.insert(known.id);
    }
    for (const auto& known : array_mistakes(arrays_, right_)) {
      Candidate c{known.id, known.how, {}, {}, true, known.fitted, known.aside};
      for (const auto& a : arrays_) c.outcomes.push_back(known.outcome(a));
      keep(std::move(c));
      for (const auto& a : all)
        if (!known.aside && known.outcome(a).shows) in_all.insert(known.id);
    }
    for (const auto& row : mistakes)
      if (!visible_.count(row.id)) {
        found_.blind.push_back(row.id);
        if (in_all.count(row.id)) found_.elsewhere.push_back(row.id);
      }
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
    bool aside = false;
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
    Diagnosis::Array r{a.name, 0, a.expected.size(), a.off(), a.tolerance, {}, a.turned};
    std::vector<std::pair<double, Eigen::Index>> apart;  // minus the difference, and which
    for (Eigen::Index i = 0; i < a.expected.size(); ++i) {
      const double gap = std::abs(a.got.data()[i] - a.expected.data()[i]);
      if (!(gap <= a.tolerance * a.scale)) apart.push_back({std::isnan(gap) ? -HUGE_VAL : -gap, i});
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

  /// What the rounding of v_t and y*_t alone may do to each array: e_t moved by 100 units in the last place of what it is
  /// the difference of, in four random ways. Near an optimum that may be all there is.
  std::vector<double> rounding() const {
    const auto& theta = right_.net.parameters;
    const Eigen::Index T = right_.length();
    const M sizes = theta.W_out.cwiseAbs() * right_.run.h.rightCols(T).cwiseAbs() +
                    theta.b_out.cwiseAbs().replicate(1, T) + right_.sequence.target.cwiseAbs();
    std::vector<double> most(arrays_.size(), 0);
    rnn::Random random(1);
    for (int way = 0; way < 4; ++way) {
      Derivation moved = right_;
      for (double& e : moved.e_readout.reshaped()) e = random.sign();
      moved.e_readout = moved.e_readout.cwiseProduct(sizes) * (100 * std::numeric_limits<double>::epsilon());
      moved.e_back = moved.e_readout;
      const auto made = arrays_of(moved);
      for (std::size_t i = 0; i < made.size(); ++i) most[i] = std::max(most[i], made[i].cwiseAbs().maxCoeff());
    }
    return most;
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
  /// All that could be given of the gradient and its credit.
  static std::vector<GivenArray> all_arrays(const Derivation& d) {
    const DerivedGradient g = d.gradient();
    std::vector<GivenArray> all;
    const auto add = [&](std::string name, const M& m) {
      all.push_back({std::move(name), 1, m, m});
      all.back().scale = m.size() == 0 || m.isZero(0) ? 1 : m.cwiseAbs().maxCoeff();
    };
    for_each_block([&](std::string_view name, const auto& b) { add(std::string(name), b); }, g.gradient);
    add("delta", g.delta.transpose());
    return all;
  }
  Candidate judged(std::string_view id, std::string how, const std::vector<M>& made) const {
    Candidate c{id, std::move(how)};
    for (std::size_t i = 0; i < arrays_.size(); ++i)
      c.outcomes.push_back({arrays_[i].off(arrays_[i].got, made[i]), !arrays_[i].same(made[i], arrays_[i].expected)});
    return c;
  }
  /// The same of a derivation. Its parts take long, and are made only where their sum does not tell already: parts whose sum
  /// is off are off themselves, by a T-th of it or more.
  Candidate judged(std::string_view id, std::string how, const Derivation& d) const {
    if (parts_ == Parts::none) return judged(id, std::move(how), arrays_of(d));
    const DerivedGradient g = d.gradient();
    Candidate c{id, how};
    for (const auto& a : arrays_) {
      if (a.name == "delta") {
        const M made = g.delta.transpose();
        c.outcomes.push_back({a.off(a.got, made), !a.same(made, a.expected)});
        continue;
      }
      const bool parts = a.name.starts_with("per_step.");
      const M made = stacked(parts ? std::string_view(a.name).substr(9) : a.name, {g.gradient}),
              got = parts ? sum_of(a, a.got) : a.got, expected = parts ? sum_of(a, a.expected) : a.expected;
      const double T = parts ? static_cast<double>(a.steps) : 1, off = a.off(got, made) / T;
      c.outcomes.push_back({off, !(a.off(made, expected) / T <= a.tolerance)});
      const bool told = off > 10 * a.tolerance && c.outcomes.back().shows;
      if (parts && !told) return judged(id, std::move(how), arrays_of(d));
    }
    return c;
  }
  static M sum_of(const GivenArray& a, const M& parts) {
    M sum = M::Zero(a.rows(), a.cols());
    for (Eigen::Index t = 0; t < a.steps; ++t) sum += parts.middleRows(t * a.rows(), a.rows());
    return sum;
  }
  void keep(Candidate c) {
    if (std::none_of(c.outcomes.begin(), c.outcomes.end(), [](const Outcome& o) { return o.shows; })) return;
    if (!c.aside) visible_.insert(c.id);
    if (wrong_ > 0) candidates_.push_back(std::move(c));
  }

  /// The candidate gives this array's numbers, and not because they are nearly right.
  bool gives(const Candidate& c, std::size_t i) const {
    const auto& a = arrays_[i];
    if (!a.wrong || !(c.outcomes[i].residual <= a.tolerance)) return false;
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
  /// those that explain most. A step of the derivation that would give all that is wrong, had it been made there alone, is
  /// named too where no other step explains it.
  void choose() {
    const auto everything = [&](const Candidate& c) { return given_by(c) == wrong_ && against(c) == 0; };
    const bool one = std::any_of(candidates_.begin(), candidates_.end(), everything),
               derived = std::any_of(candidates_.begin(), candidates_.end(),
                                     [&](const auto&c) { return !c.anywhere && everything(c); });
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      const auto key = [&](const Candidate& c) { return std::pair(against(c), -given_by(c)); };
      auto best = std::pair(std::numeric_limits<std::ptrdiff_t>::max(), std::ptrdiff_t{0});
      for (const auto& c : candidates_)
        if (gives(c, i)) best = std::min(best, key(c));
      for (const auto& c : candidates_)
        if (gives(c, i) && (everything(c) || (!one && key(c) == best) || (!derived && given_by(c) == wrong_)))
          name(c, i);
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
        if (!a.turned && a.same(made[i], fitted_factor(made[i], a.expected) * a.expected)) continue;  // a factor alone
        const double s = fitted_factor(a.got, made[i]);
        const auto is = [&](double x) { return a.is_factor(s, x); };
        if (!a.same(a.got, s * made[i]) || s == 0 || (is(1) && !a.turned)) continue;
        const auto f = std::find_if(factors.begin(), factors.end(), [&](const Factor& x) { return is(x.value); });
        const std::string text = is(1) ? "" : f == factors.end() ? fmt::format("times {:.10g}", s) : f->text;
        std::vector<M> scaled = made;  // where it fits
        const double factor = f == factors.end() ? s : f->value;
        for (std::size_t j = 0; j < made.size(); ++j)
          if (arrays_[j].same(arrays_[j].got, factor * made[j])) scaled[j] = factor * made[j];
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
    // (not where that takes more than seconds)
    const double T = static_cast<double>(right_.length()), d = static_cast<double>(right_.net.d()),
                 n = static_cast<double>(right_.net.n()), work = T * d * (2 * d + n) * (parts_ == Parts::past ? T : 1);
    found_.pairs_tried = work < 5e5;
    std::vector<std::vector<M>> alone;  // what each mistake makes by itself
    for (const auto& known : known_) {
      alone.emplace_back();
      if (!found_.pairs_tried && (known.many || parts_ != Parts::none)) continue;
      Derivation wrong = right_;
      known.make(wrong);
      alone.back() = arrays_of(wrong);
      with_a_factor(known.id, known.how, alone.back());
    }
    laid_out("transposed", made_transposed);
    laid_out("column-major", [](const GivenArray& a, const M& m) { return made_column_major(a, m, false); });
    // two steps of the derivation
    for (std::size_t i = 0; found_.pairs_tried && i < known_.size(); ++i)
      for (std::size_t j = 0; j < known_.size(); ++j) {
        const Mistake &first = known_[i], &second = known_[j];
        if (first.many || second.many || first.id == second.id) continue;
        if (second.reruns || (!first.reruns && j < i)) continue;  // each two once, a rerun first
        Derivation wrong = right_;
        first.make(wrong);
        second.make(wrong);
        const bool both_say = !first.how.empty() && !second.how.empty();
        const auto made = arrays_of(wrong);
        bool needed = false;  // both are: neither makes an open array by itself
        for (std::size_t k = 0; k < arrays_.size(); ++k) {
          const auto same = [&](const M& m) { return arrays_[k].same(made[k], m); };
          needed = needed ||
                   (open[k] && arrays_[k].same(arrays_[k].got, made[k]) && !same(alone[i][k]) && !same(alone[j][k]));
        }
        if (needed) consider(judged(first.id, first.how + (both_say ? "; " : "") + second.how, made), second.id);
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

  /// Every wrong array is only laid out otherwise. But W_rec transposed, alone, is a slip: no other matrix speaks for it.
  bool only_layout() const {
    const auto says = [&](std::string_view id, const GivenArray& a) {
      return std::any_of(found_.mistakes.begin(), found_.mistakes.end(),
                         [&](const auto& m) { return m.id == id && m.with.empty() && names(m, a); });
    };
    return all_of_wrong([&](const auto& a) {
      return (says("transposed", a) || says("column-major", a)) && !(wrong_ == 1 && says("dw-transposed", a));
    });
  }

  /// Of those that would change a wrong array, the one that leaves least. A mistake of any array is made where it can be.
  void find_nearest() {
    double most = 0;
    for (const auto& a : arrays_) most = std::max(most, a.off());
    for (const auto& c : candidates_) {
      const auto is_named = [&](const auto& m) { return m.id == c.id; };
      bool changes = false;
      double left = 0;
      for (std::size_t i = 0; i < arrays_.size(); ++i) {
        const auto& [residual, shows] = c.outcomes[i];
        const bool made = !c.anywhere || (arrays_[i].wrong && residual != not_made);
        changes = changes || (made && shows && arrays_[i].wrong);
        left = std::max(left, arrays_[i].turned && c.id != "transposed" ? not_made
                              : made                                    ? residual
                                                                        : arrays_[i].off());
      }
      if (c.fitted || !changes || !(left < std::max(1.0, most)) ||
          std::any_of(found_.mistakes.begin(), found_.mistakes.end(), is_named))
        continue;
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
