#!/usr/bin/env bash
# Times every bench case of every op on the GPU against roofs measured in the same run (large matrix product, device
# copies), and writes the report to bench/results.
#   scripts/bench-gpu.sh [DEVICE]    cuda (the default) or cuda:N
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-cuda}
node scripts/build.mjs --tests --cuda
gpu=$(node dist/cli/main.js doctor --json | node -e 'let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{
  const cuda=JSON.parse(t).find(f=>f.what==="CUDA");
  if(!cuda.ok){console.error(`CUDA cannot be used: ${cuda.found}.`);process.exit(1)}
  console.log(cuda.found.toLowerCase().replace(/[^a-z0-9.]+/g,"-").replace(/-+$/,""))})')
report=bench/results/$(date +%F)-$gpu-ops.json
build/native/bench/hint_op_bench --device "$device"
build/native/bench/hint_op_bench --device "$device" --json >"$report"
echo "Wrote $report (commit $(git rev-parse --short HEAD))"
