// bfloat16 numbers in pairs, and the two kinds of products: of single numbers, and of pairs.
//
// A pair lies where a float would: the first number in the lower half, the second in the upper. A product of pairs
// adds the second numbers' product and then the first ones', each with one rounding to float: what VDPBF16PS does
// (it flushes subnormals, as our threads do), so that every instruction set has the same bits. Numbers are
// rounded to the nearest bfloat16, ties to even; NaN stays NaN.
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

RECURRA_INLINE const uint16_t* halves(const real* pairs) { return reinterpret_cast<const uint16_t*>(pairs); }

#if defined(RECURRA_VEC_AVX512)

// By name, since this file is compiled for machines without these instructions too; see `pairs_isa`.
RECURRA_INLINE vec join_pairs(vec a, vec w, vec c) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(w));
  return c;
}
RECURRA_INLINE __m256i rounded(vec x) {
  __m256i out;
  asm("vcvtneps2bf16 %1, %0" : "=v"(out) : "v"(x));
  return out;
}
RECURRA_INLINE vec zip_pairs(vec a, vec b) {
  const __m512i low = _mm512_cvtepu16_epi32(rounded(a)), high = _mm512_cvtepu16_epi32(rounded(b));
  return as_real(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
RECURRA_INLINE void store_pairs(real* to, vec x, int n) {
  const __m256i pairs = rounded(_mm512_maskz_mov_ps(first(n), x));
  _mm256_mask_storeu_epi32(to, static_cast<__mmask8>((1u << ((n + 1) / 2)) - 1u), pairs);
}
RECURRA_INLINE vec load_narrow(const real* pairs, int64_t at, int n) {
  return as_real(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), halves(pairs) + at)), 16));
}
RECURRA_INLINE void zip_rows(real* to, const real* a, const real* b, int64_t at, int n) {
  const __mmask8 some = static_cast<__mmask8>(first(n));
  const __m256i low = _mm256_cvtepu16_epi32(_mm_maskz_loadu_epi16(some, halves(a) + at));
  const __m256i high = _mm256_cvtepu16_epi32(_mm_maskz_loadu_epi16(b ? some : 0, halves(b ? b : a) + at));
  _mm256_mask_storeu_epi32(to, some, _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
}

#else

RECURRA_INLINE vec upper(vec pairs) { return as_real(iand(as_int(pairs), iset1(static_cast<int32_t>(0xFFFF0000u)))); }
RECURRA_INLINE vec lower(vec pairs) { return as_real(ishl<16>(as_int(pairs))); }
// c + (second of a)(second of w), then + (first of a)(first of w)
RECURRA_INLINE vec join_pairs(vec a, vec w, vec c) { return fma(lower(a), lower(w), fma(upper(a), upper(w), c)); }

// Every lane's bfloat16, in the lower half; subnormals become zero, as the instruction has it.
RECURRA_INLINE ivec rounded(vec x) {
  const ivec bits = as_int(x), high = ishr<16>(bits);
  const ivec near = ishr<16>(iadd(bits, iadd(iset1(0x7FFF), iand(high, iset1(1)))));
  const vec number = select(eq(x, x), as_real(near), as_real(ior(high, iset1(0x40))));
  const vec exponent = as_real(iand(bits, iset1(0x7F800000)));
  const vec whole = select(eq(exponent, set1(real(0))), as_real(iand(high, iset1(0x8000))), number);
  return iand(as_int(whole), iset1(0xFFFF));
}
// lane by lane the pair (a, b)
RECURRA_INLINE vec zip_pairs(vec a, vec b) { return as_real(ior(rounded(a), ishl<16>(rounded(b)))); }
// The first n lanes as (n + 1) / 2 pairs; an odd one stands beside zero.
RECURRA_INLINE void store_pairs(real* to, vec x, int n) {
  real lanes[W];
  store(lanes, as_real(rounded(x)));
  uint32_t bits[W + 1];
  for (int j = 0; j < W; ++j) __builtin_memcpy(bits + j, lanes + j, 4);
  bits[n < W ? n : W] = 0;
  for (int j = 0; j < n; j += 2) {
    const uint32_t pair = bits[j] | bits[j + 1] << 16;
    __builtin_memcpy(to + j / 2, &pair, 4);
  }
}
// Numbers at, ..., at + n - 1 of a row of pairs.
RECURRA_INLINE vec load_narrow(const real* pairs, int64_t at, int n) {
  real lanes[W];
  for (int j = 0; j < W; ++j) {
    const uint32_t bits = j < n ? static_cast<uint32_t>(halves(pairs)[at + j]) << 16 : 0u;
    lanes[j] = 0;
    __builtin_memcpy(lanes + j, &bits, 4);
  }
  return load(lanes);
}
// The same numbers of two rows of pairs, at most eight, side by side: to[j] = (a[at + j], b[at + j]); b may be null.
RECURRA_INLINE void zip_rows(real* to, const real* a, const real* b, int64_t at, int n) {
  for (int j = 0; j < n; ++j) {
    const uint32_t pair = halves(a)[at + j] | (b ? static_cast<uint32_t>(halves(b)[at + j]) << 16 : 0u);
    __builtin_memcpy(to + j, &pair, 4);
  }
}

#endif

// Products of single numbers: K steps of a panel for K numbers.
struct Singles {
  static constexpr bool paired = false;
  RECURRA_INLINE int64_t steps(int64_t K) { return K; }
  RECURRA_INLINE vec join(vec a, vec w, vec c) { return fma(a, w, c); }
  // n lanes as numbers `unit` onwards of a row that a product will read
  RECURRA_INLINE void put(real* row, int64_t unit, vec x, int n) { store_n(row + unit, x, n); }
};

// Products of pairs of bfloat16: half the steps. A row's numbers begin at an even place.
struct Pairs {
  static constexpr bool paired = true;
  RECURRA_INLINE int64_t steps(int64_t K) { return (K + 1) / 2; }
  RECURRA_INLINE vec join(vec a, vec w, vec c) { return join_pairs(a, w, c); }
  RECURRA_INLINE void put(real* row, int64_t unit, vec x, int n) { store_pairs(row + unit / 2, x, n); }
};

template <int> struct Narrowed { using type = Singles; };
template <> struct Narrowed<4> { using type = Pairs; };
using Narrow = Narrowed<sizeof(real)>::type;  // double has no pairs

// A row of K numbers, times `factor` where there is one, as a product will read it.
template <class Kind> RECURRA_INLINE void lay(real* to, const real* from, const real* factor, int64_t K) {
  for (int64_t k = 0; k < K; k += W) {
    const int n = static_cast<int>(K - k < W ? K - k : W);
    const vec x = load_n(from + k, n);
    Kind::put(to, k, factor ? mul(x, load_n(factor + k, n)) : x, n);
  }
}

}  // namespace RECURRA_ISA
}  // namespace recurra
