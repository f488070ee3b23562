# unroll_embed_sources(TARGET FILES...): compiles the text of FILES into TARGET (see tutorials/sources.h).
# The same file is the script that writes the C++: cmake -DLIST=... -DOUT=... -P embed.cmake
if(CMAKE_SCRIPT_MODE_FILE)
  file(STRINGS "${LIST}" files)
  set(cpp "// Written by ${CMAKE_SCRIPT_MODE_FILE}: the text of the lessons.\n#include \"tutorials/sources.h\"\n\n")
  string(APPEND cpp "namespace tutorials {\n\nconst std::vector<Source>& sources() {\n  static const std::vector<Source> all = {\n")
  foreach(file IN LISTS files)
    file(READ "${file}" text)
    get_filename_component(name "${file}" NAME)
    string(FIND "${text}" ")~text~\"" collision)
    if(NOT collision EQUAL -1)
      message(FATAL_ERROR "${file}: contains )~text~\" and cannot be embedded")
    endif()
    string(APPEND cpp "      {\"${name}\", R\"~text~(${text})~text~\"},\n")
  endforeach()
  string(APPEND cpp "  };\n  return all;\n}\n\n}  // namespace tutorials\n")
  file(WRITE "${OUT}" "${cpp}")
  return()
endif()

set(UNROLL_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")
function(unroll_embed_sources target)
  list(TRANSFORM ARGN PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" REGEX "^[^/]" OUTPUT_VARIABLE files)
  set(list "${CMAKE_CURRENT_BINARY_DIR}/${target}_sources.txt")
  set(out "${CMAKE_CURRENT_BINARY_DIR}/${target}_sources.cpp")
  list(JOIN files "\n" lines)
  file(CONFIGURE OUTPUT "${list}" CONTENT "${lines}\n" @ONLY)  # rewritten only when the list changes
  add_custom_command(OUTPUT "${out}"
    COMMAND "${CMAKE_COMMAND}" "-DLIST=${list}" "-DOUT=${out}" -P "${UNROLL_EMBED_SCRIPT}"
    DEPENDS ${files} "${list}" "${UNROLL_EMBED_SCRIPT}" COMMENT "Embedding the lessons' sources" VERBATIM)
  target_sources(${target} PRIVATE "${out}")
endfunction()
