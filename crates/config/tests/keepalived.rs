//! tests/conformance/keepalived: one small file for each rule of keepalived.conf, and what it means; the set-up found in
//! the field as it stands; includes; the samples of the Debian package.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, errors, golden, keepalived, load_text, native, rendered};
use evenkeel_config::{Format, Host, Loaded, fixes, keepalived_markdown, load, to_toml};
use evenkeel_model::{Forwarding, Probe, vrrp::Authentication};
use evenkeel_source::Severity;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const SETUP: &str = include_str!("setups/002-keepalived.conf");

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/keepalived")
}

fn cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "conf"));
    files.sort();
    files
}

fn read_case(path: &Path) -> Loaded {
    load_text("keepalived.conf", fs::read(path).unwrap(), Format::Keepalived)
}

#[test]
fn every_rule_reads_as_written_down() {
    let cases = cases();
    assert!(cases.len() > 80, "only {} cases found", cases.len());
    for path in cases {
        let loaded = read_case(&path);
        let mut out: String = brief(&loaded).iter().map(|line| format!("{line}\n")).collect();
        out += "---\n";
        out += &loaded.cluster.as_ref().map_or("no cluster\n".to_owned(), to_toml);
        golden(&path.with_extension("out").to_string_lossy(), &out);
    }
}

#[test]
fn every_case_that_loads_is_written_as_toml_that_means_the_same() {
    let mut seen = 0;
    for path in cases() {
        let Some(cluster) = read_case(&path).cluster.filter(|cluster| !cluster.services.is_empty()) else { continue };
        assert_eq!(native(&to_toml(&cluster)).cluster.as_ref(), Some(&cluster), "{}", path.display());
        seen += 1;
    }
    assert!(seen > 30, "only {seen} cases load");
}

#[test]
fn a_fixed_file_means_what_it_meant_and_needs_no_more_fixing() {
    let mut changed = 0;
    for path in cases() {
        let loaded = read_case(&path);
        let Some(fixed) = fixes(&loaded, Some(Format::Keepalived), &HOST).into_iter().next() else { continue };
        changed += 1;
        let again = keepalived(&fixed.text);
        let left: Vec<_> = again.diagnostics.iter().filter(|d| d.fix.as_ref().is_some_and(|f| f.certain)).collect();
        assert!(left.is_empty(), "{}: {:#?}\n{}", path.display(), brief(&again), fixed.text);
        if loaded.cluster.is_some() {
            assert_eq!(again.cluster, loaded.cluster, "{}\n{}", path.display(), fixed.text);
        }
        assert_eq!(again.vrrp.instances.len(), loaded.vrrp.instances.len(), "{}", path.display());
        assert!(again.count(Severity::Error) <= loaded.count(Severity::Error), "{}", path.display());
    }
    assert!(changed >= 10, "only {changed} cases have fixes");
}

/// The rows of a block's table in docs/compat.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = keepalived_markdown();
    let mut blocks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut title = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            title = name.to_owned();
        } else if let Some(keyword) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            blocks.entry(title.clone()).or_default().insert(keyword.to_owned());
        }
    }
    blocks
}

#[test]
fn every_keyword_of_keepalived_is_in_the_table() {
    let blocks = documented();
    let list = fs::read_to_string(directory().join("keywords.tsv")).unwrap();
    let mut seen = 0;
    for line in list.lines().skip(1) {
        let (block, keyword) = line.split_once('\t').unwrap();
        // Words of the parser and words within lists have cases of their own.
        if block.starts_with("(parser)") || block.starts_with("(entry)") {
            continue;
        }
        let title = match block.rsplit(" > ").next().unwrap() {
            "(top)" => "Outside of blocks",
            "host" => "SMTP_CHECK host",
            "url" if block.contains("SSL_GET") => "SSL_GET url",
            "url" => "HTTP_GET url",
            "vrrp_track_file" => "track_file",
            other => other,
        };
        assert!(blocks.get(title).is_some_and(|known| known.contains(keyword)), "{block}: {keyword}");
        seen += 1;
    }
    assert_eq!(seen, 531, "keywords that are listed");
}

#[test]
fn every_word_within_lists_is_in_the_table() {
    let text = keepalived_markdown();
    let list = fs::read_to_string(directory().join("keywords.tsv")).unwrap();
    let words = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let (addresses, routes, rules) = (words("Addresses:"), words("Routes:"), words("Routing rules:"));
    for line in list.lines().filter(|line| line.starts_with("(entry)")) {
        let (block, keyword) = line.split_once('\t').unwrap();
        let known = match block {
            _ if block.contains("ipaddress") => &addresses,
            _ if block.contains("routes") => &routes,
            _ if block.contains("rules") => &rules,
            _ => continue,
        };
        assert!(known.contains(&format!("`{keyword}`")), "{block}: {keyword}");
    }
}

#[test]
fn the_table_in_docs_is_the_one_the_parser_uses() {
    golden("../../docs/compat/keepalived.md", &keepalived_markdown());
}

#[test]
fn the_set_up_from_the_field_serves_both_real_servers() {
    let loaded = keepalived(SETUP);
    golden("tests/golden/002.txt", &rendered(&loaded));
    assert_eq!(errors(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let [service] = cluster.services.as_slice() else { panic!("one service") };
    assert_eq!(service.key.to_string(), "192.168.1.150:80/tcp");
    assert_eq!(service.persistence, None);
    let addresses: Vec<String> = service.real_servers.iter().map(|real| real.address.to_string()).collect();
    assert_eq!(addresses, ["192.168.1.138:80", "192.168.1.139:80"]);
    for real in &service.real_servers {
        assert_eq!(real.forwarding, Forwarding::DirectRouting);
        assert_eq!(real.check.probe, Probe::Tcp { target: real.address });
        let rhythm = real.check.rhythm;
        assert_eq!((rhythm.every, rhythm.timeout, rhythm.fall), (Duration::from_secs(6), Duration::from_secs(10), 4));
    }
    let [instance] = loaded.vrrp.instances.as_slice() else { panic!("one instance") };
    assert_eq!((instance.name.value.as_str(), instance.id.unwrap().value), ("VI_1", 51));
    assert_eq!(instance.priority.unwrap().value, 100);
    assert_eq!(instance.addresses[0].address.value.to_string(), "192.168.1.150");
    let [instance] = cluster.vrrp.instances.as_slice() else { panic!("one instance") };
    assert_eq!((instance.interface.as_str(), instance.vrid.get(), instance.priority.get()), ("eth0", 51, 100));
    assert_eq!(instance.authentication, Authentication::Password(*b"1111\0\0\0\0"));
    assert_eq!(instance.addresses[0].address.to_string(), "192.168.1.150");
    golden("tests/golden/002.toml", &to_toml(&cluster));
    assert_eq!(native(&to_toml(&cluster)).cluster, Some(cluster));
}

#[test]
fn fixing_the_set_up_leaves_what_only_a_person_can_decide() {
    let loaded = keepalived(SETUP);
    let files = fixes(&loaded, Some(Format::Keepalived), &HOST);
    let [file] = files.as_slice() else { panic!("one file changes") };
    let again = keepalived(&file.text);
    assert_eq!(again.cluster, loaded.cluster);
    assert!(!file.text.contains('\u{a0}'));
    let codes: Vec<&str> =
        again.diagnostics.iter().filter(|d| d.severity != Severity::Note).map(|d| d.code.0).collect();
    assert_eq!(codes, ["S0201", "E0130", "E0160"], "{}", rendered(&again));
}

fn write(directory: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Loads a file and shows its diagnostics with the directory's name taken out.
fn load_in(directory: &TempDir, path: PathBuf) -> (Loaded, Vec<String>) {
    let loaded = load(&[path], None, &HOST);
    let told = brief(&loaded).iter().map(|d| d.replace(&directory.path().display().to_string(), "DIR")).collect();
    (loaded, told)
}

const SERVICE: &str = "virtual_server 192.0.2.1 80 {\n  lvs_method DR\n  protocol TCP\n  include reals.inc\n}\n";
const REAL: &str = "real_server 192.0.2.11 80 {\n  TCP_CHECK {\n  }\n}\n";

#[test]
fn includes_are_relative_to_the_including_file() {
    let directory = TempDir::new().unwrap();
    let main = write(&directory, "keepalived.conf", "include conf.d/*.conf\n");
    write(&directory, "conf.d/web.conf", &format!("{SERVICE}include ../other/{{a,b}}.inc\n"));
    write(&directory, "conf.d/.hidden.conf", "nonsense\n");
    write(&directory, "conf.d/reals.inc", REAL);
    write(&directory, "other/a.inc", &SERVICE.replace("2.1 ", "2.2 ").replace("reals.inc", "../conf.d/reals.inc"));
    write(&directory, "other/b.inc", "# ${_PWD}\n");
    let (loaded, told) = load_in(&directory, main);
    assert_eq!(told, Vec::<String>::new());
    let keys: Vec<String> = loaded.cluster.unwrap().services.iter().map(|s| s.key.to_string()).collect();
    assert_eq!(keys, ["192.0.2.1:80/tcp", "192.0.2.2:80/tcp"]);
    assert_eq!(loaded.sources.files().count(), 6, "what is included is looked at for changes too");
}

#[test]
fn mistakes_in_an_included_file_are_shown_and_mended_there() {
    let directory = TempDir::new().unwrap();
    let main = write(&directory, "keepalived.conf", SERVICE);
    let included = write(&directory, "reals.inc", &REAL.replace("TCP_CHECK {\n", "TCP_CHECK {\n    nb_get_retry 3\n"));
    let (loaded, told) = load_in(&directory, main);
    assert_eq!(told, ["warning E0123 3:5 TCP_CHECK has no `nb_get_retry`: it is read as `retry`"]);
    assert_eq!(loaded.sources.path(loaded.diagnostics[0].place().unwrap().file), included);
    let fixed =
        evenkeel_source::apply_fixes(&loaded.sources, loaded.sources.files().nth(1).unwrap(), &loaded.diagnostics);
    assert!(fixed.text.contains("    retry 3\n"));
}

#[test]
fn a_file_that_includes_itself_is_an_error() {
    let directory = TempDir::new().unwrap();
    let main = write(&directory, "keepalived.conf", "include a.conf\n");
    write(&directory, "a.conf", "include ./keepalived.conf\ninclude a.conf\n");
    let (_, told) = load_in(&directory, main);
    assert_eq!(told, ["error E0124 1:1 the file includes itself", "error E0124 2:1 the file includes itself"]);
}

#[test]
fn files_include_each_other_only_so_deep_and_so_often() {
    let directory = TempDir::new().unwrap();
    for at in 0..30 {
        write(&directory, &format!("{at}.conf"), &format!("include {}.conf\n", at + 1));
    }
    let (_, told) = load_in(&directory, directory.path().join("0.conf"));
    assert_eq!(told.len(), 1, "{told:?}");
    let loaded = load(&[directory.path().join("0.conf")], Some(Format::Keepalived), &HOST);
    assert_eq!(brief(&loaded), ["error E0124 1:1 files include each other more than 16 deep"]);
    let many = write(&directory, "many.conf", &"include leaf\n".repeat(1100));
    write(&directory, "leaf", "# nothing\n");
    let loaded = load(&[many], Some(Format::Keepalived), &HOST);
    assert_eq!(errors(&loaded), ["error E0124 1000:1 more than 1000 files are included"]);
}

#[test]
fn missing_includes_are_errors_where_the_file_asks_for_it() {
    let directory = TempDir::new().unwrap();
    write(&directory, "there", "# nothing\n");
    let first = |text: &str| {
        let main = write(&directory, "keepalived.conf", &format!("{text}\nglobal_defs {{\n}}\n"));
        let (_, told) = load_in(&directory, main);
        told.into_iter().find(|line| line.contains("E0124")).unwrap_or_default()
    };
    assert_eq!(first("include no"), "warning E0124 1:1 cannot include DIR/no: it does not exist");
    assert_eq!(first("includer no"), "error E0124 1:1 cannot include DIR/no: it does not exist");
    assert_eq!(first("includem no"), "error E0124 1:1 cannot include DIR/no: it does not exist");
    assert_eq!(first("include no*"), "note E0124 1:1 no file matches `no*`");
    assert_eq!(first("includem no*"), "note E0124 1:1 no file matches `no*`");
    assert_eq!(first("includew no*"), "error E0124 1:1 no file matches `no*`");
    assert_eq!(first("includea no*"), "error E0124 1:1 no file matches `no*`");
    assert_eq!(first("includeb {there,no*}"), "error E0124 1:1 no file matches `no*`");
    assert_eq!(first("include_check\ninclude no*"), "error E0124 2:1 no file matches `no*`");
    assert_eq!(first("include_check match\ninclude no*"), "note E0124 2:1 no file matches `no*`");
    assert_eq!(first("include there"), "");
    assert_eq!(first("include ."), "warning E0124 1:1 cannot include DIR: it is no file");
    assert_eq!(first("include"), "warning E0124 1:1 `include` names no file");
}

#[test]
fn what_is_included_may_be_latin_1_but_no_binary() {
    let directory = TempDir::new().unwrap();
    let main = write(&directory, "keepalived.conf", "include one\ninclude two\nglobal_defs {\n}\n");
    fs::write(directory.path().join("one"), b"# gr\xfc\xdfe\n").unwrap();
    fs::write(directory.path().join("two"), b"#\0\n").unwrap();
    let (_, told) = load_in(&directory, main);
    assert_eq!(
        told,
        [
            "warning E0105 1:1 DIR/one is not UTF-8 and is read as Latin-1",
            "error E0124 2:1 DIR/two holds a NUL byte and is no text"
        ]
    );
}

#[test]
fn a_line_of_ten_mebibytes_is_one_message_and_a_comment_of_that_length_none() {
    let long = "x".repeat(10 << 20);
    let service = SERVICE.replace("  include reals.inc\n", REAL);
    assert_eq!(brief(&keepalived(&format!("# {long}\n{service}"))), Vec::<String>::new());
    let told = brief(&keepalived(&format!("router_id {long}\n{service}")));
    assert_eq!(told, ["error E0108 1:1 the line is 10485770 bytes long; 65536 is the most"]);
}

#[test]
fn sequences_end_at_the_bound() {
    let text = "~SEQ(A, 1, 4000) ~SEQ(B, 1, 4000) global_defs { }\n";
    let told = errors(&keepalived(text));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("error E0126 1:") && told[0].contains("more than 1500000 lines"), "{told:?}");
}

#[test]
fn braces_without_end_are_read_in_no_time_worth_a_word() {
    let service = SERVICE.replace("  include reals.inc\n", REAL);
    for text in ["{\n".repeat(100_000), "x {\n".repeat(100_000), "real_server {\n".repeat(100_000)] {
        let open = keepalived(&format!("{service}{text}"));
        assert_eq!(open.vrrp.instances.len(), 0);
        let closed = keepalived(&format!("{text}{}\n{service}", "}\n".repeat(100_000)));
        assert_eq!(closed.cluster.map(|cluster| cluster.services.len()), Some(1), "{:?}", text.get(..20));
    }
}

#[test]
fn the_largest_example_of_the_manual_is_read() {
    let text = "$V= \\\nvrrp_instance v.${IF}.${NUM}.${ID} { \\\n  interface bond${IF}.${NUM} \\\n  virtual_router_id ${ID} \\\n  \
                virtual_ipaddress { \\\n    10.${IF}.${NUM}.${ID}/24 \\\n  } \\\n}\n\
                ~SEQ(IF,0,1) ~SEQ(NUM,0,31) ~SEQ(ID,1,254) $V\n";
    let loaded = keepalived(text);
    assert_eq!(errors(&loaded), Vec::<String>::new());
    assert_eq!(loaded.vrrp.instances.len(), 2 * 32 * 254);
}

#[test]
fn the_same_file_means_something_else_on_another_node() {
    let text = "@a $P=81\n@b $P=82\nvirtual_server 192.0.2.1 $P {\n  lvs_method DR\n  protocol TCP\n  real_server 192.0.2.11 \
                $P {\n    TCP_CHECK {\n    }\n  }\n}\n";
    for (node, port) in [("a", 81), ("b", 82)] {
        let input = evenkeel_config::Input { path: "keepalived.conf".into(), bytes: text.into() };
        let loaded = evenkeel_config::load_texts(vec![input], None, &Host { node, ..HOST });
        assert_eq!(brief(&loaded), Vec::<String>::new());
        assert_eq!(loaded.cluster.unwrap().services[0].key.port(), port);
    }
}

#[test]
fn what_is_read_of_vrrp_is_typed() {
    let loaded = read_case(&directory().join("vrrp-whole.conf"));
    golden("tests/golden/vrrp-whole.txt", &format!("{:#?}\n", without_places(&loaded)));
    let a = &loaded.vrrp.instances[0];
    assert_eq!(a.advert_interval.unwrap().value, Duration::from_millis(500));
    assert_eq!(a.peers.as_ref().unwrap()[0].least_ttl, Some(250));
    assert_eq!((a.track.scripts[0].weight, a.track.scripts[0].reverse), (Some(5), Some(false)));
    assert_eq!(loaded.vrrp.bfd[0].least_send.unwrap().value, Duration::from_millis(100));
    assert_eq!(loaded.vrrp.scripts[0].command.as_ref().unwrap().value, ["/usr/bin/pgrep", "nginx"]);
}

/// What was read, its places left out: they are compared by the diagnostics.
fn without_places(loaded: &Loaded) -> Vec<String> {
    let text = format!("{:#?}", loaded.vrrp);
    let mut lines = Vec::new();
    let mut in_span = false;
    for line in text.lines() {
        in_span |= line.trim_start().starts_with("span: Span {");
        if !in_span {
            lines.push(line.to_owned());
        }
        if in_span && line.trim() == "}," {
            in_span = false;
        }
    }
    lines
}

/// Where the Debian package keeps its samples.
const SAMPLES: &str = "/usr/share/doc/keepalived/samples";

/// The samples. tests/golden/samples holds what is said about each, and what it becomes.
const NAMES: [&str; 25] = [
    "HTTP_GET.port",
    "IPv6",
    "PING_CHECK",
    "SMTP_CHECK",
    "SSL_GET",
    "UDP_CHECK",
    "conditional_conf",
    "fwmark",
    "inhibit",
    "misc_check",
    "misc_check_arg",
    "quorum",
    "sample",
    "status_code",
    "track_interface",
    "virtual_server_group",
    "virtualhost",
    "vrrp",
    "vrrp.localcheck",
    "vrrp.lvs_syncd",
    "vrrp.routes",
    "vrrp.rules",
    "vrrp.scripts",
    "vrrp.static_ipaddress",
    "vrrp.sync",
];

#[test]
fn the_samples_of_the_debian_package_load_with_their_meaning() {
    let directory = std::env::var_os("KEEPALIVED_SAMPLES").map_or_else(|| PathBuf::from(SAMPLES), PathBuf::from);
    if !directory.is_dir() {
        println!("skipped: {} is not there (Debian package keepalived)", directory.display());
        return;
    }
    for name in NAMES {
        let path = directory.join(format!("keepalived.conf.{name}"));
        let loaded = load(std::slice::from_ref(&path), Some(Format::Keepalived), &HOST);
        assert_eq!(errors(&loaded), Vec::<String>::new(), "{name}");
        let mut out: String = brief(&loaded).iter().map(|line| format!("{line}\n")).collect();
        out += "---\n";
        out += &loaded.cluster.as_ref().map_or("no cluster\n".to_owned(), to_toml);
        golden(&format!("tests/golden/samples/{name}.txt"), &out);
        assert_eq!(load(&[path], None, &HOST).diagnostics, loaded.diagnostics, "the format is told by the content");
    }
}
