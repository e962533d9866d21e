//! `auth_hmac` of keepalived.conf and `hmac` of the native file: what they mean, and what is said about mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, errors, keepalived, native};
use evenkeel_config::{Loaded, to_toml};
use evenkeel_model::vrrp::{AntiReplay, Authentication, Hmac, HmacMode};
use std::time::Duration;

const HEX: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn old(words: &str, block: &str) -> Loaded {
    keepalived(&format!(
        "vrrp_instance a {{\n interface eth0\n virtual_router_id 51\n {words}\n auth_hmac {{\n{block}\n }}\n \
         virtual_ipaddress {{\n 10.9.0.100/24\n }}\n}}\n"
    ))
}

fn new(words: &str) -> Loaded {
    native(&format!("[vrrp.a]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"10.9.0.100/24\"]\n{words}\n"))
}

fn hmac(loaded: Loaded) -> Hmac {
    assert_eq!(errors(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    assert_eq!(native(&to_toml(&cluster)).cluster.as_ref(), Some(&cluster), "it is written as it reads");
    cluster.vrrp.instances[0].hmac.clone().unwrap()
}

#[test]
fn little_has_to_be_said() {
    for hmac in [
        hmac(old("", &format!("key 1 {HEX}\nactive_key 1"))),
        hmac(new(&format!("hmac = {{ keys = {{ 1 = \"{HEX}\" }}, active = 1 }}"))),
    ] {
        let keys: Vec<(u8, Vec<u8>)> = hmac.keys.iter().map(|(id, key)| (id.get(), key.bytes().to_vec())).collect();
        assert_eq!(keys, [(1, (0..32).collect())]);
        assert_eq!(hmac.signs().map(|(id, _)| id.get()), Some(1));
        let rest = (hmac.mode, hmac.anti_replay, hmac.window);
        assert_eq!(rest, (HmacMode::Enforce, AntiReplay::Time, Duration::from_secs(5)));
        assert!(!format!("{hmac:?}").contains("30, 31"), "the key is not shown");
    }
}

#[test]
fn both_files_say_everything() {
    let passphrase = "a passphrase of 32 bytes or more!";
    let one = hmac(old(
        "advert_int 3",
        &format!(
            "key 1 {HEX}\nkey 255 \"{passphrase}\"\nactive_key 255\ntime_window 2.5\nanti_replay monotonic\nmode permissive"
        ),
    ));
    let other = hmac(new(&format!(
        "interval = \"3s\"\nhmac = {{ keys = {{ 1 = \"{HEX}\", 255 = \"{passphrase}\" }}, active = 255, \
         window = \"2500ms\", anti_replay = \"monotonic\", mode = \"permissive\" }}"
    )));
    assert_eq!(one, other);
    assert_eq!(one.signs().unwrap().1.bytes(), passphrase.as_bytes());
    let rest = (one.mode, one.anti_replay, one.window);
    assert_eq!(rest, (HmacMode::Permissive, AntiReplay::Monotonic, Duration::from_millis(2500)));
    let heard = hmac(old("advert_int 3", &format!("key 1 {HEX}\nmode receive-only")));
    assert_eq!((heard.active, heard.window), (None, Duration::from_secs(9)), "three intervals");
}

#[test]
fn a_key_can_stand_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, format!("{HEX}\n")).unwrap();
    let path = path.display();
    let read = hmac(old("", &format!("key 1 file:{path}\nactive_key 1")));
    assert_eq!(read, hmac(new(&format!("hmac = {{ keys = {{ 1 = \"file:{path}\" }}, active = 1 }}"))));
    assert_eq!(read, hmac(old("", &format!("key 1 {HEX}\nactive_key 1"))));
    let none = old("", &format!("key 1 file:{path}.none\nactive_key 1"));
    assert!(errors(&none)[0].contains("key file"), "{:?}", errors(&none));
}

#[test]
fn mistakes_are_errors_in_plain_words() {
    let key = format!("key 1 {HEX}\nactive_key 1\n");
    for (block, told) in [
        ("key 1 short\nactive_key 1".to_owned(), "the key has 5 bytes; it needs 32 to 64"),
        (format!("key 1 {}\nactive_key 1", "k".repeat(65)), "the key has 65 bytes; it needs 32 to 64"),
        ("key 1 hex:0g\nactive_key 1".to_owned(), "`hex:` is followed by pairs of hexadecimal digits"),
        ("key 1 file:key\nactive_key 1".to_owned(), "the path of a key file begins with `/`; `key` does not"),
        (format!("key 0 {HEX}\nactive_key 1"), "`0` is no number of a key; it goes from 1 to 255"),
        (format!("key 256 {HEX}\nactive_key 1"), "`256` is no number of a key; it goes from 1 to 255"),
        (format!("{key}key 1 {HEX}"), "there are two keys 1"),
        (format!("key 1 {HEX}"), "auth_hmac has no active_key"),
        (format!("key 1 {HEX}\nactive_key 0"), "auth_hmac has no active_key"),
        (format!("key 1 {HEX}\nactive_key 2"), "active_key 2: there is no such key"),
        ("active_key 1".to_owned(), "auth_hmac has no key"),
    ] {
        let loaded = old("", &block);
        assert_eq!(errors(&loaded).len(), 1, "{:?}", errors(&loaded));
        assert!(errors(&loaded)[0].ends_with(told), "{:?}", errors(&loaded));
        assert!(loaded.cluster.is_none());
    }
    let keys = format!("keys = {{ 1 = \"{HEX}\" }}");
    for (inner, told) in [
        ("keys = { 1 = \"short\" }, active = 1".to_owned(), "the key has 5 bytes; it needs 32 to 64"),
        (format!("keys = {{ 0 = \"{HEX}\" }}, active = 1"), "`0` is no number of a key; it goes from 1 to 255"),
        (keys.clone(), "hmac has no active key"),
        (format!("{keys}, active = 2"), "active is 2: there is no such key"),
        ("active = 1".to_owned(), "hmac has no keys"),
        (format!("{keys}, active = 1, window = \"301s\""), "window is longer than 5m"),
        (format!("{keys}, active = 1, window = \"500ms\""), "window is shorter than 1s"),
        (format!("{keys}, active = 1, mode = \"enforced\""), "mode cannot be `enforced`"),
    ] {
        let loaded = new(&format!("hmac = {{ {inner} }}"));
        assert_eq!(errors(&loaded).len(), 1, "{inner}: {:?}", errors(&loaded));
        assert!(errors(&loaded)[0].ends_with(told), "{:?}", errors(&loaded));
    }
    assert!(!errors(&new("hmac = \"key\"")).is_empty());
}

#[test]
fn a_password_beside_it_does_not_count() {
    let loaded = old(
        "authentication {\n auth_type PASS\n auth_pass 1111\n }",
        &format!("key 1 {HEX}\nactive_key 1\ntime_window 301"),
    );
    assert!(
        brief(&loaded).iter().any(|told| told.ends_with("authentication beside auth_hmac")),
        "{:?}",
        brief(&loaded)
    );
    assert!(
        brief(&loaded).iter().any(|told| told.contains("time_window 301 is outside 1..300")),
        "{:?}",
        brief(&loaded)
    );
    let instance = loaded.cluster.unwrap().vrrp.instances[0].clone();
    assert_eq!(instance.authentication, Authentication::None);
    assert_eq!(instance.hmac.unwrap().window, Duration::from_secs(5));
    let both = new(&format!("password = \"1111\"\nhmac = {{ keys = {{ 1 = \"{HEX}\" }}, active = 1 }}"));
    assert!(errors(&both)[0].contains("two kinds of authentication"), "{:?}", errors(&both));
}
