#include "bind.hpp"

namespace recurra {
namespace {

std::vector<Binder::Define>& definitions() {
  static std::vector<Binder::Define> all;
  return all;
}

std::string dtype_text(const nb::dlpack::dtype& d) {
  const auto code = static_cast<nb::dlpack::dtype_code>(d.code);
  const char* kind = code == nb::dlpack::dtype_code::Float    ? "float"
                     : code == nb::dlpack::dtype_code::Int    ? "int"
                     : code == nb::dlpack::dtype_code::UInt   ? "uint"
                     : code == nb::dlpack::dtype_code::Bfloat ? "bfloat"
                     : code == nb::dlpack::dtype_code::Bool   ? "bool"
                                                              : "other";
  return code == nb::dlpack::dtype_code::Bool ? kind : kind + std::to_string(d.bits);
}

std::string shape_text(size_t n, const int64_t* shape) {
  std::string text = "(";
  for (size_t i = 0; i < n; ++i) text += (i ? ", " : "") + (shape[i] == any ? "any" : std::to_string(shape[i]));
  return text + (n == 1 ? ",)" : ")");
}

bool in_c_order(const Array& a) {
  if (a.size() == 0) return true;
  int64_t expected = 1;
  for (size_t i = a.ndim(); i-- > 0;) {
    if (a.shape(i) != 1 && a.stride(i) != expected) return false;
    expected *= static_cast<int64_t>(a.shape(i));
  }
  return true;
}

}  // namespace

Binder::Binder(Define define) { definitions().push_back(define); }

void define_all(nb::module_& m) {
  for (Binder::Define each : definitions()) each(m);
}

void refuse(const std::string& message) { throw nb::value_error(message.c_str()); }

std::string describe(const Array& a) {
  std::vector<int64_t> shape;
  for (size_t i = 0; i < a.ndim(); ++i) shape.push_back(static_cast<int64_t>(a.shape(i)));
  return dtype_text(a.dtype()) + " of shape " + shape_text(shape.size(), shape.data());
}

size_t bytes_of(std::initializer_list<int64_t> shape, size_t each) {
  constexpr size_t most = size_t{1} << 47;  // what a process can address
  size_t bytes = each;
  bool fits = true, empty = false;
  for (int64_t extent : shape) {  // NumPy too holds what an empty array's other extents would take against it
    empty = empty || extent == 0;
    if (extent == 0) continue;
    fits = fits && static_cast<size_t>(extent) <= most / bytes;
    if (fits) bytes *= static_cast<size_t>(extent);
  }
  if (!fits)
    refuse("the arguments ask for an array of shape " + shape_text(shape.size(), shape.begin()) +
           ", more than memory can hold");
  return empty ? 0 : bytes;
}

const void* checked(const Array& a, const char* argument, nb::dlpack::dtype dtype, const char* dtype_name,
                    std::initializer_list<int64_t> shape) {
  bool fits = a.dtype() == dtype && a.ndim() == shape.size();
  size_t i = 0;
  for (int64_t each : shape) {
    if (fits && each != any && each != static_cast<int64_t>(a.shape(i))) fits = false;
    ++i;
  }
  if (!fits)
    refuse(std::string(argument) + " must be " + dtype_name + " of shape " +
           shape_text(shape.size(), shape.begin()) + ", got " + describe(a));
  constexpr size_t most_empty = size_t{1} << 31;  // so that nobody counts rows of nothing for hours
  for (size_t axis = 0; axis < a.ndim(); ++axis)
    if (a.size() == 0 && a.shape(axis) > most_empty)
      refuse(std::string(argument) + " must hold numbers where it has so many rows, got " + describe(a));
  if (!in_c_order(a))
    refuse(std::string(argument) + " must be contiguous in C order; use numpy.ascontiguousarray");
  if (reinterpret_cast<uintptr_t>(a.data()) % (dtype.bits >= 8 ? dtype.bits / 8 : 1) != 0)
    refuse(std::string(argument) + " must be aligned to its element size; copy it first");
  return a.data();
}

int64_t check_offsets(const Array& offsets, int64_t tokens) {
  const int64_t* p = view<int64_t>(offsets, "offsets", {any});
  const int64_t n = static_cast<int64_t>(offsets.shape(0)) - 1;
  if (n < 0) refuse("offsets must hold at least one number, the leading 0, got an empty array");
  if (p[0] != 0) refuse("offsets must begin with 0, got " + std::to_string(p[0]));
  for (int64_t s = 0; s < n; ++s)
    if (p[s + 1] < p[s])
      refuse("offsets must never fall, got " + std::to_string(p[s]) + " before " + std::to_string(p[s + 1]) +
             " at position " + std::to_string(s));
  if (p[n] != tokens)
    refuse("offsets must end at the number of tokens " + std::to_string(tokens) + ", got " + std::to_string(p[n]));
  return n;
}

}  // namespace recurra
