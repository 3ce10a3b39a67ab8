# A folder under src/ is a layer, and a layer may include only itself and the layers that it names here.
#
# Every layer's headers are exported through a view: a directory that holds one symbolic link, named after the
# layer. A target sees the views of its dependencies and no others, so an include that points upward does not compile.
# What a path like "../engine/model.h" could still reach, tests/layers/no_include_by_path.cmake rejects.

set(LATTICE_VIEWS ${CMAKE_BINARY_DIR}/layers)

# lattice_layer(<name> DEPENDS <layers...> LIBRARIES <external targets...> SOURCES <files relative to src/name...>)
function(lattice_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBRARIES;SOURCES" ${ARGN})
  set(view ${LATTICE_VIEWS}/${name})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${view}/${name} SYMBOLIC)

  list(TRANSFORM ARG_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/src/${name}/)
  add_library(lattice_${name} STATIC ${ARG_SOURCES})
  # Where eight files are compiled as one, their being included is no defect.
  set_target_properties(lattice_${name} PROPERTIES
    UNITY_BUILD_CODE_BEFORE_INCLUDE "// NOLINTNEXTLINE(bugprone-suspicious-include)")
  target_include_directories(lattice_${name} PUBLIC
    $<BUILD_INTERFACE:${view}> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  list(TRANSFORM ARG_DEPENDS PREPEND lattice_)
  target_link_libraries(lattice_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES} PRIVATE lattice_warnings)
endfunction()

# lattice_python_test(<name> <module> [<variable>=<value> ...])
# A module of Python's unittest in the current folder, which finds tools/ and the variables given. Such tests look at how things
# are written, compared and reported, where a sanitizer sees nothing new.
function(lattice_python_test name module)
  find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)  # here, since the program builds without Python
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} -m unittest ${module} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS not_under_asan
    ENVIRONMENT "PYTHONPATH=${PROJECT_SOURCE_DIR}/tools;PYTHONDONTWRITEBYTECODE=1;${ARGN}")
endfunction()

# lattice_test(<layer> SOURCES <files relative to tests/layer...> [LIBRARIES ...] [THREADED <GoogleTest filter>]
#              [ADDRESS <GoogleTest filter>])
# One test program a layer, called test_<layer>; its cases are registered with CTest one by one. THREADED: the program
# has tests of code that runs on several threads. They get the label `threaded`, and of them the filter names those
# that ThreadSanitizer, which slows everything down tenfold, is to run. ADDRESS: those that AddressSanitizer runs, where it
# does not run all: long texts through the shipped model would take it an hour for code that odd shapes and short texts cover.
function(lattice_test layer)
  cmake_parse_arguments(ARG "" "THREADED;ADDRESS" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT LATTICE_BUILD_TESTS)
    return()
  endif()
  list(TRANSFORM ARG_SOURCES PREPEND ${PROJECT_SOURCE_DIR}/tests/${layer}/)
  add_executable(test_${layer} ${ARG_SOURCES})
  target_include_directories(test_${layer} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${layer} PRIVATE lattice_${layer} ${ARG_LIBRARIES} lattice_warnings GTest::gtest_main)
  target_compile_definitions(test_${layer} PRIVATE LATTICE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(LATTICE_SANITIZE)
    target_compile_options(test_${layer} PRIVATE -O0)  # the code under test is optimised; its checks need not be
  endif()
  set(discovery TEST_PREFIX "${layer}." DISCOVERY_TIMEOUT 60)
  if(ARG_THREADED)
    add_dependencies(threaded_tests test_${layer})
    list(APPEND discovery PROPERTIES LABELS threaded)
    if(LATTICE_SANITIZE MATCHES "thread")
      list(APPEND discovery TEST_FILTER "${ARG_THREADED}")
    endif()
  endif()
  if(ARG_ADDRESS AND LATTICE_SANITIZE MATCHES "address")
    list(APPEND discovery TEST_FILTER "${ARG_ADDRESS}")
  endif()
  gtest_discover_tests(test_${layer} ${discovery})
endfunction()
