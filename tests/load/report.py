"""What was measured, written down: RESULTS.md with every figure, the README's table, and a plot of the most of it."""
import os, platform, re, shutil, statistics, subprocess, time

import peers
import processes

BEGIN, END = "<!-- load: what follows is written by tests/load/run -->", "<!-- load: end -->"
TRIAL = "**This is a trial run, to show that it works. Its figures are not to be quoted.**"
UNITS = {"connect": "new tunnels a second, 32 at once", "get": "requests a second on 32 kept connections",
         "get1": "requests a second on one kept connection", "deny-connect": "refused CONNECTs a second, 32 at once",
         "deny-get": "refused requests a second, 32 connections", "down": "GB/s from the origin, 4 tunnels",
         "up": "GB/s to the origin, 4 tunnels", "both": "GB/s both ways together, 4 tunnels",
         "wrk get": "`get` by wrk", "wrk deny-get": "`deny-get` by wrk"}
BULK = ("down", "up", "both")
MIB = 2**20
# The floor refuses nothing: a refusal is compared with what it does instead.
INSTEAD = {"deny-connect": "connect", "deny-get": "get", "wrk deny-get": "wrk get"}
BEST = (peers.Squid, peers.SquidWorkers, peers.TrafficServer, peers.Tinyproxy, peers.Privoxy, peers.Apache)


class Found:
    """The rows, asked for by who and what."""

    def __init__(self, rows):
        self.rows = rows

    def of(self, stage, kind, **which):
        match = lambda row: row["stage"] == stage and row["peer"] == kind.__name__ and all(row.get(key) == value for key, value in which.items())
        return [row for row in self.rows if match(row)]

    def values(self, kind, metric, key="rate"):
        return {row["round"]: row[key] for row in self.of("matrix", kind, metric=metric) if row.get(key)}

    def middle(self, kind, metric, key="rate"):
        return middle(self.values(kind, metric, key).values())

    def ratios(self, kind, metric, key, base, base_metric=None):
        """Within each round, so that what slowed a round down slowed both."""
        ours, theirs = self.values(kind, metric, key), self.values(base, base_metric or metric, key)
        return [ours[turn] / theirs[turn] for turn in ours if turn in theirs]

    def ratio(self, *what):
        return middle(self.ratios(*what))


def middle(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def short(value):
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values, show=short):
    values = list(values)
    if not values:
        return "–"
    return show(middle(values)) + (f" [{show(min(values))}–{show(max(values))}]" if len(values) > 1 else "")


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


# ---------------------------------------------------------------- the goals

def goals(found, size):
    """What outgate is to reach, and whether it has: (what, goal, measured, reached or not or unknown)."""
    own, floor, rows = peers.Outgate, peers.Floor, []

    def hold(what, value, sign, limit, unit=""):
        reached = None if value is None else value >= limit if sign == "≥" else value <= limit
        rows.append((what, f"{sign} {limit}{unit}", short(value) + (unit if value is not None else ""), reached))

    def best(metric):
        rates = [(found.middle(kind, metric), kind) for kind in BEST]
        rates = [rate for rate in rates if rate[0]]
        return max(rates, key=lambda rate: rate[0])[1] if rates else None

    hold("new tunnels a second, to the floor", found.ratio(own, "connect", "rate", floor), "≥", 0.9)
    if strongest := best("connect"):
        hold(f"… to the best other proxy ({strongest.title})", found.ratio(own, "connect", "rate", strongest), "≥", 1.15)
    hold("requests a second, to the floor", found.ratio(own, "get", "rate", floor), "≥", 0.75)
    hold("… to Apache Traffic Server", found.ratio(own, "get", "rate", peers.TrafficServer), "≥", 1.3)
    hold("… their 99th percentile, to the floor's", found.ratio(own, "get", "p99_us", floor), "≤", 1.3)
    hold("one connection: median latency, to the floor's", found.ratio(own, "get1", "p50_us", floor), "≤", 1.2)
    hold("CPU of a tunnel, to the floor's", found.ratio(own, "connect", "cpu_us_per_op", floor), "≤", 1.25)
    hold("CPU of a request, to the floor's", found.ratio(own, "get", "cpu_us_per_op", floor), "≤", 1.6)
    hold("refused requests a second, to Apache Traffic Server", found.ratio(own, "deny-get", "rate", peers.TrafficServer), "≥", 1.1)
    hold("… their CPU, to Squid's", found.ratio(own, "deny-get", "cpu_us_per_op", peers.Squid), "≤", 0.4)
    hold("refused CONNECTs a second, to the floor's tunnels", found.ratio(own, "deny-connect", "rate", floor, "connect"), "≥", 2)
    for metric in BULK:
        hold(f"bulk, {metric}, to the floor", found.ratio(own, metric, "rate", floor), "≥", 0.97)
        hold("… CPU of a gigabyte, to the floor's", found.ratio(own, metric, "cpu_s_per_gb", floor), "≤", 1.05)
    idle = found.of("idle", own)
    hold(f"memory of an idle tunnel ({size.idle:,} open)", middle([row.get("resident_per_tunnel") for row in idle]), "≤", 3072, " bytes")
    start = found.of("start", own)
    hold("memory of a fresh process", middle([row["resident"] / MIB for row in start]), "≤", 8, " MiB")
    many, few = (found.of("names", own, names=count) for count in (size.many, 10))
    hold(f"{size.many:,} names: start to first answer", middle([row["ready_s"] for row in many]), "≤", 1, " s")
    if many and few:
        each = (middle([row["resident"] for row in many]) - middle([row["resident"] for row in few])) / size.many
        hold("… memory of a name", each, "≤", 60, " bytes")
        for metric in ("connect", "get", "deny-get"):
            pairs = [(row["rates"][metric], other["rates"][metric]) for row in many for other in few if row["round"] == other["round"]]
            hold(f"… {metric}, to the same with ten names", middle([ours / theirs for ours, theirs in pairs if ours and theirs]), "≥", 0.98)
    for names, storm, title in ((10, False, "ten names"), (10, True, "ten names, ten times a second"), (size.many, False, f"{size.many:,} names")):
        runs = [row for row in found.of("reload", own, names=names, storm=storm) if row.get("halves")]
        hold(f"reload during load, {title}: errors", max((row["errors"] for row in runs), default=None), "≤", 0)
        hold("… 99th percentile, to that before", middle([ratio(row, 1) for row in runs]), "≤", 1.2)
        hold("… longest wait, more than before", middle([later(row) for row in runs]), "≤", 5, " ms")
    return rows


def ratio(row, which):
    before, after = (half[which] for half in row["halves"])
    return after / before if before and after is not None else None


def later(row):
    before, after = (half[2] for half in row["halves"])
    return max(0.0, (after - before) / 1000) if before is not None and after is not None else None


def write_goals(rows):
    verdict = {True: "reached", False: "**missed**", None: "not measured"}
    missed = sum(reached is False for *_, reached in rows)
    text = f"{sum(reached is True for *_, reached in rows)} reached, {missed} missed.\n\n"
    return text + table(["what", "goal", "measured", ""], [[what, goal, value, verdict[reached]] for what, goal, value, reached in rows])


# ---------------------------------------------------------------- RESULTS.md

def results(found, bench, kinds, elapsed):
    size = bench.size
    parts = ["# Performance of outgate and other forward proxies\n"]
    if not size.is_full:
        parts.append(TRIAL + "\n")
    flags = "" if size.is_full else " --quick"
    parts.append(f"Written by `tests/load/run{flags}` on {time.strftime('%Y-%m-%d')}, in {elapsed / 60:.0f} min. The end describes the "
                 "figures and how they were measured.\n")
    parts += [machine(bench, kinds), "## Goals\n", write_goals(goals(found, size)), "## Rates\n"]
    for metric, unit in UNITS.items():
        if any(found.values(kind, metric) for kind in kinds):
            parts.append(f"### {metric}: {unit}\n\n" + rates(found, metric, kinds))
    parts += ["## Memory\n", memory(found, size, kinds)]
    parts += [f"## {size.many:,} names\n", many_names(found, size, kinds), "## Reload during load\n", reloads(found, size, kinds)]
    missing = [f"- {case}: {why}" for case, why in bench.missing.items()]
    slow = [kind.title for kind in kinds if kind.most_names < size.many]
    missing.append(f"- {', '.join(slow)} with {size.many:,} names: they look through their rules one by one.") if slow else None
    if peers.Squid in kinds:
        again = ", more than once" if size.is_full else ""
        missing.append(f"- Squid with {size.many:,} names{again}: it takes half a minute to read them.")
    if peers.TrafficServer in kinds:
        missing.append("- Apache Traffic Server's reload: its list is read by a script, which it reads again at a restart only.")
    parts += ["## Not measured\n", "\n".join(missing) + "\n", METHOD]
    return "\n".join(parts)


def rates(found, metric, kinds):
    floor, bulk, rows = peers.Floor, metric in BULK, []
    base = INSTEAD.get(metric, metric)
    for kind in kinds:
        values = found.values(kind, metric)
        if not values:
            continue
        errors = sum(row.get("errors", 0) for row in found.of("matrix", kind, metric=metric))
        cells = [kind.title, spread(values.values()), spread(found.ratios(kind, metric, "rate", floor, base), "{:.2f}".format),
                 short(found.middle(kind, metric, "cpu_s_per_gb" if bulk else "cpu_us_per_op"))]
        if not bulk:
            cells += [short(found.middle(kind, metric, key)) for key in ("p50_us", "p99_us")]
        rows.append(cells + [errors])
    against = "× floor" if base == metric else f"× floor's `{base}`"
    return table(["", "median [min–max]", against, "CPU s/GB" if bulk else "CPU µs/op"] + ([] if bulk else ["p50 µs", "p99 µs"]) + ["errors"], rows)


def memory(found, size, kinds):
    rows = []
    mib = lambda size: f"{size / MIB:.1f}"
    for kind in kinds:
        for start in found.of("start", kind):
            idle = (found.of("idle", kind) or [{}])[0]
            rows.append([kind.title, mib(start["resident"]), mib(start["proportional"]), f"{idle.get('open', 0):,}",
                         short(idle.get("resident_per_tunnel")), short(idle.get("proportional_per_tunnel")),
                         f"{idle.get('echoed', 0)} of {idle.get('tried', 0)}", short(idle.get("idle_cpu_percent", None))])
    return table(["", "fresh, RSS MiB", "PSS MiB", f"idle tunnels of {size.idle:,}", "RSS bytes a tunnel", "PSS", "still work", "CPU % while idle"], rows)


def many_names(found, size, kinds):
    rows = []
    for kind in kinds:
        for names in (10, size.many):
            runs = found.of("names", kind, names=names)
            if runs:
                pick = lambda key: spread(row[key] for row in runs)
                mib = spread([row["resident"] / MIB for row in runs])
                rows.append([kind.title, f"{names:,}", pick("ready_s"), mib]
                            + [spread(row["rates"][metric] for row in runs if row["rates"][metric]) for metric in ("connect", "get", "deny-get")])
    return table(["", "names", "ready s", "RSS MiB", "connect/s", "get/s", "deny-get/s"], rows)


def reloads(found, size, kinds):
    rows = []
    for kind in kinds:
        for names, storm in ((10, False), (10, True), (size.many, False)):
            runs = found.of("reload", kind, names=names, storm=storm)
            good = [row for row in runs if row.get("halves")]
            if not good:
                rows += [[kind.title, f"{names:,}", "-", "-", "-", "-", runs[0].get("first_error", "-")]] if runs else []
                continue
            half = lambda number, which: spread(row["halves"][number][which] / 1000 for row in good if row["halves"][number][which] is not None)
            rows.append([kind.title, f"{names:,}" + (", ten a second" if storm else ""), half(0, 1), half(1, 1), half(0, 2), half(1, 2),
                         f"{sum(row['errors'] for row in good)} of {sum(int(row['due']) for row in good):,}"])
    return table(["", "names", "p99 ms before", "p99 ms after", "longest before", "longest after", "errors"], rows)


def rounds(size):
    return "1 round" if size.rounds == 1 else f"{size.rounds} rounds"


def version(said):
    """The number in what a program says of itself."""
    number = re.search(r"\d+(\.\d+)+[-+.\w]*", said)
    return number.group() if number else said


def is_debug(bench):
    return "/debug/" in bench.world.outgate


def machine(bench, kinds):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 2**20
    lines = [f"- Machine: {model}, {os.cpu_count()} cores, {memory:.0f} GiB; Linux {platform.release()}. Proxy, load generator and origin share it."]
    lines += [f"- {rounds(bench.size)}, {bench.size.secs:g} s for each measurement."]
    others = [row["others"] for row in bench.rows if row.get("others") is not None]
    if others:
        lines.append(f"- Other programs used {statistics.median(others):.2f} cores meanwhile in the median, {max(others):.2f} in the worst measurement.")
    programs = [(kind.title, kind.version(bench.world)) for kind in kinds if hasattr(kind, "version") and kind is not peers.SquidWorkers]
    if shutil.which("wrk"):
        programs.append(("wrk", processes.first_line(["wrk", "-v"])))
    lines.append("- " + ", ".join(f"{title} {version(said)}" for title, said in programs) + ".")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=os.path.dirname(__file__), capture_output=True, text=True).stdout.strip()
    profile = os.path.basename(os.path.dirname(bench.world.outgate))
    return "\n".join(lines + [f"- outgate is a `{profile}` build{' of ' + commit if commit else ''}."]) + "\n"


METHOD = """## What it means

- **The floor** (`tests/load/floor.rs`) takes the same requests and copies the same bytes, but has no policy, looks up no name
  and keeps no record. No proxy in user space can be much faster here; ratios to it say what a proxy adds.
- **connect**: TCP connection, CONNECT, 200, a ClientHello for the asked name, the origin's first 64 bytes, close.
  All 64,512 ports may be used for it, since those of closed tunnels stay taken for a while.
  **get**: a request in absolute-form and 128 bytes back. **deny-**: the same for names that are not allowed, a new one each
  time; where the proxy closes after a refusal (as outgate does after a CONNECT), a new connection each time.
  wrk counts it as an error when a proxy closes (tinyproxy does, after each answer).
  **down, up, both**: TLS records through open tunnels; what goes up is counted when it is sent, after a warm-up.
- **CPU** is user and system time of the proxy's whole process tree (/proc/PID/stat). It is the steadiest of the figures, and
  shows the capacity of a machine; a rate also depends on the load generator and the origin, which share the machine.
- **Ratios** are taken within each round, in which every proxy has its turn at every metric, in an order that is another
  each time, outgate next to the floor; given are medians. Proxies that are not being measured are stopped meanwhile.
- **Memory** is of the process tree. RSS counts a page for each process that has it, PSS shares it out; neither has what the
  kernel keeps for sockets and pipes. Idle tunnels are those of a fresh process, 16 s after they were opened:
  outgate has recorded each of them as open by then.
- **Reload**: 1,000 requests a second are due, and latency counts from when each was due. Half-way the policy is replaced by
  one with another name. A refused request is an error.
- outgate records every request as JSON Lines, checks addresses, and reads the name in each ClientHello. The others check a
  list of names alone; their access logs and caches are off, the rest is as Debian has it.
"""


# ---------------------------------------------------------------- the README and the plot

def readme_table(found, size, kinds):
    rows = []
    for kind in kinds:
        idle, names = found.of("idle", kind), found.of("names", kind, names=size.many)
        each = middle([row.get("resident_per_tunnel") for row in idle])
        is_full = idle and idle[0].get("open") == size.idle
        pair = lambda metric, key: short(found.middle(kind, metric, key))
        rows.append([kind.title, short(found.middle(kind, "connect")), short(found.middle(kind, "get")), short(found.middle(kind, "deny-get")),
                     f"{pair('connect', 'cpu_us_per_op')} · {pair('get', 'cpu_us_per_op')}", f"{pair('down', 'rate')} · {pair('down', 'cpu_s_per_gb')}",
                     f"{each / 1024:.1f}" if each is not None and is_full else f"only {idle[0].get('open', 0):,} open" if idle else "–",
                     short(middle([row["ready_s"] for row in names])) if names else "–"])
    return table(["", "new tunnels/s", "requests/s", "refusals/s", "CPU µs a tunnel · a request", "GB/s · CPU s a GB", "KiB an idle tunnel",
                  "s to start with 1,000,000 names"], rows)


def readme_part(found, bench, kinds):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    trial = "" if bench.size.is_full else TRIAL + " "
    trial += "**outgate was a debug build.** " if is_debug(bench) else ""
    caption = (f"{trial}{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores shared by proxy, load generator and origin; medians of "
               f"{rounds(bench.size)}. The floor copies and does nothing else.")
    plot = "![New tunnels, requests and refusals a second, and memory of an idle tunnel, for each proxy](docs/load.svg)"
    return f"{BEGIN}\n\n{caption}\n\n{readme_table(found, bench.size, kinds)}\n{plot}\n\n{END}"


PANELS = (("New tunnels a second", "connect"), ("Requests a second", "get"), ("Refused requests a second", "deny-get"), ("Bytes an idle tunnel (less is better)", "idle"))
WIDTH, LEFT, LINE, GAP = 400, 150, 20, 50


def plot(found, kinds, size):
    """Bars, in the reader's own colours, light or dark; widths in one panel are to one scale."""
    height = GAP + LINE * len(kinds) + 12
    parts = []
    for place, (title, metric) in enumerate(PANELS):
        x, y = place % 2 * WIDTH, place // 2 * height
        values = {}
        for kind in kinds:
            idle = [row.get("resident_per_tunnel") for row in found.of("idle", kind, open=size.idle)]
            value = middle(idle) if metric == "idle" else found.middle(kind, metric)
            if value is not None and value >= 0:
                values[kind] = value
        most = max(values.values(), default=1) or 1
        parts.append(f'<text class="title" x="{x + 8}" y="{y + 30}">{title}</text>')
        for line, (kind, value) in enumerate(values.items()):
            top = y + GAP - 8 + line * LINE
            style = {peers.Outgate: "own", peers.Floor: "floor"}.get(kind, "other")
            bar = max(1, value / most * (WIDTH - LEFT - 70))
            parts.append(f'<text class="name" x="{x + LEFT - 6}" y="{top + 12}">{kind.title}</text>'
                         f'<rect class="{style}" x="{x + LEFT}" y="{top + 1}" width="{bar:.1f}" height="{LINE - 6}"/>'
                         f'<text x="{x + LEFT + bar + 6:.1f}" y="{top + 12}">{short(value)}</text>')
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * height}" width="{2 * WIDTH}" height="{2 * height}" role="img">
<title>New tunnels, requests and refusals a second, and memory of an idle tunnel, for each proxy</title>
<style>
text {{ font: 12px system-ui, sans-serif; fill: #1f2328 }} .title {{ font-weight: 600; font-size: 14px }} .name {{ text-anchor: end }}
.own {{ fill: #0969da }} .other {{ fill: #8c959f }} .floor {{ fill: none; stroke: #8c959f; stroke-dasharray: 3 2 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .own {{ fill: #58a6ff }} .other {{ fill: #6e7681 }} .floor {{ stroke: #6e7681 }} }}
</style>
{chr(10).join(parts)}
</svg>
"""


def write(root, bench, kinds, elapsed):
    found = Found(bench.rows)
    place = lambda *parts: os.path.join(root, *parts)
    os.makedirs(place("docs"), exist_ok=True)
    # Before any of them is written: it says whether the checkout has changes.
    text = results(found, bench, kinds, elapsed)
    with open(place("tests", "load", "RESULTS.md"), "w") as file:
        file.write(text)
    with open(place("docs", "load.svg"), "w") as file:
        file.write(plot(found, kinds, bench.size))
    with open(place("README.md")) as file:
        readme = file.read()
    part = readme_part(found, bench, kinds)
    replaced, count = re.subn(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: part, readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit("README.md has not the two marks between which its table belongs")
    with open(place("README.md"), "w") as file:
        file.write(replaced)
