# shellcheck shell=bash
# What the scripts beside it share. Sourced, never run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything slow to make lives outside the clone, so that a fresh clone starts warm.
CACHE=${SAM2_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sam2-web}
WASM_TARGET=wasm32-unknown-unknown
DEBIAN_TOOLCHAIN=$CACHE/debian-toolchain
mkdir -p "$CACHE/tools" "$CACHE/logs"
cd "$ROOT"

# macOS has the other.
sha256=(sha256sum)
command -v sha256sum >/dev/null || sha256=(shasum -a 256)
# The hash of what comes in.
hash_of() { "${sha256[@]}" | cut -c 1-64; }

# at_least WANTED VERSION: compares numbers between dots.
at_least() {
  awk -v want="$1" -v have="$2" 'BEGIN {
    count = split(want, w, "."); split(have, h, ".")
    for (i = 1; i <= count; i++) if (h[i] + 0 != w[i] + 0) exit h[i] + 0 < w[i] + 0
  }'
}

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# step [-q] WHAT COMMAND...: says what it does, that it is still at it, and stops with one clear line where it fails.
# -q keeps the command's own output in a log, and shows its end only on failure.
step() {
  local quiet=0 log status=0 start=$SECONDS
  if [ "$1" = -q ]; then quiet=1 && shift; fi
  local what=$1
  shift
  log=$CACHE/logs/$(printf '%s' "$what" | tr -cs 'A-Za-z0-9' -).log
  say "$what"
  # The sleep must not hold the output open: who reads it would wait for the sleep to end.
  (while sleep 30 >/dev/null 2>&1 9>&- && kill -0 $$ 2>/dev/null; do note "still at it after $((SECONDS - start)) s"; done) &
  local beat=$!
  if [ $quiet = 1 ]; then
    "$@" >"$log" 2>&1 </dev/null || status=$?
  else
    "$@" </dev/null || status=$?
  fi
  kill $beat 2>/dev/null || true
  wait $beat 2>/dev/null || true
  [ $status = 0 ] && return
  if [ $quiet = 1 ]; then tail -n 25 "$log" >&2; fi
  die "failed (exit $status): $what${log:+$([ $quiet = 1 ] && echo "; the whole output is in $log")}"
}

# Waits for other runs with the same cache to end: in two clones at once they would take each other's files away.
take_turn() {
  if [ -n "${SAM2_HAS_TURN:-}" ] || ! command -v flock >/dev/null; then return 0; fi
  exec 9>"$CACHE/lock"
  if ! flock -n 9; then
    say "waiting for another run that uses $CACHE"
    flock 9
  fi
  export SAM2_HAS_TURN=1
}

# Makes a cargo target directory this clone's. Cargo tells a changed file by its time alone, so our own crates as
# another clone built them could pass for this one's; what they depend on is the same everywhere, and stays.
claim_target() {
  mkdir -p "$1"
  if [ "$(cat "$1/.clone" 2>/dev/null)" = "$ROOT" ]; then return 0; fi
  find "$1" -path '*/.fingerprint/*' \( -name 'sam2*' -o -name 'parity-*' \) -prune -exec rm -rf {} +
  echo "$ROOT" >"$1/.clone"
}

# The version of a package in Cargo.lock.
locked_version() { awk -v name="$1" '$1 == "name" && $3 == "\"" name "\"" { getline; gsub(/"/, "", $3); print $3; exit }' Cargo.lock; }

rustup_has_wasm() { [ -d "$(rustc --print target-libdir --target $WASM_TARGET 2>/dev/null)" ]; }

# Which compiler makes the wasm: rustup's where it has the target, else the one that setup made from Debian's packages.
# SAM2_WASM_TOOLCHAIN=rustup|debian forces either.
wasm_toolchain() {
  if [ -n "${SAM2_WASM_TOOLCHAIN:-}" ]; then
    echo "$SAM2_WASM_TOOLCHAIN"
  elif [ ! -x "$DEBIAN_TOOLCHAIN/bin/cargo" ] || rustup_has_wasm; then
    echo rustup
  else
    echo debian
  fi
}

# cargo by that compiler, into $CARGO_TARGET_DIR.
wasm_cargo() {
  take_turn
  claim_target "$CARGO_TARGET_DIR"
  if [ "$(wasm_toolchain)" = debian ]; then
    "$DEBIAN_TOOLCHAIN/bin/cargo" "$@"
  else
    cargo "$@"
  fi
}

wasm_rustc_version() {
  if [ "$(wasm_toolchain)" = debian ]; then "$DEBIAN_TOOLCHAIN/bin/rustc" -V; else rustc -V; fi
}

wasm_bindgen() { echo "$CACHE/tools/wasm-bindgen-$(locked_version wasm-bindgen)/bin/wasm-bindgen"; }

# The Chromium that runs the browser tests; prints nothing where there is none.
find_chromium() {
  local name
  for name in "${CHROMIUM_PATH:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if [ -n "$name" ] && command -v "$name" 2>/dev/null; then return; fi
  done
}
