// Products of a matrix of tokens and a weight matrix: forward, both gradients.
//
// One accumulation chain per output, in order of the inner index, whatever the tile, the batch or the threads:
//   y[n][o]  = b[o], then += x[n][k] w[o][k] for k = 0 ... I-1
//   dx[n][i] = 0,    then += dy[n][o] w[o][i] for o = 0 ... O-1
//   dw[o][i] = sums over blocks of 128 tokens (each 0, then += dy[n][o] x[n][i]), added block after block
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

constexpr int64_t token_block = 256;

// A part of a product: `rows` rows of x by one panel of `cols` columns.
template <class real> struct Product {
  const real* x;         // rows x inner, rows x_row apart
  int64_t x_row;
  const real* panel;     // inner x whole vectors
  const real* begin;     // start of the chains per column, or null: zero
  real* out;             // rows x cols, rows out_row apart
  int64_t out_row, rows, cols, inner;
  bool resume;           // the chains start from out
};

template <class real> struct DenseTable {
  int lanes, vectors;  // a full panel has lanes * vectors columns
  void (*product)(const Product<real>& p);
  // at most `narrow` outputs: the chains of many rows side by side; w (cols x inner) as it is
  void (*few_outputs)(const Product<real>& p, const real* w);
  int64_t narrow;
  // panels of a (cols x inner) matrix by columns of the product: out[k][j] = w[j][k]; w_row: row distance
  void (*pack_across)(const real* w, int64_t w_row, int64_t cols, int64_t inner, int64_t width, real* out);
  // sums[c] = column sums of x (rows x cols) in blocks of 256 rows, columns [from, to)
  void (*column_sums)(const real* x, int64_t rows, int64_t cols, int64_t from, int64_t to, real* sums);
};

template <class real>
void dense(const real* x, const real* w, const real* b, real* y, int64_t rows, int64_t inputs, int64_t outputs);
template <class real>
void dense_dx(const real* dy, const real* w, real* dx, int64_t rows, int64_t inputs, int64_t outputs);
// db (outputs,): the column sums of dy, or null
template <class real>
void dense_dw(const real* dy, const real* x, real* dw, real* db, int64_t rows, int64_t inputs, int64_t outputs);
template <class real> void column_sums(const real* x, real* sums, int64_t rows, int64_t cols);

}  // namespace recurra

RECURRA_DECLARE_TABLE(DenseTable, dense_table)
