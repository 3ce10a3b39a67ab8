# Run by `cmake -P` on every build, with SOURCE_DIR, TEMPLATE, OUTPUT, COMPILER and FLAGS: writes the commit that is
# being built into a header, which stays untouched where nothing changed, so that nothing is compiled again for it.
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --abbrev=12 --dirty --exclude=*
  OUTPUT_VARIABLE COMMIT ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed OR COMMIT STREQUAL "")
  set(COMMIT "unknown")
endif()
string(REPLACE "\\" "\\\\" FLAGS "${FLAGS}")
string(REPLACE "\"" "\\\"" FLAGS "${FLAGS}")
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
