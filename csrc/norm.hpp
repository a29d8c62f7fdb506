// Layer normalisation of the rows of a matrix (Ba, Kiros and Hinton 2016).
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

template <class real> struct NormTable {
  // kept (rows, 2): mean and 1 / standard deviation
  void (*forward)(const real* x, const real* gain, const real* bias, real eps, real* y, real* kept, int64_t from,
                  int64_t to, int64_t cols);
  void (*backward)(const real* x, const real* gain, const real* kept, const real* dy, real* dx, int64_t from,
                   int64_t to, int64_t cols);
  // columns [from, to) of the gradients of gain and bias: blocks of 256 rows, then over the blocks
  void (*weights)(const real* x, const real* kept, const real* dy, real* dgain, real* dbias, int64_t rows,
                  int64_t cols, int64_t from, int64_t to);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(NormTable, norm_table)
