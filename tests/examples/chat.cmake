# Runs PROGRAM on two turns with MODEL under a chat template, and checks that it says what is missing without one.
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/model)
file(GLOB files ${MODEL}/*)
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  file(CREATE_LINK ${file} ${WORK}/model/${name} SYMBOLIC)
endforeach()
file(WRITE ${WORK}/input.txt "Tell me a story.\nAnother one.\n")

execute_process(COMMAND ${PROGRAM} ${WORK}/model INPUT_FILE ${WORK}/input.txt
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT result EQUAL 1 OR NOT errors MATCHES "no chat template")
  message(FATAL_ERROR "without a chat template: exit ${result}: ${errors}")
endif()

file(WRITE ${WORK}/model/chat_template.jinja "{{ messages }}")
execute_process(COMMAND ${PROGRAM} ${WORK}/model INPUT_FILE ${WORK}/input.txt
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors TIMEOUT 120)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "exit ${result}: ${errors}")
endif()
if(NOT output MATCHES "^> .+\n> .+\n> \n$")
  message(FATAL_ERROR "two turns and the end of the input gave: ${output}")
endif()
