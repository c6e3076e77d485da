"""Processes and sockets: asking through a proxy, what a tree of processes uses, and its end."""
import os, signal, socket, subprocess, time


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(port, origin, method, host, patience=30):
    """The status of one request through the proxy; none, if there is no answer in so many seconds."""
    target = f"{host}:{origin}" if method == "CONNECT" else f"http://{host}:{origin}/"
    try:
        with socket.create_connection(("127.0.0.1", port), patience) as conn:
            conn.settimeout(patience)
            conn.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}:{origin}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while b"\r\n" not in answer:
                piece = conn.recv(4096)
                if not piece:
                    return None
                answer += piece
            return int(answer.split()[1])
    except (OSError, ValueError, IndexError):
        return None


def wait_for(is_so, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if is_so():
                return True
        except OSError:
            pass
        time.sleep(0.01)
    return False


def stat(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


def tree(root):
    """A process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(stat(name)[1]), []).append(int(name))
            except (OSError, IndexError):
                pass
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu(pids):
    """Processor time in seconds, with that of children that have ended."""
    ticks = 0
    for pid in pids:
        try:
            ticks += sum(map(int, stat(pid)[11:15]))
        except (OSError, IndexError):
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(root):
    """Resident memory in bytes, and the same with shared pages shared out."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                for line in file:
                    if line.startswith(tuple(sums)):
                        sums[line.split()[0]] += int(line.split()[1]) * 1024
        except OSError:
            pass
    return sums["Rss:"], sums["Pss:"]


def is_alive(pid):
    try:
        return stat(pid)[0] != "Z"
    except (OSError, IndexError):
        return False


def end_tree(child):
    """Ends a process that was started here, and what it started, by their ids."""
    if child.poll() is not None:
        return
    pids = tree(child.pid)
    for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 2)):
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        until = time.monotonic() + patience
        while time.monotonic() < until:
            child.poll()
            if not any(is_alive(pid) for pid in pids):
                return
            time.sleep(0.02)


def first_line(command, but_from=""):
    """What a program says of itself, without its name's repetition."""
    try:
        said = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=10)
    except OSError:
        return "?"
    lines = [line.strip() for line in (said.stdout + said.stderr).splitlines() if line.strip()]
    return next((line for line in lines if line.startswith(but_from)), "?")
