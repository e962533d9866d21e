//! Reads configuration files with what this host knows: its names, its services, the pattern language of its probes.

use crate::{
    clock,
    configuration::{Configuration, Loader, Written},
    watch::SourceFile,
};
use evenkeel_config::{Format, Host, Loaded, Memory, OwnNetwork, keepalived::vrrp::Vrrp, system};
use evenkeel_netlink::Netlink;
use evenkeel_source::{Diagnostic, Severity, Sources};
use std::{
    cell::OnceCell,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Reads files and directories. Waits for DNS where they hold names.
pub fn load(paths: &[PathBuf], format: Option<Format>, node: Option<&str>) -> Loaded {
    with_host(|host| evenkeel_config::load(paths, format, &host.called(node)))
}

/// Lets a front end ask this host.
pub fn with_host<T>(read: impl FnOnce(&Host<'_>) -> T) -> T {
    let services = system::Services::system();
    let full_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // What `@id` lines of a keepalived.conf are compared with.
    let node = full_name.split('.').next().unwrap_or_default();
    let network = OnceCell::new();
    read(&Host {
        resolve_host: &system::resolve_host,
        resolve_service: &|name, protocol| services.port(name, protocol),
        check_regex: &|pattern| evenkeel_probe::compile(pattern).map(drop),
        read_file: &system::read_file,
        list_directory: &system::list_directory,
        environment: &system::environment,
        script_user: &evenkeel_os::script_user,
        node,
        full_name: &full_name,
        file_mode: &system::file_mode,
        device_sort: &system::device_sort,
        network: &|| network.get_or_init(own_network).clone(),
    })
}

/// The network of this host; empty where it cannot be asked.
fn own_network() -> OwnNetwork {
    let Ok(mut netlink) = Netlink::open() else { return OwnNetwork::default() };
    let addresses = netlink.addresses().unwrap_or_default().into_iter().map(|one| one.address).collect();
    let down = netlink.links().unwrap_or_default().into_iter().filter(|link| !link.up).map(|link| link.name).collect();
    OwnNetwork { addresses, down }
}

/// Readings of files that change while they are read.
const TRIES: usize = 5;
/// Time stamps of files are as coarse as a tick of the kernel's clock.
const TICK: Duration = Duration::from_millis(20);

/// Reads these files again and again; `memory` may know them already.
pub fn loader(paths: Vec<PathBuf>, format: Option<Format>, memory: Memory) -> Loader {
    let memory = Mutex::new(memory);
    Arc::new(move || {
        // Memory is only replaced as a whole file's, so that a reading that failed within itself has left it right.
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        read(&paths, format, Some(&mut memory), &mut |_| {})
    })
}

/// Reads files, once more where one of them changes meanwhile: what is looked at for changes later must be what was
/// read. `memory` is for who reads them again; `seen` is shown the last reading.
pub fn read(
    paths: &[PathBuf],
    format: Option<Format>,
    mut memory: Option<&mut Memory>,
    seen: &mut dyn FnMut(&Loaded),
) -> Result<Configuration, String> {
    // One that was written this very moment would have to be read once more.
    if paths.iter().any(|path| SourceFile::changed_at(path) >= moments_ago()) {
        std::thread::sleep(TICK);
    }
    let mut tries = 1;
    loop {
        let begun = moments_ago();
        let loaded = with_host(|host| match memory.as_deref_mut() {
            Some(memory) => evenkeel_config::load_again(paths, format, host, memory),
            None => evenkeel_config::load(paths, format, host),
        });
        let files: Vec<SourceFile> =
            loaded.sources.files().map(|file| SourceFile::now(loaded.sources.path(file).to_owned())).collect();
        if tries == TRIES || !files.iter().any(|file| file.changed_since(begun)) {
            seen(&loaded);
            return configuration(loaded, files);
        }
        tries += 1;
        // By then a file that was written just before this reading is old enough.
        std::thread::sleep(TICK);
    }
}

/// What was changed before this can be told from what is changed now; in seconds and nanoseconds since 1970.
fn moments_ago() -> (i64, i64) {
    let time = clock::wall().saturating_sub(TICK);
    (i64::try_from(time.as_secs()).unwrap_or(i64::MAX), i64::from(time.subsec_nanos()))
}

/// What was read, or the first mistake and how many more there are.
fn configuration(loaded: Loaded, files: Vec<SourceFile>) -> Result<Configuration, String> {
    let Loaded { sources, diagnostics, cluster, vrrp, globals } = loaded;
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
    let written = (!globals.is_empty() || vrrp != Vrrp::default()).then(|| Arc::new(Written { globals, vrrp }));
    Ok(Configuration { cluster, files, warnings, written })
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
        let why = loader(vec![file], None, Memory::default())().unwrap_err();
        assert!(why.contains("ldirectord.cf:3:"), "{why}");
        assert!(why.ends_with("(and 1 more error)"), "{why}");
    }

    #[test]
    fn a_good_file_gives_its_services_and_is_looked_at_for_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ldirectord.cf");
        fs::write(&file, "virtual=192.0.2.1:80\n\treal=192.0.2.2:80 gate\n\tservice=http\n\tscheduler=rr\n").unwrap();
        let read = loader(vec![file.clone()], None, Memory::default())().unwrap();
        assert_eq!(read.cluster.services.len(), 1);
        assert_eq!(read.files, [SourceFile::now(file)]);
    }

    #[test]
    fn a_missing_file_is_a_mistake() {
        let why = loader(vec!["/nonexistent/ldirectord.cf".into()], None, Memory::default())().unwrap_err();
        assert!(why.contains("does not exist"), "{why}");
    }
}
