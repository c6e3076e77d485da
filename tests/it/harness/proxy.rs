//! A proxy that runs, with a folder, ports and a name server of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::command::{Finished, clean, finish, program, shell, unshared, wait};
use super::system::{self, Failing, Hold};
use super::{Answer, Answers, Conn, Metrics, NameServer, PATIENCE, Port, Settings, until};

/// The admin token of every proxy here.
pub const TOKEN: &str = "test-token-0123456789abcdef";

/// A running proxy; ends with its value.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    dir: TempDir,
    port: Port,
    admin: Port,
    names: NameServer,
    settings: Settings,
    output: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// With this policy and everything else as usual.
    pub fn with(policy: impl Into<String>) -> Self {
        Settings::with(policy).start()
    }

    pub(super) fn start(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let (port, admin, names) = (Port::reserve(), Port::reserve(), NameServer::start());
        fs::write(dir.path().join("policy.toml"), &settings.policy).unwrap();
        write_secret(&dir.path().join("admin.token"), TOKEN);
        fs::write(dir.path().join("outgate.toml"), settings.config(dir.path(), &port, &admin, &names)).unwrap();
        for (name, content) in &settings.files {
            write_secret(&dir.path().join(name), content);
        }
        let output = Arc::new(Mutex::new(Vec::new()));
        let child = spawn(dir.path(), &settings, &output);
        let mut proxy = Self { child, dir, port, admin, names, settings, output };
        proxy.wait_until_ready();
        proxy
    }

    /// Waits until `/readyz` says so.
    pub fn wait_until_ready(&mut self) {
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin.address());
        until("the proxy is ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the proxy ended with {status}:\n{}", self.output().join("\n"));
            }
            let stream = TcpStream::connect(self.admin.address()).ok()?;
            let mut conn = Conn::over(stream);
            conn.send(&request);
            (conn.answer().status() == 200).then_some(())
        });
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file in the folder of records, wherever that is.
    pub fn kept(&self, name: &str) -> PathBuf {
        match self.settings.folder() {
            "" => self.path(name),
            folder if self.settings.obedient => self.path(folder).join(name),
            // As the process sees it, while there is one.
            folder => {
                let place = self.path(folder).join(name);
                Path::new(&format!("/proc/{}/root", self.child.id())).join(place.strip_prefix("/").unwrap())
            }
        }
    }

    /// Runs a command of the program where the proxy's files of records are.
    pub fn run_in_its_folder(&self, arguments: &[&str]) -> Finished {
        let program = program(self.dir.path());
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.child.id().to_string(), "-m"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg(program.get_program()).args(arguments);
        finish(&mut clean(command, self.dir.path()), "")
    }

    /// From now on, what it writes to its disk waits, until the value is dropped.
    pub fn hold_disk(&self) -> Hold {
        Hold::begin(self.dir.path())
    }

    /// From now on, what it writes to its disk fails with this error of the system, until the value is dropped.
    pub fn fail_disk(&self, error: std::io::Error) -> Failing {
        Failing::begin(self.dir.path(), error)
    }

    /// From now on, its clock is so many seconds from the true time.
    pub fn step_clock(&self, seconds: i64) {
        system::step_clock(self.dir.path(), seconds);
    }

    /// The names that it asked its name server for.
    pub fn names_asked(&self) -> Vec<String> {
        self.names.asked()
    }

    /// A client connection.
    pub fn client(&self) -> Conn {
        Conn::to(self.address())
    }

    /// Sends these bytes on a connection of their own and reads all answers until the proxy closes it.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Answers {
        let mut client = self.client();
        client.send(bytes);
        client.answers_to("GET")
    }

    /// Sends one `CONNECT`. Returns the connection and the answer, which may be a refusal.
    pub fn connect(&self, authority: &str) -> (Conn, Answer) {
        let mut client = self.client();
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        let answer = client.answer_to("CONNECT");
        (client, answer)
    }

    /// An established tunnel.
    pub fn tunnel(&self, authority: &str) -> Conn {
        let (client, answer) = self.connect(authority);
        assert_eq!(answer.status(), 200, "{answer}");
        client
    }

    /// One GET of an absolute URL, on a connection of its own that it asks to close.
    pub fn get(&self, url: &str) -> Answer {
        self.raw(get(url, &["Connection: close"])).only().clone()
    }

    /// One request to the admin listener with the token.
    pub fn admin(&self, method: &str, path: &str) -> Answer {
        self.admin_with(method, path, &[&format!("Authorization: Bearer {TOKEN}")])
    }

    /// One request to the admin listener with these field lines after `Host`.
    pub fn admin_with(&self, method: &str, path: &str, fields: &[&str]) -> Answer {
        let host = format!("Host: {}", self.admin.address());
        self.admin_raw(method, path, &[&[host.as_str()], fields].concat())
    }

    /// One request to the admin listener with just these field lines.
    pub fn admin_raw(&self, method: &str, path: &str, fields: &[&str]) -> Answer {
        let mut conn = Conn::to(self.admin.address());
        conn.send(format!("{method} {path} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", fields.join("\r\n")));
        conn.answer_to(method)
    }

    /// Comes in by the banner's link, as a browser does: the path that it leads to, and the field that sends its cookie.
    pub fn by_the_link(&self) -> (String, String) {
        let answer = self.admin_with("GET", &format!("/?token={TOKEN}"), &[]);
        assert_eq!(answer.status(), 303, "{answer}");
        let cookie = answer.header("set-cookie").expect("a cookie").split(';').next().unwrap();
        (answer.header("location").expect("a path").to_owned(), format!("Cookie: {cookie}"))
    }

    /// The JSON at a path of the admin listener.
    pub fn api(&self, path: &str) -> Value {
        let answer = self.admin("GET", path);
        assert_eq!(answer.status(), 200, "{path}: {answer}");
        answer.json()
    }

    pub fn metrics(&self) -> Metrics {
        let answer = self.admin("GET", "/metrics");
        assert_eq!(answer.status(), 200, "{answer}");
        Metrics::parse(answer.text())
    }

    /// The revision in force.
    pub fn revision(&self) -> String {
        self.api("/v1/policy")["revision"].as_str().unwrap().to_owned()
    }

    /// Replaces the policy's file in one step, as one should.
    pub fn replace_policy(&self, text: &str) {
        fs::write(self.path("policy.new"), text).unwrap();
        fs::rename(self.path("policy.new"), self.path("policy.toml")).unwrap();
    }

    /// Replaces the policy and has it in force.
    pub fn set_policy(&self, text: &str) {
        self.replace_policy(text);
        let answer = self.reload();
        assert_eq!(answer.status(), 200, "{answer}");
    }

    /// Asks for a reload, and waits for the answer.
    pub fn reload(&self) -> Answer {
        let token = format!("Authorization: Bearer {TOKEN}");
        self.admin_with("POST", "/v1/policy/reload", &[&token, "Content-Length: 0"])
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What it wrote to standard output and standard error, line by line.
    pub fn output(&self) -> Vec<String> {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it ends by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        wait(&mut self.child, PATIENCE).unwrap_or_else(|| panic!("it did not end:\n{}", self.output().join("\n")))
    }

    /// Asks it to end and waits; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it once more after it has ended, with the same files and ports.
    pub fn start_again(&mut self) {
        self.start_again_until_it_listens();
        self.wait_until_ready();
    }

    /// As [`Self::start_again`], but returns at the first moment at which a client can connect.
    pub fn start_again_until_it_listens(&mut self) {
        self.child = spawn(self.dir.path(), &self.settings, &self.output);
        let began = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not listen:\n{}", self.output().join("\n"));
            thread::yield_now();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if thread::panicking() {
            eprintln!("--- what the proxy wrote\n{}", self.output().join("\n"));
        }
    }
}

/// A GET of an absolute URL with these field lines after `Host`.
pub fn get(url: &str, fields: &[&str]) -> String {
    request("GET", url, fields)
}

/// A request without a body.
pub fn request(method: &str, url: &str, fields: &[&str]) -> String {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut text = format!("{method} {url} HTTP/1.1\r\nHost: {authority}\r\n");
    for line in fields {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

fn spawn(dir: &Path, settings: &Settings, output: &Arc<Mutex<Vec<String>>>) -> Child {
    let mut command = program(dir);
    let mut script = String::new();
    if let Some(umask) = &settings.umask {
        script += &format!("umask {umask}; ");
    }
    if let Some(options) = &settings.disk {
        script += &format!("mkdir -p disk; mount -t tmpfs -o {options} none disk; ");
    }
    if !script.is_empty() {
        script += "exec \"$0\" \"$@\"";
        let program = [command.get_program()];
        let shell = if settings.disk.is_some() { unshared(&script, &program) } else { shell(&script, &program) };
        command = clean(shell, dir);
    }
    command.args(["run", "--config"]).arg(dir.join("outgate.toml")).args(&settings.arguments);
    if settings.obedient {
        fs::create_dir_all(dir.join(settings.folder())).unwrap();
        command.envs(system::environment(dir, &dir.join(settings.folder())));
    }
    if settings.terminal {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        command = std::process::Command::new("script");
        command.args(["-qfec", &format!("exec {}", line.join(" ")), "/dev/null"]);
        command = clean(command, dir);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    keep(child.stdout.take().unwrap(), Arc::clone(output));
    keep(child.stderr.take().unwrap(), Arc::clone(output));
    child
}

fn keep(pipe: impl Read + Send + 'static, output: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            output.lock().unwrap().push(line);
        }
    });
}

/// A file that only its owner can read.
fn write_secret(path: &Path, secret: &str) {
    fs::write(path, format!("{secret}\n")).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
