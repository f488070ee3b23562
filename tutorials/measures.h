// How far two things are apart, for what the lessons show.
#pragma once

#include <Eigen/Core>

namespace tutorials {

/// |got - want| / |want|, in the norm of all entries as one vector.
inline double relative(const Eigen::MatrixXd& got, const Eigen::MatrixXd& want) {
  return (got - want).norm() / want.norm();
}

}  // namespace tutorials
