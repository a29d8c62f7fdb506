// One time step of one row: the weights stream through once, so several panels are in flight at the same time.
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

struct Laid {  // x and h as the products read them
  const real *x, *h;
};

template <Cell cell, class Kind, int P, int V> void step_panels(const Step1<real>& s, const Laid& laid, int64_t p) {
  const Weights<real>& w = s.w;
  const int64_t full = w.vectors * W;
  vec acc[P][V], linear[P];
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[q][v] = load(w.bias + (p + q) * full + v * W);
    linear[q] = cell == Cell::gru ? load(w.bias_n + (p + q) * W) : set1(real(0));
  }
  stream<Kind>(acc, laid.x, w.input + p * full * w.KI, full * w.KI, w.KI);
  vec fresh[P];
  if constexpr (cell == Cell::gru) {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fresh[q] = acc[q][2], acc[q][2] = linear[q];
  }
  stream<Kind>(acc, laid.h, w.recurrent + p * full * w.KH, full * w.KH, w.KH);
  const auto lanes = [&](int64_t unit) { return static_cast<int>(least(W, w.H - unit)); };
  if constexpr (cell == Cell::lstm) {
    vec a[4 * P], c[P];
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
      a[3 * q] = acc[q][0], a[3 * q + 1] = acc[q][1], a[3 * q + 2] = acc[q][3], a[3 * P + q] = acc[q][2];
    activate<3 * P, P>(a);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      const int64_t unit = (p + q) * W;
      c[q] = fma(a[3 * q + 1], load_n(s.c + unit, lanes(unit)), mul(a[3 * q], a[3 * P + q]));
      if (s.clipped) c[q] = max(set1(-s.clip), min(set1(s.clip), c[q]));
      store_n(s.c + unit, c[q], lanes(unit));
    }
    activate<0, P>(c);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) store_n(s.out + (p + q) * W, mul(a[3 * q + 2], c[q]), lanes((p + q) * W));
  } else if constexpr (cell == Cell::gru) {
    vec a[2 * P];
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) a[2 * q] = acc[q][0], a[2 * q + 1] = acc[q][1];
    activate<2 * P, 0>(a);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fresh[q] = fma(a[2 * q], acc[q][2], fresh[q]);
    activate<0, P>(fresh);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      const int64_t unit = (p + q) * W;
      const vec before = load_n(s.h + unit, lanes(unit));
      store_n(s.out + unit, fma(a[2 * q + 1], sub(before, fresh[q]), fresh[q]), lanes(unit));
    }
  } else {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      if constexpr (cell == Cell::rnn) activate<0, V>(acc[q]);
      else
        for (int v = 0; v < V; ++v) acc[q][v] = max(set1(real(0)), acc[q][v]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const int64_t unit = (p + q) * w.units + v * W;
        store_n(s.out + unit, acc[q][v], lanes(unit));
      }
    }
  }
}

// Panels [p, p + n) of one group, which are worked on together.
template <Cell cell, class Kind> void step_group(const Step1<real>& s, const Laid& laid, int64_t p, int64_t n) {
  constexpr bool gated = cell == Cell::lstm || cell == Cell::gru;
  constexpr int V = gated ? gates_of(cell) : 4;
  if constexpr (gated) {
    if (n == 2) step_panels<cell, Kind, 2, V>(s, laid, p);
    else step_panels<cell, Kind, 1, V>(s, laid, p);
  } else {
    if (n == 2) return step_panels<cell, Kind, 2, V>(s, laid, p);
    switch (vectors_of(s.w, p)) {
      case 1: return step_panels<cell, Kind, 1, 1>(s, laid, p);
      case 2: return step_panels<cell, Kind, 1, 2>(s, laid, p);
      case 3: return step_panels<cell, Kind, 1, 3>(s, laid, p);
      default: return step_panels<cell, Kind, 1, 4>(s, laid, p);
    }
  }
}

template <Cell cell, class Kind> void step_cell(const Step1<real>& s) {
  Laid laid{s.x, s.h};
  if constexpr (Kind::paired) {
    real* h = s.scratch + s.w.KI;
    lay<Kind>(s.scratch, s.x, nullptr, s.w.I), lay<Kind>(h, s.h, nullptr, s.w.H);
    laid = {s.scratch, h};
  }
  constexpr bool gated = cell == Cell::lstm || cell == Cell::gru;
  const int64_t panels = s.w.panels;
  // Two panels at a time: eight chains hide the latency of the multiply-add. The last of an rnn may hold fewer
  // vectors and stands alone.
  const int64_t pairs = (gated ? panels : panels - 1) / 2, groups = panels - pairs;
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t g = s.descending ? groups - 1 - i : i;
    if (g < pairs) step_group<cell, Kind>(s, laid, 2 * g, 2);
    else step_group<cell, Kind>(s, laid, pairs + g, 1);
  }
}

template <class Kind> void step_any(const Step1<real>& s) {
  switch (s.w.cell) {
    case Cell::rnn: return step_cell<Cell::rnn, Kind>(s);
    case Cell::rnn_relu: return step_cell<Cell::rnn_relu, Kind>(s);
    case Cell::lstm: return step_cell<Cell::lstm, Kind>(s);
    case Cell::gru: return step_cell<Cell::gru, Kind>(s);
  }
}

}  // namespace

void step(const Step1<real>& s) {
  if (is_whole(s.w, {s.zoneout, nullptr})) return whole_step(s);
  if (s.w.pairs) step_any<Narrow>(s);
  else step_any<Singles>(s);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
