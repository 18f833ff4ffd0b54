"""python -m http.server, and a client that takes a file from it slowly: two processes, one connection."""

import hashlib
import os
import socket
import subprocess
import sys
import time

SIZE = 3_000_000

with open("file.bin", "wb") as file:
    block = hashlib.sha256(b"slow").digest()
    while file.tell() < SIZE:
        block = hashlib.sha256(block).digest()
        file.write(block * 32)
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)  # fmt: skip
while True:
    try:
        client = socket.create_connection(("127.0.0.1", port))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
client.sendall(b"GET /file.bin HTTP/1.0\r\n\r\n")
reader = client.makefile("rb")
while (line := reader.readline()) != b"\r\n":
    if line.startswith((b"HTTP", b"Content-")):
        print(line)
found, digest = 0, hashlib.sha256()
while data := reader.read(20_000):
    found += len(data)
    digest.update(data)
    if found > SIZE // 4:
        with open("progress.new", "w") as file:
            file.write(str(found))
        os.rename("progress.new", "progress")
    while found > SIZE // 2 and os.path.exists("hold"):
        time.sleep(0.01)
print(found, digest.hexdigest())
server.terminate()
server.wait()
