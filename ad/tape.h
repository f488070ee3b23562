// Reverse mode: a tape that records every operation as it happens, and is swept back to collect derivatives.
#pragma once

#include "ad/elementary.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ad {

using Id = std::uint32_t;  // number of a variable on its tape, from 1; 0 is "none"

/// A line of somebody's program.
struct Where {
  const char* file = "";
  unsigned line = 0;
};

/// One recorded operation: d(result) = pa d(a) + pb d(b) + d(c). A plain number that took part has id 0; its value then
/// stands in place of the partial nobody needs.
template <class T>
struct alignas(sizeof(T) == 8 ? 32 : alignof(T)) Entry {
  T pa, pb;
  Id a, b, c;
  Op op;
};

namespace detail {

/// Memory for `bytes` bytes on a cache line; in large pages where there is much of it and the system has them.
inline void* allocate(std::size_t bytes) {
  constexpr std::size_t large = std::size_t{1} << 21;
  const std::size_t align = bytes >= 2 * large ? large : 64;
  void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (!p) throw std::bad_alloc();
#if defined(__linux__)
  if (align == large) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

template <class T>
struct Allocator {
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(detail::allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) { std::free(p); }
  bool operator==(const Allocator&) const { return true; }
};

/// An array without initial values that is grown by doubling; whoever owns it knows how many elements are alive.
template <class T>
class Room {
  static_assert(alignof(T) <= 64);
  T* data_ = nullptr;
  std::size_t capacity_ = 0;

 public:
  Room() = default;
  Room(Room&& r) noexcept : data_(std::exchange(r.data_, nullptr)), capacity_(std::exchange(r.capacity_, 0)) {}
  Room& operator=(Room&& r) noexcept {
    std::swap(data_, r.data_);
    std::swap(capacity_, r.capacity_);
    return *this;
  }
  ~Room() { std::free(data_); }

  T* data() const { return data_; }
  std::size_t capacity() const { return capacity_; }

  void grow(std::size_t alive, std::size_t capacity) {
    T* bigger = static_cast<T*>(allocate(capacity * sizeof(T)));
    std::uninitialized_move_n(data_, alive, bigger);
    std::destroy_n(data_, alive);
    std::free(data_);
    data_ = bigger;
    capacity_ = capacity;
  }
};

inline std::atomic<std::uint32_t> generations{1};
/// A number no other recording has: variables carry it, so that one of a cleared or other tape is noticed.
inline std::uint32_t next_generation() {
  std::uint32_t g = generations.fetch_add(1, std::memory_order_relaxed);
  while (g == 0 || g == UINT32_MAX) g = generations.fetch_add(1, std::memory_order_relaxed);
  return g;
}

}  // namespace detail

template <class T>
class TapeOf;
template <class T = double, class Tag = void>
class Variable;

/// The place where recording goes on: what every operation touches, kept together.
template <class T>
struct Cursor {
  Entry<T>* entry = nullptr;
  T* value = nullptr;
  Id size = 0;                              // entries in use, with the empty entry 0
  Id limit = 0;                             // below this many, recording asks nobody
  std::uint32_t generation = UINT32_MAX;    // of the variables that belong here
  TapeOf<T>* tape = nullptr;

  bool has_room() const { return size < limit; }
  /// A new entry; there is room.
  [[gnu::always_inline]] Id push(Op op, const T& v, Id a, const T& pa, Id b, const T& pb, Id c) {
    const Id i = size;
    std::construct_at(entry + i, Entry<T>{pa, pb, a, b, c, op});
    std::construct_at(value + i, v);
    size = i + 1;
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
}  // namespace detail

/// A recording of operations on Variable<T, ...>, and the two sweeps over it.
///
/// A new tape is the active one of its thread, until it is destroyed or a newer one is made. Entry i defines variable i:
/// operation, operands, partials and value, 40 bytes for double. Memory is kept between recordings and between tapes.
/// Every function that takes a variable throws std::invalid_argument if the variable is of another recording.
template <class T = double>
class TapeOf : private Cursor<T> {
  using Cursor<T>::entry, Cursor<T>::value, Cursor<T>::size;
  friend Cursor<T>;

 public:
  TapeOf() : previous_(detail::active<T>) {
    if (!spare().empty()) {
      store_ = std::move(spare().back());
      spare().pop_back();
    }
    this->tape = this;
    detail::active<T> = this;
    begin();
  }
  TapeOf(const TapeOf&) = delete;
  TapeOf& operator=(const TapeOf&) = delete;
  ~TapeOf() {
    drop();
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
  Variable<T, Tag> input(const T& v) {
    if (!this->has_room()) [[unlikely]]
      make_room({});
    return {v, this->push(Op::input, v, 0, T(0), 0, T(0), 0), this->generation};
  }
  template <class Tag = void>
  Variable<T, Tag> input(const T& v, std::string name) {
    names_.push_back({size, std::move(name)});
    return input<Tag>(v);
  }
  /// New independent variables in the shape of an Eigen matrix or array (ad/eigen.h). Elements are named "name[i,j]".
  template <class Tag = void, class M>
    requires requires { typename M::PlainObject; }
  auto input(const M& m, const std::string& name = {}) {
    return record_input<Tag>(*this, m, name);
  }

  /// Forgets the recording but keeps its memory. Variables of before are refused from now on.
  void clear() {
    drop();
    begin();
  }

  /// Number of entries: variables have ids 1 .. length().
  Id length() const { return size - 1; }
  /// Bytes the recording takes: entries and values; and once a sweep has been made, its derivatives.
  std::size_t bytes() const {
    return std::size_t{size} * (sizeof(Entry<T>) + sizeof(T)) + (store_.adjoint.size() + store_.tangent.size()) * sizeof(T);
  }

  // --- sweeps --------------------------------------------------------------------------------------------------------

  /// The adjoint sweep: from y downward, d(y)/d(every variable before it), times `seed`. Earlier adjoints are forgotten.
  template <class Tag>
  void reverse(const Variable<T, Tag>& y, const T& seed = T(1)) {
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

  /// The tangent sweep: from x upward, d(every variable)/dx, times `seed`.
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

  /// The adjoint sweep over the caller's own adjoints, one for each id up to `top`; A is T, or Tangents<T, N> for N
  /// directions at once. What is in `adjoint` is the seed.
  template <class A>
  void sweep_down(A* adjoint, Id top) const {
    const Entry<T>* const e = entry;
    const Id first = first_operation();
    if constexpr (std::is_same_v<A, double>) {
      if (top < first) return;
      double g = adjoint[top];
      for (Id i = top;; --i) {
        // The adjoint of the entry before stays in a register: a chain of entries then waits for one multiply-add
        // each, not for a sum to be stored and loaded again.
        double next = adjoint[i - 1];
        const Entry<T>& k = e[i];
        adjoint[i] = g;
        if (nonzero_and_finite(g)) [[likely]] {
          const Id before = i - 1;
          if (k.a == before)
            next += k.pa * g;
          else
            adjoint[k.a] += k.pa * g;
          if (k.b) {
            if (k.b == before)
              next += k.pb * g;
            else
              adjoint[k.b] += k.pb * g;
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

  /// The tangent sweep over the caller's own tangents, one for each id 0 .. length(); tangent[0] must be zero. Seeds
  /// are what the inputs and constants hold.
  template <class A>
  void sweep_up(A* tangent) const {
    for (Id i = first_operation(); i < size; ++i) {
      const Entry<T>& k = entry[i];
      if (k.op <= Op::constant) continue;
      A t = flow(k.pa, tangent[k.a], k.pb, tangent[k.b]);
      t += tangent[k.c];
      tangent[i] = t;
    }
  }

  // --- names, scopes and lines: for people, paid for only where used ---------------------------------------------------

  template <class Tag>
  void name(const Variable<T, Tag>& x, std::string name) {
    names_.push_back({check(x, "name(x)"), std::move(name)});
  }

  /// A stretch of the recording with a name; it ends with the object.
  struct Scope {
    std::string name;
    Id begin, end;  // entries begin .. end - 1
    int depth;
    Where where;
  };
  class ScopeGuard {
    TapeOf* tape_;
    std::size_t index_;
    std::uint32_t generation_;

   public:
    ScopeGuard(TapeOf& tape, std::size_t index) : tape_(&tape), index_(index), generation_(tape.generation) {}
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;
    ~ScopeGuard() {
      if (tape_->generation != generation_) return;
      tape_->scopes_[index_].end = tape_->size;
      --tape_->depth_;
    }
  };
  [[nodiscard]] ScopeGuard scope(std::string name, const char* file = __builtin_FILE(),
                                 unsigned line = __builtin_LINE()) {
    scopes_.push_back({std::move(name), size, UINT32_MAX, depth_++, {file, line}});
    return ScopeGuard(*this, scopes_.size() - 1);
  }

  /// From now on, remember the source line of every operation. Costs a call an operation.
  void remember_lines() {
    lines_on_ = true;
    this->limit = 0;
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  const Entry<T>& entry_of(Id i) const { return entry[range(i, size, "entry")]; }
  const T& value_of(Id i) const { return value[range(i, size, "value")]; }
  const T& adjoint(Id i) const { return store_.adjoint[range(i, store_.adjoint.size(), "adjoint")]; }
  const T& tangent(Id i) const { return store_.tangent[range(i, store_.tangent.size(), "tangent")]; }
  bool has_adjoints() const { return store_.adjoint.size() == size; }
  bool has_tangents() const { return store_.tangent.size() == size; }
  /// The name given last, or nothing.
  std::string name_of(Id i) const {
    for (auto n = names_.rbegin(); n != names_.rend(); ++n)
      if (n->first == i) return n->second;
    return {};
  }
  const std::vector<std::pair<Id, std::string>>& names() const { return names_; }
  const std::vector<Scope>& scopes() const { return scopes_; }
  /// The line that recorded entry i; inside Eigen's own code, the line of the scope around it. Line 0: not known.
  Where line_of(Id i) const {
    auto after = std::upper_bound(lines_.begin(), lines_.end(), i, [](Id id, const auto& l) { return id < l.first; });
    const Where here = after == lines_.begin() ? Where{} : std::prev(after)->second;
    if (here.line != 0 && !std::strstr(here.file, "/Eigen/")) return here;
    Where around{};
    for (const Scope& s : scopes_)
      if (s.begin <= i && i < s.end) around = s.where;
    return around.line != 0 ? around : here;
  }

  /// The id of a variable of this recording; throws std::invalid_argument for any other.
  template <class Tag>
  [[gnu::always_inline]] Id check(const Variable<T, Tag>& x, const char* what) const {
    if (x.generation_ != this->generation) [[unlikely]]
      refuse(x.generation_ == 0, x.value_, what);
    return x.id_;
  }

 private:
  template <class U, class Tag>
  friend class Variable;

  struct Store {
    detail::Room<Entry<T>> entry;
    detail::Room<T> value;
    std::vector<T, detail::Allocator<T>> adjoint, tangent;  // what the last sweeps left
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

  void zero(std::vector<T, detail::Allocator<T>>& derivatives) const {
    derivatives.clear();
    derivatives.reserve(store_.value.capacity());
    derivatives.resize(size, T(0));
  }

  /// One entry's part of the adjoint sweep.
  template <class A>
  static void give(A* adjoint, const Entry<T>& k, const A& g) {
    if (k.a) adjoint[k.a] += flow(k.pa, g);
    if (k.b) adjoint[k.b] += flow(k.pb, g);
    if (k.c) adjoint[k.c] += g;
  }

  /// One comparison for both: the bits of 0 less one, and of infinity and NaN, are the largest once the sign is shifted out.
  static bool nonzero_and_finite(double g) {
    return (std::bit_cast<std::uint64_t>(g) << 1) - 1 < (std::uint64_t{0x7FF} << 53) - 1;
  }

  Id first_operation() const {
    Id i = 1;
    while (i < size && entry[i].op <= Op::constant) ++i;
    return i;
  }

  void begin() {
    this->generation = detail::next_generation();
    make_room({});
    this->push(Op::input, T(0), 0, T(0), 0, T(0), 0);  // entry 0: nobody's
  }
  void drop() {
    std::destroy_n(entry, size);
    std::destroy_n(value, size);
    size = 0;
    store_.adjoint.clear();
    store_.tangent.clear();
    names_.clear();
    scopes_.clear();
    lines_.clear();
    depth_ = 0;
  }

  Id capacity() const { return static_cast<Id>(std::min<std::size_t>(store_.value.capacity(), UINT32_MAX)); }

  void make_room(Where where) {
    if (size >= capacity()) {
      if (size == UINT32_MAX) throw std::length_error("ad::Tape: more than 2^32 entries; see ad/checkpoint.h");
      const std::size_t more = std::max<std::size_t>(1024, 2 * std::size_t{size});
      store_.entry.grow(size, more);
      store_.value.grow(size, more);
    }
    entry = store_.entry.data();
    value = store_.value.data();
    this->limit = lines_on_ ? 0 : capacity();
    if (lines_on_ && (lines_.empty() || lines_.back().second.line != where.line || lines_.back().second.file != where.file))
      lines_.push_back({size, where});
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
    throw std::invalid_argument("ad::Tape: " + std::string(what) + ": the variable of value " + number +
                                (constant ? " was never recorded: it is a constant"
                                          : " belongs to another tape or to an earlier recording") +
                                " (this recording has " + std::to_string(length()) + " entries)");
  }

  Store store_;
  Cursor<T>* previous_;
  bool lines_on_ = false;
  int depth_ = 0;
  std::vector<std::pair<Id, std::string>> names_;
  std::vector<Scope> scopes_;
  std::vector<std::pair<Id, Where>> lines_;  // from this entry on, this line
};

/// A number that remembers, on the active tape, how it was computed. One made from a plain number is a constant: it has
/// no derivative and costs nothing. Tag keeps nested differentiations apart, as in Dual. Comparisons look at values.
template <class T, class Tag>
class Variable {
 public:
  /// x * z that has not been recorded yet, so that a following + or - can take it in: w + x * z is one entry. Whatever
  /// else is done with it records it, once. It behaves as a Variable; held by value, so `auto p = x * z` is safe.
  class Product;

  Variable() : value_(0) {}
  template <Passive<Variable, T> U>
  Variable(const U& v) : value_(static_cast<T>(v)) {}

  const T& value() const { return value_; }
  /// Its number on the tape; 0 for a constant.
  Id id() const { return id_; }
  bool vanishes() const { return id_ == 0 && is_zero(value_); }

  template <class U>
  [[gnu::always_inline]] Variable& operator+=(U&& z) {
    return *this = *this + std::forward<U>(z);
  }
  template <class U>
  [[gnu::always_inline]] Variable& operator-=(U&& z) {
    return *this = *this - std::forward<U>(z);
  }
  template <class U>
  [[gnu::always_inline]] Variable& operator*=(const U& z) {
    return *this = *this * z;
  }
  template <class U>
  [[gnu::always_inline]] Variable& operator/=(const U& z) {
    return *this = *this / z;
  }

  /// The result of a function of one's own: its value y, and its partial derivative for each operand.
  static Variable linear(const T& y, std::span<const std::pair<Variable, T>> terms, Where where = {}) {
    Variable sum;
    for (std::size_t i = 0; i < terms.size(); i += 2) {  // an entry holds two partials; more make a chain
      const auto& [x, px] = terms[i];
      const T value = i + 2 >= terms.size() ? y : T(0);
      if (i + 1 == terms.size())
        sum = sum.id_ ? record(Op::custom, value, x, px, where, Nobody{}, T(0), sum)
                      : record(Op::custom, value, x, px, where);
      else if (const auto& [z, pz] = terms[i + 1]; sum.id_)
        sum = record(Op::custom, value, x, px, where, z, pz, sum);
      else
        sum = record(Op::custom, value, x, px, where, z, pz);
    }
    return terms.empty() ? Variable(y) : sum;
  }

 private:
  friend class TapeOf<T>;
  T value_;
  Id id_ = 0;
  std::uint32_t generation_ = 0;  // of the recording; 0: a constant

  // by value where cheap
  using Copied = std::conditional_t<std::is_trivially_copyable_v<T> && sizeof(T) <= 16, T, const T&>;

  Variable(const T& v, Id id, std::uint32_t generation) : value_(v), id_(id), generation_(generation) {}

  // Recording: one test for all that can be out of the ordinary, and the rest out of line as a whole, so that on the way
  // always taken everything stays in registers.
  struct Nobody {
    T value_{};
    static constexpr Id id_ = 0;
    static constexpr std::uint32_t generation_ = UINT32_MAX;
  };
  static Cursor<T>& tape() { return *detail::active<T>; }
  template <class X>
  static bool here(const X& x) {
    return std::is_same_v<X, Nobody> || x.generation_ == tape().generation;
  }

  template <class X, class Z = Nobody, class W = Nobody>
  [[gnu::always_inline]] static Variable record(Op op, const T& y, const X& x, const T& px, Where where,
                                                const Z& z = {}, const T& pz = T(0), const W& w = {}) {
    Cursor<T>& t = tape();
    if (here(x) && here(z) && here(w) && t.has_room()) [[likely]]
      return {y, t.push(op, y, x.id_, px, z.id_, pz, w.id_), t.generation};
    return record_slowly(op, y, px, pz, x.value_, x.id_, x.generation_, z.value_, z.id_, z.generation_, w.value_, w.id_,
                         w.generation_, where.file, where.line);
  }
  // piece by piece: a variable handed over whole would be kept in memory on the way that is always taken
  [[gnu::noinline, gnu::cold]] static Variable record_slowly(Op op, Copied y, Copied px, Copied pz, Copied x, Id xi,
                                                             std::uint32_t xg, Copied z, Id zi, std::uint32_t zg,
                                                             Copied w, Id wi, std::uint32_t wg, const char* file,
                                                             unsigned line) {
    Cursor<T>& t = tape();
    const Where where{file, line};
    if (op == Op::fma && wg == 0 && is_zero(w)) {  // the first term of a sum
      op = Op::mul;
      wg = UINT32_MAX;
    }
    const Id a = adopt(x, xi, xg, where), b = adopt(z, zi, zg, where), c = adopt(w, wi, wg, where);
    if (!t.has_room()) t.make_room(where);
    return {y, t.push(op, y, a, px, b, pz, c), t.generation};
  }
  /// The id on the active tape. A constant is recorded; anything else that does not belong here is refused.
  static Id adopt(Copied v, Id id, std::uint32_t generation, Where where) {
    Cursor<T>& t = tape();
    if (generation == t.generation || generation == UINT32_MAX) return id;
    if (t.tape && generation != 0) t.tape->refuse(false, v, "an operation");
    if (!t.has_room()) t.make_room(where);
    return t.push(Op::constant, v, 0, T(0), 0, T(0), 0);
  }

  /// The first operand of an operation, and the line of the program where the operation stands.
  struct Operand {
    Variable x;
    Where where;
    [[gnu::always_inline]] Operand(const Variable& v, const char* file = __builtin_FILE(),
                                   unsigned line = __builtin_LINE())
        : x(v.value_, v.id_, v.generation_), where{file, line} {}
    [[gnu::always_inline]] Operand(const Product& p) : x(p), where(p.where_) {}
  };

  template <class Row>
  [[gnu::always_inline]] static Variable chain(const Operand& o) {
    const T y = Row::value(o.x.value_);
    return record(Row::op, y, o.x, Row::dx(o.x.value_, y), o.where);
  }
  template <class Row>
  [[gnu::always_inline]] static Variable chain(const Variable& x, const Variable& z, Where where) {
    const T y = Row::value(x.value_, z.value_);
    return record(Row::op, y, x, Row::dx(x.value_, z.value_, y), where, z, Row::dz(x.value_, z.value_, y));
  }
  template <class Row>
  [[gnu::always_inline]] static Variable chain(const Operand& o, const T& z) {
    const T y = Row::value(o.x.value_, z);
    return record(Row::op, y, o.x, Row::dx(o.x.value_, z, y), o.where, Nobody{}, z);
  }
  template <class Row>
  [[gnu::always_inline]] static Variable chain(const T& x, const Operand& o) {
    const T y = Row::value(x, o.x.value_);
    return record(Row::op, y, Nobody{}, x, o.where, o.x, Row::dz(x, o.x.value_, y));
  }

  [[gnu::always_inline]] static Product times(const Variable& x, const Variable& z, Where where) {
    return Product(x, z, where);
  }
  /// w + x * z and w - x * z: one entry while p = x * z is not recorded, else two.
  [[gnu::always_inline]] static Variable plus(const Variable& w, const Product& p) {
    if (p.recorded_) return chain<row::add_>(w, p.result_, p.where_);
    const T y = w.value_ + p.x_.value_ * p.z_.value_;
    return record(Op::fma, y, p.x_, p.z_.value_, p.where_, p.z_, p.x_.value_, w);
  }
  [[gnu::always_inline]] static Variable minus(const Variable& w, const Product& p) {
    if (p.recorded_) return chain<row::sub_>(w, p.result_, p.where_);
    const T y = w.value_ - p.x_.value_ * p.z_.value_;
    return record(Op::sub_mul, y, p.x_, -p.z_.value_, p.where_, p.z_, -p.x_.value_, w);
  }
  template <class P>
  static constexpr bool is_product = std::is_same_v<std::remove_cvref_t<P>, Product>;

 public:
  // Every operation takes Variables, plain numbers, or Products. Where only Products and plain numbers meet, the result
  // is a Product, so that a template deduced from `x * z` works with one type throughout.
#define AD_PAIR(f, name)                                                                        \
  [[gnu::always_inline]] friend Variable f(const Operand& x, const Variable& z) {               \
    return chain<row::name##_>(x.x, z, x.where);                                                \
  }
#define AD_PAIR_PRODUCTS(f)                                                                     \
  [[gnu::always_inline]] friend Product f(const Product& x, const Product& z) {                 \
    return Product(f(Operand(x), Variable(z)));                                                 \
  }
#define AD_FUSE(f, fuse)                                                              \
  template <std::same_as<Variable> W, std::same_as<Product> P>                                  \
  [[gnu::always_inline]] friend Variable f(const W& w, P&& p) {                                 \
    return fuse(w, p);                                                                          \
  }                                                                                             \
  template <class P, class Q>                                                                   \
    requires(is_product<P> && is_product<Q>)                                                    \
  [[gnu::always_inline]] friend Product f(P&& p, Q&& q) {                                       \
    if constexpr (std::is_rvalue_reference_v<Q&&>)                                              \
      return Product(fuse(Variable(p), q));                                                     \
    else                                                                                        \
      return Product(f(Operand(p), Variable(q)));                                               \
  }
#define AD_PASSIVE(f, name)                                                                     \
  template <Passive<Variable, T> U>                                                             \
  [[gnu::always_inline]] friend Variable f(const Operand& x, const U& z) {                      \
    return chain<row::name##_>(x, T(z));                                                        \
  }                                                                                             \
  template <Passive<Variable, T> U>                                                             \
  [[gnu::always_inline]] friend Variable f(const U& x, const Operand& z) {                      \
    return chain<row::name##_>(T(x), z);                                                        \
  }                                                                                             \
  template <Passive<Variable, T> U>                                                             \
  [[gnu::always_inline]] friend Product f(const Product& x, const U& z) {                       \
    return Product(f(Operand(x), z));                                                           \
  }                                                                                             \
  template <Passive<Variable, T> U>                                                             \
  [[gnu::always_inline]] friend Product f(const U& x, const Product& z) {                       \
    return Product(f(x, Operand(z)));                                                           \
  }
#define AD_CHAIN1(f, name)                                                                      \
  [[gnu::always_inline]] friend Variable f(const Operand& x) { return chain<row::name##_>(x); } \
  [[gnu::always_inline]] friend Product f(const Product& x) { return Product(f(Operand(x))); }

#define AD_INFIX(name, symbol, ...) AD_PASSIVE(operator symbol, name)
#define AD_PREFIX(name, symbol, ...) AD_CHAIN1(operator symbol, name)
#define AD_UNARY(name, ...) AD_CHAIN1(name, name)
#define AD_BINARY(name, ...) AD_PAIR(name, name) AD_PAIR_PRODUCTS(name) AD_PASSIVE(name, name)
#include "ad/derivatives.def"
  AD_PAIR(operator+, add)
  AD_PAIR(operator-, sub)
  AD_PAIR(operator/, div)
  AD_PAIR_PRODUCTS(operator/)
  AD_FUSE(operator+, plus)
  AD_FUSE(operator-, minus)
  template <std::same_as<Product> P, std::same_as<Variable> W>
  [[gnu::always_inline]] friend Variable operator+(P&& p, const W& w) {
    return plus(w, p);
  }
  [[gnu::always_inline]] friend Product operator*(const Operand& x, const Variable& z) {
    return times(x.x, z, x.where);
  }
  [[gnu::always_inline]] friend Product operator*(const Product& x, const Product& z) {
    return times(Variable(x), Variable(z), Operand(x).where);
  }
#undef AD_PAIR
#undef AD_PAIR_PRODUCTS
#undef AD_FUSE
#undef AD_PASSIVE
#undef AD_CHAIN1

  /// x * z + w
  friend Variable fma(const Operand& x, const Variable& z, const Variable& w) {
    return plus(w, times(x.x, z, x.where));
  }
  friend Variable detach(const Operand& x) {
    if (x.x.id_ == 0) return x.x;
    return record(Op::detach, detach(x.x.value_), x.x, T(0), x.where);
  }
  friend auto value(const Variable& x) { return ad::value(x.value_); }

#define AD_COMPARE(op)                                                                              \
  friend bool operator op(const Variable& x, const Variable& z) { return x.value_ op z.value_; }    \
  template <Passive<Variable, T> U>                                                                 \
  friend bool operator op(const Variable& x, const U& z) { return x.value_ op T(z); }               \
  template <Passive<Variable, T> U>                                                                 \
  friend bool operator op(const U& x, const Variable& z) { return T(x) op z.value_; }
  AD_COMPARE(<) AD_COMPARE(>) AD_COMPARE(<=) AD_COMPARE(>=) AD_COMPARE(==) AD_COMPARE(!=)
#undef AD_COMPARE
};

template <class T, class Tag>
class Variable<T, Tag>::Product {
  friend class Variable;
  Variable x_, z_;
  mutable Variable result_;
  mutable bool recorded_ = true;
  Where where_{};

  [[gnu::always_inline]] Product(const Variable& x, const Variable& z, Where where)
      : x_(x.value_, x.id_, x.generation_), z_(z.value_, z.id_, z.generation_), recorded_(false), where_(where) {}

 public:
  Product() = default;
  template <Passive<Variable, T> U>
  Product(const U& v) : result_(v) {}
  explicit Product(const Variable& v) : result_(v) {}

  [[gnu::always_inline]] operator Variable() const {
    if (!recorded_) {
      result_ = chain<row::mul_>(x_, z_, where_);
      recorded_ = true;
    }
    return result_;
  }
  T value() const { return recorded_ ? result_.value_ : T(x_.value_ * z_.value_); }
  Id id() const { return Variable(*this).id_; }

  template <class U>
  [[gnu::always_inline]] Product& operator+=(U&& z) {
    return *this = Product(Variable(*this + std::forward<U>(z)));
  }
  template <class U>
  [[gnu::always_inline]] Product& operator-=(U&& z) {
    return *this = Product(Variable(*this - std::forward<U>(z)));
  }
  template <class U>
  [[gnu::always_inline]] Product& operator*=(const U& z) {
    return *this = Product(Variable(*this * z));
  }
  template <class U>
  [[gnu::always_inline]] Product& operator/=(const U& z) {
    return *this = Product(Variable(*this / z));
  }
};

using Tape = TapeOf<double>;
using Var = Variable<double>;

}  // namespace ad
