// Weights into panels, and the input product of many tokens.
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

// Row of the weight matrix that lane u of vector v of panel p holds, or -1 for padding.
int64_t matrix_row(const Weights<real>& w, int64_t p, int64_t v, int64_t u) {
  const bool gated = w.cell == Cell::lstm || w.cell == Cell::gru;
  const int64_t unit = p * w.units + (gated ? 0 : v * W) + u;
  return unit < w.H ? (gated ? v * w.H : 0) + unit : -1;
}

template <class Kind> void pack_panel(const Weights<real>& w, const real* matrix, int64_t numbers, int64_t p, real* out) {
  const int64_t V = vectors_of(w, p), K = Kind::steps(numbers);
  real* laid = Kind::paired ? static_cast<real*>(take_buffer(static_cast<size_t>(W * K) * sizeof(real))) : nullptr;
  for (int64_t v = 0; v < V; ++v) {
    const real* row[W];
    for (int u = 0; u < W; ++u) {
      const int64_t r = matrix_row(w, p, v, u);
      row[u] = r < 0 ? nullptr : matrix + r * numbers;
      if (!Kind::paired || r < 0) continue;
      lay<Kind>(laid + u * K, row[u], nullptr, numbers);
      row[u] = laid + u * K;
    }
    if (row[W - 1]) {
      for (int64_t k = 0; k < K; ++k)
        for (int u = 0; u < W; ++u) out[(k * V + v) * W + u] = row[u][k];
    } else {
      for (int64_t k = 0; k < K; ++k)
        for (int u = 0; u < W; ++u) out[(k * V + v) * W + u] = row[u] ? row[u][k] : real(0);
    }
  }
  give_buffer(laid);
}

real bias_of(const Weights<real>& w, const real* b_ih, const real* b_hh, int64_t row) {
  const real x = b_ih ? b_ih[row] : real(0), h = b_hh ? b_hh[row] : real(0);
  return w.cell == Cell::gru && row >= 2 * w.H ? x : x + h;
}

void pack_bias(const Weights<real>& w, const real* b_ih, const real* b_hh, int64_t p, real* bias, real* bias_n) {
  const int64_t V = vectors_of(w, p);
  for (int64_t v = 0; v < V; ++v)
    for (int64_t u = 0; u < W; ++u) {
      const int64_t r = matrix_row(w, p, v, u);
      bias[v * W + u] = r < 0 ? real(0) : bias_of(w, b_ih, b_hh, r);
      if (w.cell == Cell::gru && v == 2) bias_n[u] = r < 0 || !b_hh ? real(0) : b_hh[r];
    }
}

template <class Kind, int R, int V>
void input_tile(const Weights<real>& w, int64_t p, const real* const* x, real* pre, int64_t stride) {
  Accumulators<R, V> acc;
  const real* bias = w.bias + p * w.vectors * W;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = load(bias + v * W);
  multiply<Kind>(acc, x, w.input + p * w.vectors * W * w.KI, w.KI);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(pre + r * stride + v * W, acc.at[r][v]);
}

using InputTile = void (*)(const Weights<real>&, int64_t, const real* const*, real*, int64_t);
using InputTiles = InputTile (*)(int64_t V, int64_t rows);

template <class Kind, int V> InputTile input_tile_of(int64_t rows) {
  constexpr int most_rows = V == 3 ? ROWS3 : ROWS4;
  static_assert(most_rows <= 8, "tiles have at most eight rows");
  switch (rows) {
    case 1: return input_tile<Kind, 1, V>;
    case 2: return input_tile<Kind, 2, V>;
    case 3: return input_tile<Kind, (most_rows >= 3 ? 3 : 1), V>;
    case 4: return input_tile<Kind, (most_rows >= 4 ? 4 : 1), V>;
    case 5: return input_tile<Kind, (most_rows >= 5 ? 5 : 1), V>;
    case 6: return input_tile<Kind, (most_rows >= 6 ? 6 : 1), V>;
    case 7: return input_tile<Kind, (most_rows >= 7 ? 7 : 1), V>;
    default: return input_tile<Kind, (most_rows >= 8 ? 8 : 1), V>;
  }
}

template <class Kind> InputTile input_tile_of(int64_t V, int64_t rows) {
  switch (V) {
    case 1: return input_tile_of<Kind, 1>(rows);
    case 2: return input_tile_of<Kind, 2>(rows);
    case 3: return input_tile_of<Kind, 3>(rows);
    default: return input_tile_of<Kind, 4>(rows);
  }
}

}  // namespace

void pack(Weights<real>& w, const real* w_ih, const real* w_hh, const real* b_ih, const real* b_hh, real* memory,
          int64_t begin, int64_t end) {
  const int64_t full = w.vectors * W;
  real* input = memory;
  real* recurrent = input + w.panels * full * w.KI;
  real* bias = recurrent + w.panels * full * w.KH;
  real* bias_n = bias + w.panels * full;
  w.input = input, w.recurrent = recurrent, w.bias = bias, w.bias_n = bias_n;
  for (int64_t p = begin; p < end; ++p) {
    const auto panel = w.pairs ? pack_panel<Narrow> : pack_panel<Singles>;
    panel(w, w_ih, w.I, p, input + p * full * w.KI);
    panel(w, w_hh, w.H, p, recurrent + p * full * w.KH);
    pack_bias(w, b_ih, b_hh, p, bias + p * full, bias_n + p * W);
  }
}

void pack_back(const Weights<real>& w, const real* matrix, int64_t columns, real* memory, int64_t begin, int64_t end) {
  const int64_t rows = gates_of(w.cell) * w.KH;
  for (int64_t p = begin; p < end; ++p) {  // panels of up to four vectors of columns
    const int64_t first = p * 4 * W, V = least(4, (columns - first + W - 1) / W);
    real* out = memory + p * 4 * W * rows;
    for (int64_t k = 0; k < rows; ++k)
      for (int64_t v = 0; v < V; ++v) {
        const int n = static_cast<int>(least(W, columns - first - v * W));
        const real* from = matrix + first + v * W;
        vec x;
        if (w.pairs) {  // every gate's rows begin with a pair of their own
          const int64_t gate = k / w.KH, unit = k % w.KH * 2, row = gate * w.H + unit;
          const vec second = unit + 1 < w.H ? load_n(from + (row + 1) * columns, n) : set1(real(0));
          x = zip_pairs(load_n(from + row * columns, n), second);
        } else {
          x = load_n(from + k * columns, n);
        }
        store(out + (k * V + v) * W, x);
      }
  }
}

void input_part(const Weights<real>& w, int64_t begin, int64_t end, const real* const* x, int64_t n, int64_t slots,
                real* pre) {
  const auto tile_of = w.pairs ? InputTiles(input_tile_of<Narrow>) : InputTiles(input_tile_of<Singles>);
  for (int64_t p = begin; p < end; ++p) {
    const int64_t V = vectors_of(w, p), stride = V * W;
    const Split split = Split::over(n, V == 3 ? ROWS3 : ROWS4);
    real* out = pre + (p - begin) * slots * w.vectors * W;
    for (int64_t tile = 0; tile < split.tiles; ++tile) {
      const int64_t first = split.begin(tile), rows = split.begin(tile + 1) - first;
      tile_of(V, rows)(w, p, x + first, out + first * stride, stride);
    }
  }
}

// Row-major chains for tokens [begin, end): what `preprojected` resumes.
void project(const Weights<real>& w, const real* x, real* out, int64_t begin, int64_t end) {
  if (w.norm.gain_x) return whole_project(w, x, out, begin, end);
  constexpr int64_t block = 24;
  const int64_t G = gates_of(w.cell), full = w.vectors * W;
  const bool gated = w.cell == Cell::lstm || w.cell == Cell::gru;
  const int64_t of_x = w.pairs ? block * w.KI : 0;
  real* pre = static_cast<real*>(take_buffer(static_cast<size_t>(w.panels * block * full + of_x) * sizeof(real)));
  real* laid = pre + w.panels * block * full;
  for (int64_t t = begin; t < end; t += block) {
    const int64_t n = least(block, end - t);
    const real* rows[block];
    for (int64_t j = 0; j < n; ++j) {
      rows[j] = x + (t + j) * w.I;
      if (!w.pairs) continue;
      lay<Narrow>(laid + j * w.KI, rows[j], nullptr, w.I);
      rows[j] = laid + j * w.KI;
    }
    input_part(w, 0, w.panels, rows, n, block, pre);
    for (int64_t p = 0; p < w.panels; ++p) {
      const int64_t V = vectors_of(w, p);
      for (int64_t j = 0; j < n; ++j)
        for (int64_t v = 0; v < V; ++v) {
          const int64_t unit = p * w.units + (gated ? 0 : v * W);
          const real* from = pre + p * block * full + (j * V + v) * W;
          real* to = out + (t + j) * G * w.H + (gated ? v * w.H : 0) + unit;
          store_n(to, load(from), static_cast<int>(least(W, w.H - unit)));
        }
    }
  }
  give_buffer(pre);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
