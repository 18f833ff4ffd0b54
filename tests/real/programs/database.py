"""A PostgreSQL server with a psql in the middle of a transaction, all of one tree.

Started in an empty folder; PostgreSQL does not run as root, so everything else is done by the user postgres in the
folder given. Writes ``open`` once the transaction is open, goes on when there is a file ``go``, and writes what it has
found to ``result``.
"""

from __future__ import annotations

import glob
import os
import subprocess
import sys
import time
from pathlib import Path

HOME = Path(sys.argv[1])
BIN = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1])
ENVIRONMENT = {"PATH": f"{BIN}:/usr/bin:/bin", "PGHOST": str(HOME), "PGDATABASE": "postgres", "LC_ALL": "C"}
BEFORE = """
CREATE EXTENSION amcheck;
CREATE TABLE numbers (number int PRIMARY KEY, square bigint);
INSERT INTO numbers SELECT n, n * n FROM generate_series(1, 10000) n;
"""
FIRST_HALF = """
BEGIN;
INSERT INTO numbers SELECT n, n::bigint * n FROM generate_series(10001, 20000) n;
UPDATE numbers SET square = -square WHERE number % 2 = 0;
SELECT pg_advisory_lock(42);
SELECT 'open', count(*), sum(square) FROM numbers;
"""
SECOND_HALF = """
SELECT 'again', count(*), sum(square), pg_backend_pid() = :pid FROM numbers;
INSERT INTO numbers VALUES (0, 0);
COMMIT;
SELECT 'locks', count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
\\q
"""
AFTER = """
SELECT count(*), sum(square) FROM numbers;
SELECT 'indexes', count(bt_index_parent_check(c.oid, true, true)::text) > 100
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree';
SELECT 'corrupt', count(*) FROM pg_class c, LATERAL verify_heapam(c.oid) WHERE c.relkind = 'r';
SELECT 'sums', (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history);
"""


def run(*command: str, text: str = "") -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=HOME, env=ENVIRONMENT, user="postgres", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def main() -> None:
    run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "-D", "data")
    options = ("-c", "fsync=off", "-c", f"unix_socket_directories={HOME}", "-c", "listen_addresses=")
    with open(HOME / "log", "ab") as log:
        server = subprocess.Popen(
            ["postgres", "-D", "data", *options],
            cwd=HOME, env=ENVIRONMENT, user="postgres", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    psql = ("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1")
    while subprocess.run(["pg_isready", "-q"], env=ENVIRONMENT, check=False).returncode:
        assert server.poll() is None, (HOME / "log").read_text()
        time.sleep(0.05)
    run(*psql, text=BEFORE)
    run("pgbench", "-i", "-q", "-s", "1")
    run("pgbench", "-n", "-c", "4", "-t", "100")
    with subprocess.Popen(
        psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HOME, env=ENVIRONMENT, user="postgres"
    ) as client:
        assert client.stdin and client.stdout
        client.stdin.write("SELECT pg_backend_pid() AS pid \\gset\n" + FIRST_HALF)
        client.stdin.flush()
        lines = [client.stdout.readline() for _ in range(2)]
        Path("open").write_text("".join(lines))
        while not os.path.exists("go"):
            time.sleep(0.02)
        # What is not committed is not seen by others, who are served meanwhile.
        lines.append("meanwhile " + run(*psql, text="SELECT count(*) FROM numbers;"))
        run("pgbench", "-n", "-c", "4", "-t", "100")
        client.stdin.write(SECOND_HALF)
        client.stdin.flush()
        lines.extend(client.stdout.readlines())
        assert client.wait(60) == 0
    lines.append(run(*psql, text=AFTER))
    server.terminate()
    lines.append(f"server {server.wait(60)}\n")
    Path("result.new").write_text("".join(lines))
    os.rename("result.new", "result")


main()
