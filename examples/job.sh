#!/bin/sh
# A job that may be interrupted at any time, in plain shell: run it again until it ends with 0.
#
#   job.sh COMMAND [ARGUMENT...]      goes on from job.crt if that exists, else starts COMMAND; output goes to job.log
#   JOB=name job.sh COMMAND ...       other names: name.crt, name.log
#
# SIGTERM and SIGINT save it and end it. Exit status: that of COMMAND; 75 (EX_TEMPFAIL) if it was saved, to be run again;
# 120 to 127 if crtool failed, see crtool(1).
set -u

job=${JOB:-job}
pid=
asked=
restored=

say() { printf 'job.sh: %s\n' "$*" >&2; }

save() {
    [ -n "$pid" ] || return # nobody is there yet, or any more
    trap '' TERM INT
    # To another name first: whatever fails, the old image is still there.
    crtool checkpoint "$pid" --kill --force -o "$job.new.crt"
    status=$?
    case $status in
    0)
        mv "$job.new.crt" "$job.crt"
        say "saved; run it again to go on"
        exit 75
        ;;
    121) say "it has just ended" ;;
    122) say "it cannot be saved, and goes on; end it with kill $pid if you must" ;;
    *) say "crtool has failed with status $status; the job goes on" ;;
    esac
    trap save TERM INT
}

# Until it is known whom to save, a signal is only remembered.
trap 'asked=yes' TERM INT
if [ -f "$job.crt" ]; then
    say "going on from $job.crt"
    rm -f "$job.pid"
    crtool restart --pidfile "$job.pid" "$job.crt" &
    restart=$!
    # crtool waits for the job, and ends as it ends; what is to be saved is the job itself.
    until [ -s "$job.pid" ] || ! kill -0 "$restart" 2>/dev/null; do sleep 0.1; done
    pid=$(cat "$job.pid" 2>/dev/null)
    waited=$restart
    restored=yes
else
    [ $# -gt 0 ] || { say "nothing to start: job.sh COMMAND [ARGUMENT...]"; exit 120; }
    # A session of its own and no terminal: so that nothing in it leads out of it.
    setsid "$@" </dev/null >>"$job.log" 2>&1 &
    pid=$!
    waited=$pid
fi
trap save TERM INT
[ -z "$asked" ] || save

# A signal with a trap ends wait early, with a status above 128: only when nobody is left to be waited for is it the job's.
while :; do
    wait "$waited"
    status=$?
    kill -0 "$waited" 2>/dev/null || break
done
case $status in
0) rm -f "$job.crt" "$job.pid" ;;
12[1-7])
    if [ -n "$restored" ]; then
        say "crtool could not go on with it (status $status); $job.crt is still there"
    else
        say "it has failed with status $status"
    fi
    ;;
*) say "it has failed with status $status" ;;
esac
exit "$status"
