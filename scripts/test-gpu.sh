#!/usr/bin/env bash
# The GPU tests: op table against its double-precision references, fixtures, memory and race checkers.
#   scripts/test-gpu.sh [FIXTURES]    other fixtures of `hint verify` than test/fixtures/original
set -uo pipefail
cd "$(dirname "$0")/.."
fixtures=${1:-test/fixtures/original}
node scripts/build.mjs --tests --cuda || exit 1
node dist/cli/main.js doctor
tests=build/native/tests/hint_op_tests
failed=0
step() {
  echo "== $*"
  "$@" || { echo "== FAILED: $*"; failed=$((failed + 1)); }
}

step "$tests" --device cuda
step node dist/cli/main.js verify "$fixtures" --device cuda
step npx --no-install vitest run test/gpu
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    step compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests" --device cuda
  done
else
  echo "== skipped: compute-sanitizer is not on PATH"
fi
echo "$failed GPU test steps failed"
[ "$failed" -eq 0 ]
