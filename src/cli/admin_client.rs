//! Asking the proxy that runs, over its admin listener.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::admin::Token;
use crate::config::{AdminConfig, parse_address};
use crate::text::visible::escaped;

/// The proxy is on this machine; what takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(15);

/// The largest answer that is read: metrics with some ten thousand denied destinations.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// The environment variable that holds the token where no file does: a proxy without `token-file` makes a new one at
/// each start, which is in its banner's link. Not an argument, since every user can read those.
const TOKEN_VARIABLE: &str = "OUTGATE_ADMIN_TOKEN";

/// A proxy that runs, and how to ask it.
#[derive(Clone, Debug)]
pub(super) struct AdminClient {
    address: SocketAddr,
    token: Token,
}

impl AdminClient {
    /// The proxy at this address, with this token.
    pub(super) fn new(address: SocketAddr, token: Token) -> Self {
        Self { address, token }
    }

    /// The proxy that the arguments name, or else the configuration.
    pub(super) fn find(admin: Option<&str>, token: Option<&Path>, config: &AdminConfig) -> Result<Self, String> {
        let address = match admin {
            Some(text) => parse_address(text).map_err(|(what, fix)| format!("--admin: {what}; {fix}"))?,
            None => {
                config.address.ok_or("[admin] address is off, so nothing can be asked; name another with --admin")?
            }
        };
        let variable = std::env::var(TOKEN_VARIABLE).ok().filter(|text| !text.is_empty());
        let token = match (token, variable, &config.token_file) {
            (Some(path), _, _) => Token::from_named_file(path)?,
            (None, Some(text), _) => Token::from_text(&text).ok_or_else(|| {
                format!("{TOKEN_VARIABLE} holds no admin token: at least 16 visible ASCII characters")
            })?,
            (None, None, Some(path)) => Token::from_named_file(path)?,
            (None, None, None) => {
                return Err(format!(
                    "--admin needs the admin token: name its file with --token-file, or put the text after `token=` \
                     in the banner's link into {TOKEN_VARIABLE}"
                ));
            }
        };
        Ok(Self { address, token })
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// One GET of a JSON document.
    ///
    /// # Errors
    /// What went wrong, as a sentence; what the proxy said, if it refused.
    pub(super) fn json(&self, path: &str) -> Result<serde_json::Value, String> {
        let (is_ok, body) = self.get(path)?;
        let document: serde_json::Value =
            serde_json::from_str(&body).map_err(|_| format!("{} is not an outgate admin listener", self.address))?;
        if is_ok {
            return Ok(document);
        }
        let detail = document.get("detail").and_then(serde_json::Value::as_str).unwrap_or("it gave no reason");
        Err(format!("the proxy at {} says: {}", self.address, escaped(detail)))
    }

    /// The metrics, as Prometheus gets them.
    ///
    /// # Errors
    /// What went wrong, as a sentence.
    pub(super) fn metrics(&self) -> Result<String, String> {
        match self.get("/metrics")? {
            (true, body) => Ok(body),
            (false, _) => Err(format!("the proxy at {} does not show its metrics", self.address)),
        }
    }

    /// Whether a GET was answered with 200, and the body. HTTP/1.0 keeps it to one message and the end of the connection:
    /// no client library for it.
    fn get(&self, path: &str) -> Result<(bool, String), String> {
        let Self { address, token } = self;
        let cannot = |error: std::io::Error| format!("cannot ask the proxy at {address}: {error}");
        let mut stream = TcpStream::connect_timeout(address, PATIENCE).map_err(cannot)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(cannot)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(cannot)?;
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            token.reveal()
        );
        stream.write_all(request.as_bytes()).map_err(cannot)?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).map_err(cannot)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address} does not speak HTTP"))?;
        Ok((head.split(' ').nth(1) == Some("200"), body.to_owned()))
    }
}

type Ask = Box<dyn Fn(&str) -> Result<serde_json::Value, String>>;

/// Returns a function that asks the running proxy's `/v1/check`.
pub(super) fn asker(
    client: AdminClient,
    tool: Option<String>,
    method: Option<String>,
    at: Option<&str>,
) -> Result<Ask, String> {
    if at.is_some() {
        return Err("--at needs a policy file; the running proxy judges at the current time".into());
    }
    Ok(Box::new(move |to| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("to", to);
        for (key, value) in [("tool", &tool), ("method", &method)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        client.json(&format!("/v1/check?{}", query.finish()))
    }))
}
