# Has the headers under HEADERS, or says why the test is skipped.
execute_process(COMMAND ${FETCH} ${HEADERS} RESULT_VARIABLE result ERROR_VARIABLE error)
if(NOT result EQUAL 0)
  message("metal is not tested: Apple's metal-cpp cannot be had here.\n${error}")
  return()
endif()
set(have_headers TRUE)
