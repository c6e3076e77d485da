"""The proxies that are compared: the configuration of each for the same names, and how it starts, reloads and ends.

Each allows `allowed.test` and a number of other names, one in ten of them with all subdomains, and refuses the rest. Caches
and access logs are off; all other settings are the package's defaults. outgate still keeps its records as JSON Lines. The
floor has no policy.
"""
import os, re, shutil, signal, socket, subprocess, time

from processes import ask, end_tree, first_line, free_port, memory, tree, wait_for

ALLOWED, DENIED = "allowed.test", "d0.denied.test"
# Scanning a list line by line, or compiling each into an expression, is not for a million names.
SCANS = 10_000


class Failed(Exception):
    """A proxy that cannot be measured, and why."""


class World:
    """What all of them share."""

    def __init__(self, folder, outgate, load):
        self.folder, self.outgate, self.load = folder, outgate, load
        self.children = []
        self.origin = free_port()

    def spawn(self, command, log, **more):
        with open(log, "ab") as output:
            child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                     start_new_session=True, **more)
        self.children.append(child)
        return child

    def start_origin(self):
        self.spawn([self.load, "origin", f"127.0.0.1:{self.origin}"], os.path.join(self.folder, "origin.log"))
        if not wait_for(lambda: socket.create_connection(("127.0.0.1", self.origin), 1).close() is None, 5):
            raise RuntimeError("the origin did not start")

    def end(self):
        for child in reversed(self.children):
            end_tree(child)


def names(count):
    """So many names that are allowed: those meant exactly, and those meant with all below them."""
    others = range(count - 1)
    exact = [ALLOWED] + [f"h{n}.z{n % 997}.rules.test" for n in others if n % 10 != 9]
    return exact, [f"t{n}.tree.test" for n in others if n % 10 == 9]


class Proxy:
    title, most_names, has_policy, program = "", 10**9, True, None
    # The signal that makes it read its rules again; None if it must be restarted.
    reload_signal = None

    def __init__(self, world, count=10):
        self.world, self.count = world, count
        self.folder = os.path.join(world.folder, f"{type(self).__name__}-{time.monotonic_ns()}")
        os.mkdir(self.folder)
        # Some of them give up their rights before they write.
        os.chmod(self.folder, 0o777)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        # Files that wait to be put in place; none while they are put there at once.
        self.waiting = None

    def at(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """Whole or not at all: a proxy may look at any time."""
        with open(self.at(name + ".new"), "w") as file:
            file.write(text)
        if self.waiting is None:
            os.replace(self.at(name + ".new"), self.at(name))
        else:
            self.waiting.append(name)
        return self.at(name)

    def start(self):
        if self.program and not shutil.which(self.program):
            raise Failed(f"`{self.program}` is not installed")
        command, environment = self.prepare(*names(self.count))
        began = time.monotonic()
        self.child = self.world.spawn(command, self.at("log"), cwd=self.folder, env={**os.environ, **environment})
        self.pid = self.child.pid
        limit = 20 if self.count < 100_000 else 120
        # Apache Traffic Server never answers a connection that came before it was ready.
        while ask(self.port, self.world.origin, "GET", ALLOWED, 0.3) != 200:
            if self.child.poll() is not None or time.monotonic() - began > limit:
                ended = self.child.poll()
                self.stop()
                raise Failed(f"it did not start (exit status {ended}): {self.last_words()}")
            time.sleep(0.005)
        self.ready = time.monotonic() - began
        if self.has_policy:
            self.check_policy()
        time.sleep(0.2)
        self.memory = memory(self.pid)
        return self

    def last_words(self):
        said = ""
        for name in ("log", "cache.log"):
            if os.path.exists(self.at(name)):
                with open(self.at(name), errors="replace") as file:
                    said += " " + " ".join(file.read()[-300:].split())
        return said

    def check_policy(self):
        """Figures of a proxy that lets everything through, or nothing, would mean nothing."""
        for method, host, allowed in (("CONNECT", ALLOWED, True), ("CONNECT", DENIED, False), ("GET", DENIED, False)):
            status = ask(self.port, self.world.origin, method, host)
            if (status == 200) != allowed or status is None:
                self.stop()
                raise Failed(f"its policy does not hold: {method} {host} gets {status}")

    def stop(self):
        self.freeze(False)
        end_tree(self.child)

    def freeze(self, still):
        """Stops a proxy that is not being measured, so that its timers cost nothing."""
        for pid in tree(self.pid):
            try:
                os.kill(pid, signal.SIGSTOP if still else signal.SIGCONT)
            except ProcessLookupError:
                pass

    def write_next(self, number):
        """Writes the rules with one name more, where it does not see them yet: a million lines take a core for a second."""
        exact, trees = names(self.count)
        self.waiting = []
        self.prepare(exact + [f"added{number}.test"], trees)

    def reload(self):
        """Puts the new files in place and signals the proxy."""
        for name in self.waiting:
            os.replace(self.at(name + ".new"), self.at(name))
        self.waiting = None
        os.kill(self.reload_target(), self.reload_signal)

    def reload_target(self):
        """The process that gets the reload signal."""
        return self.pid


class Floor(Proxy):
    title, has_policy = "floor (no policy)", False

    def prepare(self, _exact, _trees):
        return [self.world.load, "floor", self.address, "--threads", os.cpu_count()], {}


class Outgate(Proxy):
    title, reload_signal = "outgate", signal.SIGHUP

    def prepare(self, exact, trees):
        self.write("exact.txt", "".join(name + "\n" for name in exact))
        self.write("trees.txt", "".join(name + "\n" for name in trees))
        lists = "".join(f'[[list]]\neffect = "allow"\nfile = "{self.at(file)}"\nformat = "domains"\ncovers = "{covers}"\n'
                        for file, covers in (("exact.txt", "exact"), ("trees.txt", "subdomains")) if os.path.getsize(self.at(file)))
        # The lists speak of ports 80 and 443; the origin listens elsewhere.
        self.write("policy.toml", f'version = 1\nname = "load"\ninternal-addresses = ["127.0.0.0/8"]\nallow = ["{ALLOWED}:*"]\n{lists}')
        # All clients of the load are one, and one has three quarters of all places.
        most = 30_000
        return [self.world.outgate, "run", "--log-format", "json", "--config", self.write("outgate.toml", f"""
[[listen]]
name = "load"
address = "{self.address}"
[policy]
source = ["{self.at("policy.toml")}"]
[admin]
address = "off"
[record]
jsonl = "{self.at("records.jsonl")}"
[dns]
hosts = {{ "{ALLOWED}" = ["127.0.0.1"] }}
[limits]
max-tunnels = {most}
max-tunnels-per-client = {most}
""")], {}

    @staticmethod
    def version(world):
        return first_line([world.outgate, "--version"])


class Squid(Proxy):
    title, program, reload_signal, workers = "Squid", "squid", signal.SIGHUP, 1

    def prepare(self, exact, trees):
        listed = self.write("names", "".join(name + "\n" for name in exact + ["." + name for name in trees]))
        config = self.write("squid.conf", f"""
http_port {self.address}
workers {self.workers}
acl listed dstdomain "{listed}"
http_access allow listed
http_access deny all
cache deny all
cache_mem 8 MB
access_log none
cache_log {self.at("cache.log")}
pid_filename {self.at("pid")}
coredump_dir {self.folder}
hosts_file /etc/hosts
client_db off
max_filedescriptors 20000
shutdown_lifetime 0 seconds
""")
        return ["squid", "--foreground", "-n", f"load{self.port}", "-f", config], {}

    def reload_target(self):
        with open(self.at("pid")) as file:
            return int(file.read())

    @staticmethod
    def version(_world):
        return first_line(["squid", "-v"])


class SquidWorkers(Squid):
    title, workers = "Squid, a worker a core", os.cpu_count()


class TrafficServer(Proxy):
    title, program = "Apache Traffic Server", "traffic_server"

    def prepare(self, exact, trees):
        root = self.at("root")
        made = subprocess.run(["traffic_layout", "init", "--force", "--copy-style=soft", "--path", root], capture_output=True, text=True)
        layout = os.path.join(root, "runroot.yaml")
        if made.returncode or not os.path.exists(layout):
            raise Failed(f"traffic_layout: {(made.stderr + made.stdout)[-200:]}")
        with open(layout) as file:
            places = dict(line.strip().split(": ", 1) for line in file if ": " in line)
        # What it writes is not to be where the package has it.
        for what in ("localstatedir", "runtimedir", "logdir", "cachedir"):
            places[what] = os.path.join(root, "var", what)
            os.makedirs(places[what], exist_ok=True)
        with open(layout, "w") as file:
            file.writelines(f"{what}: {place}\n" for what, place in places.items())
        settings = places["sysconfdir"]
        for name in os.listdir(settings):
            if name != "body_factory":
                old = os.path.join(settings, name)
                shutil.rmtree(old) if os.path.isdir(old) and not os.path.islink(old) else os.unlink(old)
        listed = self.write("names", "".join(name + "\n" for name in exact + ["." + name for name in trees]))
        script = self.write("allow.lua", f"""
local listed = {{}}
for name in io.lines("{listed}") do listed[name] = true end
local function allowed(host)
  if listed[host] or listed["." .. host] then return true end
  local dot = string.find(host, ".", 1, true)
  while dot do
    if listed[string.sub(host, dot)] then return true end
    dot = string.find(host, ".", dot + 1, true)
  end
  return false
end
function do_global_read_request()
  local host = ts.client_request.get_url_host()
  if not host or not allowed(host) then ts.http.set_resp(403, "not allowed\\n") end
  return 0
end
""")
        for name, text in {
            "plugin.config": f"tslua.so --states={os.cpu_count()} {script}\n", "storage.config": "", "remap.config": "",
            "ip_allow.yaml": "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.0/8\n    action: allow\n    methods: ALL\n",
            "records.config": "".join(f"CONFIG proxy.config.{setting}\n" for setting in (
                f"http.server_ports STRING {self.port}:ip-in=127.0.0.1", f"http.connect_ports STRING {self.world.origin}",
                "reverse_proxy.enabled INT 0", "url_remap.remap_required INT 0", "http.cache.http INT 0", "log.logging_enabled INT 0",
                "hostdb.host_file.path STRING /etc/hosts", "dns.search_default_domains INT 0", "net.connections_throttle INT 15000",
                "http.keep_alive_no_activity_timeout_in INT 600", "http.transaction_no_activity_timeout_in INT 600",
                "http.transaction_no_activity_timeout_out INT 600", "admin.user_id STRING #-1")),
        }.items():
            with open(os.path.join(settings, name), "w") as file:
                file.write(text)
        return ["traffic_server", f"--run-root={layout}"], {"TS_RUNROOT": layout}

    @staticmethod
    def version(_world):
        return first_line(["traffic_server", "-V"], "Apache Traffic Server")


class Tinyproxy(Proxy):
    title, program, most_names, reload_signal = "tinyproxy", "tinyproxy", SCANS, signal.SIGUSR1

    def prepare(self, exact, trees):
        expressions = [f"^{re.escape(name)}$" for name in exact] + [rf"\.{re.escape(name)}$" for name in trees]
        listed = self.write("names", "".join(expression + "\n" for expression in expressions))
        config = self.write("tinyproxy.conf", f"""
Listen 127.0.0.1
Port {self.port}
Allow 127.0.0.0/8
ConnectPort {self.world.origin}
Filter "{listed}"
FilterExtended On
FilterURLs Off
FilterDefaultDeny Yes
MaxClients 19000
Timeout 600
LogLevel Critical
LogFile "{self.at("tinyproxy.log")}"
""")
        return ["tinyproxy", "-d", "-c", config], {}

    @staticmethod
    def version(_world):
        return first_line(["tinyproxy", "-v"])


class Privoxy(Proxy):
    title, program, most_names = "Privoxy", "privoxy", SCANS

    def prepare(self, exact, trees):
        self.write("allow.action", "\n".join(["{+block{not allowed}}", "/", "{-block}", *exact, *("." + name for name in trees)]) + "\n")
        config = self.write("config", f"""
confdir {self.folder}
logdir {self.folder}
templdir /etc/privoxy/templates
actionsfile allow.action
logfile privoxy.log
debug 0
listen-address {self.address}
toggle 1
keep-alive-timeout 300
socket-timeout 300
connection-sharing 0
tolerate-pipelining 1
max-client-connections 9000
listen-backlog 1024
""")
        return ["privoxy", "--no-daemon", config], {}

    @staticmethod
    def version(_world):
        return first_line(["privoxy", "--version"])


class Apache(Proxy):
    title, program, most_names, reload_signal = "Apache httpd", "apache2", 1000, signal.SIGUSR1

    def prepare(self, exact, trees):
        folder = "/usr/lib/apache2/modules"
        modules = ["mpm_event", "authn_core", "authz_core", "authz_host", "proxy", "proxy_connect", "proxy_http", "unixd"]
        load = "".join(f"LoadModule {module}_module {folder}/mod_{module}.so\n" for module in modules
                       if os.path.exists(f"{folder}/mod_{module}.so"))
        hosts = [re.escape(name) for name in exact] + [r"([^/@]+\.)" + re.escape(name) for name in trees]
        allow = "".join(f'<ProxyMatch "^(http://)?{host}(:[0-9]+)?(/|$)">\nRequire ip 127.0.0.0/8\n</ProxyMatch>\n' for host in hosts)
        config = self.write("apache.conf", f"""
ServerRoot {self.folder}
ServerName localhost
Listen {self.address}
PidFile {self.at("pid")}
DefaultRuntimeDir {self.folder}
ErrorLog {self.at("error.log")}
LogLevel crit
{load}
MaxKeepAliveRequests 0
KeepAliveTimeout 60
ProxyRequests On
ProxyVia Off
AllowCONNECT {self.world.origin}
<Proxy "*">
Require all denied
</Proxy>
{allow}
""")
        return ["apache2", "-DFOREGROUND", "-f", config], {}

    @staticmethod
    def version(_world):
        return first_line(["apache2", "-v"])


ALL = [Floor, Outgate, Squid, SquidWorkers, TrafficServer, Tinyproxy, Privoxy, Apache]
# Debian's name of what each comes in.
PACKAGES = {"squid": "squid", "traffic_server": "trafficserver", "tinyproxy": "tinyproxy", "privoxy": "privoxy", "apache2": "apache2",
            "wrk": "wrk"}
