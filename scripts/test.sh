#!/usr/bin/env bash
# The test command: installs what is missing, builds, runs the native tests (through CTest) and the TypeScript tests.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
node scripts/build.mjs --tests
npx --no-install vitest run "$@"
