#!/bin/sh
# Makes or refreshes .venv from the hashed locks. Usage: dev/venv.sh (from the repository root; `make venv` calls it)
#   PYTHON   the interpreter to start from (default python3; 3.11 or later)
# Only pip of that interpreter is trusted to begin with: it installs the pinned uv, and uv does the rest.
set -eu

venv=.venv
python=${PYTHON:-python3}

fail() {
  echo "venv: $*" >&2
  exit 1
}

can_make_venvs() {
  "$python" -c 'import ensurepip, venv' 2>/dev/null
}

if ! command -v "$python" >/dev/null; then fail "'$python' is not found; install Python 3.11 or later, or set PYTHON=/path/to/python"; fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  fail "'$python' is $("$python" -V 2>&1); Python 3.11 or later is needed: set PYTHON=/path/to/python3.11"
fi
if ! can_make_venvs; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "venv: installing python3-venv, which this Python lacks"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  fi
  can_make_venvs || fail "'$python' cannot make virtual environments; install its venv module (Debian, Ubuntu: apt-get install python3-venv)"
fi

# A virtual environment that lost its interpreter (an upgraded or moved Python) is made anew.
if ! "$venv/bin/python" -c '' 2>/dev/null; then "$python" -m venv --clear "$venv"; fi
rm -f "$venv/.installed"

echo "venv: installing the locked packages into $venv (about 2 GB with torch the first time)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
# The certificates that this machine trusts, as pip and apt use them, unless the user names others.
[ -n "${SSL_CERT_FILE:-}" ] || export UV_SYSTEM_CERTS=1
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"
"$venv/bin/uv" pip sync --quiet --require-hashes --python "$venv/bin/python" requirements/dev.txt
"$venv/bin/uv" pip install --quiet --no-deps --no-build-isolation --python "$venv/bin/python" --editable .
touch "$venv/.installed"
