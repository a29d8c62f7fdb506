// One step of one row with bfloat16 or int8 weights; see precision.hpp.
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

uint16_t to_bfloat16(float x) {  // to the nearest, ties to even; NaN stays NaN
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

int64_t matrix_row(const SmallWeights& w, int64_t p, int64_t v, int64_t u) {
  const bool gated = w.cell == Cell::lstm || w.cell == Cell::gru;
  const int64_t unit = p * w.units + (gated ? 0 : v * W) + u;
  return unit < w.H ? (gated ? v * w.H : 0) + unit : -1;
}

float greatest(const float* x, int64_t n) {
  float most = 0;
  for (int64_t j = 0; j < n; ++j) {
    const float a = x[j] < 0 ? -x[j] : x[j];
    most = a > most || a != a ? a : most;
  }
  return most;
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
  const bool eight = w.precision == Precision::int8;
  const auto bytes = [&](int64_t K) { return lines(n * (eight ? quads(K) * 4 : K * 2)); };
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
  __builtin_memset(base, 0, static_cast<size_t>(l.total));
  const int64_t full = w.vectors * W, n = w.panels * full;
  float* bias = reinterpret_cast<float*>(base + l.floats);
  float *bias_n = bias + n, *scale_x = bias_n + w.panels * W, *scale_h = scale_x + n;
  int32_t *zero_x = reinterpret_cast<int32_t*>(scale_h + n), *zero_h = zero_x + n;
  w.input = base + l.input, w.recurrent = base + l.recurrent, w.bias = bias, w.bias_n = bias_n;
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
          char* panels = base + (side ? l.recurrent : l.input);
          if (w.precision == Precision::int8) {
            int8_t* out = reinterpret_cast<int8_t*>(panels) + p * full * quads(K) * 4 + (v * W + u) * 4;
            pack_row8(row, K, out, full * 4, (side ? scale_h : scale_x) + at, (side ? zero_h : zero_x) + at);
          } else {
            uint16_t* out = reinterpret_cast<uint16_t*>(panels) + p * full * K + v * W + u;
            for (int64_t k = 0; k < K; ++k) out[k * full] = to_bfloat16(row[k]);
          }
        }
      }
  return l.total;
}

// The vector instructions of this file's two formats. Float kernels only; the double copies never run.
RECURRA_INLINE vec widen(const uint16_t* p) {
#if defined(RECURRA_VEC_AVX512)
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
#elif defined(RECURRA_VEC_AVX2)
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16));
#else
  real lanes[W];
  for (int j = 0; j < W; ++j) {
    const uint32_t bits = static_cast<uint32_t>(p[j]) << 16;
    float x;
    __builtin_memcpy(&x, &bits, 4);
    lanes[j] = x;
  }
  return load(lanes);
#endif
}

// sums[V*W] = sum over k of x[k] * w[k], x unsigned, exact
#if defined(RECURRA_VEC_AVX512)
template <int V> __attribute__((target("avx512vnni"))) void dots_vnni(const uint8_t* x, const int8_t* w, int64_t K4, int32_t* sums) {
  __m512i acc[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) acc[v] = _mm512_setzero_si512();
  for (int64_t k = 0; k < K4; ++k) {
    int32_t four;
    __builtin_memcpy(&four, x + 4 * k, 4);
    const __m512i a = _mm512_set1_epi32(four);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[v] = _mm512_dpbusd_epi32(acc[v], a, _mm512_loadu_si512(w + (k * V + v) * 64));
  }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) _mm512_storeu_si512(sums + v * 16, acc[v]);
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

template <int V> void dots(const uint8_t* x, const int8_t* w, int64_t K4, int32_t* sums) {
#if defined(RECURRA_VEC_AVX512)
  if (vnni()) return dots_vnni<V>(x, w, K4, sums);
#endif
  dots_plain<V>(x, w, K4, sums);
}

float quantise(const float* x, int64_t n, uint8_t* out) {  // returns the scale; NaN and infinity make it NaN
  const float most = greatest(x, n), inverse = most > 0 ? 127.0f / most : 0.0f;
  const bool finite = most - most == 0;
  for (int64_t k = 0; k < quads(n) * 4; ++k)
    out[k] = static_cast<uint8_t>(128 + (finite && k < n ? rounded(x[k] * inverse) : 0));
  return finite ? most / 127.0f : __builtin_nanf("");
}

// sums = [input part, recurrent part], each V*W, for panel p
template <int V> void panel_sums(const SmallStep& s, const uint8_t* x8, const uint8_t* h8, float sx, float sh, int64_t p, float* sums) {
  const SmallWeights& w = s.w;
  const int64_t full = V * W;
  if (w.precision == Precision::int8) {
    int32_t whole[V * W];
    for (int side = 0; side < 2; ++side) {
      const int64_t K4 = quads(side ? w.H : w.I);
      const int8_t* panel = static_cast<const int8_t*>(side ? w.recurrent : w.input) + p * full * K4 * 4;
      dots<V>(side ? h8 : x8, panel, K4, whole);
      const float* scale = (side ? w.scale_h : w.scale_x) + p * full;
      const int32_t* zero = (side ? w.zero_h : w.zero_x) + p * full;
      const float step = side ? sh : sx;
      for (int j = 0; j < full; ++j) sums[side * full + j] = static_cast<float>(whole[j] - zero[j]) * (scale[j] * step);
    }
    for (int j = 0; j < full; ++j) {
      const bool linear = w.cell == Cell::gru && j >= 2 * W;
      const float bias = w.bias[p * full + j];
      if (linear) sums[j] += bias, sums[full + j] += w.bias_n[p * W + j - 2 * W];
      else sums[j] = (bias + sums[j]) + sums[full + j];
    }
  } else {
    vec acc[V];
    real lanes[W];
    const auto start = [&](const float* from) {
      for (int j = 0; j < W; ++j) lanes[j] = from[j];
      return load(lanes);
    };
    const auto finish = [&](vec x, float* to) {
      store(lanes, x);
      for (int j = 0; j < W; ++j) to[j] = static_cast<float>(lanes[j]);
    };
    for (int v = 0; v < V; ++v) acc[v] = start(w.bias + p * full + v * W);
    const uint16_t* panel = static_cast<const uint16_t*>(w.input) + p * full * w.I;
    for (int64_t k = 0; k < w.I; ++k)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[v] = fma(set1(s.x[k]), widen(panel + (k * V + v) * W), acc[v]);
    if (w.cell == Cell::gru) finish(acc[V - 1], sums + (V - 1) * W), acc[V - 1] = start(w.bias_n + p * W);
    panel = static_cast<const uint16_t*>(w.recurrent) + p * full * w.H;
    for (int64_t k = 0; k < w.H; ++k)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[v] = fma(set1(s.h[k]), widen(panel + (k * V + v) * W), acc[v]);
    for (int v = 0; v < V; ++v) finish(acc[v], sums + (w.cell == Cell::gru && v == 2 ? full : 0) + v * W);
  }
}

// The gates of one panel, from sums that lie in memory; float only.
template <Cell cell, int V> void finish_panel(const SmallStep& s, int64_t p, const float* sums) {
  if constexpr (is_float) {
    const SmallWeights& w = s.w;
    const auto at = [&](int j) { return load(reinterpret_cast<const real*>(sums) + j * W); };
    for (int v = 0; v < (cell == Cell::lstm || cell == Cell::gru ? 1 : V); ++v) {
      const int64_t unit = p * w.units + v * W;
      const int n = static_cast<int>(least(W, w.H - unit));
      if (n <= 0) break;
      const real* before = reinterpret_cast<const real*>(s.h) + unit;
      real* out = reinterpret_cast<real*>(s.out) + unit;
      if constexpr (cell == Cell::lstm) {
        vec a[4] = {at(0), at(1), at(3), at(2)};
        activate<3, 1>(a);
        real* cells = reinterpret_cast<real*>(s.c) + unit;
        vec c = fma(a[1], load_n(cells, n), mul(a[0], a[3]));
        if (s.clipped) c = max(set1(-s.clip), min(set1(s.clip), c));
        store_n(cells, c, n);
        store_n(out, mul(a[2], tanh(c)), n);
      } else if constexpr (cell == Cell::gru) {
        const vec reset = sigmoid(at(0)), z = sigmoid(at(1)), fresh = tanh(fma(reset, at(V + 2), at(2)));
        store_n(out, fma(z, sub(load_n(before, n), fresh), fresh), n);
      } else {
        store_n(out, cell == Cell::rnn ? tanh(at(v)) : max(set1(real(0)), at(v)), n);
      }
    }
  }
}

template <Cell cell> void step_cell(const SmallStep& s) {
  constexpr int V = cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 4;
  uint8_t* x8 = reinterpret_cast<uint8_t*>(s.scratch);
  uint8_t* h8 = x8 + quads(s.w.I) * 4;
  float sx = 0, sh = 0;
  if (s.w.precision == Precision::int8) sx = quantise(s.x, s.w.I, x8), sh = quantise(s.h, s.w.H, h8);
  for (int64_t p = 0; p < s.w.panels; ++p) {
    float sums[2 * V * W] __attribute__((aligned(64)));
    panel_sums<V>(s, x8, h8, sx, sh, p, sums);
    finish_panel<cell, V>(s, p, sums);
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

const char* how(Precision precision) {
  if (precision == Precision::bfloat16) return "bfloat16 weights widened to float32";
  return vnni() ? "int8 weights, VNNI" : "int8 weights, plain integer products";
}

}  // namespace

extern const SmallTable<real> small_table;
const SmallTable<real> small_table = {pack_small, step_small, how};

}  // namespace RECURRA_ISA
}  // namespace recurra
