// The precisions, and int8 weights for inference. Panels as in recur.hpp, for fp32 activations.
//
// bfloat16 is a matter of the ordinary kernels, see pairs.hpp. int8: weights with one scale per gate row (greatest magnitude / 127), activations quantised per row and step
// (greatest magnitude / 127, zero at 128), sums exact in int32, so the answer depends on no order at all.
#pragma once

#include <cstdint>

#include "dispatch.hpp"
#include "recur.hpp"

namespace recurra {

enum class Precision { full, bfloat16, int8 };

struct SmallWeights {
  Precision precision;
  Cell cell;
  int64_t I, H, panels, units, vectors;  // W of the instruction set: units of a vector
  const int8_t *input, *recurrent;       // [k/4][v][W][4]
  const float *bias, *bias_n;
  const float *scale_x, *scale_h;      // per panel, vector and lane
  const int32_t *zero_x, *zero_h;      // int8: 128 * sum of the row's weights
};

// One step of some rows, each where its pointers say. `h` and `out` of a row must not overlap; c is updated in place.
struct SmallStep {
  SmallWeights w;
  int64_t n;  // 1 to small_gang
  const float *const *x, *const *h;
  float *const *c, *const *out;  // c: lstm
  bool clipped;
  float clip;
  float* scratch;  // small_scratch(I, H, n) numbers
};

constexpr int64_t small_gang = 36;

inline int64_t small_scratch(int64_t I, int64_t H, int64_t n) { return n * ((I + 3) / 4 + (H + 3) / 4); }

template <class real> struct SmallTable {
  // How many bytes the panels take; with memory, fills them and sets the pointers.
  int64_t (*pack)(SmallWeights& w, const float* w_ih, const float* w_hh, const float* b_ih, const float* b_hh,
                  void* memory);
  void (*step)(const SmallStep& s);
  const char* (*how)();
};

}  // namespace recurra

RECURRA_DECLARE_TABLE(SmallTable, small_table)
