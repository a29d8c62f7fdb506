// Weight gradients: out = sum over tokens of left^T right, in blocks of 128 tokens, then over the blocks in order.
//
// The right matrix of a block is packed into panels of four vectors of columns, each of which stays in the
// first-level cache while a slab of rows of the result passes by, six as a register tile over all tokens of the
// block; the slab's left numbers stay in the second-level cache. Within a block every sum is one chain, token by token.
#include "recur.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int64_t block = 128;  // tokens
constexpr int64_t slab = 192;   // rows of the result

// Left numbers of the R rows of a tile: those of step k stand side by side at k * step.
struct Left {
  const real* at;
  int64_t step;
};

template <class Kind, int R, int V>
void tile(Left left, const real* panel, int64_t K, real* out, int64_t stride, int n_last, bool first) {
  Accumulators<R, V> acc;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc.at[r][v] = set1(real(0)), fetch1(out + r * stride + v * W);
#pragma GCC unroll 1
  for (int64_t k = 0; k < K; ++k, panel += V * W, left.at += left.step)
    multiply_step<Kind>(acc, panel, [&](int r) { return left.at[r]; });
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int n = v + 1 < V ? W : n_last;
      real* to = out + r * stride + v * W;
      store_n(to, first ? acc.at[r][v] : add(load_n(to, n), acc.at[r][v]), n);
    }
}

using Tile = void (*)(Left, const real*, int64_t, real*, int64_t, int, bool);

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

// Columns [first, ...) of a token's row, V vectors of which the last has `lanes`; zeros where there is no such token.
template <int V> RECURRA_INLINE void right_of(const Right<real>& s, int64_t token, int64_t end, int64_t first, int lanes, vec* x) {
  if (token >= end) {
    RECURRA_EACH(0, V) x[j] = set1(real(0));
    return;
  }
  const real* row = (s.at ? s.at[token] : s.rows + token * s.C) + first;
  RECURRA_EACH(0, V) x[j] = j + 1 < V ? load(row + j * W) : load_n(row + j * W, lanes);
  if (!s.factors) return;
  const real* factors = s.factors[token] + first;
  RECURRA_EACH(0, V) x[j] = mul(x[j], j + 1 < V ? load(factors + j * W) : load_n(factors + j * W, lanes));
}

template <class Kind, int V> void pack_panel(const Right<real>& given, int64_t begin, int64_t n, int64_t first, real* out) {
  const Right<real> s = given;  // nothing stored below can change it
  const int64_t end = begin + n;
  const int lanes = static_cast<int>(least(W, s.C - first - (V - 1) * W));
  for (int64_t k = 0; k < Kind::steps(n); ++k, out += V * W) {
    vec x[V];
    if constexpr (Kind::paired) {
      vec second[V];
      right_of<V>(s, begin + 2 * k, end, first, lanes, x), right_of<V>(s, begin + 2 * k + 1, end, first, lanes, second);
      RECURRA_EACH(0, V) x[j] = zip_pairs(x[j], second[j]);
    } else {
      right_of<V>(s, begin + k, end, first, lanes, x);
    }
    RECURRA_EACH(0, V) store(out + j * W, x[j]);
  }
}

template <class Kind> void pack_right(const Right<real>& s, int64_t begin, int64_t n, real* panels) {
  for (int64_t first = 0; first < s.C; first += 4 * W) {
    real* out = panels + first * block;
    switch (least(4, (s.C - first + W - 1) / W)) {
      case 1: pack_panel<Kind, 1>(s, begin, n, first, out); break;
      case 2: pack_panel<Kind, 2>(s, begin, n, first, out); break;
      case 3: pack_panel<Kind, 3>(s, begin, n, first, out); break;
      default: pack_panel<Kind, 4>(s, begin, n, first, out);
    }
  }
}

// Pairs: two tokens' numbers of rows [column, column + rows) of the result side by side, tile by tile, each of R rows
// and steps(n)*R pairs.
template <class Kind>
void zip_left(const real* left, int64_t stride, int64_t column, int64_t n, const Split& split, real* out) {
  for (int64_t t = 0; t < split.tiles; ++t) {
    const int64_t begin = split.begin(t), R = split.begin(t + 1) - begin;
    real* to = out + begin * Kind::steps(n);
    for (int64_t k = 0; k < n; k += 2, to += R)
      zip_rows(to, left + k * stride, k + 1 < n ? left + (k + 1) * stride : nullptr, column + begin, static_cast<int>(R));
  }
}

// bias[0 .. V*W) from the left columns from `column` on, the last vector of `lanes`.
template <class Kind, int V>
void bias_panel(const real* left, int64_t stride, int64_t column, int64_t n, int lanes, real* bias, bool first) {
  vec sum[V];
  RECURRA_EACH(0, V) sum[j] = set1(real(0));
  const auto number = [&](const real* row, int j) {
    const int some = j + 1 < V ? W : lanes;
    if constexpr (Kind::paired) return load_narrow(row, column + j * W, some);
    else return j + 1 < V ? load(row + column + j * W) : load_n(row + column + j * W, lanes);
  };
  for (int64_t k = 0; k < n; ++k, left += stride) RECURRA_EACH(0, V) sum[j] = add(sum[j], number(left, j));
  RECURRA_EACH(0, V) {
    const int some = j + 1 < V ? W : lanes;
    store_n(bias + j * W, first ? sum[j] : add(load_n(bias + j * W, some), sum[j]), some);
  }
}

template <class Kind>
void add_bias(const real* left, int64_t stride, int64_t column, int64_t n, int64_t rows, real* bias, bool first) {
  for (int64_t j = 0; j < rows; j += 4 * W) {
    const int64_t V = least(4, (rows - j + W - 1) / W);
    const int lanes = static_cast<int>(rows - j - (V - 1) * W < W ? rows - j - (V - 1) * W : W);
    const auto panel = V == 1 ? bias_panel<Kind, 1> : V == 2 ? bias_panel<Kind, 2> : V == 3 ? bias_panel<Kind, 3> : bias_panel<Kind, 4>;
    panel(left, stride, column + j, n, lanes, bias + j, first);
  }
}

constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(real));

// What the slab after this one will read, fetched share by share while this one is worked on: its left numbers, and
// the right ones where its block is another.
struct Ahead {
  const OuterSum<real>& s;
  int64_t t, n;  // tokens
  int64_t column, columns;
  bool right;

  void fetch(int64_t share, int64_t shares) const {
    for (int64_t k = t + n * share / shares; k < t + n * (share + 1) / shares; ++k) {
      for (int64_t j = 0; j < columns; j += line) fetch2(s.left + k * s.left_stride + column + j);
      for (int i = 0; right && i < s.count; ++i)
        for (int64_t j = 0; j < s.right[i].C; j += line)
          fetch2((s.right[i].at ? s.right[i].at[k] : s.right[i].rows + k * s.right[i].C) + j);
    }
  }
};

void clear(const OuterSum<real>& s, int64_t begin, int64_t end) {
  for (int i = 0; i < s.count; ++i)
    for (int64_t j = begin * s.right[i].C; j < end * s.right[i].C; ++j) s.right[i].out[j] = 0;
  for (int64_t j = begin; s.bias && j < end; ++j) s.bias[j] = 0;
}

// The panels of one block of tokens, and the rows [column, column + rows) of the result that one thread computes.
struct Block {
  const OuterSum<real>& s;
  int64_t t, n, column, row, rows;
  real* panels[2];
  real* zipped;  // pairs: the left numbers of a slab
};

// Rows [top, top + rows) of the result.
template <class Kind> void slab_of(const Block& b, int64_t top, int64_t rows, const Ahead& ahead) {
  const OuterSum<real>& s = b.s;
  const int64_t steps = Kind::steps(b.n), stride = s.left_stride;
  const real* left = s.left + b.t * stride;
  const Split split = Split::over(rows, ROWS4);
  if constexpr (Kind::paired) zip_left<Kind>(left, stride, b.column + top, b.n, split, b.zipped);
  int64_t share = 0, shares = 0;
  for (int i = 0; i < s.count; ++i) shares += (s.right[i].C + 4 * W - 1) / (4 * W) * split.tiles;
  for (int i = 0; i < s.count; ++i) {
    const Right<real>& right = s.right[i];
    for (int64_t first = 0; first < right.C; first += 4 * W) {
      const int64_t V = least(4, (right.C - first + W - 1) / W);
      const int last = static_cast<int>(right.C - first - (V - 1) * W);
      for (int64_t j = 0; j < split.tiles; ++j, ++share) {
        const int64_t row = split.begin(j), R = split.begin(j + 1) - row;
        ahead.fetch(share, shares);
        const Left numbers = Kind::paired ? Left{b.zipped + row * steps, R} : Left{left + b.column + top + row, stride};
        tile_of<Kind>(V, R)(numbers, b.panels[i] + first * block, steps, right.out + (b.row + top + row) * right.C + first,
                            right.C, last, b.t == 0);
      }
    }
  }
}

template <class Kind> void sum_of(const OuterSum<real>& s, int64_t column, int64_t begin, int64_t end) {
  const int64_t rows = end - begin;
  if (s.N == 0) return clear(s, begin, end);
  int64_t width = Kind::paired ? slab : 0;
  for (int i = 0; i < s.count; ++i) width += padded(s.right[i].C) + 3 * W;
  real* memory = static_cast<real*>(take_buffer(static_cast<size_t>(block * width + 64) * sizeof(real)));
  Block b{s, 0, 0, column + begin, begin, rows, {}, memory};
  b.panels[0] = memory + (Kind::paired ? block * slab + 64 : 0);
  b.panels[1] = b.panels[0] + block * (padded(s.right[0].C) + 3 * W);
  const Split slabs = Split::over(rows, slab);
  for (; b.t < s.N; b.t += block) {
    b.n = least(block, s.N - b.t);
    for (int i = 0; i < s.count; ++i) pack_right<Kind>(s.right[i], b.t, b.n, b.panels[i]);
    if (s.bias) add_bias<Kind>(s.left + b.t * s.left_stride, s.left_stride, b.column, b.n, rows, s.bias + begin, b.t == 0);
    for (int64_t j = 0; j < slabs.tiles; ++j) {
      const int64_t top = slabs.begin(j), bottom = slabs.begin(j + 1);
      const bool last = bottom == rows;  // another block comes next
      const int64_t t = last ? b.t + block : b.t, n = most(0, least(block, s.N - t)), begin_of = last ? 0 : bottom;
      const int64_t width_of = Kind::steps(least(slab, rows - begin_of));
      slab_of<Kind>(b, top, bottom - top, {s, t, n, Kind::steps(b.column + begin_of), width_of, last});
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
