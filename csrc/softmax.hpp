// Softmax, its logarithm, log-sum-exp and cross entropy over the rows of a matrix of class scores.
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

enum Soft : int { op_softmax, op_log_softmax, op_logsumexp };

template <class real> struct CrossEntropy {
  const real* x;           // (rows, classes)
  const int64_t* targets;  // (rows,)
  const real* weight;      // (classes,) or null
  real smoothing, even;    // even: smoothing / classes
  real weight_sum;         // sum of the weights (classes where null)
  int64_t classes;
};

template <class real> struct SoftmaxTable {
  void (*forward)(int op, const real* x, real* y, int64_t from, int64_t to, int64_t cols);
  // held: y of softmax and log_softmax, x of logsumexp (then also lse, (rows,)); dy has the shape of y
  void (*backward)(int op, const real* held, const real* lse, const real* dy, real* dx, int64_t from, int64_t to,
                   int64_t cols);
  // kept (rows, 2): largest score, log of the sum of exp above it
  void (*cross_entropy)(const CrossEntropy<real>& c, real* loss, real* kept, int64_t from, int64_t to);
  void (*cross_entropy_grad)(const CrossEntropy<real>& c, const real* kept, const real* dloss, real* dx, int64_t from,
                             int64_t to);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(SoftmaxTable, softmax_table)
