#!/usr/bin/env bash
# Runs shellcheck, which is not to be had as a Go module: the one that is
# installed, or else Debian's, unpacked into the cache without root.
#
#   scripts/shellcheck.sh FILE...
set -euo pipefail

cache=${PAC_LEASE_QUEUE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pac-lease-queue}/shellcheck

if command -v shellcheck >/dev/null; then
  exec shellcheck "$@"
fi
if [ ! -x "$cache/usr/bin/shellcheck" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "shellcheck.sh: install shellcheck (https://www.shellcheck.net), it is neither here nor to be had from Debian's packages" >&2
    exit 1
  fi
  mkdir -p "$cache"
  cd "$cache"
  apt-get download -qq shellcheck >/dev/null 2>&1 || { apt-get update -qq >&2 && apt-get download -qq shellcheck >&2; }
  dpkg -x shellcheck_*.deb .
  rm -f shellcheck_*.deb
  cd - >/dev/null
fi
exec "$cache/usr/bin/shellcheck" "$@"
