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
};

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
  real *y, *h, *c;
  real *gates, *cells, *linear;  // saved for the backward pass
  const Share<real>* share;      // null: all panels
};

template <class real> struct Backward {
  Weights<real> w;
  const int64_t* offsets;
  bool reverse, clipped;
  real clip;
  const real *h0, *c0, *mask;
  const real *y, *gates, *cells, *linear;
  const real *dy, *dh, *dc;
  real* dgates;  // (N, D), of which G*KH numbers, for gru 4*KH: dr, dz, d(recurrent part of n), d(input part of n)
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

// One step of one row. `out` (H,) receives h and must not be `h`; c is updated in place.
template <class real> struct Step1 {
  Weights<real> w;
  const real *x, *h;
  real *c, *out;
  bool clipped;
  real clip;
  bool descending;  // the order in which panels are read; no result depends on it
  real* scratch;    // KI + KH numbers, where the weights are pairs
};

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
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(RecurTable, recur_table)
