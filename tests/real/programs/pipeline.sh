#!/bin/bash
# A slow pipeline of coreutils and awk. The throttle is inside: 50 rests of a tenth of a second.
set -o pipefail
seq 1 50000 |
    awk '{ print ($1 * 7919) % 100003, $1 }
         NR % 1000 == 0 { print NR >"progress"; close("progress"); system("sleep 0.1") }' |
    tee >(cksum >check) |
    sort -n | uniq | cut -d ' ' -f 1 | tr 0-9 a-j | paste -s -d ',\n' | fold -w 61 >result
status=$?
until [ -s check ]; do sleep 0.01; done
echo "pipeline ended with $status"
