#!/usr/bin/env bash
# Installs what is missing, builds, then trains and compares three systems from nothing but this repository.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
node scripts/build.mjs
exec node dist/bundle/cli/main.js demo "$@"
