#include "../norm.hpp"

#include "../split.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

nb::tuple layer_norm(const Array& x, const Array& gain, const Array& bias, double eps) {
  return by_dtype(x, "x", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const int64_t rows = extent(x, "x", 0, 2), cols = extent(x, "x", 1, 2);
    const real *px = view<real>(x, "x", {any, any}), *pg = view<real>(gain, "gain", {cols});
    const real* pb = view<real>(bias, "bias", {cols});
    auto y = result<real>({rows, cols}), kept = result<real>({rows, 2});
    {
      nb::gil_scoped_release release;
      split(rows, cols * 2, [&](int64_t from, int64_t to) {
        norm_table<real>().forward(px, pg, pb, static_cast<real>(eps), y.data, kept.data, from, to, cols);
      });
    }
    return nb::make_tuple(y.array, kept.array);
  });
}

nb::tuple layer_norm_grad(const Array& x, const Array& gain, const Array& kept, const Array& dy) {
  return by_dtype(x, "x", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const int64_t rows = extent(x, "x", 0, 2), cols = extent(x, "x", 1, 2);
    const real *px = view<real>(x, "x", {any, any}), *pg = view<real>(gain, "gain", {cols});
    const real *pk = view<real>(kept, "kept", {rows, 2}), *pd = view<real>(dy, "dy", {rows, cols});
    auto dx = result<real>({rows, cols}), dgain = result<real>({cols}), dbias = result<real>({cols});
    {
      nb::gil_scoped_release release;
      const auto& table = norm_table<real>();
      split(rows, cols * 3, [&](int64_t from, int64_t to) {
        table.backward(px, pg, pk, pd, dx.data, from, to, cols);
      });
      split((cols + 15) / 16, rows * 16, [&](int64_t from, int64_t to) {
        table.weights(px, pk, pd, dgain.data, dbias.data, rows, cols, from * 16, std::min(cols, to * 16));
      });
    }
    return nb::make_tuple(dx.array, dgain.array, dbias.array);
  });
}

Binder binder([](nb::module_& m) {
  m.def("layer_norm", layer_norm, nb::arg("x"), nb::arg("gain"), nb::arg("bias"), nb::arg("eps"));
  m.def("layer_norm_grad", layer_norm_grad, nb::arg("x"), nb::arg("gain"), nb::arg("kept"), nb::arg("dy"));
});

}  // namespace
}  // namespace recurra
