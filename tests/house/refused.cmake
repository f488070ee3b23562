# Passes when the compiler refuses SOURCE with an error that matches its first line, `// error: REGEX` (CMake's regular
# expressions), and accepts it with -DCONTROL: the file must be wrong in that one place only.
#   cmake -DSOURCE=... -DCOMPILER=... -DOPTIONS=file -P refused.cmake
cmake_minimum_required(VERSION 3.22)
file(STRINGS "${SOURCE}" first LIMIT_COUNT 1)
if(NOT first MATCHES "^// error: (.+)$")
  message(FATAL_ERROR "${SOURCE}: the first line must be  // error: REGEX")
endif()
set(reason "${CMAKE_MATCH_1}")
file(STRINGS "${OPTIONS}" options)
set(compile "${CMAKE_COMMAND}" -E env LC_ALL=C "${COMPILER}" ${options} -fsyntax-only)

execute_process(COMMAND ${compile} -DCONTROL "${SOURCE}" OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${SOURCE}: does not compile with -DCONTROL either\n${said}")
endif()
execute_process(COMMAND ${compile} "${SOURCE}" OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE result)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE}: compiles, and should not")
elseif(NOT said MATCHES "${reason}")
  message(FATAL_ERROR "${SOURCE}: refused, but not because of \"${reason}\"\n${said}")
endif()
