#!/usr/bin/env bash
# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer, without Python: of the portable
# instruction set, or with RECURRA_SANITIZE_ALL=1 of all that the compiler knows for this processor.
#
# Where the sanitizers are not installed: an error with RECURRA_REQUIRE_NATIVE=1 (as in CI), else a line that says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$(dirname "${PYTHON:-python3}"):$PATH"
all="${RECURRA_SANITIZE_ALL:-0}"
build="build/sanitize"
[ "$all" = 1 ] && build="build/sanitize-all"
# Without the check for stacks used after return, GCC's frames for which are not aligned for AVX-512 (its bug 110027).
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=0}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
mkdir -p "$build"

probe="$build/probe"
printf 'int main() { return 0; }\n' > "$probe.cpp"
if ! "${CXX:-c++}" -fsanitize=address,undefined "$probe.cpp" -o "$probe" > "$probe.log" 2>&1 || ! "$probe" >> "$probe.log" 2>&1; then
  cat "$probe.log"
  echo "sanitize: ${CXX:-c++} has no working AddressSanitizer here. On Debian or Ubuntu: apt-get install g++ libasan8 libubsan1"
  [ "${RECURRA_REQUIRE_NATIVE:-0}" = 1 ] && exit 1
  echo "sanitize: SKIPPED, the kernels were not checked"
  exit 0
fi

cmake -S . -B "$build" -G Ninja -DRECURRA_PYTHON=OFF -DRECURRA_DRIVER=ON \
  -DRECURRA_PORTABLE="$([ "$all" = 1 ] && echo OFF || echo ON)" \
  -DRECURRA_SANITIZE=address,undefined > "$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }
cmake --build "$build" >> "$build/build.log" 2>&1 || { tail -50 "$build/build.log"; exit 1; }
"$build/recurra_driver"
