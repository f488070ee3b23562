# unroll_library(NAME LINKS...): the header-only library in folder NAME, as target unroll::NAME.
include_guard(GLOBAL)
include(GNUInstallDirs)

function(unroll_library name)
  add_library(unroll_${name} INTERFACE)
  add_library(unroll::${name} ALIAS unroll_${name})
  set_target_properties(unroll_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(unroll_${name} INTERFACE cxx_std_20)
  target_include_directories(unroll_${name} INTERFACE
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/unroll>")
  target_link_libraries(unroll_${name} INTERFACE ${ARGN})
  if(UNROLL_INSTALL)
    install(TARGETS unroll_${name} EXPORT unroll)
    install(DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/unroll
      FILES_MATCHING PATTERN "*.h" PATTERN "*.def")
  endif()
endfunction()
