#!/usr/bin/env bash
# Pushes what scripts/dist.sh made: the image and the chart, with the credentials
# that docker has.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-} image=${2:-} charts=${3:-}
if [ -z "$version" ] || [ -z "$image" ] || [ -z "$charts" ]; then
  echo "publish: say what goes where, as in make publish VERSION=1.2.3 IMAGE=ghcr.io/you/pac-lease-queue CHARTS=ghcr.io/you/charts" >&2
  exit 1
fi
chart=dist/pac-lease-queue-$version.tgz
if ! [ -f "$chart" ]; then
  echo "publish: $chart is not there: run make dist VERSION=$version first" >&2
  exit 1
fi

built=$(cat dist/image.digest)
pushed=$(go run ./scripts/image/cmd/image -out dist/push -version "$version" -ref "$image:$version" -push | sed -n 's/.*@\(sha256:.*\)/\1/p')
if [ "$pushed" != "$built" ]; then
  echo "publish: pushed $pushed, but make dist made $built: the sources have changed in between" >&2
  exit 1
fi
rm -r dist/push
"$(go run ./e2e/stack/cmd/build helm | awk '{print $2}')" push "$chart" "oci://$charts"
