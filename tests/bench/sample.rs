//! What is asked, and of which policies.

use std::time::SystemTime;

use outgate::facts::{Client, Question, RequestFacts, Tool};
use outgate::policy::text::{Format, read_policy};
use outgate::policy::{ListSource, Policy, Source};

/// Names requested in turn: more than one, so that not every lookup finds its cache lines warm.
const ASKED: usize = 1024;

/// A policy that allows so many names, one in ten of them with all that is below it.
pub(crate) fn policy(names: usize) -> Policy {
    let text = concat!(
        "version = 1\nname = \"bench\"\ncontact = \"it-help@example.test\"\n",
        "allow = [\"*.apex.test\"]\ndeny = [\"denied.example\"]\n",
        "[[list]]\neffect = \"allow\"\nfile = \"names\"\nformat = \"domains\"\ncovers = \"exact\"\n",
        "[[list]]\neffect = \"allow\"\nfile = \"trees\"\nformat = \"domains\"\ncovers = \"subdomains\"\n",
    );
    let document = read_policy(text, Format::Toml).expect("no mistakes");
    let list = |of: fn(usize) -> bool| (0..names).filter(|n| of(*n)).map(|n| name(n) + "\n").collect::<String>();
    let (exact, trees) = (list(|n| !is_tree(n)), list(is_tree));
    let lists = [ListSource { text: Ok(exact.as_bytes()) }, ListSource { text: Ok(trees.as_bytes()) }];
    Policy::compile(&document, Source { lists: &lists, content_hash: "0123456789abcdef" }).expect("no mistakes").policy
}

fn is_tree(number: usize) -> bool {
    number % 10 == 9
}

fn name(number: usize) -> String {
    if is_tree(number) {
        format!("t{number}.tree.example")
    } else {
        format!("h{number}.z{}.rules.example", number % 997)
    }
}

/// Tunnels to names that the policy allows, spread over all of it; where a tree covers them, two labels below.
pub(crate) fn hits(names: usize) -> Vec<RequestFacts> {
    let number = |turn: usize| turn * 7919 % names;
    let host = |number: usize| if is_tree(number) { format!("a.b.{}", name(number)) } else { name(number) };
    (0..ASKED.min(names)).map(|turn| facts(&host(number(turn)))).collect()
}

/// Tunnels to names that nothing is known of.
pub(crate) fn strangers() -> Vec<RequestFacts> {
    (0..ASKED).map(|turn| facts(&format!("h{turn}.elsewhere.test"))).collect()
}

/// A tunnel to this host, now.
pub(crate) fn facts(host: &str) -> RequestFacts {
    let asked = Question::parse(&format!("https://{host}/")).expect("a URL");
    let Question { destination, protocol, method, upgrade, path } = asked;
    let client = Client::hypothetical();
    let (tool, at) = (Tool::new("browser"), SystemTime::now());
    RequestFacts { client, tool, protocol, destination, method, upgrade, path, passed_through_us: false, at }
}

/// A request head as a browser sends it through a proxy.
pub(crate) const BROWSER_HEAD: &[u8] = b"GET http://www.example.test/assets/app.js?version=42 HTTP/1.1\r\n\
    Host: www.example.test\r\n\
    Proxy-Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cache-Control: max-age=0\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1\r\n\
    Referer: http://www.example.test/\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    \r\n";

/// A request for a tunnel as most clients write it.
pub(crate) const CONNECT_HEAD: &[u8] = b"CONNECT www.example.test:443 HTTP/1.1\r\n\
    Host: www.example.test:443\r\n\
    User-Agent: client/8.5\r\n\
    Proxy-Connection: Keep-Alive\r\n\
    \r\n";
