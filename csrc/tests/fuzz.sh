#!/usr/bin/env bash
# The Python module with AddressSanitizer and UndefinedBehaviorSanitizer (portable instruction set), fuzzed:
# EXAMPLES calls with hostile arguments, by default 100,000. A failure prints the smallest case that shows it.
set -euo pipefail
cd "$(dirname "$0")/../.."
python="$(realpath --no-symlinks "${PYTHON:-python3}")"
PATH="$(dirname "$python"):$PATH"
mkdir -p build/sanitize
cmake -S . -B build/sanitize -G Ninja -DRECURRA_PYTHON=ON -DPython_EXECUTABLE="$python" -DRECURRA_PORTABLE=ON \
  -DRECURRA_SANITIZE=address,undefined > build/sanitize/build.log 2>&1 || { cat build/sanitize/build.log; exit 1; }
cmake --build build/sanitize >> build/sanitize/build.log 2>&1 || { tail -50 build/sanitize/build.log; exit 1; }
# Python itself leaks by design; a size that nobody checked must not take the machine's memory.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1024}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
# AddressSanitizer looks for the C++ library when it starts, and Python alone does not bring it: exceptions need both.
preload="$("${CXX:-c++}" -print-file-name=libasan.so):$("${CXX:-c++}" -print-file-name=libstdc++.so.6)"
"$python" -m pytest tests/kernels/test_fuzz.py -q -k "hostile or nothing" --timeout 0 \
  --fuzz-module "$(ls build/sanitize/_native*.so)" --fuzz-preload "$preload" \
  --fuzz-examples "${EXAMPLES:-100000}"
