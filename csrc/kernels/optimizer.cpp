#include "../optimizer.hpp"
#include "../isa.hpp"

namespace recurra {
namespace RECURRA_ISA {
namespace {

constexpr int lanes = 64, parts = lanes / W;

// 64 chains of multiply-adds, joined pairwise in double.
double squares(const real* x, int64_t n) {
  vec total[parts];
  for (int p = 0; p < parts; ++p) total[p] = set1(real(0));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int p = 0; p < parts; ++p) {
      const vec now = load(x + i + p * W);
      total[p] = fma(now, now, total[p]);
    }
  real held[lanes];
  for (int p = 0; p < parts; ++p) store(held + p * W, total[p]);
  double sums[lanes];
  for (int j = 0; j < lanes; ++j) sums[j] = static_cast<double>(held[j]);
  for (int j = 0; i < n; ++i, ++j) sums[j] = sums[j] + static_cast<double>(x[i]) * static_cast<double>(x[i]);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) sums[j] = sums[j] + sums[j + width];
  return sums[0];
}

void adam(const AdamArgs<real>& a, int64_t from, int64_t to) {
  const vec scale = set1(a.scale), decay = set1(a.decay), keep = set1(real(1) - a.decay), epsilon = set1(a.epsilon);
  const vec beta1 = set1(a.beta1), rest1 = set1(real(1) - a.beta1), beta2 = set1(a.beta2);
  const vec rest2 = set1(real(1) - a.beta2), rate = set1(a.rate), correction = set1(a.correction);
  for (int64_t i = from; i < to; i += W) {
    const int n = static_cast<int>(to - i < W ? to - i : W);
    vec parameter = load_n(a.parameter + i, n), gradient = mul(load_n(a.gradient + i, n), scale);
    if (a.decoupled) parameter = mul(parameter, keep);
    else gradient = fma(decay, parameter, gradient);
    const vec first = fma(rest1, gradient, mul(beta1, load_n(a.first + i, n)));
    const vec second = fma(mul(rest2, gradient), gradient, mul(beta2, load_n(a.second + i, n)));
    const vec below = fma(sqrt(second), correction, epsilon);
    store_n(a.first + i, first, n);
    store_n(a.second + i, second, n);
    store_n(a.parameter + i, fnma(rate, div(first, below), parameter), n);
  }
}

}  // namespace

extern const OptimizerTable<real> optimizer_table;
const OptimizerTable<real> optimizer_table = {squares, adam};

}  // namespace RECURRA_ISA
}  // namespace recurra
