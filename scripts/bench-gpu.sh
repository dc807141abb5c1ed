#!/usr/bin/env bash
# Measures the engine on the GPU beside PyTorch where it is installed, and writes the reports to bench/results:
#   ops        every bench case of every op, in f32 and in bf16 where it can be, against roofs measured in the same run
#              (large matrix products in the same dtype, device copies)
#   training   training steps of HINT and plain T5, base size and 3B
#   latency    the paper's Figure 4 at 3B
#   largest    a full fine-tuning step of 11B: weights in bf16, layers and modules run again
#   scripts/bench-gpu.sh [DEVICE [PART...]]    cuda (the default) or cuda:N; all parts unless some are named
# HINT_PEER_PYTHON: a Python with torch and transformers; HINT_PEER_HINT: a file that builds HINT in PyTorch (see
# bench/peers/hint_torch.py). HINT_BENCH_SIZE: another size than xl, HINT_BENCH_ROUNDS: samples (30).
set -euo pipefail
cd "$(dirname "$0")/.."
device=${1:-cuda}
shift || true
parts=${*:-ops training latency largest}
size=${HINT_BENCH_SIZE:-xl}
rounds=${HINT_BENCH_ROUNDS:-30}
for part in $parts; do
  case $part in ops | training | latency | largest) ;; *)
    echo "There is no part $part; give ops, training, latency or largest." >&2
    exit 2
    ;;
  esac
done
case $device in
cuda*)
  node scripts/build.mjs --tests --cuda
  machine=$(node dist/cli/main.js doctor --json | node -e 'let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{
    const cuda=JSON.parse(t).find(f=>f.what==="CUDA");
    if(!cuda.ok){console.error(`CUDA cannot be used: ${cuda.found}.`);process.exit(1)}
    console.log(cuda.found.toLowerCase().replace(/[^a-z0-9.]+/g,"-").replace(/-+$/,""))})')
  ;;
*) machine=$device ;;
esac
results=bench/results/$(date +%F)-$machine
hint() { node dist/cli/main.js bench "$@" --device "$device"; }

for part in $parts; do
  echo "== $part"
  case $part in
  ops)
    for dtype in f32 bf16; do
      build/native/bench/hint_op_bench --device "$device" --dtype $dtype
      build/native/bench/hint_op_bench --device "$device" --dtype $dtype --json >"$results-ops-$dtype.json"
    done
    ;;
  training)
    for measured in base "$size"; do
      hint training --size "$measured" --compute-dtype bf16 --batch 64 --tasks 32 --peer-batch 16 --autocast \
        --rounds "$rounds" ${HINT_PEER_HINT:+--hint-peer "$HINT_PEER_HINT"} --output "$results-training-$measured.json"
    done
    ;;
  largest)
    hint training --size xxl --systems hint --compute-dtype bf16 --param-dtype bf16 --recompute both --batch 64 \
      --tasks 32 --rounds 3 --output "$results-training-xxl.json"
    ;;
  latency)
    hint latency --size "$size" --shots 0..5 --dtypes f32,bf16 --rounds "$rounds" --output "$results-latency"
    ;;
  esac
done
echo "Written: $results-* (commit $(git rev-parse --short HEAD))"
