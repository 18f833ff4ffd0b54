"""A server and a thousand clients, all in one process (asyncio): each connection passes numbers round after round."""

import asyncio
import hashlib
import os
import resource
import socket

CLIENTS, ROUNDS = 1000, 12
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def pair() -> tuple[socket.socket, socket.socket]:
    """In place of socketpair(2), as asyncio has it on other systems: the loop wakes itself up over TCP, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


socket.socketpair = pair


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    total = 0
    while line := await reader.readline():
        total += int(line)
        writer.write(f"{total}\n".encode() * (1 + total % 3))
        await writer.drain()
    writer.close()


class Client:
    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number, self.reader, self.writer = number, reader, writer
        self.total, self.heard = 0, hashlib.sha256()

    async def turn(self, number: int) -> None:
        self.writer.write(f"{self.number * number}\n".encode())
        self.total += self.number * number
        for _ in range(1 + self.total % 3):
            line = await self.reader.readline()
            assert int(line) == self.total, (line, self.total)
            self.heard.update(line)


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    clients = [Client(number, *await asyncio.open_connection(host, port)) for number in range(CLIENTS)]
    for number in range(ROUNDS):
        await asyncio.gather(*(client.turn(number) for client in clients))
        with open("progress.new", "w") as file:
            file.write(str(number))
        os.rename("progress.new", "progress")
        while number == ROUNDS // 2 and os.path.exists("hold"):
            await asyncio.gather(*(client.turn(0) for client in clients[:50]))
            for client in clients[:50]:
                client.heard = hashlib.sha256()
    for client in clients:
        if client.number >= 50:
            print(client.number, client.total, client.heard.hexdigest())


asyncio.run(main())
