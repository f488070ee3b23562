// Every learning rule derived: an edit of reverse mode (BPTT) or of forward mode (RTRL) over the unrolled network.
//
// No derivative is written here: all that is added, dropped, replaced or projected comes up or down a recorded step.
#pragma once

#include <optional>

#include "rnn/surgery_forward.h"
#include "rnn/surgery_reverse.h"

namespace rnn {

enum class Direction { reverse, forward, both };
inline constexpr std::string_view direction_names[] = {"reverse", "forward", "both"};

/// One row of surgery.def.
struct EditRow {
  std::string_view id;
  Direction direction;
  std::string_view edit;  // "-" where no Edit says it
  std::string_view what;
};
inline constexpr auto edits = std::to_array<EditRow>({
#define UNROLL_EDIT(id, direction, edit, derivation, what) {id, Direction::direction, edit, what},
#include "rnn/surgery.def"
});

/// The words of a row with the options in place of T', h and n; nothing where no Edit says what the rule does, or if
/// there is no such rule. h is Options::block, or d.
inline std::optional<Edit> edit_of(std::string_view id, const Options& options, Eigen::Index d) {
  for (const EditRow& row : edits) {
    if (row.id != id || row.edit == "-") continue;
    std::string words(row.edit);
    const auto put = [&](std::string_view letter, Eigen::Index number) {
      if (const std::size_t i = words.find(letter); i != std::string::npos)
        words.replace(i, letter.size(), std::to_string(number));
    };
    put("T'", options.truncation);
    if (words.find("every h") != std::string::npos) put("h", options.block != 0 ? options.block : d);
    if (words.find("n-step") != std::string::npos) put("n", options.n);
    Edit edit = parse_edit(words);
    if (options.signs && edit.projection == Edit::Projection::Gaussian) edit.projection = Edit::Projection::signs;
    return edit;
  }
  return std::nullopt;
}

/// The gradient by the rule of this id (of surgery.def, as in rules/registry.def), derived. Perturbation rules feel the
/// loss itself and have no use for Options::feedback. Throws std::invalid_argument for an id that is not there, naming
/// those that are, and where sizes or options do not fit.
inline Derived derived(std::string_view id, const Network<double>& net, const Sequence<double>& sequence,
                       const Options& options = {}) {
  using namespace detail;
  const Edit edit = edit_of(id, options, net.d()).value_or(Edit{});
  Surgery run(net, sequence, options, path_of(edit.j),
              id.ends_with("perturbation") ? MatrixX<double>() : options.feedback);
  std::string ids;
#define UNROLL_EDIT(its_id, direction, words, derivation, what) \
  if (id == its_id) return derivation;                          \
  ids += std::string(ids.empty() ? "" : ", ") + its_id;
#include "rnn/surgery.def"
  throw std::invalid_argument("rnn::derived: there is no rule \"" + std::string(id) + "\"; there are " + ids);
}

}  // namespace rnn
