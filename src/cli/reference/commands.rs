//! Commands and their arguments.

use clap::{Arg, Command, CommandFactory as _};

use super::markdown::{Page, code};
use crate::cli::Cli;

pub(super) fn page() -> String {
    let introduction = "Every command takes `--config FILE`. Errors go to standard error. `outgate` without a command is `outgate run`.\n\nExit status: 0 for success, 1 for a \"no\" where a command asks a question, 2 for an error.";
    let mut page = Page::new("Commands and exit codes", introduction);
    let mut cli = Cli::command();
    // Fills in what clap derives, such as the names of values.
    cli.build();
    commands(&mut page, "outgate", &cli);
    page.finish()
}

fn commands(page: &mut Page, prefix: &str, parent: &Command) {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("{prefix} {}", command.get_name());
        let inner = command.get_subcommands().any(|inner| !inner.is_hide_set() && inner.get_name() != "help");
        if command.get_name() == "help" {
            continue;
        }
        if inner {
            commands(page, &name, command);
            continue;
        }
        page.heading(&code(&name));
        page.paragraph(&sentence(&command.get_about().map(ToString::to_string).unwrap_or_default()));
        let rows: Vec<_> = command.get_arguments().filter(|argument| is_own(argument)).map(row).collect();
        page.table(["argument", "meaning"], &rows);
    }
}

fn is_own(argument: &Arg) -> bool {
    !argument.is_hide_set() && !argument.is_global_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

fn row(argument: &Arg) -> [String; 2] {
    let value = if argument.get_action().takes_values() {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    } else {
        String::new()
    };
    let written = match argument.get_long() {
        Some(long) if value.is_empty() => format!("--{long}"),
        Some(long) => format!("--{long} {value}"),
        None => value,
    };
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> = if argument.get_action().takes_values() {
        argument.get_possible_values().iter().map(|value| code(value.get_name())).collect()
    } else {
        Vec::new()
    };
    if !values.is_empty() {
        meaning += &format!(": {}", values.join(", "));
    }
    [code(&written), sentence(&meaning)]
}

fn sentence(text: &str) -> String {
    if text.is_empty() || text.ends_with(['.', ']', ')']) { text.to_owned() } else { format!("{text}.") }
}
