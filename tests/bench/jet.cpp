// Jets of the Ceres solver: forward mode with a fixed number of directions.
#include <ceres/jet.h>

#include "forward.h"

[[maybe_unused]] static const bool added =
    bench::add_forward_subject<ceres::Jet<double, 1>, ceres::Jet<double, bench::together>>(
        "Ceres Jet", [](auto& x, int i) -> double& { return x.v[i]; });
