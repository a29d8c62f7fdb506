// Sixteen floats in one AVX-512 register. The same functions, with the same bits, are in avx2.hpp and portable.hpp.
#pragma once

#include <immintrin.h>

#ifndef RECURRA_INLINE
#define RECURRA_INLINE static inline __attribute__((always_inline))
#endif

namespace recurra {
namespace RECURRA_ISA {

using real = float;
using vec = __m512;
using ivec = __m512i;
using mask = __mmask16;

constexpr int W = 16;      // lanes
constexpr int ROWS4 = 6;   // rows of a register tile of four vectors
constexpr int ROWS3 = 8;   // rows of a register tile of three vectors

RECURRA_INLINE mask first(int n) { return static_cast<mask>(n >= 16 ? 0xFFFFu : (1u << n) - 1u); }

RECURRA_INLINE vec load(const real* p) { return _mm512_loadu_ps(p); }
RECURRA_INLINE void store(real* p, vec v) { _mm512_storeu_ps(p, v); }
RECURRA_INLINE vec load_n(const real* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
RECURRA_INLINE void store_n(real* p, vec v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
RECURRA_INLINE vec set1(real x) { return _mm512_set1_ps(x); }

RECURRA_INLINE vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
RECURRA_INLINE vec sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
RECURRA_INLINE vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
RECURRA_INLINE vec div(vec a, vec b) { return _mm512_div_ps(a, b); }
RECURRA_INLINE vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }    // a*b + c
RECURRA_INLINE vec fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a*b
RECURRA_INLINE vec sqrt(vec a) { return _mm512_sqrt_ps(a); }
// a > b ? a : b and a < b ? a : b, so the second argument where one is NaN
RECURRA_INLINE vec max(vec a, vec b) { return _mm512_max_ps(a, b); }
RECURRA_INLINE vec min(vec a, vec b) { return _mm512_min_ps(a, b); }

RECURRA_INLINE mask lt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
RECURRA_INLINE mask le(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
RECURRA_INLINE mask eq(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
RECURRA_INLINE vec select(mask m, vec yes, vec no) { return _mm512_mask_blend_ps(m, no, yes); }

RECURRA_INLINE ivec as_int(vec a) { return _mm512_castps_si512(a); }
RECURRA_INLINE vec as_real(ivec a) { return _mm512_castsi512_ps(a); }
RECURRA_INLINE ivec iset1(int32_t x) { return _mm512_set1_epi32(x); }
RECURRA_INLINE ivec iadd(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
RECURRA_INLINE ivec isub(ivec a, ivec b) { return _mm512_sub_epi32(a, b); }
RECURRA_INLINE ivec iand(ivec a, ivec b) { return _mm512_and_si512(a, b); }
RECURRA_INLINE ivec ior(ivec a, ivec b) { return _mm512_or_si512(a, b); }
template <int N> RECURRA_INLINE ivec ishl(ivec a) { return _mm512_slli_epi32(a, N); }
template <int N> RECURRA_INLINE ivec ishr(ivec a) { return _mm512_srai_epi32(a, N); }
RECURRA_INLINE vec to_real(ivec a) { return _mm512_cvtepi32_ps(a); }

RECURRA_INLINE void fetch1(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
RECURRA_INLINE void fetch2(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace RECURRA_ISA
}  // namespace recurra
