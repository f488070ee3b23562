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
#define UNROLL_EDIT(id, direction, edit, what) {id, Direction::direction, edit, what},
#include "rnn/surgery.def"
});

/// The words of a row with the options in place of T', h and n; nothing where no Edit says what the rule does, or if there is
/// no such rule. h is Options::block, or d.
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

/// The gradient by the rule of this id (of surgery.def, as in rules/registry.def), derived. Throws std::invalid_argument for
/// an id that is not there, naming those that are, and where sizes or options do not fit.
inline Derived derived(std::string_view id, const Network<double>& net, const Sequence<double>& sequence,
                       const Options& options = {}) {
  std::string ids;
  bool known = false;
  for (const EditRow& row : edits) {
    ids += (ids.empty() ? "" : ", ") + std::string(row.id);
    known = known || row.id == id;
  }
  if (!known)
    throw std::invalid_argument("rnn::derived: there is no rule \"" + std::string(id) + "\"; there are " + ids);
  const std::optional<Edit> edit = edit_of(id, options, net.d());
  const bool feels_the_loss = id.ends_with("perturbation");  // no error is fed back
  detail::Surgery run(net, sequence, options, edit ? path_of(edit->j) : Path::full,
                      feels_the_loss ? MatrixX<double>() : options.feedback);
  if (id == "readout") return run.sum();
  if (id == "double-sum") return detail::block_by_block(run);
  if (id == "hybrid") return detail::hybrid(run, edit->steps);
  if (id == "bptt" || id == "e-bptt" || id == "f-bptt") return detail::send_down(run, *edit);
  if (id == "rtrl" || id == "snap" || id == "rflo") return detail::carry(run, *edit);
  if (id == "e-prop") return detail::carry(run, *edit, options.lambda.value_or(0));
  if (id == "dni" || id == "dni-b") return detail::dni(run, id == "dni-b");
  if (id == "bp-lambda") return detail::bp_lambda(run);
  if (id == "uoro") return detail::uoro(run);
  if (id == "kf-rtrl") return detail::kf_rtrl(run);
  if (id == "r-kf-rtrl") return detail::r_kf_rtrl(run);
  if (id == "kernl") return detail::kernl(run);
  if (id == "forward-gradient") return detail::one_direction_of_weights(run, false, std::nullopt);
  if (id == "weight-perturbation")
    return detail::one_direction_of_weights(run, options.perturb_outputs, options.lambda);
  if (id == "node-perturbation") return detail::noise_on_units(run);
  if (id == "activity-perturbation") return detail::movement_of_units(run);
  throw std::logic_error("rnn::derived: a row of surgery.def without its derivation: " + std::string(id));
}

}  // namespace rnn
