#!/bin/sh
# Throughput of `otp-vm run kv` beside redis-server: pairs in turns on the same machine, and the median ratio.
#
#   bin/scripts/compare_redis.sh [PATH-TO-otp-vm]
#
# PAIRS (3), REQUESTS (200000), CLIENTS (50) and SCHEDULERS (kv's, by default a thread for each core) may be set in the
# environment. Needs redis-server and redis-benchmark.
set -eu

kv=${1:-target/release/otp-vm}
pairs=${PAIRS:-3}
requests=${REQUESTS:-200000}
clients=${CLIENTS:-50}
kv_port=17380
redis_port=17379
work=$(mktemp -d)
kv_pid= redis_pid=

stop() {
    for pid in $kv_pid $redis_pid; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM

# shellcheck disable=SC2086
RUST_LOG=warn "$kv" run ${SCHEDULERS:+--schedulers $SCHEDULERS} kv --listen 127.0.0.1:$kv_port >"$work/kv" & kv_pid=$!
redis-server --port $redis_port --bind 127.0.0.1 --save '' --appendonly no >"$work/redis" & redis_pid=$!

for port in $kv_port $redis_port; do
    tries=0
    until redis-cli -p $port ping >"$work/ping" 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "no server on port $port" >&2; exit 1; }
        sleep 0.1
    done
done

# measure PORT TEST OPTIONS...: requests a second
measure() {
    port=$1 test=$2
    shift 2
    redis-benchmark -p "$port" -t "$test" -n "$requests" -c "$clients" --csv "$@" | awk -F'"' 'END { print $4 }'
}

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

for pipeline in 1 16; do
    for test in set get; do
        : >"$work/ratios"
        pair=0
        while [ $pair -lt "$pairs" ]; do
            pair=$((pair + 1))
            redis=$(measure $redis_port $test -P $pipeline)
            ours=$(measure $kv_port $test -P $pipeline)
            awk -v ours="$ours" -v redis="$redis" 'BEGIN { printf "%.3f\n", ours / redis }' >>"$work/ratios"
            printf '%s -P %-2s  kv %10.0f/s  redis %10.0f/s\n' "$test" $pipeline "$ours" "$redis"
        done
        printf '%s -P %-2s  median ratio %s\n' "$test" $pipeline "$(median <"$work/ratios")"
    done
done
