"""The origin of the proof: answers every GET with one byte, and every tunnel with 64.

    origin.py HTTP_PORT TLS_PORT

Runs until it is ended. `GET /count` that comes without the proxy says how many other requests there were.
"""
import asyncio, os, sys

served = 0


class Http(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        global served
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        answers = []
        for head in heads:
            if head.startswith(b"GET /count "):
                answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n%12d" % served)
            else:
                served += 1
                answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        self.transport.write(b"".join(answers))


class Tls(asyncio.Protocol):
    """Not TLS: what the proxy cares for is the client's hello, and that has come when this answers."""

    def connection_made(self, transport):
        self.transport, self.said = transport, False

    def data_received(self, _):
        if not self.said:
            self.said = True
            self.transport.write(b"S" * 64)


async def main(http, tls):
    loop = asyncio.get_running_loop()
    await loop.create_server(Http, "0.0.0.0", http, backlog=4096)
    await loop.create_server(Tls, "0.0.0.0", tls, backlog=4096)
    print("ready", flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # without its parent, no process would end it
        await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
