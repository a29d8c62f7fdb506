#!/usr/bin/env bash
# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer, without Python: of the portable
# instruction set, or with RECURRA_SANITIZE_ALL=1 of all of them (a much longer build).
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$(dirname "${PYTHON:-python3}"):$PATH"
mkdir -p build
cmake -S . -B build/sanitize -G Ninja -DRECURRA_PYTHON=OFF -DRECURRA_DRIVER=ON \
  -DRECURRA_PORTABLE=$([ "${RECURRA_SANITIZE_ALL:-0}" = 1 ] && echo OFF || echo ON) \
  -DRECURRA_SANITIZE=address,undefined > build/sanitize.log 2>&1 || { cat build/sanitize.log; exit 1; }
cmake --build build/sanitize >> build/sanitize.log 2>&1 || { tail -50 build/sanitize.log; exit 1; }
build/sanitize/recurra_driver
