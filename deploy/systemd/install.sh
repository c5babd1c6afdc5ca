#!/bin/sh
# Installs the built agent (dist/) and its systemd unit. An existing configuration is kept. DESTDIR names a folder to install
# below, for packages and tests; systemd is reloaded only without it.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
destination=${DESTDIR:-}

if [ ! -f "$root/dist/neuron-otel.cjs" ]; then
  echo "install.sh: $root/dist/neuron-otel.cjs is missing: run 'npm ci && npm run build' first" >&2
  exit 1
fi
if [ -z "$destination" ] && [ "$(id -u)" != 0 ]; then
  echo "install.sh: needs root to write to /usr/lib and /etc: run it with sudo, or set DESTDIR" >&2
  exit 1
fi

install -D -m 755 -t "$destination/usr/lib/neuron-otel" "$root/dist/neuron-otel.cjs"
install -D -m 644 -t "$destination/usr/lib/neuron-otel" "$root"/dist/*-worker.cjs "$root"/dist/exporter-*.cjs
install -D -m 644 -t "$destination/usr/lib/neuron-otel" "$root/dist/LICENSE" "$root/dist/THIRD-PARTY-LICENCES.txt"
install -D -m 644 -t "$destination/etc/systemd/system" "$root/deploy/systemd/neuron-otel.service"
configuration=$destination/etc/neuron-otel/neuron-otel.yaml
if [ -e "$configuration" ]; then
  echo "install.sh: kept $configuration"
else
  install -D -m 644 "$root/deploy/systemd/neuron-otel.yaml" "$configuration"
fi
if [ -z "$destination" ]; then systemctl daemon-reload; fi
echo "install.sh: installed; start it with: systemctl enable --now neuron-otel"
