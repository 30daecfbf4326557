#!/bin/sh
# Makes the Python environment of the tests and prints the path of its interpreter.
#
# Usage: python=$(tests/support/venv.sh) && "$python" -m pytest tests
# It lies outside the repository, in ${NARU_CACHE:-$HOME/.cache/naru}/venv/<hash>, so an unchanged
# requirements.txt costs nothing and a changed one never meets the packages of the old one.
# Safe when two run at once: a lock lets the second wait for the first.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
requirements="$here/../requirements.txt"
root="${NARU_CACHE:-$HOME/.cache/naru}/venv"

python=/usr/bin/python3
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  python=$(command -v python3 || true)
  if [ -z "$python" ] || ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "venv.sh: no python3 with the venv module: apt-get install python3-venv" >&2
    exit 1
  fi
fi

key=$({ "$python" --version; cat "$requirements"; } | sha256sum | cut -c1-16)
venv="$root/$key"
mkdir -p "$root"

exec 9>"$root/lock"
flock 9
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --requirement "$requirements" >&2; then
    echo "venv.sh: pip could not install $requirements (its message stands above);" \
      "check the network and run again" >&2
    exit 1
  fi
  touch "$venv/complete"
fi
echo "$venv/bin/python"
