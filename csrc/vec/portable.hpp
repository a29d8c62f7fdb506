// Four numbers in a plain array, with std::fma's semantics by the compiler's builtin: any machine, and double.
//
// In float the bits are those of avx2.hpp and avx512.hpp (IEEE operations in the same order). RECURRA_REAL is
// float or double; in double the functions of math.hpp fall back to the C library.
#pragma once

#ifndef RECURRA_REAL
#define RECURRA_REAL float
#endif
#ifndef RECURRA_INLINE
#define RECURRA_INLINE static inline __attribute__((always_inline))
#endif

namespace recurra {
namespace RECURRA_ISA {

using real = RECURRA_REAL;
constexpr int W = 4;
constexpr int ROWS4 = 2;
constexpr int ROWS3 = 2;

template <int> struct integer_of;
template <> struct integer_of<4> { using type = int32_t; };
template <> struct integer_of<8> { using type = int64_t; };
using integer = integer_of<sizeof(real)>::type;

struct vec { real v[W]; };
struct ivec { integer v[W]; };
struct mask { bool v[W]; };

RECURRA_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RECURRA_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
RECURRA_INLINE float root(float a) { return __builtin_sqrtf(a); }
RECURRA_INLINE double root(double a) { return __builtin_sqrt(a); }

#define RECURRA_LANES(Type, expression)              \
  Type out;                                          \
  for (int j = 0; j < W; ++j) out.v[j] = expression; \
  return out

RECURRA_INLINE vec load(const real* p) { RECURRA_LANES(vec, p[j]); }
RECURRA_INLINE void store(real* p, vec a) { for (int j = 0; j < W; ++j) p[j] = a.v[j]; }
RECURRA_INLINE vec load_n(const real* p, int n) { RECURRA_LANES(vec, j < n ? p[j] : real(0)); }
RECURRA_INLINE void store_n(real* p, vec a, int n) { for (int j = 0; j < W && j < n; ++j) p[j] = a.v[j]; }
RECURRA_INLINE vec set1(real x) { RECURRA_LANES(vec, x); }

RECURRA_INLINE vec add(vec a, vec b) { RECURRA_LANES(vec, a.v[j] + b.v[j]); }
RECURRA_INLINE vec sub(vec a, vec b) { RECURRA_LANES(vec, a.v[j] - b.v[j]); }
RECURRA_INLINE vec mul(vec a, vec b) { RECURRA_LANES(vec, a.v[j] * b.v[j]); }
RECURRA_INLINE vec div(vec a, vec b) { RECURRA_LANES(vec, a.v[j] / b.v[j]); }
RECURRA_INLINE vec fma(vec a, vec b, vec c) { RECURRA_LANES(vec, fused(a.v[j], b.v[j], c.v[j])); }
RECURRA_INLINE vec fnma(vec a, vec b, vec c) { RECURRA_LANES(vec, fused(-a.v[j], b.v[j], c.v[j])); }
RECURRA_INLINE vec sqrt(vec a) { RECURRA_LANES(vec, root(a.v[j])); }
RECURRA_INLINE vec max(vec a, vec b) { RECURRA_LANES(vec, a.v[j] > b.v[j] ? a.v[j] : b.v[j]); }
RECURRA_INLINE vec min(vec a, vec b) { RECURRA_LANES(vec, a.v[j] < b.v[j] ? a.v[j] : b.v[j]); }

RECURRA_INLINE mask lt(vec a, vec b) { RECURRA_LANES(mask, a.v[j] < b.v[j]); }
RECURRA_INLINE mask le(vec a, vec b) { RECURRA_LANES(mask, a.v[j] <= b.v[j]); }
RECURRA_INLINE mask eq(vec a, vec b) { RECURRA_LANES(mask, a.v[j] == b.v[j]); }
RECURRA_INLINE vec select(mask m, vec yes, vec no) { RECURRA_LANES(vec, m.v[j] ? yes.v[j] : no.v[j]); }

RECURRA_INLINE ivec as_int(vec a) { ivec out; __builtin_memcpy(&out, &a, sizeof out); return out; }
RECURRA_INLINE vec as_real(ivec a) { vec out; __builtin_memcpy(&out, &a, sizeof out); return out; }
RECURRA_INLINE ivec iset1(integer x) { RECURRA_LANES(ivec, x); }
// wrapping arithmetic, as the vector instructions have it, so in unsigned numbers
template <class T> struct unsigned_of;
template <> struct unsigned_of<int32_t> { using type = uint32_t; };
template <> struct unsigned_of<int64_t> { using type = uint64_t; };
using natural = unsigned_of<integer>::type;
RECURRA_INLINE ivec iadd(ivec a, ivec b) { RECURRA_LANES(ivec, integer(natural(a.v[j]) + natural(b.v[j]))); }
RECURRA_INLINE ivec isub(ivec a, ivec b) { RECURRA_LANES(ivec, integer(natural(a.v[j]) - natural(b.v[j]))); }
RECURRA_INLINE ivec iand(ivec a, ivec b) { RECURRA_LANES(ivec, a.v[j] & b.v[j]); }
RECURRA_INLINE ivec ior(ivec a, ivec b) { RECURRA_LANES(ivec, a.v[j] | b.v[j]); }
template <int N> RECURRA_INLINE ivec ishl(ivec a) { RECURRA_LANES(ivec, integer(natural(a.v[j]) << N)); }
template <int N> RECURRA_INLINE ivec ishr(ivec a) { RECURRA_LANES(ivec, a.v[j] >> N); }
RECURRA_INLINE vec to_real(ivec a) { RECURRA_LANES(vec, static_cast<real>(a.v[j])); }

#undef RECURRA_LANES

RECURRA_INLINE void fetch1(const void* p) { __builtin_prefetch(p, 0, 3); }
RECURRA_INLINE void fetch2(const void* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace RECURRA_ISA
}  // namespace recurra
