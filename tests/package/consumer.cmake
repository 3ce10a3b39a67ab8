# Installs BUILD into WORK/prefix, configures and builds CONSUMER against it from nothing, and compares what its
# programs print with Hugging Face's greedy continuation. LATTICE_MODEL is unset: the installed model is the one.
unset(ENV{LATTICE_MODEL})
file(REMOVE_RECURSE ${WORK}/prefix ${WORK}/build)
set(quiet OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix ${quiet})

set(flags)
if(SANITIZE)
  set(flags "-fsanitize=${SANITIZE}")
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -G ${GENERATOR} -S ${CONSUMER} -B ${WORK}/build
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_C_COMPILER=${C}
  "-DCMAKE_CXX_FLAGS=${flags}" "-DCMAKE_C_FLAGS=${flags}" ${quiet})
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build ${quiet})

# It must be the installed package that was found, not one of the machine's.
file(STRINGS ${WORK}/build/CMakeCache.txt found REGEX "^lattice_DIR:")
string(FIND "${found}" "${WORK}/prefix/" position)
if(position EQUAL -1)
  message(FATAL_ERROR "find_package(lattice) found something else: ${found}")
endif()

file(READ ${GOLDEN} golden)
string(JSON prompt GET "${golden}" prompts 0 prompt)
string(JSON continuation GET "${golden}" prompts 0 continuation)
string(JSON tokens LENGTH "${golden}" prompts 0 continuation_ids)
string(JSON first GET "${golden}" prompts 0 continuation_ids 0)

function(expect expected)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE errors)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: exit ${result}: ${errors}")
  endif()
  if(NOT output STREQUAL expected)
    message(FATAL_ERROR "${ARGN} printed\n${output}\nnot\n${expected}")
  endif()
endfunction()
expect("${continuation}" ${WORK}/build/story "${prompt}" ${tokens})
expect("${first}" ${WORK}/build/logits "${prompt}")

# The installed program, where there is one, finds the model that was installed beside it.
if(EXISTS ${WORK}/prefix/bin/lattice)
  execute_process(COMMAND ${WORK}/prefix/bin/lattice run "${prompt}" --greedy --max-tokens ${tokens}
    WORKING_DIRECTORY ${WORK} OUTPUT_VARIABLE output ERROR_VARIABLE errors RESULT_VARIABLE result)
  string(FIND "${output}" "${continuation}" position)
  if(NOT result EQUAL 0 OR position EQUAL -1)
    message(FATAL_ERROR "the installed program: exit ${result}: ${output}${errors}")
  endif()
endif()

# pkg-config leads to the same library.
find_program(PKG_CONFIG pkg-config REQUIRED)
file(GLOB_RECURSE pc ${WORK}/prefix/lattice.pc)
get_filename_component(pc_directory ${pc} DIRECTORY)
execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_directory} ${PKG_CONFIG} --cflags --libs --static
  lattice OUTPUT_VARIABLE pc_flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(pc_flags)
separate_arguments(flags)
execute_process(COMMAND ${CXX} -std=c++20 ${flags} "-DMODEL_DIR=\"${WORK}/prefix/share/lattice/models/tinystories-qwen35\""
  ${CONSUMER}/story.cpp ${pc_flags} -o ${WORK}/build/story_pc COMMAND_ERROR_IS_FATAL ANY)
expect("${continuation}" ${WORK}/build/story_pc "${prompt}" ${tokens})
