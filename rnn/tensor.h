// The third-order tensors of the notes: P_t^(W) with one slice for each presynaptic unit.
#pragma once

#include <stdexcept>
#include <string>

#include "rnn/loss.h"

namespace rnn {

/// A tensor of size d1 x d2 x d3. P_t^(W_in) is one, d x d x n: entry (i, j, k) = dh_i / dW_jk.
/// Its slices (P)_{::k}, d1 x d2, stand side by side in one matrix.
template <class T>
class Tensor3 {
 public:
  /// From the matrix of the slices side by side, d1 x (d2 d3).
  Tensor3(MatrixX<T> slices, Eigen::Index d2) : slices_(std::move(slices)), d2_(d2) {
    if (d2 <= 0 || slices_.cols() % d2 != 0)
      throw std::invalid_argument("rnn::Tensor3: " + std::to_string(slices_.cols()) +
                                  " columns are no whole number of slices of " + std::to_string(d2));
  }

  Eigen::Index dimension(int axis) const { return axis == 0 ? slices_.rows() : axis == 1 ? d2_ : slices_.cols() / d2_; }
  const T& operator()(Eigen::Index i, Eigen::Index j, Eigen::Index k) const {
    require(i, 0), require(j, 1), require(k, 2);
    return slices_(i, k * d2_ + j);
  }
  /// (P)_{::k}, d1 x d2.
  auto slice(Eigen::Index k) const {
    require(k, 2);
    return slices_.middleCols(k * d2_, d2_);
  }
  const MatrixX<T>& slices() const { return slices_; }

 private:
  void require(Eigen::Index i, int axis) const {
    if (i < 0 || i >= dimension(axis))
      throw std::out_of_range("rnn::Tensor3: index " + std::to_string(i) + " along axis " + std::to_string(axis + 1) +
                              " of " + std::to_string(dimension(axis)));
  }
  MatrixX<T> slices_;
  Eigen::Index d2_;
};

/// A (x)_1 P, the notes' contraction along the first axis: A times every slice. A: r x d1; result: r x d2 x d3.
/// Throws std::invalid_argument where A has another number of columns.
template <class A, class T>
Tensor3<T> contract_first_axis(const Eigen::MatrixBase<A>& a, const Tensor3<T>& p) {
  detail::require_size("rnn::contract_first_axis", "the matrix's number of columns", a.cols(),
                       "the tensor's first dimension", p.dimension(0));
  return {a.derived() * p.slices(), p.dimension(1)};
}

/// The same for a row vector (1 x d1), whose result the notes write as a matrix, d2 x d3: dL_t/dh_t (x)_1 P = dL_t/dW.
template <class A, class T>
MatrixX<T> contract_row(const Eigen::MatrixBase<A>& row, const Tensor3<T>& p) {
  detail::require_size("rnn::contract_row", "the vector's number of rows", row.rows(), "that of a row vector", 1);
  const MatrixX<T> flat = contract_first_axis(row, p).slices();
  return Eigen::Map<const MatrixX<T>>(flat.data(), p.dimension(1), p.dimension(2));
}

}  // namespace rnn
