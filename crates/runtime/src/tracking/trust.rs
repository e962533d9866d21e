//! Scripts that are not to be run: keepalived does not track them, and neither does evenkeel.

use evenkeel_model::vrrp::{Elections, Target, Tracker};
use evenkeel_os::{Ids, trust};
use std::collections::HashSet;

/// Takes the tracks of scripts out of `wanted` that are not there, that their users may not run or, with `strict`, that
/// run as root and are not root's alone. Gives what is to be told of it.
pub(crate) fn drop_untrusted(wanted: &mut Elections, strict: bool) -> Vec<String> {
    let followed = super::followed(wanted);
    let mut told = Vec::new();
    let mut out: HashSet<Target> = HashSet::new();
    for tracker in &wanted.trackers {
        let target = tracker.target();
        let Tracker::Script { script, account, .. } = tracker else { continue };
        // The words of a shell are no program.
        if script.shell || !followed.contains(&target) {
            continue;
        }
        let vetted = Ids::of_script(account.as_ref()).and_then(|ids| trust::vet(&script.program, ids, strict));
        match vetted {
            Ok(trust::Vetted { doubt: Some(doubt), .. }) => told.push(format!(
                "{target} runs as root, and {doubt}.  Next: correct that, and write enable_script_security (native: \
                 strict = true)"
            )),
            Ok(_) => {}
            Err(why) => {
                told.push(format!("{target} is not tracked, for it cannot be run: {why}"));
                out.insert(target);
            }
        }
    }
    for instance in &mut wanted.instances {
        instance.tracks.retain(|track| !out.contains(&track.target));
    }
    for group in &mut wanted.groups {
        group.tracks.retain(|track| !out.contains(&track.target));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::{
        Script,
        vrrp::{Initial, Instance, ScriptRhythm, Track, Version, Vrid},
    };
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

    fn elections(programs: &[&Path]) -> Elections {
        let second = Duration::from_secs(1);
        let rhythm = ScriptRhythm { interval: second, timeout: second, rise: 1, fall: 1, initially: Initial::Unknown };
        let tracker = |program: &&Path| Tracker::Script {
            name: program.display().to_string(),
            script: Script {
                program: program.to_path_buf(),
                arguments: Vec::new(),
                environment: Vec::new(),
                shell: false,
                account: None,
                weighs: false,
            },
            account: Some(evenkeel_model::Account { user: "0".into(), group: None }),
            rhythm,
        };
        let trackers: Vec<Tracker> = programs.iter().map(tracker).collect();
        let tracks = trackers.iter().map(|one| Track { target: one.target(), weight: 0, reverse: false }).collect();
        let vrid = Vrid::new(1).unwrap();
        let instance = Instance::new("a".into(), "eth0".into(), vrid, Version::Three, Vec::new());
        Elections { instances: vec![Instance { tracks, ..instance }], trackers, ..Elections::default() }
    }

    #[test]
    fn what_cannot_be_run_or_is_not_root_s_alone_is_not_tracked() {
        let place = tempfile::tempdir().unwrap();
        let open = place.path().join("open");
        fs::write(&open, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let missing = place.path().join("missing");
        let wanted = elections(&[Path::new("/bin/sh"), &open, &missing]);
        let left = |strict| {
            let mut wanted = wanted.clone();
            let told = drop_untrusted(&mut wanted, strict);
            assert_eq!(told.len(), 2, "{told:?}");
            wanted.instances[0].tracks.len()
        };
        assert_eq!((left(false), left(true)), (2, 1));
    }
}
