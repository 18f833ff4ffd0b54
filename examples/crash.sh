#!/usr/bin/env bash
# A crash that takes long to come, caught, and opened in gdb: as the dead left it, and as it was shortly before.
#
#   crash.sh        needs gcc and gdb; works in a temporary folder
set -euo pipefail

folder=$(mktemp -d)
job=
trap 'status=$?; [ -z "$job" ] || kill -KILL "$job" 2>/dev/null || true; rm -rf "$folder"; exit $status' EXIT
cd "$folder"

cat >crash.c <<'C'
#include <stdio.h>
#include <unistd.h>

static int share(int number)
{
	return 1000 / number;
}

static void next(FILE *work)
{
	int number;

	if (fscanf(work, "%d", &number) == 1) {
		printf("%d\n", share(number));
		fflush(stdout);
	} else {
		clearerr(work); /* nothing to do now */
		usleep(20000);
	}
}

int main(void)
{
	FILE *work = fopen("work", "r");

	while (work)
		next(work);
}
C
gcc -g -O0 crash.c -o crash
printf '%s\n' 10 20 40 >work
setsid ./crash </dev/null >crash.log 2>&1 &
job=$!
until [ "$(wc -l <crash.log)" = 3 ]; do sleep 0.05; done

echo "== While it is well it is saved"
crtool checkpoint "$job" -o before.crt

echo "== Days later something comes that it cannot bear"
echo 0 >>work
status=0
wait "$job" 2>/dev/null || status=$?
job=
echo "it has ended with status $status"

echo "== What it was like before, in gdb"
crtool core before.crt -o before.core
gdb -nx -batch -ex backtrace ./crash before.core 2>/dev/null

echo "== Once more from there on, the same file before it, under gdb"
crtool restart --detach --leave-stopped --files ignore --pidfile again.pid before.crt
job=$(cat again.pid)
gdb -nx -batch -p "$job" -ex 'handle SIGSTOP nostop nopass' -ex 'signal SIGCONT' -ex backtrace -ex 'print number' 2>/dev/null
kill -KILL "$job" 2>/dev/null || true
job=
