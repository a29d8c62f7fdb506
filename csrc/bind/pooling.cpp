#include "../pooling.hpp"

#include "../split.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

int pooling_of(const std::string& name) {
  if (name == "mean") return op_mean;
  if (name == "max") return op_max;
  if (name == "attention") return op_attention;
  refuse("op must be mean, max or attention, got \"" + name + "\"");
}

template <class real>
PoolingArgs<real> arguments(int op, const Array& x, const Array& offsets, const MaybeArray& scores) {
  const int64_t tokens = extent(x, "x", 0, 2);
  PoolingArgs<real> a{};
  a.op = op, a.features = extent(x, "x", 1, 2);
  a.x = view<real>(x, "x", {any, any});
  check_offsets(offsets, tokens);
  a.offsets = view<int64_t>(offsets, "offsets", {any});
  a.scores = view<real>(scores, "scores", {tokens});
  if (op == op_attention && !a.scores) refuse("scores must be given for attention, got None");
  return a;
}

// Rows in parts of about equal numbers of tokens.
template <class F> void by_tokens(const int64_t* offsets, int64_t rows, int64_t features, const F& f) {
  const int64_t tokens = offsets[rows] + rows, parts = std::min(rows, part_count(tokens * features));
  const auto row_of = [&](int64_t part) {
    const int64_t wanted = tokens * part / parts;
    int64_t low = 0, high = rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (offsets[middle] + middle < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  parallel(static_cast<int>(std::max<int64_t>(1, parts)), [&](int part) {
    f(parts <= 1 ? 0 : row_of(part), parts <= 1 || part + 1 == parts ? rows : row_of(part + 1));
  });
}

nb::tuple forward(const std::string& op, const Array& x, const Array& offsets, const MaybeArray& scores,
                  const MaybeArray& initial, bool carry) {
  const int what = pooling_of(op);
  return by_dtype(x, "x", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    auto a = arguments<real>(what, x, offsets, scores);
    const int64_t rows = size_of(offsets) - 1, size = state_size(what, a.features);
    a.initial = view<real>(initial, "initial", {rows, size});
    auto y = result<real>({rows, a.features}), kept = result<real>({rows, kept_size(what, a.features)});
    Result<real> carried;
    carried.array = nb::none();
    if (carry) carried = result<real>({rows, size});
    a.carried = carried.data;
    {
      nb::gil_scoped_release release;
      by_tokens(a.offsets, rows, a.features, [&](int64_t from, int64_t to) {
        pooling_table<real>().forward(a, y.data, kept.data, from, to);
      });
    }
    return nb::make_tuple(y.array, kept.array, carried.array);
  });
}

nb::tuple backward(const std::string& op, const Array& x, const Array& offsets, const MaybeArray& scores,
                   const Array& y, const Array& kept, const Array& dy) {
  const int what = pooling_of(op);
  return by_dtype(x, "x", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const auto a = arguments<real>(what, x, offsets, scores);
    const int64_t rows = size_of(offsets) - 1, tokens = static_cast<int64_t>(x.shape(0));
    const real* py = view<real>(y, "y", {rows, a.features});
    const real* pd = view<real>(dy, "dy", {rows, a.features});
    const real* pk = view<real>(kept, "kept", {rows, kept_size(what, a.features)});
    auto dx = result<real>({tokens, a.features});
    Result<real> dscores;
    if (what == op_attention) dscores = result<real>({tokens});
    {
      nb::gil_scoped_release release;
      by_tokens(a.offsets, rows, a.features, [&](int64_t from, int64_t to) {
        pooling_table<real>().backward(a, py, pk, pd, dx.data, dscores.data, from, to);
      });
    }
    return nb::make_tuple(dx.array, what == op_attention ? dscores.array : nb::none());
  });
}

template <class real> PoolingPush<real> pushed(int op, const Array& state, int64_t features) {
  PoolingPush<real> p{};
  p.op = op, p.features = features;
  p.state = const_cast<real*>(view<real>(state, "state", {any, state_size(op, features)}));
  return p;
}

void push(const std::string& op, const Writable& state, const Array& x, const MaybeArray& scores,
          const MaybeArray& index) {
  const int what = pooling_of(op);
  by_dtype(x, "x", [&](auto zero) {
    using real = decltype(zero);
    const Array held(state);
    const int64_t rows = extent(held, "state", 0, 2), count = index ? size_of(*index) : rows;
    const auto p = pushed<real>(what, held, extent(x, "x", 1, 2));
    const real *px = view<real>(x, "x", {count, p.features}), *ps = view<real>(scores, "scores", {count});
    if (what == op_attention && !ps) refuse("scores must be given for attention, got None");
    const int64_t* pi = index ? indices(*index, "index", rows) : nullptr;
    parallel(1, [&](int) {
      for (int64_t i = 0; i < count; ++i)
        pooling_table<real>().push(p, pi ? pi[i] : i, px + i * p.features, ps ? ps[i] : real(0));
    });
  });
}

nb::object result_of(const std::string& op, const Array& state) {
  const int what = pooling_of(op);
  return by_dtype(state, "state", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t rows = extent(state, "state", 0, 2);
    const int64_t features = extent(state, "state", 1, 2) - (what == op_attention ? 3 : 1);
    if (features < 0) refuse("state must be one of a pooling, got " + describe(state));
    const auto p = pushed<real>(what, state, features);
    auto y = result<real>({rows, features});
    parallel(1, [&](int) {
      for (int64_t r = 0; r < rows; ++r) pooling_table<real>().result(p, r, y.data + r * features);
    });
    return y.array;
  });
}

Binder binder([](nb::module_& m) {
  m.def("pool", forward, nb::arg("op"), nb::arg("x"), nb::arg("offsets"), nb::arg("scores") = nb::none(),
        nb::arg("initial") = nb::none(), nb::arg("carry") = false);
  m.def("pool_grad", backward, nb::arg("op"), nb::arg("x"), nb::arg("offsets"), nb::arg("scores").none(),
        nb::arg("y"), nb::arg("kept"), nb::arg("dy"));
  m.def("pool_push", push, nb::arg("op"), nb::arg("state"), nb::arg("x"), nb::arg("scores") = nb::none(),
        nb::arg("index") = nb::none());
  m.def("pool_result", result_of, nb::arg("op"), nb::arg("state"));
});

}  // namespace
}  // namespace recurra
