//! Reads configuration files with what this host knows: its names, its services, the pattern language of its probes.

use crate::configuration::{Configuration, Loader};
use evenkeel_config::{Format, Host, Loaded, system};
use evenkeel_source::{Diagnostic, Severity, Sources};
use std::{path::PathBuf, sync::Arc};

/// Reads files and directories. Waits for DNS where they hold names.
pub fn load(paths: &[PathBuf], format: Option<Format>) -> Loaded {
    let services = system::Services::system();
    let host = Host {
        resolve_host: &system::resolve_host,
        resolve_service: &|name, protocol| services.port(name, protocol),
        check_regex: &|pattern| evenkeel_probe::compile(pattern).map(drop),
    };
    evenkeel_config::load(paths, format, &host)
}

/// Reads these files again and again.
pub fn loader(paths: Vec<PathBuf>, format: Option<Format>) -> Loader {
    Arc::new(move || configuration(load(&paths, format)))
}

/// What was read, or the first mistake and how many more there are.
pub fn configuration(loaded: Loaded) -> Result<Configuration, String> {
    let Loaded { sources, diagnostics, cluster } = loaded;
    let of = |severity| diagnostics.iter().filter(move |d| d.severity == severity);
    let Some(cluster) = cluster else {
        let first = of(Severity::Error).next().map(|d| sentence(d, &sources));
        let first = first.unwrap_or_else(|| "the files hold no configuration".to_owned());
        let more = of(Severity::Error).count().saturating_sub(1);
        return Err(match more {
            0 => first,
            1 => format!("{first} (and 1 more error)"),
            _ => format!("{first} (and {more} more errors)"),
        });
    };
    let warnings = of(Severity::Warning).map(|d| sentence(d, &sources)).collect();
    let files = sources.files().map(|file| sources.path(file).to_owned()).collect();
    Ok(Configuration { cluster, files, warnings })
}

/// `ldirectord.cf:12:3: E0110: unknown directive`, for logs and replies.
fn sentence(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let text = format!("{}: {}", diagnostic.code.0, diagnostic.message);
    match diagnostic.place() {
        Some(span) => format!("{}: {text}", sources.place(span)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_first_mistake_is_named_with_its_place_and_the_others_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ldirectord.cf");
        fs::write(&file, "virtual=192.0.2.1:80\n\treal=192.0.2.2:80 gate\n\tnonsense=1\n\trubbish=2\n").unwrap();
        let why = configuration(load(std::slice::from_ref(&file), None)).unwrap_err();
        assert!(why.contains("ldirectord.cf:3:"), "{why}");
        assert!(why.ends_with("(and 1 more error)"), "{why}");
    }

    #[test]
    fn a_good_file_gives_its_services_and_is_looked_at_for_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ldirectord.cf");
        fs::write(&file, "virtual=192.0.2.1:80\n\treal=192.0.2.2:80 gate\n\tservice=http\n\tscheduler=rr\n").unwrap();
        let read = loader(vec![file.clone()], None)().unwrap();
        assert_eq!(read.cluster.services.len(), 1);
        assert_eq!(read.files, [file]);
    }

    #[test]
    fn a_missing_file_is_a_mistake() {
        let why = configuration(load(&["/nonexistent/ldirectord.cf".into()], None)).unwrap_err();
        assert!(why.contains("does not exist"), "{why}");
    }
}
