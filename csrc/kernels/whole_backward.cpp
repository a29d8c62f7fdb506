// The backward pass where a step is finished a whole row at a time; see whole.hpp.
//
// A gang of rows, from its last step to its first: W_hh^T times the gradients of the step after, then each row's own
// gradients. Those of the weights follow as products and sums over all tokens (recur_run.cpp).
#include "back_product.hpp"
#include "whole.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

// One row in one step.
struct RowStep {
  const real *dh, *dy;                  // of the final state, in a row's last step; null where absent
  const real *arrived;                  // W_hh^T times the gradients of the step after, masked; null in the last step
  const real *before, *cell_before;
  const real *gates, *kept;
  Keep keep;
  bool zoned;
  real *carry_h, *carry_c;  // what passes by the products: of h, and of an lstm's c
  real *slopes, *steps;     // a row of dgates; the gradient of y or null
  real *fresh, *raw, *shown, *straight;  // scratch: H numbers each, the last G*H
};

// The gradient of the fresh output, before zoneout; the rest goes straight to the state before.
void output_back(const Weights<real>& w, const RowStep& s) {
  over(w.H, [&](int64_t j, int n) {
    vec dh = load_n(s.carry_h + j, n);
    if (s.arrived) dh = add(dh, load_n(s.arrived + j, n));
    if (s.dh) dh = add(dh, load_n(s.dh + j, n));
    if (s.dy) dh = add(dh, load_n(s.dy + j, n));
    if (s.steps) store_n(s.steps + j, dh, n);
    if (s.zoned) {
      const vec keep = s.keep.share(j, n, 0);
      store_n(s.carry_h + j, mul(keep, dh), n);
      dh = mul(sub(set1(real(1)), keep), dh);
    } else {
      store_n(s.carry_h + j, set1(real(0)), n);
    }
    store_n(s.fresh + j, dh, n);
  });
}

void lstm_back(const Backward<real>& b, const RowStep& s) {
  const Weights<real>& w = b.w;
  const int64_t H = w.H;
  const Slopes at = slopes_of(w);
  const vec one = set1(real(1)), zero = set1(real(0)), edge = set1(b.clip);
  const real *i = s.gates, *f = i + H, *g = f + H, *o = g + H;
  const auto unclipped = [&](int64_t j, int n) {
    return fma(load_n(f + j, n), load_n(s.cell_before + j, n), mul(load_n(i + j, n), load_n(g + j, n)));
  };
  const auto limited = [&](vec c) { return b.clipped ? max(sub(zero, edge), min(edge, c)) : c; };
  real* unit = s.slopes + at.unit_c;
  const real* stats = s.kept + kept_of(w).stats;
  if (w.norm.gain_x) {
    const vec middle = set1(stats[2]), factor = set1(stats[3]);
    over(H, [&](int64_t j, int n) {
      const vec u = mul(sub(limited(unclipped(j, n)), middle), factor);
      store_n(unit + j, u, n);
      store_n(s.shown + j, fma(u, load_n(w.norm.gain_c + j, n), load_n(w.norm.bias_c + j, n)), n);
    });
  } else {
    over(H, [&](int64_t j, int n) { store_n(s.shown + j, limited(unclipped(j, n)), n); });
  }
  activate_row<false>(s.shown, H);
  over(H, [&](int64_t j, int n) {
    const vec dh = load_n(s.fresh + j, n), squashed = load_n(s.shown + j, n), out = load_n(o + j, n);
    store_n(s.slopes + 3 * H + j, mul(mul(mul(dh, squashed), out), sub(one, out)), n);
    store_n(s.raw + j, mul(mul(dh, out), fnma(squashed, squashed, one)), n);
  });
  if (w.norm.gain_x) {
    over(H, [&](int64_t j, int n) { store_n(s.slopes + at.shown + j, load_n(s.raw + j, n), n); });
    const auto slope = [&](int64_t j, int n) {
      const Lanes up = piece(s.slopes + at.shown + j, n, 0), gain = piece(w.norm.gain_c + j, n, 0);
      return each([&](int p) { return mul(up.v[p], gain.v[p]); });
    };
    norm_back(H, stats[3], [&](int64_t j, int n) { return piece(unit + j, n, 0); }, slope, s.raw);
  }
  over(H, [&](int64_t j, int n) {
    vec straight = zero, dc = load_n(s.carry_c + j, n);
    if (s.zoned) {
      const vec keep = s.keep.share(j, n, 1);
      straight = mul(keep, dc), dc = mul(sub(one, keep), dc);
    }
    dc = add(dc, load_n(s.raw + j, n));
    if (b.clipped) {  // the clip passes no gradient where it was active
      const vec c = unclipped(j, n);
      dc = select(le(c, edge), select(le(sub(zero, edge), c), dc, zero), zero);
    }
    const vec in = load_n(i + j, n), forget = load_n(f + j, n), fresh = load_n(g + j, n);
    store_n(s.carry_c + j, fma(dc, forget, straight), n);
    store_n(s.slopes + j, mul(mul(mul(dc, fresh), in), sub(one, in)), n);
    store_n(s.slopes + H + j, mul(mul(mul(dc, load_n(s.cell_before + j, n)), forget), sub(one, forget)), n);
    store_n(s.slopes + 2 * H + j, mul(mul(dc, in), fnma(fresh, fresh, one)), n);
  });
}

void gru_back(const Backward<real>& b, const RowStep& s) {
  const int64_t H = b.w.H;
  const vec one = set1(real(1));
  const real* linear = s.kept + kept_of(b.w).linear;
  over(H, [&](int64_t j, int n) {
    const vec reset = load_n(s.gates + j, n), z = load_n(s.gates + H + j, n), fresh = load_n(s.gates + 2 * H + j, n);
    const vec dh = load_n(s.fresh + j, n), dn = mul(mul(dh, sub(one, z)), fnma(fresh, fresh, one));
    store_n(s.slopes + j, mul(mul(mul(dn, load_n(linear + j, n)), reset), sub(one, reset)), n);
    store_n(s.slopes + H + j, mul(mul(mul(dh, sub(load_n(s.before + j, n), fresh)), z), sub(one, z)), n);
    store_n(s.slopes + 2 * H + j, mul(dn, reset), n);
    store_n(s.slopes + 3 * H + j, dn, n);
    store_n(s.carry_h + j, fma(dh, z, load_n(s.carry_h + j, n)), n);
  });
}

template <Cell cell> void rnn_back(const Backward<real>& b, const RowStep& s) {
  over(b.w.H, [&](int64_t j, int n) {
    const vec y = load_n(s.gates + j, n), dh = load_n(s.fresh + j, n), none = set1(real(0));
    store_n(s.slopes + j, cell == Cell::rnn ? mul(dh, fnma(y, y, set1(real(1)))) : select(lt(none, y), dh, none), n);
  });
}

// From the gradients of the gates' sums to those of the two products before their norms.
void products_back(const Weights<real>& w, const RowStep& s) {
  const int64_t H = w.H, width = gates_of(w.cell) * H;
  const Slopes at = slopes_of(w);
  const Kept kept = kept_of(w);
  const real* of_input = s.slopes;
  if (w.cell == Cell::gru) {  // the input part of its candidate lies behind the recurrent one
    over(2 * H, [&](int64_t j, int n) { store_n(s.straight + j, load_n(s.slopes + j, n), n); });
    over(H, [&](int64_t j, int n) { store_n(s.straight + 2 * H + j, load_n(s.slopes + 3 * H + j, n), n); });
    of_input = s.straight;
  }
  const auto back = [&](const real* slopes, const real* gain, const real* unit, real inverse, real* out) {
    const auto slope = [&](int64_t j, int n) {
      const Lanes up = piece(slopes + j, n, 0), g = piece(gain + j, n, 0);
      return each([&](int p) { return mul(up.v[p], g.v[p]); });
    };
    norm_back(width, inverse, [&](int64_t j, int n) { return piece(unit + j, n, 0); }, slope, out);
  };
  back(s.slopes, w.norm.gain_h, s.kept + kept.unit_h, s.kept[kept.stats + 1], s.slopes + at.product_h);
  back(of_input, w.norm.gain_x, s.kept + kept.unit_x, s.kept[kept.stats], s.slopes + at.product_x);
}

void finish_row(const Backward<real>& b, const RowStep& s) {
  output_back(b.w, s);
  switch (b.w.cell) {
    case Cell::rnn: rnn_back<Cell::rnn>(b, s); break;
    case Cell::rnn_relu: rnn_back<Cell::rnn_relu>(b, s); break;
    case Cell::lstm: lstm_back(b, s); break;
    case Cell::gru: gru_back(b, s); break;
  }
  if (b.w.norm.gain_x) products_back(b.w, s);
}

// Where in a row of slopes the gradients of both products lie, and for a plain gru the input part of n, behind the rest.
struct Products {
  int64_t h, x, K, K2, skip;
};
Products products_of(const Weights<real>& w) {
  const Slopes at = slopes_of(w);
  const int64_t K = gates_of(w.cell) * w.H;
  return w.cell == Cell::gru && !w.norm.gain_x ? Products{0, 0, K, w.H, 3 * w.H} : Products{at.product_h, at.product_x, K, 0, 0};
}

struct Room {
  int64_t units;  // between rows of H numbers
  real *carry_h, *carry_c, *arrived, *zeros, *fresh, *raw, *shown, *straight;
  void* memory;
};

Room make_room(const Backward<real>& b, const int64_t* rows, int64_t n) {
  const int64_t H = b.w.H;
  Room room;
  room.units = apart(H);
  room.memory = take_buffer(static_cast<size_t>((3 * n + 4) * room.units + apart(gates_of(b.w.cell) * H)) * sizeof(real));
  room.carry_h = static_cast<real*>(room.memory);
  room.carry_c = room.carry_h + n * room.units;
  room.arrived = room.carry_c + n * room.units;
  room.zeros = room.arrived + n * room.units;
  room.fresh = room.zeros + room.units, room.raw = room.fresh + room.units, room.shown = room.raw + room.units;
  room.straight = room.shown + room.units;
  for (int64_t j = 0; j < H; ++j) room.zeros[j] = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < H; ++j)
      room.carry_h[i * room.units + j] = 0, room.carry_c[i * room.units + j] = b.dc ? b.dc[rows[i] * H + j] : real(0);
  return room;
}

RowStep row_step(const Backward<real>& b, const Room& room, int64_t i, int64_t s, int64_t t) {
  const int64_t H = b.w.H, token = token_of(b.offsets, b.reverse, s, t);
  const int64_t previous = t > 0 ? token_of(b.offsets, b.reverse, s, t - 1) : -1;
  const bool last = t + 1 == length_of(b.offsets, s);
  RowStep row;
  row.dh = last && b.dh ? b.dh + s * H : nullptr;
  row.dy = b.dy ? b.dy + token * H : nullptr;
  row.arrived = last ? nullptr : room.arrived + i * room.units;
  row.before = previous >= 0 ? b.y + previous * H : b.h0 ? b.h0 + s * H : room.zeros;
  row.cell_before = !b.cells ? nullptr : previous >= 0 ? b.cells + previous * H : b.c0 ? b.c0 + s * H : room.zeros;
  row.gates = b.gates + token * gates_of(b.w.cell) * H;
  row.kept = b.kept ? b.kept + token * kept_of(b.w).size : nullptr;
  row.keep = Keep::of(b.zones, b.w, token), row.zoned = b.zones.masks || b.zones.rate != 0;
  row.carry_h = room.carry_h + i * room.units, row.carry_c = room.carry_c + i * room.units;
  row.slopes = b.dgates + token * b.D;
  row.steps = b.steps ? b.steps + token * H : nullptr;
  row.fresh = room.fresh, row.raw = room.raw, row.shown = room.shown, row.straight = room.straight;
  return row;
}

// arrived = mask * W_hh^T (gradients of step t's recurrent product), for the first n rows.
void arrive(const Backward<real>& b, const int64_t* rows, int64_t n, int64_t t, real* const* out) {
  const Products at = products_of(b.w);
  const real *from[gang], *masks[gang];
  for (int64_t i = 0; i < n; ++i) {
    from[i] = b.dgates + token_of(b.offsets, b.reverse, rows[i], t) * b.D + at.h;
    masks[i] = b.mask ? b.mask + rows[i] * b.w.H : nullptr;
  }
  back_product<Singles>(b.w.recurrent_back, at.K, b.w.H, from, n, 0, 0, out, masks);
}

constexpr int64_t chunk = 96;  // tokens whose dx is computed together, while their gate gradients are near

void walk(const Backward<real>& b, const int64_t* rows, int64_t n) {
  const Room room = make_room(b, rows, n);
  const Products at = products_of(b.w);
  const int64_t H = b.w.H;
  const real* slopes[chunk + gang];
  real *dx[chunk + gang], *arrived[gang];
  int64_t active = 0, waiting = 0;
  const auto inputs = [&] {
    back_product<Singles>(b.w.input_back, at.K, b.w.I, slopes, waiting, at.K2, at.skip, dx, nullptr);
    waiting = 0;
  };
  for (int64_t i = 0; i < n; ++i) arrived[i] = room.arrived + i * room.units;
  for (int64_t t = length_of(b.offsets, rows[0]) - 1; t >= 0; --t) {
    arrive(b, rows, active, t + 1, arrived);  // the rows that have a step after this one
    while (active < n && length_of(b.offsets, rows[active]) > t) ++active;
    for (int64_t i = 0; i < active; ++i) {
      const RowStep step = row_step(b, room, i, rows[i], t);
      finish_row(b, step);
      if (!b.dx) continue;
      slopes[waiting] = step.slopes + at.x;
      dx[waiting++] = b.dx + token_of(b.offsets, b.reverse, rows[i], t) * b.w.I;
    }
    if (waiting >= chunk) inputs();
  }
  if (waiting) inputs();
  for (int64_t i = 0; i < n; ++i) arrived[i] = b.dh0 + rows[i] * H;
  arrive(b, rows, n, 0, arrived);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < H; ++j) {
      arrived[i][j] += room.carry_h[i * room.units + j];
      if (b.dc0) b.dc0[rows[i] * H + j] = room.carry_c[i * room.units + j];
    }
  give_buffer(room.memory);
}

constexpr int64_t block = 128;  // tokens

// V vectors of columns from `at` on, the last of `lanes`, with F factors.
template <int F, int V> void column_panel(const ColumnSums<real>& s, int64_t at, int lanes) {
  vec total[1 + F][V];
  for (int64_t t = 0; t < s.N; t += block) {
    const int64_t until = least(s.N, t + block);
    vec sum[1 + F][V];
    for (int f = 0; f <= F; ++f) RECURRA_EACH(0, V) sum[f][j] = set1(real(0));
    for (int64_t k = t; k < until; ++k)
      RECURRA_EACH(0, V) {
        const int n = j + 1 < V ? W : lanes;
        const vec x = load_n(s.left + k * s.left_stride + at + j * W, n);
        sum[0][j] = add(sum[0][j], x);
#pragma GCC unroll 2
        for (int f = 0; f < F; ++f)
          sum[1 + f][j] = fma(x, load_n(s.factor[f].rows + k * s.factor[f].stride + at + j * W, n), sum[1 + f][j]);
      }
    for (int f = 0; f <= F; ++f) RECURRA_EACH(0, V) total[f][j] = t ? add(total[f][j], sum[f][j]) : sum[f][j];
  }
  for (int f = 0; f <= F; ++f)
    RECURRA_EACH(0, V) {
      real* out = f ? s.factor[f - 1].out : s.out;
      store_n(out + at + j * W, s.N ? total[f][j] : set1(real(0)), j + 1 < V ? W : lanes);
    }
}

template <int F> void sum_panels(const ColumnSums<real>& s, int64_t begin, int64_t end) {
  int64_t at = begin;
  for (; at + 4 * W <= end; at += 4 * W) column_panel<F, 4>(s, at, W);
  for (; at < end; at += W) column_panel<F, 1>(s, at, static_cast<int>(least(W, end - at)));
}

}  // namespace

void whole_backward(const Backward<real>& b, const int64_t* rows, int64_t n) {
  const int64_t size_of_gang = gang_size(n, ROWS4);
  for (int64_t begin = 0; begin < n; begin += size_of_gang) walk(b, rows + begin, least(size_of_gang, n - begin));
}

void sum_columns(const ColumnSums<real>& s, int64_t begin, int64_t end) {
  if (s.factors == 1) sum_panels<1>(s, begin, end);
  else sum_panels<2>(s, begin, end);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
