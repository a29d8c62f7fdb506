// Cells that finish a step a whole row at a time: layer-normalised ones, whose norms need all numbers of a row before
// any gate is known, and plain ones with zoneout.
//
// The products of some rows are laid row by row in torch's order; then each row is worked on alone, so that its answer
// depends on nothing else. All sums over a row run by sixteen lanes (lanes.hpp): the same bits whatever the vector width.
#pragma once

#include "../row_norm.hpp"
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {

constexpr real eps = static_cast<real>(norm_epsilon);

// Rows of this many numbers stand this far apart in scratch memory.
RECURRA_INLINE int64_t apart(int64_t numbers) { return padded(numbers) + W; }

// out[r] = begin + W rows[r] in torch's order, for the panels of W's K steps; begin: where the chains begin, as packed
// (w.bias), or null for zero.
struct RowProduct {
  const Weights<real>& w;
  const real *panels, *begin;
  int64_t K;
};
void row_product(const RowProduct& product, const real* const* rows, int64_t n, real* const* out);

// The rest of the gates that need no past, complete: out[r] = bias + W_ih x[r], normalised where the cell is. kept:
// null, or per row where `Kept` is filled in.
void input_rows(const Weights<real>& w, const real* const* x, int64_t n, real* const* out, real* const* kept);

// The sigmoids or the tangents of a row of n numbers, eight vectors at a time so that the chains hide their latency.
template <bool sigmoids> RECURRA_INLINE void activate_row(real* row, int64_t n) {
  constexpr int N = 8;
  int64_t i = 0;
  for (; i + N * W <= n; i += N * W) {
    vec x[N];
    RECURRA_EACH(0, N) x[j] = load(row + i + j * W);
    activate<sigmoids ? N : 0, sigmoids ? 0 : N>(x);
    RECURRA_EACH(0, N) store(row + i + j * W, x[j]);
  }
  over(n - i, [&](int64_t at, int lanes) {
    const vec x = load_n(row + i + at, lanes);
    store_n(row + i + at, sigmoids ? sigmoid(x) : tanh(x), lanes);
  });
}

// keep * before + (1 - keep) * now
RECURRA_INLINE vec zoned(vec keep, vec before, vec now) {
  return fma(keep, before, mul(sub(set1(real(1)), keep), now));
}

// One row's share of the masks, or the rate. kind 0: of h, 1: of c.
struct Keep {
  real rate;
  const real* masks;
  int64_t H;
  RECURRA_INLINE Keep of(const Zoneout<real>& zones, const Weights<real>& w, int64_t token) {
    const int64_t width = w.cell == Cell::lstm ? 2 * w.H : w.H;
    return {zones.rate, zones.masks ? zones.masks + token * width : nullptr, w.H};
  }
  vec share(int64_t unit, int n, int kind) const { return masks ? load_n(masks + kind * H + unit, n) : set1(rate); }
};

}  // namespace RECURRA_ISA
}  // namespace recurra
