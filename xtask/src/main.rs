//! The developer's single door: `cargo xtask lab`, `test`, `build-ebpf`, `tidy`, `bench`, `clean-lab`.
//!
//! Everything runs as the user who asks; root is taken through sudo for single commands only, each with its reason.

mod bench;
mod ebpf;
mod install;
mod lab;
mod process;
mod summary;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  lab [ARGS]            build evenkeel and run `evenkeel lab dr ARGS`
  clean-lab             remove what killed labs left behind
  test                  install what is missing, then run every check and test
  build-ebpf [--check]  build the eBPF object, or check that the committed one is what its sources give
  tidy                  dependency directions, unsafe code, paths of this machine
  bench [NAME...]       measure, all or some, and write docs/benchmarks.md
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if std::env::var_os(ebpf::WRAPPER).is_some() {
        return match ebpf::compile_steadily(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["lab", rest @ ..] => lab::run(rest),
        ["clean-lab"] => lab::clean(),
        ["test"] => test::run(),
        ["build-ebpf"] => ebpf::build(),
        ["build-ebpf", "--check"] => ebpf::check().map(|checked| println!("{checked}")),
        ["tidy"] => tidy::run().map(|checks| println!("tidy: {checks} checks passed")),
        ["bench", names @ ..] => bench::run(names),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        [] | [..] => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
