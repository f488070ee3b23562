// The door through which matrix entries are put on a tape and read from it. (What they compute: ad/matrix.h.)
#pragma once

#include "ad/eigen.h"

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
  /// A new block with room for its result, for `behind` numbers of its own after it, and for its operands.
  [[gnu::always_inline]] static Block& open(Tape& t, const Block::Rule& rule, Index rows, Index cols,
                                            Index operands = 0, Index behind = 0) {
    const Id before = t.size();
    const auto count = static_cast<std::size_t>(rows * cols + behind);
    const std::size_t first = count < 8 ? before : (std::size_t{before} + 7) & ~std::size_t{7}, end = first + count;
    const std::size_t operand = t.operands_, operands_end = operand + static_cast<std::size_t>(operands);
    if (end >= t.limit || t.blocks_ >= t.store_.block.size() || operands_end > t.store_.operand.size()) [[unlikely]]
      make_room(t, end, operands_end);
    const Id taken = static_cast<Id>(end) - before;
    t.set_size(static_cast<Id>(end));
    t.shift_ += taken;
    t.entry -= taken;
    t.code -= taken;
    t.operands_ = static_cast<Id>(operands_end);
    return t.store_.block[t.blocks_++] = {.rule = &rule,
                                          .first = static_cast<Id>(first),
                                          .rows = static_cast<Id>(rows),
                                          .cols = static_cast<Id>(cols),
                                          .before = before,
                                          .end = static_cast<Id>(end),
                                          .shift = t.shift_,
                                          .operand = static_cast<Id>(operand),
                                          .operands = static_cast<Id>(operands)};
  }
  static BlockOperand& operand(Tape& t, const Block& b, Index k) {
    return t.store_.operand[b.operand + static_cast<std::size_t>(k)];
  }
  /// Remembers that operand k of b is a left factor, whose part of the adjoint Gather::gather adds when the sweep comes
  /// to the block it lies in. A single row or column is none: it takes its part as it comes.
  template <class Gather>
  static void add_factor(Tape& t, const Block& b, Index k) {
    BlockOperand& q = operand(t, b, k);
    if (q.plain || q.rows <= 1 || q.cols <= 1) return;
    auto& all = t.store_.factor;
    const auto same = [&](const Factor& f) { return f.first == q.first && f.rows == q.rows && f.cols == q.cols; };
    Id& f = t.store_.recent_factor[(q.first / 8 + q.cols) % 8];
    if (f == 0 || !same(all[f - 1])) {
      Block& owner = block(t, static_cast<Id>(t.block_before(q.first) - t.store_.block.data()));
      for (f = owner.factor; f != 0 && !same(all[f - 1]);) f = all[f - 1].next;
      if (f == 0) {
        all.push_back({q.first, q.rows, q.cols, owner.factor});
        f = owner.factor = static_cast<Id>(all.size());
        owner.gather = Gather::template gather<double>;
      }
    }
    q.factor = f;
    q.result = b.first;
    q.earlier = std::exchange(all[f - 1].last_use, b.operand + static_cast<Id>(k) + 1);
  }
  static void add_index(Tape& t, Id id) { t.store_.index.push_back(id); }
  /// Takes in plain numbers: those of x, which may look into others that are there already.
  template <class D>
  static Id add_numbers(Tape& t, const D& x) {
    Array<double>& all = t.store_.number;
    Array<double> old;
    const std::size_t at = t.numbers_, end = at + static_cast<std::size_t>(x.size());
    if (end > all.size()) [[unlikely]] {
      old.swap(all);
      all.resize(64 + 2 * end);
      std::copy_n(old.begin(), at, all.begin());
    }
    if constexpr (std::is_base_of_v<Eigen::ArrayBase<D>, D>)
      Map(all.data() + at, x.rows(), x.cols()) = x.matrix().template cast<double>();
    else
      Map(all.data() + at, x.rows(), x.cols()) = x.template cast<double>();
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
  static const BlockOperand& operand_at(const Tape& t, Id i) { return t.store_.operand[i]; }
  static const Factor& factor(const Tape& t, Id i) { return t.store_.factor[i]; }
  /// The transpose of a factor, written when first asked for.
  static const double* transposed(const Tape& t, const Factor& f) {
    Array<double>& all = t.store_.transposed;
    if (f.transposed == 0) [[unlikely]] {
      f.transposed = static_cast<Id>(all.size()) + 1;
      all.resize(all.size() + std::size_t{f.rows} * f.cols);
      const double* W = t.value + f.first;
      for (Id i = 0; i < f.rows; ++i)
        for (Id j = 0; j < f.cols; ++j) all[f.transposed - 1 + std::size_t{i} * f.cols + j] = W[std::size_t{j} * f.rows + i];
    }
    return all.data() + (f.transposed - 1);
  }
  static Block& block(Tape& t, Id i) { return t.store_.block[i]; }
  static const Array<Id>& indices(const Tape& t) { return t.store_.index; }

  static const double* data(const Tape& t, Id first, bool plain) {
    return (plain ? t.store_.number.data() : t.value) + first;
  }
  static const double* data(const Tape& t, const BlockOperand& q) { return data(t, q.first, q.plain); }
  static ConstMap values(const Tape& t, const BlockOperand& q) { return {data(t, q), q.rows, q.cols}; }
  static Map values(const Tape& t, const Block& b) { return {t.value + b.first, b.rows, b.cols}; }
  static bool active(const BlockOperand& q) { return !q.plain; }
  /// Derivatives of a run, in its shape.
  static Map of(double* d, const BlockOperand& q) { return {d + q.first, q.rows, q.cols}; }

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
  [[gnu::noinline, gnu::cold]] static void make_room(Tape& t, std::size_t end, std::size_t operands) {
    if (end >= UINT32_MAX) throw std::length_error("ad::VarMatrix: more than 2^32 variables on the tape");
    t.make_room({}, end - t.size());
    if (t.blocks_ == t.store_.block.size()) t.store_.block.resize(64 + 2 * std::size_t{t.blocks_});
    if (operands > t.store_.operand.size()) t.store_.operand.resize(64 + 2 * operands);
  }
};

}  // namespace ad
