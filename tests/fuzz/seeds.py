#!/usr/bin/env python3
"""Writes the inputs that fuzzing starts from, tests/fuzz/corpus/TARGET/seed-*, out of the corpus, the policies and the
tables below. Files with other names in these folders were found by a fuzzer and stay.

    tests/fuzz/seeds.py
"""

import datetime
import hashlib
import json
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/corpus"
MOST = 90  # a target; with what fuzzers find there is room up to the 100 that tests/fuzz/main.rs permits
LONGEST = 3300  # bytes: what tests/fuzz/run lets inputs have at most

PLACEHOLDERS = {"P": "18080", "Q": "18081", "P+65536": "83616", "P16": "F\xa0", "PROXY": "127.0.0.1", "PROXYPORT": "3128"}


def cases(name):
    with open(CORPUS / f"{name}.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def octets(text):
    text = re.sub(r"<<([^<>]*)>>", lambda found: PLACEHOLDERS.get(found[1], ""), text)
    return text.encode("latin-1", "replace")


def streams():
    """The client's bytes of each HTTP/1 case."""
    for case in cases("raw"):
        if case["proto"] == "http1":
            sends = [case["bytes"]] if "bytes" in case else [send.get("b", "") for send in case["sends"]]
            yield octets("".join(sends))


def answers():
    """The origin's bytes of each case that scripts them, then heads that none of them has."""
    for case in cases("raw"):
        script = case.get("upstream_response")
        if script:
            parts = script if isinstance(script, list) else [script]
            yield octets("".join(part if isinstance(part, str) else part.get("b", "") for part in parts))
    for lines in [
        "HTTP/1.1 200 OK|Content-Length: 2",
        "HTTP/1.0 200 OK|Connection: keep-alive|Content-Length: 2",
        "HTTP/1.1 200 |Transfer-Encoding: chunked|Trailer: X",
        "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Accept: x",
        "HTTP/1.1 103 Early Hints|Link: </a>",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified|Content-Length: 9|ETag: \"x\"",
        "HTTP/1.1 200 OK|Connection: x, close|X: y|Keep-Alive: 5|Proxy-Authenticate: Basic|Via: 1.0 a",
        "HTTP/1.1 200 OK|Content_Length: 5|Content-Length: 2",
        "HTTP/1.1 500",
    ]:
        yield (lines + "||").replace("|", "\r\n").encode()


def greetings():
    """SOCKS5: the framings of raw.jsonl, a request for each name of names.jsonl, and one of each other address type."""
    for case in cases("raw"):
        if case["proto"] == "socks5":
            sends = [case["bytes"]] if "bytes" in case else [send.get("b", "") for send in case["sends"]]
            yield octets("".join(sends))
    for case in cases("names"):
        name = octets(case["target"]).rpartition(b":")[0][:255]
        if case["kind"] == "socks5":
            yield b"\x05\x01\0\x05\x01\0\x03" + bytes([len(name)]) + name + b"F\xa0"
    yield b"\x05\x02\x02\0\x05\x01\0\x01\xc0\0\x02\x01\x01\xbbmore"
    yield b"\x05\x01\0\x04 \x01\r\xb8" + bytes(11) + b"\x01\x01\xbb"


def authorities():
    for case in cases("names"):
        yield octets(case["target"])
    for scheme in ["http://", "https://", "ws://", "wss://"]:
        yield f"{scheme}Example.test:8080/a?b#c".encode()


def bodies():
    """The bytes after the head of each chunked request, then framing that none of them has."""
    for stream in streams():
        head, _, body = stream.partition(b"\r\n\r\n")
        if b"chunked" in head.lower() and body:
            yield body
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "A;a=b;c=\"d\"\r\n0123456789\r\n00\r\nX: y\r\nContent-Length: 5\r\n\r\nGET ",
        "7fffffffffffffff\r\nhello",
        "0\r\nAuthorization: x\r\nDigest: y\r\n\r\n",
    ]:
        yield body.encode()


def hellos():
    for case in cases("tls"):
        yield b"".join(bytes.fromhex(send["hex"]) for send in case["sends"] if "hex" in send)
    for file in sorted((ROOT / "tests/fixtures/hellos").glob("*.bin")):
        yield file.read_bytes()


def patterns():
    for case in cases("names"):
        yield from (rule.encode() for rule in case["policy"]["allow"] + case["policy"]["deny"])
    yield from (
        pattern.encode()
        for pattern in [
            "**.example.test", "example.test:*", "*.example.test:8000-8100", "[2001:db8::1]:443", "[2001:db8::/32]:*",
            "2001:db8::/32", "::/0", "0.0.0.0/0", "b\u00fccher.test", "xn--bcher-kva.test", "*.corp", "*.co.uk", "*",
            "*example.test", "a.*.test", "https://user@example.test/a", "example.test/a", "10.0.0.1/8", "010.0.0.1",
            "fe80::1%lo", "2001:db8::1:443", ".example.test", "example.test.", "192.0.2.0/255.255.255.0",
        ]
    )


def plain(value):
    """TOML's values as JSON has them."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


RULES = """version = 1
name = "Example"
revision = "1"
egress = "all"
mode = "observe"
contact = "help@example.test"
allow = ["*.example.test", "192.0.2.1:443"]
deny = ["bad.example.test", "198.51.100.0/24"]
package-managers = ["*.packages.example"]
internal-addresses = ["10.20.0.0/16"]
[[rule]]
id = "a"
effect = "allow"
to = ["a.test", "[2001:db8::1]:8443"]
ports = [443, "8000-8100"]
tools = ["cli"]
methods = ["GET", "WEBSOCKET"]
addresses = ["10.0.0.0/8", "169.254.169.254"]
tls = "optional"
from = 2026-11-01T00:00:00Z
until = 2026-12-01T01:00:00.5+01:00
reason = "because"
[[list]]
effect = "deny"
file = "list.txt"
format = "hosts"
covers = "subdomains"
lines = 3
[[test]]
to = "https://a.test/"
expect = "deny"
"""


def policies():
    texts = [file.read_text() for file in sorted((ROOT / "policies").glob("*.toml"))] + [RULES]
    for text in texts:
        yield text.encode()
        yield json.dumps(plain(tomllib.loads(text))).encode()
    for text in [
        "version = 1\n", "version = 1\negress = \"none\"\n", "version = 2\n", "version = 1\nenabled = false\n",
        "version = 1\nallow = \"a.test\"\nalow = []\n", "version = 1\n[rule]\nto = []\n", "{}", "{\"version\": 1}",
        "{\"version\": 1, \"version\": 1}", "\ufeff{\"version\": 1, \"allow\": [\"a\\u002etest\"]}", "[1, 2.5, null, true]",
        "a = 1979-05-27T07:32:00Z\nb = 0x10\nc = '''x'''\nd = {e = [1, {f = inf}]}\n",
    ]:
        yield text.encode()


CONFIG = """[[listen]]
name = "browser"
address = "0.0.0.0:3128"
protocols = ["http", "socks5"]
open = true
denials = false
[listen.tls]
cert = "cert.pem"
key = "key.pem"
[[listen]]
name = "cli"
address = "[::1]:3130"
[policy]
source = ["policy.toml"]
poll = "60s"
[admin]
address = "off"
token-file = "token"
protect-metrics = true
[record]
jsonl = "records.jsonl"
max-size = "64 MiB"
files = 3
keep = "90d"
max-destinations = 2000
[limits]
head-timeout = "10s"
hello-timeout = "500ms"
idle-timeout = "1h"
max-head = "64 KiB"
max-fields = 100
max-tunnels = 1000
[parent]
url = "http://user:pass%20word@proxy.test:3128"
except = ["*.a.test", "10.0.0.0/8"]
[dns]
servers = ["192.0.2.53", "[2001:db8::53]:5353"]
hosts = { "a.test" = ["192.0.2.1", "2001:db8::1"] }
"""


def configs():
    yield CONFIG.encode()
    for file in sorted((ROOT / "deploy").rglob("outgate.toml")):
        yield file.read_bytes()
    for section in CONFIG.split("\n["):
        yield (section if section.startswith("[") else "[" + section).encode()
    yield b""


def lists():
    for text in [
        "a.test\nb.test\n", "# head\n\nA.test\r\n b.test. # tail\nb\u00fccher.test\na.test", "\ufeffa.test",
        "127.0.0.1 localhost\n::1 ip6-localhost\nfe80::1%lo0 localhost\n0.0.0.0\tads.test track.test # both\n:: six.test",
        "*.a.test\n", ".a.test\n", "a.test:443", "192.0.2.1", "||a.test^", "http://a.test/", "a..test", "a.test b.test",
        "co.uk\n", "a\nb\n" * 12, "a b\n" * 30,
    ]:
        yield text.encode()


def accepts():
    for text in [
        "*/*", "", "text/plain", "text/*", "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "text/html;level=1;q=0.5, application/json;q=0.4", "application/json, text/javascript, */*; q=0.01",
        "application/problem+json", "application/*", "text/html;q=0", "application/zip, text/html;q=0.01", 
        "application/json;Q=0.5", "application/json;q=1.001", "application/json;q=-1, text/html;q=high",
    ]:
        yield text.encode()


def replies():
    texts = [
        "Example Corp", "help@example.test", "allow:*.example.test", "no uploads", "a hint", "2026-11-23.1", "k3f9-1",
        "a clause", "example.test:443",
    ]
    odd = ["a\r\nX: b", "<b>\"&'", "\u202eabc\u200b", "\U0001f600" * 40, "M\u00fcller & S\u00f6hne", "", "x" * 300, "\\\"", "\0\x7f"]
    for flags, row in [(0xFF, texts), (0x01, texts), (0x00, texts), (0xFF, odd), (0xFE, odd), (0x0A, odd[::-1])]:
        for error in (0, 5, 9, 10, 14, 27):
            yield bytes([flags, error, error, error]) + "\x1e".join(row).encode()


TARGETS = {
    "accept": accepts,
    "answer": replies,
    "authority": authorities,
    "body": bodies,
    "config": configs,
    "hello": hellos,
    "list": lists,
    "pattern": patterns,
    "policy": policies,
    "request-head": streams,
    "response-head": answers,
    "socks5": greetings,
}


def spread(inputs):
    """At most MOST of them, spread over the corpus, because neighbours in it are similar."""
    unique = list(dict.fromkeys(one for one in inputs if len(one) <= LONGEST))
    step = max(1.0, len(unique) / MOST)
    return [unique[int(at * step)] for at in range(min(MOST, len(unique)))]


def main():
    for target, inputs in TARGETS.items():
        folder = ROOT / "tests/fuzz/corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        chosen = spread(inputs())
        for one in chosen:
            (folder / f"seed-{hashlib.sha256(one).hexdigest()[:12]}").write_bytes(one)
        print(f"{target}: {len(chosen)} inputs, {sum(map(len, chosen))} bytes")


if __name__ == "__main__":
    main()
