#include "../dense.hpp"
#include "../isa.hpp"
#include "../tile.hpp"
#include "../transpose.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

// Rows of a register tile for so many vectors: as many chains as the registers hold.
template <int V> struct Height;
template <> struct Height<4> { static constexpr int value = ROWS4; };
template <> struct Height<3> { static constexpr int value = ROWS3; };
template <> struct Height<2> { static constexpr int value = 2 * ROWS4 < 8 ? 2 * ROWS4 : 8; };
template <> struct Height<1> { static constexpr int value = Height<2>::value; };

template <int R, int V> void tile(const Product<real>& p, int64_t row) {
  Accumulators<R, V> acc;
  const real* rows[R];
  real* out = p.out + row * p.out_row;
  const int last = static_cast<int>(p.cols - (V - 1) * W);
  for (int r = 0; r < R; ++r) rows[r] = p.x + (row + r) * p.x_row;
  for (int v = 0; v < V; ++v) {
    const int n = v + 1 < V ? W : last;
    const vec begin = p.begin ? load_n(p.begin + v * W, n) : set1(real(0));
    for (int r = 0; r < R; ++r) acc.at[r][v] = p.resume ? load_n(out + r * p.out_row + v * W, n) : begin;
  }
  multiply(acc, rows, p.panel, p.inner);
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store_n(out + r * p.out_row + v * W, acc.at[r][v], v + 1 < V ? W : last);
}

template <int V> void rows_of_tiles(const Product<real>& p) {
  constexpr int height = Height<V>::value;
  int64_t r = 0;
  for (; r + height <= p.rows; r += height) tile<height, V>(p, r);
  if constexpr (height > 4)
    for (; r + 4 <= p.rows; r += 4) tile<4, V>(p, r);
  if constexpr (height > 2)
    for (; r + 2 <= p.rows; r += 2) tile<2, V>(p, r);
  for (; r < p.rows; ++r) tile<1, V>(p, r);
}

void product(const Product<real>& p) {
  switch ((p.cols + W - 1) / W) {
    case 1: return rows_of_tiles<1>(p);
    case 2: return rows_of_tiles<2>(p);
    case 3: return rows_of_tiles<3>(p);
    default: return rows_of_tiles<4>(p);
  }
}

constexpr int64_t narrow = 4;

// A lane is a row of x: W x W blocks of x are turned over and each column feeds the chains of all rows.
template <int O> void chains(const Product<real>& p, const real* w, int64_t row, int64_t n) {
  vec acc[O];
  real block[W * W], turned[W * W];
  for (int o = 0; o < O; ++o) acc[o] = set1(p.begin ? p.begin[o] : real(0));
  for (int64_t k = 0; k < p.inner; k += W) {
    const int64_t steps = p.inner - k < W ? p.inner - k : W;
    const real* from = p.x + row * p.x_row + k;
    if (steps == W && n == W) {
      transpose(from, p.x_row, turned, W);
    } else {
      for (int64_t r = 0; r < W; ++r)
        for (int64_t l = 0; l < W; ++l) block[r * W + l] = r < n && l < steps ? from[r * p.x_row + l] : real(0);
      transpose(block, W, turned, W);
    }
    for (int64_t l = 0; l < steps; ++l)
      for (int o = 0; o < O; ++o) acc[o] = fma(load(turned + l * W), set1(w[o * p.inner + k + l]), acc[o]);
  }
  real held[W];
  for (int o = 0; o < O; ++o) {
    store(held, acc[o]);
    for (int64_t r = 0; r < n; ++r) p.out[(row + r) * p.out_row + o] = held[r];
  }
}

template <int O> void all_chains(const Product<real>& p, const real* w) {
  for (int64_t r = 0; r < p.rows; r += W) chains<O>(p, w, r, p.rows - r < W ? p.rows - r : W);
}

void few_outputs(const Product<real>& p, const real* w) {
  switch (p.cols) {
    case 1: return all_chains<1>(p, w);
    case 2: return all_chains<2>(p, w);
    case 3: return all_chains<3>(p, w);
    default: return all_chains<4>(p, w);
  }
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
const DenseTable<real> dense_table = {W, 4, product, few_outputs, narrow, pack_across, column_sums};

}  // namespace RECURRA_ISA
}  // namespace recurra
