// The register tile: R rows, each given by a pointer, times a packed panel of V vectors.
//
// A panel is K steps of V*W numbers, contiguous. acc[r][v] += sum over k of rows[r][k] * panel[k][v], one fused
// multiply-add per k in ascending order: a chain that may begin from any value and be resumed by another call.
// Kind (pairs.hpp): Singles, or Pairs where every number of rows and panels is a pair of bfloat16.
#pragma once

#include "pairs.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <int R, int V> struct Accumulators { vec at[R][V]; };

constexpr int fetch_ahead = 10;  // steps of a panel that are asked for before their use

// Lines of memory that will soon be needed, asked for one after the other while a product runs: all at once, they
// would wait for each other, and the product for them.
template <int most> struct Errands {
  const void* at[most];
  int64_t n;
};
template <int most> RECURRA_INLINE void note(Errands<most>& e, const void* line) { e.at[e.n++] = line; }

// What to fetch into the second-level cache meanwhile: `later` (may be null), `later_step` numbers per k, and `per`
// of the errands for every four k. The panel itself is asked for a little ahead in any case.
struct Fetch {
  const real* later = nullptr;
  int64_t later_step = 0;
  const void* const* errands = nullptr;
  const void* const* end = nullptr;
  int64_t per = 0;
};

// So many errands at a time that they are done after three quarters of K.
template <int most> RECURRA_INLINE void send(Fetch& f, const Errands<most>& e, int64_t K) {
  const int64_t turns = K / 4 - K / 16;
  if (!turns) return;  // a product so short that it waits for nothing
  f.errands = e.at, f.end = e.at + e.n, f.per = (e.n + turns - 1) / turns;
}

// One step of a panel: acc[r][v] += left(r) * panel[v].
template <class Kind, int R, int V, class Left>
RECURRA_INLINE void multiply_step(Accumulators<R, V>& acc, const real* panel, const Left& left) {
  vec w[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) w[v] = load(panel + v * W);
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) fetch1(panel + (fetch_ahead * V + v) * W);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const vec a = set1(left(r));
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = Kind::join(a, w[v], acc.at[r][v]);
  }
}

template <class Kind = Singles, int R, int V>
RECURRA_INLINE void multiply(Accumulators<R, V>& acc, const real* const* rows, const real* panel, int64_t K,
                             const Fetch& f = Fetch()) {
  const real* row[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) row[r] = rows[r];
  int64_t k = 0;
  const auto left = [&](int r) { return row[r][k]; };
  const real* later = f.later;
  for (const void* const* errand = f.errands; errand != f.end;) {
    for (int64_t e = 0; e < f.per && errand != f.end; ++e) fetch2(*errand++);
    const int64_t until = k + 4 < K ? k + 4 : K;
#pragma GCC unroll 1
    for (; k < until; ++k, panel += V * W) {
      if (later) fetch2(later), later += f.later_step;
      multiply_step<Kind>(acc, panel, left);
    }
  }
  if (later) {
#pragma GCC unroll 1
    for (; k < K; ++k, panel += V * W, later += f.later_step) fetch2(later), multiply_step<Kind>(acc, panel, left);
  } else {
#pragma GCC unroll 1
    for (; k < K; ++k, panel += V * W) multiply_step<Kind>(acc, panel, left);
  }
}

// One row times P panels that lie `stride` numbers apart: acc[q] += sum over k of x[k] * panel[q][k]. Enough chains
// hide the latency of the multiply-add.
template <class Kind = Singles, int P, int V>
RECURRA_INLINE void stream(vec (&acc)[P][V], const real* x, const real* panel, int64_t stride, int64_t K) {
#pragma GCC unroll 1
  for (int64_t k = 0; k < K; ++k) {
    const vec a = set1(x[k]);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        // no prefetch: measured 10% slower, the hardware follows these few streams by itself
        acc[q][v] = Kind::join(a, load(panel + q * stride + v * W), acc[q][v]);
    panel += V * W;
  }
}

// Tiles of at most `most` rows, as even as can be: sizes differ by one at most.
struct Split {
  int64_t n, tiles;
  RECURRA_INLINE Split over(int64_t n, int64_t most) { return {n, n ? (n + most - 1) / most : 0}; }
  int64_t begin(int64_t tile) const { return tile * (n / tiles) + (tile < n % tiles ? tile : n % tiles); }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
