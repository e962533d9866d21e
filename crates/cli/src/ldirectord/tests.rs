use super::*;

fn parsed(line: &str) -> Parsed {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    parse(&words)
}

fn call(line: &str) -> (Option<String>, Command, bool) {
    match parsed(line) {
        Parsed::Call(Call { debug, name, command }) => (name, command, debug),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn commands_are_read_with_and_without_a_file() {
    assert_eq!(call("start"), (None, Command::Start, false));
    assert_eq!(call("ldirectord.cf stop"), (Some("ldirectord.cf".into()), Command::Stop, false));
    assert_eq!(call("-d /tmp/x.cf restart"), (Some("/tmp/x.cf".into()), Command::Restart, true));
    assert_eq!(call("try-restart").1, Command::TryRestart);
    assert_eq!(call("force-reload").1, Command::Reload);
    assert_eq!(call("status -d"), (None, Command::Status, true));
    assert_eq!(call("-d -- -odd.cf status"), (Some("-odd.cf".into()), Command::Status, true));
    assert_eq!(call("ldirectord.cf start now"), (Some("ldirectord.cf".into()), Command::Start, false));
    assert_eq!(parsed("-h start"), Parsed::Help);
    assert_eq!(parsed("-v"), Parsed::Version);
    for wrong in ["", "begin", "a b start", "ldirectord.cf begin start", "-x start", "ldirectord.cf"] {
        assert!(matches!(parsed(wrong), Parsed::Wrong(_)), "{wrong}");
    }
}

#[test]
fn a_file_is_searched_where_heartbeat_keeps_it_and_names_its_instance() {
    let only = |there: &'static str| move |path: &Path| path == Path::new(there);
    let default = Instance::at(None, None, &only("/etc/ha.d/ldirectord.cf"));
    assert_eq!(default.file, Path::new("/etc/ha.d/ldirectord.cf"));
    assert_eq!(default.pid_file, Path::new("/var/run/ldirectord.ldirectord.pid"));
    assert_eq!(default.runtime_dir, Path::new("/run/evenkeel/ldirectord.ldirectord"));
    let named = Instance::at(Some("ldirectord.cf"), None, &only("/etc/ha.d/conf/ldirectord.cf"));
    assert_eq!(named.file, Path::new("/etc/ha.d/conf/ldirectord.cf"));
    assert_eq!(named.pid_file, Path::new("/var/run/ldirectord.ldirectord.cf.pid"));
    let given = Instance::at(Some("/srv/web.cf"), Some(Path::new("/tmp/own")), &only("/srv/web.cf"));
    assert_eq!(given.file, Path::new("/srv/web.cf"));
    assert_eq!(given.runtime_dir, Path::new("/tmp/own/ldirectord.web.cf"));
    assert_eq!(given.pid_file, Path::new("/tmp/own/ldirectord.web.cf.pid"));
    let nowhere = Instance::at(Some("x.cf"), None, &|_| false);
    assert_eq!(nowhere.file, Path::new("x.cf"));
}

#[test]
fn the_status_of_a_file_that_is_not_there_is_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.cf");
    let instance = Instance::at(file.to_str(), Some(dir.path()), &|path| path.exists());
    let trouble = status(&instance).unwrap_err();
    assert_eq!((trouble.status, trouble.text), (FAILED, format!("config file {} not found", file.display())));
    std::fs::write(&file, "").unwrap();
    assert!(status(&instance).is_ok(), "stopped");
}
