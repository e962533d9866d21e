//! What outlives a restart: the operators' overrides, in a file of the runtime directory that is replaced as a whole.

use crate::clock;
use evenkeel_engine::Overrides;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The largest file that is read back.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct StateFile(PathBuf);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Milliseconds since 1970, when this was written: drains with a time go on running out.
    at_ms: u64,
    overrides: Overrides,
}

impl StateFile {
    /// In this runtime directory.
    pub(crate) fn in_directory(directory: &Path) -> StateFile {
        StateFile(directory.join("overrides.json"))
    }

    /// What was kept, aged by the time that has passed. Nothing where there is no file; a sentence where it cannot be
    /// used, which then counts as nothing.
    pub(crate) fn read(&self) -> Result<Overrides, String> {
        let explain = |why: String| format!("{} is not used: {why}", self.0.display());
        match fs::metadata(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Overrides::default()),
            Ok(metadata) if metadata.len() > LARGEST => return Err(explain("it is too large".to_owned())),
            Ok(_) | Err(_) => {}
        }
        let bytes = fs::read(&self.0).map_err(|e| explain(e.to_string()))?;
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|e| explain(e.to_string()))?;
        Ok(kept.overrides.aged(clock::wall().saturating_sub(Duration::from_millis(kept.at_ms))))
    }

    /// Keeps `overrides`; with none of them there is no file.
    pub(crate) fn write(&self, overrides: Overrides) -> io::Result<()> {
        if overrides.records.is_empty() {
            return match fs::remove_file(&self.0) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let at_ms = u64::try_from(clock::wall().as_millis()).unwrap_or(u64::MAX);
        let bytes = serde_json::to_vec(&Kept { at_ms, overrides }).map_err(io::Error::other)?;
        let new = self.0.with_extension("new");
        fs::write(&new, bytes)?;
        fs::rename(&new, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_engine::OverrideRecord;

    fn drained() -> Overrides {
        Overrides {
            records: vec![OverrideRecord {
                address: "192.0.2.1".parse().unwrap(),
                protocol: "tcp".into(),
                port: 80,
                mark: None,
                real_server: Some("192.0.2.2:80".parse().unwrap()),
                disabled: false,
                drained: true,
                drained_for_ms: None,
                drain_end: None,
                weight: None,
            }],
        }
    }

    #[test]
    fn overrides_are_read_back_and_none_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::in_directory(dir.path());
        assert_eq!(file.read(), Ok(Overrides::default()));
        file.write(drained()).unwrap();
        assert_eq!(file.read(), Ok(drained()));
        file.write(Overrides::default()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_was_cut_short_is_said_so_and_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::in_directory(dir.path());
        file.write(drained()).unwrap();
        let bytes = fs::read(&file.0).unwrap();
        fs::write(&file.0, &bytes[..bytes.len() / 2]).unwrap();
        assert!(file.read().unwrap_err().contains("overrides.json is not used: "));
    }
}
