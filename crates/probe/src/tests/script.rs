use super::*;
use evenkeel_model::Script;
use std::path::Path;

fn sh(text: &str) -> Script {
    Script {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), text.into()],
        environment: Vec::new(),
        shell: false,
        account: None,
        weighs: false,
    }
}

async fn script(script: Script, timeout: Duration) -> Verdict {
    attempt(&Probe::Script(script), timeout).await
}

/// Whether the process is gone or only waits to be collected by init.
fn is_dead(pid: &str) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => true,
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
    }
}

/// Children of this process that ended and were not waited for, whose name is `name`.
fn zombies(name: &str) -> usize {
    let own = format!(" {} ", std::process::id());
    let stat = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("stat")).ok();
    let ours = |stat: &String| stat.contains(&format!("({name}) Z{own}"));
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat).filter(ours).count()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not in time: {what}");
}

#[test]
fn the_exit_status_decides() {
    run(async {
        assert_eq!(detail(script(sh("exit 0"), LONG).await), "exit status 0");
        assert_eq!(reason(script(sh("exit 3"), LONG).await), Reason::ExitStatus(3));
        assert_eq!(reason(script(sh("kill -TERM $$"), LONG).await), Reason::Signal(15));
    });
}

#[test]
fn a_program_that_cannot_be_started_says_why() {
    run(async {
        let missing = Script { program: "/no/such/check".into(), ..sh("") };
        let verdict = script(missing, LONG).await;
        assert_eq!(verdict.to_string(), "check cannot be made: /no/such/check: no such file or directory");
        let unfit = Script { program: "/etc/passwd".into(), ..sh("") };
        let verdict = script(unfit, LONG).await;
        assert_eq!(verdict.to_string(), "check cannot be made: /etc/passwd: permission denied");
    });
}

#[test]
fn it_gets_its_arguments_as_they_are_and_a_clean_environment() {
    run(async {
        let test = r#"[ "$1" = 'a b;$(id)' ] && [ "$COLOUR" = red ] && [ -z "$HOME" ] && [ "$PWD" = / ] && ! read x"#;
        let mut check = sh(test);
        check.arguments.extend(["name".into(), "a b;$(id)".into()]);
        check.environment.push(("COLOUR".into(), "red".into()));
        assert!(script(check, LONG).await.is_good());
    });
}

#[test]
fn a_shell_is_used_only_when_asked() {
    run(async {
        let line = Script { program: "test x =".into(), arguments: vec!["x".into()], ..sh("") };
        assert!(matches!(reason(script(line.clone(), LONG).await), Reason::NotStarted(_)));
        assert!(script(Script { shell: true, ..line }, LONG).await.is_good());
    });
}

#[test]
fn a_flood_of_output_neither_blocks_nor_fills_memory() {
    run(async {
        let flood = sh("head -c 200000000 /dev/zero; head -c 200000000 /dev/zero >&2");
        assert!(script(flood, LONG).await.is_good());
    });
}

async fn pid_in(file: &Path) -> String {
    until("the program has written its number", || std::fs::read_to_string(file).is_ok_and(|t| t.ends_with('\n')))
        .await;
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

#[test]
fn at_the_deadline_the_program_and_its_descendants_are_killed_and_collected() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("pid");
        // The name `sh` is shared with programs of other tests; a copy under its own name is not.
        let program = room.path().join("hanging-check");
        std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        let text = format!("trap '' TERM HUP; (sleep 1000 & echo $! > {}; sleep 1000) & sleep 1000", file.display());
        let prober = Prober::new();
        let probe = Probe::Script(Script { program, ..sh(&text) });
        let why = reason(prober.attempt(&probe, Duration::from_secs(2)).await);
        assert_eq!(why, Reason::Timeout { phase: Phase::Script, after: Duration::from_secs(2) });
        let grandchild = pid_in(&file).await;
        until("the grandchild is dead", || is_dead(&grandchild)).await;
        until("no zombie is left", || zombies("hanging-check") == 0).await;
        assert_eq!(prober.scripts.count(), 0);
    });
}

#[test]
fn what_a_program_leaves_behind_is_killed() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}", file.display());
        assert!(script(sh(&text), LONG).await.is_good());
        let left = pid_in(&file).await;
        until("what it left is dead", || is_dead(&left)).await;
    });
}

#[test]
fn an_attempt_that_is_given_up_kills_its_program() {
    run(async {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("pid");
        let check = sh(&format!("echo $$ > {}; sleep 1000", file.display()));
        let attempt = tokio::spawn(script(check, LONG));
        let pid = pid_in(&file).await;
        assert!(!is_dead(&pid));
        attempt.abort();
        until("the program is dead", || is_dead(&pid)).await;
    });
}

#[test]
fn a_script_that_hangs_delays_no_other_check() {
    run(async {
        let hanging = tokio::spawn(script(sh("sleep 1000"), LONG));
        for _ in 0..5 {
            assert!(script(sh("exit 0"), LONG).await.is_good());
        }
        assert!(!hanging.is_finished());
        hanging.abort();
    });
}

#[test]
fn a_program_runs_as_its_user_and_with_strictness_only_where_it_is_root_s_alone() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root, to become somebody else");
        return;
    }
    run(async {
        let as_user = |user: &str, text: &str| {
            let account = Some(evenkeel_model::Account { user: user.into(), group: Some("7".into()) });
            Script { account, ..sh(text) }
        };
        assert!(script(as_user("4000000", "test $(id -u):$(id -g):$(id -G) = 4000000:7:7"), LONG).await.is_good());
        let why = |verdict: Verdict| reason(verdict).to_string();
        let nobody = why(script(as_user("no-such-user", "true"), LONG).await);
        assert!(nobody.contains("there is no user `no-such-user`"), "{nobody}");
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("open");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let prober = Prober::new();
        let open =
            |account| Probe::Script(Script { program: program.clone(), arguments: Vec::new(), account, ..sh("") });
        assert!(prober.attempt(&open(None), LONG).await.is_good());
        prober.strictness().set(true);
        let refused = why(prober.attempt(&open(None), LONG).await);
        assert!(refused.contains("can be written by everybody"), "{refused}");
        // Somebody else can do no more than he may anyway.
        let nobody = Some(evenkeel_model::Account { user: "65534".into(), group: None });
        std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(prober.attempt(&open(nobody), LONG).await.is_good());
    });
}
