#!/usr/bin/env bash
# Draws the secrets of docker-compose.yml once; what is there already stays.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
for name in agents.token clients.token grafana.password; do
  [ -s "secrets/$name" ] || { head -c 24 /dev/urandom | base64 | tr -d '\n' >"secrets/$name"; chmod 0444 "secrets/$name"; }
done
