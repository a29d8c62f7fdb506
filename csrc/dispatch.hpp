// Which instruction set runs, and the operator tables of each.
//
// A kernel file defines one table (a struct of function pointers) in its own namespace; RECURRA_DECLARE_TABLE
// declares all copies and a selector `Name<real>()` that returns the one for the instruction set in force.
#pragma once

#include <string>

namespace recurra {

enum class Isa { portable = 0, avx2 = 1, avx512 = 2 };

Isa isa();                             // in force: the best of this machine, or lower by RECURRA_ISA or set_isa
bool has(Isa wanted);                  // can this build on this machine run it?
Isa pairs_isa();                       // for pairs of bfloat16: AVX-512 only where it multiplies them, else AVX2
bool multiplies_pairs();               // has this machine AVX512-BF16?
const char* name(Isa isa);
bool set_isa(const std::string& name);  // false where unknown or not available; for tests
const std::string& isa_reason();       // why this one: "detected", "RECURRA_ISA=avx2", ...
bool fused_double();                   // may the double operators use AVX2 and FMA instructions?

}  // namespace recurra

#if defined(RECURRA_X86)
#define RECURRA_DECLARE_TABLE(Table, table)                                          \
  namespace recurra {                                                                \
  namespace avx512 { extern const Table<float> table; }                              \
  namespace avx2 { extern const Table<float> table; }                                \
  namespace portable { extern const Table<float> table; }                            \
  namespace fma64 { extern const Table<double> table; }                              \
  namespace portable64 { extern const Table<double> table; }                         \
  template <class real> inline const Table<real>& table(Isa which = isa());          \
  template <> inline const Table<float>& table<float>(Isa which) {                   \
    switch (which) {                                                                 \
      case Isa::avx512: return avx512::table;                                        \
      case Isa::avx2: return avx2::table;                                            \
      default: return portable::table;                                               \
    }                                                                                \
  }                                                                                  \
  template <> inline const Table<double>& table<double>(Isa) {                       \
    return fused_double() ? fma64::table : portable64::table;                        \
  }                                                                                  \
  }
#else
#define RECURRA_DECLARE_TABLE(Table, table)                                                   \
  namespace recurra {                                                                         \
  namespace portable { extern const Table<float> table; }                                     \
  namespace portable64 { extern const Table<double> table; }                                  \
  template <class real> inline const Table<real>& table(Isa which = isa());                   \
  template <> inline const Table<float>& table<float>(Isa) { return portable::table; }        \
  template <> inline const Table<double>& table<double>(Isa) { return portable64::table; }    \
  }
#endif
