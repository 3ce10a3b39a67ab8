# Fails when a source file includes another by a relative path ("../engine/model.h"), which would slip past the views of
# cmake/layers.cmake.
file(GLOB_RECURSE sources ${ROOT}/src/*.h ${ROOT}/src/*.cpp ${ROOT}/include/*.h ${ROOT}/include/*.hpp)
list(LENGTH sources count)
if(count EQUAL 0)
  message(FATAL_ERROR "No sources under ${ROOT}: the check would pass on nothing.")
endif()
foreach(source ${sources})
  file(STRINGS ${source} offending REGEX "^[ \t]*#[ \t]*include[ \t]*[\"<](\\.\\./|\\./|src/)")
  if(offending)
    message(SEND_ERROR "${source}: includes by path: ${offending}")
  endif()
endforeach()
