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
  const real* initial;     // (S, size of a state): what earlier tokens came to, or null
  real* carried;           // (S, size of a state): what all tokens have come to, or null
};

// A stepwise state, (rows, features + 1 or, attention, + 3): the pooled values (mean: the sum; attention: the
// weighted sum), then (attention) sum of weights and largest score, then the number of tokens.
template <class real> struct PoolingPush {
  int op;
  real* state;
  int64_t features;
};

inline int64_t state_size(int op, int64_t features) { return features + (op == op_attention ? 3 : 1); }
inline int64_t kept_size(int op, int64_t features) { return op == op_mean ? 1 : op == op_max ? features : 2; }

template <class real> struct PoolingTable {
  // y (S, features); kept: mean: (S, 1), the number of tokens; max: (S, features), the place of each largest
  // token in its sequence (-1: an earlier one), as bits of an integer as wide as real; attention: (S, 2), largest
  // score and sum of weights
  void (*forward)(const PoolingArgs<real>& a, real* y, real* kept, int64_t from, int64_t to);
  void (*backward)(const PoolingArgs<real>& a, const real* y, const real* kept, const real* dy, real* dx,
                   real* dscores, int64_t from, int64_t to);
  void (*push)(const PoolingPush<real>& p, int64_t row, const real* token, real score);
  void (*result)(const PoolingPush<real>& p, int64_t row, real* y);
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(PoolingTable, pooling_table)
