// The Python class Stepper.
#include "../stepper.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <variant>

#include "bind.hpp"
#include "packed.hpp"

namespace recurra {
namespace {

class PyStepper {
 public:
  PyStepper(const std::vector<Packed*>& stack, int64_t rows, std::optional<double> clip, double zoneout) {
    if (stack.empty()) refuse("stack must hold at least one layer, got none");
    for (const Packed* each : stack)
      if (!each) refuse("stack must hold packed weights, got None");
    constexpr int64_t most_rows = std::numeric_limits<int32_t>::max();
    if (rows < 1 || rows > most_rows)
      refuse("rows must be from 1 to " + std::to_string(most_rows) + ", got " + std::to_string(rows));
    if (!(zoneout >= 0 && zoneout < 1)) refuse("zoneout must be at least 0 and below 1, got " + std::to_string(zoneout));
    const std::string& precision = stack[0]->precision;
    if (zoneout != 0 && precision != "float32" && precision != "float64")
      refuse("zoneout wants float32 or float64 weights, got " + precision);
    if (clip && stack[0]->cell != Cell::lstm) refuse("cell_clip is for lstm only, got it for " + stack[0]->name);
    if (clip && !(*clip > 0)) refuse("cell_clip must be greater than 0, got " + std::to_string(*clip));
    for (size_t i = 0; i < stack.size(); ++i) {
      const Packed &p = *stack[i], &first = *stack[0];
      if (p.cell != first.cell || p.H != first.H || p.weights.index() != first.weights.index() || p.precision != first.precision || p.normed != first.normed)
        refuse("stack must be layers of one cell, hidden size, dtype, precision and norm, layer " + std::to_string(i) + " differs");
      if (i && p.I != p.H) refuse("stack: layer " + std::to_string(i) + " must take " + std::to_string(p.H) +
                                  " inputs, got " + std::to_string(p.I));
      if (!p.forward) refuse("stack must hold weights packed with forward=True");
    }
    std::visit([&](const auto& w) { make(w, stack, rows, clip, zoneout); }, stack[0]->weights);
  }

  nb::object step(const Array& x, const MaybeArray& index) {
    return std::visit([&](auto& s) { return step_typed(*s, x, index); }, stepper_);
  }

  nb::object state(const MaybeArray& index) {
    return std::visit([&](auto& s) {
      using real = typename std::decay_t<decltype(*s)>::value_type;
      const int64_t* rows = index ? indices(*index, s->rows()) : nullptr;
      const int64_t count = index ? static_cast<int64_t>(index->shape(0)) : s->rows();
      const auto out = result<real>({s->layers(), s->kinds(), count, s->H()});
      s->state(out.data, rows, count);
      return out.array;
    }, stepper_);
  }

  void load(const Array& state, const MaybeArray& index) {
    std::visit([&](auto& s) {
      using real = typename std::decay_t<decltype(*s)>::value_type;
      const int64_t* rows = index ? indices(*index, s->rows()) : nullptr;
      const int64_t count = index ? static_cast<int64_t>(index->shape(0)) : s->rows();
      s->load(view<real>(state, "state", {s->layers(), s->kinds(), count, s->H()}), rows, count);
    }, stepper_);
  }

  void reset(const MaybeArray& index) {
    std::visit([&](auto& s) {
      const int64_t* rows = index ? indices(*index, s->rows()) : nullptr;
      s->reset(rows, index ? static_cast<int64_t>(index->shape(0)) : s->rows());
    }, stepper_);
  }

 private:
  template <class real> struct Typed : Stepper<real> {
    using value_type = real;
    using Stepper<real>::Stepper;
  };
  std::variant<std::unique_ptr<Typed<float>>, std::unique_ptr<Typed<double>>> stepper_;
  std::vector<uint8_t> seen_;
  std::mutex lock_;

  template <class real>
  void make(const std::shared_ptr<PackedWeights<real>>&, const std::vector<Packed*>& stack, int64_t rows,
            std::optional<double> clip, double zoneout) {
    std::vector<std::shared_ptr<PackedWeights<real>>> layers;
    for (const Packed* p : stack) layers.push_back(std::get<std::shared_ptr<PackedWeights<real>>>(p->weights));
    stepper_ = std::make_unique<Typed<real>>(std::move(layers), rows, clip.has_value(),
                                             static_cast<real>(clip.value_or(0)), static_cast<real>(zoneout));
    seen_.assign(static_cast<size_t>(rows), 0);
  }

  const int64_t* indices(const Array& index, int64_t rows) {
    const int64_t* p = view<int64_t>(index, "index", {any});
    const int64_t n = static_cast<int64_t>(index.shape(0));
    int64_t bad = -1;
    bool twice = false;
    int64_t done = 0;
    for (; done < n && bad < 0 && !twice; ++done) {
      if (p[done] < 0 || p[done] >= rows) bad = done;
      else twice = seen_[static_cast<size_t>(p[done])]++ != 0;
    }
    for (int64_t i = 0; i < done; ++i)
      if (p[i] >= 0 && p[i] < rows) seen_[static_cast<size_t>(p[i])] = 0;
    if (bad >= 0) refuse("index must lie in 0 .. " + std::to_string(rows - 1) + ", got " + std::to_string(p[bad]));
    if (twice) refuse("index must not name a row twice, got " + std::to_string(p[done - 1]) + " again");
    return p;
  }

  template <class real> nb::object step_typed(Typed<real>& s, const Array& x, const MaybeArray& index) {
    std::unique_lock<std::mutex> lock(lock_, std::try_to_lock);
    if (!lock.owns_lock()) refuse("this stepper is at work in another thread; give each thread its own");
    const int64_t count = index ? static_cast<int64_t>(index->ndim() == 1 ? index->shape(0) : 0) : s.rows();
    const int64_t* rows = index ? indices(*index, s.rows()) : nullptr;
    const bool flat = x.ndim() == 1 && count == 1;
    const real* from = flat ? view<real>(x, "x", {s.I()}) : view<real>(x, "x", {count, s.I()});
    const real* y;
    if (count == 1) y = s.step(from, rows, count);
    else {
      nb::gil_scoped_release release;
      y = s.step(from, rows, count);
    }
    const size_t shape[2] = {static_cast<size_t>(count), static_cast<size_t>(s.H())};
    return nb::cast(nb::ndarray<nb::numpy, real>(const_cast<real*>(y), 2, shape, nb::find(this)));
  }
};

Binder stepper([](nb::module_& m) {
  using namespace nb::literals;
  nb::class_<PyStepper>(m, "Stepper", "A stack of layers and the states of its streams; one step per call.")
      .def(nb::init<const std::vector<Packed*>&, int64_t, std::optional<double>, double>(), "stack"_a, "rows"_a = 1,
           "cell_clip"_a = nb::none(), "zoneout"_a = 0.0)
      .def("step", &PyStepper::step, "x"_a, "index"_a = nb::none())
      .def("state", &PyStepper::state, "index"_a = nb::none())
      .def("load", &PyStepper::load, "state"_a, "index"_a = nb::none())
      .def("reset", &PyStepper::reset, "index"_a = nb::none());
});

}  // namespace
}  // namespace recurra
