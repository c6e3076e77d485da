//! Asking the proxy that runs, over its admin listener.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::admin::Token;
use crate::config::parse_address;

/// The proxy is on this machine; what takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer that is read.
const MAX_ANSWER: u64 = 1024 * 1024;

type Ask = Box<dyn Fn(&str) -> Result<serde_json::Value, String>>;

/// Somebody who puts `/v1/check` to the running proxy.
pub(super) fn asker(
    admin: &str,
    token: Option<&Path>,
    tool: Option<String>,
    method: Option<String>,
    at: Option<&str>,
) -> Result<Ask, String> {
    if at.is_some() {
        return Err("--at goes with a policy file; the running proxy judges now".into());
    }
    let address = parse_address(admin).map_err(|(what, mend)| format!("--admin: {what}; {mend}"))?;
    let token = match token {
        Some(path) => Token::from_file(path)?,
        None => return Err("--admin needs the admin token: name its file with --token-file".into()),
    };
    Ok(Box::new(move |to| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("to", to);
        for (key, value) in [("tool", &tool), ("method", &method)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        get(address, &format!("/v1/check?{}", query.finish()), &token)
    }))
}

/// One GET of a JSON document. HTTP/1.0 keeps it to one message and the end of the connection: no client library for it.
pub(super) fn get(address: SocketAddr, path: &str, token: &Token) -> Result<serde_json::Value, String> {
    let cannot = |error: std::io::Error| format!("cannot ask the proxy at {address}: {error}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(cannot)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(cannot)?;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        token.reveal()
    );
    stream.write_all(request.as_bytes()).map_err(cannot)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer).map_err(cannot)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address} does not speak HTTP"))?;
    let document: serde_json::Value =
        serde_json::from_str(body).map_err(|_| format!("{address} is no outgate admin listener"))?;
    if head.split(' ').nth(1) == Some("200") {
        return Ok(document);
    }
    let detail = document.get("detail").and_then(serde_json::Value::as_str).unwrap_or("it gave no reason");
    Err(format!("the proxy at {address} says: {detail}"))
}
