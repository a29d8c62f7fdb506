// The recurrences as the binding and the test driver call them: packed weights, work split over threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "buffers.hpp"
#include "precision.hpp"
#include "recur.hpp"

namespace recurra {

// The gains of a layer-normalised cell as they are given (see Norm); null for a plain cell.
template <class real> struct Gains {
  const real *x, *h, *c, *bias_c;
};

// Weights of one recurrence, packed for the instruction set that was in force when they were packed.
template <class real> class PackedWeights {
 public:
  PackedWeights(Cell cell, int64_t I, int64_t H, const real* w_ih, const real* w_hh, const real* b_ih,
                const real* b_hh, bool forward, bool backward,  // which passes to pack for
                Precision precision = Precision::full,           // fewer bits: float; int8: forward only
                const Gains<real>& gains = {});                  // with gains: full precision
  const Weights<real>& weights() const { return weights_; }
  const RecurTable<real>& table() const { return *table_; }
  Isa isa() const { return isa_; }
  Precision precision() const { return small_.precision; }
  int64_t dgates_stride() const;  // numbers per token of the gate gradients' scratch
  void small_step(SmallStep s) const {
    s.w = small_;
    small_table_->step(s);
  }
  std::string how() const;  // which path runs, in words
  size_t bytes() const;

 private:
  const RecurTable<real>* table_;
  Isa isa_;
  Weights<real> weights_{};
  Scratch<real> memory_, back_, norm_;
  const SmallTable<float>* small_table_;
  SmallWeights small_{};
  Scratch<char> small_memory_;

  void pack_small(const float* w_ih, const float* w_hh, const float* b_ih, const float* b_hh);
  void pack_backward(const real* w_ih, const real* w_hh);
  void pack_norm(const Gains<real>& gains, const real* b_ih, const real* b_hh);
};

// Sequences dealt out to threads: each thread's list longest first, sums of lengths about equal.
std::vector<std::vector<int64_t>> deal(const int64_t* offsets, int64_t S, int parts);

template <class real> void run_project(PackedWeights<real>& w, const real* x, int64_t N, real* out);
template <class real> void run_forward(PackedWeights<real>& w, const Forward<real>& f, int64_t S);

// dgates, dx, dh0, dc0, steps are written by this call; weight gradients where w_ih is not null.
template <class real> struct WeightGradients {
  real *w_ih, *w_hh, *b_ih, *b_hh;
  real *gain_x, *gain_h, *gain_c, *bias_c;  // of a layer-normalised cell, the last two of an lstm
};
template <class real>
void run_backward(PackedWeights<real>& w, const Backward<real>& b, int64_t S, int64_t N, const real* x,
                  const WeightGradients<real>& out);

}  // namespace recurra
