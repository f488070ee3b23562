// The tape: records every operation as it happens, and is swept down for adjoints or up for tangents.
#pragma once

#include <algorithm>
#include <array>
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
struct Entry {
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

/// What the sweeps read of an entry. Its operation stands in one byte elsewhere, with a mark if there is a c: in w + x * z,
/// recorded as one entry, c = w is nearly always the variable before it, and needs no place.
template <class T>
struct Partials {
  T pa, pb;
  struct Operands {
    Id a, b;
  } of;
};
enum Code : std::uint8_t {};  // a type of its own: to write a plain byte could change anything, as a compiler sees it
inline constexpr Code no_addend{0}, adds_before{128}, adds_another{64};
static_assert(static_cast<Code>(Op::trunc) < adds_another);  // the last of the table

template <class T>
class TapeOf;
template <class T = double, class Tag = void>
class Variable;
/// Pairs of a variable and a number.
template <class P>
concept Weighted = requires(const P& p) {
  p.begin()->second;
};

/// The place where recording goes on: what every operation touches, kept together.
template <class T>
struct Cursor {
  Partials<T>* entry = nullptr;
  Code* code = nullptr;
  T* value = nullptr;
  Key next = key(UINT32_MAX, 0);  // of the variable that is recorded next
  Id limit = 0;                   // below this many variables, recording asks nobody
  TapeOf<T>* tape = nullptr;

  static constexpr Id far = 400'000;  // entries from here on, 13 MB, are taken to outlive the caches

  Id size() const { return id_of(next); }  // ids in use, with 0, which is nobody's
  std::uint32_t generation() const { return generation_of(next); }
  void set_size(Id n) { next = key(generation(), n); }

  bool has_room() const { return size() < limit; }
  /// A new entry; there is room.
  [[gnu::always_inline]] Key push(Op op, const T& v, Id a, const T& pa, Id b, const T& pb, Code addend = no_addend) {
    const Key k = next;
    const Id i = id_of(k);
    Partials<T>& partials = entry[i];
    T& result = value[i];
    // as one word: of two, g++ makes a vector first
    const std::uint64_t word = std::endian::native == std::endian::little ? Key{b} << 32 | a : Key{a} << 32 | b;
    next = k + 1;
    code[i] = static_cast<Code>(static_cast<Code>(op) | addend);
    if constexpr (can_stream && std::is_same_v<T, double>) {
      if (i >= far) {
        stream(&partials.pa, pa);
        stream(&partials.pb, pb);
        stream(&partials.of, word);
        stream(&result, v);
        return k;
      }
    }
    partials.pa = pa;
    partials.pb = pb;
    partials.of = std::bit_cast<typename Partials<T>::Operands>(word);
    result = v;
    return k;
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
/// operation, operands, partials and value, 33 bytes for double. Memory is kept between recordings and between tapes.
/// Every function that takes a variable throws std::invalid_argument if the variable is of another recording.
template <class T = double>
class TapeOf : private Cursor<T>, public Annotations {
  using Cursor<T>::entry, Cursor<T>::code, Cursor<T>::value, Cursor<T>::size, Cursor<T>::generation;
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
    const Key k = this->push(Op::input, v, 0, T(0), 0, T(0));
    if (id_of(k) == inputs_ + 1 && blocks_ == 0) inputs_ = id_of(k);
    return {v, k};
  }
  template <class Tag = void>
  Variable<T, Tag> input(T v, std::string name) {
    add_name(size(), std::move(name));
    return input<Tag>(v);
  }
  /// New independent variables x[0] .. x[n - 1], of consecutive ids.
  template <class Tag>
  void input(const T* v, std::size_t n, Variable<T, Tag>* x) {
    const bool one_by_one = lines_on_ || !std::is_trivially_copyable_v<T>;
    if (one_by_one || n >= this->limit - size()) {
      const std::vector<T> numbers(v, v + n);  // v may look into the tape, whose memory moves
      if (!one_by_one) {
        make_room({}, n);
        return input(numbers.data(), n, x);
      }
      for (std::size_t i = 0; i < n; ++i) x[i] = input<Tag>(numbers[i]);
      return;
    }
    const Id first = size(), end = first + static_cast<Id>(n);
    if (first == inputs_ + 1 && blocks_ == 0)
      inputs_ = end - 1;  // nobody reads their entries
    else
      for (Id i = first; i < end; ++i) entry[i] = {T(0), T(0), {0, 0}}, code[i] = static_cast<Code>(Op::input);
    T* const values = value + first;
    const Key k = key(generation(), first);
    for (std::size_t i = 0; i < n; ++i) {
      values[i] = v[i];
      x[i] = {v[i], k + i};
    }
    this->set_size(end);
  }
  /// New independent variables in the shape of an Eigen matrix or array (ad/eigen.h). Elements are named "name[i,j]".
  template <class Tag = void, class M>
  requires requires { typename M::PlainObject; }
  auto input(const M& m, const std::string& name = {}) { return record_input<Tag>(*this, m, name); }

  /// Forgets the recording but keeps its memory. Variables of before are refused from now on.
  void clear() {
    do this->next = key(detail::generations.fetch_add(1, std::memory_order_relaxed), 0);
    while (generation() == 0 || generation() == UINT32_MAX);  // those of constants and of no tape
    inputs_ = shift_ = addends_ = blocks_ = operands_ = numbers_ = 0;
    addend_room_ = static_cast<Id>(store_.addend.size());
    block_room_ = static_cast<Id>(store_.block.size());
    operand_room_ = static_cast<Id>(store_.operand.size());
    store_.index.clear();
    store_.adjoint.clear();
    store_.tangent.clear();
    forget();
    make_room({});
    this->push(Op::input, T(0), 0, T(0), 0, T(0));  // entry 0: nobody's
  }

  /// Number of entries: variables have ids 1 .. length().
  Id length() const { return size() - 1; }
  /// Bytes the recording takes: entries and values; and once a sweep has been made, its derivatives.
  std::size_t bytes() const {
    return std::size_t{size() - shift_} * (sizeof(Partials<T>) + sizeof(Code)) + addends_ * sizeof(Id) +
           std::size_t{size()} * sizeof(T) + blocks_ * sizeof(Block<T>) + operands_ * sizeof(BlockOperand) +
           store_.index.size() * sizeof(Id) + (numbers_ + store_.adjoint.size() + store_.tangent.size()) * sizeof(T);
  }

  // --- sweeps --------------------------------------------------------------------------------------------------------

  /// The adjoint sweep: from y downward, d(y)/d(every variable before it), times `seed`. Earlier adjoints are forgotten.
  template <class Tag>
  void reverse(const Variable<T, Tag>& y, T seed = T(1)) {
    reverse(std::array{std::pair(y, seed)});
  }
  /// The adjoint sweep of a weighted sum of outputs, pairs (y_k, w_k): d(sum_k w_k y_k).
  template <Weighted P>
  void reverse(const P& outputs) {
    Id top = 0;
    for (const auto& [y, w] : outputs) top = std::max(top, check(y, "reverse(y)"));
    output_ = std::all_of(outputs.begin(), outputs.end(), [&](const auto& w) { return w.first.id() == top; }) ? top : 0;
    const auto begin = [&] {
      zero(store_.adjoint);
      for (const auto& [y, w] : outputs) store_.adjoint[y.id()] += w;
      return store_.adjoint.data();
    };
    if constexpr (std::is_same_v<T, double>)
      if (only_scalars() && attempt_down(begin(), top)) return;
    sweep_down(begin(), top);
  }
  /// The adjoint of x after reverse(y): dy/dx.
  template <class Tag>
  const T& adjoint(const Variable<T, Tag>& x) const {
    return adjoint(check(x, "adjoint(x)"));
  }

  /// The tangent sweep: from x upward, d(every variable)/dx, times `seed`. x need not be an input.
  template <class Tag>
  void forward(const Variable<T, Tag>& x, const T& seed = T(1)) {
    forward(std::array{std::pair(x, seed)});
  }
  /// The tangent sweep in a direction, pairs (x_k, speed): each given variable moves with its speed.
  template <Weighted P>
  void forward(const P& direction) {
    for (const auto& [x, speed] : direction) check(x, "forward(x)");
    zero(store_.tangent);
    moved_ = 0;
    for (const auto& [x, speed] : direction) {
      store_.tangent[x.id()] += speed;
      if (x.id() > inputs_ && !is_zero(speed) && is_result(x.id())) moved_ = x.id();
    }
    sweep_up(store_.tangent.data());
  }
  /// The tangent of y after forward(x): dy/dx.
  template <class Tag>
  const T& tangent(const Variable<T, Tag>& y) const {
    return tangent(check(y, "tangent(y)"));
  }

  // An x * z that has not been recorded yet (Variable::Product) is recorded now.
  template <class P, class V = typename P::Recorded>
  void reverse(const P& y, T seed = T(1)) {
    reverse(V(y), std::move(seed));
  }
  template <class P, class V = typename P::Recorded>
  void forward(const P& x, const T& seed = T(1)) {
    forward(V(x), seed);
  }
  template <class P, class V = typename P::Recorded>
  const T& adjoint(const P& x) const {
    return adjoint(V(x));
  }
  template <class P, class V = typename P::Recorded>
  const T& tangent(const P& y) const {
    return tangent(V(y));
  }
  template <class P, class V = typename P::Recorded>
  void name(const P& x, std::string name) {
    this->name(V(x), std::move(name));
  }

  /// The adjoint sweep over the caller's own adjoints, one for each id 0 .. length(); A is T, or Tangents<T, N> for N
  /// directions at once. What is in `adjoint` is the seed. What waits may be the caller's, from a sweep before.
  template <class A>
  void sweep_down(A* adjoint, Id top, Waiting<T>* waiting = nullptr) const {
    const Id* addend = addend_above(place_of(top));
    if constexpr (!std::is_same_v<A, T>)
      require_only_scalars();
    else
      for (Id k = blocks_; k-- > 0;) {
        const Block<T>* const b = store_.block.data() + k;
        if (b->before > top) continue;
        if (top >= b->end) entries_down<true>(adjoint, b->end, top, b->shift, addend);
        if (waiting && waiting->from >= b->before) waiting->add(*waiting, b->before, adjoint);
        b->rule->pullback(*this, *b, adjoint, waiting);
        top = b->before - 1;
      }
    entries_down<true>(adjoint, inputs_ + 1, top, 0, addend);
  }

  /// Sweeps in several directions at once (A = Tangents) know single numbers only.
  bool only_scalars() const { return blocks_ == 0; }

  /// The tangent sweep over the caller's own tangents, one for each id 0 .. length(); tangent[0] must be zero. What is in
  /// `tangent` is the seed; of a variable that is no input it comes on top of what its operands do to it.
  template <class A>
  void sweep_up(A* tangent) const {
    Id i = inputs_ + 1, shift = 0;
    const Id* addend = store_.addend.data();
    if constexpr (!std::is_same_v<A, T>)
      require_only_scalars();
    else
      for (const Block<T>& b : blocks()) {
        entries_up(tangent, i, b.before, shift, addend);
        b.rule->pushforward(*this, b, {tangent, 0, 1});
        i = b.end;
        shift = b.shift;
      }
    entries_up(tangent, i, size(), shift, addend);
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
      Guard(TapeOf& t, std::size_t s) : tape(t), scope(s), generation(t.generation()) {}
      Guard(const Guard&) = delete;
      ~Guard() {
        if (tape.generation() == generation) tape.close_scope(scope, tape.size());
      }
    };
    return Guard(*this, open_scope(size(), std::move(name), {file, line}));
  }

  /// From now on, remember the source line of every operation. Costs a call an operation.
  void remember_lines() {
    lines_on_ = true;
    this->limit = 0;
  }

  /// The entry of variable i, or nothing where it belongs to a block.
  Entry<T> entry_of(Id i) const {
    range(i, size(), "entry");
    if (i <= inputs_) return {T(0), T(0), 0, 0, 0, Op::input};
    const Block<T>* b = block_before(i);
    if (b && i < b->end) throw std::out_of_range("ad::Tape: variable " + std::to_string(i) + " is part of a block");
    const Id at = i - (b ? b->shift : 0);
    const Partials<T>& k = store_.entry[at];
    const Code code_at = store_.code[at];
    const Id c = code_at & adds_before ? i - 1 : code_at & adds_another ? addend_above(at)[-1] : 0;
    return {k.pa, k.pb, k.of.a, k.of.b, c, static_cast<Op>(code_at & ~(adds_before | adds_another))};
  }
  std::span<const Block<T>> blocks() const { return {store_.block.data(), blocks_}; }
  /// The last block that begins at or before variable i.
  const Block<T>* block_before(Id i) const {
    const Block<T>* const first = store_.block.data();
    const Block<T>* const after =
        std::upper_bound(first, first + blocks_, i, [](Id id, const Block<T>& b) { return id < b.before; });
    return after == first ? nullptr : after - 1;
  }
  const T& value_of(Id i) const { return value[range(i, size(), "value")]; }
  const T& adjoint(Id i) const { return store_.adjoint[range(i, store_.adjoint.size(), "adjoint")]; }
  const T& tangent(Id i) const { return store_.tangent[range(i, store_.tangent.size(), "tangent")]; }
  bool has_adjoints() const { return store_.adjoint.size() == size(); }
  bool has_tangents() const { return store_.tangent.size() == size(); }
  /// What the last sweeps began with: the output of reverse(y), 0 of several; a variable that was moved by forward(x)
  /// though it is no input, 0 if there was none.
  Id output() const { return output_; }
  Id moved_result() const { return moved_; }

  /// The id of a variable of this recording; throws std::invalid_argument for any other.
  template <class Tag>
  [[gnu::always_inline]] Id check(const Variable<T, Tag>& x, const char* what) const {
    if (generation_of(x.key_) != generation()) [[unlikely]]
      refuse(generation_of(x.key_) == 0, x.value_, what);
    return id_of(x.key_);
  }
  template <class P, class V = typename P::Recorded>
  Id check(const P& x, const char* what) const {
    return check(V(x), what);
  }

 private:
  struct Store {
    Array<Partials<T>> entry;
    Array<Code> code;
    Array<Id> addend;                  // the c of entries marked adds_another, in their order; addends_ are in use
    Array<T> value, adjoint, tangent;  // the last two: what the last sweeps left
    Array<Block<T>> block;             // of these three only the first blocks_,
    Array<BlockOperand> operand;       // operands_
    Array<T> number;                   // and numbers_ are in use; plain numbers that blocks took in
    Array<Id> index;                   // variables that blocks pick one by one
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
  Id inputs_ = 0;  // variables 1 .. inputs_ are inputs before any block, and no sweep needs to look at them
  Id shift_ = 0;   // how many more variables than entries there are: a block has a run of variables, but no entry
  Id addends_ = 0, blocks_ = 0, operands_ = 0, numbers_ = 0;
  Id addend_room_ = 0, block_room_ = 0, operand_room_ = 0;  // how many there is memory for
  bool lines_on_ = false;
  Id output_ = 0, moved_ = 0;  // of the last sweeps

  bool is_result(Id i) const {
    const Block<T>* const b = block_before(i);
    return b && i < b->end ? b->rule->name != std::string("input") : entry_of(i).op > Op::constant;
  }
  bool has_addend_room() const { return addends_ < addend_room_; }
  void add_addend(Id c) {
    if (!has_addend_room()) [[unlikely]]
      more_addends();
    put_addend(c);
  }
  void put_addend(Id c) { store_.addend[addends_++] = c; }  // there is room
  [[gnu::noinline, gnu::cold]] void more_addends() {
    store_.addend.resize(64 + 2 * std::size_t{addends_});
    addend_room_ = static_cast<Id>(store_.addend.size());
  }

  void require_only_scalars() const {
    if (!only_scalars())
      throw std::logic_error("ad::Tape: a sweep in several directions at once over a recording with matrix entries");
  }

  void make_room(Where where, std::size_t ahead = 0) {
    if (size() + ahead >= store_.value.size()) {
      if (size() + ahead >= UINT32_MAX) throw std::length_error("ad::Tape: more than 2^32 variables");
      const std::size_t more =
          std::min<std::size_t>(UINT32_MAX, std::max<std::size_t>(1024, 2 * (std::size_t{size()} + ahead)));
      store_.entry.resize(more);
      store_.code.resize(more);
      store_.value.resize(more);
    }
    entry = store_.entry.data() - shift_;
    code = store_.code.data() - shift_;
    value = store_.value.data();
    if (lines_on_) add_line(size(), where);
    this->limit = lines_on_ ? 0 : static_cast<Id>(store_.value.size());
  }

  void zero(Array<T>& derivatives) const {
    derivatives.reserve(store_.value.size());
    if constexpr (can_stream && std::is_same_v<T, double>)
      if (size() > 4 * this->far) {
        derivatives.resize(size());
        for (double& derivative : derivatives) stream(&derivative, 0.0);
        return;
      }
    derivatives.resize(size());
    std::fill_n(derivatives.data(), size(), T(0));
  }

  /// x * y + z, at once where the processor can: the compiler would rather share the product between two branches.
  static double multiply_add(double x, double y, double z) {
#if defined(__FMA__)
    return __builtin_fma(x, y, z);
#else
    return x * y + z;
#endif
  }

  /// The adjoint sweep over single numbers without the test an entry that 0 * infinity = 0 takes. Returns whether that did
  /// not matter: what is not finite, every entry hands on to its operands, down to the inputs, or to place 0 where it has
  /// none. Otherwise the sweep is to be made again, with care.
  template <class A>
  bool attempt_down(A* adjoint, Id top) const {
    const Id* addend = addend_above(top);
    entries_down<false>(adjoint, inputs_ + 1, top, 0, addend);
    std::uint64_t differences = 0;  // x - x is 0, or NaN
    for (Id i = 0; i <= inputs_; ++i) differences |= std::bit_cast<std::uint64_t>(adjoint[i] - adjoint[i]);
    return differences == 0;
  }

  /// Behind the addends of all entries up to this place. What lies above is counted: mostly it is little.
  const Id* addend_above(Id place) const {
    if (addends_ == 0) return nullptr;
    const Code* codes = store_.code.data();
    const auto above = std::count_if(codes + std::max(place, inputs_) + 1, codes + (size() - shift_),
                                     [](Code c) { return c & adds_another; });
    return store_.addend.data() + addends_ - above;
  }
  /// The place of variable i's entry, or of the last one before it if it belongs to a block.
  Id place_of(Id i) const {
    const Block<T>* b = block_before(i);
    return !b ? i : i < b->end ? b->end - 1 - b->shift : i - b->shift;
  }

  /// Entries of single numbers, those of variables top down to first, which have their entries `shift` places lower.
  template <bool careful, class A>
  void entries_down(A* adjoint, Id first, Id top, Id shift, const Id*& addend) const {
    if (top < first) return;
    if (top - first > 20'000)
      entries_down<careful, true>(adjoint, first, top, shift, addend);
    else
      entries_down<careful, false>(adjoint, first, top, shift, addend);
  }
  /// Many are fetched early. (Wherever else the loop stands in memory, its time may differ by a tenth.)
  template <bool careful, bool many, class A>
  [[gnu::noinline, gnu::aligned(64)]] void entries_down(A* adjoint, Id first, Id top, Id shift,
                                                        const Id*& addend) const {
    const Partials<T>* e = store_.entry.data() - shift;
    const Code* codes = store_.code.data() - shift;
    if constexpr (std::is_same_v<A, double>) {
      const Id* above = addend;
      double g = adjoint[top];
      for (std::size_t i = top;; --i) {
        if constexpr (many)
          if (i % 8 == 0) {  // eight entries are three cache lines, their adjoints one
            const char* const ahead = reinterpret_cast<const char*>(e + i) - 1536;
            for (const int line : {0, 64, 128}) __builtin_prefetch(ahead - line);
            __builtin_prefetch(adjoint + i - 128, 1);
          }
        const Partials<T>& k = e[i];
        const std::size_t before = i - 1;
        const Code code_i = codes[i];
        double h;  // the adjoint of the entry before
        adjoint[i] = g;
        if (!careful || nonzero_and_finite(g)) [[likely]] {
          if (many && (code_i & adds_before)) {  // a long tape is mostly sums: these need no comparison
            adjoint[k.of.a] = multiply_add(k.pa, g, adjoint[k.of.a]);
            if (k.of.b) adjoint[k.of.b] = multiply_add(k.pb, g, adjoint[k.of.b]);
            h = adjoint[before] + g;
          } else {
            // It stays in a register: a chain of entries then waits for one multiply-add each, not for a sum to be
            // stored and loaded again.
            h = adjoint[before];
            if (k.of.a == before)
              h = multiply_add(k.pa, g, h);
            else
              adjoint[k.of.a] = multiply_add(k.pa, g, adjoint[k.of.a]);
            if (k.of.b) {
              if (k.of.b == before)
                h = multiply_add(k.pb, g, h);
              else
                adjoint[k.of.b] = multiply_add(k.pb, g, adjoint[k.of.b]);
            }
            if (code_i >= adds_another) [[unlikely]] {  // most have none, and no jump is taken then: up to a fifth less
              if (code_i & adds_before)
                h += g;
              else
                adjoint[*--above] += g;
            }
          }
        } else {
          give(adjoint, k, addend_of(static_cast<Id>(i), code_i, above), g);
          h = adjoint[before];
        }
        if (i == first) {
          adjoint[i - 1] = h;
          break;
        }
        g = h;
      }
      addend = above;
    } else {
      for (Id i = top; i >= first; --i) {
        const A g = adjoint[i];
        give(adjoint, e[i], addend_of(i, codes[i], addend), g);
      }
    }
  }
  template <class A>
  void entries_up(A* tangent, Id first, Id end, Id shift, const Id*& addend) const {
    const Partials<T>* e = store_.entry.data() - shift;
    const Code* codes = store_.code.data() - shift;
    for (Id i = first; i < end; ++i) {
      const Partials<T>& k = e[i];
      A t = flow(k.pa, tangent[k.of.a], k.pb, tangent[k.of.b]);
      if (codes[i] & adds_before)
        t += tangent[i - 1];
      else if (codes[i] & adds_another)
        t += tangent[*addend++];
      tangent[i] += t;
    }
  }

  /// The c of entry i, 0 if there is none. On the way down, `above` passes the addends.
  static Id addend_of(Id i, Code code, const Id*& above) {
    return code & adds_before ? i - 1 : code & adds_another ? *--above : 0;
  }
  /// One entry's part of the adjoint sweep.
  template <class A>
  static void give(A* adjoint, const Partials<T>& k, Id c, const A& g) {
    if (is_zero(g)) return;
    if (k.of.a) adjoint[k.of.a] += flow(k.pa, g);
    if (k.of.b) adjoint[k.of.b] += flow(k.pb, g);
    if (c) adjoint[c] += g;
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
