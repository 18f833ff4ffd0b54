#!/bin/bash
# A pipeline of coreutils and awk. The throttle is inside: a hundred rests while there is a file "hold".
set -o pipefail
seq 1 100000 |
    awk '{ print ($1 * 7919) % 100003, $1 }
         NR % 1000 == 0 { print NR >"progress"; close("progress"); system("if [ -e hold ]; then sleep 0.2; fi") }' |
    tee >(cksum >check) |
    sort -n | uniq | cut -d ' ' -f 1 | tr 0-9 a-j | paste -s -d ',\n' | fold -w 61 >result
status=$?
until [ -s check ]; do sleep 0.01; done
echo "pipeline ended with $status"
