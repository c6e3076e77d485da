#!/usr/bin/env python3
"""ClientHellos of real clients, changed at random, and what the gate and TLS servers make of them.

    hellos.py make COUNT SEED            writes COUNT hellos, one a line, in hexadecimal
    hellos.py compare HELLOS GATE NAME=ANSWERS...

`compare` fails where a server reads a server name and the gate neither reads the same one nor refuses the hello, and where
a server reads a ClientHello that the gate takes for another protocol. The exceptions to the latter are two odd forms of the
format of SSL 2.0, since many protocols begin as they do: with a padded header, which NSS reads, and with a length that is
too short, which Java ignores. This format cannot name a server, so they may pass where nameless ClientHellos may.
"""

import collections
import pathlib
import random
import struct
import sys

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures/hellos"
NAMES = [b"a.test", b"b.test", b"A.Test", b"a.test.", b"a_b.test", b"x." * 20 + b"test", b"a" * 63 + b".test"]
ODD_NAMES = [
    b"", b".", b"a..test", b"a.test..", b"a.test\0.b.test", b"\xc3\xa4.test", b"xn--4ca.test", b"*.test", b" a.test",
    b"a.test ", b"192.0.2.1", b"[2001:db8::1]", b"2001:db8::1", b"0x7f.1", b"a" * 64 + b".test", b"a." * 150, b"a.test:443",
    b"a/b.test", b"-a.test", b"1",
]  # fmt: skip
# The share of the hellos in which a server has to read a name, so that the comparison means something.
LEAST_NAMED = 0.1


def vec8(data):
    return bytes([len(data) & 0xFF]) + data


def vec16(data):
    return struct.pack(">H", len(data) & 0xFFFF) + data


def vec24(data):
    return struct.pack(">I", len(data))[1:] + data


class Hello:
    """A ClientHello by its fields."""

    def __init__(self, message):
        at = 4

        def take(count):
            nonlocal at
            at += count
            assert at <= len(message)
            return message[at - count : at]

        self.type = message[0]
        self.version, self.random = take(2), take(32)
        self.session = take(take(1)[0])
        self.suites = take(int.from_bytes(take(2), "big"))
        self.methods = take(take(1)[0])
        end = int.from_bytes(take(2), "big") + at
        self.extensions = []
        while at < end:
            kind = int.from_bytes(take(2), "big")
            self.extensions.append((kind, take(int.from_bytes(take(2), "big"))))
        # Bytes after the extensions, and the errors of the lengths.
        self.trailing, self.block_error, self.length_error = b"", 0, 0
        self.has_extensions = True

    def message(self):
        body = self.version + self.random + vec8(self.session) + vec16(self.suites) + vec8(self.methods)
        if self.has_extensions:
            block = b"".join(struct.pack(">H", kind) + vec16(data) for kind, data in self.extensions)
            body += struct.pack(">H", max(0, len(block) + self.block_error) & 0xFFFF) + block
        body += self.trailing
        return bytes([self.type]) + struct.pack(">I", max(0, len(body) + self.length_error))[1:] + body


def fixtures():
    hellos = []
    for path in sorted(FIXTURES.glob("*.bin")):
        data, message = path.read_bytes(), b""
        while data:
            length = int.from_bytes(data[3:5], "big")
            message += data[5 : 5 + length]
            data = data[5 + length :]
        hellos.append(Hello(message))
    return hellos


def entry(name, kind=0):
    return bytes([kind]) + vec16(name)


def version(rng):
    return bytes([rng.choice([0, 1, 2, 3, 3, 3, 4, 0x0F, 0x10, 0x7F, 0x99, 0xFE, 0xFF]), rng.choice([0, 1, 2, 3, 4, 0xFD, 0xFF])])


class Case:
    """One hello on the wire, with what is changed about it."""

    def __init__(self, rng, hello):
        self.rng, self.hello = rng, hello
        self.first_version = bytes([3, rng.choice([1, 1, 3])])
        self.versions = self.first_version
        self.sizes = [16384]
        self.before, self.between, self.in_record, self.after = [], [], b"", b""
        self.raw = []
        names = rng.sample(NAMES, 2)
        self.name, self.other = names
        self.set_name(vec16(entry(self.name)))

    def set_name(self, data):
        kept = [pair for pair in self.hello.extensions if pair[0] != 0]
        kept.insert(self.rng.randint(0, len(kept)), (0, data))
        # What has to be last stays last (RFC 8446 §4.2.11).
        self.hello.extensions = sorted(kept, key=lambda pair: pair[0] == 41)

    def record(self, kind, data, versions=None):
        return bytes([kind]) + (versions or self.versions) + vec16(data)

    def wire(self):
        message, records = self.hello.message() + self.in_record, []
        sizes = iter(self.sizes * (len(message) + 1))
        while message:
            size = next(sizes)
            records.append(self.record(22, message[:size], None if records else self.first_version))
            message = message[size:]
        if self.between and records:
            at = self.rng.randint(1, len(records))
            records[at:at] = self.between
        data = b"".join(self.before + records) + self.after
        for change in self.raw:
            data = change(data)
        return data


# Each of these changes one thing. Their names are counted in what `compare` prints.


def as_it_is(case):
    pass


def odd_record_version(case):
    case.first_version = version(case.rng)
    if case.rng.random() < 0.5:
        case.versions = case.first_version


def odd_hello_version(case):
    case.hello.version = version(case.rng)


def small_records(case):
    case.sizes = [case.rng.choice([1, 2, 3, 4, 5, 16, 50, 100, 200, 500]) for _ in range(case.rng.randint(1, 4))]


def an_alert(case):
    rng = case.rng
    levels = [1, 1, 1, 2, 0, 3, 255]
    data = b"".join(bytes([rng.choice(levels), rng.choice([0, 10, 40, 90, 100, 112, 255])]) for _ in range(rng.choice([1, 1, 1, 2])))
    data = data[: len(data) - rng.choice([0, 0, 0, 1])]
    return case.record(21, data, rng.choice([b"\x03\x01", b"\x03\x03", version(rng)]))


def another_record(case):
    rng = case.rng
    versions = rng.choice([b"\x03\x01", b"\x03\x03", version(rng)])
    kind = rng.choice([20, 20, 22, 22, 23, 24, 25, 26, 0, 99, 255])
    data = {
        20: rng.choice([b"\x01", b"\x01", b"\x00", b"", b"\x01\x01"]),
        # Empty, HelloRequest, another message.
        22: rng.choice([b"", b"", b"\0\0\0\0", b"\x02\0\0\1\0", b"\x18\0\0\1\0"]),
        24: b"\x01\0\x01x" + bytes(16),
    }.get(kind, rng.choice([b"", b"x", bytes(20)]))
    return case.record(kind, data, versions)


def alerts_before(case):
    case.before += [an_alert(case) for _ in range(case.rng.choice([1, 1, 2, 5]))]


def records_before(case):
    case.before += [another_record(case) for _ in range(case.rng.choice([1, 1, 2]))]


def records_between(case):
    small_records(case)
    case.between += [case.rng.choice([an_alert, another_record])(case) for _ in range(case.rng.choice([1, 1, 2]))]


def odd_name(case):
    case.set_name(vec16(entry(case.rng.choice(ODD_NAMES))))


def two_names_in_the_list(case):
    rng = case.rng
    kinds = rng.choice([(0, 0), (0, 0), (1, 0), (0, 1), (255, 0)])
    case.set_name(vec16(entry(case.name, kinds[0]) + entry(rng.choice([case.name, case.other]), kinds[1])))


def broken_list(case):
    rng, one = case.rng, entry(case.name)
    case.set_name(
        rng.choice([
            b"", vec16(b""), vec16(one) + b"\0", vec16(one + b"\0"), vec16(one)[:-1], one, vec16(one[:-1]),
            vec16(entry(case.name, 1)), vec16(vec16(one)), struct.pack(">H", len(one) + 3) + one, vec16(one) + vec16(entry(case.other)),
        ])  # fmt: skip
    )


def two_name_extensions(case):
    extensions = case.hello.extensions
    extensions.insert(case.rng.randint(0, len(extensions)), (0, vec16(entry(case.other))))


def no_name(case):
    case.hello.extensions = [pair for pair in case.hello.extensions if pair[0] != 0]


def no_extensions(case):
    case.hello.has_extensions = False


def another_extension_twice(case):
    extensions = case.hello.extensions
    extensions.insert(case.rng.randint(0, len(extensions)), case.rng.choice(extensions))


def an_unknown_extension(case):
    extensions = case.hello.extensions
    size = case.rng.choice([0, 1, 100, 5000, 17000, 40000])
    extensions.insert(case.rng.randint(0, len(extensions)), (case.rng.choice([21, 0x0A0A, 0xFDE8, 0xFFFE]), bytes(size)))


def another_order(case):
    case.rng.shuffle(case.hello.extensions)


def fewer_extensions(case):
    keep = case.rng.random()
    case.hello.extensions = [pair for pair in case.hello.extensions if pair[0] == 0 or case.rng.random() < keep]


def odd_lists(case):
    rng = case.rng
    if rng.random() < 0.5:
        case.hello.session = bytes(rng.choice([0, 1, 31, 32, 33, 255]))
    else:
        case.hello.methods = rng.choice([b"", b"\0\1", b"\1", b"\1\0"])
    if rng.random() < 0.2:
        case.hello.suites = case.hello.suites[: rng.choice([0, 1, 2, 3])]


def something_behind_the_extensions(case):
    case.hello.trailing = case.rng.choice([b"\0", b"\0\0", vec16(struct.pack(">H", 0) + vec16(vec16(entry(case.other))))])


def wrong_lengths(case):
    if case.rng.random() < 0.5:
        case.hello.block_error = case.rng.choice([-1, 1, -4, 4, 256])
    else:
        case.hello.length_error = case.rng.choice([-1, 1, -4, 4, 65536])


def something_behind_the_message(case):
    case.in_record = case.rng.choice([b"\0", case.second().message(), b"\x0b\0\0\0", bytes(50)])


def another_hello_behind(case):
    case.after += case.record(22, case.second().message())


def another_type(case):
    case.hello.type = case.rng.choice([0, 2, 3, 11, 16, 255])


def some_bytes_changed(case):
    rng = case.rng

    def change(data):
        data = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            at = rng.choice([rng.randrange(min(12, len(data))), rng.randrange(len(data))])
            data[at] = rng.choice([0, 1, 3, 22, 255, rng.randrange(256)])
        return bytes(data)

    case.raw.append(change)


def cut(case):
    case.raw.append(lambda data: data[: case.rng.randint(1, len(data))])


def in_ssl_2(case):
    """A ClientHello in the format of SSL 2.0 (RFC 5246 appendix E.2), followed by the usual one."""
    rng, hello = case.rng, case.hello
    suites = b"".join(b"\0" + hello.suites[at : at + 2] for at in range(0, len(hello.suites), 2))
    challenge = hello.random[: rng.choice([16, 32, 32])]
    session = rng.choice([b"", b"", bytes(16)])
    lengths = struct.pack(">HHH", len(suites), len(session), len(challenge))
    body = b"\x01" + rng.choice([b"\x03\x01", b"\x03\x03", b"\0\2", version(rng)]) + lengths + suites + session + challenge
    if rng.random() < 0.7:
        case.before.append(struct.pack(">H", 0x8000 | len(body)) + body)
    else:
        padding = rng.choice([0, 0, 3])
        case.before.append(struct.pack(">HB", len(body) + padding, padding) + body + bytes(padding))


def another_protocol(case):
    case.before.append(case.rng.choice([b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x05\x01\0", b"\n"]))


CHANGES = [
    as_it_is, odd_record_version, odd_record_version, odd_hello_version, small_records, alerts_before, alerts_before,
    records_before, records_before, records_between, odd_name, two_names_in_the_list, broken_list, two_name_extensions, no_name,
    no_extensions, another_extension_twice, an_unknown_extension, another_order, fewer_extensions, odd_lists,
    something_behind_the_extensions, wrong_lengths, something_behind_the_message, another_hello_behind, another_type,
    some_bytes_changed, cut, in_ssl_2, another_protocol,
]  # fmt: skip


def copied(hello):
    copy = Hello.__new__(Hello)
    copy.__dict__.update(hello.__dict__, extensions=list(hello.extensions))
    return copy


def make(count, seed):
    """The hellos with the names of what was changed, the same ones for the same seed."""
    rng, originals = random.Random(seed), fixtures()
    for _ in range(count):
        case = Case(rng, copied(rng.choice(originals)))

        def second(case=case):
            other = Case(rng, copied(rng.choice(originals)))
            other.set_name(vec16(entry(case.other)))
            return other.hello

        case.second = second
        changes = rng.sample(CHANGES, rng.choice([1, 1, 1, 2, 2, 3]))
        for change in changes:
            change(case)
        yield case.wire(), [change.__name__ for change in changes]


def same_name(read, answer):
    """Whether this is the name that the server read: without regard to case, and to one dot at the end."""
    name = bytes.fromhex(read).lower()
    ours = answer.split(" ", 1)[1].encode()
    return ours in (name.removesuffix(b"."), name.strip(b"[]"))


def is_odd_ssl_2(data):
    """A padded header of three bytes, or one of two with too short a length; then a ClientHello's type and version."""
    is_padded = data[0] < 0x40 and data[3] == 1 and data[4] >= 3
    is_short = data[0] == 0x80 and data[1] < 9 and data[2] == 1 and data[3] >= 3
    return is_padded or is_short


def fault(data, gate, server):
    """What is wrong between the two verdicts on this hello, if anything is."""
    if server.startswith("name "):
        if gate in ("nameless", "not-tls") or (gate != "refused" and not same_name(server[5:], gate)):
            return f"the server reads {bytes.fromhex(server[5:])!r}"
    elif server == "nameless" and gate == "not-tls" and not is_odd_ssl_2(data):
        return "the server reads a ClientHello"
    return None


def compare(hellos, gate, servers):
    inputs, gate = (pathlib.Path(path).read_text().splitlines() for path in (hellos, gate))
    assert len(inputs) == len(gate), "the gate has not answered each hello"
    failed = False
    print(f"gate: {dict(collections.Counter(answer.split(' ')[0] for answer in gate))}")
    for server in servers:
        title, path = server.split("=", 1)
        answers = pathlib.Path(path).read_text().splitlines()
        assert len(inputs) == len(answers), f"{title} has not answered each hello"
        kinds = collections.Counter((answer.split(" ")[0], ours.split(" ")[0]) for ours, answer in zip(gate, answers))
        named = sum(count for (kind, _), count in kinds.items() if kind == "name")
        agreed = kinds["name", "name"] + kinds["name", "address"]
        faults = [(line, ours, why) for line, ours, answer in zip(inputs, gate, answers) if (why := fault(bytes.fromhex(line[:64]), ours, answer))]
        hellos_read = named + sum(count for (kind, _), count in kinds.items() if kind == "nameless")
        print(
            f"{title}: reads {hellos_read} ClientHellos, {named} of them with a name; of these the gate reads {agreed} and "
            f"refuses {kinds['name', 'refused']}; {len(faults)} faults"
        )
        for line, ours, why in faults[:5]:
            print(f"  {why}, the gate says {ours!r}: {line[:160]}{'…' if len(line) > 160 else ''}")
        if named < LEAST_NAMED * len(inputs):
            print(f"  {title} reads too few names for this to mean anything")
        failed |= bool(faults) or named < LEAST_NAMED * len(inputs)
    return failed


def main(arguments):
    match arguments:
        case ["make", count, seed]:
            for data, _ in make(int(count), int(seed)):
                print(data.hex())
        case ["compare", hellos, gate, *servers] if servers:
            sys.exit(compare(hellos, gate, servers))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
