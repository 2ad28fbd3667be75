#!/bin/sh
# Measures Separate on a machine with a GPU and without a network. PYTHON chooses the interpreter (default python3).
#   bash bench/gpu.sh pack DIR [--python 3.12] [--torch]   here: fills DIR with this commit's tree and wheels
#   bash DIR/tree/bench/gpu.sh run DIR [--small] [--device cpu]   there: ten figures in at most eight minutes
# The lines also go to gpu.jsonl in OUT (default DIR).
set -eu

usage() {
  sed -n '3,4s/^# *//p' "$0" >&2
  exit 64
}

[ $# -ge 2 ] || usage
command=$1 folder=$2
shift 2
tree=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}

case $command in
pack)
  exec "$python" "$tree/bench/gpu/bundle.py" "$folder" "$@"
  ;;
run)
  packages=
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  if [ -d "$folder/wheels" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$folder"/wheels/*.whl
    packages=$site:
  fi
  export PYTHONPATH="$packages$tree/crds:$tree/runner:$tree/dev" PYTHONUNBUFFERED=1
  timeout -k 10 475 "$python" "$tree/bench/gpu/measure.py" --lines "${OUT:-$folder}/gpu.jsonl" "$@"
  ;;
*) usage ;;
esac
