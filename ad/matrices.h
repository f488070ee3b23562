// The door through which matrix entries are put on a tape and read from it. (What they compute: ad/matrix.h.)
#pragma once

#include "ad/eigen.h"
#include "ad/kernels.h"

namespace ad {

/// What the rules of blocks may do with a tape: the one door into it.
struct Matrices {
  using Index = Eigen::Index;
  using Tape = TapeOf<double>;
  using Block = ad::Block<double>;
  using Map = Eigen::Map<Eigen::MatrixXd>;
  using ConstMap = Eigen::Map<const Eigen::MatrixXd>;
  using VectorMap = Eigen::Map<Eigen::VectorXd>;
  using ConstVectorMap = Eigen::Map<const Eigen::VectorXd>;

  static Tape& active() {
    Cursor<double>& c = *detail::active<double>;
    if (!c.tape) c.make_room({});  // throws: no tape is active
    return *c.tape;
  }
  static std::uint32_t generation(const Tape& t) { return t.generation(); }

  // --- recording
  /// Room for the operands of the block that will be opened next.
  [[gnu::always_inline]] static BlockOperand* new_operands(Tape& t, Id n) {
    if (t.operand_room_ - t.operands_ < n) [[unlikely]]
      more_operands(t, n);
    return t.store_.operand.data() + t.operands_;
  }
  /// Whether n numbers fit in without moving what is there.
  static bool has_room(const Tape& t, Index n) {
    return t.size() + std::size_t{8} + static_cast<std::size_t>(n) < t.limit;
  }
  /// A new block: its operands are the n that were written last. It has room for its result, and for `behind` numbers of
  /// its own after it.
  [[gnu::always_inline]] static Block& open(Tape& t, const Block::Rule& rule, Index rows, Index cols, Id n = 0,
                                            Index behind = 0) {
    const Id before = t.size();
    const auto count = static_cast<std::size_t>(rows * cols + behind);
    const std::size_t first = count < 8 ? before : (std::size_t{before} + 7) & ~std::size_t{7}, end = first + count;
    if (end >= t.limit || t.blocks_ == t.block_room_) [[unlikely]]
      make_room(t, end);
    const Id taken = static_cast<Id>(end) - before, shift = t.shift_ + taken, operand = t.operands_;
    t.next += taken;
    t.entry -= taken;
    t.code -= taken;
    t.shift_ = shift;
    t.operands_ = operand + n;
    return t.store_.block[t.blocks_++] = {.rule = &rule,
                                          .first = static_cast<Id>(first),
                                          .rows = static_cast<Id>(rows),
                                          .cols = static_cast<Id>(cols),
                                          .before = before,
                                          .end = static_cast<Id>(end),
                                          .shift = shift,
                                          .operand = operand,
                                          .operands = n};
  }
  /// Undoes open() of the last block.
  static void take_back(Tape& t) {
    const Block& b = t.store_.block[--t.blocks_];
    const Id taken = b.end - b.before;
    t.next -= taken;
    t.entry += taken;
    t.code += taken;
    t.shift_ -= taken;
    t.operands_ = b.operand;
  }
  static void add_index(Tape& t, Id id) { t.store_.index.push_back(id); }
  /// Takes in plain numbers: those of x, which may look into others that are there already.
  template <class D>
  [[gnu::always_inline]] static Id add_numbers(Tape& t, const D& x) {
    const std::size_t at = t.numbers_, end = at + static_cast<std::size_t>(x.size());
    if (end > t.store_.number.size()) [[unlikely]]
      return add_numbers_slowly(t, x);
    double* const to = t.store_.number.data() + at;
    if constexpr (std::is_same_v<typename D::Scalar, double> && D::IsVectorAtCompileTime &&
                  D::InnerStrideAtCompileTime == 1 && requires { x.data(); })
      kernels::set(to, 1, x.data(), x.size());
    else if constexpr (std::is_base_of_v<Eigen::ArrayBase<D>, D>)
      Map(to, x.rows(), x.cols()) = x.matrix().template cast<double>();
    else
      Map(to, x.rows(), x.cols()) = x.template cast<double>();
    t.numbers_ = static_cast<Id>(end);
    return static_cast<Id>(at);
  }
  static void name(Tape& t, const Block& b, const std::string& name) {
    for (Id i = 0; i < b.rows * b.cols; ++i)
      t.add_name(b.first + i,
                 name + '[' + std::to_string(i % b.rows) + (b.cols == 1 ? "" : ',' + std::to_string(i / b.rows)) + ']');
  }

  // --- reading
  static const BlockOperand* operands(const Tape& t, const Block& b) { return t.store_.operand.data() + b.operand; }
  static const Array<Id>& indices(const Tape& t) { return t.store_.index; }

  static const double* data(const Tape& t, Run x) { return (x.plain() ? t.store_.number.data() : t.value) + x.first(); }
  static ConstMap values(const Tape& t, Run x) { return {data(t, x), x.rows(), x.cols()}; }
  static Map values(const Tape& t, const Block& b) { return {t.value + b.first, b.rows, b.cols}; }
  /// Derivatives of a run, in its shape.
  static Map of(double* d, Run x) { return {d + x.first(), x.rows(), x.cols()}; }

  static Var variable(const Tape& t, Id id) { return Var(t.value[id], key(t.generation(), id)); }
  /// 0 for a constant.
  static Id id(const Tape& t, const Var& x) { return x.id() == 0 ? 0 : t.check(x, "an operation on matrices"); }
  /// Adjoints or tangents of the last sweep.
  static ConstMap derivatives(const Tape& t, bool adjoints, Id first, Index rows, Index cols) {
    const Array<double>& d = adjoints ? t.store_.adjoint : t.store_.tangent;
    if (rows * cols > 0) t.range(first + static_cast<Id>(rows * cols - 1), d.size(), adjoints ? "adjoint" : "tangent");
    return {d.data() + first, rows, cols};
  }

 private:
  [[gnu::noinline, gnu::cold]] static void make_room(Tape& t, std::size_t end) {
    if (end > Run::most) throw std::length_error("ad::VarMatrix: more than 2^31 variables on the tape");
    t.make_room({}, end - t.size());
    if (t.blocks_ == t.block_room_) {
      t.store_.block.resize(64 + 2 * std::size_t{t.blocks_});
      t.block_room_ = static_cast<Id>(t.store_.block.size());
    }
  }
  template <class D>
  [[gnu::noinline, gnu::cold]] static Id add_numbers_slowly(Tape& t, const D& x) {
    const typename D::PlainObject copy = x;
    const std::size_t end = t.numbers_ + static_cast<std::size_t>(x.size());
    if (end > Run::most) throw std::length_error("ad::VarMatrix: more than 2^31 plain numbers on the tape");
    t.store_.number.resize(std::min<std::size_t>(64 + 2 * end, Run::most));
    return add_numbers(t, copy);
  }
  [[gnu::noinline, gnu::cold]] static void more_operands(Tape& t, Id n) {
    t.store_.operand.resize(64 + 2 * (std::size_t{t.operands_} + n));
    t.operand_room_ = static_cast<Id>(t.store_.operand.size());
  }
};

}  // namespace ad
