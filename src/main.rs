//! The program. Everything is in the library, so that tests and fuzzers reach it.

fn main() -> std::process::ExitCode {
    outgate::cli::main()
}
