// The number of reverse mode: it records on the active tape how it was computed. (Included by ad/tape.h.)
#pragma once

#include <iosfwd>

#include "ad/tape.h"

namespace ad {

/// A number that remembers, on the active tape, how it was computed. One made from a plain number, or computed from such
/// alone, is a constant: it has no derivative and costs nothing. Tag keeps nested differentiations apart, as in Dual.
/// Comparisons look at values.
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
  Id id() const { return id_of(key_); }
  bool vanishes() const { return id() == 0 && is_zero(value_); }

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
  static Variable linear(T y, std::span<const std::pair<Variable, T>> terms, Where where = {}) {
    const T zero(0);
    std::vector<Id> id;
    for (const auto& [x, px] : terms) id.push_back(adopt(x.value_, x.key_, where));
    Variable sum;
    for (std::size_t i = 0; i < terms.size(); i += 2) {  // an entry holds two partials; more make a chain
      const bool last = i + 2 >= terms.size(), two = i + 1 < terms.size();
      if (!tape().has_room()) tape().make_room(where);
      const T& value = last ? y : zero;
      sum = {value, tape().push(Op::custom, value, id[i], terms[i].second, two ? id[i + 1] : 0,
                                two ? terms[i + 1].second : zero, i > 0 ? adds_before : no_addend)};
    }
    return terms.empty() ? Variable(y) : sum;
  }

 private:
  friend class TapeOf<T>;
  friend struct Matrices;
  T value_;
  Key key_ = 0;  // of generation 0: a constant

  // by value where cheap
  using Copied = std::conditional_t<std::is_trivially_copyable_v<T> && sizeof(T) <= 16, T, const T&>;

  Variable(const T& v, Key k) : value_(v), key_(k) {}

  // Recording: one test for all that can be out of the ordinary, and the rest out of line as a whole, so that on the way
  // always taken everything stays in registers.
  struct Nobody {
    T value_{};
    static constexpr Key key_ = key(UINT32_MAX, 0);
  };
  static Cursor<T>& tape() { return *detail::active<T>; }
  /// Its upper half is zero if x belongs to the recording that goes on.
  template <class X>
  static Key strange(const X& x) {
    return std::is_same_v<X, Nobody> ? 0 : x.key_ ^ tape().next;
  }

  template <class X, class Z = Nobody>
  [[gnu::always_inline]] static Variable record(Op op, const T& y, const X& x, const T& px, Where where,
                                                const Z& z = {}, const T& pz = T(0)) {
    Cursor<T>& t = tape();
    if (generation_of(strange(x) | strange(z)) == 0 && t.has_room()) [[likely]]
      return {y, t.push(op, y, id_of(x.key_), px, id_of(z.key_), pz)};
    return record_slowly(op, y, px, pz, x.value_, x.key_, z.value_, z.key_, where.file, where.line);
  }
  // piece by piece: a variable handed over whole would be kept in memory on the way that is always taken
  [[gnu::noinline]] static Variable record_slowly(Op op, Copied y, Copied px, Copied pz, Copied x, Key xk, Copied z,
                                                  Key zk, const char* file, unsigned line) {
    if (!is_variable(xk) && !is_variable(zk)) return y;  // of constants alone: a constant
    Cursor<T>& t = tape();
    const Where where{file, line};
    const Id a = id_here(x, xk), b = id_here(z, zk);
    if (!t.has_room()) t.make_room(where);
    return {y, t.push(op, y, a, is_constant(xk) ? x : px, b, is_constant(zk) ? z : pz)};
  }
  static bool is_constant(Key k) { return generation_of(k) == 0; }
  static bool is_variable(Key k) { return id_of(k) != 0; }
  /// The id on the active tape: 0 of a constant, or of a plain number beside a variable. Else what does not belong here is
  /// refused.
  static Id id_here(Copied v, Key k) {
    Cursor<T>& t = tape();
    if (is_variable(k) && generation_of(k) != t.generation() && t.tape) t.tape->refuse(false, v, "an operation");
    return id_of(k);
  }
  /// The same, but a constant gets an entry.
  static Id adopt(Copied v, Key k, Where where) {
    if (!is_constant(k)) return id_here(v, k);
    Cursor<T>& t = tape();
    if (!t.has_room()) t.make_room(where);
    return id_of(t.push(Op::constant, v, 0, T(0), 0, T(0)));
  }

  /// The first operand of an operation, and the line of the program where the operation stands.
  struct Operand {
    Variable x;
    Where where;
    [[gnu::always_inline]] Operand(const Variable& v, const char* file = __builtin_FILE(),
                                   unsigned line = __builtin_LINE())
        : x(v.value_, v.key_), where{file, line} {}
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

  /// A plain number as a factor: it has no entry, and passes every test its partner passes.
  [[gnu::always_inline]] static Variable beside(const Variable& x, const T& c) {
    return {c, key(generation_of(x.key_), 0)};
  }
  [[gnu::always_inline]] static Product times(const Variable& x, const Variable& z, Where where) {
    return Product(x, z, where);
  }
  /// w + x * z or w - x * z: one entry while p = x * z is not recorded, else two.
  template <bool minus>
  [[gnu::always_inline]] static Variable fused(const Variable& w, const Product& p) {
    if (p.recorded_) return chain<std::conditional_t<minus, row::sub_, row::add_>>(w, p.result_, p.where_);
    Cursor<T>& t = tape();
    const Variable &x = p.x_, &z = p.z_;
    if (w.key_ + 1 == t.next && generation_of(strange(x) | strange(z)) == 0 && t.has_room()) [[likely]]
      return multiply_add<minus>(w.value_, x.value_, id_of(x.key_), z.value_, id_of(z.key_), adds_before);
    // in other terms than above: what the two tests had in common would be computed on the way nearly always taken
    const auto known = [&](const Variable& v) { return generation_of(v.key_) == t.generation(); };
    if (known(w) && known(x) && known(z) && t.has_room() && t.tape->has_addend_room()) {
      t.tape->put_addend(id_of(w.key_));
      return multiply_add<minus>(w.value_, x.value_, id_of(x.key_), z.value_, id_of(z.key_), adds_another);
    }
    if (!minus && is_constant(w.key_) && is_zero(w.value_)) {  // the first term of a sum: 0 + x * z, where 0 + -0 is 0
      T y = row::mul_::value(x.value_, z.value_);
      if constexpr (std::is_floating_point_v<T>)
        y += w.value_;
      else if constexpr (std::is_same_v<decltype(value_under(y)), double>)
        if (value_under(y) == 0) y = y + w.value_;
      return record(Op::mul, y, x, row::mul_::dx(x.value_, z.value_, y), p.where_, z,
                    row::mul_::dz(x.value_, z.value_, y));
    }
    return multiply_add_slowly<minus>(w.value_, w.key_, x.value_, x.key_, z.value_, z.key_, p.where_.file,
                                      p.where_.line);
  }
  template <bool minus>
  [[gnu::always_inline]] static Variable multiply_add(const T& w, const T& x, Id a, const T& z, Id b, Code addend) {
    const T px = row::fma_::dx(x, z), pz = row::fma_::dz(x, z);
    const T y = minus ? T(w - x * z) : T(w + x * z);
    return {y, tape().push(minus ? Op::sub_mul : Op::fma, y, a, minus ? T(-px) : px, b, minus ? T(-pz) : pz, addend)};
  }
  template <bool minus>
  [[gnu::noinline, gnu::cold]] static Variable multiply_add_slowly(Copied w, Key wk, Copied x, Key xk, Copied z, Key zk,
                                                                   const char* file, unsigned line) {
    const Where where{file, line};
    if (!is_variable(xk) && !is_variable(zk))
      return chain<std::conditional_t<minus, row::sub_, row::add_>>(Variable(w, wk), T(row::mul_::value(x, z)), where);
    Cursor<T>& t = tape();
    const Id a = id_here(x, xk), b = id_here(z, zk), c = adopt(w, wk, where);
    if (!t.has_room()) t.make_room(where);
    const bool before = c + 1 == t.size();
    if (!before) t.tape->add_addend(c);
    return multiply_add<minus>(w, x, a, z, b, before ? adds_before : adds_another);
  }
  template <class P>
  static constexpr bool is_product = std::is_same_v<std::remove_cvref_t<P>, Product>;

 public:
  // Every operation takes Variables, plain numbers, or Products. Where only Products and plain numbers meet, the result
  // is a Product, so that a template deduced from `x * z` works with one type throughout.
#define AD_PAIR(f, name)                                                          \
  [[gnu::always_inline]] friend Variable f(const Operand& x, const Variable& z) { \
    return chain<row::name##_>(x.x, z, x.where);                                  \
  }
#define AD_PAIR_PRODUCTS(f)                                                     \
  [[gnu::always_inline]] friend Product f(const Product& x, const Product& z) { \
    return Product(f(Operand(x), Variable(z)));                                 \
  }
#define AD_FUSE(f, fuse)                                                                           \
  template <std::same_as<Variable> W, std::same_as<Product> P>                                     \
  [[gnu::always_inline]] friend Variable f(const W& w, P&& p) {                                    \
    return fuse(w, p);                                                                             \
  }                                                                                                \
  template <class P, class Q>                                                                      \
  requires(is_product<P> && is_product<Q>) [[gnu::always_inline]] friend Product f(P&& p, Q&& q) { \
    if constexpr (std::is_rvalue_reference_v<Q&&>)                                                 \
      return Product(fuse(Variable(p), q));                                                        \
    else                                                                                           \
      return Product(f(Operand(p), Variable(q)));                                                  \
  }
#define AD_PASSIVE(f, name)                                                \
  template <Passive<Variable, T> U>                                        \
  [[gnu::always_inline]] friend Variable f(const Operand& x, const U& z) { \
    return chain<row::name##_>(x, T(z));                                   \
  }                                                                        \
  template <Passive<Variable, T> U>                                        \
  [[gnu::always_inline]] friend Variable f(const U& x, const Operand& z) { \
    return chain<row::name##_>(T(x), z);                                   \
  }                                                                        \
  template <Passive<Variable, T> U>                                        \
  [[gnu::always_inline]] friend Product f(const Product& x, const U& z) {  \
    return Product(f(Operand(x), z));                                      \
  }                                                                        \
  template <Passive<Variable, T> U>                                        \
  [[gnu::always_inline]] friend Product f(const U& x, const Product& z) {  \
    return Product(f(x, Operand(z)));                                      \
  }
#define AD_CHAIN1(f, name)                                                                      \
  [[gnu::always_inline]] friend Variable f(const Operand& x) { return chain<row::name##_>(x); } \
  [[gnu::always_inline]] friend Product f(const Product& x) { return Product(f(Operand(x))); }

#define AD_PREFIX(name, symbol, ...) AD_CHAIN1(operator symbol, name)
#define AD_UNARY(name, ...) AD_CHAIN1(name, name)
#define AD_BINARY(name, ...) AD_PAIR(name, name) AD_PAIR_PRODUCTS(name) AD_PASSIVE(name, name)
#include "ad/derivatives.def"
  // clang-format off
  AD_PAIR(operator+, add) AD_PASSIVE(operator+, add) AD_FUSE(operator+, fused<false>)
  AD_PAIR(operator-, sub) AD_PASSIVE(operator-, sub) AD_FUSE(operator-, fused<true>)
  AD_PAIR(operator/, div) AD_PASSIVE(operator/, div) AD_PAIR_PRODUCTS(operator/)
      // clang-format on
      template <std::same_as<Product> P, std::same_as<Variable> W>
      [[gnu::always_inline]] friend Variable operator+(P&& p, const W& w) {
    return fused<false>(w, p);
  }
  [[gnu::always_inline]] friend Product operator*(const Operand& x, const Variable& z) {
    return times(x.x, z, x.where);
  }
  [[gnu::always_inline]] friend Product operator*(const Product& x, const Product& z) {
    return times(Variable(x), Variable(z), Operand(x).where);
  }
  template <Passive<Variable, T> U>
  [[gnu::always_inline]] friend Product operator*(const Operand& x, const U& z) {
    return times(x.x, beside(x.x, T(z)), x.where);
  }
  template <Passive<Variable, T> U>
  [[gnu::always_inline]] friend Product operator*(const U& x, const Operand& z) {
    return times(beside(z.x, T(x)), z.x, z.where);
  }
  template <Passive<Variable, T> U>
  [[gnu::always_inline]] friend Product operator*(const Product& x, const U& z) {
    return Operand(x) * z;
  }
  template <Passive<Variable, T> U>
  [[gnu::always_inline]] friend Product operator*(const U& x, const Product& z) {
    return x * Operand(z);
  }
#undef AD_PAIR
#undef AD_PAIR_PRODUCTS
#undef AD_FUSE
#undef AD_PASSIVE
#undef AD_CHAIN1

  friend Variable operator+(const Variable& x) { return x; }
  friend bool isfinite(const Variable& x) { return isfinite(x.value_); }
  friend bool isinf(const Variable& x) { return isinf(x.value_); }
  friend bool isnan(const Variable& x) { return isnan(x.value_); }

  /// x * z + w
  friend Variable fma(const Operand& x, const Variable& z, const Variable& w) {
    return fused<false>(w, times(x.x, z, x.where));
  }
  template <Passive<Variable, T> U>
  friend Variable fma(const U& x, const Operand& z, const Variable& w) {
    return fused<false>(w, x * z);
  }
  friend Variable detach(const Operand& x) {
    if (x.x.id() == 0) return Variable(detach(x.x.value_));
    return record(Op::detach, detach(x.x.value_), x.x, T(0), x.where);
  }
  friend auto value(const Variable& x) { return value_under(x.value_); }
  friend auto value(const Product& x) { return value_under(x.value()); }
  /// Prints the value.
  friend std::ostream& operator<<(std::ostream& out, const Variable& x) { return out << x.value_; }
  friend std::ostream& operator<<(std::ostream& out, const Product& x) { return out << x.value(); }

#define AD_COMPARE(op)                                                                           \
  friend bool operator op(const Variable& x, const Variable& z) { return x.value_ op z.value_; } \
  template <Passive<Variable, T> U>                                                              \
  friend bool operator op(const Variable& x, const U& z) {                                       \
    return x.value_ op T(z);                                                                     \
  }                                                                                              \
  template <Passive<Variable, T> U>                                                              \
  friend bool operator op(const U& x, const Variable& z) {                                       \
    return T(x) op z.value_;                                                                     \
  }
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
      : x_(x.value_, x.key_), z_(z.value_, z.key_), recorded_(false), where_(where) {}

 public:
  using Recorded = Variable;
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
  Id id() const { return Variable(*this).id(); }

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

using Var = Variable<double>;

}  // namespace ad
