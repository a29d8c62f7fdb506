// exp, sigmoid and tanh, written once over the vector functions: the same bits on every instruction set.
//
// One scheme: x*log2(e) = n + r with |r| <= 1/2; 2^r - 1 = r*P(r) with P of degree 5 (relative error 2e-8), and
// the power of two by integer arithmetic. Worst errors found in float: exp 1.3, sigmoid 2.6, tanh 3.8 units in
// the last place. Large arguments saturate (sigmoid at e^-87 and 1, tanh at -1 and 1); NaN stays NaN.
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <class Real> struct Scheme;

template <> struct Scheme<float> {
  struct Parts { vec q, s; };  // e^x = s*q + s

  RECURRA_INLINE Parts parts(vec x) {  // for -87.3 <= x <= 88.3
    const vec log2e = set1(1.4426950216293335f), log2e_low = set1(1.925963033500011e-08f);
    const vec magic = set1(12582912.0f + 127.0f);  // puts n + 127 into the lowest bits
    const vec t = fma(x, log2e, magic);
    const vec r = fma(x, log2e_low, fma(x, log2e, sub(magic, t)));
    vec p = fma(set1(0x1.4440a4p-13f), r, set1(0x1.5f095cp-10f));
    p = fma(p, r, set1(0x1.3b2a1ap-7f));
    p = fma(p, r, set1(0x1.c6af6cp-5f));
    p = fma(p, r, set1(0x1.ebfbe0p-3f));
    p = fma(p, r, set1(0x1.62e430p-1f));
    return {mul(p, r), as_real(ishl<23>(as_int(t)))};
  }

  // 1/d for 1 <= d < 2^126: a guess of 5% from the bits, one cubic and one quadratic Newton step
  RECURRA_INLINE vec reciprocal(vec d) {
    const vec one = set1(1.0f);
    vec r = as_real(isub(iset1(0x7EF31000), as_int(d)));
    vec e = fnma(d, r, one);
    r = fma(r, fma(e, e, e), r);
    e = fnma(d, r, one);
    return fma(r, e, r);
  }

  RECURRA_INLINE vec sigmoid(vec x) {
    x = max(set1(-87.0f), min(set1(87.0f), x));
    const Parts p = parts(sub(set1(0.0f), x));
    return reciprocal(add(fma(p.s, p.q, p.s), set1(1.0f)));
  }

  RECURRA_INLINE vec tanh(vec x) {
    x = max(set1(-9.2f), min(set1(9.2f), x));
    const Parts p = parts(add(x, x));
    const vec top = fma(p.s, p.q, sub(p.s, set1(1.0f)));
    return mul(top, reciprocal(add(top, set1(2.0f))));
  }

  RECURRA_INLINE vec exp(vec x) {  // whole range: 0 below -87.33, infinity above 88.72
    const vec low = set1(-87.33f), high = set1(88.72283f);
    const vec inside = max(low, min(high, x));
    const vec half = mul(inside, set1(0.5f));  // e^x = (e^(x/2))^2 where 2^n alone would overflow
    const mask big = lt(set1(88.0f), inside);
    const Parts p = parts(select(big, half, inside));
    const vec y = fma(p.s, p.q, p.s);
    vec out = select(big, mul(y, y), y);
    out = select(lt(x, low), set1(0.0f), out);
    return select(lt(high, x), set1(__builtin_inff()), out);
  }
};

template <> struct Scheme<double> {
  template <class F> RECURRA_INLINE vec each(vec x, F f) {
    for (int j = 0; j < W; ++j) reinterpret_cast<real*>(&x)[j] = static_cast<real>(f(reinterpret_cast<real*>(&x)[j]));
    return x;
  }
  RECURRA_INLINE vec sigmoid(vec x) {
    return each(x, [](double a) { return a < -700 ? 0.0 : 1.0 / (1.0 + __builtin_exp(-a)); });
  }
  RECURRA_INLINE vec tanh(vec x) { return each(x, [](double a) { return __builtin_tanh(a); }); }
  RECURRA_INLINE vec exp(vec x) { return each(x, [](double a) { return __builtin_exp(a); }); }
};

RECURRA_INLINE vec sigmoid(vec x) { return Scheme<real>::sigmoid(x); }
RECURRA_INLINE vec tanh(vec x) { return Scheme<real>::tanh(x); }
RECURRA_INLINE vec exp(vec x) { return Scheme<real>::exp(x); }

}  // namespace RECURRA_ISA
}  // namespace recurra
