#include "../dense.hpp"
#include "../isa.hpp"
#include "../transpose.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

// Rows of a register tile for so many vectors: as many accumulators as the registers hold.
template <int NV> struct Height;
template <> struct Height<4> { static constexpr int value = ROWS4; };
template <> struct Height<3> { static constexpr int value = ROWS3; };
template <> struct Height<2> { static constexpr int value = 2 * ROWS4; };
template <> struct Height<1> { static constexpr int value = 4 * ROWS4 > 12 ? 12 : 4 * ROWS4 > 8 ? 8 : 4; };

template <int R, int NV, bool Across>
RECURRA_INLINE void accumulate(vec (&acc)[R][NV], const Product<real>& p, const real* left) {
  const real* b = p.panel;
  const real* rows[R];
  for (int r = 0; r < R; ++r) rows[r] = left + r * (Across ? 1 : p.left_row);
  for (int64_t k = 0; k < p.inner; ++k, b += p.panel_row) {
    vec right[NV];
    for (int v = 0; v < NV; ++v) right[v] = load(b + v * W);
    const int64_t at = Across ? k * p.left_step : k;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const vec x = set1(rows[r][at]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[r][v] = fma(x, right[v], acc[r][v]);
    }
  }
}

template <int R, int NV, bool Across> void tile(const Product<real>& p, const real* left, real* out) {
  vec acc[R][NV];
  int lanes[NV];
  for (int v = 0; v < NV; ++v) {
    const int64_t rest = p.cols - v * W;
    lanes[v] = rest < 0 ? 0 : rest < W ? static_cast<int>(rest) : W;
  }
  for (int v = 0; v < NV; ++v) {
    const vec begin = p.begin ? load_n(p.begin + v * W, lanes[v]) : set1(real(0));
    for (int r = 0; r < R; ++r) acc[r][v] = p.resume ? load_n(out + r * p.out_row + v * W, lanes[v]) : begin;
  }
  accumulate<R, NV, Across>(acc, p, left);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < NV; ++v) {
      real* to = out + r * p.out_row + v * W;
      store_n(to, p.add ? add(load_n(to, lanes[v]), acc[r][v]) : acc[r][v], lanes[v]);
    }
}

template <int NV, bool Across> void rows_of_tiles(const Product<real>& p) {
  constexpr int height = Height<NV>::value;
  int64_t r = 0;
  const auto left = [&](int64_t row) { return p.left + row * (Across ? 1 : p.left_row); };
  const auto out = [&](int64_t row) { return p.out + row * p.out_row; };
  for (; r + height <= p.rows; r += height) tile<height, NV, Across>(p, left(r), out(r));
  if constexpr (height > 8)
    for (; r + 8 <= p.rows; r += 8) tile<8, NV, Across>(p, left(r), out(r));
  if constexpr (height > 4)
    for (; r + 4 <= p.rows; r += 4) tile<4, NV, Across>(p, left(r), out(r));
  if constexpr (height > 2)
    for (; r + 2 <= p.rows; r += 2) tile<2, NV, Across>(p, left(r), out(r));
  for (; r < p.rows; ++r) tile<1, NV, Across>(p, left(r), out(r));
}

template <bool Across> void by_width(const Product<real>& p) {
  switch ((p.cols + W - 1) / W) {
    case 1: return rows_of_tiles<1, Across>(p);
    case 2: return rows_of_tiles<2, Across>(p);
    case 3: return rows_of_tiles<3, Across>(p);
    default: return rows_of_tiles<4, Across>(p);
  }
}

void product(const Product<real>& p) {
  if (p.left_step == 1) by_width<false>(p);
  else by_width<true>(p);
}

void pack_across(const real* w, int64_t w_row, int64_t cols, int64_t inner, int64_t width, real* out) {
  for (int64_t j = 0; j < width; j += W) {
    const int64_t own = cols - j < W ? cols - j : W;
    if (own <= 0) {
      for (int64_t k = 0; k < inner; ++k) store(out + k * width + j, set1(real(0)));
      continue;
    }
    int64_t k = 0;
    if (own == W)
      for (; k + W <= inner; k += W) transpose(w + j * w_row + k, w_row, out + k * width + j, width);
    for (; k < inner; ++k)
      for (int64_t l = 0; l < W; ++l) out[k * width + j + l] = l < own ? w[(j + l) * w_row + k] : real(0);
  }
}

void column_sums(const real* x, int64_t rows, int64_t cols, int64_t from, int64_t to, real* sums) {
  for (int64_t c = from; c < to; c += W) {
    const int n = static_cast<int>(to - c < W ? to - c : W);
    vec total = set1(real(0));
    for (int64_t block = 0; block < rows; block += token_block) {
      const int64_t end = rows - block < token_block ? rows : block + token_block;
      vec sum = load_n(x + block * cols + c, n);
      for (int64_t r = block + 1; r < end; ++r) sum = add(sum, load_n(x + r * cols + c, n));
      total = block ? add(total, sum) : sum;
    }
    store_n(sums + c, total, n);
  }
}

}  // namespace

extern const DenseTable<real> dense_table;
const DenseTable<real> dense_table = {W, 4, product, pack_across, column_sums};

}  // namespace RECURRA_ISA
}  // namespace recurra
