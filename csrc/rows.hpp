// Moving rows of a matrix: gathering by index, adding gradients back in the order of the index, joining features.
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

template <class real> struct RowsTable {
  void (*accumulate)(real* to, const real* from, int64_t n);  // to += from
};

template <class real> void gather_rows(const real* x, const int64_t* index, real* y, int64_t count, int64_t features);

// dx (rows, features) = 0, then dx[index[m]] += dy[m] for m = 0, 1, ...; a thread owns whole rows of dx.
template <class real>
void scatter_rows(const real* dy, const int64_t* index, real* dx, int64_t count, int64_t rows, int64_t features);

template <class real>
void copy_columns(const real* from, int64_t from_row, real* to, int64_t to_row, int64_t rows, int64_t cols);

}  // namespace recurra

RECURRA_DECLARE_TABLE(RowsTable, rows_table)
