#!/usr/bin/env bash
# The kernel tests built for AArch64 and run under qemu-user; needs Debian's g++-aarch64-linux-gnu and qemu-user.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$(dirname "${PYTHON:-python3}"):$PATH"
cmake -S . -B build/arm -G Ninja -DRECURRA_PYTHON=OFF -DRECURRA_DRIVER=ON -DCMAKE_SYSTEM_NAME=Linux \
  -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static
cmake --build build/arm
qemu-aarch64 build/arm/recurra_driver
