//! The one binary: everything is in `evenkeel-cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_cli::main(std::env::args_os())
}
