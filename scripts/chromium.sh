#!/usr/bin/env bash
# Prints the path of a Chromium or Chrome, for the tests of the board. Where there is none, it
# installs Debian's or Ubuntu's package, if it may.
set -euo pipefail

find_browser() {
  local name
  for name in "${CHROMIUM:-chromium}" chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name"; then
      return 0
    fi
  done
  return 1
}

if find_browser; then
  exit 0
fi
as_root=()
if [[ $(id -u) != 0 ]]; then
  as_root=(sudo -n)
fi
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
  echo "There is no Chromium, and it cannot be installed here: install it, or name one in CHROMIUM." >&2
  exit 1
fi
{
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium
} >&2
find_browser
