// Steps of gradient descent over whole buffers, and the norm that clipping needs.
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

constexpr int64_t norm_block = 16384;

template <class real> struct AdamArgs {
  real *parameter, *first, *second;
  const real* gradient;
  real scale;          // the gradient counts times this (clipping)
  real decay;          // decoupled: parameter *= 1 - decay; else gradient += decay * parameter
  bool decoupled;
  real beta1, beta2, epsilon;
  real rate;           // learning rate / (1 - beta1^t)
  real correction;     // 1 / sqrt(1 - beta2^t)
};

template <class real> struct OptimizerTable {
  double (*squares)(const real* x, int64_t n);  // sum of squares of at most norm_block elements
  void (*adam)(const AdamArgs<real>& a, int64_t from, int64_t to);
};

template <class real> double sum_of_squares(const real* x, int64_t n);

}  // namespace recurra

RECURRA_DECLARE_TABLE(OptimizerTable, optimizer_table)
