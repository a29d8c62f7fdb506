// Sixteen lanes whatever the vector width: sums and maxima over a row whose order depends on nothing but its length.
//
// Lane j takes elements j, j+16, j+32, ... in order; at the end the lanes are joined pairwise, j with j+8, then
// j+4, j+2, j+1. Where a row has ended, its last piece holds `fill`.
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

constexpr int lanes = 16, parts = lanes / W;

struct Lanes {
  vec v[parts];
};

RECURRA_INLINE Lanes all(real x) {
  Lanes out;
  for (int p = 0; p < parts; ++p) out.v[p] = set1(x);
  return out;
}

RECURRA_INLINE Lanes take(const real* from) {
  Lanes out;
  for (int p = 0; p < parts; ++p) out.v[p] = load(from + p * W);
  return out;
}

RECURRA_INLINE int of_part(int n, int part) {  // how many of the first n lanes lie in this part
  const int rest = n - part * W;
  return rest < 0 ? 0 : rest < W ? rest : W;
}

RECURRA_INLINE Lanes take_tail(const real* from, int n, real fill) {
  static const real counted[lanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const vec end = set1(static_cast<real>(n)), rest = set1(fill);
  Lanes out;
  for (int p = 0; p < parts; ++p) {
    const int own = of_part(n, p);
    out.v[p] = own ? select(lt(load(counted + p * W), end), load_n(from + p * W, own), rest) : rest;
  }
  return out;
}

RECURRA_INLINE void put(real* to, const Lanes& x) {
  for (int p = 0; p < parts; ++p) store(to + p * W, x.v[p]);
}

RECURRA_INLINE void put_tail(real* to, const Lanes& x, int n) {
  for (int p = 0; p < parts; ++p)
    if (const int own = of_part(n, p)) store_n(to + p * W, x.v[p], own);
}

RECURRA_INLINE real sum(const Lanes& x) {
  real held[lanes];
  put(held, x);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) held[j] = held[j] + held[j + width];
  return held[0];
}

RECURRA_INLINE real largest(const Lanes& x) {
  real held[lanes];
  put(held, x);
  for (int width = lanes / 2; width > 0; width /= 2)
    for (int j = 0; j < width; ++j) held[j] = held[j + width] > held[j] ? held[j + width] : held[j];
  return held[0];
}

// Calls f(at, n) for each piece of a row: n = 16 but for the last.
template <class F> RECURRA_INLINE void pieces(int64_t size, const F& f) {
  int64_t at = 0;
  for (; at + lanes <= size; at += lanes) f(at, lanes);
  if (at < size) f(at, static_cast<int>(size - at));
}

RECURRA_INLINE Lanes piece(const real* from, int n, real fill) {
  return n == lanes ? take(from) : take_tail(from, n, fill);
}

RECURRA_INLINE void put_piece(real* to, const Lanes& x, int n) {
  if (n == lanes) put(to, x);
  else put_tail(to, x, n);
}

// out = f(a.v[p], b.v[p], ...) lane by lane
template <class F> RECURRA_INLINE Lanes each(const F& f) {
  Lanes out;
  for (int p = 0; p < parts; ++p) out.v[p] = f(p);
  return out;
}

// Calls f(i, n) for each vector of n numbers that are done one by one, their order without consequence.
template <class F> RECURRA_INLINE void over(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + W <= n; i += W) f(i, W);
  if (i < n) f(i, static_cast<int>(n - i));
}

}  // namespace RECURRA_ISA
}  // namespace recurra
