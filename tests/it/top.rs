//! `outgate top`: in a real terminal, which is tmux's, and where there is none.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::clients::tool;
use crate::harness::{Ending, Origin, Outgate, Proxy, TOKEN, allow, answer, finish, until};

/// A terminal of 80 columns and 24 lines with a shell that starts `outgate top` and says afterwards how it ended.
struct Screen {
    socket: std::path::PathBuf,
    pid: std::path::PathBuf,
}

impl Screen {
    /// None where this machine has no tmux.
    fn start(proxy: &Proxy, environment: &str) -> Option<Self> {
        Self::start_by(proxy, environment, "")
    }

    /// `by`: a command that runs the shell which becomes `outgate top`.
    fn start_by(proxy: &Proxy, environment: &str, by: &str) -> Option<Self> {
        tool("tmux", &["-V"])?;
        let screen = Self { socket: proxy.path("tmux"), pid: proxy.path("top.pid") };
        let config = proxy.path("outgate.toml");
        let outgate = Outgate::new().command(&[]).get_program().to_str().unwrap().to_owned();
        let top = format!(
            "echo $$ >{}; {environment} exec {outgate} top --config {}",
            screen.pid.display(),
            config.display()
        );
        // `cat` keeps the terminal there, to be looked at.
        let shell = format!("echo it was; {by} sh -c '{top}'; echo \"ended by $?\"; stty -a; cat");
        screen.tmux(&["-u", "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", &shell]);
        Some(screen)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env("LC_ALL", "C.UTF-8").arg("-S").arg(&self.socket).args(arguments);
        let finished = finish(&mut command, "");
        assert_eq!(finished.code, Some(0), "{finished:?}");
        finished.stdout
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until all of this is seen.
    fn shows(&self, what: &[&str]) -> String {
        let mut last = String::new();
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(&format!("{what:?} is seen"), || {
                last = self.text();
                what.iter().all(|what| last.contains(what)).then_some(())
            });
        }));
        assert!(seen.is_ok(), "no {what:?} in\n{last}");
        last
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Waits until it has ended, and looks whether the terminal is as it was.
    fn is_given_back(&self) -> String {
        let text = self.shows(&["ended by 0", " icanon"]);
        assert!(text.contains("it was\nended by 0\n"), "the previous content is restored:\n{text}");
        assert!(!text.contains("q quit"), "{text}");
        // `stty -a` names what is off with a minus.
        let modes: Vec<_> = text.split_whitespace().map(|mode| mode.trim_end_matches(';')).collect();
        for mode in ["icanon", "isig", "echo", "icrnl", "opost"] {
            assert!(modes.contains(&mode), "no {mode}:\n{text}");
        }
        assert_eq!(self.tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"]).trim(), "0 1");
        text
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _gone = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

#[test]
fn top_shows_activity_survives_the_proxy_and_restores_the_terminal() {
    let origin = Origin::echo();
    let to = format!("ok.test:{}", origin.port());
    let mut proxy = Proxy::with(allow(&["ok.test:*"]));
    (0..3).for_each(|_| assert_eq!(proxy.connect("denied.corp.test:443").1.status(), 403));
    let Some(screen) = Screen::start(&proxy, "") else { return };
    let first = screen.shows(&["denied.corp.test:443", "host_not_allowed", "enforce  test  r1", "3 denied", "/s"]);
    assert!(first.lines().all(|line| line.chars().count() <= 80), "{first}");
    let mut tunnel = proxy.tunnel(&to);
    tunnel.send(vec![b'x'; 2048]);
    screen.press("2");
    screen.shows(&[&to, "2.0 KiB", "DOWN", "1 open "]);
    proxy.connect("another.corp.test:8443");
    screen.press("3");
    screen.shows(&["another.corp.test:8443", "WHY"]);
    screen.tmux(&["resize-window", "-x", "130", "-y", "40"]);
    screen.shows(&["OUTCOME", "another.corp.test:8443"]);
    screen.tmux(&["resize-window", "-x", "20", "-y", "6"]);
    until("it is small", || screen.text().starts_with("enforce  test  r1  1\n").then_some(()));
    screen.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    drop(tunnel);
    proxy.kill();
    screen.shows(&["no answer for ", "s, trying again: cannot ask", "Connection refused"]);
    proxy.start_again();
    until("it answers again", || (!screen.text().contains("no answer")).then_some(()));
    screen.press("q");
    screen.is_given_back();
}

#[test]
fn a_signal_ends_it_in_order_too_and_no_color_means_none() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.connect("denied.corp.test:443");
    let Some(screen) = Screen::start(&proxy, "NO_COLOR=1") else { return };
    screen.shows(&["denied.corp.test:443"]);
    let escapes = screen.tmux(&["capture-pane", "-p", "-e"]);
    for colour in ["\u{1b}[3", "\u{1b}[4", ";3", ";4"] {
        // 39 and 49 are the terminal's own.
        let others = escapes.replace("\u{1b}[39m", "").replace("\u{1b}[49m", "");
        assert!(!others.contains(colour), "{colour:?} in {others:?}");
    }
    let pid = std::fs::read_to_string(&screen.pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    let text = screen.is_given_back();
    assert!(text.starts_with("it was\n"), "{text}");
}

#[test]
fn it_ends_with_its_terminal_though_no_signal_tells_it() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.connect("denied.corp.test:443");
    // In its own session, so that no process gets a signal when the terminal ends.
    let Some(screen) = Screen::start_by(&proxy, "", "setsid --wait") else { return };
    screen.shows(&["denied.corp.test:443"]);
    let pid = Pid::from_raw(std::fs::read_to_string(&screen.pid).unwrap().trim().parse().unwrap()).unwrap();
    assert_eq!(rustix::process::test_kill_process(pid), Ok(()));
    drop(screen);
    until("it has ended", || rustix::process::test_kill_process(pid).is_err().then_some(()));
}

#[test]
fn without_a_terminal_it_prints_once_and_ends() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    (0..2).for_each(|_| _ = proxy.connect("denied.corp.test:443"));
    let (config, token) = (proxy.path("outgate.toml"), proxy.path("admin.token"));
    let (config, token) = (config.to_str().unwrap(), token.to_str().unwrap());
    let admin = proxy.admin_address().to_string();
    for arguments in [&["top", "--config", config][..], &["top", "--once", "--admin", &admin, "--token-file", token]] {
        let printed = Outgate::new().run(arguments);
        assert_eq!((printed.code, &*printed.stderr), (Some(0), ""), "{printed:?}");
        for expected in [
            "enforce  test  r1  1 rule\n",
            "0.0 requests/s  0.0 denied/s  0 open   in all 2 requests, 2 denied\n",
            "COUNT  DESTINATION           REASON            SINCE  LAST\n",
            "    2  denied.corp.test:443  host_not_allowed ",
            "Open tunnels and requests, the oldest first\nnone\n",
        ] {
            assert!(printed.stdout.contains(expected), "no {expected:?} in\n{}", printed.stdout);
        }
        assert!(!printed.stdout.contains('\u{1b}'), "{printed:?}");
    }
    let outgate = Outgate::new();
    let mut by_variable = outgate.command(&["top", "--admin", &admin]);
    let printed = finish(by_variable.env("OUTGATE_ADMIN_TOKEN", TOKEN), "");
    assert!(printed.code == Some(0) && printed.stdout.contains("denied.corp.test:443"), "{printed:?}");
    let mut wrong = outgate.command(&["top", "--admin", &admin]);
    let printed = finish(wrong.env("OUTGATE_ADMIN_TOKEN", "not-the-token-at-all"), "");
    assert!(printed.code == Some(2) && printed.stderr.contains("this needs the admin token"), "{printed:?}");
}

#[test]
fn what_it_cannot_ask_it_says() {
    let gone = Outgate::new().file("admin.token", TOKEN).run(&[
        "top",
        "--admin",
        "127.0.0.1:1",
        "--token-file",
        "admin.token",
    ]);
    assert!(gone.code == Some(2) && gone.stderr.contains("cannot ask the proxy at 127.0.0.1:1: "), "{gone:?}");
    let without_token = Outgate::new().run(&["top"]);
    assert!(without_token.code == Some(2) && without_token.stderr.contains("OUTGATE_ADMIN_TOKEN"), "{without_token:?}");
    let off = Outgate::new().file("o.toml", "[admin]\naddress = \"off\"\n").run(&["top", "--config", "o.toml"]);
    assert!(off.code == Some(2) && off.stderr.contains("[admin] address is off"), "{off:?}");
}

#[test]
fn names_that_would_drive_a_terminal_are_text() {
    // A real proxy checks names and never answers this. No response may send control sequences to the terminal.
    let evil = "\\u001b]0;owned\\u0007\\u001b[2J\\u202emoc";
    let fake = Origin::script(move |conn| {
        let head = conn.request_head().unwrap_or_default();
        let body = match head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default() {
            "/metrics" => "outgate_requests_total{decision=\"deny\"} 1\n".to_owned(),
            "/v1/policy" => format!(r#"{{"name":"{evil}","error":"{evil}","mode":"{evil}","source":"{evil}"}}"#),
            path if path.starts_with("/v1/denials") => {
                format!(
                    r#"{{"destinations":[{{"destination":"{evil}","reason":"{evil}","count":1,"first":"{evil}"}}]}}"#
                )
            }
            path if path.starts_with("/v1/tunnels") => {
                format!(r#"{{"total":1,"tunnels":[{{"id":"{evil}","destination":"{evil}","client":"{evil}"}}]}}"#)
            }
            _ => format!(r#"{{"records":[{{"kind":"end","host":"{evil}","rule":"{evil}","outcome":"{evil}"}}]}}"#),
        };
        let _gone = conn.try_send(answer("200 OK", &[], body.as_bytes()));
        (Vec::new(), Ending::Closed)
    });
    let admin = format!("127.0.0.1:{}", fake.port());
    let printed = Outgate::new().file("t", TOKEN).run(&["top", "--admin", &admin, "--token-file", "t"]);
    let shown = printed.stdout.matches("\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{202e}moc").count();
    assert_eq!((printed.code, shown), (Some(0), 12), "{printed:?}");
    assert!(!printed.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{printed:?}");
}
