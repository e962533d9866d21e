//! `run --vip A:P --to A ... --check KIND`: a cluster of one service without a file.

use crate::{
    format::Format,
    host::Host,
    load::{Input, load_texts},
};
use evenkeel_model::{Cluster, Scheduler};
use evenkeel_source::Severity;
use std::path::PathBuf;

/// The cluster of one virtual service at `vip` (`A:P` or `udp://A:P`) with the real servers `to` (`A` or `A:P`), named
/// after its address. `check` is `http:/path`, `https:/path`, `tcp`, `ping`, `on`, `off` or `script:/path`. Errors are
/// one sentence each.
pub fn from_flags(
    vip: &str,
    to: &[String],
    check: Option<&str>,
    schedule: Option<Scheduler>,
    host: &Host<'_>,
) -> Result<Cluster, Vec<String>> {
    let mut errors = Vec::new();
    if to.is_empty() {
        errors.push("no real server is named; say --to ADDRESS".to_owned());
    }
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let reals: Vec<String> = to.iter().map(|real| quoted(real)).collect();
    let mut text = format!("[service.cli]\nlisten = {}\nreal_servers = [{}]\n", quoted(vip), reals.join(", "));
    if let Some(check) = check {
        text += &format!("check = {}\n", quoted(check));
    }
    if let Some(schedule) = schedule {
        text += &format!("schedule = {}\n", quoted(schedule.name()));
        if schedule.flags().is_some_and(|flags| flags.port) {
            text += "schedule_flags = [\"port\"]\n";
        }
    }
    let input = Input { path: PathBuf::from("command line"), bytes: text.into_bytes() };
    let loaded = load_texts(vec![input], Some(Format::Native), host);
    let wrong = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    errors.extend(wrong.map(|d| match d.helps.first() {
        Some(help) => format!("{} ({help})", d.message),
        None => d.message.clone(),
    }));
    match loaded.cluster {
        Some(mut cluster) if errors.is_empty() => {
            for service in &mut cluster.services {
                service.name = service.key.to_string();
            }
            Ok(cluster)
        }
        Some(_) | None => Err(errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::Probe;

    #[test]
    fn flags_make_a_cluster_of_one_service() {
        let to = ["192.0.2.10".to_owned(), "192.0.2.11".to_owned()];
        let cluster = from_flags("192.0.2.1:80", &to, Some("http:/healthz"), None, &Host::NONE).unwrap();
        let service = &cluster.services[0];
        assert_eq!(service.name, "192.0.2.1:80/tcp");
        assert_eq!(service.real_servers.len(), 2);
        let Probe::Http(http) = &service.real_servers[1].check.probe else { panic!("no http probe") };
        assert_eq!((http.path.as_str(), http.target), ("/healthz", "192.0.2.11:80".parse().unwrap()));
    }

    #[test]
    fn every_wrong_flag_is_told() {
        let errors = from_flags("192.0.2.1", &["x y".to_owned()], Some("htp:/"), None, &Host::NONE).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("no port"), "{errors:?}");
        assert_eq!(from_flags("192.0.2.1:80", &[], None, None, &Host::NONE).unwrap_err().len(), 1);
    }

    #[test]
    fn what_is_no_virtual_address_is_refused_with_one_sentence() {
        let to = ["192.0.2.10".to_owned()];
        for (vip, why) in [
            ("127.0.0.1:80", "127.0.0.1 is a loopback address: packets for it never leave their own host"),
            ("0.0.0.0:80", "0.0.0.0 stands for every address: name the one that clients ask for"),
            (
                "224.0.0.18:80",
                "224.0.0.18 is the address of many hosts at once: a virtual service needs one of its own",
            ),
            ("192.0.2.1:0", "port 0 is no port (write * for every port)"),
        ] {
            assert_eq!(from_flags(vip, &to, Some("tcp"), None, &Host::NONE).unwrap_err(), [why]);
        }
        let v6 = ["2001:db8::10".to_owned()];
        for vip in ["[::1]:80", "[::]:80", "[ff02::1]:80", "[fe80::1]:80"] {
            assert_eq!(from_flags(vip, &v6, Some("tcp"), None, &Host::NONE).unwrap_err().len(), 1, "{vip}");
        }
    }
}
