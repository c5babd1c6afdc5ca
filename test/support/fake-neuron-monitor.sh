#!/bin/sh
# Stands in for neuron-monitor where tests need a real process. What it does is asked for with the member "behaviour" of the
# configuration file: one record a second for ever when there is none. Files it leaves for the test go to TMPDIR.

record() {
  printf '{"neuron_runtime_data":[],"system_data":{"memory_info":{"period":%s,"memory_used_bytes":%s,"error":""}},"instance_info":{"error":""},"neuron_hardware_info":{"error":""}}\n' "$1" "$2"
}

config=/dev/null
if [ "$1" = '-c' ]; then config=$2; fi
behaviour=$(sed -n 's/.*"behaviour":"\([a-z-]*\)".*/\1/p' "$config")

case $behaviour in
  dies)
    record 0.001 1
    record 1 2
    exit 3
    ;;
  complains)
    echo 'unknown metric group "self_stat", available: vcpu_usage, memory_info' >&2
    exit 1
    ;;
  torn)
    record 0.001 1
    record 1 2 | head -c 40
    exit 0
    ;;
  lies)
    echo 'neuron-monitor: warming up'
    echo '{"system_data":{"memory_info":{"period":NaN}}}'
    record 1e400 7
    exec sleep 1000
    ;;
  stubborn)
    trap '' TERM
    echo $$ > "$TMPDIR/pid"
    record 0.001 1
    while :; do sleep 1000; done
    ;;
  leaves-a-child)
    sleep 1000 &
    echo $! > "$TMPDIR/grandchild"
    record 0.001 1
    exit 0
    ;;
  has-a-child)
    sleep 1000 &
    echo $! > "$TMPDIR/grandchild"
    echo $$ > "$TMPDIR/pid"
    record 0.001 1
    wait
    ;;
  noisy)
    yes "$(date +%s) cannot read counter 12345678901234567890" | head -c 2000000 >&2
    record 0.001 1
    exec sleep 1000
    ;;
  silent)
    record 0.001 1
    exec sleep 1000
    ;;
  closes)
    echo $$ > "$TMPDIR/pid"
    record 0.001 1
    exec sleep 1000 >&-
    ;;
  tells)
    env > "$TMPDIR/environment"
    printf '%s\n' "$@" > "$TMPDIR/arguments"
    stat -c '%a %u' "$config" "$(dirname "$config")" > "$TMPDIR/modes"
    cat "$config" > "$TMPDIR/configuration"
    ps -o pgid= -o pid= -p $$ > "$TMPDIR/group"
    readlink /proc/$$/fd/0 > "$TMPDIR/stdin"
    pwd > "$TMPDIR/folder"
    record 0.001 1
    exec sleep 1000
    ;;
  *)
    period=0.001
    while :; do
      record $period 1
      period=1
      sleep 1
    done
    ;;
esac
