use super::*;
use clap::CommandFactory;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_runtime_directory_may_come_before_and_after_the_command() {
    for line in ["evenkeel --runtime-dir /tmp/a status", "evenkeel status --runtime-dir /tmp/a"] {
        assert_eq!(parse(line).unwrap().runtime_dir, PathBuf::from("/tmp/a"));
    }
}

#[test]
fn run_takes_files_or_a_vip_and_not_both() {
    let run = |line: &str| match parse(line) {
        Ok(Cli { command: Command::Run(run), .. }) => Ok(run),
        Ok(other) => panic!("{other:?}"),
        Err(e) => Err(e.exit_code()),
    };
    assert_eq!(run("evenkeel run a.cf b.toml").unwrap().paths.len(), 2);
    let made = run("evenkeel run --vip 192.0.2.1:80 --to 192.0.2.2 --to 192.0.2.3:8080 --check http:/ok").unwrap();
    assert_eq!((made.to.len(), made.check.as_deref()), (2, Some("http:/ok")));
    for wrong in [
        "evenkeel run --vip 192.0.2.1:80",
        "evenkeel run --to 192.0.2.1",
        "evenkeel run a.cf --vip 192.0.2.1:80 --to 192.0.2.2",
        "evenkeel run a.cf --connections 17000000",
        "evenkeel run a.cf --attach ipvs",
        "evenkeel",
        "evenkeel statsu",
    ] {
        assert_eq!(run(wrong).unwrap_err(), 2, "{wrong}");
    }
}

#[test]
fn times_and_weights_are_read() {
    for (text, want) in
        [("90", Some(90)), ("90s", Some(90)), ("10m", Some(600)), ("2h", Some(7200)), ("1d", Some(86_400))]
    {
        assert_eq!(seconds(text).ok(), want);
    }
    for wrong in ["", "m", "10x", "-1", "0", "99999999999999999999d", "1.5h"] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
    assert_eq!(weight("0"), Ok(NewWeight::Number(0)));
    assert_eq!(weight("file"), Ok(NewWeight::AsInTheFiles));
    assert!(weight("2147483648").is_err() && weight("-1").is_err());
}

#[test]
fn help_and_version_are_no_errors() {
    for line in ["evenkeel --help", "evenkeel status --help", "evenkeel --version", "evenkeel realserver --help"] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
    }
}

#[test]
fn run_without_arguments_says_both_ways() {
    let Ok(Cli { command: Command::Run(run), .. }) = parse("evenkeel run") else { panic!("not understood") };
    let trouble = crate::run::run(PathBuf::from("/tmp"), *run).unwrap_err();
    assert!(trouble.status == 2 && trouble.text.contains("--vip 192.0.2.1:80 --to"), "{}", trouble.text);
}
