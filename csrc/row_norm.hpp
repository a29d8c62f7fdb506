// Layer normalisation of one row: shared by the operator and by the cells that hold it.
#pragma once

#include "lanes.hpp"

namespace recurra {
namespace RECURRA_ISA {

RECURRA_INLINE real root_of(real x) {
  real held[W];
  store(held, sqrt(set1(x)));
  return held[0];
}

struct Moments {
  real mean, inverse;  // inverse: 1 / standard deviation
};

RECURRA_INLINE Moments moments_of(const real* row, int64_t cols, real eps) {
  const real size = static_cast<real>(cols);
  Lanes total = all(0);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes now = piece(row + at, n, 0);
    total = each([&](int p) { return add(total.v[p], now.v[p]); });
  });
  const real mean = sum(total) / size;
  const vec middle = set1(mean);
  total = all(0);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes now = piece(row + at, n, mean);
    total = each([&](int p) {
      const vec d = sub(now.v[p], middle);
      return fma(d, d, total.v[p]);
    });
  });
  return {mean, real(1) / root_of(sum(total) / size + eps)};
}

// The gradient of a row from that of its normalised numbers: slope(at, n) of these, unit(at, n) the numbers themselves,
// both as Lanes.
template <class Unit, class Slope>
RECURRA_INLINE void norm_back(int64_t cols, real inverse, const Unit& unit, const Slope& slope, real* dx) {
  const real size = static_cast<real>(cols);
  const vec factor = set1(inverse);
  Lanes plain = all(0), along = all(0);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes s = slope(at, n), u = unit(at, n);
    for (int p = 0; p < parts; ++p) {
      plain.v[p] = add(plain.v[p], s.v[p]);
      along.v[p] = fma(s.v[p], u.v[p], along.v[p]);
    }
  });
  const vec shift = set1(sum(plain) / size), turn = set1(sum(along) / size);
  pieces(cols, [&](int64_t at, int n) {
    const Lanes s = slope(at, n), u = unit(at, n);
    put_piece(dx + at, each([&](int p) { return mul(factor, fnma(u.v[p], turn, sub(s.v[p], shift))); }), n);
  });
}

}  // namespace RECURRA_ISA
}  // namespace recurra
