// Rows of numbers on their way into a stream: the arithmetic of the signal encoder's scaler, one call a row.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "arrays.hpp"

namespace recurra {
namespace {

class RowScaler {
 public:
  RowScaler(const Array& center, const Array& scale, const Array& fill, const std::vector<int64_t>& masked,
            bool missing)
      : features_(extent(center, "center", 0, 1)), masked_(masked), missing_(missing) {
    const double *c = view<double>(center, "center", {features_}), *s = view<double>(scale, "scale", {features_}),
                 *f = view<double>(fill, "fill", {features_});
    for (int64_t i = 0; i < features_; ++i)
      center_.push_back(c[i] * 0.5), scale_.push_back(s[i] * 0.5), fill_.push_back(static_cast<float>(f[i]));
    for (int64_t i : masked_)
      if (i < 0 || i >= features_) refuse("masked must be positions of features, got " + std::to_string(i));
    out_ = result<float>({1, width()});
    std::fill_n(out_.data, width(), 0.0f);
  }

  bool row(const Array& x) {
    if (x.ndim() != 1 || static_cast<int64_t>(x.shape(0)) != features_) return false;
    return scaled(x, 0, out_.data);
  }

  nb::object rows(const Array& x) {
    if (x.ndim() != 2 || static_cast<int64_t>(x.shape(1)) != features_) return nb::none();
    const int64_t count = static_cast<int64_t>(x.shape(0));
    if (count > 0 && features_ == 0) return nb::none();
    const auto made = result<float>({count, width()});
    for (int64_t i = 0; i < count; ++i)
      if (!scaled(x, i, made.data + i * width())) return nb::none();
    return made.array;
  }

  nb::object out() const { return out_.array; }

 private:
  int64_t features_;
  std::vector<double> center_, scale_;  // halves: exact, and they keep the difference of the largest numbers finite
  std::vector<float> fill_;
  std::vector<int64_t> masked_;
  bool missing_;
  Result<float> out_;

  int64_t width() const { return features_ + static_cast<int64_t>(masked_.size()); }

  bool scaled(const Array& x, int64_t at, float* to) const {
    if (is_float64(x)) return of(static_cast<const double*>(x.data()), x, at, to);
    if (x.dtype() == nb::dtype<float>()) return of(static_cast<const float*>(x.data()), x, at, to);
    return false;
  }

  template <class real> static double number(const real* at) {  // wherever it lies: rows of a table may be unaligned
    real value;
    std::memcpy(&value, at, sizeof value);
    return static_cast<double>(value);
  }

  template <class real> bool of(const real* x, const Array& a, int64_t at, float* to) const {
    const bool matrix = a.ndim() == 2;
    const int64_t step = a.stride(matrix ? 1 : 0);
    if (matrix) x += at * a.stride(0);
    bool finite = true, whole = true;
    for (int64_t i = 0; i < features_; ++i) {
      const double value = number(x + i * step);
      const size_t f = static_cast<size_t>(i);
      const bool absent = value != value;
      const float known = static_cast<float>((value * 0.5 - center_[f]) / scale_[f]);
      to[i] = absent ? fill_[f] : known;
      finite &= std::isfinite(to[i]);
      whole &= !absent;
    }
    for (size_t m = 0; m < masked_.size(); ++m) {
      const double value = number(x + masked_[m] * step);
      to[features_ + static_cast<int64_t>(m)] = value != value ? 1.0f : 0.0f;
    }
    return finite && (whole || missing_);
  }
};

Binder binder([](nb::module_& m) {
  using namespace nb::literals;
  nb::class_<RowScaler>(m, "RowScaler", "Scales rows of numbers for a stream.")
      .def(nb::init<const Array&, const Array&, const Array&, const std::vector<int64_t>&, bool>(), "center"_a,
           "scale"_a, "fill"_a, "masked"_a, "missing"_a = true)
      .def("row", &RowScaler::row, "x"_a)
      .def("rows", &RowScaler::rows, "x"_a)
      .def_prop_ro("out", &RowScaler::out);
});

}  // namespace
}  // namespace recurra
