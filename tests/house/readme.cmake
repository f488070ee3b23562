# README's first example prints what README says it prints. Run as a script; ROOT, COMPILER, OPTIONS, LIBRARIES, WORK given.
file(READ "${ROOT}/README.md" page)

# The text between the first line `open` and the next line of three backquotes.
function(excerpt open result)
  string(FIND "${page}" "\n${open}\n" begin)
  if(begin EQUAL -1)
    message(FATAL_ERROR "README.md has no block that begins with ${open}")
  endif()
  string(LENGTH "\n${open}\n" skip)
  math(EXPR begin "${begin} + ${skip}")
  string(SUBSTRING "${page}" ${begin} -1 rest)
  string(FIND "${rest}" "\n```" end)
  math(EXPR end "${end} + 1")
  string(SUBSTRING "${rest}" 0 ${end} text)
  set(${result} "${text}" PARENT_SCOPE)
  math(EXPR end "${end} + 3")
  string(SUBSTRING "${rest}" ${end} -1 rest)
  set(page "${rest}" PARENT_SCOPE) # the next block is looked for after this one
endfunction()

excerpt("```cpp" program)
excerpt("```" expected)
file(WRITE "${WORK}/readme_example.cpp" "${program}")
execute_process(COMMAND "${COMPILER}" "@${OPTIONS}" readme_example.cpp -o readme_example ${LIBRARIES}
  WORKING_DIRECTORY "${WORK}" RESULT_VARIABLE failed ERROR_VARIABLE errors)
if(failed)
  message(FATAL_ERROR "README's example does not compile:\n${errors}")
endif()
execute_process(COMMAND "${WORK}/readme_example" OUTPUT_VARIABLE printed RESULT_VARIABLE failed)
if(failed OR NOT printed STREQUAL expected)
  message(FATAL_ERROR "README's example prints (${failed})\n${printed}\nbut README says\n${expected}")
endif()
