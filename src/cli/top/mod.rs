//! `outgate top`: what is being denied, by which policy, through which tunnels, as it happens.
//!
//! Guaranteed:
//! - It only reads, over the admin listener, about once a second; a proxy that is busy or gone makes it say so, not end.
//! - The terminal is given back as it was, after a signal, an error or a defect too.
//! - Names are shown with their invisible characters spelled out; none can drive the terminal.
//!
//! Deliberately not done: changing anything. A tunnel is ended by `DELETE /v1/tunnels/ID`, a policy by its file.

mod ask;
mod content;
mod plain;
mod rates;
mod screen;
mod state;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::admin_client::AdminClient;
use super::{configuration, fail, is_colour_wanted, print};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The running proxy's admin address [default: the configuration's]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The admin token's file [default: the variable OUTGATE_ADMIN_TOKEN, or the configuration's file]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one view as plain text and exit; the default where standard output is not a terminal
    #[arg(long)]
    once: bool,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> ExitCode {
    let client = configuration(config)
        .and_then(|(config, _)| AdminClient::find(args.admin.as_deref(), args.token_file.as_deref(), &config.admin));
    let client = match client {
        Ok(client) => client,
        Err(error) => return fail(&error),
    };
    if args.once || !std::io::stdout().is_terminal() {
        return match plain::snapshot(&client) {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        };
    }
    match terminal::run(client, is_colour_wanted()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("the terminal cannot be used: {error}; `outgate top --once` prints to anything")),
    }
}
