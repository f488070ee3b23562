# unroll_download(NAME): fetches a library that find_package did not find; used only with -DUNROLL_DOWNLOAD=ON.
include_guard(GLOBAL)
include(FetchContent)

function(unroll_download name)
  message(STATUS "unroll: fetching ${name}")
  set(BUILD_TESTING OFF)
  if(name STREQUAL "Eigen3") # its headers are all that is wanted, not its build: no such subfolder
    FetchContent_Declare(Eigen3 GIT_REPOSITORY https://gitlab.com/libeigen/eigen.git GIT_TAG 3.4.0 GIT_SHALLOW ON
      SOURCE_SUBDIR none)
  elseif(name STREQUAL "fmt")
    FetchContent_Declare(fmt GIT_REPOSITORY https://github.com/fmtlib/fmt.git GIT_TAG 9.1.0 GIT_SHALLOW ON)
  elseif(name STREQUAL "nlohmann_json")
    FetchContent_Declare(nlohmann_json GIT_REPOSITORY https://github.com/nlohmann/json.git GIT_TAG v3.11.2
      GIT_SHALLOW ON)
  elseif(name STREQUAL "Boost") # the release archive that CMake can build, of it the test library and what it needs
    set(BOOST_INCLUDE_LIBRARIES test multiprecision)
    set(BUILD_SHARED_LIBS ON)
    FetchContent_Declare(Boost
      URL https://github.com/boostorg/boost/releases/download/boost-1.84.0/boost-1.84.0.tar.xz)
  endif()
  FetchContent_MakeAvailable(${name})
  if(name STREQUAL "Eigen3")
    add_library(Eigen3::Eigen INTERFACE IMPORTED GLOBAL)
    target_include_directories(Eigen3::Eigen INTERFACE "${eigen3_SOURCE_DIR}")
  endif()
endfunction()
