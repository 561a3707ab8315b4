// The binary interface of DLPack (https://dmlc.github.io/dlpack), as far as capsules named "dltensor" go.
#pragma once

#include <cstdint>

namespace cipherlane::dlpack {

constexpr const char* kCapsule = "dltensor";
constexpr const char* kUsedCapsule = "used_dltensor";
constexpr std::int32_t kCuda = 2;

struct Place {
  std::int32_t device_type, device_id;
};

struct DataType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};

struct Tensor {
  void* data;
  Place place;
  std::int32_t axes;
  DataType type;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null for C order
  std::uint64_t byte_offset;
};

struct ManagedTensor {
  Tensor tensor;
  void* context;
  void (*deleter)(ManagedTensor*);
};

}  // namespace cipherlane::dlpack
