#include "elementwise.hpp"

#include <cmath>

namespace recurra {

DropoutKeys dropout_keys(uint64_t seed, uint64_t high, double rate) {
  uint64_t z = seed + (high + 1) * 0x9E3779B97F4A7C15ull;  // splitmix64
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return {static_cast<uint32_t>(z), static_cast<uint32_t>(z >> 32),
          static_cast<uint32_t>(std::nearbyint(rate * (1 << 24)))};
}

}  // namespace recurra
