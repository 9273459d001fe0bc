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

# need_room GIB: stops where the cache's disk has no room for that much, what is there already being counted in.
need_room() {
  local free held needed
  held=$(du -sk "$CACHE"/target-* 2>/dev/null | awk '{ sum += $1 } END { print int(sum / 1048576) }')
  free=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
  needed=$(($1 - held))
  # Something is always built.
  [ $needed -ge 2 ] || needed=2
  [ "$free" -ge $needed ] ||
    die "this needs $needed GiB, and the disk of $CACHE has $free free: make room, or set SAM2_CACHE to a folder on another disk"
}

# The names of the workspace's packages.
own_packages() { awk -F'"' '/^\[/ { package = $0 == "[package]" } package && /^name *=/ { print $2 }' crates/*/Cargo.toml tests/*/Cargo.toml; }

# claim_target DIRECTORY COMPILER: makes a cargo target directory this clone's. Cargo tells a changed file by its time
# alone, so our own crates as another clone built them could pass for this one's; and it never removes what an older state
# of the sources has built. So where the clone or a manifest is another than the last time, all that was built from the
# workspace goes, and of its dependencies those that Cargo.lock names no more. The others are the same everywhere, and stay.
claim_target() {
  local state profile package stem
  # No compiler can use what another one built.
  if [ -f "$1/.compiler" ] && [ "$(cat "$1/.compiler")" != "$2" ]; then rm -rf "$1"; fi
  state="$ROOT $(cat Cargo.toml Cargo.lock crates/*/Cargo.toml tests/*/Cargo.toml | hash_of)"
  if [ "$(cat "$1/.clone" 2>/dev/null)" = "$state" ]; then return 0; fi
  mkdir -p "$1"
  # Every profile's folder has one, below the target's where one was named.
  find "$1" -maxdepth 3 -name .fingerprint -prune | while read -r profile; do
    profile=${profile%/.fingerprint}
    # Only a workspace's own crates are built by increments, have examples, or lie beside deps.
    rm -rf "$profile/incremental" "$profile/examples"
    find "$profile" -maxdepth 1 -type f -not -name '.*' -exec rm -f {} +
    own_packages | while read -r package; do
      rm -rf "$profile/.fingerprint/$package"-???????????????? "$profile/build/$package"-????????????????
    done
    # In rustc's list of a crate's sources those of the workspace have relative paths, those of a dependency whole ones.
    [ -d "$profile/deps" ] || continue
    # shellcheck disable=SC2016
    find "$profile/deps" -name '*.d' -print0 | xargs -0 awk '
      FILENAME == "Cargo.lock" {
        gsub(/"/, "", $3)
        if ($1 == "name") name = $3
        if ($1 == "version") locked[name "-" $3] = 1
        next
      }
      FNR == 1 {
        sub(/^[^:]*: */, "")
        unused = !/^\//
        if (sub(/^.*\/registry\/src\/[^\/]*\//, "")) { sub(/\/.*/, ""); unused = !($0 in locked) }
        if (unused) print substr(FILENAME, 1, length(FILENAME) - 2)
      }' Cargo.lock | while read -r stem; do
      rm -f "$stem" "$stem".* "${stem%/*}/lib${stem##*/}".*
    done
  done
  echo "$2" >"$1/.compiler"
  echo "$state" >"$1/.clone"
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
  claim_target "$CARGO_TARGET_DIR" "$(wasm_rustc_version)"
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

# The first of the programs that there is; prints nothing where there is none.
find_program() {
  local name
  for name in "$@"; do
    if [ -n "$name" ] && command -v "$name" 2>/dev/null; then return; fi
  done
}

# The browsers that run the browser tests.
find_chromium() {
  find_program "${CHROMIUM_PATH:-}" chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
}
find_firefox() { find_program "${FIREFOX_PATH:-}" firefox-esr firefox; }
