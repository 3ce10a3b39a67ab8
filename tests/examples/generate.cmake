# Runs PROGRAM on the first golden prompt and compares what it prints with the golden continuation, letter by letter;
# then checks that it fails as it should.
file(READ ${GOLDEN} golden)
string(JSON prompt GET "${golden}" prompts 0 prompt)
string(JSON continuation GET "${golden}" prompts 0 continuation)
string(JSON tokens LENGTH "${golden}" prompts 0 continuation_ids)

execute_process(COMMAND ${PROGRAM} "${prompt}" ${MODEL} ${tokens}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "exit ${result}: ${errors}")
endif()
if(NOT output STREQUAL "${prompt}${continuation}\n")
  message(FATAL_ERROR "printed\n${output}\nnot\n${prompt}${continuation}")
endif()
if(NOT errors MATCHES "^${tokens} tokens on cpu .*, ended by length\n$")
  message(FATAL_ERROR "its figures are: ${errors}")
endif()

execute_process(COMMAND ${PROGRAM} "${prompt}" /no/such/model
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT result EQUAL 1 OR NOT errors MATCHES "/no/such/model")
  message(FATAL_ERROR "for a model that is not there: exit ${result}: ${errors}")
endif()
