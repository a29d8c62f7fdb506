// One step of some rows with int8 weights; see precision.hpp.
//
// Rows in tiles, as in recur_forward.cpp, so that a weight is read once for several of them; where
// there is one row, two panels at a time, so that enough chains hide the latency.
#include "../precision.hpp"
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

#ifdef RECURRA_REAL
constexpr bool is_float = sizeof(real) == sizeof(float);
#else
constexpr bool is_float = true;
#endif

int64_t quads(int64_t n) { return (n + 3) / 4; }
int64_t lines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t matrix_row(const SmallWeights& w, int64_t p, int64_t v, int64_t u) {
  const bool gated = w.cell == Cell::lstm || w.cell == Cell::gru;
  const int64_t unit = p * w.units + (gated ? 0 : v * W) + u;
  return unit < w.H ? (gated ? v * w.H : 0) + unit : -1;
}

// The greatest magnitude; NaN where one is NaN. By integers, whose order is that of magnitudes: no branches.
float greatest(const float* x, int64_t n) {
  uint32_t most = 0;
  for (int64_t j = 0; j < n; ++j) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + j, 4);
    bits &= 0x7FFFFFFFu;
    most = bits > most ? bits : most;
  }
  float a;
  __builtin_memcpy(&a, &most, 4);
  return a;
}

int32_t rounded(float x) {  // to the nearest, ties to even, by adding a big number: the same bits everywhere
  const float big = 12582912.0f;
  return static_cast<int32_t>((x + big) - big);
}

void pack_row8(const float* row, int64_t K, int8_t* out, int64_t step, float* scale, int32_t* zero) {
  const float most = greatest(row, K), inverse = most > 0 ? 127.0f / most : 0.0f;
  int32_t sum = 0;
  for (int64_t k = 0; k < K; ++k) {
    const int32_t q = rounded(row[k] * inverse);
    out[k / 4 * step + k % 4] = static_cast<int8_t>(q);
    sum += q;
  }
  *scale = most / 127.0f;
  *zero = 128 * sum;
}

struct Layout {
  int64_t input, recurrent, floats, total;
};

Layout layout(const SmallWeights& w) {
  const int64_t full = w.vectors * W, n = w.panels * full;
  const auto bytes = [&](int64_t K) { return lines(n * quads(K) * 4); };
  Layout l;
  l.input = 0, l.recurrent = bytes(w.I), l.floats = l.recurrent + bytes(w.H);
  l.total = l.floats + lines((n * 5 + w.panels * W) * 4);
  return l;
}

int64_t pack_small(SmallWeights& w, const float* w_ih, const float* w_hh, const float* b_ih, const float* b_hh,
                   void* memory) {
  const bool gated = w.cell == Cell::lstm || w.cell == Cell::gru;
  w.vectors = gated ? gates_of(w.cell) : 4, w.units = gated ? W : 4 * W, w.panels = (w.H + w.units - 1) / w.units;
  const Layout l = layout(w);
  if (!memory) return l.total;
  char* base = static_cast<char*>(memory);
  int8_t* panels = reinterpret_cast<int8_t*>(base);
  __builtin_memset(base, 0, static_cast<size_t>(l.total));
  const int64_t full = w.vectors * W, n = w.panels * full;
  float* bias = reinterpret_cast<float*>(base + l.floats);
  float *bias_n = bias + n, *scale_x = bias_n + w.panels * W, *scale_h = scale_x + n;
  int32_t *zero_x = reinterpret_cast<int32_t*>(scale_h + n), *zero_h = zero_x + n;
  w.input = panels + l.input, w.recurrent = panels + l.recurrent, w.bias = bias, w.bias_n = bias_n;
  w.scale_x = scale_x, w.scale_h = scale_h, w.zero_x = zero_x, w.zero_h = zero_h;
  for (int64_t p = 0; p < w.panels; ++p)
    for (int64_t v = 0; v < w.vectors; ++v)
      for (int64_t u = 0; u < W; ++u) {
        const int64_t r = matrix_row(w, p, v, u), at = p * full + v * W + u;
        if (r < 0) continue;
        const bool linear = w.cell == Cell::gru && v == 2;
        const float x = b_ih ? b_ih[r] : 0.0f, h = b_hh ? b_hh[r] : 0.0f;
        bias[at] = linear ? x : x + h;
        if (linear) bias_n[p * W + u] = h;
        for (int side = 0; side < 2; ++side) {
          const int64_t K = side ? w.H : w.I;
          const float* row = (side ? w_hh : w_ih) + r * K;
          int8_t* out = panels + (side ? l.recurrent : l.input) + p * full * quads(K) * 4 + (v * W + u) * 4;
          pack_row8(row, K, out, full * 4, (side ? scale_h : scale_x) + at, (side ? zero_h : zero_x) + at);
        }
      }
  return l.total;
}

constexpr int tile_rows = ROWS4;

// sums[r][q][V*W] = sum over k of x[r][k] * w[q][k], x unsigned, exact; panels lie `stride` bytes apart
#if defined(RECURRA_VEC_AVX512)
template <int R, int P, int V>
__attribute__((target("avx512vnni"))) void dots_vnni(const uint8_t* const* x, const int8_t* w, int64_t stride, int64_t K4,
                                                     int32_t* sums) {
  __m512i acc[R][P * V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) acc[r][v] = _mm512_setzero_si512();
  for (int64_t k = 0; k < K4; ++k) {
    __m512i weights[P * V];
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) weights[v] = _mm512_loadu_si512(w + (v / V) * stride + (k * V + v % V) * 64);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x[r] + 4 * k, 4);
      const __m512i a = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (int v = 0; v < P * V; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], a, weights[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) _mm512_storeu_si512(sums + (r * P * V + v) * 16, acc[r][v]);
}
#endif

template <int V> void dots_plain(const uint8_t* x, const int8_t* w, int64_t K4, int32_t* sums) {
  for (int j = 0; j < V * W; ++j) sums[j] = 0;
  for (int64_t k = 0; k < K4; ++k)
    for (int j = 0; j < V * W; ++j) {
      const int8_t* each = w + (k * V * W + j) * 4;
      int32_t sum = 0;
      for (int i = 0; i < 4; ++i) sum += static_cast<int32_t>(x[4 * k + i]) * each[i];
      sums[j] += sum;
    }
}

bool vnni() {
#if defined(RECURRA_VEC_AVX512)
  return __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

template <int R, int P, int V>
void dots(const uint8_t* const* x, const int8_t* w, int64_t stride, int64_t K4, int32_t* sums) {
#if defined(RECURRA_VEC_AVX512)
  if (vnni()) return dots_vnni<R, P, V>(x, w, stride, K4, sums);
#endif
  for (int r = 0; r < R; ++r)
    for (int q = 0; q < P; ++q) dots_plain<V>(x[r], w + q * stride, K4, sums + (r * P + q) * V * W);
}

float quantise(const float* x, int64_t n, uint8_t* out) {  // returns the scale; NaN and infinity make it NaN
  const float most = greatest(x, n), inverse = most > 0 ? 127.0f / most : 0.0f;
  const bool finite = most - most == 0;
  for (int64_t k = 0; k < quads(n) * 4; ++k) out[k] = 128;
  if (!finite) return __builtin_nanf("");
  for (int64_t k = 0; k < n; ++k) out[k] = static_cast<uint8_t>(128 + rounded(x[k] * inverse));
  return most / 127.0f;
}

// Rows of one step: their activations in eight bits where the weights are.
struct Rows {
  const uint8_t *x8[small_gang], *h8[small_gang];
  float sx[small_gang], sh[small_gang];
};

// sums[r][q] = [input part, recurrent part] of V*W each, for rows [k, k + R) and panels [p, p + P)
template <int R, int P, int V> void sums_of_int8(const SmallStep& s, const Rows& rows, int64_t k, int64_t p, float* sums) {
  const SmallWeights& w = s.w;
  constexpr int64_t full = V * W;
  int32_t whole[R * P * V * W] __attribute__((aligned(64)));
  for (int side = 0; side < 2; ++side) {
    const int64_t K4 = quads(side ? w.H : w.I), stride = full * K4 * 4;
    const int8_t* panels = (side ? w.recurrent : w.input) + p * stride;
    dots<R, P, V>((side ? rows.h8 : rows.x8) + k, panels, stride, K4, whole);
    for (int r = 0; r < R; ++r)
      for (int q = 0; q < P; ++q) {
        const float* scale = (side ? w.scale_h : w.scale_x) + (p + q) * full;
        const int32_t* zero = (side ? w.zero_h : w.zero_x) + (p + q) * full;
        const int32_t* from = whole + (r * P + q) * full;
        float* to = sums + ((r * P + q) * 2 + side) * full;
        const float step = (side ? rows.sh : rows.sx)[k + r];
        for (int j = 0; j < full; ++j) to[j] = static_cast<float>(from[j] - zero[j]) * (scale[j] * step);
      }
  }
  for (int r = 0; r < R; ++r)
    for (int q = 0; q < P; ++q) {
      float* to = sums + (r * P + q) * 2 * full;
      const float *bias = w.bias + (p + q) * full, *bias_n = w.bias_n + (p + q) * W;
      const int apart = w.cell == Cell::gru ? 2 * W : full;  // gru: the parts of n stay apart
      for (int j = 0; j < apart; ++j) to[j] = (bias[j] + to[j]) + to[full + j];
      for (int j = apart; j < full; ++j) to[j] += bias[j], to[full + j] += bias_n[j - apart];
    }
}

RECURRA_INLINE vec load_float(const float* from) {
  if constexpr (is_float) return load(reinterpret_cast<const real*>(from));
  real lanes[W];
  for (int j = 0; j < W; ++j) lanes[j] = from[j];
  return load(lanes);
}
// The gates of one panel of R rows, whose sums lie `stride` apart, in memory; float only.
template <Cell cell, int V, int R> RECURRA_INLINE void finish_rows(const SmallStep& s, int64_t k, int64_t p, const float* sums, int64_t stride) {
  const SmallWeights& w = s.w;
  const auto at = [&](int r, int j) { return load_float(sums + r * stride + j * W); };
  for (int v = 0; v < (cell == Cell::lstm || cell == Cell::gru ? 1 : V); ++v) {
    const int64_t unit = p * w.units + v * W;
    const int n = static_cast<int>(least(W, w.H - unit));
    if (n <= 0) break;
    const auto out = [&](int r) { return reinterpret_cast<real*>(s.out[k + r]) + unit; };
    if constexpr (cell == Cell::lstm) {
      vec a[4 * R], c[R];
      RECURRA_EACH(0, R) a[3 * j] = at(j, 0), a[3 * j + 1] = at(j, 1), a[3 * j + 2] = at(j, 3), a[3 * R + j] = at(j, 2);
      activate<3 * R, R>(a);
      RECURRA_EACH(0, R) {
        real* cells = reinterpret_cast<real*>(s.c[k + j]) + unit;
        c[j] = fma(a[3 * j + 1], load_n(cells, n), mul(a[3 * j], a[3 * R + j]));
        if (s.clipped) c[j] = max(set1(-s.clip), min(set1(s.clip), c[j]));
        store_n(cells, c[j], n);
      }
      activate<0, R>(c);
      RECURRA_EACH(0, R) store_n(out(j), mul(a[3 * j + 2], c[j]), n);
    } else if constexpr (cell == Cell::gru) {
      vec a[2 * R], fresh[R];
      RECURRA_EACH(0, R) a[2 * j] = at(j, 0), a[2 * j + 1] = at(j, 1);
      activate<2 * R, 0>(a);
      RECURRA_EACH(0, R) fresh[j] = fma(a[2 * j], at(j, V + 2), at(j, 2));
      activate<0, R>(fresh);
      RECURRA_EACH(0, R) {
        const vec before = load_n(reinterpret_cast<const real*>(s.h[k + j]) + unit, n);
        store_n(out(j), fma(a[2 * j + 1], sub(before, fresh[j]), fresh[j]), n);
      }
    } else {
      vec a[R];
      RECURRA_EACH(0, R) a[j] = at(j, v);
      if constexpr (cell == Cell::rnn) activate<0, R>(a);
      else RECURRA_EACH(0, R) a[j] = max(set1(real(0)), a[j]);
      RECURRA_EACH(0, R) store_n(out(j), a[j], n);
    }
  }
}

template <Cell cell, int R, int P> void small_tile(const SmallStep& s, const Rows& rows, int64_t k, int64_t p) {
  constexpr int V = cell == Cell::gru ? 3 : 4;
  float sums[R * P * 2 * V * W] __attribute__((aligned(64)));
  sums_of_int8<R, P, V>(s, rows, k, p, sums);
  if constexpr (is_float)
    for (int q = 0; q < P; ++q) {
      constexpr int64_t stride = P * 2 * V * W;
      const float* from = sums + q * 2 * V * W;
      int r = 0;
      for (; r + 2 <= R; r += 2) finish_rows<cell, V, 2>(s, k + r, p + q, from + r * stride, stride);
      if (R % 2) finish_rows<cell, V, 1>(s, k + r, p + q, from + r * stride, stride);
    }
}

using SmallTile = void (*)(const SmallStep&, const Rows&, int64_t, int64_t);

template <Cell cell> SmallTile small_tile_of(int64_t rows) {
  switch (rows) {
    case 1: return small_tile<cell, 1, 1>;
    case 2: return small_tile<cell, 2, 1>;
    case 3: return small_tile<cell, (tile_rows >= 3 ? 3 : 1), 1>;
    case 4: return small_tile<cell, (tile_rows >= 4 ? 4 : 1), 1>;
    case 5: return small_tile<cell, (tile_rows >= 5 ? 5 : 1), 1>;
    default: return small_tile<cell, (tile_rows >= 6 ? 6 : 1), 1>;
  }
}

template <Cell cell> void step_cell(const SmallStep& s) {
  Rows rows;
  uint8_t* free = reinterpret_cast<uint8_t*>(s.scratch);
  for (int64_t k = 0; k < s.n; ++k) {
    uint8_t *x8 = free, *h8 = x8 + quads(s.w.I) * 4;
    free = h8 + quads(s.w.H) * 4;
    rows.x8[k] = x8, rows.h8[k] = h8;
    rows.sx[k] = quantise(s.x[k], s.w.I, x8), rows.sh[k] = quantise(s.h[k], s.w.H, h8);
  }
  const Split split = Split::over(s.n, tile_rows);
  int64_t p = 0;
  if (s.n == 1)
    for (; p + 2 <= s.w.panels; p += 2) small_tile<cell, 1, 2>(s, rows, 0, p);
  for (; p < s.w.panels; ++p)
    for (int64_t tile = 0; tile < split.tiles; ++tile) {
      const int64_t begin = split.begin(tile);
      small_tile_of<cell>(split.begin(tile + 1) - begin)(s, rows, begin, p);
    }
}

void step_small(const SmallStep& s) {
  switch (s.w.cell) {
    case Cell::rnn: return step_cell<Cell::rnn>(s);
    case Cell::rnn_relu: return step_cell<Cell::rnn_relu>(s);
    case Cell::lstm: return step_cell<Cell::lstm>(s);
    case Cell::gru: return step_cell<Cell::gru>(s);
  }
}

const char* how() {
  return vnni() ? "int8 weights, VNNI" : "int8 weights, plain integer products";
}

}  // namespace

extern const SmallTable<real> small_table;
const SmallTable<real> small_table = {pack_small, step_small, how};

}  // namespace RECURRA_ISA
}  // namespace recurra
