// The forward pass of rnn, lstm and gru: the rows of one thread, all their time steps.
//
// Rows come longest first, so that the rows at work in step t are always the first ones. A gang of rows walks
// through time in chunks: first the input part of all chains of a chunk (full register tiles whatever the number
// of rows, each weight panel read once per chunk), then step by step the recurrent part, which resumes the
// chains, and the gates, cell and output while they are in registers.
//
// Or the members of a team walk the same rows, each with some of the panels: weights that no second-level cache
// holds are read once for all rows instead of once for each thread's. They share h, and meet after every step.
#include "../pool.hpp"
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

// The rows at work in one time step: where each finds its previous state and leaves its new one.
struct Step {
  int64_t n;
  const real* product[gang];  // h of the step before, multiplied by the mask where there is one
  const real* before[gang];   // h of the step before
  const real* mask[gang];     // null where absent
  real* next[gang];           // what the next step's product reads: h, close together for the cache
  real* c[gang];
  real* y[gang];
  real* gates[gang];
  real* cells[gang];
  real* linear[gang];
};

struct Place {  // one panel in one step
  const Forward<real>* f;
  const Step* step;
  const real* pre;  // of the step's first row
  int64_t p, first;  // panel, its first unit
  Fetch fetch;
};

template <class Kind> RECURRA_INLINE void finish_row(const Place& at, int64_t i, int64_t unit, int n, vec h) {
  const Step& s = *at.step;
  store_n(s.y[i] + unit, h, n);
  Kind::put(s.next[i], unit, s.mask[i] ? mul(h, load_n(s.mask[i] + unit, n)) : h, Kind::paired ? n : W);
}

template <Cell cell, class Kind, int R, int V> struct Finish;

template <class Kind, int R, int V> struct Finish<Cell::lstm, Kind, R, V> {
  // P rows at once: their gates and new cell states
  template <int P> RECURRA_INLINE void cells(const Place& at, int64_t k, const real* sums, vec* c, vec* o, int n) {
    const Forward<real>& f = *at.f;
    const Step& s = *at.step;
    const int64_t unit = at.first, H = f.w.H;
    vec a[4 * P];
#pragma GCC unroll 2
    for (int r = 0; r < P; ++r) {
      a[3 * r] = load(sums + (r * 4 + 0) * W);
      a[3 * r + 1] = load(sums + (r * 4 + 1) * W);
      a[3 * r + 2] = load(sums + (r * 4 + 3) * W);
      a[3 * P + r] = load(sums + (r * 4 + 2) * W);
    }
    activate<3 * P, P>(a);
#pragma GCC unroll 2
    for (int r = 0; r < P; ++r) {
      const vec i = a[3 * r], forget = a[3 * r + 1], g = a[3 * P + r];
      c[r] = fma(forget, load(s.c[k + r] + unit), mul(i, g));
      o[r] = a[3 * r + 2];
      if (f.clipped) c[r] = max(set1(-f.clip), min(set1(f.clip), c[r]));
      store(s.c[k + r] + unit, c[r]);
      if (!s.gates[k + r]) continue;
      real* gates = s.gates[k + r] + unit;
      store_n(gates, i, n);
      store_n(gates + H, forget, n);
      store_n(gates + 2 * H, g, n);
      store_n(gates + 3 * H, o[r], n);
      store_n(s.cells[k + r] + unit, c[r], n);
    }
  }

  RECURRA_INLINE void rows(const Place& at, int64_t begin, const real* sums) {
    const int n = static_cast<int>(least(W, at.f->w.H - at.first));
    vec c[R], o[R];
#pragma GCC unroll 4
    for (int r = 0; r + 2 <= R; r += 2) cells<2>(at, begin + r, sums + r * 4 * W, c + r, o + r, n);
    if (R % 2) cells<1>(at, begin + R - 1, sums + (R - 1) * 4 * W, c + R - 1, o + R - 1, n);
    activate<0, R>(c);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) finish_row<Kind>(at, begin + r, at.first, n, mul(o[r], c[r]));
  }
};

template <class Kind, int R, int V> struct Finish<Cell::gru, Kind, R, V> {
  template <int P> RECURRA_INLINE void some(const Place& at, int64_t k, const real* sums, int n) {
    const Step& s = *at.step;
    const int64_t unit = at.first, H = at.f->w.H;
    vec a[2 * P], fresh[P], linear[P];
#pragma GCC unroll 4
    for (int r = 0; r < P; ++r) {
      a[2 * r] = load(sums + (r * 3 + 0) * W);
      a[2 * r + 1] = load(sums + (r * 3 + 1) * W);
      linear[r] = load(sums + (r * 3 + 2) * W);
    }
    activate<2 * P, 0>(a);
#pragma GCC unroll 4
    for (int r = 0; r < P; ++r) fresh[r] = fma(a[2 * r], linear[r], load(at.pre + ((k + r) * 3 + 2) * W));
    activate<0, P>(fresh);
#pragma GCC unroll 4
    for (int r = 0; r < P; ++r) {
      const vec h = fma(a[2 * r + 1], sub(load_n(s.before[k + r] + unit, n), fresh[r]), fresh[r]);
      if (s.gates[k + r]) {
        real* gates = s.gates[k + r] + unit;
        store_n(gates, a[2 * r], n);
        store_n(gates + H, a[2 * r + 1], n);
        store_n(gates + 2 * H, fresh[r], n);
        store_n(s.linear[k + r] + unit, linear[r], n);
      }
      finish_row<Kind>(at, k + r, unit, n, h);
    }
  }

  RECURRA_INLINE void rows(const Place& at, int64_t begin, const real* sums) {
    const int n = static_cast<int>(least(W, at.f->w.H - at.first));
    int r = 0;
#pragma GCC unroll 2
    for (; r + 4 <= R; r += 4) some<4>(at, begin + r, sums + r * 3 * W, n);
    if constexpr (R % 4 != 0) some<R % 4>(at, begin + r, sums + r * 3 * W, n);
  }
};

template <Cell cell, class Kind, int R, int V> struct Finish {  // rnn, rnn_relu
  RECURRA_INLINE void rows(const Place& at, int64_t begin, const real* sums) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t unit = at.first + v * W;
      const int n = static_cast<int>(least(W, at.f->w.H - unit));
      vec a[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) a[r] = load(sums + (r * V + v) * W);
      if constexpr (cell == Cell::rnn) activate<0, R>(a);
      else
        for (int r = 0; r < R; ++r) a[r] = max(set1(real(0)), a[r]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) finish_row<Kind>(at, begin + r, unit, n, a[r]);
    }
  }
};

template <Cell cell, class Kind, int R, int V> void step_tile(const Place& at, int64_t begin) {
  const Weights<real>& w = at.f->w;
  Fetch fetch = at.fetch;
  Errands<R * (V + 2)> errands;
  errands.n = 0;
  if (at.step->gates[begin]) {  // lines that will be written
    for (int r = 0; r < R; ++r) {
      for (int g = 0; g < gates_of(cell); ++g) note(errands, at.step->gates[begin + r] + g * w.H + at.first);
      note(errands, (cell == Cell::gru ? at.step->linear : at.step->cells)[begin + r] + at.first);
      note(errands, at.step->y[begin + r] + at.first);
    }
    send(fetch, errands, w.KH);
  }
  Accumulators<R, V> acc;
  const real* pre = at.pre + begin * V * W;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      acc.at[r][v] = cell == Cell::gru && v == 2 ? load(w.bias_n + at.p * W) : load(pre + (r * V + v) * W);
  const real* panel = w.recurrent + at.p * w.vectors * W * w.KH;
  multiply<Kind>(acc, at.step->product + begin, panel, w.KH, fetch);
  real sums[R * V * W] __attribute__((aligned(64)));
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + (r * V + v) * W, acc.at[r][v]);
  Finish<cell, Kind, R, V>::rows(at, begin, sums);
}

// One row alone, two panels at a time.
template <Cell cell, class Kind, int V> void step_two(const Place& one, const Place& two) {
  const Weights<real>& w = one.f->w;
  const Place* places[2] = {&one, &two};
  const int64_t stride = w.vectors * W * w.KH;
  vec acc[2][V];
#pragma GCC unroll 2
  for (int q = 0; q < 2; ++q)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      acc[q][v] = cell == Cell::gru && v == 2 ? load(w.bias_n + places[q]->p * W) : load(places[q]->pre + v * W);
  stream<Kind>(acc, one.step->product[0], w.recurrent + one.p * stride, stride, w.KH);
  real sums[2 * V * W] __attribute__((aligned(64)));
#pragma GCC unroll 2
  for (int q = 0; q < 2; ++q)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + (q * V + v) * W, acc[q][v]);
#pragma GCC unroll 2
  for (int q = 0; q < 2; ++q) Finish<cell, Kind, 1, V>::rows(*places[q], 0, sums + q * V * W);
}

using StepTile = void (*)(const Place&, int64_t);

template <Cell cell, class Kind, int V> StepTile step_tile_of(int64_t rows) {
  constexpr int top = V == 3 ? ROWS3 : ROWS4;
  switch (rows) {
    case 1: return step_tile<cell, Kind, 1, V>;
    case 2: return step_tile<cell, Kind, 2, V>;
    case 3: return step_tile<cell, Kind, (top >= 3 ? 3 : 1), V>;
    case 4: return step_tile<cell, Kind, (top >= 4 ? 4 : 1), V>;
    case 5: return step_tile<cell, Kind, (top >= 5 ? 5 : 1), V>;
    case 6: return step_tile<cell, Kind, (top >= 6 ? 6 : 1), V>;
    case 7: return step_tile<cell, Kind, (top >= 7 ? 7 : 1), V>;
    default: return step_tile<cell, Kind, (top >= 8 ? 8 : 1), V>;
  }
}

template <Cell cell, class Kind> StepTile step_tile_of(int64_t V, int64_t rows) {
  if constexpr (cell == Cell::lstm) return step_tile_of<cell, Kind, 4>(rows);
  else if constexpr (cell == Cell::gru) return step_tile_of<cell, Kind, 3>(rows);
  else switch (V) {
    case 1: return step_tile_of<cell, Kind, 1>(rows);
    case 2: return step_tile_of<cell, Kind, 2>(rows);
    case 3: return step_tile_of<cell, Kind, 3>(rows);
    default: return step_tile_of<cell, Kind, 4>(rows);
  }
}

constexpr int64_t second_level = int64_t{600} << 10;  // recurrent weights beyond this stream from the third level

// The panels that this thread works on.
struct Panels {
  int64_t begin, end;
};
Panels panels_of(const Forward<real>& f) {
  return f.share ? Panels{f.share->begin, f.share->end} : Panels{0, f.w.panels};
}

// One time step of these panels; `pre` has `slots` places per panel and the step begins at place `slot`.
template <Cell cell, class Kind> void advance(const Forward<real>& f, const Step& step, const real* pre, int64_t slots, int64_t slot) {
  const Weights<real>& w = f.w;
  const int64_t full = w.vectors * W, bytes = full * w.KH * static_cast<int64_t>(sizeof(real));
  const Panels panels = panels_of(f);
  const bool streams = (panels.end - panels.begin) * bytes > second_level;
  const auto place = [&](int64_t p) {
    return Place{&f, &step, pre + (p - panels.begin) * slots * full + slot * vectors_of(w, p) * W, p, p * w.units, {}};
  };
  int64_t p = panels.begin;
  if (step.n == 1)
    for (constexpr int V = cell == Cell::gru ? 3 : 4; p + 1 < panels.end && vectors_of(w, p + 1) == V; p += 2)
      step_two<cell, Kind, V>(place(p), place(p + 1));
  for (; p < panels.end; ++p) {
    const int64_t V = vectors_of(w, p);
    const Split split = Split::over(step.n, V == 3 ? ROWS3 : ROWS4);
    Place at = place(p);
    const real* next = w.recurrent + (p + 1 < panels.end ? p + 1 : panels.begin) * full * w.KH;
    const int64_t lines = full * w.KH / W;  // of a vector each
    const int64_t per_k = (lines + split.tiles * w.KH - 1) / (split.tiles * w.KH);
    for (int64_t tile = 0; tile < split.tiles; ++tile) {
      const int64_t begin = split.begin(tile), rows = split.begin(tile + 1) - begin;
      if (streams && per_k <= 2) at.fetch.later = next + tile * w.KH * per_k * W, at.fetch.later_step = per_k * W;
      step_tile_of<cell, Kind>(V, rows)(at, begin);
    }
  }
}

// The scratch memory of one gang.
struct Room {
  int64_t slots, rows;
  real *pre, *c, *states, *zeros, *x;  // states: h (masked) of the steps before and now, taking turns
  const real** tokens;
  void* memory;
};

constexpr int64_t chunk_bytes = int64_t{192} << 10;

Room make_room(const Forward<real>& f, int64_t rows) {
  const Weights<real>& w = f.w;
  const Panels panels = panels_of(f);
  const int64_t per_slot = (panels.end - panels.begin) * w.vectors * W, Hp = padded(w.H);
  Room room;
  room.rows = rows;
  room.slots = most(rows, most(48, least(256, chunk_bytes / (per_slot * static_cast<int64_t>(sizeof(real))))));
  const int64_t of_x = w.pairs && !f.preprojected ? room.slots * w.KI : 0;
  const int64_t numbers = room.slots * per_slot + rows * Hp + 2 * rows * Hp + Hp + 4 * W + (of_x + 1) / 2 * 2;
  room.memory = take_buffer(static_cast<size_t>(numbers) * sizeof(real) +
                            static_cast<size_t>(room.slots) * sizeof(real*));
  room.pre = static_cast<real*>(room.memory);
  room.c = room.pre + room.slots * per_slot;
  room.states = room.c + rows * Hp;
  room.zeros = room.states + 2 * rows * Hp;
  room.x = room.zeros + Hp + 4 * W;
  room.tokens = reinterpret_cast<const real**>(room.x + (of_x + 1) / 2 * 2);
  for (int64_t j = 0; j < Hp; ++j) room.zeros[j] = 0;
  if (f.share) room.states = f.share->states;
  return room;
}

// The chains of a chunk: computed from x, or copied from row-major chains that the caller has.
template <class Kind> void chunk_input(const Forward<real>& f, const Room& room, int64_t n) {
  const Weights<real>& w = f.w;
  const Panels panels = panels_of(f);
  if (!f.preprojected) {
    for (int64_t j = 0; Kind::paired && j < n; ++j) {
      lay<Kind>(room.x + j * w.KI, room.tokens[j], nullptr, w.I);
      room.tokens[j] = room.x + j * w.KI;
    }
    return input_part(w, panels.begin, panels.end, room.tokens, n, room.slots, room.pre);
  }
  const bool gated = w.cell == Cell::lstm || w.cell == Cell::gru;
  for (int64_t p = panels.begin; p < panels.end; ++p) {
    const int64_t V = vectors_of(w, p);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t v = 0; v < V; ++v) {
        const int64_t unit = p * w.units + (gated ? 0 : v * W);
        const real* from = room.tokens[j] + (gated ? v * w.H : 0) + unit;
        store(room.pre + (p - panels.begin) * room.slots * w.vectors * W + (j * V + v) * W,
              load_n(from, static_cast<int>(least(W, w.H - unit))));
      }
  }
}

template <class Kind>
void place_row(const Forward<real>& f, const Room& room, Step& step, int64_t i, int64_t s, int64_t t) {
  const int64_t H = f.w.H, Hp = padded(H), token = token_of(f.offsets, f.reverse, s, t);
  step.y[i] = f.y + token * H;
  step.before[i] = t > 0   ? f.y + token_of(f.offsets, f.reverse, s, t - 1) * H
                   : f.h0 ? f.h0 + s * H
                          : room.zeros;
  step.mask[i] = f.mask ? f.mask + s * H : nullptr;
  step.next[i] = room.states + ((t + 1) % 2 * room.rows + i) * Hp;
  real* now = room.states + (t % 2 * room.rows + i) * Hp;
  step.product[i] = now;
  if (t == 0 && panels_of(f).begin == 0) lay<Kind>(now, step.before[i], step.mask[i], H);
  step.c[i] = room.c + i * Hp;
  step.gates[i] = f.gates ? f.gates + token * gates_of(f.w.cell) * H : nullptr;
  step.cells[i] = f.cells ? f.cells + token * H : nullptr;
  step.linear[i] = f.linear ? f.linear + token * H : nullptr;
}

void begin_row(const Forward<real>& f, const Room& room, int64_t i, int64_t s) {
  const int64_t H = f.w.H, Hp = padded(H);
  for (int64_t j = 0; j < Hp; ++j) room.c[i * Hp + j] = f.c0 && j < H ? f.c0[s * H + j] : real(0);
}

void end_row(const Forward<real>& f, const Room& room, int64_t i, int64_t s, int64_t length) {
  const int64_t H = f.w.H, Hp = padded(H);
  const real* y = f.y + token_of(f.offsets, f.reverse, s, length - 1) * H;
  const int64_t begin = panels_of(f).begin * f.w.units, end = least(H, panels_of(f).end * f.w.units);
  for (int64_t j = begin; j < end; ++j) f.h[s * H + j] = y[j];
  if (f.c)
    for (int64_t j = begin; j < end; ++j) f.c[s * H + j] = room.c[i * Hp + j];
}

void meet(const Forward<real>& f) {
  if (f.share) f.share->meeting->wait();
}

template <Cell cell, class Kind> void walk(const Forward<real>& f, const int64_t* rows, int64_t n) {
  const Room room = make_room(f, n);
  const int64_t token_size = f.preprojected ? gates_of(cell) * f.w.H : f.w.I;
  for (int64_t i = 0; i < n; ++i) begin_row(f, room, i, rows[i]);
  const int64_t longest = length_of(f.offsets, rows[0]);
  int64_t active = n;
  Step step;
  for (int64_t t = 0; t < longest;) {
    int64_t used = 0, until = t, there = active;
    for (; until < longest; ++until) {  // how many steps fit into a chunk
      while (there > 0 && length_of(f.offsets, rows[there - 1]) <= until) --there;
      if (used + there > room.slots) break;
      for (int64_t i = 0; i < there; ++i)
        room.tokens[used++] = f.x + token_of(f.offsets, f.reverse, rows[i], until) * token_size;
    }
    chunk_input<Kind>(f, room, used);
    for (int64_t slot = 0; t < until; ++t) {
      while (length_of(f.offsets, rows[active - 1]) <= t) --active;
      step.n = active;
      for (int64_t i = 0; i < active; ++i) place_row<Kind>(f, room, step, i, rows[i], t);
      if (t == 0) meet(f);  // for the states that one member has laid
      advance<cell, Kind>(f, step, room.pre, room.slots, slot);
      meet(f);
      slot += active;
    }
  }
  for (int64_t i = 0; i < n; ++i) end_row(f, room, i, rows[i], length_of(f.offsets, rows[i]));
  give_buffer(room.memory);
}

template <class Kind> void walk_all(const Forward<real>& f, const int64_t* rows, int64_t n) {
  const int64_t size_of_gang = gang_size(n, f.w.cell == Cell::gru ? ROWS3 : ROWS4);
  for (int64_t begin = 0; begin < n; begin += size_of_gang) {
    const int64_t size = least(size_of_gang, n - begin);
    switch (f.w.cell) {
      case Cell::rnn: walk<Cell::rnn, Kind>(f, rows + begin, size); break;
      case Cell::rnn_relu: walk<Cell::rnn_relu, Kind>(f, rows + begin, size); break;
      case Cell::lstm: walk<Cell::lstm, Kind>(f, rows + begin, size); break;
      case Cell::gru: walk<Cell::gru, Kind>(f, rows + begin, size); break;
    }
  }
}

}  // namespace

void forward(const Forward<real>& f, const int64_t* rows, int64_t n) {
  if (is_whole(f.w, f.zones)) return whole_forward(f, rows, n);
  if (f.w.pairs) walk_all<Narrow>(f, rows, n);
  else walk_all<Singles>(f, rows, n);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
