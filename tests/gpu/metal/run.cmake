# Fetches metal-cpp, builds the tests of the Metal device, and runs them.
include(${CMAKE_CURRENT_LIST_DIR}/fetch.cmake)
if(NOT have_headers)
  return()
endif()
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BUILD} --target test_metal COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${PROGRAM} --gtest_filter=${FILTER} --gtest_brief=1 COMMAND_ERROR_IS_FATAL ANY)
