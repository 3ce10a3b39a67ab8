# Compiles the Metal device for macOS 14 on arm64, against Apple's metal-cpp. Of the rest of a Mac's headers there is only what
# stands in apple_headers; the C++ library is this machine's, its C library's headers told that words have 64 bits (c_headers).
include(${CMAKE_CURRENT_LIST_DIR}/fetch.cmake)
if(NOT have_headers)
  return()
endif()

execute_process(COMMAND ${CLANG} -E -v -x c++ /dev/null OUTPUT_QUIET ERROR_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "search starts here:\n(.*)\nEnd of search list" found "${said}")
string(REGEX REPLACE "\n *" ";" folders ";${CMAKE_MATCH_1}")
set(flags --target=arm64-apple-macos14 -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Werror -nostdinc++ -D_GNU_SOURCE
  -U__nonnull -DLATTICE_HAS_METAL=1 -isystem ${HEADERS} -isystem ${APPLE_HEADERS} -isystem ${CMAKE_CURRENT_LIST_DIR}/c_headers)
foreach(folder ${folders})
  string(FIND "${folder}" "/clang/" of_clang)  # which it finds by itself
  if(folder AND of_clang EQUAL -1 AND NOT folder MATCHES ":$")
    list(APPEND flags -isystem ${folder})
  endif()
endforeach()
file(GLOB views ${VIEWS}/*)
foreach(view ${views} ${ROOT}/include)
  list(APPEND flags -I ${view})
endforeach()
foreach(source ${SOURCES} ${ROOT}/src/engine/devices.cpp)
  execute_process(COMMAND ${CLANG} ${flags} ${source} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
