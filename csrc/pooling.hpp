// Pooling of the tokens of each sequence: one chain per feature in token order, so that whole and stepwise agree.
#pragma once

#include <cstdint>

#include "dispatch.hpp"

namespace recurra {

enum Pooling : int { op_mean, op_max, op_attention };

template <class real> struct PoolingArgs {
  int op;
  const real* x;           // (N, features)
  const int64_t* offsets;  // (S+1,)
  const real* scores;      // (N,), attention
  int64_t features;
};

// A stepwise state, (rows, features + 1 or, attention, + 3): the pooled values (mean: the sum; attention: the
// weighted sum), then (attention) sum of weights and largest score, then the number of tokens.
template <class real> struct PoolingPush {
  int op;
  real* state;
  int64_t features;
};

template <class real> struct PoolingTable {
  // y (S, features); kept: max: (S, features), the place of each largest token in its sequence, as bits of an
  // integer as wide as real; attention: (S, 2), largest score and sum of weights
  void (*forward)(const PoolingArgs<real>& a, real* y, real* kept, int64_t from, int64_t to);
  void (*backward)(const PoolingArgs<real>& a, const real* y, const real* kept, const real* dy, real* dx,
                   real* dscores, int64_t from, int64_t to);
  void (*push)(const PoolingPush<real>& p, int64_t row, const real* token, real score);
  void (*result)(const PoolingPush<real>& p, int64_t row, real* y);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(PoolingTable, pooling_table)
