// What every binding file needs: reading arrays with clear errors, making result arrays, registering functions.
//
// A binding file defines its functions in a `Binder` object; there is no list to extend. Whoever hands over a
// wrong array gets a ValueError that names the argument, never a crash.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "../buffers.hpp"
#include "../pool.hpp"

namespace nb = nanobind;

namespace recurra {

struct Binder {
  using Define = void (*)(nb::module_&);
  explicit Binder(Define define);
};
void define_all(nb::module_& m);

// Any CPU array (NumPy, torch without gradient, ...), read only; checked by `view` below.
using Array = nb::ndarray<nb::ro, nb::device::cpu>;
using MaybeArray = std::optional<Array>;

[[noreturn]] void refuse(const std::string& message);  // ValueError

std::string describe(const Array& a);  // "float32 of shape (3, 4)"

constexpr int64_t any = -1;

// Checks dtype, shape (`any` for a free extent) and C order, or refuses with the argument's name.
const void* checked(const Array& a, const char* argument, nb::dlpack::dtype dtype, const char* dtype_name,
                    std::initializer_list<int64_t> shape);

template <class T> struct Named;
template <> struct Named<float> { static constexpr const char* value = "float32"; };
template <> struct Named<double> { static constexpr const char* value = "float64"; };
template <> struct Named<int64_t> { static constexpr const char* value = "int64"; };
template <> struct Named<int32_t> { static constexpr const char* value = "int32"; };
template <> struct Named<int8_t> { static constexpr const char* value = "int8"; };
template <> struct Named<uint16_t> { static constexpr const char* value = "uint16"; };
template <> struct Named<bool> { static constexpr const char* value = "bool"; };

template <class T> const T* view(const Array& a, const char* argument, std::initializer_list<int64_t> shape) {
  return static_cast<const T*>(checked(a, argument, nb::dtype<T>(), Named<T>::value, shape));
}
template <class T>
const T* view(const MaybeArray& a, const char* argument, std::initializer_list<int64_t> shape) {
  return a ? view<T>(*a, argument, shape) : nullptr;
}

inline bool is_float64(const Array& a) { return a.dtype() == nb::dtype<double>(); }

// Calls f(real{}) with float or double, by the dtype of `a`; refuses other dtypes.
template <class F> auto by_dtype(const Array& a, const char* argument, F&& f) {
  if (is_float64(a)) return f(double{});
  if (a.dtype() != nb::dtype<float>())
    refuse(std::string(argument) + " must be float32 or float64, got " + describe(a));
  return f(float{});
}

// Offsets of S sequences: int64 (S+1,), from 0, never falling, ending at `tokens`. Returns S.
int64_t check_offsets(const Array& offsets, int64_t tokens);

// Bytes of an array of this shape, or a refusal where no machine has as many.
size_t bytes_of(std::initializer_list<int64_t> shape, size_t each);

// A result: memory of our own store, handed to Python as a NumPy array that gives it back.
template <class T> struct Result {
  T* data = nullptr;
  nb::object array;
};
template <class T> Result<T> result(std::initializer_list<int64_t> shape) {
  size_t extents[8], d = 0;
  for (int64_t each : shape) extents[d++] = static_cast<size_t>(each);
  const size_t bytes = bytes_of(shape, sizeof(T));
  T* data = static_cast<T*>(take_buffer(bytes ? bytes : sizeof(T)));
  nb::capsule owner(data, [](void* p) noexcept { give_buffer(p); });
  nb::ndarray<nb::numpy, T> out(data, d, extents, owner);
  return {data, nb::cast(out)};
}

}  // namespace recurra
