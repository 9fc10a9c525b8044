#!/usr/bin/env bash
# Prints the combinations of backend, hold, Git provider and Kubernetes that the
# nightly end-to-end tests run, as a JSON list. Each of BACKEND, HOLD and
# PROVIDER narrows it down, unless it is empty or "all", and KUBERNETES_VERSION does;
# GitHub and GitLab are there with HAS_GITHUB and HAS_GITLAB, in one combination each:
# what differs between providers is the same in all of them. In "mixed" Gitea meets
# those that are there.
set -euo pipefail

# The newest and the oldest that the pinned release of kind has node images for; an image made for
# another release may not work. make versions plays older ones.
newest=${KUBERNETES_VERSION:-1.37.0} oldest=1.34.11
# The chart refuses the policy before Kubernetes 1.36.
hold=policy
if [ "$(printf '%s\n' 1.36 "$newest" | sort -V | head -n 1)" != 1.36 ]; then hold=webhook; fi
rows=()
row() { # BACKEND HOLD PROVIDER KUBERNETES
  local given
  for given in "${BACKEND:-all}/$1" "${HOLD:-all}/$2" "${PROVIDER:-all}/$3"; do
    case $given in
    all/* | "${given#*/}/${given#*/}") ;;
    *) return 0 ;;
    esac
  done
  rows+=("{\"backend\":\"$1\",\"hold\":\"$2\",\"provider\":\"$3\",\"kubernetes\":\"$4\"}")
}

for backend in lease memory; do
  if [ $hold = policy ]; then row $backend policy gitea "$newest"; fi
  row $backend webhook gitea "$newest"
  if [ -z "${KUBERNETES_VERSION:-}" ]; then row $backend webhook gitea $oldest; fi
done
if [ -n "${HAS_GITHUB:-}" ]; then row lease $hold github "$newest"; fi
if [ -n "${HAS_GITLAB:-}" ]; then row lease $hold gitlab "$newest"; fi
if [ -n "${HAS_GITHUB:-}${HAS_GITLAB:-}" ]; then row lease $hold mixed "$newest"; fi

if [ ${#rows[@]} -eq 0 ]; then
  echo "e2e-matrix: no combination has backend ${BACKEND:-any}, hold ${HOLD:-any}, provider ${PROVIDER:-any} and Kubernetes $newest; the policy needs 1.36; GitHub and GitLab need a token, and run with lease and $hold" >&2
  exit 1
fi
(IFS=, && echo "[${rows[*]}]")
