// A whole vector or matrix as one entry of the tape: products, sums and elementwise functions at the speed of plain loops.
//
// A VarMatrix is a run of consecutive variables; its values and its adjoints are contiguous, and element (i, j) is an
// ordinary Var. Each operation below is a rule: value where it is recorded, pullback and pushforward side by side. Plain
// matrices take part without being recorded. Products with one matrix are remembered, and their part of its adjoint is
// added with few large matrix products when the sweep comes to the matrix itself.
#pragma once

#include <Eigen/Cholesky>
#include <initializer_list>

#include "ad/kernels.h"
#include "ad/matrices.h"

namespace ad {

/// A product of matrices that waits for the sum it is a term of, and a sum of such products and vectors.
class Affine;
/// s x, waiting for the sum it is a term of.
struct Scaled;

/// A vector (one column) or matrix of variables of the active tape, or of plain numbers (which have no derivative).
/// Sizes that do not fit throw std::invalid_argument.
class VarMatrix {
 public:
  VarMatrix() = default;
  /// Plain numbers. They are copied to the active tape, not recorded.
  template <class D>
  VarMatrix(const Eigen::DenseBase<D>& plain) {
    Matrices::Tape& t = Matrices::active();
    const Eigen::MatrixXd m = plain.derived().template cast<double>();
    *this = VarMatrix(Matrices::add_numbers(t, m.data(), static_cast<std::size_t>(m.size())), static_cast<Id>(m.rows()),
                      static_cast<Id>(m.cols()), Matrices::none, Matrices::generation(t));
  }
  inline VarMatrix(const Affine& sum);
  inline VarMatrix(const Scaled& product);

  Eigen::Index rows() const { return rows_; }
  Eigen::Index cols() const { return cols_; }
  Eigen::Index size() const { return Eigen::Index{rows_} * cols_; }
  bool is_plain() const { return owner_ == Matrices::none; }
  /// The id of element 0; the others follow, column by column.
  Id id() const { return first_; }
  Matrices::ConstMap values() const { return {Matrices::data(tape("values"), first_, owner_), rows_, cols_}; }

  Var operator()(Eigen::Index i, Eigen::Index j = 0) const {
    const Matrices::Tape& t = tape("an element");
    if (i < 0 || i >= rows_ || j < 0 || j >= cols_) refuse("element", i, j);
    const Id at = first_ + static_cast<Id>(i) + static_cast<Id>(j) * rows_;
    return is_plain() ? Var(Matrices::data(t, at, owner_)[0]) : Matrices::variable(t, at);
  }
  Var operator[](Eigen::Index i) const { return (*this)(i); }

  // views: the same variables, nothing recorded
  VarMatrix middleCols(Eigen::Index j, Eigen::Index n) const {
    if (j < 0 || n < 0 || j + n > cols_) refuse("columns", j, n);
    return {first_ + static_cast<Id>(j) * rows_, rows_, static_cast<Id>(n), owner_, generation_};
  }
  VarMatrix col(Eigen::Index j) const { return middleCols(j, 1); }
  VarMatrix segment(Eigen::Index i, Eigen::Index n) const {
    if (cols_ != 1 || i < 0 || n < 0 || i + n > rows_) refuse("segment", i, n);
    return {first_ + static_cast<Id>(i), static_cast<Id>(n), 1, owner_, generation_};
  }
  VarMatrix reshaped(Eigen::Index rows, Eigen::Index cols) const {
    if (rows * cols != size()) refuse("shape", rows, cols);
    return {first_, static_cast<Id>(rows), static_cast<Id>(cols), owner_, generation_};
  }

  // recorded
  inline VarMatrix block(Eigen::Index i, Eigen::Index j, Eigen::Index rows, Eigen::Index cols) const;
  inline VarMatrix transpose() const;
  inline Var sum() const;
  inline Var mean() const;
  inline Var squaredNorm() const;
  inline Var dot(const VarMatrix& z) const;
  inline VarMatrix cwiseProduct(const VarMatrix& z) const;
  inline VarMatrix cwiseQuotient(const VarMatrix& z) const;

  /// "3 x 2"
  std::string shape() const { return std::to_string(rows_) + " x " + std::to_string(cols_); }

 private:
  friend struct Matrices;
  Id first_ = 0, rows_ = 0, cols_ = 0, owner_ = Matrices::none;
  std::uint32_t generation_ = 0;

  VarMatrix(Id first, Id rows, Id cols, Id owner, std::uint32_t generation)
      : first_(first), rows_(rows), cols_(cols), owner_(owner), generation_(generation) {}

  const Matrices::Tape& tape(const char* what) const {
    const Matrices::Tape& t = Matrices::active();
    if (generation_ != Matrices::generation(t)) [[unlikely]]
      throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + ": the " + shape() +
                                  " matrix belongs to another tape or to an earlier recording");
    return t;
  }
  [[noreturn]] void refuse(const char* what, Eigen::Index i, Eigen::Index j) const {
    throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + " (" + std::to_string(i) + ", " +
                                std::to_string(j) + ") of a " + shape() + " matrix");
  }
};

inline VarMatrix Matrices::whole(const Tape& t, const Block& b) {
  return VarMatrix(b.first, b.rows, b.cols, static_cast<Id>(&b - t.store_.block.data()), t.generation());
}
inline Eigen::MatrixXd Matrices::derivatives(const Tape& t, const VarMatrix& x, bool adjoints) {
  const Array<double>& d = adjoints ? t.store_.adjoint : t.store_.tangent;
  if (x.generation_ != t.generation() || x.is_plain())
    throw std::invalid_argument("ad::Tape: the derivative of a " + x.shape() +
                                " matrix that was not recorded on this tape");
  if (x.size() > 0) t.range(x.first_ + x.rows_ * x.cols_ - 1, d.size(), adjoints ? "adjoint" : "tangent");
  return ConstMap(d.data() + x.first_, x.rows_, x.cols_);
}
inline void Matrices::add_operand(Tape& t, Block& b, const VarMatrix& x) {
  x.tape("an operand");
  t.store_.operand.push_back({x.first_, x.rows_, x.cols_, x.owner_, static_cast<Id>(&b - t.store_.block.data()), 0});
  ++b.operands;
}
inline void Matrices::add_factor(Tape& t, Block& b, const VarMatrix& x,
                                 void (*gather)(const Tape&, const Block&, double*)) {
  add_operand(t, b, x);
  if (x.is_plain()) return;
  Block& owner = t.store_.block[x.owner_];
  t.store_.operand.back().earlier = owner.last_use;
  owner.last_use = static_cast<Id>(t.store_.operand.size());
  ++owner.uses;
  owner.gather = gather;
}

namespace detail {

using Tape = Matrices::Tape;
using Block = Matrices::Block;
using Directions = Panel<double>;
using M = Matrices;

/// A recorded result. The tape is where the last block is.
struct Recorder : Matrices {
  Tape& t = Matrices::active();
  Block& b;
  Recorder(const Block::Rule& rule, Eigen::Index rows, Eigen::Index cols, std::initializer_list<const VarMatrix*> x,
           Id behind = 0)
      : b(open(t, rule, static_cast<Id>(rows), static_cast<Id>(cols), behind)) {
    for (const VarMatrix* q : x) add_operand(t, b, *q);
  }
  const BlockOperand& in(Id k) const { return operands(t, b)[k]; }
  VarMatrix matrix() const;
  Var scalar() const { return variable(t, b.first); }
};

[[noreturn]] inline void shapes(const char* what, const VarMatrix& x, const VarMatrix& z) {
  throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + " of a " + x.shape() + " and a " + z.shape() +
                              " matrix");
}
inline void same_shape(const char* what, const VarMatrix& x, const VarMatrix& z) {
  if (x.rows() != z.rows() || x.cols() != z.cols()) [[unlikely]]
    shapes(what, x, z);
}

/// The tangents of an operand in all directions of a panel: one column each.
inline M::Strided tangents(const Directions& d, const BlockOperand& q) {
  return {d.data + q.first, q.rows * q.cols, d.count, Eigen::OuterStride<>(static_cast<Eigen::Index>(d.stride))};
}
inline M::Strided tangents(const Directions& d, const Block& b) {
  return {d.data + b.first, b.rows * b.cols, d.count, Eigen::OuterStride<>(static_cast<Eigen::Index>(d.stride))};
}

// --- inputs ------------------------------------------------------------------------------------------------------------

struct Input {
  static void pullback(const Tape&, const Block&, double*) {}
  static void pushforward(const Tape&, const Block&, Directions) {}  // holds its seed
  static constexpr Block::Rule rule{"input", pullback, pushforward};
};

// --- sums of products: Y = W_1 X_1 + W_2 X_2 + ... + z_1 + ...  --------------------------------------------------------
// dW += dY X^T (gathered), dX += W^T dY, dz += dY (summed over columns where z is one column beside several)

struct AffineRule {
  static constexpr Id narrow = 256;  // columns gathered for one product: also what makes results independent of cuts

  static void value(const Tape& t, const Block& b) {
    const BlockOperand* q = M::operands(t, b);
    const BlockOperand* const z = q + 2 * b.extra;
    const BlockOperand* const end = q + b.operands;
    double* const y = M::values(t, b).data();
    M::Map Y = M::values(t, b);
    if (z == end)
      Y.setZero();
    else if (z->cols == b.cols)
      std::copy(M::data(t, *z), M::data(t, *z) + Y.size(), y);
    else
      Y.colwise() = M::values(t, *z).col(0);
    for (const BlockOperand* more = z + 1; more < end; ++more) {
      if (more->cols == b.cols)
        Y += M::values(t, *more);
      else
        Y.colwise() += M::values(t, *more).col(0);
    }
    for (; q < z; q += 2) {
      if (b.cols == 1)
        kernels::add_product(y, M::data(t, q[0]), b.rows, q->cols, M::data(t, q[1]));
      else
        Y.noalias() += M::values(t, q[0]) * M::values(t, q[1]);
    }
  }

  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand* q = M::operands(t, b);
    const BlockOperand* const z = q + 2 * b.extra;
    const M::Map G = M::of(adjoint, b);
    for (const BlockOperand* s = z; s < M::operands(t, b) + b.operands; ++s) {
      if (!M::active(*s)) continue;
      if (s->cols == b.cols)
        M::of(adjoint, *s) += G;
      else
        M::of(adjoint, *s).col(0) += G.rowwise().sum();
    }
    for (; q < z; q += 2) {
      if (!M::active(q[1])) continue;
      if (b.cols > 1)
        M::of(adjoint, q[1]).noalias() += M::values(t, q[0]).transpose() * G;
      else if (b.rows == 1)
        M::of(adjoint, q[1]) += G(0, 0) * M::values(t, q[0]).transpose();
      else if (const double* Wt = transposed(t, q[0]))
        kernels::add_product(adjoint + q[1].first, Wt, q->cols, b.rows, G.data());
      else
        M::of(adjoint, q[1]).noalias() += M::values(t, q[0]).transpose() * G;
    }
  }
  /// A small matrix that takes part often is transposed once a recording: its columns are then contiguous both ways.
  static const double* transposed(const Tape& t, const BlockOperand& W) {
    if (!M::active(W) || W.rows > 64) return nullptr;
    const Block& owner = M::block(t, W.owner);
    if (owner.uses < 4 || owner.first != W.first || owner.cols != W.cols) return nullptr;
    if (owner.transposed == 0) {
      owner.transposed = M::add_numbers(t, nullptr, std::size_t{W.rows} * W.cols) + 1;
      M::Map(M::number(t, owner.transposed - 1), W.cols, W.rows) = M::values(t, W).transpose();
    }
    return M::number(t, owner.transposed - 1);
  }

  /// Uses of a matrix as a factor, from the last to the first: each has a part G X^T in its adjoint. Groups of at most
  /// `narrow` columns are multiplied at once and summed apart from what else the adjoint is made of, so that a sweep may
  /// be interrupted between two uses and taken up on another tape (ad/checkpoint.h), and gives the same bits.
  struct Uses {
    Array<double> G, X, sum;           // the columns that wait; the sum of the groups before
    Id first = 0, rows = 0, cols = 0;  // the part of the matrix they are uses of
    Eigen::Index waiting = 0;
    bool summed = false;

    void multiply(double* to, const double* g, const double* x, Eigen::Index n) {
      if (n > 0) M::Map(to, rows, cols).noalias() += M::ConstMap(g, rows, n) * M::ConstMap(x, cols, n).transpose();
      waiting = 0;
    }
    void add(const Block& W, const double* g, const double* x, Eigen::Index n) {
      if (!summed) sum.assign(std::size_t{W.rows} * W.cols, 0.0);
      summed = true;
      multiply(sum.data() + (first - W.first), g, x, n);
    }
    void collect(const Tape& t, const Block& W, const double* adjoint) {
      for (Id use = W.last_use; use != 0; use = M::operand_at(t, use - 1).earlier) {
        const BlockOperand *q = &M::operand_at(t, use - 1), *x = q + 1;
        const bool same = q->first == first && q->rows == rows && q->cols == cols;
        if (waiting > 0 && (!same || waiting + x->cols > narrow)) add(W, G.data(), X.data(), waiting);
        first = q->first, rows = q->rows, cols = q->cols;
        const double *g = adjoint + M::block(t, q->user).first, *v = M::data(t, *x);
        if (x->cols > narrow) {
          add(W, g, v, x->cols);  // wide enough on its own
          continue;
        }
        G.resize(std::size_t{narrow} * rows);
        X.resize(std::size_t{narrow} * cols);
        std::copy(g, g + rows * x->cols, G.data() + waiting * rows);
        std::copy(v, v + cols * x->cols, X.data() + waiting * cols);
        waiting += x->cols;
      }
    }
    void finish(const Block& W, double* adjoint) {
      if (summed) {
        add(W, G.data(), X.data(), waiting);
        M::flat(adjoint, W) += kernels::ConstVectorMap(sum.data(), W.rows * W.cols);
      } else if (waiting > 0) {
        multiply(adjoint + first, G.data(), X.data(), waiting);
      }
      waiting = 0, summed = false;
    }
  };
  /// When the sweep comes to W: all uses lie later on the tape.
  static void gather(const Tape& t, const Block& W, double* adjoint) {
    static thread_local Uses uses;
    uses.waiting = 0, uses.summed = false;
    uses.collect(t, W, adjoint);
    uses.finish(W, adjoint);
  }

  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand* q = M::operands(t, b);
    const BlockOperand* const z = q + 2 * b.extra;
    for (Id k = 0; k < d.count; ++k) {
      double* const tangent = d.data + k * d.stride;
      M::Map dY = M::of(tangent, b);
      for (const BlockOperand* s = z; s < M::operands(t, b) + b.operands; ++s) {
        if (!M::active(*s)) continue;
        if (s->cols == b.cols)
          dY += M::of(tangent, *s);
        else
          dY.colwise() += M::of(tangent, *s).col(0);
      }
      for (const BlockOperand* p = q; p < z; p += 2) {
        if (M::active(p[0])) dY.noalias() += M::of(tangent, p[0]) * M::values(t, p[1]);
        if (M::active(p[1])) dY.noalias() += M::values(t, p[0]) * M::of(tangent, p[1]);
      }
    }
  }
  static constexpr Block::Rule rule{"affine", pullback, pushforward};
};

// --- s x + t z ---------------------------------------------------------------------------------------------------------

struct Combination {
  static void value(const Tape& t, const Block& b) {
    const BlockOperand* q = M::operands(t, b);
    if (b.operands == 1)
      M::flat(t, b) = b.s * M::flat(t, q[0]);
    else
      M::flat(t, b) = b.s * M::flat(t, q[0]) + b.t * M::flat(t, q[1]);
  }
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand* q = M::operands(t, b);
    if (M::active(q[0])) M::flat(adjoint, q[0]) += b.s * M::flat(adjoint, b);
    if (b.operands == 2 && M::active(q[1])) M::flat(adjoint, q[1]) += b.t * M::flat(adjoint, b);
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand* q = M::operands(t, b);
    auto dy = tangents(d, b);
    if (M::active(q[0])) dy += b.s * tangents(d, q[0]);
    if (b.operands == 2 && M::active(q[1])) dy += b.t * tangents(d, q[1]);
  }
  static constexpr Block::Rule rule{"combination", pullback, pushforward};
};

// --- element by element: every function of the table -------------------------------------------------------------------

template <class Row>
struct Unary {
  static void value(const Tape& t, const Block& b) {
    const double* x = M::data(t, M::operands(t, b)[0]);
    double* y = M::values(t, b).data();
    const Eigen::Index n = Eigen::Index{b.rows} * b.cols;
    if constexpr (Row::op == Op::tanh)
      kernels::tanh(x, y, n);
    else
      for (Eigen::Index i = 0; i < n; ++i) y[i] = Row::value(x[i]);
  }
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand& q = M::operands(t, b)[0];
    if (!M::active(q)) return;
    const double *x = M::data(t, q), *y = M::values(t, b).data(), *g = adjoint + b.first;
    double* a = adjoint + q.first;
    const Eigen::Index n = Eigen::Index{b.rows} * b.cols;
    if constexpr (Row::op == Op::tanh)
      M::flat(adjoint, q).array() += M::flat(adjoint, b).array() * (1 - M::flat(t, b).array().square());
    else
      for (Eigen::Index i = 0; i < n; ++i) a[i] += flow(Row::dx(x[i], y[i]), g[i]);
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand& q = M::operands(t, b)[0];
    auto dy = tangents(d, b);
    if (!M::active(q)) return;
    const auto dx = tangents(d, q);
    const double *x = M::data(t, q), *y = M::values(t, b).data();
    for (Eigen::Index i = 0; i < dy.rows(); ++i) {
      const double p = Row::dx(x[i], y[i]);
      for (Eigen::Index k = 0; k < dy.cols(); ++k) dy(i, k) += flow(p, dx(i, k));
    }
  }
  static constexpr Block::Rule rule{op_text(Row::op).name.data(), pullback, pushforward};
};

template <class Row>
struct Binary {
  static void value(const Tape& t, const Block& b) {
    const BlockOperand* q = M::operands(t, b);
    const double *x = M::data(t, q[0]), *z = M::data(t, q[1]);
    double* y = M::values(t, b).data();
    for (Eigen::Index i = 0, n = Eigen::Index{b.rows} * b.cols; i < n; ++i) y[i] = Row::value(x[i], z[i]);
  }
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand* q = M::operands(t, b);
    const double *x = M::data(t, q[0]), *z = M::data(t, q[1]), *y = M::values(t, b).data(), *g = adjoint + b.first;
    const Eigen::Index n = Eigen::Index{b.rows} * b.cols;
    if (M::active(q[0]))
      for (Eigen::Index i = 0; i < n; ++i) adjoint[q[0].first + i] += flow(Row::dx(x[i], z[i], y[i]), g[i]);
    if (M::active(q[1]))
      for (Eigen::Index i = 0; i < n; ++i) adjoint[q[1].first + i] += flow(Row::dz(x[i], z[i], y[i]), g[i]);
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand* q = M::operands(t, b);
    const double *x = M::data(t, q[0]), *z = M::data(t, q[1]), *y = M::values(t, b).data();
    auto dy = tangents(d, b);
    for (Eigen::Index i = 0; i < dy.rows(); ++i)
      for (Eigen::Index k = 0; k < dy.cols(); ++k) {
        if (M::active(q[0])) dy(i, k) += flow(Row::dx(x[i], z[i], y[i]), tangents(d, q[0])(i, k));
        if (M::active(q[1])) dy(i, k) += flow(Row::dz(x[i], z[i], y[i]), tangents(d, q[1])(i, k));
      }
  }
  static constexpr Block::Rule rule{op_text(Row::op).name.data(), pullback, pushforward};
};

// --- one number of a matrix --------------------------------------------------------------------------------------------

struct Sum {  // y = s sum x
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand& q = M::operands(t, b)[0];
    if (M::active(q)) M::flat(adjoint, q).array() += b.s * adjoint[b.first];
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand& q = M::operands(t, b)[0];
    auto dy = tangents(d, b);
    if (M::active(q)) dy += b.s * tangents(d, q).colwise().sum();
  }
  static constexpr Block::Rule rule{"sum", pullback, pushforward};
};

struct Dot {  // y = s x . z; x . x too
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand* q = M::operands(t, b);
    const double g = b.s * adjoint[b.first];
    if (M::active(q[0])) M::flat(adjoint, q[0]) += g * M::flat(t, q[1]);
    if (M::active(q[1])) M::flat(adjoint, q[1]) += g * M::flat(t, q[0]);
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand* q = M::operands(t, b);
    auto dy = tangents(d, b);
    if (M::active(q[0])) dy += b.s * M::flat(t, q[1]).transpose() * tangents(d, q[0]);
    if (M::active(q[1])) dy += b.s * M::flat(t, q[0]).transpose() * tangents(d, q[1]);
  }
  static constexpr Block::Rule rule{"dot", pullback, pushforward};
};

struct SquaredDistance {  // y = s |x - z|^2
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand* q = M::operands(t, b);
    const double g = 2 * b.s * adjoint[b.first];
    if (M::active(q[0])) M::flat(adjoint, q[0]) += g * (M::flat(t, q[0]) - M::flat(t, q[1]));
    if (M::active(q[1])) M::flat(adjoint, q[1]) -= g * (M::flat(t, q[0]) - M::flat(t, q[1]));
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand* q = M::operands(t, b);
    auto dy = tangents(d, b);
    const Eigen::RowVectorXd r = 2 * b.s * (M::flat(t, q[0]) - M::flat(t, q[1])).transpose();
    if (M::active(q[0])) dy += r * tangents(d, q[0]);
    if (M::active(q[1])) dy -= r * tangents(d, q[1]);
  }
  static constexpr Block::Rule rule{"squared_distance", pullback, pushforward};
};

/// y_j = log sum_i exp x_ij, column by column, the largest taken out first. The softmax is kept behind the result.
struct LogSumExp {
  static M::Map softmax(const Tape& t, const Block& b) {
    const BlockOperand& q = M::operands(t, b)[0];
    return {M::values(t, b).data() + b.cols, q.rows, q.cols};
  }
  static void value(const Tape& t, const Block& b) {
    const M::ConstMap x = M::values(t, M::operands(t, b)[0]);
    M::Map p = softmax(t, b), y = M::values(t, b);
    for (Eigen::Index j = 0; j < x.cols(); ++j) {
      const double largest = x.col(j).maxCoeff();
      p.col(j) = (x.col(j).array() - largest).exp();
      const double sum = p.col(j).sum();
      p.col(j) /= sum;
      y(0, j) = largest + std::log(sum);
    }
  }
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand& q = M::operands(t, b)[0];
    if (M::active(q)) M::of(adjoint, q) += softmax(t, b) * M::of(adjoint, b).row(0).asDiagonal();
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand& q = M::operands(t, b)[0];
    for (Id k = 0; k < d.count; ++k) {
      double* tangent = d.data + k * d.stride;
      if (M::active(q)) M::of(tangent, b) += (softmax(t, b).cwiseProduct(M::of(tangent, q))).colwise().sum();
    }
  }
  static constexpr Block::Rule rule{"log_sum_exp", pullback, pushforward};
};

/// x times one number of the tape.
struct ScaledByVariable {
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand& q = M::operands(t, b)[0];
    const auto g = M::flat(adjoint, b);
    adjoint[b.extra] += g.dot(M::flat(t, q));
    if (M::active(q)) M::flat(adjoint, q) += b.s * g;
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand& q = M::operands(t, b)[0];
    auto dy = tangents(d, b);
    for (Id k = 0; k < d.count; ++k) dy.col(k) += d.data[k * d.stride + b.extra] * M::flat(t, q);
    if (M::active(q)) dy += b.s * tangents(d, q);
  }
  static constexpr Block::Rule rule{"scaled", pullback, pushforward};
};

// --- rearranged --------------------------------------------------------------------------------------------------------

/// Each element of the result is one variable from somewhere: transposes, blocks, concatenations, Vars made a matrix.
/// Behind the result nothing; the ids stand among the tape's plain numbers.
struct Gathered {
  static Id source(const Tape& t, const Block& b, Eigen::Index i) { return static_cast<Id>(M::number(t, b.extra)[i]); }
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    for (Eigen::Index i = 0, n = Eigen::Index{b.rows} * b.cols; i < n; ++i)
      if (const Id id = source(t, b, i)) adjoint[id] += adjoint[b.first + i];
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    for (Id k = 0; k < d.count; ++k) {
      double* const tangent = d.data + k * d.stride;
      for (Eigen::Index i = 0, n = Eigen::Index{b.rows} * b.cols; i < n; ++i)
        tangent[b.first + i] += tangent[source(t, b, i)];
    }
  }
  static constexpr Block::Rule rule{"gathered", pullback, pushforward};
};

// --- X = A^-1 B with A symmetric and positive definite -----------------------------------------------------------------
// dB += A^-1 dX, dA -= A^-1 dX X^T

struct CholeskySolve {
  static Eigen::LLT<Eigen::MatrixXd> factorized(const Tape& t, const Block& b) {
    return Eigen::LLT<Eigen::MatrixXd>(M::values(t, M::operands(t, b)[0]));
  }
  static void pullback(const Tape& t, const Block& b, double* adjoint) {
    const BlockOperand* q = M::operands(t, b);
    const Eigen::MatrixXd L = factorized(t, b).solve(M::of(adjoint, b));
    if (M::active(q[1])) M::of(adjoint, q[1]) += L;
    if (M::active(q[0])) M::of(adjoint, q[0]).noalias() -= L * M::values(t, b).transpose();
  }
  static void pushforward(const Tape& t, const Block& b, Directions d) {
    const BlockOperand* q = M::operands(t, b);
    const auto llt = factorized(t, b);
    for (Id k = 0; k < d.count; ++k) {
      double* tangent = d.data + k * d.stride;
      Eigen::MatrixXd R = Eigen::MatrixXd::Zero(b.rows, b.cols);
      if (M::active(q[1])) R += M::of(tangent, q[1]);
      if (M::active(q[0])) R -= M::of(tangent, q[0]) * M::values(t, b);
      M::of(tangent, b) += llt.solve(R);
    }
  }
  static constexpr Block::Rule rule{"cholesky_solve", pullback, pushforward};
};

inline VarMatrix Recorder::matrix() const { return Matrices::whole(t, b); }

}  // namespace detail

// --- what one writes ---------------------------------------------------------------------------------------------------

/// An independent matrix or vector of variables on this tape.
inline VarMatrix input(Matrices::Tape& t, const Eigen::MatrixXd& m, const std::string& name = {}) {
  Matrices::Block& b = Matrices::open(t, detail::Input::rule, static_cast<Id>(m.rows()), static_cast<Id>(m.cols()));
  Matrices::values(t, b) = m;
  if (!name.empty()) Matrices::name(t, b, name);
  return Matrices::whole(t, b);
}

class Affine {
 public:
  static constexpr int most = 4;  // products, and summands, of one entry; a longer sum is several
  Affine(const VarMatrix& W, const VarMatrix& X) : products_(1), factor_{W, X} {
    if (W.cols() != X.rows()) detail::shapes("product", W, X);
  }
  Affine(const VarMatrix& z) : summands_(1), summand_{z} {}

  Eigen::Index rows() const { return products_ > 0 ? factor_[0].rows() : summand_[0].rows(); }
  Eigen::Index cols() const {
    Eigen::Index n = products_ > 0 ? factor_[1].cols() : 1;
    for (int i = 0; i < summands_; ++i) n = std::max(n, summand_[i].cols());
    return n;
  }
  friend Affine operator+(const Affine& x, const Affine& z) {
    if (x.products_ + z.products_ > most || x.summands_ + z.summands_ > most)
      return Affine(VarMatrix(x)) + Affine(VarMatrix(z));
    Affine sum = x;
    for (int i = 0; i < 2 * z.products_; ++i) sum.factor_[2 * x.products_ + i] = z.factor_[i];
    for (int i = 0; i < z.summands_; ++i) sum.summand_[x.summands_ + i] = z.summand_[i];
    sum.products_ += z.products_;
    sum.summands_ += z.summands_;
    return sum;
  }

 private:
  friend class VarMatrix;
  int products_ = 0, summands_ = 0;
  VarMatrix factor_[2 * most], summand_[most];
};

inline VarMatrix::VarMatrix(const Affine& a) {
  if (a.products_ == 0 && a.summands_ == 1) {
    *this = a.summand_[0];
    return;
  }
  const Eigen::Index rows = a.rows(), cols = a.cols();
  for (int i = 0; i < a.products_; ++i)
    if (a.factor_[2 * i].rows() != rows || a.factor_[2 * i + 1].cols() != cols)
      detail::shapes("sum of products", a.factor_[2 * i], a.factor_[2 * i + 1]);
  for (int i = 0; i < a.summands_; ++i)
    if (a.summand_[i].rows() != rows || (a.summand_[i].cols() != cols && a.summand_[i].cols() != 1))
      detail::shapes("sum", a.products_ > 0 ? a.factor_[0] : a.summand_[0], a.summand_[i]);
  detail::Recorder r(detail::AffineRule::rule, rows, cols, {});
  for (int i = 0; i < a.products_; ++i) {
    Matrices::add_factor(r.t, r.b, a.factor_[2 * i], detail::AffineRule::gather);
    Matrices::add_operand(r.t, r.b, a.factor_[2 * i + 1]);
  }
  for (int i = 0; i < a.summands_; ++i) Matrices::add_operand(r.t, r.b, a.summand_[i]);
  r.b.extra = static_cast<Id>(a.products_);
  detail::AffineRule::value(r.t, r.b);
  *this = r.matrix();
}

struct Scaled {
  double s;
  VarMatrix x;
};
namespace detail {
inline VarMatrix combine(double s, const VarMatrix& x) {
  Recorder r(Combination::rule, x.rows(), x.cols(), {&x});
  r.b.s = s;
  Combination::value(r.t, r.b);
  return r.matrix();
}
inline VarMatrix combine(double s, const VarMatrix& x, double t, const VarMatrix& z) {
  same_shape("sum", x, z);
  Recorder r(Combination::rule, x.rows(), x.cols(), {&x, &z});
  r.b.s = s;
  r.b.t = t;
  Combination::value(r.t, r.b);
  return r.matrix();
}
template <class Row>
VarMatrix unary(const VarMatrix& x) {
  Recorder r(Unary<Row>::rule, x.rows(), x.cols(), {&x});
  Unary<Row>::value(r.t, r.b);
  return r.matrix();
}
template <class Row>
VarMatrix binary(const VarMatrix& x, const VarMatrix& z) {
  same_shape(op_text(Row::op).name.data(), x, z);
  Recorder r(Binary<Row>::rule, x.rows(), x.cols(), {&x, &z});
  Binary<Row>::value(r.t, r.b);
  return r.matrix();
}
}  // namespace detail
inline VarMatrix::VarMatrix(const Scaled& p) : VarMatrix(detail::combine(p.s, p.x)) {}

/// What stands in a sum with a VarMatrix: itself, products, multiples, and plain matrices.
inline Affine operator*(const VarMatrix& W, const VarMatrix& X) { return {W, X}; }
inline Scaled operator*(double s, const VarMatrix& x) { return {s, x}; }
inline Scaled operator*(const VarMatrix& x, double s) { return {s, x}; }
inline Scaled operator/(const VarMatrix& x, double s) { return {1 / s, x}; }
inline Scaled operator-(const VarMatrix& x) { return {-1, x}; }
inline Affine operator+(const Affine& x, const VarMatrix& z) { return x + Affine(z); }
inline Affine operator+(const VarMatrix& x, const Affine& z) { return Affine(x) + z; }
inline VarMatrix operator+(const Scaled& x, const Scaled& z) { return detail::combine(x.s, x.x, z.s, z.x); }
inline VarMatrix operator-(const Scaled& x, const Scaled& z) { return detail::combine(x.s, x.x, -z.s, z.x); }
inline VarMatrix operator+(const VarMatrix& x, const Scaled& z) { return detail::combine(1, x, z.s, z.x); }
inline VarMatrix operator-(const VarMatrix& x, const Scaled& z) { return detail::combine(1, x, -z.s, z.x); }
inline VarMatrix operator+(const Scaled& x, const VarMatrix& z) { return detail::combine(x.s, x.x, 1, z); }
inline VarMatrix operator-(const Scaled& x, const VarMatrix& z) { return detail::combine(x.s, x.x, -1, z); }
inline VarMatrix operator+(const VarMatrix& x, const VarMatrix& z) { return detail::combine(1, x, 1, z); }
inline VarMatrix operator-(const VarMatrix& x, const VarMatrix& z) { return detail::combine(1, x, -1, z); }
inline VarMatrix operator*(const Var& s, const VarMatrix& x) {
  const Id id = Matrices::id(Matrices::active(), s);
  detail::Recorder r(detail::ScaledByVariable::rule, x.rows(), x.cols(), {&x});
  r.b.s = s.value();
  r.b.extra = id;
  Matrices::flat(r.t, r.b) = r.b.s * Matrices::flat(r.t, r.in(0));
  return r.matrix();
}
inline VarMatrix operator*(const VarMatrix& x, const Var& s) { return s * x; }

#define AD_UNARY(name, ...) \
  inline VarMatrix name(const VarMatrix& x) { return detail::unary<row::name##_>(x); }
#define AD_BINARY(name, ...) \
  inline VarMatrix name(const VarMatrix& x, const VarMatrix& z) { return detail::binary<row::name##_>(x, z); }
#include "ad/derivatives.def"
inline VarMatrix VarMatrix::cwiseProduct(const VarMatrix& z) const { return detail::binary<row::mul_>(*this, z); }
inline VarMatrix VarMatrix::cwiseQuotient(const VarMatrix& z) const { return detail::binary<row::div_>(*this, z); }

namespace detail {
inline Var sum(const VarMatrix& x, double s) {
  Recorder r(Sum::rule, 1, 1, {&x});
  r.b.s = s;
  Matrices::values(r.t, r.b)(0) = s * Matrices::flat(r.t, r.in(0)).sum();
  return r.scalar();
}
inline Var dot(const VarMatrix& x, const VarMatrix& z, double s) {
  same_shape("dot product", x, z);
  Recorder r(Dot::rule, 1, 1, {&x, &z});
  r.b.s = s;
  Matrices::values(r.t, r.b)(0) = s * Matrices::flat(r.t, r.in(0)).dot(Matrices::flat(r.t, r.in(1)));
  return r.scalar();
}
inline void require_elements(const char* what, const VarMatrix& x) {
  if (x.size() == 0)
    throw std::invalid_argument("ad::VarMatrix: " + std::string(what) + " of a " + x.shape() + " matrix");
}
}  // namespace detail
inline Var VarMatrix::sum() const { return detail::sum(*this, 1); }
inline Var VarMatrix::mean() const {
  detail::require_elements("mean", *this);
  return detail::sum(*this, 1 / static_cast<double>(size()));
}
inline Var VarMatrix::dot(const VarMatrix& z) const { return detail::dot(*this, z, 1); }
inline Var VarMatrix::squaredNorm() const { return detail::dot(*this, *this, 1); }
/// s |x - z|^2
inline Var squared_distance(const VarMatrix& x, const VarMatrix& z, double s = 1) {
  detail::same_shape("squared distance", x, z);
  detail::Recorder r(detail::SquaredDistance::rule, 1, 1, {&x, &z});
  r.b.s = s;
  Matrices::values(r.t, r.b)(0) = s * (Matrices::flat(r.t, r.in(0)) - Matrices::flat(r.t, r.in(1))).squaredNorm();
  return r.scalar();
}
/// log sum exp of each column, a row; stable for any size of x.
inline VarMatrix log_sum_exp(const VarMatrix& x) {
  detail::require_elements("log_sum_exp", x);
  detail::Recorder r(detail::LogSumExp::rule, 1, x.cols(), {&x}, static_cast<Id>(x.size()));
  detail::LogSumExp::value(r.t, r.b);
  return r.matrix();
}
/// -sum_ij target_ij log softmax(v)_ij, the softmax of each column: sum_j (sum_i target_ij) log_sum_exp(v)_j - target . v
inline Var softmax_cross_entropy(const VarMatrix& v, const VarMatrix& target) {
  detail::same_shape("softmax_cross_entropy", v, target);
  const VarMatrix weight = Eigen::MatrixXd(target.values().colwise().sum());
  return log_sum_exp(v).dot(weight) - v.dot(target);
}
/// x z^T
inline VarMatrix outer(const VarMatrix& x, const VarMatrix& z) {
  return Affine(x.reshaped(x.size(), 1), z.reshaped(1, z.size()));
}
/// A^-1 B for a symmetric positive definite A; throws std::invalid_argument if A is not.
inline VarMatrix cholesky_solve(const VarMatrix& A, const VarMatrix& B) {
  if (A.rows() != A.cols() || A.rows() != B.rows()) detail::shapes("cholesky_solve", A, B);
  detail::Recorder r(detail::CholeskySolve::rule, B.rows(), B.cols(), {&A, &B});
  const auto llt = detail::CholeskySolve::factorized(r.t, r.b);
  if (llt.info() != Eigen::Success)
    throw std::invalid_argument("ad::cholesky_solve: the " + A.shape() + " matrix is not positive definite");
  Matrices::values(r.t, r.b) = llt.solve(Matrices::values(r.t, r.in(1)));
  return r.matrix();
}

/// A rows x cols matrix whose element i, column by column, is element(i): a Var, made part of one run.
template <class F>
VarMatrix gathered(Eigen::Index rows, Eigen::Index cols, F&& element) {
  Matrices::Tape& t = Matrices::active();
  std::vector<double> ids(static_cast<std::size_t>(rows * cols)), values(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Var x = element(static_cast<Eigen::Index>(i));
    ids[i] = x.id() == 0 ? 0 : Matrices::id(t, x);
    values[i] = x.value();
  }
  detail::Recorder r(detail::Gathered::rule, rows, cols, {});
  r.b.extra = Matrices::add_numbers(t, ids.data(), ids.size());
  std::copy(values.begin(), values.end(), Matrices::values(r.t, r.b).data());
  return r.matrix();
}
/// A matrix of Vars as one VarMatrix.
template <class D>
requires std::same_as<typename D::Scalar, Var> VarMatrix whole(const Eigen::DenseBase<D>& m) {
  return gathered(m.rows(), m.cols(), [&](Eigen::Index i) { return m(i % m.rows(), i / m.rows()); });
}
inline VarMatrix VarMatrix::block(Eigen::Index i, Eigen::Index j, Eigen::Index rows, Eigen::Index cols) const {
  if (i < 0 || j < 0 || rows < 0 || cols < 0 || i + rows > this->rows() || j + cols > this->cols())
    refuse("block", i, j);
  return gathered(rows, cols, [&](Eigen::Index k) { return (*this)(i + k % rows, j + k / rows); });
}
inline VarMatrix VarMatrix::transpose() const {
  if (rows_ == 1 || cols_ == 1) return reshaped(cols(), rows());
  return gathered(cols(), rows(), [&](Eigen::Index k) { return (*this)(k / cols(), k % cols()); });
}
/// One above the other.
inline VarMatrix vertical(const VarMatrix& x, const VarMatrix& z) {
  if (x.cols() != z.cols()) detail::shapes("vertical", x, z);
  const Eigen::Index n = x.rows() + z.rows();
  return gathered(n, x.cols(),
                  [&](Eigen::Index k) { return k % n < x.rows() ? x(k % n, k / n) : z(k % n - x.rows(), k / n); });
}
/// Side by side.
inline VarMatrix horizontal(const VarMatrix& x, const VarMatrix& z) {
  if (x.rows() != z.rows()) detail::shapes("horizontal", x, z);
  return gathered(x.rows(), x.cols() + z.cols(), [&](Eigen::Index k) {
    const Eigen::Index i = k % x.rows(), j = k / x.rows();
    return j < x.cols() ? x(i, j) : z(i, j - x.cols());
  });
}

/// The adjoints (tangents) of a matrix after a sweep, in its shape.
inline Eigen::MatrixXd adjoint(const Matrices::Tape& t, const VarMatrix& x) {
  return Matrices::derivatives(t, x, true);
}
inline Eigen::MatrixXd tangent(const Matrices::Tape& t, const VarMatrix& x) {
  return Matrices::derivatives(t, x, false);
}

}  // namespace ad
