// The number of reverse mode: it records on the active tape how it was computed. (Included by ad/tape.h.)
#pragma once

#include "ad/tape.h"

namespace ad {

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
  friend struct Matrices;
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

  /// A plain number as a factor: it has no entry, and passes every test its partner passes.
  [[gnu::always_inline]] static Variable beside(const Variable& x, const T& c) { return {c, 0, x.generation_}; }
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
  AD_PAIR(operator+, add) AD_PASSIVE(operator+, add) AD_FUSE(operator+, plus)
  AD_PAIR(operator-, sub) AD_PASSIVE(operator-, sub) AD_FUSE(operator-, minus)
  AD_PAIR(operator/, div) AD_PASSIVE(operator/, div) AD_PAIR_PRODUCTS(operator/)
      // clang-format on
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

  /// x * z + w
  friend Variable fma(const Operand& x, const Variable& z, const Variable& w) {
    return plus(w, times(x.x, z, x.where));
  }
  friend Variable detach(const Operand& x) {
    if (x.x.id_ == 0) return x.x;
    return record(Op::detach, detach(x.x.value_), x.x, T(0), x.where);
  }
  friend auto value(const Variable& x) { return value_under(x.value_); }

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

using Var = Variable<double>;

}  // namespace ad
