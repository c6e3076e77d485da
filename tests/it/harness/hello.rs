//! ClientHellos to begin a tunnel with, made here or sent by real clients.

use std::fs;
use std::path::Path;

/// A ClientHello in one record that names this server, or none.
pub fn hello(name: Option<&str>) -> Vec<u8> {
    in_records(&hello_message(name), usize::from(u16::MAX >> 2))
}

/// As [`hello`], with these extensions before the server's name.
pub fn hello_with(name: Option<&str>, extensions: &[u8]) -> Vec<u8> {
    in_records(&message(name, extensions), usize::from(u16::MAX >> 2))
}

/// The handshake message alone (RFC 8446 §4.1.2).
pub fn hello_message(name: Option<&str>) -> Vec<u8> {
    message(name, &[])
}

fn message(name: Option<&str>, more: &[u8]) -> Vec<u8> {
    // server_name (RFC 6066 §3) comes after supported_versions, so that it is not the first extension.
    let mut extensions = [&[0, 43, 0, 3, 2, 3, 4], more].concat();
    if let Some(name) = name {
        let entry = [&[0], vec16(name.as_bytes()).as_slice()].concat();
        extensions.extend([0, 0]);
        extensions.extend(vec16(&vec16(&entry)));
    }
    let body = [&[3, 3], [7; 32].as_slice(), &[0], &vec16(&[0x13, 1]), &[1, 0], &vec16(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], body.as_slice()].concat()
}

/// A handshake message in records of at most so many bytes each.
pub fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|fragment| [&[22, 3, 1], vec16(fragment).as_slice()].concat()).collect()
}

/// The hello that a real client sent (tests/fixtures/hellos).
pub fn captured_hello(client: &str) -> Vec<u8> {
    fs::read(hellos().join(format!("{client}.bin"))).unwrap()
}

/// Every such client.
pub fn captured_clients() -> Vec<String> {
    let names = fs::read_dir(hellos()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".bin").map(str::to_owned)).collect()
}

fn hellos() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hellos")
}

fn vec16(content: &[u8]) -> Vec<u8> {
    [u16::try_from(content.len()).unwrap().to_be_bytes().as_slice(), content].concat()
}
