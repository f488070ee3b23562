# `cmake --install build --prefix DIR`, then find_package(unroll) in another project.
include(CMakePackageConfigHelpers)
set(unroll_package "${CMAKE_INSTALL_LIBDIR}/cmake/unroll")
install(EXPORT unroll NAMESPACE unroll:: FILE unrollTargets.cmake DESTINATION ${unroll_package})
file(WRITE "${PROJECT_BINARY_DIR}/unrollConfig.cmake"
"include(CMakeFindDependencyMacro)
find_dependency(Eigen3 NO_MODULE)
find_dependency(fmt)
include(\"\${CMAKE_CURRENT_LIST_DIR}/unrollTargets.cmake\")
")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/unrollConfig.cmake" "${PROJECT_BINARY_DIR}/unrollConfigVersion.cmake"
  DESTINATION ${unroll_package})
