// Eight floats in one AVX2 register, with FMA. The same bits as avx512.hpp, lane by lane.
#pragma once

#include <immintrin.h>

#ifndef RECURRA_INLINE
#define RECURRA_INLINE static inline __attribute__((always_inline))
#endif

namespace recurra {
namespace RECURRA_ISA {

using real = float;
using vec = __m256;
using ivec = __m256i;
using mask = __m256;

constexpr int W = 8;
constexpr int ROWS4 = 3;
constexpr int ROWS3 = 4;

RECURRA_INLINE ivec first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

RECURRA_INLINE vec load(const real* p) { return _mm256_loadu_ps(p); }
RECURRA_INLINE void store(real* p, vec v) { _mm256_storeu_ps(p, v); }
RECURRA_INLINE vec load_n(const real* p, int n) {
  return n >= W ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
}
RECURRA_INLINE void store_n(real* p, vec v, int n) {
  if (n >= W) _mm256_storeu_ps(p, v);
  else _mm256_maskstore_ps(p, first(n), v);
}
RECURRA_INLINE vec set1(real x) { return _mm256_set1_ps(x); }

RECURRA_INLINE vec add(vec a, vec b) { return _mm256_add_ps(a, b); }
RECURRA_INLINE vec sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
RECURRA_INLINE vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
RECURRA_INLINE vec div(vec a, vec b) { return _mm256_div_ps(a, b); }
RECURRA_INLINE vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
RECURRA_INLINE vec fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
RECURRA_INLINE vec sqrt(vec a) { return _mm256_sqrt_ps(a); }
RECURRA_INLINE vec max(vec a, vec b) { return _mm256_max_ps(a, b); }
RECURRA_INLINE vec min(vec a, vec b) { return _mm256_min_ps(a, b); }

RECURRA_INLINE mask lt(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
RECURRA_INLINE mask le(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
RECURRA_INLINE mask eq(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
RECURRA_INLINE vec select(mask m, vec yes, vec no) { return _mm256_blendv_ps(no, yes, m); }

RECURRA_INLINE ivec as_int(vec a) { return _mm256_castps_si256(a); }
RECURRA_INLINE vec as_real(ivec a) { return _mm256_castsi256_ps(a); }
RECURRA_INLINE ivec iset1(int32_t x) { return _mm256_set1_epi32(x); }
RECURRA_INLINE ivec iadd(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
RECURRA_INLINE ivec isub(ivec a, ivec b) { return _mm256_sub_epi32(a, b); }
RECURRA_INLINE ivec iand(ivec a, ivec b) { return _mm256_and_si256(a, b); }
RECURRA_INLINE ivec ior(ivec a, ivec b) { return _mm256_or_si256(a, b); }
template <int N> RECURRA_INLINE ivec ishl(ivec a) { return _mm256_slli_epi32(a, N); }
template <int N> RECURRA_INLINE ivec ishr(ivec a) { return _mm256_srai_epi32(a, N); }
RECURRA_INLINE vec to_real(ivec a) { return _mm256_cvtepi32_ps(a); }

RECURRA_INLINE void fetch1(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
RECURRA_INLINE void fetch2(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace RECURRA_ISA
}  // namespace recurra
