//! Whether a program may be run: that it is there, that its user may run it, and that nobody but root could have
//! changed it, which is what keepalived's `enable_script_security` asks of what root runs.

use crate::{
    account::Ids,
    error::{Error, Result},
};
use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Where programs are looked for whose name is no path.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vetted {
    /// Where it is.
    pub program: PathBuf,
    /// What of the way to it others than root could change, as a sentence fragment, where that is only to be said.
    pub doubt: Option<String>,
}

/// Looks at a program that is to run as `ids`. With `strict` what runs as root must be root's alone, in every part of
/// its path and of what links in it lead to. Errors are sentence fragments.
pub fn vet(program: &Path, ids: Ids, strict: bool) -> Result<Vetted> {
    let program = if program.components().count() > 1 { program.to_owned() } else { searched(program)? };
    let looked_at = fs::metadata(&program).map_err(|e| Error::at("look at", &program, e))?;
    if !looked_at.is_file() {
        return Err(Error::Refused(format!("{} is no file", program.display())));
    }
    if !may_execute(&looked_at, ids) {
        let Ids { uid, gid } = ids;
        return Err(Error::Refused(format!("{} may not be run by user {uid}, group {gid}", program.display())));
    }
    // What runs with fewer rights than root can do no more than its user, whoever wrote it.
    let doubt = if ids.uid == 0 { weakness(&program).map_err(|e| Error::at("look at", &program, e))? } else { None };
    match doubt {
        Some(why) if strict => Err(Error::Refused(why)),
        doubt => Ok(Vetted { program, doubt }),
    }
}

fn searched(name: &Path) -> Result<PathBuf> {
    let mut candidates = PATH.split(':').map(|directory| Path::new(directory).join(name));
    let found =
        candidates.find(|path| fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0));
    found.ok_or_else(|| Error::Refused(format!("{} is in none of {PATH}", name.display())))
}

/// execve(2) for one user with one group. Root needs one of the three bits.
fn may_execute(file: &Metadata, ids: Ids) -> bool {
    let mode = file.mode();
    if ids.uid == 0 {
        mode & 0o111 != 0
    } else if file.uid() == ids.uid {
        mode & 0o100 != 0
    } else if file.gid() == ids.gid {
        mode & 0o010 != 0
    } else {
        mode & 0o001 != 0
    }
}

/// What of the way to `program`, as it is written and as its links lead, others than root could change.
fn weakness(program: &Path) -> io::Result<Option<String>> {
    let real = fs::canonicalize(program)?;
    let written = std::path::absolute(program)?;
    for part in written.ancestors().chain(real.ancestors()) {
        let looked_at = fs::symlink_metadata(part)?;
        if let Some(why) = changeable(&looked_at) {
            return Ok(Some(format!("{} {why}, so that others than root decide what runs as root", part.display())));
        }
    }
    Ok(None)
}

fn changeable(part: &Metadata) -> Option<String> {
    if part.uid() != 0 {
        return Some(format!("belongs to user {}", part.uid()));
    }
    // A link has no mode of its own, and in a sticky directory only the owner replaces what is there.
    if part.is_symlink() || (part.is_dir() && part.mode() & 0o1000 != 0) {
        return None;
    }
    if part.mode() & 0o002 != 0 {
        return Some("can be written by everybody".to_owned());
    }
    (part.mode() & 0o020 != 0 && part.gid() != 0).then(|| format!("can be written by group {}", part.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    const ROOT: Ids = Ids { uid: 0, gid: 0 };
    const NOBODY: Ids = Ids { uid: 65534, gid: 65534 };

    fn script(path: &Path, mode: u32) -> PathBuf {
        fs::write(path, "#!/bin/sh\n").expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        path.to_owned()
    }

    fn directory(path: PathBuf, mode: u32) -> PathBuf {
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    fn refusal(program: &Path, ids: Ids) -> String {
        vet(program, ids, true).expect_err("refused").to_string()
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it_and_must_be_executable() {
        let dir = tempfile::tempdir().expect("a directory");
        let found = vet(Path::new("sh"), Ids::own(), false).expect("everybody has it");
        assert!(found.program.is_absolute(), "{found:?}");
        assert!(refusal(Path::new("no-such-program"), ROOT).starts_with("no-such-program is in none of /usr/local"));
        assert!(refusal(&dir.path().join("x"), ROOT).contains("No such file"));
        let plain = script(&dir.path().join("plain"), 0o644);
        assert!(refusal(&plain, ROOT).ends_with("may not be run by user 0, group 0"));
        assert!(refusal(dir.path(), ROOT).ends_with("is no file"));
    }

    /// What keepalived 2.2.7 said of the same files: unsafe, unsafe, unsafe, unsafe, fine.
    #[test]
    fn what_others_could_change_does_not_run_as_root() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let (open, closed) = (directory(dir.path().join("open"), 0o777), directory(dir.path().join("closed"), 0o755));
        let in_open = script(&open.join("a"), 0o755);
        assert!(refusal(&in_open, ROOT).contains("open can be written by everybody"), "{}", refusal(&in_open, ROOT));
        let linked = closed.join("link");
        symlink(&in_open, &linked).expect("linked");
        assert!(refusal(&linked, ROOT).contains("open can be written by everybody"));
        let foreign = script(&closed.join("foreign"), 0o755);
        chown(&foreign, Some(65534), None).expect("given away");
        assert!(refusal(&foreign, ROOT).contains("foreign belongs to user 65534"));
        let shared = script(&closed.join("shared"), 0o775);
        chown(&shared, None, Some(65534)).expect("given away");
        assert!(refusal(&shared, ROOT).contains("shared can be written by group 65534"));
        let sticky = directory(dir.path().join("sticky"), 0o1777);
        let in_sticky = script(&sticky.join("a"), 0o755);
        assert_eq!(vet(&in_sticky, ROOT, true).expect("root's alone").doubt, None);
        // Nobody runs as root what runs as nobody; and without strictness it is only said.
        assert_eq!(vet(&in_open, NOBODY, true).expect("harmless").doubt, None);
        assert!(vet(&in_open, ROOT, false).expect("as asked").doubt.is_some());
    }
}
