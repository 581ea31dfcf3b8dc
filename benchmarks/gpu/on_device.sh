#!/usr/bin/env bash
# On the GPU machine, in the copied tree: bash benchmarks/gpu/on_device.sh [SECONDS [STEP ...]]
# Unpacks build/gpu-bundle/site.tar.xz, then runs `python -m benchmarks.gpu` into $OUT (default: build/gpu).
set -euo pipefail
seconds=${1:-540}; shift || true
site=${SITE:-/tmp/dropscribe-site}
export PYTHONPATH=$site:$PWD PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OTEL_SDK_DISABLED=true

if [ ! -e "$site/.complete" ]; then
  mkdir -p "$site"
  python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' build/gpu-bundle/site.tar.xz "$site"
  python3 -m compileall -q -j 0 "$site" > /dev/null || true
  touch "$site/.complete"
fi
exec python3 -m benchmarks.gpu --seconds "$((seconds - SECONDS))" --out "${OUT:-build/gpu}" "$@"
