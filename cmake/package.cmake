# The library that others link: every layer below the program in one archive (or, with BUILD_SHARED_LIBS, one shared
# object that shows what include/lattice declares and nothing else), and the package that `cmake --install` makes of
# it: headers, library, program, the shipped model, files for find_package(lattice) and pkg-config.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(objects)
foreach(layer ${LATTICE_LIBRARY_LAYERS})
  if(TARGET lattice_${layer})
    list(APPEND objects $<TARGET_OBJECTS:lattice_${layer}>)
  endif()
endforeach()

# What the layers need at link time. latticeConfig.cmake.in and lattice.pc.in look for the same.
get_property(frameworks GLOBAL PROPERTY LATTICE_FRAMEWORKS)
set(LATTICE_LINKED fmt::fmt Threads::Threads PkgConfig::UTF8PROC Boost::context ${CMAKE_DL_LIBS} ${frameworks})
list(JOIN frameworks " " LATTICE_PC_FRAMEWORKS)

# lattice_bundle(<target> <STATIC, SHARED or nothing for what BUILD_SHARED_LIBS says>)
function(lattice_bundle target)
  add_library(${target} ${ARGN} ${objects})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PRIVATE ${LATTICE_LINKED})
endfunction()

lattice_bundle(lattice)
add_library(lattice::lattice ALIAS lattice)

set(LATTICE_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/lattice)
set(LATTICE_MODELS_DIR ${CMAKE_INSTALL_DATADIR}/lattice/models)
configure_package_config_file(cmake/latticeConfig.cmake.in ${CMAKE_BINARY_DIR}/latticeConfig.cmake
  INSTALL_DESTINATION ${LATTICE_CMAKE_DIR} PATH_VARS LATTICE_MODELS_DIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/latticeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/lattice.pc.in ${CMAKE_BINARY_DIR}/lattice.pc @ONLY)

install(TARGETS lattice EXPORT latticeTargets)
install(EXPORT latticeTargets NAMESPACE lattice:: DESTINATION ${LATTICE_CMAKE_DIR})
install(FILES ${CMAKE_BINARY_DIR}/latticeConfig.cmake ${CMAKE_BINARY_DIR}/latticeConfigVersion.cmake
  DESTINATION ${LATTICE_CMAKE_DIR})
install(FILES ${CMAKE_BINARY_DIR}/lattice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY include/lattice DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The model without what only the tests read.
install(DIRECTORY models/tinystories-qwen35 DESTINATION ${LATTICE_MODELS_DIR}
  PATTERN golden.json EXCLUDE PATTERN heldout.txt EXCLUDE)
if(TARGET lattice_program)
  install(TARGETS lattice_program)
endif()
