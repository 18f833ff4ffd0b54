"""Two who talk through two socats: over a unix socket, then TCP, and at last a pseudoterminal with cat behind it."""

import os
import socket
import subprocess
import time

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
relays = [
    subprocess.Popen(["socat", "UNIX-LISTEN:chat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"]),
    subprocess.Popen(["socat", f"TCP:127.0.0.1:{port},retry=200,interval=0.05", "EXEC:cat,pty,raw,echo=0"]),
]
while not os.path.exists("chat"):
    time.sleep(0.01)
client = socket.socket(socket.AF_UNIX)
client.connect("chat")
reader = client.makefile("rb")
AHEAD = 50  # lines that are under way
for number in range(1200):
    client.sendall(b"line %d %s\n" % (number, b"." * (number % 70)))
    if number >= AHEAD:
        line = reader.readline()
        if number % 200 == 0:
            print(line.decode().strip(), flush=True)
        if number % 20 == 0:
            with open("progress.new", "w") as file:
                file.write(str(number))
            os.rename("progress.new", "progress")
        if os.path.exists("hold"):
            time.sleep(0.005)
client.shutdown(socket.SHUT_WR)
print([reader.readline() for _ in range(AHEAD)][-1], reader.read())
print([relay.wait() for relay in relays])
