//! The server name of ClientHellos that real programs sent, whole and as they come in segments.

use std::path::Path;

use criterion::{BatchSize, Criterion};
use outgate::tls::HelloReader;

/// The proxy's own default.
const LIMIT: usize = 64 * 1024;
/// What an Ethernet segment carries.
const SEGMENT: usize = 1448;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hello");
    let clients = ["curl-openssl3", "node20", "rustls", "chromium156-early", "chromium156-late", "openssl3-fragmented"];
    for client in clients {
        let hello = captured(client);
        assert!(matches!(HelloReader::new(LIMIT).read(&hello), Ok(Some(_))), "{client}");
        group.bench_function(format!("{client}/whole"), |bencher| {
            bencher.iter_batched_ref(|| HelloReader::new(LIMIT), |reader| reader.read(&hello), BatchSize::SmallInput);
        });
        group.bench_function(format!("{client}/in segments"), |bencher| {
            bencher.iter(|| in_pieces(&hello, SEGMENT));
        });
    }
    let hello = captured("chromium156-late");
    group.bench_function("chromium156-late/byte by byte", |bencher| bencher.iter(|| in_pieces(&hello, 1)));
    group.finish();
}

/// As the gate asks: again whenever something has come, with all that there is.
fn in_pieces(hello: &[u8], size: usize) -> bool {
    let mut reader = HelloReader::new(LIMIT);
    let ends = (size..hello.len()).step_by(size).chain([hello.len()]);
    ends.map(|end| reader.read(hello.get(..end).unwrap_or(hello))).any(|read| matches!(read, Ok(Some(_))))
}

fn captured(client: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/hellos/{client}.bin"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
