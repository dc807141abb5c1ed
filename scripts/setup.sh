#!/usr/bin/env bash
# Installs what is missing to build: system packages (Debian, Ubuntu) and npm packages. Does nothing when all is there.
#   scripts/setup.sh [--with-checks]   also clang-format, for the style check, Open MPI, for tests of several processes,
#                                  and Chromium, for tests of the page
set -euo pipefail
cd "$(dirname "$0")/.."

major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
  echo "hint-engine needs Node.js 20 or later; this is $(node --version). Install a newer one from https://nodejs.org." >&2
  exit 1
fi

packages=()
command -v cmake >/dev/null || packages+=(cmake)
command -v make >/dev/null || packages+=(make)
command -v g++ >/dev/null || packages+=(g++)
if [ "${1:-}" = --with-checks ]; then
  command -v clang-format >/dev/null || packages+=(clang-format)
  { command -v mpirun && command -v mpicxx; } >/dev/null || packages+=(openmpi-bin libopenmpi-dev)
  { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null || packages+=(chromium)
fi

if [ ${#packages[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "Missing: ${packages[*]}. Install them with your system's package manager, then run this again." >&2
    exit 1
  fi
  sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Missing: ${packages[*]}. Run as root: apt-get install ${packages[*]}" >&2; exit 1; }
    sudo=sudo
  fi
  echo "Installing system packages: ${packages[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# node_modules is current when it is newer than the lock file it was made from.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "Installing npm packages"
  # Not "npm ci": it refuses a lock file without the native packages of platforms whose mirror lacks them.
  npm install --no-save --no-audit --no-fund --loglevel=error
fi
