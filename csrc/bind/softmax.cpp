#include "../softmax.hpp"

#include "../dense.hpp"
#include "../split.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

int soft_of(const std::string& name) {
  if (name == "softmax") return op_softmax;
  if (name == "log_softmax") return op_log_softmax;
  if (name == "logsumexp") return op_logsumexp;
  refuse("op must be softmax, log_softmax or logsumexp, got \"" + name + "\"");
}

int64_t classes_of(const Array& x, const char* argument) {
  const int64_t cols = extent(x, argument, 1, 2);
  if (cols < 1) refuse(std::string(argument) + " must have at least one column, got " + describe(x));
  return cols;
}

nb::object forward(const std::string& op, const Array& x) {
  const int what = soft_of(op);
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t cols = classes_of(x, "x"), rows = static_cast<int64_t>(x.shape(0));
    const real* px = view<real>(x, "x", {any, any});
    auto y = what == op_logsumexp ? result<real>({rows}) : result<real>({rows, cols});
    nb::gil_scoped_release release;
    split(rows, cols * 4, [&](int64_t from, int64_t to) {
      softmax_table<real>().forward(what, px, y.data, from, to, cols);
    });
    return y.array;
  });
}

nb::object backward(const std::string& op, const Array& held, const Array& dy, const MaybeArray& lse) {
  const int what = soft_of(op);
  return by_dtype(held, "held", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const int64_t cols = classes_of(held, "held"), rows = static_cast<int64_t>(held.shape(0));
    const real* ph = view<real>(held, "held", {any, any});
    const bool per_row = what == op_logsumexp;
    if (per_row && !lse) refuse("lse must be given for logsumexp, got None");
    const real* pl = view<real>(lse, "lse", {rows});
    const real* pd = per_row ? view<real>(dy, "dy", {rows}) : view<real>(dy, "dy", {rows, cols});
    auto dx = result<real>({rows, cols});
    nb::gil_scoped_release release;
    split(rows, cols * 2, [&](int64_t from, int64_t to) {
      softmax_table<real>().backward(what, ph, pl, pd, dx.data, from, to, cols);
    });
    return dx.array;
  });
}

template <class real>
CrossEntropy<real> arguments(const Array& x, const Array& targets, const MaybeArray& weight, double smoothing) {
  const int64_t classes = classes_of(x, "logits"), rows = static_cast<int64_t>(x.shape(0));
  if (!(smoothing >= 0 && smoothing <= 1))
    refuse("label_smoothing must be from 0 to 1, got " + std::to_string(smoothing));
  CrossEntropy<real> c{};
  c.x = view<real>(x, "logits", {any, any});
  c.targets = indices(targets, "targets", classes, rows);
  c.weight = view<real>(weight, "weight", {classes});
  c.classes = classes;
  c.smoothing = static_cast<real>(smoothing);
  c.even = static_cast<real>(smoothing / static_cast<double>(classes));
  c.weight_sum = static_cast<real>(classes);
  if (c.weight) column_sums(c.weight, &c.weight_sum, classes, 1);
  return c;
}

nb::tuple cross_entropy(const Array& x, const Array& targets, const MaybeArray& weight, double smoothing) {
  return by_dtype(x, "logits", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    const auto c = arguments<real>(x, targets, weight, smoothing);
    const int64_t rows = static_cast<int64_t>(x.shape(0));
    auto loss = result<real>({rows}), kept = result<real>({rows, 2});
    {
      nb::gil_scoped_release release;
      split(rows, c.classes * 4, [&](int64_t from, int64_t to) {
        softmax_table<real>().cross_entropy(c, loss.data, kept.data, from, to);
      });
    }
    return nb::make_tuple(loss.array, kept.array);
  });
}

nb::object cross_entropy_grad(const Array& x, const Array& targets, const MaybeArray& weight, double smoothing,
                              const Array& kept, const Array& dloss) {
  return by_dtype(x, "logits", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    const auto c = arguments<real>(x, targets, weight, smoothing);
    const int64_t rows = static_cast<int64_t>(x.shape(0));
    const real *pk = view<real>(kept, "kept", {rows, 2}), *pd = view<real>(dloss, "dloss", {rows});
    auto dx = result<real>({rows, c.classes});
    nb::gil_scoped_release release;
    split(rows, c.classes * 4, [&](int64_t from, int64_t to) {
      softmax_table<real>().cross_entropy_grad(c, pk, pd, dx.data, from, to);
    });
    return dx.array;
  });
}

Binder binder([](nb::module_& m) {
  m.def("soft", forward, nb::arg("op"), nb::arg("x"));
  m.def("soft_grad", backward, nb::arg("op"), nb::arg("held"), nb::arg("dy"), nb::arg("lse") = nb::none());
  m.def("cross_entropy", cross_entropy, nb::arg("logits"), nb::arg("targets"), nb::arg("weight") = nb::none(),
        nb::arg("label_smoothing") = 0.0);
  m.def("cross_entropy_grad", cross_entropy_grad, nb::arg("logits"), nb::arg("targets"), nb::arg("weight").none(),
        nb::arg("label_smoothing"), nb::arg("kept"), nb::arg("dloss"));
});

}  // namespace
}  // namespace recurra
