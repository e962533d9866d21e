//! Where programs are, and what they find in their environment.

use evenkeel_model::heartbeat::{Failback, Heartbeat};
use evenkeel_os::trust;
use std::path::{Path, PathBuf};

/// Where programs are, and what they find in their environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Directories of scripts, looked through in this order.
    pub scripts: Vec<PathBuf>,
    /// Above `resource.d/PROVIDER/AGENT` (`OCF_ROOT`).
    pub ocf: PathBuf,
    /// Where cluster-glue's external plugins are.
    pub external: PathBuf,
    /// Where programs without a path are looked for, in this order.
    pub programs: Vec<PathBuf>,
    /// Variables by name.
    pub environment: Vec<(String, String)>,
}

impl Places {
    /// Those of a cluster whose files are below `directory`, which is `/etc/ha.d` as a rule.
    pub fn of(heartbeat: &Heartbeat, directory: &Path) -> Places {
        let below = |name: &str| directory.join(name).display().to_string();
        let mut environment = vec![
            ("HA_CURHOST".to_owned(), heartbeat.node.to_string()),
            ("HA_cluster_type".to_owned(), "heartbeat".to_owned()),
            ("HA_DIR".to_owned(), directory.display().to_string()),
            ("HA_CF".to_owned(), below("ha.cf")),
            ("HA_FUNCS".to_owned(), below("shellfuncs")),
            ("HA_RCDIR".to_owned(), below("rc.d")),
            ("HA_RESOURCEDIR".to_owned(), below("resource.d")),
            ("HA_DATEFMT".to_owned(), "%Y/%m/%d_%T ".to_owned()),
            ("HA_LOGD".to_owned(), "no".to_owned()),
            ("HA_debug".to_owned(), "0".to_owned()),
            ("HA_NICEFAILBACK".to_owned(), yes(heartbeat.failback != Failback::Legacy)),
        ];
        if let Some(file) = &heartbeat.log_file {
            environment.push(("HA_LOGFILE".to_owned(), file.display().to_string()));
        }
        if let Some(facility) = &heartbeat.log_facility {
            environment.push(("HA_LOGFACILITY".to_owned(), facility.clone()));
        }
        environment.extend(heartbeat.environment.iter().map(|(name, value)| (format!("HA_{name}"), value.clone())));
        Places {
            scripts: heartbeat.resource_dirs.clone(),
            ocf: PathBuf::from("/usr/lib/ocf"),
            external: PathBuf::from("/usr/lib/stonith/plugins"),
            programs: trust::PATH.split(':').map(PathBuf::from).collect(),
            environment,
        }
    }

    /// A program that has no path of its own; the error is a sentence fragment.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, String> {
        let given = Path::new(name);
        let mut candidates = self.programs.iter().map(|directory| directory.join(name));
        let found = if given.is_absolute() { Some(given.to_owned()) } else { candidates.find(|path| is_program(path)) };
        let found = found.filter(|path| is_program(path));
        found.ok_or_else(|| match given.is_absolute() {
            true => format!("there is no program {name}"),
            false => format!("there is no program {name} in {}", listed(&self.programs)),
        })
    }

    /// What `PATH` is for children.
    pub(crate) fn path(&self) -> String {
        let places: Vec<String> = self.programs.iter().map(|path| path.display().to_string()).collect();
        places.join(":")
    }
}

fn yes(it_is: bool) -> String {
    if it_is { "yes" } else { "no" }.to_owned()
}

/// `/etc/ha.d/resource.d, /etc/init.d`
pub(crate) fn listed(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
    places.join(", ")
}

/// A file that somebody may execute.
pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}
