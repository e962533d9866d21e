use super::*;

fn parsed(line: &str) -> Parsed {
    parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

fn call(line: &str) -> Call {
    match parsed(line) {
        Parsed::Call(call) => *call,
        other => panic!("{line}: {other:?}"),
    }
}

fn wrong(line: &str) -> String {
    match parsed(line) {
        Parsed::Wrong(lines) => lines.join("\n"),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_option_of_the_real_one_is_known_by_both_its_names() {
    // Of keepalived 2.2.7 --help as Debian 12 has it.
    let help = "f:use-file P:vrrp C:check B:no_bfd -:all l:log-console D:log-detail S:log-facility G:no-syslog u:umask \
                X:release-vips V:dont-release-vrrp I:dont-release-ipvs R:dont-respawn n:dont-fork d:dump-conf p:pid \
                r:vrrp_pid T:genhash c:checkers_pid a:address-monitoring b:bfd_pid x:snmp A:snmp-agent-socket \
                s:namespace m:core-dump M:core-dump-pattern e:all-config i:config-id -:signum t:config-test v:version \
                h:help";
    for word in help.split_whitespace() {
        let (letter, name) = word.split_once(':').expect("a letter and a name");
        let option = options().find(|option| option.0 == name).unwrap_or_else(|| panic!("no --{name}"));
        assert_eq!(option.1, letter.chars().next().filter(|c| *c != '-'), "--{name}");
    }
}

#[test]
fn options_are_read_as_getopt_reads_them() {
    let one = call("-nlD -f a.conf -p /run/k.pid -r/run/v.pid -c /run/c.pid -b /run/b.pid -i left -P -G");
    assert!(one.foreground && one.log_to_console && !one.services && one.vrrp && !one.syslog);
    assert_eq!(one.file, PathBuf::from("a.conf"));
    assert_eq!((one.pid, one.vrrp_pid), (Some("/run/k.pid".into()), Some("/run/v.pid".into())));
    assert_eq!((one.checkers_pid, one.bfd_pid), (Some("/run/c.pid".into()), Some("/run/b.pid".into())));
    assert_eq!(one.config_id.as_deref(), Some("left"));
    assert!(one.idle.is_empty());
    assert_eq!(call("-x -D -R").idle.len(), 1);
    let long = call("--use-file=b.conf --check --dont-f --log-facility local3 --umask=022 --dont-release-ipvs");
    assert_eq!((long.file, long.vrrp, long.foreground), ("b.conf".into(), false, true));
    assert_eq!((long.log_facility.as_str(), long.umask, long.keep_services), ("local3", Some(0o22), true));
    assert_eq!(call("").file, PathBuf::from("/etc/keepalived/keepalived.conf"));
}

#[test]
fn a_test_of_the_configuration_may_name_a_file_in_every_way() {
    assert_eq!(call("-t").test, Some(None));
    assert_eq!(call("--config-te").test, Some(None));
    for line in ["-t/tmp/log", "-t=/tmp/log", "--config-test=/tmp/log"] {
        assert_eq!(call(line).test, Some(Some("/tmp/log".into())), "{line}");
    }
}

#[test]
fn what_is_wrong_is_said_as_the_real_one_says_it() {
    assert_eq!(wrong("-Z"), "Unknown option -Z");
    assert_eq!(wrong("--nonsense"), "Unknown option --nonsense");
    assert_eq!(wrong("-f"), "Missing parameter for option -f");
    assert_eq!(wrong("--use-file="), "Missing parameter for option --use-file");
    assert_eq!(wrong("--dont"), "Unknown option --dont");
    assert_eq!(wrong("--signum=TDATA"), "Unknown sigfunc TDATA");
    let both = call("-S nonsense -t x y");
    assert_eq!(both.remarks, ["Invalid log facility 'nonsense'", "Unexpected argument(s): x y"]);
    assert_eq!(call("-u 0777x").remarks, ["Invalid --umask option 0777x"]);
}

#[test]
fn what_is_not_done_is_refused_by_name_with_what_to_do_instead() {
    for (line, hint) in [("-V", "a backup takes"), ("-s blue", "ip netns exec"), ("-T -u /x", "status code")] {
        let why = wrong(line);
        assert!(why.contains("is not supported") && why.contains(hint), "{why}");
    }
}

#[test]
fn signals_have_the_numbers_that_the_real_one_prints() {
    for (name, number) in [("STOP", 15), ("RELOAD", 1), ("DATA", 10), ("STATS", 12), ("STATS_CLEAR", 63), ("JSON", 36)]
    {
        assert_eq!(parsed(&format!("--signum={name}")), Parsed::Signal(number));
    }
}

#[test]
fn an_exporter_finds_the_version_and_json_in_what_v_says() {
    let text = version("0.1.0", "Linux");
    // As keepalived-exporter reads it: the second word of the first line, without its first letter.
    let first = text.lines().next().expect("a line");
    assert_eq!(&first.split(' ').nth(1).expect("a word")[1..], "2.2.7");
    assert!(text.contains("--enable-json"));
}
