// The records of the recurrences, and the functions that the binding calls.
//
// N tokens, S sequences, I inputs, H hidden units, G gates. Weights lie in panels of `units` hidden units with
// all their gates (lstm, gru: one vector of units; rnn: four vectors), so that one register tile finishes gates,
// cell and output of these units. Gate order as torch: lstm i f g o; gru r z n, linear before reset.
#pragma once

#include <cstdint>
#include <string>

#include "buffers.hpp"
#include "dispatch.hpp"

namespace recurra {

enum class Cell { rnn, rnn_relu, lstm, gru };

[[maybe_unused]] static constexpr int gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

// What a layer-normalised cell has besides, in torch's order; null for a plain cell.
template <class real> struct Norm {
  const real *gain_x, *gain_h;  // (G*H), of the input and of the recurrent product
  const real *gain_c, *bias_c;  // (H), lstm: of the cell state that the output gate is shown
  const real* bias;             // (G*H), added after the norms: b_ih + b_hh, for gru's n b_in
};
constexpr double norm_epsilon = 1e-5;  // added to variances, as recurra.kernels.reference has it

// Pointers into packed weights. A panel holds `vectors(p)` vectors of W lanes per step of K.
template <class real> struct Weights {
  Cell cell;
  int64_t I, H;
  bool pairs;              // rows and panels hold pairs of bfloat16, see pairs.hpp
  int64_t KI, KH;          // steps of the panels: I and H, of pairs half as many, rounded up
  int64_t panels, units;   // hidden units of a panel, a multiple of W
  int64_t vectors;         // vectors of a full panel: G, or units / W for rnn
  const real* input;       // panels of KI steps
  const real* recurrent;   // panels of KH steps
  const real* bias;        // panels of 1 step: (b_ih + b_hh), for gru's n b_in
  const real* bias_n;      // gru: b_hn, units per panel
  const real* input_back;      // for dx: W_ih, panels of 4 vectors of inputs, G*KH steps; null until needed
  const real* recurrent_back;  // for dh: W_hh, panels of 4 vectors of units, G*KH steps
  Norm<real> norm;
};

// Zoneout (Krueger et al. 2016): how much of its old state a unit keeps.
template <class real> struct Zoneout {
  real rate;          // of all units, where there are no masks
  const real* masks;  // (N, H), lstm (N, 2H): of h, then of c; or null
};

// Whether a step is finished a whole row at a time (kernels/whole_forward.cpp), not panel by panel.
template <class real> bool is_whole(const Weights<real>& w, const Zoneout<real>& zones) {
  return w.norm.gain_x || zones.masks || zones.rate != 0;
}

// Where a token's row of `kept` holds what such a step keeps for the backward pass, and its size. linear: gru, the
// recurrent part of n; unit_x, unit_h: the products normalised, before their gains; stats: 1 / standard deviation of
// both, then for lstm mean and 1 / standard deviation of its cell state.
struct Kept {
  int64_t linear, unit_x, unit_h, stats, size;
};
template <class real> Kept kept_of(const Weights<real>& w) {
  const int64_t unit_x = w.cell == Cell::gru ? w.H : 0, width = gates_of(w.cell) * w.H;
  if (!w.norm.gain_x) return {0, 0, 0, 0, unit_x};
  const int64_t stats = unit_x + 2 * width;
  return {0, unit_x, unit_x + width, stats, stats + (w.cell == Cell::lstm ? 4 : 2)};
}

// Where a token's row of gate gradients holds what: those of the gates first (gru: as 4*H, see Backward), then of a
// layer-normalised cell the gradients of both products before their norms, and for lstm that of the normalised cell
// state that was shown and that state itself before its gain.
struct Slopes {
  int64_t product_h, product_x, shown, unit_c, size;
};
template <class real> Slopes slopes_of(const Weights<real>& w) {
  const int64_t gates = (w.cell == Cell::gru ? 4 : gates_of(w.cell)) * w.KH, width = gates_of(w.cell) * w.H;
  if (!w.norm.gain_x) return {0, 0, 0, 0, gates};
  const int64_t shown = gates + 2 * width, cells = w.cell == Cell::lstm ? w.H : 0;
  return {gates, gates + width, shown, shown + cells, shown + 2 * cells};
}

class Meeting;

constexpr int64_t gang = 36;  // rows that walk through time together: their states stay in the first-level cache

// One member's part in the work of a team whose members walk the same rows together: panels [begin, end).
template <class real> struct Share {
  int64_t begin, end;
  real* states;  // of all members: h of a gang's rows, of two steps; padded rows of up to H + 15 numbers
  Meeting* meeting;
};

// What one forward pass reads and writes. Null where absent.
template <class real> struct Forward {
  Weights<real> w;
  const real* x;
  const int64_t* offsets;
  const real *h0, *c0;
  bool reverse, preprojected, clipped;
  real clip;
  const real* mask;  // (S, H), multiplies h in the recurrent product
  Zoneout<real> zones;
  real *y, *h, *c;
  real *gates, *cells, *linear;  // saved for the backward pass
  real* kept;                    // (N, kept_of(w).size), in the place of `linear` where a step is whole
  const Share<real>* share;      // null: all panels
};

template <class real> struct Backward {
  Weights<real> w;
  const int64_t* offsets;
  bool reverse, clipped;
  real clip;
  const real *h0, *c0, *mask;
  Zoneout<real> zones;
  const real *y, *gates, *cells, *linear, *kept;
  const real *dy, *dh, *dc;
  real* dgates;  // (N, D): G*KH numbers, for gru 4*KH: dr, dz, d(recurrent part of n), d(input part of n); see Slopes
  int64_t D;     // some more than that: rows a power of two apart would fall into the same cache sets
  real *dx, *dh0, *dc0, *steps;
};

// Sums over tokens of left[t]^T right[t]: blocks of 128 tokens, then over the blocks in order.
template <class real> struct Right {
  const real* rows;            // (N, C), or null where `at` is given
  const real* const* at;       // N pointers to rows of C
  const real* const* factors;  // N pointers to rows that multiply those, or null
  int64_t C;
  real* out;  // (rows, C)
};
template <class real> struct OuterSum {
  int64_t N;
  const real* left;  // (N, left_stride), columns `column` .. `column + rows`
  int64_t left_stride;
  bool pairs;        // left holds pairs of bfloat16, and the products are of such: tokens 2k and 2k+1 together
  Right<real> right[2];  // packed left numbers serve them all
  int count;
  real* bias;  // (rows,): the sum of left alone, or null
};

// Sums over tokens of left[t], and of left[t] * factor[t], column by column: blocks of 128 tokens, then over the blocks
// in order.
template <class real> struct Factor {
  const real* rows;
  int64_t stride;
  real* out;
};
template <class real> struct ColumnSums {
  int64_t N;
  const real* left;
  int64_t left_stride;
  real* out;
  int factors;  // one or two
  Factor<real> factor[2];
};

// One step of one row. `out` (H,) receives h and must not be `h`; c is updated in place.
template <class real> struct Step1 {
  Weights<real> w;
  const real *x, *h;
  real *c, *out;
  bool clipped;
  real clip;
  bool descending;  // the order in which panels are read; no result depends on it
  real* scratch;    // step_scratch(w) numbers
  real zoneout;
};
template <class real> int64_t step_scratch(const Weights<real>& w) {
  return w.pairs ? w.KI + w.KH : 3 * (gates_of(w.cell) * w.H + 64) + 3 * (w.H + 64);
}

template <class real> struct RecurTable {
  int W;
  void (*pack)(Weights<real>& w, const real* w_ih, const real* w_hh, const real* b_ih, const real* b_hh,
               real* memory, int64_t begin, int64_t end);
  // gates matrices of `units` rows each, one below the other; panels [begin, end) of its columns
  void (*pack_back)(const Weights<real>& w, const real* matrix, int64_t columns, real* memory, int64_t begin,
                    int64_t end);
  void (*project)(const Weights<real>& w, const real* x, real* out, int64_t begin, int64_t end);
  // `rows`: sequences of one thread, longest first, none empty
  void (*forward)(const Forward<real>& f, const int64_t* rows, int64_t n);
  void (*backward)(const Backward<real>& b, const int64_t* rows, int64_t n);
  // out rows [begin, end) from left columns column + row
  void (*step)(const Step1<real>& s);
  void (*outer_sum)(const OuterSum<real>& s, int64_t column, int64_t begin, int64_t end);
  void (*sum_columns)(const ColumnSums<real>& s, int64_t begin, int64_t end);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(RecurTable, recur_table)
