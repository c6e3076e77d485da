"""The origin of the soak: an HTTP server with good and bad manners, an echo server, and a name server that knows no name.

    origin.py HTTP_PORT ECHO_PORT DNS_PORT

Runs until it is ended. Every address of 127.0.0.0/8 leads to it.
"""
import asyncio, hashlib, os, sys

BLOCK = bytes(range(256)) * 256  # 64 KiB


async def head_of(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head[:-4].decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    return method, target, {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}


async def body_of(reader, fields):
    if "content-length" in fields:
        left = int(fields["content-length"])
        while left > 0:
            piece = await reader.read(min(left, 65536))
            if not piece:
                raise ConnectionError("the body broke off")
            left -= len(piece)
            yield piece
    elif "transfer-encoding" in fields:
        while size := int((await reader.readline()).split(b";")[0], 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        while (await reader.readline()) != b"\r\n":
            pass


async def send_length(writer, length):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    while length > 0:
        piece = BLOCK[:min(length, len(BLOCK))]
        writer.write(piece)
        length -= len(piece)
        await writer.drain()


async def answer(reader, writer):
    """One request; whether another may follow."""
    method, target, fields = await head_of(reader)
    if fields.get("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    digest, length = hashlib.sha256(), 0
    async for piece in body_of(reader, fields):
        digest.update(piece)
        length += len(piece)
    kind, _, argument = target.strip("/").partition("/")
    if kind == "digest":
        text = f"{length} {digest.hexdigest()}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
    elif kind == "length":
        await send_length(writer, int(argument))
    elif kind == "chunks":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n")
        for at in range(int(argument)):
            piece = BLOCK[:at % 4096 + 1]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\nX-End: yes\r\n\r\n")
    elif kind == "close":
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + BLOCK[:5000])
        return False
    elif kind == "interim":
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * int(argument))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    elif kind == "dripped-head":
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 600:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)
    elif kind == "endless-head":
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for at in range(100_000):
            writer.write(b"X-%d: %s\r\n" % (at, b"b" * 100))
            await writer.drain()
        return False
    elif kind == "endless-extension":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
        for _ in range(1000):
            writer.write(b"c" * 1000)
            await writer.drain()
        return False
    elif kind == "endless-trailers":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")
        for at in range(10_000):
            writer.write(b"X-%d: %s\r\n" % (at, b"d" * 100))
            await writer.drain()
        return False
    elif kind == "broken":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + BLOCK[:500])
        return False
    elif kind == "reset":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + BLOCK[:500])
        await writer.drain()
        writer.transport.abort()
        return False
    elif kind == "nonsense":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello")
        return False
    elif kind == "silent":
        await asyncio.sleep(3600)
    elif kind == "websocket":
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        await echo(reader, writer)
        return False
    else:
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    return True


async def serve(reader, writer):
    try:
        while await answer(reader, writer):
            pass
        await writer.drain()
    except (OSError, EOFError, ValueError):
        pass  # the proxy cut it off, as it often should
    finally:
        writer.close()


async def echo(reader, writer):
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        await writer.drain()
    except (OSError, EOFError):
        pass
    finally:
        writer.close()


class NoNames(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, peer):
        if len(query) > 16 and b"silent" not in query:
            end = query.index(0, 12) + 5
            self.transport.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + query[12:end], peer)


async def main(http, echo_port, dns):
    await asyncio.start_server(serve, "0.0.0.0", http, backlog=4096, limit=1 << 20)
    await asyncio.start_server(echo, "0.0.0.0", echo_port, backlog=4096)
    await asyncio.get_running_loop().create_datagram_endpoint(NoNames, local_addr=("127.0.0.1", dns))
    print("ready", flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # without its parent, no process would end it
        await asyncio.sleep(1)


if __name__ == "__main__":
    import resource
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(*map(int, sys.argv[1:])))
