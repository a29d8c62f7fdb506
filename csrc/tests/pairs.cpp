// bfloat16 in pairs, in portable vectors: rounding, laying and multiplying, against plain integers and fma.
// That other instruction sets have the same bits is checked with the recurrences that use them (driver.cpp).
#define RECURRA_ISA tested
#include "../pairs.hpp"

#include <cstring>
#include <limits>

#include "checks.hpp"

namespace {

using namespace recurra::tested;

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

float number_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// To the nearest, ties to even, written over the two neighbours instead of by adding half.
uint16_t nearest(float x) {
  const uint32_t bits = bits_of(x);
  const uint16_t down = static_cast<uint16_t>(bits >> 16);
  if (x != x) return static_cast<uint16_t>(down | 0x40);
  if ((bits & 0x7F800000u) == 0) return static_cast<uint16_t>(down & 0x8000);  // zero or subnormal
  const uint32_t rest = bits & 0xFFFFu;
  const bool up = rest > 0x8000u || (rest == 0x8000u && (down & 1));
  return static_cast<uint16_t>(down + up);
}

std::vector<float> hostile() {
  std::vector<float> x = numbers<float>(31, 64);
  for (uint32_t bits : {0u, 0x80000000u, 1u, 0x807FFFFFu, 0x00800000u, 0x3F808000u, 0x3F818000u, 0x3F807FFFu, 0x3F808001u,
                        0x7F7FFFFFu, 0xFF7FFFFFu, 0x7F7F8000u, 0x7F7F7FFFu, 0x7F800000u, 0xFF800000u, 0x7FC00000u,
                        0x7F800001u, 0xFFFFFFFFu, 0x7FBFFFFFu, 0x33D6BF95u})
    x.push_back(number_of(bits));
  return x;
}

bool same_float(float a, float b) { return bits_of(a) == bits_of(b) || (a != a && b != b); }

void rounds(Tally& t, const std::vector<float>& x) {
  bool good = true;
  for (size_t at = 0; at + W <= x.size(); at += W) {
    const ivec r = recurra::tested::rounded(load(x.data() + at));
    for (int j = 0; j < W; ++j) good &= static_cast<uint32_t>(r.v[j]) == nearest(x[at + static_cast<size_t>(j)]);
  }
  t.expect(good && x.size() % W == 0, "pairs: numbers are rounded to the nearest, ties to even");
}

// n numbers are stored as pairs in memory that ends with the last pair, and read back from every place.
void lies(Tally& t, const std::vector<float>& x) {
  bool stored = true, read = true, zipped = true;
  for (int n = 1; n <= W; ++n) {
    std::vector<float> row(static_cast<size_t>((n + 1) / 2));
    store_pairs(row.data(), load(x.data()), n);
    for (int j = 0; j < n; ++j) stored &= halves(row.data())[j] == nearest(x[static_cast<size_t>(j)]);
    if (n % 2) stored &= halves(row.data())[n] == 0;
    for (int at = 0; at < n; ++at) {
      const vec back = load_narrow(row.data(), at, n - at);
      for (int j = 0; j < W; ++j)
        read &= same_float(back.v[j], j < n - at ? number_of(uint32_t{nearest(x[static_cast<size_t>(at + j)])} << 16) : 0.0f);
      std::vector<float> both(static_cast<size_t>(n - at));
      for (const float* other : {static_cast<const float*>(row.data()), static_cast<const float*>(nullptr)}) {
        zip_rows(both.data(), row.data(), other, at, n - at);
        for (int j = 0; j < n - at; ++j) {
          const uint32_t one = nearest(x[static_cast<size_t>(at + j)]);
          zipped &= bits_of(both[static_cast<size_t>(j)]) == (one | (other ? one << 16 : 0u));
        }
      }
    }
  }
  t.expect(stored, "pairs: stored");
  t.expect(read, "pairs: read back");
  t.expect(zipped, "pairs: rows side by side");
}

void multiplies(Tally& t) {
  const auto a = numbers<float>(32, W), b = numbers<float>(33, W), c = numbers<float>(34, W), d = numbers<float>(35, W);
  const auto sum = numbers<float>(36, W);
  const vec found = join_pairs(zip_pairs(load(a.data()), load(b.data())), zip_pairs(load(c.data()), load(d.data())), load(sum.data()));
  bool good = true;
  for (size_t j = 0; j < W; ++j) {
    const auto narrow = [&](const std::vector<float>& v) { return number_of(uint32_t{nearest(v[j])} << 16); };
    const float second = std::fma(narrow(b), narrow(d), sum[j]);
    good &= bits_of(found.v[j]) == bits_of(std::fma(narrow(a), narrow(c), second));
  }
  t.expect(good, "pairs: the second product first, each rounded once");
}

}  // namespace

void pair_tests(Tally& t) {
  const std::vector<float> x = hostile();
  rounds(t, x);
  lies(t, x);
  lies(t, std::vector<float>(x.end() - W, x.end()));
  multiplies(t);
}
