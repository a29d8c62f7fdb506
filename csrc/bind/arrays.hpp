// Beside bind.hpp: arrays of any shape, indices with a bound, arrays to write into.
#pragma once

#include "bind.hpp"

namespace recurra {

// Any CPU array that may be written to.
using Writable = nb::ndarray<nb::device::cpu>;

// An array of any shape (at most 8 axes) as one run of numbers.
template <class T> const T* flat(const Array& a, const char* argument) {
  switch (a.ndim()) {
    case 0: return view<T>(a, argument, {});
    case 1: return view<T>(a, argument, {any});
    case 2: return view<T>(a, argument, {any, any});
    case 3: return view<T>(a, argument, {any, any, any});
    case 4: return view<T>(a, argument, {any, any, any, any});
    default: refuse(std::string(argument) + " must have at most 4 axes, got " + describe(a));
  }
}

inline int64_t size_of(const Array& a) { return static_cast<int64_t>(a.size()); }

inline int64_t extent(const Array& a, const char* argument, size_t axis, size_t axes) {
  if (a.ndim() != axes)
    refuse(std::string(argument) + " must have " + std::to_string(axes) + " axes, got " + describe(a));
  return static_cast<int64_t>(a.shape(axis));
}

inline void same_shape(const Array& a, const char* argument, const Array& like, const char* other) {
  bool same = a.ndim() == like.ndim();
  for (size_t i = 0; same && i < a.ndim(); ++i) same = a.shape(i) == like.shape(i);
  if (!same)
    refuse(std::string(argument) + " must have the shape of " + other + ", " + describe(like) + ", got " +
           describe(a));
}

// A result of the shape of `a`.
template <class T> Result<T> result_like(const Array& a) {
  switch (a.ndim()) {
    case 0: return result<T>({});
    case 1: return result<T>({static_cast<int64_t>(a.shape(0))});
    case 2: return result<T>({static_cast<int64_t>(a.shape(0)), static_cast<int64_t>(a.shape(1))});
    case 3:
      return result<T>({static_cast<int64_t>(a.shape(0)), static_cast<int64_t>(a.shape(1)),
                        static_cast<int64_t>(a.shape(2))});
    default:
      return result<T>({static_cast<int64_t>(a.shape(0)), static_cast<int64_t>(a.shape(1)),
                        static_cast<int64_t>(a.shape(2)), static_cast<int64_t>(a.shape(3))});
  }
}

// Indices (count,) or, with `any`, of any length, each in [0, end).
inline const int64_t* indices(const Array& a, const char* argument, int64_t end, int64_t count = any) {
  const int64_t* p = view<int64_t>(a, argument, {count});
  const int64_t n = static_cast<int64_t>(a.shape(0));
  for (int64_t i = 0; i < n; ++i)
    if (p[i] < 0 || p[i] >= end)
      refuse(std::string(argument) + " must be at least 0 and below " + std::to_string(end) + ", got " +
             std::to_string(p[i]) + " at position " + std::to_string(i));
  return p;
}

}  // namespace recurra
