// The door through which matrix entries are put on a tape and read from it. (What they compute: ad/matrix.h.)
#pragma once

#include "ad/eigen.h"

namespace ad {

class VarMatrix;

/// What the rules of blocks may do with a tape: the one door into it.
struct Matrices {
  using Tape = TapeOf<double>;
  using Block = ad::Block<double>;
  using Map = Eigen::Map<Eigen::MatrixXd>;
  using ConstMap = Eigen::Map<const Eigen::MatrixXd>;
  using VectorMap = Eigen::Map<Eigen::VectorXd>;
  using ConstVectorMap = Eigen::Map<const Eigen::VectorXd>;
  using Strided = Eigen::Map<Eigen::MatrixXd, 0, Eigen::OuterStride<>>;
  static constexpr Id none = BlockOperand::none;

  static Tape& active() {
    Cursor<double>& c = *detail::active<double>;
    if (!c.tape) c.make_room({});  // throws: no tape is active
    return *c.tape;
  }
  static std::uint32_t generation(const Tape& t) { return t.generation(); }

  /// A new block with room for its result, and for `behind` numbers of its own after it.
  static Block& open(Tape& t, const Block::Rule& rule, Id rows, Id cols, Id behind = 0) {
    const Id before = t.size(), first = (before + 7) & ~Id{7};
    const std::size_t end = std::size_t{first} + std::size_t{rows} * cols + behind;
    if (end >= UINT32_MAX) throw std::length_error("ad::VarMatrix: more than 2^32 variables on the tape");
    if (end >= t.store_.value.size() || t.lines_on_) t.make_room({}, end - before);
    t.set_size(static_cast<Id>(end));
    t.shift_ += t.size() - before;
    t.entry -= t.size() - before;
    t.code -= t.size() - before;
    t.store_.block.push_back({.rule = &rule,
                              .first = first,
                              .rows = rows,
                              .cols = cols,
                              .before = before,
                              .end = t.size(),
                              .shift = t.shift_,
                              .operand = static_cast<Id>(t.store_.operand.size()),
                              .operands = 0});
    return t.store_.block.back();
  }
  static void add_operand(Tape& t, Block& b, const VarMatrix& x);
  /// The matrix of a product: its part of the adjoint waits for gather().
  static void add_factor(Tape& t, Block& b, const VarMatrix& x, void (*gather)(const Tape&, const Block&, double*));
  static Id add_numbers(const Tape& t, const double* x, std::size_t n) {
    Array<double>& all = t.store_.number;
    const std::size_t at = (all.size() + 7) & ~std::size_t{7};
    if (at + n > all.capacity()) all.reserve(2 * (at + n));
    all.resize(at + n);
    if (x) std::copy(x, x + n, all.data() + at);
    return static_cast<Id>(at);
  }

  static const BlockOperand* operands(const Tape& t, const Block& b) { return t.store_.operand.data() + b.operand; }
  static const BlockOperand& operand_at(const Tape& t, Id i) { return t.store_.operand[i]; }
  static const Block& block(const Tape& t, Id i) { return t.store_.block[i]; }
  static Block& block(Tape& t, Id i) { return t.store_.block[i]; }
  static double* number(const Tape& t, Id i) { return t.store_.number.data() + i; }

  static const double* data(const Tape& t, Id first, Id owner) {
    return owner == none ? t.store_.number.data() + first : t.value + first;
  }
  static const double* data(const Tape& t, const BlockOperand& q) { return data(t, q.first, q.owner); }
  static ConstMap values(const Tape& t, const BlockOperand& q) { return {data(t, q), q.rows, q.cols}; }
  static Map values(const Tape& t, const Block& b) { return {t.value + b.first, b.rows, b.cols}; }
  static bool active(const BlockOperand& q) { return q.owner != none; }
  /// Derivatives of a run, in its shape.
  static Map of(double* d, const BlockOperand& q) { return {d + q.first, q.rows, q.cols}; }
  static Map of(double* d, const Block& b) { return {d + b.first, b.rows, b.cols}; }
  /// The same as one column, for what works element by element.
  static VectorMap flat(double* d, const BlockOperand& q) { return {d + q.first, q.rows * q.cols}; }
  static VectorMap flat(double* d, const Block& b) { return {d + b.first, b.rows * b.cols}; }
  static ConstVectorMap flat(const Tape& t, const BlockOperand& q) { return {data(t, q), q.rows * q.cols}; }
  static VectorMap flat(const Tape& t, const Block& b) { return {t.value + b.first, b.rows * b.cols}; }

  static inline VarMatrix whole(const Tape& t, const Block& b);
  static void name(Tape& t, const Block& b, const std::string& name) {
    for (Id i = 0; i < b.rows * b.cols; ++i)
      t.add_name(b.first + i,
                 name + '[' + std::to_string(i % b.rows) + (b.cols == 1 ? "" : ',' + std::to_string(i / b.rows)) + ']');
  }
  static inline Eigen::MatrixXd derivatives(const Tape& t, const VarMatrix& x, bool adjoints);

  static Var variable(const Tape& t, Id id) { return Var(t.value[id], key(t.generation(), id)); }
  static Id id(const Tape& t, const Var& x) { return t.check(x, "an operation"); }
};

}  // namespace ad
