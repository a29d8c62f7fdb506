// The machine's fused multiply-add peak: the yardstick of every kernel measurement.
#pragma once

#include "dispatch.hpp"

namespace recurra {

template <class real> struct PeakTable {
  double (*flops)(long rounds);  // runs independent multiply-adds in registers; returns how many operations
  int lanes;
};

double peak_gflops(double seconds, int threads);  // float, all `threads` at once, best of several rounds

}  // namespace recurra

RECURRA_DECLARE_TABLE(PeakTable, peak_table)
