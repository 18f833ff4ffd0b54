#!/usr/bin/env bash
# A service of a Java virtual machine, started warm: loaded once, saved, and brought back with its threads, its heap, its
# compiled code, and its port. Needs java 17 or newer, which runs Warm.java as it stands, and curl.
#
#   examples/warm-jvm.sh [PORT]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
port=${1:-8765}
folder=$(mktemp -d)
service=
cleanup() {
    status=$?
    [ -z "$service" ] || kill -KILL "$service" 2>/dev/null || true
    cd / && rm -rf "$folder"
    exit "$status"
}
trap cleanup EXIT
cd "$folder"

now() { date +%s%3N; }  # milliseconds
await() {               # the first answer, and how long after $1 it has come
    until answer=$(curl -sf "http://127.0.0.1:$port/17"); do
        kill -0 "$service" || exit 1
        sleep 0.02
    done
    echo "17 x 17 = $answer, $(($(now) - $1)) ms after the start"
}

echo "== Cold"
began=$(now)
java -XX:+UseSerialGC -Xmx128m "$here/Warm.java" "$port" >service.log 2>&1 </dev/null &
service=$!
await "$began"

echo "== Saved, and ended"
crtool checkpoint "$service" --kill -o warm.crt
wait "$service" || true

echo "== Warm"
began=$(now)
crtool restart --detach --pidfile warm.pid warm.crt
service=$(cat warm.pid)
await "$began"
