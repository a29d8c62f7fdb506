// A stack of layers and the states of many streams, advanced by one step per call; nothing is allocated then.
#pragma once

#include <memory>
#include <vector>

#include "recur_run.hpp"

namespace recurra {

template <class real> class Stepper {
 public:
  using Layer = std::shared_ptr<PackedWeights<real>>;
  Stepper(std::vector<Layer> stack, int64_t rows, bool clipped, real clip, real zoneout = 0);

  // x (count, I). index: which streams (distinct), or null for all. Returns (count, H), overwritten next time.
  const real* step(const real* x, const int64_t* index, int64_t count);
  // The states of some streams, or of all (index null): (layers, kinds, count, H).
  void state(real* out, const int64_t* index, int64_t count);
  void load(const real* from, const int64_t* index, int64_t count);
  void reset(const int64_t* index, int64_t count);

  int64_t rows() const { return rows_; }
  int64_t layers() const { return static_cast<int64_t>(stack_.size()); }
  int64_t kinds() const { return kinds_; }
  int64_t I() const { return stack_[0]->weights().I; }
  int64_t H() const { return H_; }

 private:
  std::vector<Layer> stack_;
  int64_t rows_, H_, kinds_;
  bool clipped_;
  real clip_, zoneout_;
  Scratch<real> state_, h_, c_, in_, out_;  // gathered h and c, input of a layer, output of a layer
  std::vector<int64_t> offsets_, order_;

  real* at(int64_t layer, int64_t kind, int64_t row) {
    return state_.data() + ((layer * kinds_ + kind) * rows_ + row) * H_;
  }
  const real* one(const real* x, int64_t row);
  bool small_ = false;  // weights in int8
  bool descending_ = false;  // alternates: what a step read last is still in the cache when the next one begins
  Scratch<real> scratch_;
  void advance(int64_t layer, const real* x, int64_t row, real* y);
  void some_small(int64_t layer, const real* x, const int64_t* index, int64_t begin, int64_t end, real* y);
  void many(int64_t layer, const real* x, const int64_t* index, int64_t count, real* y);
};

}  // namespace recurra
