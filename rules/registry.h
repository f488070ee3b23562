// The table of rules: what each is called, who found it, what it costs and what a synapse would have to know.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "rules/activity_perturbation.h"
#include "rules/bp_lambda.h"
#include "rules/bptt.h"
#include "rules/dni.h"
#include "rules/double_sum.h"
#include "rules/e_bptt.h"
#include "rules/e_prop.h"
#include "rules/f_bptt.h"
#include "rules/forward_gradient.h"
#include "rules/hybrid.h"
#include "rules/kernl.h"
#include "rules/kf_rtrl.h"
#include "rules/node_perturbation.h"
#include "rules/r_kf_rtrl.h"
#include "rules/readout.h"
#include "rules/rflo.h"
#include "rules/rtrl.h"
#include "rules/snap.h"
#include "rules/uoro.h"
#include "rules/weight_perturbation.h"

namespace rules {

enum class Randomness { deterministic, stochastic };
enum class Form { closed, numerical };
enum class Exactness { exact, unbiased, biased };

/// One row of registry.def.
struct Facts {
  std::string_view id, name, citation;
  int year;
  Facing facing;
  std::string_view tensor;
  Randomness randomness;
  Form form;
  Exactness exactness;
  std::string_view locality, memory, time;
};

inline constexpr auto registry = std::to_array<Facts>({
#define UNROLL_RULE(id, type, name, citation, year, facing, tensor, randomness, form, exactness, locality, memory,     \
                    time)                                                                                              \
  {id,       name,   citation, year, Facing::facing, tensor, Randomness::randomness, Form::form, Exactness::exactness, \
   locality, memory, time},
#include "rules/registry.def"
});

/// A rule chosen while the program runs, whatever its class.
template <class T = double>
class AnyRule {
 public:
  const Facing facing;

  virtual ~AnyRule() = default;
  AnyRule(const AnyRule&) = delete;
  AnyRule& operator=(const AnyRule&) = delete;

  virtual void reset() = 0;
  virtual const Gradient<T>& observe(const rnn::Transition<T>& t) = 0;
  virtual const Gradient<T>& finish() = 0;
  /// See KeepsTimes.
  virtual bool keeps_times() const = 0;
  virtual void keep_times() = 0;
  virtual Gradient<T> at(Eigen::Index s) const = 0;
  /// Where the rule has them, else nothing: every dL/dh_t (d x T) after finish(); P_t (d x d k).
  virtual const rnn::MatrixX<T>* delta() const = 0;
  virtual std::optional<rnn::MatrixX<T>> P() const = 0;

 protected:
  explicit AnyRule(Facing f) : facing(f) {}
};

namespace detail {

template <class R, class T>
class Chosen final : public AnyRule<T> {
 public:
  Chosen(const rnn::Network<T>& net, const rnn::Options& options) : AnyRule<T>(R::facing), rule_(net, options) {}

  void reset() override { rule_.reset(); }
  const Gradient<T>& observe(const rnn::Transition<T>& t) override { return rule_.observe(t); }
  const Gradient<T>& finish() override { return rule_.finish(); }
  bool keeps_times() const override { return KeepsTimes<R, T>; }
  void keep_times() override {
    if constexpr (requires { rule_.keep_times(); }) rule_.keep_times();
  }
  Gradient<T> at(Eigen::Index s) const override {
    if constexpr (KeepsTimes<R, T>)
      return rule_.at(s);
    else
      return {};
  }
  const rnn::MatrixX<T>* delta() const override {
    if constexpr (requires { rule_.delta(); })
      return &rule_.delta();
    else
      return nullptr;
  }
  std::optional<rnn::MatrixX<T>> P() const override {
    if constexpr (requires { rule_.P(); })
      return rule_.P();
    else
      return std::nullopt;
  }

 private:
  R rule_;
};

}  // namespace detail

/// The rule of this id, made for the network, which must outlive it. Nothing if there is no such rule, or none for numbers
/// of this kind (most need square roots). Throws std::invalid_argument for options that do not fit.
template <class T>
std::unique_ptr<AnyRule<T>> make_rule(std::string_view id, const rnn::Network<T>& net,
                                      const rnn::Options& options = {}) {
#define UNROLL_RULE(its_id, type, ...)          \
  if constexpr (requires { typename type<T>; }) \
    if (id == its_id) return std::make_unique<detail::Chosen<type<T>, T>>(net, options);
#include "rules/registry.def"
  return nullptr;
}

}  // namespace rules
