// Weight gradients: out = sum over tokens of left^T right, in blocks of 256 tokens, then over the blocks in order.
//
// The right matrix of a block is packed into panels of four vectors of columns; six rows of the result are a
// register tile over all tokens of the block. Within a block every sum is one chain, token by token.
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int64_t block = 256;

// left numbers of R rows, interleaved: steps[k*R + r]
template <class Kind, int R, int V>
void tile(const real* steps, const real* panel, int64_t K, real* out, int64_t stride, int n_last, bool first) {
  Accumulators<R, V> acc;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = set1(real(0));
#pragma GCC unroll 1
  for (int64_t k = 0; k < K; ++k, panel += V * W, steps += R)
    multiply_step<Kind>(acc, panel, [&](int r) { return steps[r]; });
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int n = v + 1 < V ? W : n_last;
      real* to = out + r * stride + v * W;
      store_n(to, first ? acc.at[r][v] : add(load_n(to, n), acc.at[r][v]), n);
    }
}

using Tile = void (*)(const real*, const real*, int64_t, real*, int64_t, int, bool);

template <class Kind, int V> Tile tile_of(int64_t rows) {
  switch (rows) {
    case 1: return tile<Kind, 1, V>;
    case 2: return tile<Kind, 2, V>;
    case 3: return tile<Kind, (ROWS4 >= 3 ? 3 : 1), V>;
    case 4: return tile<Kind, (ROWS4 >= 4 ? 4 : 1), V>;
    case 5: return tile<Kind, (ROWS4 >= 5 ? 5 : 1), V>;
    default: return tile<Kind, (ROWS4 >= 6 ? 6 : 1), V>;
  }
}

template <class Kind> Tile tile_of(int64_t V, int64_t rows) {
  switch (V) {
    case 1: return tile_of<Kind, 1>(rows);
    case 2: return tile_of<Kind, 2>(rows);
    case 3: return tile_of<Kind, 3>(rows);
    default: return tile_of<Kind, 4>(rows);
  }
}

// Vector `first` onwards of a token's row; zeros where there is no such token.
RECURRA_INLINE vec right_of(const Right<real>& s, int64_t token, int64_t end, int64_t first, int lanes) {
  if (token >= end) return set1(real(0));
  const vec x = load_n((s.at ? s.at[token] : s.rows + token * s.C) + first, lanes);
  return s.factors ? mul(x, load_n(s.factors[token] + first, lanes)) : x;
}

template <class Kind> void pack_right(const Right<real>& s, int64_t begin, int64_t n, real* panels) {
  const int64_t end = begin + n;
  for (int64_t k = 0; k < Kind::steps(n); ++k) {
    for (int64_t first = 0; first < s.C; first += 4 * W) {
      const int64_t V = least(4, (s.C - first + W - 1) / W);
      real* out = panels + first * block + k * V * W;
      for (int64_t v = 0; v < V; ++v) {
        const int lanes = static_cast<int>(least(W, s.C - first - v * W));
        const int64_t at = first + v * W;
        if constexpr (Kind::paired)
          store(out + v * W, zip_pairs(right_of(s, begin + 2 * k, end, at, lanes), right_of(s, begin + 2 * k + 1, end, at, lanes)));
        else store(out + v * W, right_of(s, begin + k, end, at, lanes));
      }
    }
  }
}

// Rows [column, column + rows) of the result, interleaved tile by tile: each tile of R rows is steps(n)*R numbers.
template <class Kind>
void pack_left(const real* left, int64_t stride, int64_t column, int64_t n, const Split& split, real* out) {
  for (int64_t t = 0; t < split.tiles; ++t) {
    const int64_t begin = split.begin(t), R = split.begin(t + 1) - begin;
    real* to = out + begin * Kind::steps(n);
    if constexpr (Kind::paired) {
      for (int64_t k = 0; k < n; k += 2, to += R)
        zip_rows(to, left + k * stride, k + 1 < n ? left + (k + 1) * stride : nullptr, column + begin, static_cast<int>(R));
      continue;
    }
    const real* from = left + column + begin;
    if (R <= W) {
      for (int64_t k = 0; k < n; ++k, from += stride, to += R) store_n(to, load_n(from, static_cast<int>(R)), static_cast<int>(R));
    } else {
      for (int64_t k = 0; k < n; ++k, from += stride, to += R)
        for (int64_t r = 0; r < R; ++r) to[r] = from[r];
    }
  }
}

template <class Kind>
void add_bias(const real* left, int64_t stride, int64_t column, int64_t n, int64_t rows, real* bias, bool first) {
  for (int64_t j = 0; j < rows; j += 4 * W) {
    const int64_t V = least(4, (rows - j + W - 1) / W);
    vec sum[4];
    for (int v = 0; v < 4; ++v) sum[v] = set1(real(0));
    for (int64_t k = 0; k < n; ++k)
      for (int64_t v = 0; v < V; ++v) {
        const int lanes = static_cast<int>(least(W, rows - j - v * W));
        const int64_t at = column + j + v * W;
        sum[v] = add(sum[v], Kind::paired ? load_narrow(left + k * stride, at, lanes) : load_n(left + k * stride + at, lanes));
      }
    for (int64_t v = 0; v < V; ++v) {
      const int lanes = static_cast<int>(least(W, rows - j - v * W));
      real* to = bias + j + v * W;
      store_n(to, first ? sum[v] : add(load_n(to, lanes), sum[v]), lanes);
    }
  }
}

// The next block's left numbers, a share of its tokens, on their way while this block is worked on.
void fetch_share(const real* left, int64_t stride, int64_t rows, int64_t n, int64_t share, int64_t shares) {
  for (int64_t k = n * share / shares; k < n * (share + 1) / shares; ++k)
    for (int64_t j = 0; j < rows; j += 64 / static_cast<int64_t>(sizeof(real))) fetch2(left + k * stride + j);
}

void clear(const OuterSum<real>& s, int64_t begin, int64_t end) {
  for (int i = 0; i < s.count; ++i)
    for (int64_t j = begin * s.right[i].C; j < end * s.right[i].C; ++j) s.right[i].out[j] = 0;
  for (int64_t j = begin; s.bias && j < end; ++j) s.bias[j] = 0;
}

template <class Kind> void sum_of(const OuterSum<real>& s, int64_t column, int64_t begin, int64_t end) {
  const int64_t rows = end - begin;
  if (s.N == 0) return clear(s, begin, end);
  int64_t width = rows;
  for (int i = 0; i < s.count; ++i) width += padded(s.right[i].C) + 3 * W;
  real* memory = static_cast<real*>(take_buffer(static_cast<size_t>(block * width + 128) * sizeof(real)));
  const Split split = Split::over(rows, ROWS4);
  for (int64_t t = 0; t < s.N; t += block) {
    const int64_t n = least(block, s.N - t), after = most(0, least(block, s.N - t - block));
    const real* left = s.left + t * s.left_stride;
    real* panels[2];
    real* free = memory + block * rows + 64;
    for (int i = 0; i < s.count; ++i) {
      panels[i] = free;
      pack_right<Kind>(s.right[i], t, n, free);
      free += block * (padded(s.right[i].C) + 3 * W);
    }
    pack_left<Kind>(left, s.left_stride, column + begin, n, split, memory);
    if (s.bias) add_bias<Kind>(left, s.left_stride, column + begin, n, rows, s.bias + begin, t == 0);
    for (int64_t j = 0; j < split.tiles; ++j) {
      const int64_t first = split.begin(j), R = split.begin(j + 1) - first;
      if (after)
        fetch_share(left + block * s.left_stride + Kind::steps(column + begin), s.left_stride, Kind::steps(rows), after, j, split.tiles);
      for (int i = 0; i < s.count; ++i) {
        const int64_t C = s.right[i].C;
        for (int64_t col = 0; col < C; col += 4 * W) {
          const int64_t V = least(4, (C - col + W - 1) / W);
          tile_of<Kind>(V, R)(memory + first * Kind::steps(n), panels[i] + col * block, Kind::steps(n), s.right[i].out + (begin + first) * C + col, C,
                        static_cast<int>(C - col - (V - 1) * W), t == 0);
        }
      }
    }
  }
  give_buffer(memory);
}

}  // namespace

void outer_sum(const OuterSum<real>& s, int64_t column, int64_t begin, int64_t end) {
  if (s.pairs) sum_of<Narrow>(s, column, begin, end);
  else sum_of<Singles>(s, column, begin, end);
}

}  // namespace RECURRA_ISA
}  // namespace recurra
