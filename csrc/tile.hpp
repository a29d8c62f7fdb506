// The register tile: R rows, each given by a pointer, times a packed panel of V vectors.
//
// A panel is K steps of V*W numbers, contiguous. acc[r][v] += sum over k of rows[r][k] * panel[k][v], one fused
// multiply-add per k in ascending order: a chain that may begin from any value and be resumed by another call.
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <int R, int V> struct Accumulators { vec at[R][V]; };

constexpr int fetch_ahead = 10;  // steps of a panel that are asked for before their use

// `later` (may be null): memory to bring into the second-level cache meanwhile, `later_step` numbers per k.
template <int R, int V>
RECURRA_INLINE void multiply(Accumulators<R, V>& acc, const real* const* rows, const real* panel, int64_t K,
                             const real* later = nullptr, int64_t later_step = 0) {
  const real* row[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) row[r] = rows[r];
#pragma GCC unroll 1
  for (int64_t k = 0; k < K; ++k) {
    vec w[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) w[v] = load(panel + v * W);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) fetch1(panel + (fetch_ahead * V + v) * W);
    if (later) fetch2(later), later += later_step;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const vec a = set1(row[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc.at[r][v] = fma(a, w[v], acc.at[r][v]);
    }
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
