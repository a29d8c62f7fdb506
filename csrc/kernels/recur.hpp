// Shared by the kernel files of the recurrences; everything in the namespace of the instruction set.
#pragma once

#include "../isa.hpp"
#include "../math.hpp"
#include "../recur.hpp"
#include "../tile.hpp"

namespace recurra {
namespace RECURRA_ISA {

RECURRA_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
RECURRA_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
// Gangs of about the same size, a multiple of the tile's height so that tiles are full.
RECURRA_INLINE int64_t gang_size(int64_t n, int64_t height) {
  const int64_t gangs = (n + gang - 1) / gang, even = (n + gangs - 1) / gangs;
  return least(gang, (even + height - 1) / height * height);
}
RECURRA_INLINE int64_t padded(int64_t n) { return (n + W - 1) / W * W; }

// Vectors of panel p (rnn: the last panel may hold fewer) and valid lanes of its vector v.
RECURRA_INLINE int64_t vectors_of(const Weights<real>& w, int64_t p) {
  if (w.cell == Cell::lstm || w.cell == Cell::gru) return w.vectors;
  return least(w.vectors, (w.H - p * w.units + W - 1) / W);
}

RECURRA_INLINE int64_t length_of(const int64_t* offsets, int64_t s) { return offsets[s + 1] - offsets[s]; }
RECURRA_INLINE int64_t token_of(const int64_t* offsets, bool reverse, int64_t s, int64_t t) {
  return reverse ? offsets[s + 1] - 1 - t : offsets[s] + t;
}

void pack(Weights<real>& w, const real* w_ih, const real* w_hh, const real* b_ih, const real* b_hh, real* memory,
          int64_t begin, int64_t end);
void pack_back(const Weights<real>& w, const real* matrix, int64_t columns, real* memory, int64_t begin, int64_t end);
void project(const Weights<real>& w, const real* x, real* out, int64_t begin, int64_t end);
void forward(const Forward<real>& f, const int64_t* rows, int64_t n);
void backward(const Backward<real>& b, const int64_t* rows, int64_t n);
void step(const Step1<real>& s);
void outer_sum(const OuterSum<real>& s, int64_t column, int64_t begin, int64_t end);
void sum_columns(const ColumnSums<real>& s, int64_t begin, int64_t end);

// The same where a step is finished a whole row at a time.
void whole_project(const Weights<real>& w, const real* x, real* out, int64_t begin, int64_t end);
void whole_forward(const Forward<real>& f, const int64_t* rows, int64_t n);
void whole_backward(const Backward<real>& b, const int64_t* rows, int64_t n);
void whole_step(const Step1<real>& s);

// The input part of the chains of panels [begin, end) for `n` tokens: pre[p - begin][slot][V*W] = bias + W_ih x.
void input_part(const Weights<real>& w, int64_t begin, int64_t end, const real* const* x, int64_t n, int64_t slots,
                real* pre);

}  // namespace RECURRA_ISA
}  // namespace recurra
