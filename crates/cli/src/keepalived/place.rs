//! Where an instance has its files.

use super::same;
use evenkeel_keepalived::Call;
use evenkeel_model::Cluster;
use std::{
    env,
    path::{Path, PathBuf},
};

/// The usual pid file.
const PID: &str = "/run/keepalived.pid";

/// What belongs to one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) runtime_dir: PathBuf,
    /// keepalived's parent.
    pub(super) pid: PathBuf,
    vrrp: PathBuf,
    checkers: PathBuf,
    /// Where signals have files written.
    pub(super) dumps: PathBuf,
}

impl Place {
    pub(super) fn of(call: &Call) -> Place {
        // With a directory of its own (one for each network namespace, say) the pid files are in there as well.
        let own = env::var_os("EVENKEEL_RUNTIME_DIR").map(PathBuf::from);
        let temporary = env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
        Place::at(call, own.as_deref(), temporary)
    }

    fn at(call: &Call, own: Option<&Path>, temporary: Option<PathBuf>) -> Place {
        let pids = own.unwrap_or(Path::new("/run"));
        let usual = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| pids.join(name));
        let pid = usual(&call.pid, "keepalived.pid");
        // An instance with another pid file is another one, that may run beside the usual one.
        let runtime = match pid.file_stem() {
            Some(name) if own.is_none() && !same(&pid, Path::new(PID)) => {
                Path::new("/run/evenkeel").join(format!("keepalived.{}", name.to_string_lossy()))
            }
            Some(_) | None => own.unwrap_or(Path::new("/run/evenkeel")).to_owned(),
        };
        Place {
            runtime_dir: runtime,
            pid,
            vrrp: usual(&call.vrrp_pid, "vrrp.pid"),
            checkers: usual(&call.checkers_pid, "checkers.pid"),
            dumps: temporary.unwrap_or_else(|| PathBuf::from("/tmp")),
        }
    }

    /// The pid files of what the configuration has: the parent's always.
    pub(super) fn pid_files(&self, cluster: &Cluster) -> Vec<PathBuf> {
        let mut files = vec![self.pid.clone()];
        if !cluster.vrrp.instances.is_empty() {
            files.push(self.vrrp.clone());
        }
        if !cluster.services.is_empty() {
            files.push(self.checkers.clone());
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_where_keepalived_has_them() {
        let usual = Place::at(&Call::default(), None, None);
        assert_eq!(usual.pid, Path::new("/run/keepalived.pid"));
        assert_eq!((usual.vrrp, usual.checkers), ("/run/vrrp.pid".into(), "/run/checkers.pid".into()));
        assert_eq!((usual.runtime_dir, usual.dumps), ("/run/evenkeel".into(), "/tmp".into()));
        let debian = Call { pid: Some("/var/run/keepalived.pid".into()), ..Call::default() };
        assert_eq!(Place::at(&debian, None, None).runtime_dir, Path::new("/run/evenkeel"));
    }

    #[test]
    fn an_instance_with_a_pid_file_of_its_own_is_another_one() {
        let second = Call { pid: Some("/run/second.pid".into()), ..Call::default() };
        assert_eq!(Place::at(&second, None, None).runtime_dir, Path::new("/run/evenkeel/keepalived.second"));
        let own = Place::at(&Call::default(), Some(Path::new("/run/ns1")), Some("/tmp/ns1".into()));
        assert_eq!((own.runtime_dir, own.pid), ("/run/ns1".into(), "/run/ns1/keepalived.pid".into()));
        assert_eq!(own.dumps, Path::new("/tmp/ns1"));
    }
}
