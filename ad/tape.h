// The tape: records every operation as it happens, and is swept down for adjoints or up for tangents.
#pragma once

#include <atomic>
#include <bit>
#include <cstdio>
#include <span>
#include <stdexcept>

#include "ad/annotations.h"
#include "ad/block.h"
#include "ad/elementary.h"
#include "ad/memory.h"

namespace ad {

/// One recorded operation: d(result) = pa d(a) + pb d(b) + d(c). A plain number that took part has id 0 (see constant_of).
template <class T>
struct alignas(sizeof(T) == 8 ? 32 : alignof(T)) Entry {
  T pa, pb;
  Id a, b, c;
  Op op;
};

/// The plain number that took the place of operand a (or b, if there is no b). A product's other partial is that number
/// already; elsewhere it stands in place of the partial nobody needs.
template <class T>
T constant_of(const Entry<T>& k) {
  const bool product = k.op == Op::mul || k.op == Op::fma || k.op == Op::sub_mul;
  const T& number = (k.a == 0) == product ? k.pb : k.pa;
  return k.op == Op::sub_mul ? T(-number) : number;
}

template <class T>
class TapeOf;
template <class T = double, class Tag = void>
class Variable;

/// The place where recording goes on: what every operation touches, kept together.
template <class T>
struct Cursor {
  Entry<T>* entry = nullptr;
  T* value = nullptr;
  Id size = 0;                            // entries in use, with the empty entry 0
  Id limit = 0;                           // below this many, recording asks nobody
  std::uint32_t generation = UINT32_MAX;  // of the variables that belong here
  TapeOf<T>* tape = nullptr;

  static constexpr Id far = 400'000;  // entries from here on, 16 MB, are taken to outlive the caches

  bool has_room() const { return size < limit; }
  /// A new entry; there is room.
  [[gnu::always_inline]] Id push(Op op, const T& v, Id a, const T& pa, Id b, const T& pb, Id c) {
    const Id i = size;
    size = i + 1;
    if constexpr (can_stream && std::is_same_v<T, double>) {
      if (i >= far) {
        stream(&entry[i].pa, pa, pb);
        stream(&entry[i].a, a, b, c, static_cast<std::uint32_t>(op));
        stream(value + i, v);
        return i;
      }
    }
    entry[i] = Entry<T>{pa, pb, a, b, c, op};
    value[i] = v;
    return i;
  }
  void make_room(Where where) {
    if (!tape)
      throw std::logic_error("ad::Variable: an operation was to be recorded, but no tape is active in this thread");
    tape->make_room(where);
  }
};

namespace detail {
template <class T>
inline constinit Cursor<T> nowhere{};
template <class T>
inline constinit thread_local Cursor<T>* active = &nowhere<T>;
inline std::atomic<std::uint32_t> generations{1};
}  // namespace detail

/// A recording of operations on Variable<T, ...>, and the two sweeps over it.
///
/// A new tape is the active one of its thread, until it is destroyed or a newer one is made. Entry i defines variable i:
/// operation, operands, partials and value, 40 bytes for double. Memory is kept between recordings and between tapes.
/// Every function that takes a variable throws std::invalid_argument if the variable is of another recording.
template <class T = double>
class TapeOf : private Cursor<T>, public Annotations {
  using Cursor<T>::entry, Cursor<T>::value, Cursor<T>::size;
  friend Cursor<T>;
  template <class U, class Tag>
  friend class Variable;
  friend struct Matrices;

 public:
  TapeOf() : previous_(detail::active<T>) {
    if (!Spare::gone && !spare().empty()) {
      store_ = std::move(spare().back());
      spare().pop_back();
    }
    this->tape = this;
    detail::active<T> = this;
    clear();
  }
  TapeOf(const TapeOf&) = delete;
  TapeOf& operator=(const TapeOf&) = delete;
  ~TapeOf() {
    for (Cursor<T>** link = &detail::active<T>; (*link)->tape; link = &(*link)->tape->previous_)
      if (*link == this) {
        *link = previous_;
        break;
      }
    if (!Spare::gone && spare().size() < 4) spare().push_back(std::move(store_));
  }

  // --- recording -----------------------------------------------------------------------------------------------------

  /// A new independent variable.
  template <class Tag = void>
  Variable<T, Tag> input(T v) {
    if (!this->has_room()) [[unlikely]]
      make_room({});
    const Id i = this->push(Op::input, v, 0, T(0), 0, T(0), 0);
    if (i == inputs_ + 1) inputs_ = i;
    return {v, i, this->generation};
  }
  template <class Tag = void>
  Variable<T, Tag> input(T v, std::string name) {
    add_name(size, std::move(name));
    return input<Tag>(v);
  }
  /// New independent variables x[0] .. x[n - 1], of consecutive ids.
  template <class Tag>
  void input(const T* v, std::size_t n, Variable<T, Tag>* x) {
    if (lines_on_ || !std::is_trivially_copyable_v<T>) {
      for (std::size_t i = 0; i < n; ++i) x[i] = input<Tag>(v[i]);
      return;
    }
    if (n >= this->limit - size) make_room({}, n);
    const Id first = size, end = first + static_cast<Id>(n);
    for (Id i = first; i < end; ++i) entry[i] = Entry<T>{T(0), T(0), 0, 0, 0, Op::input};
    std::copy_n(v, n, value + first);
    for (Id i = first; i < end; ++i) x[i - first] = {v[i - first], i, this->generation};
    if (first == inputs_ + 1) inputs_ = end - 1;
    size = end;
  }
  /// New independent variables in the shape of an Eigen matrix or array (ad/eigen.h). Elements are named "name[i,j]".
  template <class Tag = void, class M>
  requires requires { typename M::PlainObject; }
  auto input(const M& m, const std::string& name = {}) { return record_input<Tag>(*this, m, name); }

  /// Forgets the recording but keeps its memory. Variables of before are refused from now on.
  void clear() {
    do this->generation = detail::generations.fetch_add(1, std::memory_order_relaxed);
    while (this->generation == 0 || this->generation == UINT32_MAX);  // those of constants and of no tape
    size = inputs_ = shift_ = 0;
    store_.block.clear();
    store_.operand.clear();
    store_.number.clear();
    store_.adjoint.clear();
    store_.tangent.clear();
    forget();
    make_room({});
    this->push(Op::input, T(0), 0, T(0), 0, T(0), 0);  // entry 0: nobody's
  }

  /// Number of entries: variables have ids 1 .. length().
  Id length() const { return size - 1; }
  /// Bytes the recording takes: entries and values; and once a sweep has been made, its derivatives.
  std::size_t bytes() const {
    return std::size_t{size - shift_} * sizeof(Entry<T>) + std::size_t{size} * sizeof(T) +
           store_.block.size() * sizeof(Block<T>) + store_.operand.size() * sizeof(BlockOperand) +
           (store_.number.size() + store_.adjoint.size() + store_.tangent.size()) * sizeof(T);
  }

  // --- sweeps --------------------------------------------------------------------------------------------------------

  /// The adjoint sweep: from y downward, d(y)/d(every variable before it), times `seed`. Earlier adjoints are forgotten.
  template <class Tag>
  void reverse(const Variable<T, Tag>& y, T seed = T(1)) {
    const Id top = check(y, "reverse(y)");
    zero(store_.adjoint);
    store_.adjoint[top] = seed;
    sweep_down(store_.adjoint.data(), top);
  }
  /// The adjoint sweep of a weighted sum of outputs: d(sum_k w_k y_k).
  template <class Tag>
  void reverse(std::span<const std::pair<Variable<T, Tag>, T>> outputs) {
    Id top = 0;
    zero(store_.adjoint);
    for (const auto& [y, w] : outputs) {
      const Id i = check(y, "reverse(outputs)");
      store_.adjoint[i] += w;
      top = std::max(top, i);
    }
    sweep_down(store_.adjoint.data(), top);
  }
  /// The adjoint of x after reverse(y): dy/dx.
  template <class Tag>
  const T& adjoint(const Variable<T, Tag>& x) const {
    return adjoint(check(x, "adjoint(x)"));
  }

  /// The tangent sweep: from x upward, d(every variable)/dx, times `seed`. x need not be an input.
  template <class Tag>
  void forward(const Variable<T, Tag>& x, const T& seed = T(1)) {
    const std::pair<Variable<T, Tag>, T> one[] = {{x, seed}};
    forward(std::span<const std::pair<Variable<T, Tag>, T>>(one));
  }
  /// The tangent sweep in a direction: each given variable moves with its speed.
  template <class Tag>
  void forward(std::span<const std::pair<Variable<T, Tag>, T>> direction) {
    zero(store_.tangent);
    for (const auto& [x, speed] : direction) store_.tangent[check(x, "forward(x)")] += speed;
    sweep_up(store_.tangent.data());
  }
  /// The tangent of y after forward(x): dy/dx.
  template <class Tag>
  const T& tangent(const Variable<T, Tag>& y) const {
    return tangent(check(y, "tangent(y)"));
  }

  /// The adjoint sweep over the caller's own adjoints, one for each id 0 .. length(); A is T, or Tangents<T, N> for N
  /// directions at once. What is in `adjoint` is the seed.
  template <class A>
  void sweep_down(A* adjoint, Id top) const {
    if constexpr (!std::is_same_v<A, T>)
      require_only_scalars();
    else
      for (auto b = store_.block.rbegin(); b != store_.block.rend(); ++b) {
        if (b->first > top) continue;
        entries_down<false>(adjoint, b->end, top, store_.entry.data() - b->shift);
        if (b->gather) b->gather(*this, *b, adjoint);
        b->rule->pullback(*this, *b, adjoint);
        top = b->before - 1;
      }
    if (top > 20'000)
      entries_down<true>(adjoint, inputs_ + 1, top, store_.entry.data());
    else
      entries_down<false>(adjoint, inputs_ + 1, top, store_.entry.data());
  }

  /// Sweeps in several directions at once (A = Tangents) know single numbers only.
  bool only_scalars() const { return store_.block.empty(); }

  /// The tangent sweep over the caller's own tangents, one for each id 0 .. length(); tangent[0] must be zero. What is in
  /// `tangent` is the seed; of a variable that is no input it comes on top of what its operands do to it.
  template <class A>
  void sweep_up(A* tangent) const {
    Id i = inputs_ + 1, shift = 0;
    if constexpr (!std::is_same_v<A, T>)
      require_only_scalars();
    else
      for (const Block<T>& b : store_.block) {
        entries_up(tangent, i, b.before, store_.entry.data() - shift);
        b.rule->pushforward(*this, b, {tangent, size, 1});
        i = b.end;
        shift = b.shift;
      }
    entries_up(tangent, i, size, store_.entry.data() - shift);
  }

  // --- for people --------------------------------------------------------------------------------------------------

  template <class Tag>
  void name(const Variable<T, Tag>& x, std::string name) {
    add_name(check(x, "name(x)"), std::move(name));
  }

  /// Opens a scope that ends with the object returned.
  [[nodiscard]] auto scope(std::string name, const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    struct Guard {
      TapeOf& tape;
      std::size_t scope;
      std::uint32_t generation;
      Guard(TapeOf& t, std::size_t s) : tape(t), scope(s), generation(t.generation) {}
      Guard(const Guard&) = delete;
      ~Guard() {
        if (tape.generation == generation) tape.close_scope(scope, tape.size);
      }
    };
    return Guard(*this, open_scope(size, std::move(name), {file, line}));
  }

  /// From now on, remember the source line of every operation. Costs a call an operation.
  void remember_lines() {
    lines_on_ = true;
    this->limit = 0;
  }

  /// The entry of variable i, or nothing where it belongs to a block.
  const Entry<T>& entry_of(Id i) const {
    range(i, size, "entry");
    const Block<T>* b = block_before(i);
    if (b && i < b->end) throw std::out_of_range("ad::Tape: variable " + std::to_string(i) + " is part of a block");
    return store_.entry[i - (b ? b->shift : 0)];
  }
  const std::vector<Block<T>>& blocks() const { return store_.block; }
  /// The last block that begins at or before variable i.
  const Block<T>* block_before(Id i) const {
    const auto after = std::upper_bound(store_.block.begin(), store_.block.end(), i,
                                        [](Id id, const Block<T>& b) { return id < b.before; });
    return after == store_.block.begin() ? nullptr : &*std::prev(after);
  }
  const T& value_of(Id i) const { return value[range(i, size, "value")]; }
  const T& adjoint(Id i) const { return store_.adjoint[range(i, store_.adjoint.size(), "adjoint")]; }
  const T& tangent(Id i) const { return store_.tangent[range(i, store_.tangent.size(), "tangent")]; }
  bool has_adjoints() const { return store_.adjoint.size() == size; }
  bool has_tangents() const { return store_.tangent.size() == size; }

  /// The id of a variable of this recording; throws std::invalid_argument for any other.
  template <class Tag>
  [[gnu::always_inline]] Id check(const Variable<T, Tag>& x, const char* what) const {
    if (x.generation_ != this->generation) [[unlikely]]
      refuse(x.generation_ == 0, x.value_, what);
    return x.id_;
  }

 private:
  struct Store {
    Array<Entry<T>> entry;
    Array<T> value, adjoint, tangent;  // the last two: what the last sweeps left
    mutable Array<T> number;           // plain numbers that blocks took in
    std::vector<Block<T>> block;
    std::vector<BlockOperand> operand;
  };
  /// Memory of destroyed tapes, kept for the next: touching new memory costs ten times a warm write.
  struct Spare {
    static inline constinit thread_local bool gone = false;
    std::vector<Store> stores;
    ~Spare() { gone = true; }
  };
  static std::vector<Store>& spare() {
    static thread_local Spare s;
    return s.stores;
  }

  Store store_;
  Cursor<T>* previous_;
  Id inputs_ = 0;  // entries 1 .. inputs_ are inputs: no sweep needs to look at them
  Id shift_ = 0;   // how many more variables than entries there are: a block has a run of variables, but no entry
  bool lines_on_ = false;

  void require_only_scalars() const {
    if (!only_scalars())
      throw std::logic_error("ad::Tape: a sweep in several directions at once over a recording with matrix entries");
  }

  void make_room(Where where, std::size_t ahead = 0) {
    if (size + ahead >= store_.value.size()) {
      if (size == UINT32_MAX) throw std::length_error("ad::Tape: more than 2^32 variables");
      const std::size_t more =
          std::min<std::size_t>(UINT32_MAX, std::max<std::size_t>(1024, 2 * (std::size_t{size} + ahead)));
      store_.entry.resize(more);
      store_.value.resize(more);
    }
    entry = store_.entry.data() - shift_;
    value = store_.value.data();
    if (lines_on_) add_line(size, where);
    this->limit = lines_on_ ? 0 : static_cast<Id>(store_.value.size());
  }

  void zero(Array<T>& derivatives) const {
    derivatives.reserve(store_.value.size());
    if constexpr (can_stream && std::is_same_v<T, double>)
      if (size > 4 * this->far) {
        derivatives.resize(size);
        for (double& derivative : derivatives) stream(&derivative, 0.0);
        return;
      }
    derivatives.assign(size, T(0));
  }

  /// x * y + z, at once where the processor can: the compiler would rather share the product between two branches.
  static double multiply_add(double x, double y, double z) {
#if defined(__FMA__)
    return __builtin_fma(x, y, z);
#else
    return x * y + z;
#endif
  }

  /// Entries of single numbers, top down to first; e[i] is the entry of variable i. Many are fetched early.
  template <bool many, class A>
  [[gnu::noinline]] static void entries_down(A* adjoint, Id first, Id top, const Entry<T>* e) {
    if (top < first) return;
    if constexpr (std::is_same_v<A, double>) {
      double g = adjoint[top];
      for (Id i = top;; --i) {
        // The adjoint of the entry before stays in a register: a chain of entries then waits for one multiply-add
        // each, not for a sum to be stored and loaded again.
        double next = adjoint[i - 1];
        if constexpr (many) {
          __builtin_prefetch(reinterpret_cast<const char*>(e + i) - 2048);
          if (i % 8 == 0) __builtin_prefetch(reinterpret_cast<const char*>(adjoint + i) - 1024, 1);
        }
        const Entry<T>& k = e[i];
        adjoint[i] = g;
        if (nonzero_and_finite(g)) [[likely]] {
          const Id before = i - 1;
          if (k.a == before)
            next = multiply_add(k.pa, g, next);
          else
            adjoint[k.a] = multiply_add(k.pa, g, adjoint[k.a]);
          if (k.b) {
            if (k.b == before)
              next = multiply_add(k.pb, g, next);
            else
              adjoint[k.b] = multiply_add(k.pb, g, adjoint[k.b]);
          }
          if (k.c) {
            if (k.c == before)
              next += g;
            else
              adjoint[k.c] += g;
          }
        } else if (g != 0) {
          give(adjoint, k, g);
          next = adjoint[i - 1];
        }
        if (i == first) {
          adjoint[i - 1] = next;
          break;
        }
        g = next;
      }
    } else {
      for (Id i = top; i >= first; --i)
        if (const A g = adjoint[i]; !is_zero(g)) give(adjoint, e[i], g);
    }
  }
  template <class A>
  static void entries_up(A* tangent, Id first, Id end, const Entry<T>* e) {
    for (Id i = first; i < end; ++i) {
      const Entry<T>& k = e[i];
      A t = flow(k.pa, tangent[k.a], k.pb, tangent[k.b]);
      t += tangent[k.c];
      tangent[i] += t;
    }
  }

  /// One entry's part of the adjoint sweep.
  template <class A>
  static void give(A* adjoint, const Entry<T>& k, const A& g) {
    if (k.a) adjoint[k.a] += flow(k.pa, g);
    if (k.b) adjoint[k.b] += flow(k.pb, g);
    if (k.c) adjoint[k.c] += g;
  }

  /// One comparison for both: less one, the bits of 0, infinity and NaN are the largest once the sign is shifted out.
  static bool nonzero_and_finite(double g) {
    return (std::bit_cast<std::uint64_t>(g) << 1) - 1 < (std::uint64_t{0x7FF} << 53) - 1;
  }

  [[gnu::always_inline]] static Id range(Id i, std::size_t size, const char* what) {
    if (i == 0 || i >= size) [[unlikely]]
      no_such(i, size, what);
    return i;
  }
  [[noreturn, gnu::noinline, gnu::cold]] static void no_such(Id i, std::size_t size, const char* what) {
    throw std::out_of_range("ad::Tape: no " + std::string(what) + " of variable " + std::to_string(i) +
                            (size <= 1 ? ": none has been computed" : " among 1 .. " + std::to_string(size - 1)));
  }
  [[noreturn, gnu::noinline, gnu::cold]] void refuse(bool constant, const T& v, const char* what) const {
    char number[32] = "?";
    if constexpr (std::is_floating_point_v<T>) std::snprintf(number, sizeof number, "%g", static_cast<double>(v));
    throw std::invalid_argument(
        "ad::Tape: " + std::string(what) + ": the variable of value " + number +
        (constant ? " was never recorded: it is a constant" : " belongs to another tape or to an earlier recording") +
        " (this recording has " + std::to_string(length()) + " entries)");
  }
};

using Tape = TapeOf<double>;

}  // namespace ad

#include "ad/variable.h"
