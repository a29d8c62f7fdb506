// What the files of the driver share: counting checks, random numbers, comparing with double.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

struct Tally {
  int checks = 0, failures = 0;
  void expect(bool good, const std::string& what) {
    ++checks;
    if (good) return;
    ++failures;
    std::printf("FAILED: %s\n", what.c_str());
  }
};

template <class real> std::vector<real> numbers(unsigned seed, int64_t n) {
  std::mt19937 random(seed);
  std::vector<real> v(static_cast<size_t>(n));
  for (real& each : v) each = static_cast<real>(static_cast<float>(random() / 2147483648.0 - 1));
  return v;
}

template <class real> std::vector<real> room(int64_t n) { return std::vector<real>(static_cast<size_t>(n)); }

template <class real> bool near(const std::vector<real>& a, const std::vector<double>& b) {
  const double tolerance = sizeof(real) == 4 ? 2e-5 : 1e-12;
  double most = 1;
  for (double each : b) most = std::max(most, std::fabs(each));
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::fabs(static_cast<double>(a[i]) - b[i]) <= tolerance * most)) return false;
  return a.size() == b.size();
}

void operator_tests(Tally& t);
void pool_tests(Tally& t);
void chain_tests(Tally& t);
void pair_tests(Tally& t);
void far_tests(Tally& t);
