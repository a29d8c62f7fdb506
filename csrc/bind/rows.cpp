#include "../rows.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

nb::object gather(const Array& x, const Array& index) {
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t rows = extent(x, "x", 0, 2), features = extent(x, "x", 1, 2);
    const real* px = view<real>(x, "x", {any, any});
    const int64_t* pi = indices(index, "index", rows);
    const int64_t count = size_of(index);
    auto y = result<real>({count, features});
    nb::gil_scoped_release release;
    gather_rows(px, pi, y.data, count, features);
    return y.array;
  });
}

nb::object scatter(const Array& dy, const Array& index, int64_t rows) {
  return by_dtype(dy, "dy", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t count = extent(dy, "dy", 0, 2), features = extent(dy, "dy", 1, 2);
    if (rows < 0) refuse("rows must be at least 0, got " + std::to_string(rows));
    const real* pd = view<real>(dy, "dy", {any, any});
    const int64_t* pi = indices(index, "index", rows, count);
    auto dx = result<real>({rows, features});
    nb::gil_scoped_release release;
    scatter_rows(pd, pi, dx.data, count, rows, features);
    return dx.array;
  });
}

nb::object concat(const std::vector<Array>& parts) {
  if (parts.empty()) refuse("parts must hold at least one array, got none");
  return by_dtype(parts[0], "parts", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t rows = extent(parts[0], "parts", 0, 2);
    int64_t width = 0;
    std::vector<const real*> from;
    for (const Array& part : parts) {
      from.push_back(view<real>(part, "parts", {rows, any}));
      width += static_cast<int64_t>(part.shape(1));
    }
    auto out = result<real>({rows, width});
    nb::gil_scoped_release release;
    real* to = out.data;
    for (size_t i = 0; i < parts.size(); ++i) {
      const int64_t own = static_cast<int64_t>(parts[i].shape(1));
      copy_columns(from[i], own, to, width, rows, own);
      to += own;
    }
    return out.array;
  });
}

nb::object columns(const Array& x, int64_t from, int64_t to) {
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t rows = extent(x, "x", 0, 2), width = extent(x, "x", 1, 2);
    const real* px = view<real>(x, "x", {any, any});
    if (from < 0 || to < from || to > width)
      refuse("begin and end must be columns in 0 ... " + std::to_string(width) + ", got " + std::to_string(from) + " to " +
             std::to_string(to));
    auto out = result<real>({rows, to - from});
    nb::gil_scoped_release release;
    copy_columns(px + from, width, out.data, to - from, rows, to - from);
    return out.array;
  });
}

Binder binder([](nb::module_& m) {
  m.def("gather_rows", gather, nb::arg("x"), nb::arg("index"));
  m.def("scatter_rows", scatter, nb::arg("dy"), nb::arg("index"), nb::arg("rows"));
  m.def("concat_features", concat, nb::arg("parts"));
  m.def("take_columns", columns, nb::arg("x"), nb::arg("begin"), nb::arg("end"));
});

}  // namespace
}  // namespace recurra
