// A W x W block of numbers turned over: out[k][j] = in[j][k].
#pragma once

#include "isa.hpp"

namespace recurra {
namespace RECURRA_ISA {

#if defined(RECURRA_VEC_AVX512)

RECURRA_INLINE void transpose(const real* in, int64_t in_row, real* out, int64_t out_row) {
  __m512 a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(in + i * in_row);
  for (int i = 0; i < 16; i += 2) {  // pairs of rows
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {  // fours: a[i+q] holds columns q, q+4, q+8, q+12 of rows i ... i+3
    a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
  for (int q = 0; q < 4; ++q) {  // quarters of 128 bits between the fours
    const __m512 low01 = _mm512_shuffle_f32x4(a[q], a[q + 4], 0x88), high01 = _mm512_shuffle_f32x4(a[q], a[q + 4], 0xDD);
    const __m512 low23 = _mm512_shuffle_f32x4(a[q + 8], a[q + 12], 0x88);
    const __m512 high23 = _mm512_shuffle_f32x4(a[q + 8], a[q + 12], 0xDD);
    _mm512_storeu_ps(out + q * out_row, _mm512_shuffle_f32x4(low01, low23, 0x88));
    _mm512_storeu_ps(out + (q + 4) * out_row, _mm512_shuffle_f32x4(high01, high23, 0x88));
    _mm512_storeu_ps(out + (q + 8) * out_row, _mm512_shuffle_f32x4(low01, low23, 0xDD));
    _mm512_storeu_ps(out + (q + 12) * out_row, _mm512_shuffle_f32x4(high01, high23, 0xDD));
  }
}

#elif defined(RECURRA_VEC_AVX2)

RECURRA_INLINE void transpose(const real* in, int64_t in_row, real* out, int64_t out_row) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(in + i * in_row);
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
  for (int q = 0; q < 4; ++q) {
    _mm256_storeu_ps(out + q * out_row, _mm256_permute2f128_ps(a[q], a[q + 4], 0x20));
    _mm256_storeu_ps(out + (q + 4) * out_row, _mm256_permute2f128_ps(a[q], a[q + 4], 0x31));
  }
}

#else

RECURRA_INLINE void transpose(const real* in, int64_t in_row, real* out, int64_t out_row) {
  for (int j = 0; j < W; ++j)
    for (int k = 0; k < W; ++k) out[k * out_row + j] = in[j * in_row + k];
}

#endif

}  // namespace RECURRA_ISA
}  // namespace recurra
