//! The `jiesu` program: runs the gateway, and lets an admin look at it and change it. What it does lives in the library;
//! here is only how it is asked and how it answers.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
