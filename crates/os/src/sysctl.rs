//! Kernel parameters below `/proc/sys`. Those of `net` are the ones of the calling thread's network namespace.

use std::{fs, path::PathBuf};

use crate::error::{Error, Result};

/// One kernel parameter, named by its parts: an interface name may hold a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sysctl {
    path: PathBuf,
}

impl Sysctl {
    /// The parameter `/proc/sys/PART/PART/…`.
    pub fn new(parts: &[&str]) -> Result<Sysctl> {
        let mut path = PathBuf::from("/proc/sys");
        for part in parts {
            if part.is_empty() || *part == "." || *part == ".." || part.contains(['/', '\0']) {
                return Err(Error::Refused(format!("`{part}` cannot be part of a kernel parameter's name")));
            }
            path.push(part);
        }
        Ok(Sysctl { path })
    }

    /// `net.ipv4.conf.INTERFACE.name`
    pub fn ipv4(interface: &str, name: &str) -> Result<Sysctl> {
        Sysctl::new(&["net", "ipv4", "conf", interface, name])
    }

    /// `net.ipv6.conf.INTERFACE.name`
    pub fn ipv6(interface: &str, name: &str) -> Result<Sysctl> {
        Sysctl::new(&["net", "ipv6", "conf", interface, name])
    }

    /// Its value without the line's end.
    pub fn read(&self) -> Result<String> {
        let text = fs::read_to_string(&self.path).map_err(|e| Error::at("read", &self.path, e))?;
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Its value as a number.
    pub fn number(&self) -> Result<i64> {
        let text = self.read()?;
        let number = text.trim().parse();
        number.map_err(|_| Error::Refused(format!("{} holds `{text}`, which is no number", self.path.display())))
    }

    /// Sets it.
    pub fn write(&self, value: &str) -> Result<()> {
        fs::write(&self.path, value).map_err(|e| Error::at(&format!("write {value} to"), &self.path, e))
    }

    /// Whether this kernel (or namespace) has it.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Its file.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_and_one_that_leads_elsewhere_refused() {
        let parameter = Sysctl::new(&["kernel", "osrelease"]).expect("a plain name");
        assert!(!parameter.read().expect("readable").contains('\n'));
        assert!(Sysctl::ipv4("eth0.100", "arp_ignore").is_ok());
        for part in ["", "..", "a/b"] {
            assert!(matches!(Sysctl::ipv4(part, "arp_ignore"), Err(Error::Refused(_))), "{part}");
        }
    }
}
