//! What several tests expect of an answer.

use crate::harness::Answer;

/// Asserts that an answer is a denial for this reason, with everything that goes with it but its body.
pub fn assert_denied(answer: &Answer, reason: &str) {
    assert_eq!(answer.status(), 403, "{answer}");
    let id = answer.header("x-request-id").expect("a request id");
    assert_eq!(answer.status_line, format!("HTTP/1.1 403 Blocked by test egress policy: {reason}, request {id}"));
    assert_eq!(answer.header("x-proxy-error"), Some("blocked-by-allowlist"));
    assert_eq!(answer.header("x-deny-reason"), Some(reason));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let status = answer.header("proxy-status").unwrap();
    assert!(status.starts_with("outgate; error="), "{status}");
    assert!(status.ends_with(&format!("; details=\"{reason}\"")), "{status}");
}

/// Asserts that an answer says that something failed, and not that a policy denied it.
pub fn assert_failed(answer: &Answer, status: u16, token: &str) {
    assert_eq!(answer.status(), status, "{answer}");
    assert_eq!(answer.header("x-deny-reason"), None, "{answer}");
    assert_eq!(answer.header("x-proxy-error"), None, "{answer}");
    let details = answer.header("proxy-status").unwrap();
    assert!(details.starts_with("outgate; error="), "{details}");
    assert!(details.ends_with(&format!("; details=\"{token}\"")), "{details}");
    assert!(answer.text().contains(token), "{answer}");
    assert!(!answer.text().contains("Blocked"), "{answer}");
    assert!(answer.header("x-request-id").is_some(), "{answer}");
}

/// Bytes that no compression and no pattern shortens, always the same.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A short name for many bytes.
pub fn hash(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
