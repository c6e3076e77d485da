//! A system that does what a test says: a disk that holds on to what it is given, a clock that steps.
//!
//! `system.c` intercepts the program's calls to the C library. That needs a C compiler, which building outgate needs as
//! well, and a loader that knows `LD_PRELOAD`, which is Linux's.

use std::fs::{self, File};
use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::finish;
use crate::clients::tool;

/// Files in the proxy's folder that control the preloaded library.
const HELD_BY: &str = "held-by";
const CLOCK_STEP: &str = "clock-step";

/// Whether a test may have such a system. Says why not; on CI that is a failure.
pub fn systems_can_be_made() -> bool {
    library().is_some()
}

/// The library, made once.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<(TempDir, std::path::PathBuf)>> = OnceLock::new();
    let made = LIBRARY.get_or_init(|| {
        if !cfg!(target_os = "linux") {
            println!("skipped: only Linux loads a library by LD_PRELOAD");
            return None;
        }
        let mut compiler = tool("cc", &["--version"])?;
        let dir = TempDir::new().unwrap();
        let (source, library) = (dir.path().join("system.c"), dir.path().join("system.so"));
        fs::write(&source, include_str!("system.c")).unwrap();
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).args([&library, &source]).arg("-ldl");
        let compiled = finish(&mut compiler, "");
        assert_eq!(compiled.code, Some(0), "{compiled:?}");
        Some((dir, library))
    });
    made.as_ref().map(|(_, library)| library.as_path())
}

/// The environment of a program whose disk is what is in `held`, and whose other files are in `dir`.
pub(super) fn environment(dir: &Path, held: &Path) -> [(&'static str, std::path::PathBuf); 4] {
    let library = library().expect("a test that asked systems_can_be_made").to_owned();
    let [by, step] = [HELD_BY, CLOCK_STEP].map(|name| dir.join(name));
    for (path, content) in [(&by, &[][..]), (&step, &0_i64.to_ne_bytes())] {
        if !path.exists() {
            fs::write(path, content).unwrap();
        }
    }
    let held = held.canonicalize().unwrap();
    [("LD_PRELOAD", library), ("HELD_FILES", held), ("HELD_BY", by), ("CLOCK_STEP", step)]
}

/// A disk that answers nothing, until this is dropped.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "a lock that is held")] File);

impl Hold {
    pub(super) fn begin(dir: &Path) -> Self {
        let file = File::open(dir.join(HELD_BY)).unwrap();
        file.lock().unwrap();
        Self(file)
    }
}

/// A disk that fails, until this is dropped.
#[derive(Debug)]
pub struct Failing(std::path::PathBuf);

impl Failing {
    pub(super) fn begin(dir: &Path, error: std::io::Error) -> Self {
        let path = dir.join(HELD_BY);
        fs::write(&path, error.raw_os_error().unwrap().to_string()).unwrap();
        Self(path)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        fs::write(&self.0, "").unwrap();
    }
}

/// Adds so many seconds to the time of day.
pub(super) fn step_clock(dir: &Path, seconds: i64) {
    // In place: the program has the file mapped.
    let file = File::options().write(true).open(dir.join(CLOCK_STEP)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &seconds.to_ne_bytes(), 0).unwrap();
}
