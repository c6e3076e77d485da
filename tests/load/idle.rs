//! Tunnels that are open and silent: what each costs, and whether they still work afterwards.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::options::Load;
use crate::tree;
use crate::tunnel::{self, Order};

/// Tunnels that have to echo in the end.
const TRIED: usize = 200;
/// Measures, and prints what it found.
pub(crate) fn run(load: &Load) -> io::Result<()> {
    let hello = tunnel::hello(&load.host)?;
    let before = tree::memory(load.pid);
    let began = Instant::now();
    let mut tunnels = Vec::with_capacity(load.conns);
    let mut first_error = None;
    while tunnels.len() < load.conns {
        match tunnel::open(load, &hello) {
            Ok(tunnel) => tunnels.push(tunnel),
            Err(error) => {
                first_error = Some(error.to_string());
                break;
            }
        }
    }
    let opening = began.elapsed().as_secs_f64();
    // A proxy may put away what it needed to open them.
    thread::sleep(load.warm_up());
    let (after, cpu) = (tree::memory(load.pid), tree::cpu_seconds(load.pid));
    thread::sleep(load.measured());
    let cpu = tree::cpu_seconds(load.pid) - cpu;
    let open = tunnels.len();
    let each = |after: u64, before: u64| (open > 0).then(|| (after as f64 - before as f64) / open as f64);
    let step = (open / TRIED).max(1);
    let echoed = tunnels.iter_mut().step_by(step).map(echoes).filter(|echo| *echo).count();
    println!(
        "{}",
        json!({
            "open": open,
            "opening_s": opening,
            "resident_per_tunnel": each(after.resident, before.resident),
            "proportional_per_tunnel": each(after.proportional, before.proportional),
            "idle_cpu_percent": cpu / load.measured().as_secs_f64() * 100.0,
            "tried": tunnels.iter().step_by(step).count(),
            "echoed": echoed,
            "errors": u8::from(first_error.is_some()),
            "first_error": first_error,
        })
    );
    Ok(())
}

fn echoes(tunnel: &mut TcpStream) -> bool {
    let word = [0x17, 3, 3, 0, 2, b'o', b'k'];
    let mut echoed = [0; 7];
    let asked = [Order::Echo.record().as_slice(), &word].concat();
    tunnel.write_all(&asked).and_then(|()| tunnel.read_exact(&mut echoed)).is_ok() && echoed == word
}
