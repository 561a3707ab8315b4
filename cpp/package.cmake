# The installable C++ library: `find_package(Cipherlane)` and `target_link_libraries(... Cipherlane::cipherlane)`.

add_library(cipherlane STATIC
  cpp/src/cipher_batch.cpp
  cpp/src/encoding.cpp
  cpp/src/key_generation.cpp
  cpp/src/key_json.cpp
  cpp/src/keys.cpp
  cpp/src/message.cpp
  cpp/src/numbers.cpp
  cpp/src/prime_search.cpp
  cpp/src/sha256.cpp)
target_compile_options(cipherlane PRIVATE -Wall -Wextra -Wpedantic -Wshadow)
target_compile_features(cipherlane PUBLIC cxx_std_17)
target_link_libraries(cipherlane PUBLIC cipherlane_core)
set_target_properties(cipherlane_core PROPERTIES EXPORT_NAME core)

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/Cipherlane)
get_target_property(core_libraries cipherlane_core LINK_LIBRARIES)
set(CIPHERLANE_NEEDS_CUDA OFF)
if("CUDA::cudart_static" IN_LIST core_libraries)
  set(CIPHERLANE_NEEDS_CUDA ON)
endif()
configure_package_config_file(cpp/CipherlaneConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/CipherlaneConfig.cmake
  INSTALL_DESTINATION ${package_directory})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/CipherlaneConfigVersion.cmake
  VERSION ${CIPHERLANE_VERSION} COMPATIBILITY SameMinorVersion)
install(TARGETS cipherlane cipherlane_core EXPORT cipherlane ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY cpp/include/cipherlane DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT cipherlane NAMESPACE Cipherlane:: DESTINATION ${package_directory} FILE CipherlaneTargets.cmake)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/CipherlaneConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/CipherlaneConfigVersion.cmake
  DESTINATION ${package_directory})

if(CIPHERLANE_XGBOOST_PLUGIN)
  add_subdirectory(cpp/integrations/xgboost)
endif()
