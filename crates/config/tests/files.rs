//! Files and directories on disk: what is read, and one precise message for what cannot be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, errors, only};
use evenkeel_config::{Format, LARGEST_FILE, Loaded, load};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const CF: &str = "virtual=192.0.2.1:80\n\treal=192.0.2.11:80 gate\n";
const TOML: &str = "[service.web]\nlisten = \"192.0.2.2:80\"\nreal_servers = [\"192.0.2.11\"]\n";

fn read(path: &Path) -> Loaded {
    load(&[path.to_owned()], None, &HOST)
}

/// The only message, the directory's name taken out.
fn message(directory: &TempDir, loaded: &Loaded) -> String {
    only(loaded).replace(&directory.path().display().to_string(), "DIR")
}

fn write(directory: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn a_missing_file_is_an_error() {
    let directory = TempDir::new().unwrap();
    let loaded = read(&directory.path().join("no.cf"));
    assert_eq!(message(&directory, &loaded), "error E0401 - DIR/no.cf does not exist");
    assert!(loaded.cluster.is_none());
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = TempDir::new().unwrap();
    write(&directory, "a.cf", "");
    let told = message(&directory, &read(&directory.path().join("a.cf/b.cf")));
    assert!(told.starts_with("error E0401 - DIR/a.cf/b.cf cannot be read: Not a directory"), "{told}");
}

#[test]
fn a_fifo_a_device_and_an_empty_directory_are_told_apart() {
    let directory = TempDir::new().unwrap();
    let fifo = directory.path().join("ldirectord.cf");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert_eq!(message(&directory, &read(&fifo)), "error E0402 - DIR/ldirectord.cf is a FIFO, not a file");
    assert_eq!(only(&read(Path::new("/dev/zero"))), "error E0402 - /dev/zero is a device, not a file");
    let empty = TempDir::new().unwrap();
    assert_eq!(message(&empty, &read(empty.path())), "error E0406 - DIR holds no configuration file");
}

#[test]
fn empty_files_and_files_of_blanks_are_errors() {
    let directory = TempDir::new().unwrap();
    for (name, content) in [("a.cf", ""), ("b.toml", " \n\t\n"), ("c.cf", "\u{feff}\n")] {
        let path = write(&directory, name, content);
        assert_eq!(message(&directory, &read(&path)), format!("error E0403 - DIR/{name} is empty"));
    }
}

#[test]
fn a_file_without_services_is_a_warning() {
    let directory = TempDir::new().unwrap();
    let loaded = read(&write(&directory, "a.cf", "checktimeout=3\n"));
    assert_eq!(only(&loaded), "warning E0220 - no virtual service is configured");
    assert!(loaded.cluster.is_some());
}

#[test]
fn formats_of_later_releases_are_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let rules = write(&directory, "rules", "-A -t 192.0.2.1:80 -s rr\n");
    assert!(message(&directory, &read(&rules)).contains("is in the ipvsadm format"));
    let unknown = write(&directory, "notes", "hello\n");
    assert_eq!(message(&directory, &read(&unknown)), "error E0405 - DIR/notes is in no format that can be recognised");
}

#[test]
fn a_directory_is_read_with_its_drop_ins_and_without_what_is_none_of_our_business() {
    let directory = TempDir::new().unwrap();
    write(&directory, "ldirectord.cf", CF);
    write(&directory, "evenkeel.d/10-web.toml", TOML);
    write(&directory, "README", "virtual=broken\n");
    write(&directory, "ldirectord.cf.bak", "broken\n");
    write(&directory, ".hidden.cf", "broken\n");
    let loaded = read(directory.path());
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let names: Vec<String> = loaded.cluster.unwrap().services.into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["192.0.2.1:80/tcp", "web"]);
}

#[test]
fn evenkeel_toml_brings_its_drop_ins() {
    let directory = TempDir::new().unwrap();
    let main = write(&directory, "evenkeel.toml", "[settings]\nautoreload = true\n");
    write(&directory, "evenkeel.d/web.toml", TOML);
    write(&directory, "evenkeel.d/notes.txt", "broken\n");
    let cluster = read(&main).cluster.unwrap();
    assert_eq!((cluster.services.len(), cluster.settings.autoreload), (1, true));
}

#[test]
fn duplicates_across_files_point_at_both() {
    let directory = TempDir::new().unwrap();
    let one = write(&directory, "a.cf", CF);
    let two = write(&directory, "b.toml", "[service.web]\nlisten = \"192.0.2.1:80\"\nreal_servers = [\"192.0.2.9\"]\n");
    let loaded = load(&[one, two], None, &HOST);
    assert_eq!(message(&directory, &loaded), "error E0201 2:10 virtual service 192.0.2.1:80/tcp is there twice");
    let first = loaded.diagnostics[0].labels[0].span;
    assert!(loaded.sources.place(first).ends_with("a.cf:1:9"));
}

#[test]
fn settings_that_differ_between_files_point_at_both() {
    let directory = TempDir::new().unwrap();
    let one = write(&directory, "a.toml", format!("{TOML}[settings]\nconnections = 5\n"));
    let two = write(&directory, "b.toml", "[settings]\nconnections = 6\n");
    let loaded = load(&[one, two], None, &HOST);
    assert_eq!(message(&directory, &loaded), "error E0215 2:15 connections is set twice, differently");
}

#[test]
fn the_format_can_be_forced() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "web.conf", CF);
    assert!(load(std::slice::from_ref(&path), Some(Format::Ldirectord), &HOST).cluster.is_some());
    assert!(!errors(&load(&[path], Some(Format::Native), &HOST)).is_empty());
}

#[test]
fn a_line_of_ten_mebibytes_is_one_message_and_a_comment_of_that_length_none() {
    let directory = TempDir::new().unwrap();
    let long = "x".repeat(10 << 20);
    let path = write(&directory, "a.cf", format!("{CF}\trequest=\"{long}\"\n"));
    assert_eq!(message(&directory, &read(&path)), "error E0108 3:1 the line is 10485771 bytes long; 65536 is the most");
    let path = write(&directory, "b.cf", format!("# {long}\n{CF}"));
    assert_eq!(brief(&read(&path)), Vec::<String>::new());
    let path = write(&directory, "c.toml", format!("x = \"{long}\"\n"));
    assert!(only(&read(&path)).starts_with("error E0502 1:1 `x` is no key of a file"));
}

#[test]
fn nul_bytes_and_other_encodings_are_one_message_each() {
    let directory = TempDir::new().unwrap();
    for name in ["a.cf", "a.toml"] {
        let path = write(&directory, name, "# one\nchecktimeout=3\0\n");
        assert_eq!(message(&directory, &read(&path)), "error E0107 2:15 the file holds a NUL byte and is no text");
    }
    let path = write(&directory, "b.cf", b"# gr\xfc\xdfe\nvirtual=192.0.2.1:80\n\treal=192.0.2.11:80 gate\n");
    assert_eq!(message(&directory, &read(&path)), "warning E0105 1:5 the file is not UTF-8 and is read as Latin-1");
    assert!(read(&path).cluster.is_some());
    let path = write(&directory, "b.toml", b"# gr\xfc\xdfe\n[service.web]\n");
    assert_eq!(message(&directory, &read(&path)), "error E0105 1:5 the file is not UTF-8, as TOML must be");
}

#[test]
fn a_file_larger_than_any_configuration_is_not_read() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("huge.cf");
    File::create(&path).unwrap().set_len(LARGEST_FILE as u64 + 1).unwrap();
    assert_eq!(message(&directory, &read(&path)), "error E0407 - DIR/huge.cf is larger than 64 MiB");
}

#[test]
fn endless_mistakes_end() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "a.cf", "nonsense=1\n".repeat(200_000));
    let loaded = read(&path);
    assert!(loaded.diagnostics.len() < 11_000, "{}", loaded.diagnostics.len());
    assert!(brief(&loaded).last().unwrap().contains("E0408"), "{:?}", brief(&loaded).last());
}
