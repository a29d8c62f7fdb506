// Products with the transposed weights: gradients of many rows on their way back to what a layer was given.
#pragma once

#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

int64_t width_of(int64_t n, int64_t p) { return least(4, (n - p * 4 * W + W - 1) / W); }

// out[r] = sum over k of rows[r][k] * W[k], where the last H of the K steps may lie elsewhere in the row (gru).
template <class Kind, int R, int V>
void product_tile(const real* const* rows, const real* panel, int64_t K, int64_t K2, int64_t skip, real* const* out,
                  const real* const* plus, int64_t first, int n_last) {
  Accumulators<R, V> acc;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = set1(real(0));
  multiply<Kind>(acc, rows, panel, K);
  if (K2) {
    const real* moved[R];
    for (int r = 0; r < R; ++r) moved[r] = rows[r] + skip;
    multiply<Kind>(acc, moved, panel + K * V * W, K2);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int n = v + 1 < V ? W : n_last;
      vec sum = acc.at[r][v];
      if (plus && plus[r]) sum = mul(sum, load_n(plus[r] + first + v * W, n));
      store_n(out[r] + first + v * W, sum, n);
    }
}

using ProductTile = void (*)(const real* const*, const real*, int64_t, int64_t, int64_t, real* const*,
                             const real* const*, int64_t, int);

template <class Kind, int V> ProductTile product_tile_of(int64_t rows) {
  switch (rows) {
    case 1: return product_tile<Kind, 1, V>;
    case 2: return product_tile<Kind, 2, V>;
    case 3: return product_tile<Kind, (ROWS4 >= 3 ? 3 : 1), V>;
    case 4: return product_tile<Kind, (ROWS4 >= 4 ? 4 : 1), V>;
    case 5: return product_tile<Kind, (ROWS4 >= 5 ? 5 : 1), V>;
    default: return product_tile<Kind, (ROWS4 >= 6 ? 6 : 1), V>;
  }
}

template <class Kind> ProductTile product_tile_of(int64_t V, int64_t rows) {
  switch (V) {
    case 1: return product_tile_of<Kind, 1>(rows);
    case 2: return product_tile_of<Kind, 2>(rows);
    case 3: return product_tile_of<Kind, 3>(rows);
    default: return product_tile_of<Kind, 4>(rows);
  }
}

template <class Kind>
void back_product(const real* panels, int64_t rows_of_matrix, int64_t columns, const real* const* rows, int64_t n,
                  int64_t K2, int64_t skip, real* const* out, const real* const* factor) {
  for (int64_t p = 0; p * 4 * W < columns; ++p) {
    const int64_t V = width_of(columns, p), first = p * 4 * W;
    const int last = static_cast<int>(columns - first - (V - 1) * W);
    const Split split = Split::over(n, ROWS4);
    for (int64_t tile = 0; tile < split.tiles; ++tile) {
      const int64_t begin = split.begin(tile);
      product_tile_of<Kind>(V, split.begin(tile + 1) - begin)(rows + begin, panels + first * rows_of_matrix,
                                                        rows_of_matrix - K2, K2, skip, out + begin,
                                                        factor ? factor + begin : nullptr, first, last);
    }
  }
}

}  // namespace
}  // namespace RECURRA_ISA
}  // namespace recurra
