#!/bin/bash
# A bash script that does a bit of everything a checkpoint may meet: subshells, traps, background jobs, a
# coprocess, process substitution, here-documents. Every line it writes is the same in every run. While there is a
# file "hold" it goes in slow motion, so that nobody who wants to interrupt it comes too late.

ticks=0
trap 'ticks=$((ticks + 1))' USR1
trap 'echo "leaves after $ticks ticks"' EXIT

# A subshell that lives through the whole script and says in its own trap what it was told.
(
    heard=0
    trap 'heard=$((heard + 1)); echo "$heard" >heard' USR2
    trap 'echo "subshell heard $heard"; exit 7' TERM
    echo 0 >heard
    while :; do sleep 0.05; done
) &
subshell=$!
until [ -s heard ]; do sleep 0.01; done

coproc DOUBLE { while read -r number; do echo $((number * 2)); done; }

total=0
for ((step = 1; step <= 100; step++)); do
    kill -USR1 $$
    echo "$step" >&"${DOUBLE[1]}"
    read -r doubled <&"${DOUBLE[0]}"
    sum=$( (for ((i = 0; i < step; i++)); do echo "$i"; done) | awk '{ sum += $1 } END { print sum + 0 }')
    total=$((total + doubled + sum))
    { [ -e hold ] && sleep 0.2; } &
    wait $!
    if ((step % 10 == 0)); then
        kill -USR2 $subshell
        until [ "$(cat heard)" = $((step / 10)) ]; do sleep 0.01; done
    fi
    echo "step $step doubled $doubled sum $sum total $total"
    echo "$step" >progress
done

kill -TERM $subshell
wait $subshell
echo "subshell left with $?"
diff <(seq 1 5) <(seq 2 6) || cat <<END
differences end with $?
END
exit 3
