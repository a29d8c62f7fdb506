#include "../dense.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

nb::object dense_forward(const Array& x, const Array& w, const MaybeArray& b) {
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t outputs = extent(w, "w", 0, 2), inputs = extent(w, "w", 1, 2), rows = extent(x, "x", 0, 2);
    const real *px = view<real>(x, "x", {any, inputs}), *pw = view<real>(w, "w", {any, any});
    const real* pb = view<real>(b, "b", {outputs});
    auto y = result<real>({rows, outputs});
    nb::gil_scoped_release release;
    dense(px, pw, pb, y.data, rows, inputs, outputs);
    return y.array;
  });
}

nb::object dense_inputs(const Array& dy, const Array& w) {
  return by_dtype(dy, "dy", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t outputs = extent(w, "w", 0, 2), inputs = extent(w, "w", 1, 2), rows = extent(dy, "dy", 0, 2);
    const real *pd = view<real>(dy, "dy", {any, outputs}), *pw = view<real>(w, "w", {any, any});
    auto dx = result<real>({rows, inputs});
    nb::gil_scoped_release release;
    dense_dx(pd, pw, dx.data, rows, inputs, outputs);
    return dx.array;
  });
}

nb::tuple dense_weights(const Array& dy, const Array& x, bool bias) {
  return by_dtype(dy, "dy", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const int64_t rows = extent(x, "x", 0, 2), inputs = extent(x, "x", 1, 2), outputs = extent(dy, "dy", 1, 2);
    const real *pd = view<real>(dy, "dy", {rows, any}), *px = view<real>(x, "x", {any, any});
    auto dw = result<real>({outputs, inputs});
    Result<real> db;
    db.array = nb::none();
    if (bias) db = result<real>({outputs});
    {
      nb::gil_scoped_release release;
      dense_dw(pd, px, dw.data, db.data, rows, inputs, outputs);
    }
    return nb::make_tuple(dw.array, db.array);
  });
}

nb::object column_sums_of(const Array& x) {
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t rows = extent(x, "x", 0, 2), cols = extent(x, "x", 1, 2);
    const real* px = view<real>(x, "x", {any, any});
    auto sums = result<real>({cols});
    nb::gil_scoped_release release;
    column_sums(px, sums.data, rows, cols);
    return sums.array;
  });
}

Binder binder([](nb::module_& m) {
  m.def("dense", dense_forward, nb::arg("x"), nb::arg("w"), nb::arg("b") = nb::none());
  m.def("dense_dx", dense_inputs, nb::arg("dy"), nb::arg("w"));
  m.def("dense_dw", dense_weights, nb::arg("dy"), nb::arg("x"), nb::arg("bias") = false);
  m.def("column_sums", column_sums_of, nb::arg("x"));
});

}  // namespace
}  // namespace recurra
