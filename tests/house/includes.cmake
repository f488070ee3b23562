# Includes run one way, ad <- rnn <- rules <- tutorials, written from the project's root; and the rules, written
# by hand, see nothing that derives: the tape stays an independent witness.
#   cmake -DROOT=... -DCOMPILER=... -DOPTIONS=file -DWORK=folder -P includes.cmake
cmake_minimum_required(VERSION 3.22)
set(wrong "")

# What the #include lines say.
set(allowed "")
foreach(folder ad rnn rules tutorials)
  list(APPEND allowed ${folder})
  file(GLOB_RECURSE files RELATIVE "${ROOT}" "${ROOT}/${folder}/*.h" "${ROOT}/${folder}/*.def" "${ROOT}/${folder}/*.cpp")
  foreach(file IN LISTS files)
    file(STRINGS "${ROOT}/${file}" lines REGEX "^[ \t]*#[ \t]*include")
    foreach(line IN LISTS lines)
      if(line MATCHES "[<\"](ad|rnn|rules|tutorials|tests)/")
        if(NOT CMAKE_MATCH_1 IN_LIST allowed)
          string(APPEND wrong "${file}: ${line}   (the wrong way)\n")
        elseif(line MATCHES "<${CMAKE_MATCH_1}/")
          string(APPEND wrong "${file}: ${line}   (our own headers stand in quotes)\n")
        endif()
      elseif(line MATCHES "\"")
        string(APPEND wrong "${file}: ${line}   (write it from the project's root)\n")
      endif()
    endforeach()
  endforeach()
endforeach()

# What the compiler sees from a rule, through other headers too: of ad/ and rnn/ these and nothing else.
set(plain ad/elementary.h ad/special.h ad/derivatives.def ad/kernels.h ad/check.h
    rnn/network.h rnn/loss.h rnn/task.h rnn/text.h rnn/tensor.h rnn/transition.h rnn/random.h rnn/options.h rnn/optimizer.h)
file(STRINGS "${OPTIONS}" options)
file(GLOB_RECURSE rules RELATIVE "${ROOT}" "${ROOT}/rules/*.h")
foreach(rule IN LISTS rules)
  file(WRITE "${WORK}/rule.cpp" "#include \"${rule}\"\n")
  execute_process(COMMAND "${COMPILER}" ${options} -MM "${WORK}/rule.cpp"
    OUTPUT_VARIABLE seen ERROR_VARIABLE errors RESULT_VARIABLE result)
  string(REPLACE "\\ " " " seen "${seen}") # as make writes a path with a space in it
  string(REPLACE "${ROOT}/" "@" seen "${seen}")
  string(REGEX MATCHALL "@[^ \n@]+" seen "${seen}")
  if(NOT result EQUAL 0 OR NOT "@${rule}" IN_LIST seen)
    string(APPEND wrong "${rule}: its includes cannot be listed\n${errors}\n")
  endif()
  foreach(header IN LISTS seen)
    string(SUBSTRING "${header}" 1 -1 header)
    if(header MATCHES "^(ad|rnn)/" AND NOT header IN_LIST plain)
      string(APPEND wrong "${rule}: reaches ${header}\n")
    endif()
  endforeach()
endforeach()

if(wrong)
  message(FATAL_ERROR "includes that run the wrong way:\n${wrong}")
endif()
