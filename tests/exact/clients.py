"""The clients of the proof. Each is a process of its own, asks what its seed says, and keeps its own account of what it was
answered: `(host, port, decision, reason)` and how often."""
import collections, random, re, socket, struct, time

HOT = 40
TLS_HOSTS = 64
# Requests of one connection in flight at once.
PIPELINE = 64
# Requests of one connection.
PER_CONNECTION = 4096
PATIENCE = 60

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
REASON = re.compile(rb"\r\nx-deny-reason: *(\w+)", re.I)
MALFORMED = (b"GET / HTTP/1.1\nHost: x\n\n", b"GET http://ok.test/ HTTP/9.9\r\n\r\n", b"nonsense\r\n\r\n",
             b"GET http://a@b@c/ HTTP/1.1\r\nHost: x\r\n\r\n")


class Wrong(Exception):
    """The proxy answered what it must not."""


def hello(name):
    """A ClientHello in one record that names this server."""
    vec = lambda content: struct.pack(">H", len(content)) + content
    extensions = b"\0\x2b\0\3\2\3\4" + b"\0\0" + vec(vec(b"\0" + vec(name.encode())))
    body = b"\3\3" + b"\7" * 32 + b"\0" + vec(b"\x13\1") + b"\1\0" + vec(extensions)
    return b"\x16\3\1" + vec(b"\1" + struct.pack(">I", len(body))[1:] + body)


class Wire:
    """A connection to the proxy."""

    def __init__(self, world):
        # Many source addresses: ports of closed connections are not free again at once.
        self.sock = socket.socket()
        self.sock.bind((f"127.0.1.{random.randrange(1, 250)}", 0))
        self.sock.settimeout(PATIENCE)
        self.sock.connect(("127.0.0.1", world.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.at = b"", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def more(self):
        piece = self.sock.recv(1 << 18)
        if not piece:
            raise EOFError("the proxy closed the connection")
        self.data, self.at = self.data[self.at:] + piece, 0

    def head(self):
        while (end := self.data.find(b"\r\n\r\n", self.at)) < 0:
            self.more()
        head, self.at = self.data[self.at:end], end + 4
        return head

    def skip(self, count):
        while len(self.data) - self.at < count:
            self.more()
        self.at += count

    def answer(self):
        """Decision and reason of the next answer. Discards its body."""
        head = self.head()
        self.skip(int(length[1]) if (length := LENGTH.search(head)) else 0)
        return judged(head)


def judged(head):
    status = head[9:12]
    if status in (b"200", b"502"):
        return "allow", ""
    if status == b"403" and (reason := REASON.search(head)):
        return "deny", reason[1].decode()
    if status == b"400":
        return "none", "malformed_request"
    if status == b"505":
        return "none", "unsupported"
    raise Wrong(f"an unexpected answer: {head[:200]}")


class Account:
    """What one client saw. `journal`: every request by itself with its time, for those who kill the proxy."""

    def __init__(self, journal):
        self.sums = collections.Counter()
        self.sent, self.done = ([], []) if journal else (None, None)

    def begin(self, keys):
        if self.sent is not None:
            self.sent += keys

    def end(self, asked):
        """`asked`: host, port, path, decision, reason of each."""
        for host, port, _, decision, reason in asked:
            self.sums[host, port, decision, reason] += 1
        if self.done is not None:
            self.done.append((time.time(), [key[:3] for key in asked]))


class Getter:
    """GETs over connections that are kept: allowed, hot denied ones, a long tail of names under one domain, many domains."""

    def __init__(self, world, number, random_, account):
        self.world, self.number, self.random, self.account = world, number, random_, account
        self.wire, self.asked, self.turn = None, 0, 0

    def pick(self):
        """Where the next one goes."""
        dice, pick = self.random.random(), self.random
        if dice < 0.56:
            return "ok.test", self.world.http
        if dice < 0.60:
            return "flip.test", self.world.http
        if dice < 0.78:
            return f"hot{min(int(pick.expovariate(0.15)), HOT - 1)}.busy.test", 80
        if dice < 0.86:
            return f"{pick.getrandbits(60):x}.flood.example.test", 80
        if dice < 0.94:
            return f"{pick.getrandbits(60):x}-made-up.test", 80
        if dice < 0.95:
            return "ok.test", self.world.closed
        if dice < 0.97:
            return "denied.test", 80
        if dice < 0.985:
            return "port.test", 80
        return "inner.test", self.world.http

    def some(self, count):
        """So many, or somewhat fewer; how many."""
        count = min(count, PIPELINE)
        if self.wire is None or self.asked + count > PER_CONNECTION:
            self.close()
            self.wire, self.asked = Wire(self.world), 0
        keys, asked = [], []
        for _ in range(count):
            (host, port), self.turn = self.pick(), self.turn + 1
            path = f"/{self.number}/{self.turn}"
            keys.append((host, port, path))
            asked.append(f"GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
        self.asked += count
        self.account.begin(keys)
        self.wire.sock.sendall("".join(asked).encode())
        self.account.end([key + self.wire.answer() for key in keys])
        return count

    def close(self):
        if self.wire:
            self.wire.sock.close()


class Tunneller:
    """CONNECTs, each on a connection of its own, and what is no request at all."""

    def __init__(self, world, number, random_, account):
        self.world, self.random, self.account = world, random_, account

    def some(self, _):
        dice, pick = self.random.random(), self.random
        if dice < 0.06:
            return self.nonsense(pick.choice(MALFORMED))
        host, port, name = f"t{pick.randrange(TLS_HOSTS)}.tls.test", self.world.tls, None
        if dice < 0.12:
            name = "front.test"
        elif dice < 0.30:
            host, port = f"hot{pick.randrange(HOT)}.busy.test", 443
        elif dice < 0.40:
            host, port = f"{pick.getrandbits(60):x}.flood.example.test", 443
        elif dice < 0.45:
            host, port = f"{pick.getrandbits(60):x}-made-up.test", 443
        key = (host, port, "")
        self.account.begin([key])
        self.account.end([key + self.tunnel(host, port, name)])
        return 1

    def tunnel(self, host, port, name):
        with Wire(self.world) as wire:
            wire.sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() + hello(name or host))
            verdict = judged(wire.head())
            if verdict[0] != "allow":
                return verdict
            if name:
                wire.skip(7)  # a TLS alert
                if wire.data[wire.at - 7:wire.at - 5] != b"\x15\3":
                    raise Wrong("a tunnel for another name went through")
                return "deny", "sni_mismatch"
            wire.skip(64)
            return verdict

    def nonsense(self, said):
        key = ("", 0, "")
        self.account.begin([key])
        with Wire(self.world) as wire:
            wire.sock.sendall(said)
            self.account.end([key + wire.answer()])
        return 1

    def close(self):
        pass


def work(world, kind, number, seed, count, pipe, journal, stop):
    """So many requests, or until the proxy is gone; then its account goes through the pipe."""
    random_ = random.Random(f"{seed}/{number}")
    random.seed(f"{seed}/{number}/ports")
    account, wrong = Account(journal), None
    client = kind(world, number, random_, account)
    try:
        while count > 0 and not stop.is_set():
            count -= client.some(count)
    except Wrong as error:
        wrong = repr(error)
    except (OSError, EOFError) as error:
        wrong = None if journal else repr(error)
    client.close()
    pipe.send((account.sums, account.sent, account.done, wrong))
    pipe.close()
