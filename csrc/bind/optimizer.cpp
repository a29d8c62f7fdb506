#include "../optimizer.hpp"

#include <cmath>

#include "../dense.hpp"
#include "../elementwise.hpp"
#include "../split.hpp"
#include "arrays.hpp"

namespace recurra {
namespace {

nb::object squares(const std::vector<Array>& arrays) {
  auto out = result<double>({static_cast<int64_t>(arrays.size())});
  for (size_t i = 0; i < arrays.size(); ++i)
    by_dtype(arrays[i], "arrays", [&](auto zero) {
      using real = decltype(zero);
      const real* p = flat<real>(arrays[i], "arrays");
      nb::gil_scoped_release release;
      out.data[i] = sum_of_squares(p, size_of(arrays[i]));
    });
  return out.array;
}

void adam(const Writable& parameter, const Array& gradient, const Writable& first, const Writable& second,
          double rate, double beta1, double beta2, double epsilon, int64_t step, double decay, bool decoupled,
          double scale) {
  if (step < 1) refuse("step must be at least 1, got " + std::to_string(step));
  by_dtype(gradient, "gradient", [&](auto zero) {
    using real = decltype(zero);
    const Array p(parameter), m(first), v(second);
    same_shape(p, "parameter", gradient, "gradient");
    same_shape(m, "first", gradient, "gradient");
    same_shape(v, "second", gradient, "gradient");
    AdamArgs<real> a{};
    a.parameter = const_cast<real*>(flat<real>(p, "parameter"));
    a.first = const_cast<real*>(flat<real>(m, "first"));
    a.second = const_cast<real*>(flat<real>(v, "second"));
    a.gradient = flat<real>(gradient, "gradient");
    a.scale = static_cast<real>(scale);
    a.decay = static_cast<real>(decoupled ? rate * decay : decay), a.decoupled = decoupled;
    a.beta1 = static_cast<real>(beta1), a.beta2 = static_cast<real>(beta2);
    a.epsilon = static_cast<real>(epsilon);
    a.rate = static_cast<real>(rate / (1.0 - std::pow(beta1, static_cast<double>(step))));
    a.correction = static_cast<real>(1.0 / std::sqrt(1.0 - std::pow(beta2, static_cast<double>(step))));
    const int64_t n = size_of(gradient);
    nb::gil_scoped_release release;
    split(n, 2, [&](int64_t from, int64_t to) { optimizer_table<real>().adam(a, from, to); });
  });
}

// Sum of weights * values over the sum of weights; dmean given: the gradient of the values instead.
nb::object weighted_mean(const Array& values, const MaybeArray& weights, const MaybeArray& dmean) {
  return by_dtype(values, "values", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    if (weights) same_shape(*weights, "weights", values, "values");
    const real *pv = flat<real>(values, "values"), *pw = weights ? flat<real>(*weights, "weights") : nullptr;
    const real* pd = view<real>(dmean, "dmean", {});
    const int64_t n = size_of(values);
    auto out = pd ? result_like<real>(values) : result<real>({});
    nb::gil_scoped_release release;
    real total = static_cast<real>(std::max<int64_t>(1, n));
    if (pw) column_sums(pw, &total, n, 1);
    if (total == 0) total = 1;
    const auto& table = elementwise_table<real>();
    if (pd && !pw) {
      std::fill(out.data, out.data + n, *pd / total);
    } else if (pd) {
      split(n, 1, [&](int64_t from, int64_t to) { table.scale(pw + from, *pd / total, out.data + from, to - from); });
    } else {
      Scratch<real> shares(static_cast<size_t>(pw ? n + 1 : 1));
      if (pw)
        split(n, 1, [&](int64_t from, int64_t to) {
          table.binary(op_mul, pv + from, pw + from, shares.data() + from, to - from);
        });
      column_sums(pw ? shares.data() : pv, out.data, n, 1);
      *out.data = *out.data / total;
    }
    return out.array;
  });
}

Binder binder([](nb::module_& m) {
  m.def("sums_of_squares", squares, nb::arg("arrays"));
  m.def("adam", adam, nb::arg("parameter"), nb::arg("gradient"), nb::arg("first"), nb::arg("second"),
        nb::arg("rate"), nb::arg("beta1"), nb::arg("beta2"), nb::arg("epsilon"), nb::arg("step"), nb::arg("decay"),
        nb::arg("decoupled"), nb::arg("scale"));
  m.def("weighted_mean", weighted_mean, nb::arg("values"), nb::arg("weights") = nb::none(),
        nb::arg("dmean") = nb::none());
});

}  // namespace
}  // namespace recurra
