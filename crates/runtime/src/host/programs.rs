//! Whether the programs of a configuration can be run, and who decides what they are.

use crate::notify;
use evenkeel_model::{
    Account, Cluster, Probe,
    heartbeat::{Agent, Heartbeat},
    vrrp::Tracker,
};
use evenkeel_os::{Ids, trust};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// What is to be said of one program at the most once.
type Told = BTreeMap<(String, String), String>;

/// What is wrong with the programs that `cluster` names, one sentence each.
pub(super) fn doubts(cluster: &Cluster) -> Vec<String> {
    let strict = cluster.notify.strict;
    let mut told = Told::new();
    let checks = cluster.services.iter().flat_map(|service| &service.real_servers).flat_map(|real| real.check.parts());
    for check in checks {
        // A shell finds its words by itself.
        if let Probe::Script(script) = &check.probe
            && !script.shell
        {
            let ids = || script.account.as_ref().map_or(Ok(ROOT), Ids::of);
            look("a check", "its real server is down whatever it does", &script.program, ids, strict, &mut told);
        }
    }
    for tracker in &cluster.vrrp.trackers {
        if let Tracker::Script { name, script, account, .. } = tracker
            && !script.shell
        {
            let whom = format!("the tracked script {name}");
            look(&whom, "nobody tracks it", &script.program, || of_script(account.as_ref()), strict, &mut told);
        }
    }
    for (whom, script) in notify::scripts(&cluster.notify) {
        let whom = format!("the notify script of {whom}");
        look(&whom, "nobody is told", &script.program, || of_script(script.user.as_ref()), strict, &mut told);
    }
    if let Some(heartbeat) = &cluster.heartbeat {
        look_at_resources(heartbeat, &mut told);
    }
    told.into_values().collect()
}

/// Scripts of resources, and programs that are kept running. heartbeat runs them whoever may change them.
fn look_at_resources(heartbeat: &Heartbeat, told: &mut Told) {
    for resource in heartbeat.groups.iter().flat_map(|group| &group.resources) {
        // One that is nowhere was told when the files were read.
        if let Agent::Script { name, .. } = &resource.agent
            && let Some(script) = found(name, &heartbeat.resource_dirs)
        {
            let whom = format!("the resource {}", resource.name);
            look(&whom, "its group fails on this node", &script, || Ok(ROOT), false, told);
        }
    }
    for child in &heartbeat.children {
        let Some(program) = child.command.first() else { continue };
        let whom = format!("`{}`", child.command.join(" "));
        look(&whom, "it is tried again and again", Path::new(program), || Ids::of(&child.account), false, told);
    }
}

fn found(script: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(script)).find(|path| path.is_file())
}

/// As the daemon runs, whoever checks its files.
const ROOT: Ids = Ids { uid: 0, gid: 0 };

/// Whom a script runs as when the daemon is root's.
fn of_script(account: Option<&Account>) -> evenkeel_os::Result<Ids> {
    match account {
        None if Ids::own() != ROOT => Ok(ROOT),
        account => Ids::of_script(account),
    }
}

fn look(
    whom: &str,
    then: &str,
    program: &Path,
    ids: impl FnOnce() -> evenkeel_os::Result<Ids>,
    strict: bool,
    told: &mut Told,
) {
    let shown = program.display();
    let text = match ids().and_then(|ids| trust::vet(program, ids, strict)) {
        Ok(trust::Vetted { doubt: None, .. }) => return,
        Ok(trust::Vetted { doubt: Some(doubt), .. }) => format!("{shown} of {whom} runs as root, and {doubt}"),
        // Without the right to look there is nothing to say.
        Err(why) if why.kind() == Some(ErrorKind::PermissionDenied) && Ids::own() != ROOT => return,
        Err(why) => format!("{shown} of {whom} cannot be run, so that {then}: {why}"),
    };
    told.insert((whom.to_owned(), shown.to_string()), text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use evenkeel_config::Format;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    /// What is said of a keepalived.conf in which everything runs `program`.
    fn told_of(program: &Path, more: &str) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("keepalived.conf");
        let program = program.display();
        let text = format!(
            "global_defs {{\n script_user root\n {more}\n}}\nvrrp_script chk {{\n script {program}\n}}\nvrrp_instance a {{\n \
             interface eth0\n virtual_router_id 5\n notify_master {program}\n virtual_ipaddress {{\n 192.0.2.10\n }}\n}}\n\
             virtual_server 192.0.2.10 80 {{\n lvs_method DR\n protocol TCP\n real_server 192.0.2.2 80 {{\n MISC_CHECK {{\n \
             misc_path {program}\n }}\n }}\n}}\n"
        );
        fs::write(&file, text).unwrap();
        doubts(&files::load(&[file], Some(Format::Keepalived), None).cluster.unwrap())
    }

    #[test]
    fn programs_that_cannot_be_run_are_told_with_what_follows() {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("program");
        let told = told_of(&program, "");
        let shown = program.display();
        assert_eq!(told.len(), 3, "{told:?}");
        let begins = |text: &str| told.iter().any(|one| one.starts_with(text));
        assert!(begins(&format!("{shown} of a check cannot be run, so that its real server is down")), "{told:?}");
        assert!(begins(&format!("{shown} of the notify script of instance a cannot be run, so that nobody is told")));
        assert!(begins(&format!("{shown} of the tracked script chk cannot be run, so that nobody tracks it")));
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
        let told = told_of(&program, "");
        assert!(told.len() == 3 && told.iter().all(|one| one.contains("may not be run by user 0")), "{told:?}");
        assert_eq!(told_of(Path::new("/bin/true"), ""), Vec::<String>::new());
    }

    #[test]
    fn a_script_of_a_resource_that_others_can_change_is_told() {
        if Ids::own() != ROOT {
            println!("skipped: needs root, to have files that are root's alone");
            return;
        }
        let place = tempfile::tempdir_in("/root").unwrap();
        let scripts = place.path().join("resource.d");
        fs::create_dir(&scripts).unwrap();
        let script = scripts.join("nginx");
        for (name, text) in [
            ("ha.cf", "node ha1 ha2\nbcast lo\nauto_failback on\n"),
            ("authkeys", "auth 1\n1 sha1 a-long-enough-secret\n"),
            ("haresources", "ha1 192.0.2.10 nginx\n"),
            ("resource.d/nginx", "#!/bin/sh\n"),
        ] {
            fs::write(place.path().join(name), text).unwrap();
            fs::set_permissions(place.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let told = |mode| {
            fs::set_permissions(&script, fs::Permissions::from_mode(mode)).unwrap();
            let loaded = files::load(&[place.path().to_owned()], None, Some("ha1"));
            let mut heartbeat = loaded.cluster.expect("a cluster").heartbeat.expect("a heartbeat");
            heartbeat.resource_dirs = vec![scripts.clone()];
            let mut told = Told::new();
            look_at_resources(&heartbeat, &mut told);
            told.into_values().collect::<Vec<_>>()
        };
        assert_eq!(told(0o755), Vec::<String>::new());
        let weak = told(0o757);
        assert!(weak.len() == 1 && weak[0].contains("of the resource nginx runs as root, and "), "{weak:?}");
        let unfit = told(0o644);
        assert!(unfit.len() == 1 && unfit[0].contains("so that its group fails on this node"), "{unfit:?}");
    }

    #[test]
    fn programs_that_others_can_change_are_told_and_refused_with_script_security() {
        if Ids::own() != ROOT {
            println!("skipped: needs root, to have files that are root's alone");
            return;
        }
        let place = tempfile::tempdir_in("/root").unwrap();
        let program = place.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        chown(&program, Some(0), Some(0)).unwrap();
        assert_eq!(told_of(&program, ""), Vec::<String>::new());
        let link = place.path().join("link");
        symlink(&program, &link).unwrap();
        for (mode, group, why) in [(0o757, 0, "by everybody"), (0o775, 7, "by group 7")] {
            chown(&program, Some(0), Some(group)).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
            for path in [&program, &link] {
                let told = told_of(path, "");
                assert!(told.len() == 3 && told.iter().all(|one| one.contains("runs as root, and ")), "{told:?}");
                assert!(told.iter().all(|one| one.contains(why)), "{told:?}");
                let told = told_of(path, "enable_script_security");
                assert!(told.len() == 3 && told.iter().all(|one| one.contains("cannot be run")), "{told:?}");
            }
        }
    }
}
