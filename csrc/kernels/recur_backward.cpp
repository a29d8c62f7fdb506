// The backward pass of rnn, lstm and gru: the rows of one thread, from their last step to their first.
//
// In each step a register tile holds dh of some rows for four vectors of units. It begins with the gradient of y,
// resumes with the gates' gradients of the step after it times W_hh, and ends with this step's gate gradients
// while dh is still in registers. For gru the factor z of the direct path is added in between.
#include "back_product.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

struct Step {
  int64_t n;
  const real* after[gang];   // gate gradients of the step after this one; null in a row's last step
  const real* dy[gang];      // null where absent
  const real* dh[gang];      // gradient of the final state, in a row's last step
  const real* before[gang];  // h of the step before
  const real* mask[gang];
  const real* gates[gang];
  const real* cells[gang];
  const real* cell_before[gang];
  const real* linear[gang];
  const real* y[gang];
  real* carry[gang];  // lstm: dc; gru: dh * z, the direct path; for this row and all units
  real* dgates[gang];
  real* steps[gang];
};

struct Place {
  const Backward<real>* b;
  const Step* step;
  int64_t first;  // first unit of the panel
};

// n lanes as unit `unit` onwards of gate `gate`
template <class Kind> RECURRA_INLINE void put(const Place& at, int64_t k, int64_t gate, int64_t unit, vec x, int n) {
  Kind::put(at.step->dgates[k] + gate * at.b->w.KH, unit, x, n);
}

template <Cell cell, class Kind> struct Finish;

template <class Kind> struct Finish<Cell::lstm, Kind> {
  RECURRA_INLINE void row(const Place& at, int64_t k, int64_t unit, int n, vec dh, vec squashed) {  // tanh(c)
    const Backward<real>& b = *at.b;
    const Step& s = *at.step;
    const int64_t H = b.w.H;
    const vec one = set1(real(1));
    const real* gates = s.gates[k] + unit;
    const vec i = load_n(gates, n), forget = load_n(gates + H, n);
    const vec g = load_n(gates + 2 * H, n), o = load_n(gates + 3 * H, n);
    const vec c_before = load_n(s.cell_before[k] + unit, n);
    vec dc = fma(mul(dh, o), fnma(squashed, squashed, one), load(s.carry[k] + unit));
    if (b.clipped) {  // the clip passes no gradient where it was active
      const vec raw = fma(forget, c_before, mul(i, g)), edge = set1(b.clip);
      dc = select(le(raw, edge), select(le(sub(set1(0), edge), raw), dc, set1(0)), set1(0));
    }
    store(s.carry[k] + unit, mul(dc, forget));
    put<Kind>(at, k, 0, unit, mul(mul(mul(dc, g), i), sub(one, i)), n);
    put<Kind>(at, k, 1, unit, mul(mul(mul(dc, c_before), forget), sub(one, forget)), n);
    put<Kind>(at, k, 2, unit, mul(mul(dc, i), fnma(g, g, one)), n);
    put<Kind>(at, k, 3, unit, mul(mul(mul(dh, squashed), o), sub(one, o)), n);
  }
};

template <class Kind> struct Finish<Cell::gru, Kind> {
  RECURRA_INLINE void row(const Place& at, int64_t k, int64_t unit, int n, vec dh) {
    const Backward<real>& b = *at.b;
    const Step& s = *at.step;
    const int64_t H = b.w.H;
    const vec one = set1(real(1));
    const real* gates = s.gates[k] + unit;
    const vec reset = load_n(gates, n), z = load_n(gates + H, n), fresh = load_n(gates + 2 * H, n);
    const vec linear = load_n(s.linear[k] + unit, n), before = load_n(s.before[k] + unit, n);
    const vec dn = mul(mul(dh, sub(one, z)), fnma(fresh, fresh, one));
    put<Kind>(at, k, 0, unit, mul(mul(mul(dn, linear), reset), sub(one, reset)), n);
    put<Kind>(at, k, 1, unit, mul(mul(mul(dh, sub(before, fresh)), z), sub(one, z)), n);
    put<Kind>(at, k, 2, unit, mul(dn, reset), n);
    put<Kind>(at, k, 3, unit, dn, n);
    store(s.carry[k] + unit, mul(dh, z));
  }
};

template <class Kind> struct Finish<Cell::rnn, Kind> {
  RECURRA_INLINE void row(const Place& at, int64_t k, int64_t unit, int n, vec dh) {
    const vec y = load_n(at.step->y[k] + unit, n);
    put<Kind>(at, k, 0, unit, mul(dh, fnma(y, y, set1(real(1)))), n);
  }
};

template <class Kind> struct Finish<Cell::rnn_relu, Kind> {
  RECURRA_INLINE void row(const Place& at, int64_t k, int64_t unit, int n, vec dh) {
    const vec y = load_n(at.step->y[k] + unit, n);
    put<Kind>(at, k, 0, unit, select(lt(set1(real(0)), y), dh, set1(real(0))), n);
  }
};

// What `Finish` will read and write.
template <Cell cell, class Kind, int V, int most> RECURRA_INLINE void note_row(Errands<most>& e, const Place& at, int64_t k) {
  const Step& s = *at.step;
  const int64_t H = at.b->w.H;
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const int64_t unit = at.first + v * W;
    if (s.dy[k]) note(e, s.dy[k] + unit);
    if constexpr (gates_of(cell) > 1)
      for (int g = 0; g < gates_of(cell); ++g) note(e, s.gates[k] + g * H + unit);
    if constexpr (cell == Cell::lstm) note(e, s.cells[k] + unit), note(e, s.cell_before[k] + unit);
    if constexpr (cell == Cell::gru) note(e, s.linear[k] + unit), note(e, s.before[k] + unit);
    if constexpr (gates_of(cell) == 1) note(e, s.y[k] + unit);
    for (int g = 0; g < (cell == Cell::gru ? 4 : gates_of(cell)); ++g) note(e, s.dgates[k] + g * at.b->w.KH + Kind::steps(unit));
  }
}

template <Cell cell, class Kind, int R, int V> void step_tile(const Place& at, int64_t begin) {
  const Backward<real>& b = *at.b;
  const Step& s = *at.step;
  const int64_t H = b.w.H, K = gates_of(cell) * b.w.KH;
  Errands<R * V * 11> errands;
  errands.n = 0;
  for (int r = 0; r < R; ++r) note_row<cell, Kind, V>(errands, at, begin + r);
  Fetch fetch;
  send(fetch, errands, K);
  Accumulators<R, V> acc;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = set1(real(0));
  if (s.after[begin]) multiply<Kind>(acc, s.after + begin, b.w.recurrent_back + at.first * K, K, fetch);
  real sums[R * V * W] __attribute__((aligned(64)));
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + (r * V + v) * W, acc.at[r][v]);
  for (int r = 0; r < R; ++r) {
    vec squashed[V];
    if constexpr (cell == Cell::lstm) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        squashed[v] = load_n(s.cells[begin + r] + at.first + v * W, static_cast<int>(least(W, H - at.first - v * W)));
      activate<0, V>(squashed);
    }
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t k = begin + r, unit = at.first + v * W;
      const int n = static_cast<int>(least(W, H - unit));
      vec dh = load(sums + (r * V + v) * W);
      if (s.mask[k]) dh = mul(dh, load_n(s.mask[k] + unit, n));
      if (cell == Cell::gru) dh = add(dh, load(s.carry[k] + unit));
      if (s.dh[k]) dh = add(dh, load_n(s.dh[k] + unit, n));
      if (s.dy[k]) dh = add(dh, load_n(s.dy[k] + unit, n));
      if (s.steps[k]) store_n(s.steps[k] + unit, dh, n);
      if constexpr (cell == Cell::lstm) Finish<cell, Kind>::row(at, k, unit, n, dh, squashed[v]);
      else Finish<cell, Kind>::row(at, k, unit, n, dh);
    }
  }
}

using StepTile = void (*)(const Place&, int64_t);

template <Cell cell, class Kind, int V> StepTile step_tile_of(int64_t rows) {
  switch (rows) {
    case 1: return step_tile<cell, Kind, 1, V>;
    case 2: return step_tile<cell, Kind, 2, V>;
    case 3: return step_tile<cell, Kind, (ROWS4 >= 3 ? 3 : 1), V>;
    case 4: return step_tile<cell, Kind, (ROWS4 >= 4 ? 4 : 1), V>;
    case 5: return step_tile<cell, Kind, (ROWS4 >= 5 ? 5 : 1), V>;
    default: return step_tile<cell, Kind, (ROWS4 >= 6 ? 6 : 1), V>;
  }
}

template <Cell cell, class Kind> StepTile step_tile_of(int64_t V, int64_t rows) {
  switch (V) {
    case 1: return step_tile_of<cell, Kind, 1>(rows);
    case 2: return step_tile_of<cell, Kind, 2>(rows);
    case 3: return step_tile_of<cell, Kind, 3>(rows);
    default: return step_tile_of<cell, Kind, 4>(rows);
  }
}

template <Cell cell, class Kind> void retreat(const Backward<real>& b, const Step& step, int64_t from) {
  const int64_t panels = (b.w.H + 4 * W - 1) / (4 * W);
  for (int64_t p = 0; p < panels; ++p) {
    const Place at{&b, &step, p * 4 * W};
    const int64_t V = width_of(b.w.H, p);
    // rows [from, n) are in their last step and have nothing after them: tiles of their own
    for (int part = 0; part < 2; ++part) {
      const int64_t base = part ? from : 0;
      const Split split = Split::over(part ? step.n - from : from, ROWS4);
      for (int64_t tile = 0; tile < split.tiles; ++tile)
        step_tile_of<cell, Kind>(V, split.begin(tile + 1) - split.begin(tile))(at, base + split.begin(tile));
    }
  }
}

struct Room {
  real *carry, *zeros;
  void* memory;
};

Room make_room(const Backward<real>& b, const int64_t* rows, int64_t n) {
  const int64_t H = b.w.H, Hp = padded(H);
  Room room;
  room.memory = take_buffer(static_cast<size_t>((n + 1) * Hp) * sizeof(real));
  room.carry = static_cast<real*>(room.memory);
  room.zeros = room.carry + n * Hp;
  for (int64_t j = 0; j < Hp; ++j) room.zeros[j] = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < Hp; ++j)
      room.carry[i * Hp + j] = b.w.cell == Cell::lstm && b.dc && j < H ? b.dc[rows[i] * H + j] : real(0);
  return room;
}

void place_row(const Backward<real>& b, const Room& room, Step& step, int64_t i, int64_t s, int64_t t) {
  const int64_t H = b.w.H, length = length_of(b.offsets, s), D = b.D;
  const int64_t token = token_of(b.offsets, b.reverse, s, t);
  const int64_t previous = t > 0 ? token_of(b.offsets, b.reverse, s, t - 1) : -1;
  const bool last = t + 1 == length;
  step.after[i] = last ? nullptr : b.dgates + token_of(b.offsets, b.reverse, s, t + 1) * D;
  step.dh[i] = last && b.dh ? b.dh + s * H : nullptr;
  step.dy[i] = b.dy ? b.dy + token * H : nullptr;
  step.mask[i] = b.mask && !last ? b.mask + s * H : nullptr;
  step.before[i] = previous >= 0 ? b.y + previous * H : b.h0 ? b.h0 + s * H : room.zeros;
  step.y[i] = b.y + token * H;
  step.gates[i] = b.gates ? b.gates + token * gates_of(b.w.cell) * H : nullptr;
  step.cells[i] = b.cells ? b.cells + token * H : nullptr;
  step.cell_before[i] = !b.cells ? nullptr : previous >= 0 ? b.cells + previous * H : b.c0 ? b.c0 + s * H : room.zeros;
  step.linear[i] = b.linear ? b.linear + token * H : nullptr;
  step.carry[i] = room.carry + i * padded(H);
  step.dgates[i] = b.dgates + token * D;
  step.steps[i] = b.steps ? b.steps + token * H : nullptr;
}

constexpr int64_t chunk = 96;  // tokens whose dx is computed together, while their gate gradients are near

struct Inputs {  // tokens that wait for their dx
  const real* rows[chunk + gang];
  real* out[chunk + gang];
  int64_t n;
};

template <class Kind> void input_gradients(const Backward<real>& b, Inputs& waiting) {
  const int64_t KH = b.w.KH, K = gates_of(b.w.cell) * KH;
  const int64_t K2 = b.w.cell == Cell::gru ? KH : 0;  // gru: n's input part lies behind its recurrent part
  back_product<Kind>(b.w.input_back, K, b.w.I, waiting.rows, waiting.n, K2, b.w.cell == Cell::gru ? 3 * KH : 0,
                     waiting.out, nullptr);
  waiting.n = 0;
}

// dh0 = (direct path) + mask * (W_hh^T of the first step's gate gradients)
template <class Kind>
void first_states(const Backward<real>& b, const Room& room, const int64_t* rows, int64_t n) {
  const int64_t H = b.w.H, Hp = padded(H), D = b.D;
  const real *from[gang], *masks[gang];
  real* out[gang];
  for (int64_t i = 0; i < n; ++i) {
    from[i] = b.dgates + token_of(b.offsets, b.reverse, rows[i], 0) * D;
    out[i] = b.dh0 + rows[i] * H;
    masks[i] = b.mask ? b.mask + rows[i] * H : nullptr;
  }
  back_product<Kind>(b.w.recurrent_back, gates_of(b.w.cell) * b.w.KH, H, from, n, 0, 0, out, masks);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < H; ++j) {
      if (b.w.cell == Cell::gru) out[i][j] += room.carry[i * Hp + j];
      if (b.dc0) b.dc0[rows[i] * H + j] = room.carry[i * Hp + j];
    }
}

template <Cell cell, class Kind> void walk(const Backward<real>& b, const int64_t* rows, int64_t n) {
  const Room room = make_room(b, rows, n);
  int64_t active = 0;
  Step step;
  Inputs waiting;
  waiting.n = 0;
  for (int64_t t = length_of(b.offsets, rows[0]) - 1; t >= 0; --t) {
    const int64_t from = active;  // these rows have a step after this one
    while (active < n && length_of(b.offsets, rows[active]) > t) ++active;
    step.n = active;
    for (int64_t i = 0; i < active; ++i) place_row(b, room, step, i, rows[i], t);
    retreat<cell, Kind>(b, step, from);
    if (!b.dx) continue;
    for (int64_t i = 0; i < active; ++i) {
      waiting.rows[waiting.n] = step.dgates[i];
      waiting.out[waiting.n++] = b.dx + token_of(b.offsets, b.reverse, rows[i], t) * b.w.I;
    }
    if (waiting.n >= chunk) input_gradients<Kind>(b, waiting);
  }
  if (b.dx && waiting.n) input_gradients<Kind>(b, waiting);
  first_states<Kind>(b, room, rows, n);
  give_buffer(room.memory);
}

template <class Kind> void walk_all(const Backward<real>& b, const int64_t* rows, int64_t n) {
  const int64_t size_of_gang = gang_size(n, ROWS4);
  for (int64_t begin = 0; begin < n; begin += size_of_gang) {
    const int64_t size = least(size_of_gang, n - begin);
    switch (b.w.cell) {
      case Cell::rnn: walk<Cell::rnn, Kind>(b, rows + begin, size); break;
      case Cell::rnn_relu: walk<Cell::rnn_relu, Kind>(b, rows + begin, size); break;
      case Cell::lstm: walk<Cell::lstm, Kind>(b, rows + begin, size); break;
      case Cell::gru: walk<Cell::gru, Kind>(b, rows + begin, size); break;
    }
  }
}

}  // namespace

void backward(const Backward<real>& b, const int64_t* rows, int64_t n) {
  if (is_whole(b.w, b.zones)) return whole_backward(b, rows, n);
  if (b.w.pairs) walk_all<Narrow>(b, rows, n);
  else walk_all<Singles>(b, rows, n);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
