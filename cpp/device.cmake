# The backend "cuda": host code for devices in general, and one of them, CUDA or for tests one that runs on the host.

set(device_sources
  cpp/src/device_backend.cpp
  cpp/src/device_chunks.cpp
  cpp/src/device_constants.cpp
  cpp/src/device_form.cpp
  cpp/src/device_info.cpp
  cpp/src/device_multi_power.cpp
  cpp/src/device_products.cpp
  cpp/src/device_ring.cpp
  cpp/src/device_table.cpp
  cpp/src/segment_plan.cpp)
# One object for each shape of kernels/batch_kernels.cuh, so that they compile side by side.
set(device_shapes 2x8 4x8 4x12 8x8 8x12 16x8)

function(add_device_shapes prefix source)
  foreach(shape ${device_shapes})
    string(REPLACE "x" ";" sizes ${shape})
    list(GET sizes 0 threads)
    list(GET sizes 1 limbs)
    add_library(${prefix}_${shape} OBJECT ${source})
    target_include_directories(${prefix}_${shape} PRIVATE cpp/include)
    target_compile_definitions(${prefix}_${shape} PRIVATE CIPHERLANE_THREADS=${threads} CIPHERLANE_LIMBS=${limbs})
    target_sources(cipherlane_core PRIVATE $<TARGET_OBJECTS:${prefix}_${shape}>)
  endforeach()
endfunction()

# Also the modules and programs: what is emulated they must know to be so.
if(CIPHERLANE_EMULATED_DEVICE)
  target_sources(cipherlane_core PRIVATE ${device_sources} cpp/src/emulated_device.cpp cpp/src/emulated_memory.cpp)
  target_compile_definitions(cipherlane_core PUBLIC CIPHERLANE_EMULATED_DEVICE PRIVATE CIPHERLANE_WITH_DEVICE)
  add_device_shapes(cipherlane_emulated cpp/src/emulated_launch.cpp)
  foreach(shape ${device_shapes})
    target_compile_definitions(cipherlane_emulated_${shape} PRIVATE CIPHERLANE_EMULATED_DEVICE)
  endforeach()
  return()
endif()

if(CIPHERLANE_CUDA STREQUAL "OFF")
  target_sources(cipherlane_core PRIVATE cpp/src/no_device.cpp)
  return()
elseif(NOT CIPHERLANE_CUDA MATCHES "^(AUTO|ON)$")
  message(FATAL_ERROR "CIPHERLANE_CUDA: expected AUTO, ON or OFF, got ${CIPHERLANE_CUDA}")
endif()
find_program(CIPHERLANE_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
if(NOT CIPHERLANE_NVCC)
  if(CIPHERLANE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "CIPHERLANE_CUDA=ON, but nvcc is not found: put it on PATH, or set CUDA_HOME")
  endif()
  message(STATUS "The backend cuda is left out: nvcc is not found")
  target_sources(cipherlane_core PRIVATE cpp/src/no_device.cpp)
  return()
endif()

if(NOT CIPHERLANE_CUDA_ARCHITECTURES)
  # Code for the first of each major that this nvcc knows, which later ones of that major run, and PTX for what comes
  # after the newest.
  execute_process(COMMAND ${CIPHERLANE_NVCC} --list-gpu-arch OUTPUT_VARIABLE listed RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${CIPHERLANE_NVCC} --list-gpu-arch failed: ${status}")
  endif()
  string(REGEX MATCHALL "compute_[0-9]+" listed "${listed}")
  set(newest 0)
  foreach(architecture ${listed})
    string(REPLACE "compute_" "" number ${architecture})
    if(number LESS 75)
      continue()
    endif()
    math(EXPR major "${number} / 10")
    if(NOT DEFINED first_of_${major} OR number LESS first_of_${major})
      set(first_of_${major} ${number})
    endif()
    list(APPEND majors ${major})
    if(major GREATER newest)
      set(newest ${major})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES majors)
  foreach(major ${majors})
    list(APPEND CIPHERLANE_CUDA_ARCHITECTURES ${first_of_${major}}-real)
  endforeach()
  list(APPEND CIPHERLANE_CUDA_ARCHITECTURES ${first_of_${newest}}-virtual)
endif()
message(STATUS "The backend cuda is built for ${CIPHERLANE_CUDA_ARCHITECTURES}")

set(CMAKE_CUDA_COMPILER ${CIPHERLANE_NVCC})
set(CMAKE_CUDA_ARCHITECTURES ${CIPHERLANE_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
enable_language(CUDA)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
find_package(CUDAToolkit REQUIRED)
add_device_shapes(cipherlane_cuda kernels/launch.cu)
add_library(cipherlane_cuda_items OBJECT kernels/launch_items.cu)
target_sources(cipherlane_core PRIVATE $<TARGET_OBJECTS:cipherlane_cuda_items>)
# A kernel that spills runs, only slower than it should: no reason to refuse a compiler that we have not seen.
set(spills --warn-on-spills)
if(CIPHERLANE_CUDA_STRICT)
  set(spills --warn-on-spills,--warning-as-error)
endif()
foreach(kernels ${device_shapes} items)
  target_compile_options(cipherlane_cuda_${kernels} PRIVATE -Xptxas=${spills})
endforeach()
target_sources(cipherlane_core PRIVATE ${device_sources} cpp/src/cuda_device.cpp
  cpp/src/cuda_handles.cpp cpp/src/cuda_transfers.cpp)
target_compile_definitions(cipherlane_core PRIVATE CIPHERLANE_WITH_DEVICE)
# The runtime comes along, and finds the driver itself: the module loads where there is none.
target_link_libraries(cipherlane_core PRIVATE CUDA::cudart_static)
# It was made before the language was enabled, so older versions of CMake miss its architectures.
set_target_properties(cipherlane_core PROPERTIES
  LINKER_LANGUAGE CXX CUDA_ARCHITECTURES "${CIPHERLANE_CUDA_ARCHITECTURES}")
