#!/bin/bash
#SBATCH --job-name=crtool-job
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#
# A job that is longer than its time limit: sbatch slurm.sh COMMAND [ARGUMENT...]
#
# Slurm sends SIGTERM to this script (B:) 120 seconds before the end, and when the job is preempted, if it is configured so
# (preempt_send_user_signal and GraceTime in slurm.conf(5)). It is saved, ended and put back into the queue; when Slurm starts
# it again, it goes on. --open-mode=append keeps the output of the former time. The folder must be one that all nodes see.
set -u

images=${SLURM_SUBMIT_DIR:-.}/crtool-${SLURM_JOB_ID:?not run by Slurm}.d

# A session of its own for what is saved: Slurm's own processes and pipes must not be in the tree.
crtool run --image "$images" --keep 2 --every 30m --on-signal TERM --on-checkpoint-exit 75 -- "$@" </dev/null &
run=$!
trap 'kill -TERM "$run"' TERM

while :; do
    wait "$run"
    status=$?
    kill -0 "$run" 2>/dev/null || break # else it was the trap that ended wait
done
if [ "$status" = 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
    exit 0
fi
exit "$status"
