#!/usr/bin/env bash
# From nothing to a computation that is saved in mid-work, killed, and brought back, to the same result as one that was
# never interrupted. Needs Linux and Python 3.10, no root; changes nothing outside of a temporary folder, which it removes.
#
#   examples/quickstart.sh            uses the repository's .venv if there is one, else makes one of its own
#   CRTOOL_VENV=DIR examples/quickstart.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
python=${PYTHON:-python3}
limit=${1:-40000000}
# Lines that the computation has printed when it is saved, of ten times as many: a slow machine has time to do it.
enough=$((limit / 1000000))

folder=$(mktemp -d)
job=
reference=
cleanup() {
    status=$?
    for pid in $job $reference; do
        kill -KILL -- "-$pid" 2>/dev/null || true # the process group: the computation and its worker
    done
    cd / && rm -rf "$folder"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n%s\n' "$*"; }
show() { # prints a command and runs it
    printf '$ %s\n' "$*"
    "$@"
}
fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

[ "$(uname -s)" = Linux ] || fail "crtool is for Linux"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is older than 3.10; set PYTHON"

say "Setting up"
venv=${CRTOOL_VENV:-$root/.venv}
if [ -x "$venv/bin/crtool" ] && "$venv/bin/crtool" --version >"$folder/version" 2>&1; then
    printf '%s from %s\n' "$(cat "$folder/version")" "$venv"
else
    venv=$folder/venv
    "$python" -m venv "$venv" 2>"$folder/venv.log" || fail "$python has no venv (Debian: apt-get install python3-venv)"
    show "$venv/bin/pip" install --quiet --disable-pip-version-check "$root"
fi
export PATH="$venv/bin:$PATH"
cp "$here/primes.py" "$folder"
cd "$folder"

# In a session of its own, without what this script may have inherited from whoever started it: what leads out of the
# tree cannot be saved.
start() {
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    exec setsid python primes.py "$limit" </dev/null >"$1" 2>&1
}

# Whether a process, or one that is dead and has not been waited for, is in session $1: see /proc/PID/stat in proc(5).
any_in_session() {
    local stat line session
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        read -r _ _ _ session _ <<<"${line##*) }"
        [ "$session" != "$1" ] || return 0
    done
    return 1
}

say "The same computation twice: one is left alone, for comparison"
(start reference.log) &
reference=$!
(start primes.log) &
job=$!
disown "$job" # or bash would announce its end
printf '$ python primes.py %s > primes.log &\n' "$limit"
for _ in $(seq 1200); do
    [ "$(wc -l <primes.log 2>/dev/null || echo 0)" -lt "$enough" ] || break
    kill -0 "$job" 2>/dev/null || fail "the computation ended early: $(tail -n 3 primes.log)"
    sleep 0.05
done
show tail -n 1 primes.log

say "In mid-work it is saved to one file, and killed"
show crtool checkpoint "$job" --kill -o primes.crt
# The dead keep their PIDs until their parents have waited for them; that of the worker is init now.
for _ in $(seq 200); do
    any_in_session "$job" || break
    sleep 0.05
done
show crtool show primes.crt
printf '$ kill -0 %s\n' "$job"
if (kill -0 "$job") 2>messages; then
    fail "PID $job still runs"
fi
sed 's/^.*kill: /kill: /' messages

say "It comes back, with its PIDs, its open files and what was in the pipe, and goes on"
show crtool restart primes.crt
job=
show tail -n 2 primes.log

say "The one that was left alone"
wait "$reference" || fail "the uninterrupted computation failed: $(tail -n 3 reference.log)"
reference=
show tail -n 2 reference.log
show cmp primes.log reference.log || fail "the results differ"
say "Not one of $(wc -l <primes.log) lines differs."
