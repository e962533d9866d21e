//! Where programs are, and what they find in their environment.

use evenkeel_model::heartbeat::{Failback, Heartbeat};
use evenkeel_os::trust;
use std::path::{Path, PathBuf};

/// Where heartbeat's programs and those of resource agents are, by distribution.
const PROGRAMS: [&str; 3] = ["/usr/libexec/heartbeat", "/usr/lib/heartbeat", "/usr/lib64/heartbeat"];

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
        let fixed = [
            ("HA_CURHOST", heartbeat.node.to_string()),
            ("HA_DIR", directory.display().to_string()),
            ("HA_FUNCS", below("shellfuncs")),
            ("HA_CF", below("ha.cf")),
            ("HA_RCDIR", below("rc.d")),
            ("HA_RESOURCEDIR", below("resource.d")),
            ("HA_DOCDIR", "/usr/share/doc/heartbeat".to_owned()),
            ("HA_FIFO", "/var/lib/heartbeat/fifo".to_owned()),
            ("HA_DATEFMT", "%Y/%m/%d_%T\t".to_owned()),
            ("HA_LOGD", "no".to_owned()),
            ("HA_COMPRESSION", "zlib".to_owned()),
            ("OCF_AGENTS", "/usr/lib/ocf/resource.d/heartbeat/".to_owned()),
        ];
        let mut environment: Vec<(String, String)> =
            fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut add = |name: &str, value: String| environment.push((name.to_owned(), value));
        // Agents find programs by it, and know better than a wrong one.
        if let Some(programs) = PROGRAMS.iter().find(|path| Path::new(path).is_dir()) {
            add("HA_BIN", (*programs).to_owned());
        }
        if heartbeat.failback != Failback::Legacy {
            add("HA_NICEFAILBACK", "yes".to_owned());
        }
        if let Some(file) = &heartbeat.log_file {
            add("HA_LOGFILE", file.display().to_string());
        }
        if let Some(facility) = &heartbeat.log_facility {
            add("HA_LOGFACILITY", facility.clone());
        }
        let said = |wanted: &str| heartbeat.environment.iter().find(|(name, _)| name == wanted);
        if let Some((_, file)) = said("debugfile") {
            add("HA_DEBUGLOG", file.clone());
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
