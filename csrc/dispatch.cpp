#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>

namespace recurra {
namespace {

Isa best() {
#if defined(RECURRA_X86)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return avx512 && avx2 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::portable;
#else
  return Isa::portable;
#endif
}

bool parse(const std::string& text, Isa* out) {
  for (Isa each : {Isa::portable, Isa::avx2, Isa::avx512})
    if (text == name(each)) return *out = each, true;
  return false;
}

struct Choice {
  std::atomic<Isa> isa{best()};
  std::string reason = "the best that this machine has";

  Choice() {
    const char* wish = std::getenv("RECURRA_ISA");
    if (!wish || !*wish) return;
    Isa wanted = Isa::portable;
    const std::string text = std::string("RECURRA_ISA=") + wish;
    if (!parse(wish, &wanted)) reason = text + " is none of avx512, avx2, portable, so the best that this machine has";
    else if (wanted > isa.load()) reason = text + " is not available on this machine, so the best that it has";
    else isa.store(wanted), reason = text;
  }
};

Choice& choice() {
  static Choice it;
  return it;
}

}  // namespace

Isa isa() { return choice().isa.load(std::memory_order_relaxed); }

bool has(Isa wanted) {
  static const Isa top = best();
  return wanted <= top;
}

bool multiplies_pairs() {
#if defined(RECURRA_X86)
  static const bool there = __builtin_cpu_supports("avx512bf16");
  return there;
#else
  return false;
#endif
}

Isa pairs_isa() { return isa() == Isa::avx512 && !multiplies_pairs() ? Isa::avx2 : isa(); }

const char* name(Isa isa) { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "portable"; }

bool set_isa(const std::string& text) {
  Isa wanted = Isa::portable;
  if (!parse(text, &wanted) || !has(wanted)) return false;
  choice().isa.store(wanted);
  choice().reason = "set_isa(\"" + text + "\")";
  return true;
}

const std::string& isa_reason() { return choice().reason; }

bool fused_double() { return has(Isa::avx2) && isa() != Isa::portable; }

}  // namespace recurra
