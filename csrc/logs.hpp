// Logarithms over the vector functions: the same bits on every instruction set, within one unit in the last place.
//
// x = 2^e m with m in [sqrt(1/2), sqrt 2); with s = (m-1)/(m+1), log m = 2 atanh s by a polynomial in s^2
// (Tang's scheme in the form of the C libraries); e log 2 is added in two parts.
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <class Real> struct Logs;

template <> struct Logs<float> {
  RECURRA_INLINE vec log(vec x) {
    const vec zero = set1(0.0f), one = set1(1.0f), infinity = set1(__builtin_inff());
    const ivec bits = as_int(x), e = ishr<23>(isub(bits, iset1(0x3F3504F3)));
    const vec f = sub(as_real(isub(bits, ishl<23>(e))), one), n = to_real(e);
    const vec s = div(f, add(set1(2.0f), f)), z = mul(s, s), w = mul(z, z);
    const vec odd = mul(z, fma(w, set1(0x1.23d3dcp-2f), set1(0x1.555554p-1f)));
    const vec even = mul(w, fma(w, set1(0x1.f13c4cp-3f), set1(0x1.999c26p-2f)));
    const vec half = mul(mul(set1(0.5f), f), f);
    const vec low = fma(s, add(half, add(odd, even)), mul(n, set1(9.0580006145e-06f)));
    vec out = fma(n, set1(6.9313812256e-01f), sub(f, sub(half, low)));
    out = select(eq(x, zero), sub(zero, infinity), out);
    out = select(lt(x, zero), set1(__builtin_nanf("")), out);
    return select(lt(x, infinity), out, x);  // infinity and NaN stay
  }
};

template <> struct Logs<double> {
  RECURRA_INLINE vec log(vec x) {
    for (int j = 0; j < W; ++j)
      reinterpret_cast<real*>(&x)[j] = static_cast<real>(__builtin_log(reinterpret_cast<real*>(&x)[j]));
    return x;
  }
};

RECURRA_INLINE vec log(vec x) { return Logs<real>::log(x); }

// of a single number, by the same operations
RECURRA_INLINE real log_of(real x) {
  real held[W];
  store(held, log(set1(x)));
  return held[0];
}

// log(1 + y) for y >= 0: the rounding of 1 + y is made up for
RECURRA_INLINE vec log1p(vec y) {
  const vec one = set1(real(1)), u = add(one, y);
  return add(log(u), div(sub(y, sub(u, one)), u));
}

}  // namespace RECURRA_ISA
}  // namespace recurra
