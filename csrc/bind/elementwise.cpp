#include "../elementwise.hpp"

#include <cmath>

#include "../split.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

int one_of(const std::string& name, std::initializer_list<const char*> known, const char* argument) {
  int place = 0;
  for (const char* each : known) {
    if (name == each) return place;
    ++place;
  }
  refuse(std::string(argument) + " is not a known name, got \"" + name + "\"");
}

int unary_of(const std::string& name) {
  return one_of(name, {"sigmoid", "tanh", "relu", "exp", "softplus"}, "op");
}
int binary_of(const std::string& name) { return one_of(name, {"add", "mul"}, "op"); }
int error_of(const std::string& name) { return one_of(name, {"squared", "absolute", "huber"}, "kind"); }

nb::object unary(const std::string& op, const Array& x) {
  const int what = unary_of(op);
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const real* px = flat<real>(x, "x");
    const int64_t n = size_of(x);
    auto y = result_like<real>(x);
    nb::gil_scoped_release release;
    split(n, 4, [&](int64_t from, int64_t to) {
      elementwise_table<real>().unary(what, px + from, y.data + from, to - from);
    });
    return y.array;
  });
}

nb::object unary_grad(const std::string& op, const Array& held, const Array& dy) {
  const int what = unary_of(op);
  return by_dtype(held, "held", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    same_shape(dy, "dy", held, "held");
    const real *ph = flat<real>(held, "held"), *pd = flat<real>(dy, "dy");
    auto dx = result_like<real>(held);
    const int64_t n = size_of(held);
    nb::gil_scoped_release release;
    split(n, 2, [&](int64_t from, int64_t to) {
      elementwise_table<real>().unary_grad(what, ph + from, pd + from, dx.data + from, to - from);
    });
    return dx.array;
  });
}

// b has the shape of a, or is one row of it
nb::object binary(const std::string& op, const Array& a, const Array& b) {
  const int what = binary_of(op);
  return by_dtype(a, "a", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const real *pa = flat<real>(a, "a"), *pb = flat<real>(b, "b");
    const bool row = a.ndim() == 2 && b.ndim() == 1;
    if (row) view<real>(b, "b", {static_cast<int64_t>(a.shape(1))});
    else same_shape(b, "b", a, "a");
    auto out = result_like<real>(a);
    const int64_t width = row ? static_cast<int64_t>(a.shape(1)) : 1, n = size_of(a);
    const auto& table = elementwise_table<real>();
    nb::gil_scoped_release release;
    split(row ? static_cast<int64_t>(a.shape(0)) : n, width, [&](int64_t from, int64_t to) {
      if (!row) return table.binary(what, pa + from, pb + from, out.data + from, to - from);
      for (int64_t r = from; r < to; ++r) table.binary(what, pa + r * width, pb, out.data + r * width, width);
    });
    return out.array;
  });
}

nb::object scaled(const Array& x, double factor) {
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const real* px = flat<real>(x, "x");
    auto y = result_like<real>(x);
    const int64_t n = size_of(x);
    nb::gil_scoped_release release;
    split(n, 1, [&](int64_t from, int64_t to) {
      elementwise_table<real>().scale(px + from, static_cast<real>(factor), y.data + from, to - from);
    });
    return y.array;
  });
}

nb::object dropout(const Array& x, double rate, uint64_t seed) {
  if (!(rate >= 0 && rate < 1)) refuse("rate must be at least 0 and below 1, got " + std::to_string(rate));
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const real* px = flat<real>(x, "x");
    auto y = result_like<real>(x);
    const int64_t n = size_of(x);
    const real factor = static_cast<real>(1.0 / (1.0 - rate));
    nb::gil_scoped_release release;
    for (int64_t high = 0; high << 32 < n; ++high) {
      const int64_t base = high << 32, count = std::min(n - base, int64_t{1} << 32);
      const DropoutKeys keys = dropout_keys(seed, static_cast<uint64_t>(high), rate);
      split(count, 1, [&](int64_t from, int64_t to) {
        elementwise_table<real>().dropout(px + base + from, y.data + base + from, static_cast<uint32_t>(from),
                                          to - from, keys, factor);
      });
    }
    return y.array;
  });
}

// Losses of logits (N, C) against targets; dloss given: the gradient of the logits instead.
nb::object bce(const Array& x, const Array& target, const MaybeArray& weight, const MaybeArray& dloss) {
  return by_dtype(x, "logits", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t rows = extent(x, "logits", 0, 2), cols = extent(x, "logits", 1, 2);
    const real *px = view<real>(x, "logits", {any, any}), *pt = view<real>(target, "targets", {rows, cols});
    const real *pw = view<real>(weight, "pos_weight", {cols}), *pd = view<real>(dloss, "dloss", {rows, cols});
    auto out = result<real>({rows, cols});
    const auto& table = elementwise_table<real>();
    nb::gil_scoped_release release;
    split(rows, cols * 4, [&](int64_t from, int64_t to) {
      const int64_t step = pw ? cols : (to - from) * cols;
      for (int64_t at = from * cols; at < to * cols; at += step) {
        if (pd) table.bce_grad(px + at, pt + at, pw, pd + at, out.data + at, step);
        else table.bce(px + at, pt + at, pw, out.data + at, step);
      }
    });
    return out.array;
  });
}

nb::object error_loss(const std::string& kind, const Array& x, const Array& target, double delta,
                      const MaybeArray& dloss) {
  const int what = error_of(kind);
  return by_dtype(x, "predictions", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    same_shape(target, "targets", x, "predictions");
    if (dloss) same_shape(*dloss, "dloss", x, "predictions");
    const real *px = flat<real>(x, "predictions"), *pt = flat<real>(target, "targets");
    const real* pd = dloss ? flat<real>(*dloss, "dloss") : nullptr;
    auto out = result_like<real>(x);
    const int64_t n = size_of(x);
    const auto& table = elementwise_table<real>();
    nb::gil_scoped_release release;
    split(n, 1, [&](int64_t from, int64_t to) {
      const real d = static_cast<real>(delta);
      if (pd) table.error_grad(what, px + from, pt + from, d, pd + from, out.data + from, to - from);
      else table.error(what, px + from, pt + from, d, out.data + from, to - from);
    });
    return out.array;
  });
}

Binder binder([](nb::module_& m) {
  m.def("unary", unary, nb::arg("op"), nb::arg("x"));
  m.def("unary_grad", unary_grad, nb::arg("op"), nb::arg("held"), nb::arg("dy"));
  m.def("binary", binary, nb::arg("op"), nb::arg("a"), nb::arg("b"));
  m.def("scale", scaled, nb::arg("x"), nb::arg("factor"));
  m.def("dropout", dropout, nb::arg("x"), nb::arg("rate"), nb::arg("seed"));
  m.def("binary_cross_entropy", bce, nb::arg("logits"), nb::arg("targets"), nb::arg("pos_weight") = nb::none(),
        nb::arg("dloss") = nb::none());
  m.def("error_loss", error_loss, nb::arg("kind"), nb::arg("predictions"), nb::arg("targets"), nb::arg("delta"),
        nb::arg("dloss") = nb::none());
});

}  // namespace
}  // namespace recurra
