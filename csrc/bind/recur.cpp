// The recurrences: Packed, recur_project, recur_forward, recur_backward.
#include "../recur_run.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <variant>

#include "bind.hpp"
#include "packed.hpp"

namespace recurra {
namespace {

template <class real> real* data_of(const Result<real>& r) { return r.data; }

Cell cell_named(const std::string& text) {
  if (text == "rnn") return Cell::rnn;
  if (text == "rnn_relu") return Cell::rnn_relu;
  if (text == "lstm") return Cell::lstm;
  if (text == "gru") return Cell::gru;
  refuse("cell must be one of rnn, rnn_relu, lstm, gru, got \"" + text + "\"");
}

// All gains of a layer-normalised cell, or none.
void check_gains(const Packed& p, const GainArrays& given) {
  const bool lstm = p.cell == Cell::lstm;
  if (given.x.has_value() != given.h.has_value()) refuse("gain_x and gain_h must be given both or not at all");
  if (given.c.has_value() != (p.normed && lstm) || given.bias_c.has_value() != (p.normed && lstm))
    refuse("gain_c and bias_c must be given for a layer-normalised lstm and for no other cell");
  if (p.normed && p.precision != "float32" && p.precision != "float64")
    refuse("precision of a layer-normalised cell must be float32, got \"" + p.precision + "\"");
}

}  // namespace

Packed::Packed(const std::string& cell_text, const Array& w_ih, const Array& w_hh, const MaybeArray& b_ih,
               const MaybeArray& b_hh, bool forward, bool backward, const std::string& wanted, const GainArrays& given)
    : precision(wanted), forward(forward), backward(backward), name(cell_text), cell(cell_named(cell_text)),
      normed(given.x) {
  const Precision bits = wanted == "bfloat16" ? Precision::bfloat16 : wanted == "int8" ? Precision::int8 : Precision::full;
  if (bits == Precision::full && wanted != "float32")
    refuse("precision must be one of float32, bfloat16, int8, got \"" + wanted + "\"");
  if (bits == Precision::int8 && backward) refuse("precision \"int8\" is for inference; use backward=False");
  if (bits != Precision::full && is_float64(w_ih)) refuse("precision \"" + wanted + "\" wants float32 weights, got float64");
  if (is_float64(w_ih)) precision = "float64";
  by_dtype(w_ih, "w_ih", [&](auto zero) {
    using real = decltype(zero);
    if (w_hh.ndim() != 2 || w_hh.shape(1) < 1) refuse("w_hh must be (G*H, H) with H at least 1, got " + describe(w_hh));
    if (w_ih.ndim() != 2 || w_ih.shape(1) < 1) refuse("w_ih must be (G*H, I) with I at least 1, got " + describe(w_ih));
    H = static_cast<int64_t>(w_hh.shape(1)), I = static_cast<int64_t>(w_ih.shape(1));
    const int64_t rows = gates_of(cell) * H;
    const real* hh = view<real>(w_hh, "w_hh", {rows, H});
    const real* ih = view<real>(w_ih, "w_ih", {rows, I});
    const real* bi = view<real>(b_ih, "b_ih", {rows});
    const real* bh = view<real>(b_hh, "b_hh", {rows});
    check_gains(*this, given);
    const Gains<real> gains{view<real>(given.x, "gain_x", {rows}), view<real>(given.h, "gain_h", {rows}),
                            view<real>(given.c, "gain_c", {H}), view<real>(given.bias_c, "bias_c", {H})};
    nb::gil_scoped_release release;
    weights = std::make_shared<PackedWeights<real>>(cell, I, H, ih, hh, bi, bh, forward, backward, bits, gains);
  });
}

namespace {

template <class real> PackedWeights<real>& weights_of(const Packed& p, const Array& x, const char* argument) {
  auto held = std::get_if<std::shared_ptr<PackedWeights<real>>>(&p.weights);
  if (!held)
    refuse(std::string(argument) + " must have the dtype of the weights, " + p.dtype() + ", got " + describe(x));
  return **held;
}

nb::object project(const Packed& p, const Array& x) {
  return by_dtype(x, "x", [&](auto zero) -> nb::object {
    using real = decltype(zero);
    PackedWeights<real>& w = weights_of<real>(p, x, "x");
    if (!p.forward) refuse("packed must be made with forward=True to run forward");
    if (p.precision == "int8") refuse("packed must be float32, bfloat16 or float64 to project, got int8");
    const real* from = view<real>(x, "x", {any, p.I});
    const int64_t N = static_cast<int64_t>(x.shape(0));
    auto out = result<real>({N, gates_of(p.cell) * p.H});
    {
      nb::gil_scoped_release release;
      run_project(w, from, N, out.data);
    }
    return out.array;
  });
}

template <class real> real clip_of(const Packed& p, std::optional<double> clip) {
  if (clip && p.cell != Cell::lstm) refuse("cell_clip is for lstm only, got it for " + p.name);
  if (clip && !(*clip > 0)) refuse("cell_clip must be greater than 0, got " + std::to_string(*clip));
  return clip ? static_cast<real>(*clip) : real(0);
}

void check_lstm_only(const Packed& p, const MaybeArray& a, const char* argument) {
  if (a && p.cell != Cell::lstm) refuse(std::string(argument) + " is for lstm only, got it for " + p.name);
}

// Zoneout as asked for, checked.
template <class real> Zoneout<real> zones_of(const Packed& p, double rate, const MaybeArray& masks, int64_t N) {
  if (!(rate >= 0 && rate < 1)) refuse("zoneout must be at least 0 and below 1, got " + std::to_string(rate));
  if ((rate != 0 || masks) && p.precision != "float32" && p.precision != "float64")
    refuse("zoneout wants float32 or float64 weights, got " + p.precision);
  return {static_cast<real>(rate), view<real>(masks, "zoneout_mask", {N, p.cell == Cell::lstm ? 2 * p.H : p.H})};
}

nb::tuple forward(const Packed& p, const Array& x, const Array& offsets, const MaybeArray& h0, const MaybeArray& c0,
                  bool reverse, std::optional<double> cell_clip, const MaybeArray& mask, bool save,
                  bool preprojected, double zoneout, const MaybeArray& zoneout_mask) {
  return by_dtype(x, "x", [&](auto zero) -> nb::tuple {
    using real = decltype(zero);
    PackedWeights<real>& w = weights_of<real>(p, x, "x");
    const int64_t H = p.H, G = gates_of(p.cell);
    Forward<real> f{};
    if (!p.forward) refuse("packed must be made with forward=True to run forward");
    f.w = w.weights();
    if (p.precision == "int8" && (save || preprojected || mask))
      refuse("save, preprojected and recurrent_mask want float32, bfloat16 or float64 weights, got int8");
    f.x = view<real>(x, preprojected ? "x (preprojected)" : "x", {any, preprojected ? G * H : p.I});
    const int64_t N = static_cast<int64_t>(x.shape(0)), S = check_offsets(offsets, N);
    f.offsets = static_cast<const int64_t*>(offsets.data());
    check_lstm_only(p, c0, "c0");
    f.h0 = view<real>(h0, "h0", {S, H}), f.c0 = view<real>(c0, "c0", {S, H});
    f.mask = view<real>(mask, "recurrent_mask", {S, H});
    f.zones = zones_of<real>(p, zoneout, zoneout_mask, N);
    f.reverse = reverse, f.preprojected = preprojected;
    f.clip = clip_of<real>(p, cell_clip), f.clipped = cell_clip.has_value();
    const auto y = result<real>({N, H}), h = result<real>({S, H});
    f.y = y.data, f.h = h.data;
    nb::object c = nb::none(), gates = nb::none(), cells = nb::none(), extra = nb::none();
    const auto make = [](nb::object& slot, real*& data, std::initializer_list<int64_t> shape) {
      const auto r = result<real>(shape);
      slot = r.array, data = r.data;
    };
    if (p.cell == Cell::lstm) make(c, f.c, {S, H});
    const bool whole = is_whole(f.w, f.zones);
    const int64_t kept = kept_of(f.w).size;
    if (save && (G > 1 || whole)) make(gates, f.gates, {N, G * H});
    if (save && p.cell == Cell::lstm) make(cells, f.cells, {N, H});
    if (save && whole && kept) make(extra, f.kept, {N, kept});
    else if (save && p.cell == Cell::gru) make(extra, f.linear, {N, H});
    if (f.kept && preprojected) std::fill_n(f.kept, N * kept, real(0));  // of the input's norm nothing is known
    {
      nb::gil_scoped_release release;
      run_forward(w, f, S);
    }
    return nb::make_tuple(y.array, h.array, c, gates, cells, extra);
  });
}

template <class real> const real* needed(const MaybeArray& a, const char* argument, bool need, std::initializer_list<int64_t> shape) {
  if (need && !a) refuse(std::string(argument) + " is needed; run recur_forward with save=True");
  return need ? view<real>(a, argument, shape) : nullptr;
}

nb::dict backward(const Packed& p, const Array& x, const Array& offsets, const Array& y, const MaybeArray& gates,
                  const MaybeArray& cells, const MaybeArray& extra, const MaybeArray& dy, const MaybeArray& dh,
                  const MaybeArray& dc, const MaybeArray& h0, const MaybeArray& c0, bool reverse,
                  std::optional<double> cell_clip, const MaybeArray& mask, bool need_dx, bool need_weights, bool steps,
                  double zoneout, const MaybeArray& zoneout_mask) {
  return by_dtype(x, "x", [&](auto zero) -> nb::dict {
    using real = decltype(zero);
    PackedWeights<real>& w = weights_of<real>(p, x, "x");
    const int64_t H = p.H, G = gates_of(p.cell), I = p.I;
    const bool lstm = p.cell == Cell::lstm;
    if (!p.backward) refuse("packed must be made with backward=True to run backward");
    Backward<real> b{};
    const real* from = view<real>(x, "x", {any, I});
    const int64_t N = static_cast<int64_t>(x.shape(0)), S = check_offsets(offsets, N);
    b.offsets = static_cast<const int64_t*>(offsets.data());
    check_lstm_only(p, c0, "c0"), check_lstm_only(p, dc, "dc");
    b.reverse = reverse, b.clip = clip_of<real>(p, cell_clip), b.clipped = cell_clip.has_value();
    b.h0 = view<real>(h0, "h0", {S, H}), b.c0 = view<real>(c0, "c0", {S, H});
    b.mask = view<real>(mask, "recurrent_mask", {S, H});
    b.y = view<real>(y, "y", {N, H});
    b.zones = zones_of<real>(p, zoneout, zoneout_mask, N);
    const bool whole = is_whole(w.weights(), b.zones);
    const int64_t kept = kept_of(w.weights()).size;
    b.gates = needed<real>(gates, "gates", G > 1 || whole, {N, G * H});
    b.cells = needed<real>(cells, "cells", lstm, {N, H});
    (whole ? b.kept : b.linear) = needed<real>(extra, "extra", whole ? kept != 0 : p.cell == Cell::gru, {N, whole ? kept : H});
    b.dy = view<real>(dy, "dy", {N, H}), b.dh = view<real>(dh, "dh", {S, H}), b.dc = view<real>(dc, "dc", {S, H});
    nb::dict out;
    const auto make = [&](const char* key, bool want, std::initializer_list<int64_t> shape) -> real* {
      out[key] = nb::none();
      if (!want) return nullptr;
      const auto r = result<real>(shape);
      out[key] = r.array;
      return r.data;
    };
    b.dx = make("dx", need_dx, {N, I});
    const bool normed = need_weights && p.normed;
    WeightGradients<real> grads{make("dw_ih", need_weights, {G * H, I}), make("dw_hh", need_weights, {G * H, H}),
                                make("db_ih", need_weights, {G * H}), make("db_hh", need_weights, {G * H}),
                                make("dgain_x", normed, {G * H}), make("dgain_h", normed, {G * H}),
                                make("dgain_c", normed && lstm, {H}), make("dbias_c", normed && lstm, {H})};
    b.dh0 = make("dh0", true, {S, H}), b.dc0 = make("dc0", lstm, {S, H});
    b.steps = make("steps", steps, {N, H});
    {
      nb::gil_scoped_release release;
      b.D = w.dgates_stride();
      Scratch<real> dgates(static_cast<size_t>(N * b.D));
      b.dgates = dgates.data();
      run_backward(w, b, S, N, from, grads);
    }
    return out;
  });
}

Binder recurrences([](nb::module_& m) {
  using namespace nb::literals;
  const auto none = nb::none();
  nb::class_<Packed>(m, "Packed", "Weights of one recurrence in the layout that the kernels read.")
      .def("__init__",
           [](Packed* self, const std::string& cell, const Array& w_ih, const Array& w_hh, const MaybeArray& b_ih,
              const MaybeArray& b_hh, bool forward, bool backward, const std::string& precision, const MaybeArray& gain_x,
              const MaybeArray& gain_h, const MaybeArray& gain_c, const MaybeArray& bias_c) {
             new (self) Packed(cell, w_ih, w_hh, b_ih, b_hh, forward, backward, precision, {gain_x, gain_h, gain_c, bias_c});
           },
           "cell"_a, "w_ih"_a, "w_hh"_a, "b_ih"_a = none, "b_hh"_a = none, nb::kw_only(), "forward"_a = true, "backward"_a = false,
           "precision"_a = "float32", "gain_x"_a = none, "gain_h"_a = none, "gain_c"_a = none, "bias_c"_a = none)
      .def_prop_ro("cell", [](const Packed& p) { return p.name; })
      .def_prop_ro("input_size", [](const Packed& p) { return p.I; })
      .def_prop_ro("hidden_size", [](const Packed& p) { return p.H; })
      .def_prop_ro("gates", [](const Packed& p) { return gates_of(p.cell); })
      .def_prop_ro("dtype", &Packed::dtype)
      .def_prop_ro("precision", [](const Packed& p) { return p.precision; })
      .def_prop_ro("normalised", [](const Packed& p) { return p.normed; })
      .def_prop_ro("isa", &Packed::isa_name)
      .def_prop_ro("nbytes", &Packed::bytes)
      .def_prop_ro("engine", &Packed::how);
  m.def("recur_project", project, "packed"_a, "x"_a);
  m.def("recur_forward", forward, "packed"_a, "x"_a, "offsets"_a, "h0"_a = none, "c0"_a = none, nb::kw_only(),
        "reverse"_a = false, "cell_clip"_a = none, "recurrent_mask"_a = none, "save"_a = false,
        "preprojected"_a = false, "zoneout"_a = 0.0, "zoneout_mask"_a = none);
  m.def("recur_backward", backward, "packed"_a, "x"_a, "offsets"_a, "y"_a, "gates"_a.none(), "cells"_a.none(),
        "extra"_a.none(), "dy"_a = none, "dh"_a = none, "dc"_a = none, nb::kw_only(), "h0"_a = none, "c0"_a = none,
        "reverse"_a = false, "cell_clip"_a = none, "recurrent_mask"_a = none, "need_dx"_a = true,
        "need_weights"_a = true, "steps"_a = false, "zoneout"_a = 0.0, "zoneout_mask"_a = none);
});

}  // namespace
}  // namespace recurra
