#include "../peak.hpp"
#include "../isa.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

double flops(long rounds) {
  constexpr int chains = 12;
  vec acc[chains];
  for (int c = 0; c < chains; ++c) acc[c] = set1(real(c));
  const vec a = set1(real(0.999)), b = set1(real(0.001));
  for (long i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) acc[c] = fma(acc[c], a, b);
  }
  real sink[W];
  for (int c = 1; c < chains; ++c) acc[0] = add(acc[0], acc[c]);
  store(sink, acc[0]);
  volatile real keep = sink[0];
  (void)keep;
  return 2.0 * W * chains * static_cast<double>(rounds);
}

}  // namespace

extern const PeakTable<real> peak_table;
const PeakTable<real> peak_table = {flops, W};

}  // namespace RECURRA_ISA
}  // namespace recurra
