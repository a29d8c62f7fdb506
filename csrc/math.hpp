// exp, sigmoid and tanh, written once over the vector functions: the same bits on every instruction set.
//
// One scheme: x*log2(e) = n + r with |r| <= 1/2; 2^r - 1 = r*P(r) with P of degree 5 (relative error 2e-8), and
// the power of two by integer arithmetic. Worst errors found in float: exp 1.3, tanh 3.8 units in the last place,
// sigmoid 3 from -10 up (relative 1e-6 at -80, where it is 1e-35). Large arguments saturate (sigmoid at e^-87 and 1, tanh at -1 and 1); NaN stays NaN.
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

template <class Real> struct Scheme;

#define RECURRA_EACH(begin, end) \
  _Pragma("GCC unroll 16") for (int j = begin; j < end; ++j)

template <> struct Scheme<float> {
  // x[0..S) become their sigmoids and x[S..S+T) their hyperbolic tangents, all in step: each of the chains waits
  // for its own multiply-adds, so that only many chains together keep the arithmetic units at work.
  template <int S, int T> RECURRA_INLINE void activate(vec (&x)[S + T]) {
    constexpr int N = S + T;
    const vec one = set1(1.0f), log2e = set1(1.4426950216293335f), two_log2e = set1(2.885390043258667f);
    const vec magic = set1(12582912.0f + 127.0f);  // puts n + 127 into the lowest bits
    const vec edge = set1(87.0f), tanh_edge = set1(9.2f);
    vec t[N], p[N], s[N];
    RECURRA_EACH(0, N) x[j] = min(j < S ? edge : tanh_edge, x[j]);
    RECURRA_EACH(0, N) x[j] = max(j < S ? set1(-87.0f) : set1(-9.2f), x[j]);
    RECURRA_EACH(0, S) t[j] = fnma(x[j], log2e, magic);  // e^-x
    RECURRA_EACH(S, N) t[j] = fma(x[j], two_log2e, magic);  // e^2x
    RECURRA_EACH(0, N) s[j] = sub(magic, t[j]);
    RECURRA_EACH(0, S) x[j] = fnma(x[j], log2e, s[j]);
    RECURRA_EACH(S, N) x[j] = fma(x[j], two_log2e, s[j]);
    RECURRA_EACH(0, N) p[j] = fma(set1(0x1.4440a4p-13f), x[j], set1(0x1.5f095cp-10f));
    RECURRA_EACH(0, N) p[j] = fma(p[j], x[j], set1(0x1.3b2a1ap-7f));
    RECURRA_EACH(0, N) p[j] = fma(p[j], x[j], set1(0x1.c6af6cp-5f));
    RECURRA_EACH(0, N) p[j] = fma(p[j], x[j], set1(0x1.ebfbe0p-3f));
    RECURRA_EACH(0, N) p[j] = fma(p[j], x[j], set1(0x1.62e430p-1f));
    RECURRA_EACH(0, N) p[j] = mul(p[j], x[j]);               // 2^r - 1
    RECURRA_EACH(0, N) s[j] = as_real(ishl<23>(as_int(t[j])));  // 2^n
    RECURRA_EACH(0, S) p[j] = fma(s[j], p[j], add(s[j], one));  // 1 + e^-x
    RECURRA_EACH(S, N) x[j] = fma(s[j], p[j], sub(s[j], one));  // e^2x - 1
    RECURRA_EACH(S, N) p[j] = add(x[j], set1(2.0f));
    // the reciprocal of p, 1 <= p < 2^126: a guess of 5% from the bits, one cubic and one quadratic Newton step
    RECURRA_EACH(0, N) t[j] = as_real(isub(iset1(0x7EF31000), as_int(p[j])));
    RECURRA_EACH(0, N) s[j] = fnma(p[j], t[j], one);
    RECURRA_EACH(0, N) { s[j] = fma(s[j], s[j], s[j]); }
    RECURRA_EACH(0, N) t[j] = fma(t[j], s[j], t[j]);
    RECURRA_EACH(0, N) s[j] = fnma(p[j], t[j], one);
    RECURRA_EACH(0, S) x[j] = fma(t[j], s[j], t[j]);
    RECURRA_EACH(S, N) x[j] = mul(x[j], fma(t[j], s[j], t[j]));
  }

  RECURRA_INLINE vec exp(vec x) {  // whole range: 0 below -87.33, infinity above 88.72
    const vec low = set1(-87.33f), high = set1(88.72283f), magic = set1(12582912.0f + 127.0f);
    const vec log2e = set1(1.4426950216293335f), log2e_low = set1(1.925963033500011e-08f);
    const vec inside = max(low, min(high, x));
    const mask big = lt(set1(88.0f), inside);  // e^x = (e^(x/2))^2 where 2^n alone would overflow
    const vec y = select(big, mul(inside, set1(0.5f)), inside);
    const vec t = fma(y, log2e, magic);
    const vec r = fma(y, log2e_low, fma(y, log2e, sub(magic, t)));
    vec p = fma(set1(0x1.4440a4p-13f), r, set1(0x1.5f095cp-10f));
    p = fma(p, r, set1(0x1.3b2a1ap-7f));
    p = fma(p, r, set1(0x1.c6af6cp-5f));
    p = fma(p, r, set1(0x1.ebfbe0p-3f));
    p = mul(fma(p, r, set1(0x1.62e430p-1f)), r);
    const vec s = as_real(ishl<23>(as_int(t)));
    const vec e = fma(s, p, s);
    vec out = select(big, mul(e, e), e);
    out = select(lt(x, low), set1(0.0f), out);
    return select(lt(high, x), set1(__builtin_inff()), out);
  }
};

template <> struct Scheme<double> {
  template <class F> RECURRA_INLINE vec each(vec x, F f) {
    real lanes[W];
    store(lanes, x);
    for (int j = 0; j < W; ++j) lanes[j] = static_cast<real>(f(lanes[j]));
    return load(lanes);
  }
  template <int S, int T> RECURRA_INLINE void activate(vec (&x)[S + T]) {
    for (int j = 0; j < S; ++j)
      x[j] = each(x[j], [](double a) { return a < -700 ? 0.0 : 1.0 / (1.0 + __builtin_exp(-a)); });
    for (int j = S; j < S + T; ++j) x[j] = each(x[j], [](double a) { return __builtin_tanh(a); });
  }
  RECURRA_INLINE vec exp(vec x) { return each(x, [](double a) { return __builtin_exp(a); }); }
};

template <int S, int T> RECURRA_INLINE void activate(vec (&x)[S + T]) { Scheme<real>::template activate<S, T>(x); }
RECURRA_INLINE vec sigmoid(vec x) {
  vec one[1] = {x};
  activate<1, 0>(one);
  return one[0];
}
RECURRA_INLINE vec tanh(vec x) {
  vec one[1] = {x};
  activate<0, 1>(one);
  return one[0];
}
RECURRA_INLINE vec exp(vec x) { return Scheme<real>::exp(x); }

// of a single number, by the same operations
RECURRA_INLINE real exp_of(real x) {
  real held[W];
  store(held, exp(set1(x)));
  return held[0];
}

}  // namespace RECURRA_ISA
}  // namespace recurra
