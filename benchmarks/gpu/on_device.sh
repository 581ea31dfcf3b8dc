#!/usr/bin/env bash
# On the GPU machine, beside bundle.tar.xz: bash on_device.sh [SECONDS [OPTION|STEP ...]]
# Unpacks it, then runs `python -m benchmarks.gpu` for so many seconds in all (default: 540). $OUT (default: figures,
# beside this file) gets gpu.json after every figure, gpu.log and model.log.
set -euo pipefail
seconds=${1:-540}; shift || true
here=$(cd "$(dirname "$0")" && pwd)
root=${UNPACKED:-/tmp/dropscribe-gpu}
out=${OUT:-$here/figures}
mkdir -p "$root" "$out"
export PYTHONPATH=$root/site:$root/tree PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OTEL_SDK_DISABLED=true

if [ ! -e "$root/.complete" ]; then
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' "$here/bundle.tar.xz" "$root"
  python3 -m compileall -q -j 0 "$root" > /dev/null 2>&1 || true
  touch "$root/.complete"
  echo "== unpacked and compiled after $SECONDS s"
fi
cd "$root/tree"
left=$((seconds - SECONDS))
# The steps have limits of their own; the one here is for whatever runs them.
timeout -k 5 "$((left + 15))" python3 -m benchmarks.gpu --seconds "$left" --out "$out" "$@" 2>&1 \
  | tee -a "$out/gpu.log" | sed -u 's/\(.\{400\}\).*/\1/'
