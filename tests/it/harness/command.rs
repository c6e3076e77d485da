//! The program as a command that comes to an end.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::PATIENCE;

/// A folder to run commands in.
#[derive(Debug)]
pub struct Outgate {
    dir: TempDir,
}

/// What came of a command.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Outgate {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// With a file.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it in the folder.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, "")
    }

    /// Runs it in the folder with this on standard input.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Finished {
        finish(&mut self.command(arguments), stdin)
    }

    /// Runs it with a disk of its own in `disk/`, a tmpfs that is mounted with these options.
    pub fn run_on_disk(&self, options: &str, arguments: &[&str]) -> Finished {
        let script = format!("mkdir -p disk; mount -t tmpfs -o {options} none disk; exec \"$0\" \"$@\"");
        let program = program(self.dir.path());
        let mut command = clean(unshared(&script, &[program.get_program()]), self.dir.path());
        finish(command.args(arguments), "")
    }

    /// The command itself, to be run in another way.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.dir.path());
        command.args(arguments);
        command
    }
}

/// The program under test, without the machine's environment variables for proxies and configurations.
pub fn program(dir: &Path) -> Command {
    let path = std::env::var_os("OUTGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_outgate").into());
    clean(Command::new(path), dir)
}

/// A script of the shell with these arguments.
pub fn shell(script: &str, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).args(arguments);
    command
}

/// A script of the shell in a mount namespace of its own, with these arguments; as root of a user namespace where we are
/// not root.
pub fn unshared(script: &str, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new("unshare");
    command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    command.args(["sh", "-ec", script]).args(arguments);
    command
}

/// Removes the machine's environment variables from the command.
pub fn clean(mut command: Command, dir: &Path) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("OUTGATE_") || name.to_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.current_dir(dir);
    command
}

/// Runs a command to its end, and ends it if that takes too long.
pub fn finish(command: &mut Command, stdin: &str) -> Finished {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _closed_early = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let code = wait(&mut child, PATIENCE);
    let [stdout, stderr] = [stdout, stderr].map(|thread| thread.join().unwrap());
    let code = code.unwrap_or_else(|| panic!("{command:?} did not end: {stdout}{stderr}"));
    Finished { code, stdout, stderr }
}

/// Waits for a process to end; its exit code, or none if it was still there and had to be ended.
pub fn wait(child: &mut Child, patience: Duration) -> Option<Option<i32>> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        if began.elapsed() > patience {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).expect("output in UTF-8")
    })
}
