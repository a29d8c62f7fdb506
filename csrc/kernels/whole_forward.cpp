// The forward pass where a step is finished a whole row at a time; see whole.hpp.
//
// As in recur_forward.cpp a gang of rows, longest first, walks through time in chunks: the input part of a chunk's
// tokens, then step by step the recurrent product of the rows at work and each row's gates, cell and output.
#include "whole.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

RECURRA_INLINE bool gated(Cell cell) { return cell == Cell::lstm || cell == Cell::gru; }

// Calls f(v, place, lanes) for the V vectors of panel p: where in a row of torch's order they belong.
template <int V, class F> RECURRA_INLINE void places(const Weights<real>& w, int64_t p, const F& f) {
  const bool apart = gated(w.cell);
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const int64_t unit = p * w.units + (apart ? 0 : v * W);
    f(v, unit + (apart ? v * w.H : 0), static_cast<int>(least(W, w.H - unit)));
  }
}

template <int R, int V> void product_tile(const RowProduct& at, int64_t p, const real* const* rows, real* const* out) {
  const int64_t full = at.w.vectors * W;
  Accumulators<R, V> acc;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = at.begin ? load(at.begin + p * full + v * W) : set1(real(0));
  multiply(acc, rows, at.panels + p * full * at.K, at.K);
  places<V>(at.w, p, [&](int v, int64_t place, int lanes) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) store_n(out[r] + place, acc.at[r][v], lanes);
  });
}

using ProductTile = void (*)(const RowProduct&, int64_t, const real* const*, real* const*);

template <int V> ProductTile product_tile_of(int64_t rows) {
  constexpr int top = V == 3 ? ROWS3 : ROWS4;
  switch (rows) {
    case 1: return product_tile<1, V>;
    case 2: return product_tile<2, V>;
    case 3: return product_tile<(top >= 3 ? 3 : 1), V>;
    case 4: return product_tile<(top >= 4 ? 4 : 1), V>;
    case 5: return product_tile<(top >= 5 ? 5 : 1), V>;
    case 6: return product_tile<(top >= 6 ? 6 : 1), V>;
    case 7: return product_tile<(top >= 7 ? 7 : 1), V>;
    default: return product_tile<(top >= 8 ? 8 : 1), V>;
  }
}

ProductTile product_tile_of(int64_t V, int64_t rows) {
  switch (V) {
    case 1: return product_tile_of<1>(rows);
    case 2: return product_tile_of<2>(rows);
    case 3: return product_tile_of<3>(rows);
    default: return product_tile_of<4>(rows);
  }
}

// One row alone: the weights stream through once, two panels at a time.
template <int V> void product_two(const RowProduct& at, int64_t p, const real* row, real* out) {
  const int64_t full = at.w.vectors * W;
  vec acc[2][V];
#pragma GCC unroll 2
  for (int q = 0; q < 2; ++q)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[q][v] = at.begin ? load(at.begin + (p + q) * full + v * W) : set1(real(0));
  stream(acc, row, at.panels + p * full * at.K, full * at.K, at.K);
#pragma GCC unroll 2
  for (int q = 0; q < 2; ++q)
    places<V>(at.w, p + q, [&](int v, int64_t place, int lanes) { store_n(out + place, acc[q][v], lanes); });
}

// A row that is normalised, times gain, on top of what `onto` gives: out = onto + gain * unit.
void norm_row(const real* row, int64_t size, const Moments& m, const real* gain, const real* onto, real* unit, real* out) {
  const vec middle = set1(m.mean), factor = set1(m.inverse);
  over(size, [&](int64_t j, int n) {
    const vec u = mul(sub(load_n(row + j, n), middle), factor);
    if (unit) store_n(unit + j, u, n);
    store_n(out + j, fma(u, load_n(gain + j, n), load_n(onto + j, n)), n);
  });
}

// One row in one step.
struct RowStep {
  const real *pre, *past;     // the input part of the gates, and W_hh h
  const real *before, *mask;  // h of the step before; mask of the recurrent product or null
  Keep keep;
  bool zoned;
  real *c, *y, *next;  // next: what the next step's product reads, or null
  real *gates, *cells, *linear, *kept;  // cells and kept may be null
  real *raw, *shown;   // scratch of H numbers each
};

// The sums of the gates: of gru's candidate only the recurrent part, into `linear`.
template <Cell cell> void sums(const Weights<real>& w, const RowStep& s) {
  const int64_t H = w.H, width = gates_of(cell) * H, ready = cell == Cell::gru ? 2 * H : width;
  if (!w.norm.gain_x) {
    over(ready, [&](int64_t j, int n) { store_n(s.gates + j, add(load_n(s.pre + j, n), load_n(s.past + j, n)), n); });
    if constexpr (cell == Cell::gru)
      over(H, [&](int64_t j, int n) {
        store_n(s.linear + j, add(load_n(w.bias_n + j, n), load_n(s.past + ready + j, n)), n);
      });
    return;
  }
  const Moments m = moments_of(s.past, width, eps);
  const Kept at = kept_of(w);
  real* unit = s.kept ? s.kept + at.unit_h : nullptr;
  if (s.kept) s.kept[at.stats + 1] = m.inverse;
  norm_row(s.past, ready, m, w.norm.gain_h, s.pre, unit, s.gates);
  if constexpr (cell == Cell::gru)
    norm_row(s.past + ready, H, m, w.norm.gain_h + ready, w.bias_n, unit ? unit + ready : nullptr, s.linear);
}

void outputs(const Weights<real>& w, const RowStep& s, const real* fresh) {
  over(w.H, [&](int64_t j, int n) {
    vec h = load_n(fresh + j, n);
    if (s.zoned) h = zoned(s.keep.share(j, n, 0), load_n(s.before + j, n), h);
    store_n(s.y + j, h, n);
    if (s.next) store_n(s.next + j, s.mask ? mul(h, load_n(s.mask + j, n)) : h, n);
  });
}

void finish_lstm(const Weights<real>& w, const RowStep& s, const real* clip) {
  const int64_t H = w.H;
  real* a = s.gates;
  activate_row<true>(a, 2 * H), activate_row<false>(a + 2 * H, H), activate_row<true>(a + 3 * H, H);
  over(H, [&](int64_t j, int n) {
    vec c = fma(load_n(a + H + j, n), load_n(s.c + j, n), mul(load_n(a + j, n), load_n(a + 2 * H + j, n)));
    if (clip) c = max(set1(-*clip), min(set1(*clip), c));
    store_n(s.raw + j, c, n);
  });
  const real* shown = s.raw;
  if (w.norm.gain_x) {
    const Moments m = moments_of(s.raw, H, eps);
    norm_row(s.raw, H, m, w.norm.gain_c, w.norm.bias_c, nullptr, s.shown);
    if (s.kept) s.kept[kept_of(w).stats + 2] = m.mean, s.kept[kept_of(w).stats + 3] = m.inverse;
    shown = s.shown;
  }
  over(H, [&](int64_t j, int n) {
    vec c = load_n(s.raw + j, n);
    if (s.zoned) c = zoned(s.keep.share(j, n, 1), load_n(s.c + j, n), c);
    store_n(s.c + j, c, n);
    if (s.cells) store_n(s.cells + j, c, n);
    store_n(s.shown + j, load_n(shown + j, n), n);
  });
  activate_row<false>(s.shown, H);
  over(H, [&](int64_t j, int n) { store_n(s.shown + j, mul(load_n(a + 3 * H + j, n), load_n(s.shown + j, n)), n); });
  outputs(w, s, s.shown);
}

void finish_gru(const Weights<real>& w, const RowStep& s) {
  const int64_t H = w.H;
  real *a = s.gates, *fresh = a + 2 * H;
  activate_row<true>(a, 2 * H);
  over(H, [&](int64_t j, int n) {
    store_n(fresh + j, fma(load_n(a + j, n), load_n(s.linear + j, n), load_n(s.pre + 2 * H + j, n)), n);
  });
  activate_row<false>(fresh, H);
  over(H, [&](int64_t j, int n) {
    const vec now = load_n(fresh + j, n);
    store_n(s.shown + j, fma(load_n(a + H + j, n), sub(load_n(s.before + j, n), now), now), n);
  });
  outputs(w, s, s.shown);
}

template <Cell cell> void finish_row(const Weights<real>& w, const RowStep& s, const real* clip) {
  sums<cell>(w, s);
  if constexpr (cell == Cell::lstm) return finish_lstm(w, s, clip);
  if constexpr (cell == Cell::gru) return finish_gru(w, s);
  if constexpr (cell == Cell::rnn) activate_row<false>(s.gates, w.H);
  if constexpr (cell == Cell::rnn_relu)
    over(w.H, [&](int64_t j, int n) { store_n(s.gates + j, max(set1(real(0)), load_n(s.gates + j, n)), n); });
  outputs(w, s, s.gates);
}

using FinishRow = void (*)(const Weights<real>&, const RowStep&, const real*);
FinishRow finish_of(Cell cell) {
  switch (cell) {
    case Cell::rnn: return finish_row<Cell::rnn>;
    case Cell::rnn_relu: return finish_row<Cell::rnn_relu>;
    case Cell::lstm: return finish_row<Cell::lstm>;
    default: return finish_row<Cell::gru>;
  }
}

// The scratch memory of one gang.
struct Room {
  int64_t slots, width, units;              // places of a chunk; distances between rows of G*H and of H
  real *pre, *past, *next, *c, *gates;      // slots; rows; rows; rows; one
  real *linear, *raw, *shown, *zeros;       // one row of H each
  void* memory;
};

constexpr int64_t chunk_bytes = int64_t{192} << 10;

Room make_room(const Forward<real>& f, int64_t rows) {
  const int64_t H = f.w.H;
  Room room;
  room.width = apart(gates_of(f.w.cell) * H), room.units = apart(H);
  room.slots = most(rows, most(48, least(256, chunk_bytes / (room.width * static_cast<int64_t>(sizeof(real))))));
  const int64_t kept = f.preprojected ? 0 : room.slots;
  room.memory = take_buffer(static_cast<size_t>((kept + rows + 1) * room.width + (2 * rows + 4) * room.units) * sizeof(real));
  room.pre = static_cast<real*>(room.memory);
  room.past = room.pre + kept * room.width;
  room.gates = room.past + rows * room.width;
  room.next = room.gates + room.width;
  room.c = room.next + rows * room.units;
  room.linear = room.c + rows * room.units;
  room.raw = room.linear + room.units, room.shown = room.raw + room.units, room.zeros = room.shown + room.units;
  for (int64_t j = 0; j < H; ++j) room.zeros[j] = 0;
  return room;
}

void begin_row(const Forward<real>& f, const Room& room, int64_t i, int64_t s) {
  const int64_t H = f.w.H;
  const real *h = f.h0 ? f.h0 + s * H : room.zeros, *c = f.c0 ? f.c0 + s * H : room.zeros;
  lay<Singles>(room.next + i * room.units, h, f.mask ? f.mask + s * H : nullptr, H);
  for (int64_t j = 0; j < H; ++j) room.c[i * room.units + j] = c[j];
}

RowStep row_step(const Forward<real>& f, const Room& room, int64_t i, int64_t s, int64_t t, const real* pre) {
  const int64_t H = f.w.H, token = token_of(f.offsets, f.reverse, s, t), G = gates_of(f.w.cell);
  RowStep row;
  row.pre = pre, row.past = room.past + i * room.width;
  row.before = t > 0   ? f.y + token_of(f.offsets, f.reverse, s, t - 1) * H
               : f.h0 ? f.h0 + s * H
                      : room.zeros;
  row.mask = f.mask ? f.mask + s * H : nullptr;
  row.keep = Keep::of(f.zones, f.w, token), row.zoned = f.zones.masks || f.zones.rate != 0;
  row.c = room.c + i * room.units, row.y = f.y + token * H, row.next = room.next + i * room.units;
  const Kept at = kept_of(f.w);
  row.kept = f.kept ? f.kept + token * at.size : nullptr;
  row.gates = f.gates ? f.gates + token * G * H : room.gates;
  row.cells = f.cells ? f.cells + token * H : nullptr;
  row.linear = f.kept ? row.kept + at.linear : room.linear;
  row.raw = room.raw, row.shown = room.shown;
  return row;
}

constexpr int64_t most_slots = 256;

void walk(const Forward<real>& f, const int64_t* rows, int64_t n) {
  const Room room = make_room(f, n);
  const FinishRow finish = finish_of(f.w.cell);
  const real* clip = f.clipped ? &f.clip : nullptr;
  const RowProduct recurrent{f.w, f.w.recurrent, nullptr, f.w.KH};
  const int64_t size = kept_of(f.w).size, width = gates_of(f.w.cell) * f.w.H;
  const real *x[most_slots], *next[gang];
  real *pre[most_slots], *kept[most_slots], *past[gang];
  for (int64_t i = 0; i < n; ++i) {
    begin_row(f, room, i, rows[i]);
    next[i] = room.next + i * room.units, past[i] = room.past + i * room.width;
  }
  const int64_t longest = length_of(f.offsets, rows[0]);
  int64_t active = n;
  for (int64_t t = 0; t < longest;) {
    int64_t used = 0, until = t, there = active;
    for (; until < longest; ++until) {  // how many steps fit into a chunk
      while (there > 0 && length_of(f.offsets, rows[there - 1]) <= until) --there;
      if (used + there > room.slots) break;
      for (int64_t i = 0; i < there; ++i, ++used) {
        const int64_t token = token_of(f.offsets, f.reverse, rows[i], until);
        x[used] = f.x + token * (f.preprojected ? width : f.w.I);
        pre[used] = room.pre + used * room.width;
        kept[used] = f.kept ? f.kept + token * size : nullptr;
      }
    }
    if (!f.preprojected) input_rows(f.w, x, used, pre, f.kept ? kept : nullptr);
    for (int64_t slot = 0; t < until; ++t) {
      while (length_of(f.offsets, rows[active - 1]) <= t) --active;
      row_product(recurrent, next, active, past);
      for (int64_t i = 0; i < active; ++i)
        finish(f.w, row_step(f, room, i, rows[i], t, f.preprojected ? x[slot + i] : pre[slot + i]), clip);
      slot += active;
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t H = f.w.H, s = rows[i];
    const real* y = f.y + token_of(f.offsets, f.reverse, s, length_of(f.offsets, s) - 1) * H;
    for (int64_t j = 0; j < H; ++j) f.h[s * H + j] = y[j];
    for (int64_t j = 0; f.c && j < H; ++j) f.c[s * H + j] = room.c[i * room.units + j];
  }
  give_buffer(room.memory);
}

}  // namespace

void row_product(const RowProduct& product, const real* const* rows, int64_t n, real* const* out) {
  const Weights<real>& w = product.w;
  int64_t p = 0;
  if (n == 1)
    for (; p + 1 < w.panels && vectors_of(w, p + 1) == w.vectors; p += 2) switch (w.vectors) {
        case 3: product_two<3>(product, p, rows[0], out[0]); break;
        default: product_two<4>(product, p, rows[0], out[0]);
      }
  for (; p < w.panels; ++p) {
    const int64_t V = vectors_of(w, p);
    const Split split = Split::over(n, V == 3 ? ROWS3 : ROWS4);
    for (int64_t tile = 0; tile < split.tiles; ++tile) {
      const int64_t begin = split.begin(tile);
      product_tile_of(V, split.begin(tile + 1) - begin)(product, p, rows + begin, out + begin);
    }
  }
}

void input_rows(const Weights<real>& w, const real* const* x, int64_t n, real* const* out, real* const* kept) {
  const bool normed = w.norm.gain_x;
  row_product({w, w.input, normed ? nullptr : w.bias, w.KI}, x, n, out);
  if (!normed) return;
  const int64_t width = gates_of(w.cell) * w.H;
  const Kept at = kept_of(w);
  for (int64_t r = 0; r < n; ++r) {
    const Moments m = moments_of(out[r], width, eps);
    if (kept) kept[r][at.stats] = m.inverse;
    norm_row(out[r], width, m, w.norm.gain_x, w.norm.bias, kept ? kept[r] + at.unit_x : nullptr, out[r]);
  }
}

void whole_project(const Weights<real>& w, const real* x, real* out, int64_t begin, int64_t end) {
  constexpr int64_t block = 24;
  const int64_t width = gates_of(w.cell) * w.H;
  for (int64_t t = begin; t < end; t += block) {
    const int64_t n = least(block, end - t);
    const real* rows[block];
    real* to[block];
    for (int64_t j = 0; j < n; ++j) rows[j] = x + (t + j) * w.I, to[j] = out + (t + j) * width;
    input_rows(w, rows, n, to, nullptr);
  }
}

void whole_forward(const Forward<real>& f, const int64_t* rows, int64_t n) {
  const int64_t size_of_gang = gang_size(n, f.w.cell == Cell::gru ? ROWS3 : ROWS4);
  for (int64_t begin = 0; begin < n; begin += size_of_gang) walk(f, rows + begin, least(size_of_gang, n - begin));
}

void whole_step(const Step1<real>& s) {
  const Weights<real>& w = s.w;
  const int64_t width = apart(gates_of(w.cell) * w.H), units = apart(w.H);
  real *pre = s.scratch, *past = pre + width, *gates = past + width, *linear = gates + width;
  input_rows(w, &s.x, 1, &pre, nullptr);
  row_product({w, w.recurrent, nullptr, w.KH}, &s.h, 1, &past);
  RowStep row{};
  row.pre = pre, row.past = past, row.before = s.h;
  row.keep = {s.zoneout, nullptr, w.H}, row.zoned = s.zoneout != 0;
  row.c = s.c, row.y = s.out, row.gates = gates, row.linear = linear;
  row.raw = linear + units, row.shown = row.raw + units;
  finish_of(w.cell)(w, row, s.clipped ? &s.clip : nullptr);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
