#include "device_bindings.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "binding_arrays.hpp"
#include "bindings.hpp"
#include "device_codec.hpp"
#include "dlpack.hpp"

namespace cipherlane {
namespace {

using ByteArray = py::array_t<std::uint8_t, py::array::c_style>;

Device& the_device() {
  const DeviceChoice choice = choose_device();
  if (choice.device == nullptr) throw BackendUnavailable("backend: 'cuda' cannot be used: " + choice.reason);
  return *choice.device;
}

std::optional<std::uint64_t> place_of(const Faults& faults, kernels::Fault fault) {
  if (faults[fault] == kernels::kNowhere) return std::nullopt;
  return faults[fault];
}

// Numbers of someone's array on the device: where each lies, checked to be memory of this device.
struct View {
  kernels::Strided strided{};
  std::size_t count = 1;
  std::uint32_t log_bytes = 0;
};

struct ElementName {
  const char* name;
  kernels::Element element;
  std::uint32_t log_bytes;
};
constexpr ElementName kElements[] = {
    {"b1", kernels::Element::kBool, 0},    {"i1", kernels::Element::kInt8, 0},    {"i2", kernels::Element::kInt16, 1},
    {"i4", kernels::Element::kInt32, 2},   {"i8", kernels::Element::kInt64, 3},   {"u1", kernels::Element::kUint8, 0},
    {"u2", kernels::Element::kUint16, 1},  {"u4", kernels::Element::kUint32, 2},  {"u8", kernels::Element::kUint64, 3},
    {"f2", kernels::Element::kFloat16, 1}, {"f4", kernels::Element::kFloat32, 2}, {"f8", kernels::Element::kFloat64, 3},
};

View make_view(std::uintptr_t address, const std::string& element, const std::vector<std::int64_t>& lengths,
               const std::vector<std::int64_t>& strides) {
  View view;
  const auto* found = std::find_if(std::begin(kElements), std::end(kElements),
                                   [&](const ElementName& one) { return element == one.name; });
  if (found == std::end(kElements)) throw py::value_error("element: '" + element + "' is none that a device reads");
  if (lengths.size() != strides.size() || lengths.size() > static_cast<std::size_t>(kernels::kMostAxes))
    throw py::value_error("lengths, strides: expected as many, and at most " + std::to_string(kernels::kMostAxes) +
                          ", got " + std::to_string(lengths.size()) + " and " + std::to_string(strides.size()));
  view.strided.element = found->element;
  view.log_bytes = found->log_bytes;
  view.strided.axes = static_cast<std::uint32_t>(lengths.size());
  std::int64_t below = 0, above = std::int64_t{1} << view.log_bytes;
  for (std::size_t axis = 0; axis < lengths.size(); ++axis) {
    std::int64_t reach = 0, elements = 0;
    if (lengths[axis] < 0 ||
        __builtin_mul_overflow(std::max<std::int64_t>(lengths[axis] - 1, 0), strides[axis], &reach) ||
        __builtin_add_overflow(reach < 0 ? below : above, reach, reach < 0 ? &below : &above) ||
        __builtin_mul_overflow(static_cast<std::int64_t>(view.count), lengths[axis], &elements))
      throw py::value_error("lengths, strides: reach further than any memory");
    view.strided.lengths[axis] = static_cast<std::uint64_t>(lengths[axis]);
    view.strided.strides[axis] = strides[axis];
    view.count = static_cast<std::size_t>(elements);
  }
  if (view.count == 0) return view;
  const std::uintptr_t mask = (std::uintptr_t{1} << view.log_bytes) - 1;
  if ((address & mask) != 0 || std::any_of(strides.begin(), strides.end(), [&](std::int64_t stride) {
        return (static_cast<std::uintptr_t>(stride) & mask) != 0;
      }))
    throw py::value_error("address, strides: expected multiples of the element's size, " + std::to_string(mask + 1) +
                          " bytes; make an aligned copy first");
  // As integers: the bounds of someone else's memory are not to be reached by arithmetic on pointers.
  const std::uintptr_t lowest = address + static_cast<std::uintptr_t>(below);
  the_device().check_memory(reinterpret_cast<const void*>(lowest), static_cast<std::size_t>(above - below));
  view.strided.first =
      kernels::DevicePointer<const unsigned char>(reinterpret_cast<const unsigned char*>(address));  // NOLINT
  return view;
}

Limbs modulus_of(const LimbArray& modulus) {
  check_modulus(modulus);
  return Limbs(modulus.data(), modulus.data() + modulus.shape(0));
}

// `length` values of a row in plaintexts of some slots.
kernels::PackedRows packed_rows(std::size_t length, std::size_t scale_bits, std::size_t slots, std::size_t slot_bits,
                                const Limbs& modulus) {
  constexpr std::size_t kMostScaleBits = 8192;
  const std::size_t bits = bit_length(modulus.data(), modulus.size());
  if (slots < 1 || (slots > 1 && (slot_bits < 2 || slots * slot_bits + 2 > bits)) || scale_bits > kMostScaleBits)
    throw py::value_error("slots, slot_bits, scale_bits: expected slots * slot_bits <= " + std::to_string(bits - 2) +
                          ", slot_bits >= 2 and scale_bits <= 8192, got " + std::to_string(slots) + ", " +
                          std::to_string(slot_bits) + " and " + std::to_string(scale_bits));
  const std::size_t used = slots > 1 ? slot_bits : modulus.size() * kLimbBits;
  return {length,
          length / slots + (length % slots != 0 ? 1 : 0),
          static_cast<std::uint32_t>(slots),
          static_cast<std::uint32_t>(used),
          static_cast<std::uint32_t>(scale_bits),
          static_cast<std::uint32_t>(modulus.size())};
}

void check_rows(const char* name, std::size_t count, std::size_t row) {
  if (row == 0 || count == 0 || count % row != 0)
    throw py::value_error(std::string(name) + ": expected a multiple of " + std::to_string(row) + ", got " +
                          std::to_string(count));
}

using MaybePlace = std::optional<std::uint64_t>;

std::tuple<Plaintexts, MaybePlace, MaybePlace> encode_on_device(const View& view, std::size_t row_length,
                                                                std::size_t scale_bits, std::size_t slots,
                                                                std::size_t slot_bits, bool negate,
                                                                std::int32_t value_bits, std::uint32_t encoded_bits,
                                                                const LimbArray& modulus) {
  const Limbs n = modulus_of(modulus);
  check_rows("view", view.count, row_length);
  kernels::EncodeRows kernel{};
  kernel.values = view.strided;
  kernel.rows = packed_rows(row_length, scale_bits, slots, slot_bits, n);
  kernel.negate = negate;
  kernel.value_bits = value_bits;
  kernel.encoded_bits = encoded_bits;
  kernel.count = view.count / row_length * kernel.rows.row_plaintexts;
  auto [plaintexts, faults] = unlocked([&] { return encode_rows(the_device(), kernel, n); });
  const MaybePlace not_finite = place_of(faults, kernels::kNotFinite), beyond = place_of(faults, kernels::kBeyondCodec);
  if (!not_finite && !beyond) {
    const std::size_t room = (slots > 1 ? slot_bits : bit_length(n.data(), n.size())) - 1;
    if (const MaybePlace place = place_of(faults, kernels::kBeyondRoom))
      throw std::overflow_error("values[" + std::to_string(*place) + "]: does not fit " + std::to_string(room) +
                                " bits");
    if (const MaybePlace place = place_of(faults, kernels::kReachesHalf))
      throw std::overflow_error("values[" + std::to_string(*place) + "]: reaches half the modulus");
  }
  return {Plaintexts{std::move(plaintexts), n}, not_finite, beyond};
}

std::tuple<DeviceMemoryPtr, MaybePlace, MaybePlace> decode_on_device(const Plaintexts& plaintexts,
                                                                     std::size_t row_length, std::size_t slots_of_row,
                                                                     std::size_t scale_bits, std::size_t slots,
                                                                     std::size_t slot_bits, bool floats,
                                                                     std::optional<std::uint64_t> bound) {
  const Numbers numbers = plaintexts.numbers->view();
  const std::size_t count = plaintexts.numbers->count();
  if (numbers.memory != Memory::kBackend || numbers.limbs != plaintexts.modulus.size())
    throw py::value_error("plaintexts: expected some in a device's memory, got others");
  kernels::DecodeRows kernel{};
  kernel.rows = packed_rows(row_length, scale_bits, slots, slot_bits, plaintexts.modulus);
  check_rows("plaintexts", count, kernel.rows.row_plaintexts);
  if (slots_of_row < row_length || slots_of_row > kernel.rows.row_plaintexts * slots)
    throw py::value_error("slots_of_row: expected " + std::to_string(row_length) + " to " +
                          std::to_string(kernel.rows.row_plaintexts * slots) + ", got " + std::to_string(slots_of_row));
  kernel.slots_of_row = slots_of_row;
  kernel.floats = floats;
  kernel.bounded = bound.has_value();
  kernel.bound = bound.value_or(0);
  kernel.count = count;
  const std::size_t values = count / kernel.rows.row_plaintexts * row_length;
  auto [memory, faults] =
      unlocked([&] { return decode_rows(the_device(), kernel, numbers, values, plaintexts.modulus); });
  return {std::move(memory), place_of(faults, kernels::kOutsideBound), place_of(faults, kernels::kBeyondInteger)};
}

LimbArray read_plaintexts(const Plaintexts& plaintexts) {
  LimbArray out = limb_array(plaintexts.numbers->count(), plaintexts.modulus.size());
  Limb* to = out.mutable_data();
  unlocked([&] { plaintexts.numbers->read(to); });
  return out;
}

DeviceMemoryPtr memory_from(const ByteArray& bytes) {
  const auto count = static_cast<std::size_t>(bytes.size());
  const std::uint8_t* from = bytes.data();
  return unlocked([&] {
    auto memory = std::make_shared<DeviceMemory>(the_device(), count);
    if (count != 0) memory->upload(from);
    return memory;
  });
}

void read_memory(const DeviceMemory& memory, ByteArray& out) {
  if (static_cast<std::size_t>(out.size()) != memory.bytes())
    throw py::value_error("out: expected " + std::to_string(memory.bytes()) + " bytes, got " +
                          std::to_string(out.size()));
  std::uint8_t* to = out.mutable_data();
  if (memory.bytes() != 0) unlocked([&] { memory.download(to); });
}

// A tensor that someone else made, given back when nobody needs it any more.
class ForeignTensor {
 public:
  explicit ForeignTensor(const py::capsule& capsule) {
    if (PyCapsule_IsValid(capsule.ptr(), dlpack::kCapsule) == 0)
      throw py::type_error("capsule: expected one named 'dltensor' that nobody has used yet");
    managed_ = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), dlpack::kCapsule));
    if (PyCapsule_SetName(capsule.ptr(), dlpack::kUsedCapsule) != 0) throw py::error_already_set();
  }
  ~ForeignTensor() {
    if (managed_->deleter != nullptr) managed_->deleter(managed_);
  }
  ForeignTensor(const ForeignTensor&) = delete;
  ForeignTensor& operator=(const ForeignTensor&) = delete;

  std::uintptr_t address() const {
    return reinterpret_cast<std::uintptr_t>(tensor().data) + static_cast<std::uintptr_t>(tensor().byte_offset);
  }
  std::pair<int, int> place() const { return {tensor().place.device_type, tensor().place.device_id}; }
  std::tuple<int, int, int> type() const { return {tensor().type.code, tensor().type.bits, tensor().type.lanes}; }
  std::vector<std::int64_t> shape() const { return numbers(tensor().shape); }
  // In elements, none for C order.
  std::optional<std::vector<std::int64_t>> strides() const {
    if (tensor().strides == nullptr) return std::nullopt;
    return numbers(tensor().strides);
  }

 private:
  const dlpack::Tensor& tensor() const { return managed_->tensor; }
  std::vector<std::int64_t> numbers(const std::int64_t* from) const {
    return tensor().axes > 0 ? std::vector<std::int64_t>(from, from + tensor().axes) : std::vector<std::int64_t>();
  }

  dlpack::ManagedTensor* managed_;
};

struct ExportedTensor {
  dlpack::ManagedTensor managed;
  DeviceMemoryPtr memory;
  std::vector<std::int64_t> shape, strides;
};

py::capsule to_dlpack(const DeviceMemoryPtr& memory, int code, int bits, const std::vector<std::int64_t>& shape) {
  std::size_t bytes = static_cast<std::size_t>(bits) / 8;
  for (const std::int64_t length : shape) bytes *= static_cast<std::size_t>(length);
  if (bytes != memory->bytes())
    throw py::value_error("shape: expected " + std::to_string(memory->bytes()) + " bytes, got " +
                          std::to_string(bytes));
  auto made = std::make_unique<ExportedTensor>();
  made->memory = memory;
  made->shape = shape;
  made->strides.resize(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) made->strides[axis] = stride;
  dlpack::Tensor& tensor = made->managed.tensor;
  tensor.data = memory->lend();
  tensor.place = {dlpack::kCuda, the_device().info().index};
  tensor.axes = static_cast<std::int32_t>(shape.size());
  tensor.type = {static_cast<std::uint8_t>(code), static_cast<std::uint8_t>(bits), 1};
  tensor.shape = made->shape.data();
  tensor.strides = made->strides.data();
  tensor.byte_offset = 0;
  made->managed.context = made.get();
  made->managed.deleter = [](dlpack::ManagedTensor* self) { delete static_cast<ExportedTensor*>(self->context); };
  py::capsule capsule(&made->managed, dlpack::kCapsule, [](PyObject* object) {
    // Whoever used it gives it back.
    if (PyCapsule_IsValid(object, dlpack::kCapsule) == 0) return;
    auto* managed = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(object, dlpack::kCapsule));
    managed->deleter(managed);
  });
  made.release();  // NOLINT: the capsule's now
  return capsule;
}

}  // namespace

py::object device_memory_of(PlainPtr numbers, std::size_t limbs) {
  const Numbers view = numbers->view();
  if (view.memory != Memory::kBackend || view.limbs != limbs)
    throw py::value_error("batch: expected one in a device's memory, got another");
  const std::size_t bytes = numbers->count() * limbs * sizeof(Limb);
  unlocked([] { the_device().wait(); });
  return py::cast(std::make_shared<DeviceMemory>(the_device(), std::move(numbers), bytes));
}

Numbers device_rows(const char* name, const py::object& memory, std::size_t limbs, std::size_t& count,
                    const Limbs& modulus) {
  const View view = memory.cast<View>();
  const kernels::Strided& rows = view.strided;
  if (rows.element != kernels::Element::kUint64 || rows.axes != 1 || rows.strides[0] != sizeof(Limb) ||
      view.count % limbs != 0 || view.count == 0)
    throw py::value_error(std::string(name) + ": expected rows of " + std::to_string(limbs) +
                          " contiguous 64-bit limbs");
  count = view.count / limbs;
  const auto* values = reinterpret_cast<const Limb*>(rows.first.address());
  const std::uint64_t offender = unlocked([&] { return first_out_of_range(the_device(), values, count, modulus); });
  if (offender != kernels::kNowhere)
    throw py::value_error(std::string(name) + "[" + std::to_string(offender) +
                          "]: expected a number above 0 and below n^2");
  return {values, limbs, Memory::kBackend};
}

void bind_device(py::module_& module) {
  using py::arg;
  py::class_<Plaintexts>(module, "Plaintexts", py::is_final())
      .def("__len__", [](const Plaintexts& self) { return self.numbers->count(); })
      .def("read", &read_plaintexts);
  py::class_<DeviceMemory, DeviceMemoryPtr>(module, "DeviceMemory", py::is_final())
      .def(py::init(&memory_from), arg("contents"))
      .def_property_readonly("address",
                             [](const DeviceMemory& self) { return reinterpret_cast<std::uintptr_t>(self.address()); })
      .def("lend", [](DeviceMemory& self) { return reinterpret_cast<std::uintptr_t>(self.lend()); })
      .def_property_readonly("nbytes", &DeviceMemory::bytes)
      .def("read", &read_memory, arg("out").noconvert())
      .def("to_dlpack", &to_dlpack, arg("code"), arg("bits"), arg("shape"));
  py::class_<View>(module, "DeviceView", py::is_final())
      .def(py::init(&make_view), arg("address"), arg("element"), arg("lengths"), arg("strides"))
      .def("__len__", [](const View& self) { return self.count; })
      .def("compact", [](const View& self) {
        return unlocked([&] { return compact(the_device(), self.strided, self.log_bytes, self.count); });
      });
  py::class_<ForeignTensor>(module, "ForeignTensor", py::is_final())
      .def(py::init<const py::capsule&>(), arg("capsule"))
      .def_property_readonly("address", &ForeignTensor::address)
      .def_property_readonly("place", &ForeignTensor::place)
      .def_property_readonly("type", &ForeignTensor::type)
      .def_property_readonly("shape", &ForeignTensor::shape)
      .def_property_readonly("strides", &ForeignTensor::strides);
  module.def("why_no_device", [] { return choose_device().reason; });
  module.def("wait_for_everyone", [] { unlocked([] { the_device().wait_for_everyone(); }); });
  module.def("encode_on_device", &encode_on_device, arg("view"), arg("row_length"), arg("scale_bits"), arg("slots"),
             arg("slot_bits"), arg("negate"), arg("value_bits"), arg("encoded_bits"), arg("modulus"));
  module.def("decode_on_device", &decode_on_device, arg("plaintexts"), arg("row_length"), arg("slots_of_row"),
             arg("scale_bits"), arg("slots"), arg("slot_bits"), arg("floats"), arg("bound"));
  module.def(
      "wait_for_stream", [](std::uintptr_t stream) { unlocked([&] { the_device().wait_for_stream(stream); }); },
      arg("stream"));
}

}  // namespace cipherlane
