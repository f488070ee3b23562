# Finds the libraries of packages.txt on this machine; fetches them only with -DUNROLL_DOWNLOAD=ON.
# What is not there is named, with its packages, and listed in <build>/missing.txt for prepare.sh.
include_guard(GLOBAL)

set(unroll_missing "")   # names, as in packages.txt
set(unroll_needed OFF)   # is one of them needed?

# unroll_find(NAME TARGET GROUP find_package's words...); it is found when the target is there.
macro(unroll_find name target group)
  find_package(${name} ${ARGN} QUIET)
  if(NOT TARGET ${target} AND UNROLL_DOWNLOAD)
    include(download)
    unroll_download(${name})
    set(UNROLL_INSTALL OFF) # what was fetched belongs to this build tree
  elseif(NOT TARGET ${target})
    list(APPEND unroll_missing ${name})
    if(NOT ${group} STREQUAL "more")
      set(unroll_needed ON)
    endif()
  endif()
endmacro()

unroll_find(Eigen3 Eigen3::Eigen all 3.4 NO_MODULE)
unroll_find(fmt fmt::fmt all)
if(UNROLL_TUTORIALS OR UNROLL_TESTS)
  unroll_find(nlohmann_json nlohmann_json::nlohmann_json more)
endif()
if(UNROLL_TESTS)
  set(Boost_USE_STATIC_LIBS OFF)
  unroll_find(Boost Boost::unit_test_framework tests CONFIG COMPONENTS unit_test_framework)
endif()

if(PROJECT_IS_TOP_LEVEL)
  list(JOIN unroll_missing "\n" unroll_lines)
  file(WRITE "${PROJECT_BINARY_DIR}/missing.txt" "${unroll_lines}\n")
endif()
if(unroll_missing)
  file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/packages.txt" unroll_rows REGEX "^[^#]")
  foreach(row IN LISTS unroll_rows)
    separate_arguments(row UNIX_COMMAND "${row}")
    list(POP_FRONT row name group apt dnf brew)
    if(name IN_LIST unroll_missing)
      string(APPEND unroll_apt " ${apt}")
      string(APPEND unroll_dnf " ${dnf}")
      string(APPEND unroll_brew " ${brew}")
    endif()
  endforeach()
  list(JOIN unroll_missing ", " unroll_names)
  set(unroll_help "not found: ${unroll_names}\n  Debian, Ubuntu: apt-get install${unroll_apt}\n"
      "  Fedora: dnf install${unroll_dnf}\n  macOS: brew install${unroll_brew}\n  or fetch them: cmake -DUNROLL_DOWNLOAD=ON")
  string(CONCAT unroll_help ${unroll_help})
  if(unroll_needed)
    file(REMOVE "${PROJECT_BINARY_DIR}/configured")
    message(FATAL_ERROR "unroll: ${unroll_help}")
  else()
    message(STATUS "unroll builds without them, the program can do less: ${unroll_help}")
  endif()
endif()
