"""The clients of the soak, good, bad and slow. Each is one coroutine, `async def name(world)`: it returns when it is done
and raises Wrong when the proxy answered what it must not."""
import asyncio, hashlib, os, random, socket, struct

BLOCK = bytes(range(256)) * 256
# Longer than any limit that the soak configures: a client that waits this long has found a wait without an end.
PATIENCE = 40


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


class Conn:
    """A connection to the proxy, from a loopback address of its own choice."""

    async def open(self, world, port=None, small=False):
        """`small`: a small receive buffer, so that the sender soon has to wait."""
        sock = socket.socket()
        sock.setblocking(False)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Many source addresses: ports of closed connections are not free again at once.
        sock.bind((f"127.0.1.{random.randrange(1, 250)}", 0))
        try:
            connecting = asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port or world.port))
            await asyncio.wait_for(connecting, PATIENCE)
            self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=1 << 20)
        except BaseException:
            sock.close()
            raise
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort() if self.writer.transport.get_write_buffer_size() else self.writer.close()

    async def send(self, data):
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), PATIENCE)

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def exactly(self, count):
        return await asyncio.wait_for(self.reader.readexactly(count), PATIENCE)

    async def rest(self):
        """How many bytes until the end, however it comes."""
        count = 0
        try:
            while piece := await asyncio.wait_for(self.reader.read(65536), PATIENCE):
                count += len(piece)
        except OSError:
            pass
        return count

    async def head(self):
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        line, *fields = head[:-4].decode("latin-1").split("\r\n")
        pairs = [field.partition(":") for field in fields]
        return int(line.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def answer(self, method="GET"):
        """Status and body of the next final answer."""
        status, fields = await self.head()
        while status < 200 and status != 101:
            status, fields = await self.head()
        if method == "HEAD" or status in (101, 204, 304) or (method == "CONNECT" and status == 200):
            return status, b""
        if "content-length" in fields:
            return status, await self.exactly(int(fields["content-length"]))
        if "transfer-encoding" not in fields:
            return status, b"x" * await self.rest()
        body = bytearray()
        while size := int(await asyncio.wait_for(self.reader.readline(), PATIENCE), 16):
            body += await self.exactly(size)
            await self.exactly(2)
        while await asyncio.wait_for(self.reader.readline(), PATIENCE) != b"\r\n":
            pass
        return status, bytes(body)


def request(world, target, method="GET", host="ok.test", fields="", port=None):
    authority = f"{host}:{port or world.http}"
    return f"{method} http://{authority}{target} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n".encode()


async def tunnel(world, conn, host="ok.test", port=None):
    authority = f"{host}:{port or world.echo}"
    await conn.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    return await conn.answer("CONNECT")


# ---------------------------------------------------------------- good

async def echo_tunnel(world):
    async with await Conn().open(world) as conn:
        expect((await tunnel(world, conn))[0] == 200, "a tunnel was refused")
        for turn in range(random.randrange(1, 6)):
            data = os.urandom(random.choice((1, 100, 5000, 60000)))
            if turn == 0:
                # What begins as a record of TLS does is judged as one, also where TLS is optional.
                data = b"S" + data[1:]
            await conn.send(data)
            expect(await conn.exactly(len(data)) == data, "an echo is not what was said")
        if random.random() < 0.7:
            conn.writer.write_eof()
            expect(await conn.rest() == 0, "bytes after the end")


async def bulk_tunnel(world):
    async with await Conn().open(world) as conn:
        expect((await tunnel(world, conn))[0] == 200, "a tunnel was refused")
        size = random.randrange(100_000, 2_000_000)
        data = (BLOCK * (size // len(BLOCK) + 1))[:size]
        async def say():
            await conn.send(data)
            conn.writer.write_eof()
        saying = asyncio.ensure_future(say())
        try:
            got = hashlib.sha256(await conn.exactly(size)).digest()
            await saying
        finally:
            saying.cancel()
        expect(got == hashlib.sha256(data).digest(), "a long echo is not what was said")
        expect(await conn.rest() == 0, "bytes after the end")


async def gets(world):
    async with await Conn().open(world) as conn:
        for _ in range(random.randrange(1, 8)):
            size = random.choice((0, 10, 3000, 200_000))
            host = random.choice(("ok.test", "also.test"))
            await conn.send(request(world, f"/length/{size}", host=host))
            status, body = await conn.answer()
            expect((status, len(body)) == (200, size), f"GET: {status}, {len(body)} of {size} bytes")


async def chunks(world):
    async with await Conn().open(world) as conn:
        count = random.randrange(1, 100)
        await conn.send(request(world, f"/chunks/{count}"))
        status, body = await conn.answer()
        expect((status, len(body)) == (200, sum(at % 4096 + 1 for at in range(count))), f"chunks: {status}")


async def posts(world):
    async with await Conn().open(world) as conn:
        for _ in range(random.randrange(1, 4)):
            body = os.urandom(random.choice((0, 5, 7000, 150_000)))
            if random.random() < 0.5:
                await conn.send(request(world, "/digest", "POST", fields=f"Content-Length: {len(body)}\r\n") + body)
            else:
                pieces = [body[at:at + 1500] for at in range(0, len(body), 1500)]
                framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
                await conn.send(request(world, "/digest", "POST", fields="Transfer-Encoding: chunked\r\n") + framed)
            status, said = await conn.answer("POST")
            expect(status == 200 and said.decode() == f"{len(body)} {hashlib.sha256(body).hexdigest()}", f"POST: {status}")


async def pipeline(world):
    async with await Conn().open(world) as conn:
        sizes = [random.randrange(0, 2000) for _ in range(random.randrange(2, 20))]
        await conn.send(b"".join(request(world, f"/length/{size}") for size in sizes))
        for size in sizes:
            status, body = await conn.answer()
            expect((status, len(body)) == (200, size), f"pipelined: {status}, {len(body)} of {size} bytes")


async def until_close(world):
    async with await Conn().open(world) as conn:
        await conn.send(request(world, "/close"))
        status, body = await conn.answer()
        expect((status, len(body)) == (200, 5000), f"until close: {status} {len(body)}")


async def websocket(world):
    async with await Conn().open(world) as conn:
        fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhl\r\n"
        await conn.send(request(world, "/websocket", fields=fields) + b"early")
        status, _ = await conn.answer()
        expect(status == 101, f"a WebSocket got {status}")
        await conn.send(b"later")
        expect(await conn.exactly(10) == b"earlylater", "a WebSocket's echo")


async def own_paths(world):
    async with await Conn().open(world) as conn:
        for path in ("/.well-known/outgate", "/.well-known/outgate/denials", "/proxy.pac"):
            await conn.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            expect((await conn.answer())[0] == 200, path)


async def denied(world):
    async with await Conn().open(world) as conn:
        name = f"no{random.randrange(4000)}.test" if random.random() < 0.1 else "no.test"
        for _ in range(random.randrange(1, 4)):
            await conn.send(request(world, "/length/1", host=name))
            expect((await conn.answer())[0] == 403, "a denied GET")
        expect((await tunnel(world, conn, name))[0] == 403, "a denied CONNECT")
        expect(await conn.rest() == 0, "bytes after a denial")


async def moving(world):
    """A host that every other policy denies: an open tunnel is revoked within about a second."""
    async with await Conn().open(world) as conn:
        status, _ = await tunnel(world, conn, "flip.test")
        expect(status in (200, 403), f"flip.test: {status}")
        if status == 200:
            await conn.send(b"x")
            await conn.rest()


async def unreachable(world):
    async with await Conn().open(world) as conn:
        await conn.send(request(world, "/", host=f"unknown{random.randrange(1000)}.test"))
        # The name server shares a busy machine: it may be late.
        expect((await conn.answer())[0] in (502, 504), "an unknown name")
        await conn.send(request(world, "/", port=world.closed))
        expect((await conn.answer())[0] == 502, "a closed port")


async def unanswered_name(world):
    async with await Conn().open(world) as conn:
        await conn.send(request(world, "/", host="silent.test"))
        expect((await conn.answer())[0] == 504, "a name that no server answers")


async def admin(world):
    async with await Conn().open(world, world.admin) as conn:
        for path in random.sample(("/metrics", "/v1/records?limit=50", "/v1/policy", "/v1/denials", "/"), 2):
            await conn.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{world.admin}\r\n"
                            f"Authorization: Bearer {world.token}\r\n\r\n".encode())
            expect((await conn.answer())[0] == 200, path)


def client_hello(name):
    """A ClientHello as small as one can be."""
    name = name.encode()
    entry = b"\0" + struct.pack(">H", len(name)) + name
    names = struct.pack(">H", len(entry)) + entry
    extensions = struct.pack(">HH", 0, len(names)) + names
    body = b"\3\3" + b"r" * 32 + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\3\1" + struct.pack(">H", len(message)) + message


async def tls_tunnel(world):
    """The rule for tls.test requires a ClientHello for exactly that name."""
    async with await Conn().open(world) as conn:
        expect((await tunnel(world, conn, "tls.test"))[0] == 200, "a tunnel was refused")
        right = random.random() < 0.7
        hello = client_hello("tls.test" if right else "no.test")
        cut = random.randrange(len(hello))
        await conn.send(hello[:cut])
        await conn.send(hello[cut:])
        if right:
            expect(await conn.exactly(len(hello)) == hello, "a ClientHello did not pass unchanged")
        else:
            alert = await conn.exactly(7)
            expect(alert[:6] == b"\x15\3\3\0\2\2", f"no alert: {alert}")
            expect(await conn.rest() == 0, "bytes after an alert")


async def socks(world):
    async with await Conn().open(world) as conn:
        name, code = random.choice((("ok.test", 0), ("no.test", 2)))
        named = bytes([len(name)]) + name.encode() + struct.pack(">H", world.echo)
        await conn.send(b"\5\1\0\5\1\0\3" + named)
        expect(await conn.exactly(2) == b"\5\0", "a SOCKS method")
        reply = await conn.exactly(10)
        expect(reply[:2] == bytes([5, code]), f"a SOCKS reply for {name}: {reply}")
        if code == 0:
            await conn.send(b"hello")
            expect(await conn.exactly(5) == b"hello", "an echo by SOCKS")
        else:
            expect(await conn.rest() == 0, "bytes after a refusal")


# ---------------------------------------------------------------- bad

async def resets(world):
    """Leaves at an arbitrary point without an orderly end."""
    async with await Conn().open(world) as conn:
        kind = random.randrange(6)
        if kind == 0:
            await conn.send(request(world, "/length/100")[:-random.randrange(1, 40)])
        elif kind == 1:
            await conn.send(request(world, "/digest", "POST", fields="Content-Length: 100000\r\n") + BLOCK[:5000])
        elif kind == 2:
            await conn.send(request(world, "/length/5000000"))
            await conn.exactly(1000)
        elif kind == 3:
            await tunnel(world, conn)
            await conn.send(BLOCK)
        elif kind == 4:
            await conn.send(request(world, "/silent"))
        await asyncio.sleep(random.random() * 0.3)
        conn.reset()


async def drips_head(world):
    async with await Conn().open(world) as conn:
        try:
            for byte in request(world, "/length/1", fields="X-Slow: " + "a" * 1000 + "\r\n"):
                await conn.send(bytes([byte]))
                await asyncio.sleep(0.2)
        except OSError:
            return  # cut off: what it deserves
        raise Wrong("a head that dripped for ever was not cut off")


async def stalls_body(world):
    async with await Conn().open(world) as conn:
        await conn.send(request(world, "/digest", "POST", fields="Content-Length: 100000\r\n") + BLOCK[:100])
        status, _ = await conn.answer("POST")
        expect(status == 408, f"a body that stalls: {status}")


async def drips_greeting(world):
    """A SOCKS method selection, or the beginning of a tunnel, that never completes."""
    async with await Conn().open(world) as conn:
        if random.random() < 0.5:
            await conn.send(b"\5\1\0")
            await conn.exactly(2)
            drops = b"\5\1\0\3\xff" + b"a" * 200
        else:
            await tunnel(world, conn, "tls.test")
            drops = client_hello("tls.test" * 30)
        try:
            for byte in drops:
                await conn.send(bytes([byte]))
                await asyncio.sleep(0.2)
        except OSError:
            return
        raise Wrong("a method selection or ClientHello that dripped for ever was not cut off")


async def endless_hello(world):
    async with await Conn().open(world) as conn:
        await tunnel(world, conn, "tls.test")
        record = b"\x16\3\1\x40\0"
        try:
            await conn.send(record + b"\1\xff\xff\xff" + b"f" * (0x4000 - 4))
            for _ in range(100):
                await conn.send(record + b"f" * 0x4000)
        except OSError:
            return
        await conn.rest()


async def garbage(world):
    async with await Conn().open(world) as conn:
        first = random.choice((os.urandom(1), b"\x16\x03\x01", b"\x05\x01\x00", b"\x04", b"GET", b"\r\n"))
        await conn.send(first + os.urandom(random.randrange(1, 5000)))
        await conn.rest()


async def endless(world):
    """A head, an extension, or trailers without an end."""
    async with await Conn().open(world) as conn:
        kind = random.randrange(4)
        if kind == 0:
            start, more = request(world, "/")[:-2], b"X-More: and more\r\n" * 20
        elif kind == 1:
            start, more = b"GET http://ok.test/", b"a" * 1000
        elif kind == 2:
            start, more = request(world, "/digest", "POST", fields="Transfer-Encoding: chunked\r\n") + b"5;", b"e" * 1000
        else:
            start, more = request(world, "/digest", "POST", fields="Transfer-Encoding: chunked\r\n") + b"0\r\n", b"X-T: u\r\n" * 100
        try:
            await conn.send(start)
            for _ in range(2000):
                await conn.send(more)
        except OSError:
            return
        expect(conn.reader.at_eof() or await conn.rest() >= 0, "unreachable")


async def stops_reading(world):
    """Asks for much and reads nothing until it is cut off."""
    async with await Conn().open(world, small=True) as conn:
        conn.writer.transport.pause_reading()
        kind = random.randrange(3)
        try:
            if kind == 0:
                await conn.send(request(world, "/length/50000000"))
            elif kind == 1:
                for _ in range(1000):  # answers of ours, each of some 10 KiB
                    conn.writer.write(b"GET /.well-known/outgate/denials HTTP/1.1\r\nHost: localhost\r\n\r\n")
            else:
                conn.writer.write(request(world, "/chunks/20000"))
            await asyncio.sleep(14)
        except OSError:
            return
        conn.writer.transport.abort()


async def stops_reading_tunnel(world):
    """A slow reader loses nothing."""
    async with await Conn().open(world, small=True) as conn:
        status, _ = await tunnel(world, conn, port=world.http)
        expect(status == 200, f"a tunnel was refused: {status}")
        await conn.send(b"GET /length/3000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        conn.writer.transport.pause_reading()
        await asyncio.sleep(random.randrange(1, 8))
        conn.writer.transport.resume_reading()
        status, body = await conn.answer()
        expect(body == (BLOCK * 46)[:3000000], "a slow reader lost bytes")


async def silent_tunnel(world):
    async with await Conn().open(world) as conn:
        await tunnel(world, conn)
        await asyncio.sleep(random.random() * 20)


async def bad_origin(world):
    async with await Conn().open(world) as conn:
        what, statuses = random.choice((
            ("/interim/5", (204,)), ("/interim/100", (502,)), ("/dripped-head", (504,)), ("/endless-head", (502,)),
            ("/nonsense", (502,)), ("/silent", (504,))))
        await conn.send(request(world, what))
        status, _ = await conn.answer()
        expect(status in statuses, f"{what}: {status}")


async def breaking_origin(world):
    """An answer with a good head and a broken body must not look complete."""
    async with await Conn().open(world) as conn:
        what = random.choice(("/broken", "/reset", "/endless-extension", "/endless-trailers"))
        await conn.send(request(world, what))
        try:
            status, _ = await conn.answer()
        except (asyncio.IncompleteReadError, OSError, ValueError):
            return
        raise Wrong(f"{what}: it came whole, {status}")


async def admin_stalls(world):
    """Follows the records and reads none, or begins a head and stops."""
    async with await Conn().open(world, world.admin, small=True) as conn:
        conn.writer.transport.pause_reading()
        follow = (f"GET /v1/records?follow HTTP/1.1\r\nHost: 127.0.0.1:{world.admin}\r\n"
                  f"Authorization: Bearer {world.token}\r\n\r\n".encode())
        await conn.send(random.choice((follow, follow[:30])))
        await asyncio.sleep(15)


# How many of each run at once, for every hundred.
MIX = {
    tls_tunnel: 6, socks: 5, drips_greeting: 3, endless_hello: 2, echo_tunnel: 14, bulk_tunnel: 3, gets: 10, chunks: 4, posts: 8, pipeline: 5, until_close: 3, websocket: 3, own_paths: 2,
    denied: 8, moving: 3, unreachable: 2, unanswered_name: 1, admin: 2, resets: 8, drips_head: 4, stalls_body: 4, garbage: 4,
    endless: 3, stops_reading: 4, stops_reading_tunnel: 3, silent_tunnel: 6, bad_origin: 6, breaking_origin: 3, admin_stalls: 2,
}
