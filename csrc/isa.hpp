// The instruction set that this translation unit is compiled for.
//
// Every file in csrc/kernels/ is compiled several times; CMake defines RECURRA_ISA to the namespace of the
// copy (avx512, avx2, portable, portable64, fma64) and one RECURRA_VEC_* to the vector header below. Kernel
// files use no standard-library templates and no inline functions shared between copies: the linker keeps one
// copy of such a function, perhaps the one with instructions that this machine lacks.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(RECURRA_VEC_AVX512)
#include "vec/avx512.hpp"
#elif defined(RECURRA_VEC_AVX2)
#include "vec/avx2.hpp"
#else
#include "vec/portable.hpp"
#endif
