//! Where events are told: standard error, a log file or syslog, and the monitor files of the services.

use crate::clock;
use evenkeel_api::{Event, Severity};
use evenkeel_model::Settings;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixDatagram},
    path::{Path, PathBuf},
    time::Duration,
};

/// The log file and syslog of the running configuration.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    file: Option<(PathBuf, File)>,
    syslog: Option<Syslog>,
    /// The last complaint about a sink, so that a full disk is not told once a line.
    complaint: Option<String>,
}

impl Sinks {
    /// Opens what `settings` name, anew each time: a rotated log file is followed at a reload. What cannot be opened is
    /// told on standard error and left out.
    pub(crate) fn open(settings: &Settings) -> Sinks {
        let mut sinks = Sinks::default();
        if let Some(path) = &settings.log_file {
            match append(path) {
                Ok(file) => sinks.file = Some((path.clone(), file)),
                Err(e) => tracing::warn!("cannot write the log file {}: {e}", path.display()),
            }
        }
        if let Some(name) = &settings.log_facility {
            match Facility::named(name) {
                Some(facility) => sinks.syslog = Some(Syslog { facility, socket: None }),
                None => tracing::warn!("there is no syslog facility {name:?}"),
            }
        }
        sinks
    }

    /// Tells one event.
    pub(crate) fn tell(&mut self, event: &Event) {
        self.line(event.severity(), &event.to_string());
    }

    /// Tells one line.
    pub(crate) fn line(&mut self, severity: Severity, text: &str) {
        match severity {
            Severity::Info => tracing::info!("{text}"),
            Severity::Warning => tracing::warn!("{text}"),
            Severity::Error => tracing::error!("{text}"),
        }
        let mut trouble = None;
        if let Some((path, file)) = &mut self.file {
            let line = format!("[{}|{}] {text}\n", clock::utc(clock::wall()), std::process::id());
            if let Err(e) = file.write_all(line.as_bytes()) {
                trouble = Some(format!("cannot write the log file {}: {e}", path.display()));
            }
        }
        if let Some(syslog) = &mut self.syslog
            && let Err(e) = syslog.send(severity, text)
        {
            trouble = Some(format!("cannot reach syslog: {e}"));
        }
        if let Some(text) = &trouble
            && self.complaint.as_ref() != Some(text)
        {
            tracing::warn!("{text}");
        }
        self.complaint = trouble;
    }
}

/// Appends a line `[time] [pid] real-server [up|down] message` to a monitor file; `line` is what comes after the pid.
pub(crate) fn monitor(path: &Path, at: Duration, line: &str) -> io::Result<()> {
    let line = format!("[{}] [{}] {line}\n", clock::utc(at), std::process::id());
    append(path)?.write_all(line.as_bytes())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// A syslog facility, as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facility(u8);

impl Facility {
    fn named(name: &str) -> Option<Facility> {
        const NAMES: [&str; 24] = [
            "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
            "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
            "local7",
        ];
        let at = NAMES.iter().position(|n| n.eq_ignore_ascii_case(name))?;
        u8::try_from(at).ok().map(Facility)
    }
}

/// Datagrams to `/dev/log`. Without time and host, which the receiver adds.
#[derive(Debug)]
struct Syslog {
    facility: Facility,
    socket: Option<UnixDatagram>,
}

impl Syslog {
    fn send(&mut self, severity: Severity, text: &str) -> io::Result<()> {
        self.send_to(Path::new("/dev/log"), severity, text)
    }

    fn send_to(&mut self, path: &Path, severity: Severity, text: &str) -> io::Result<()> {
        let level = match severity {
            Severity::Error => 3,
            Severity::Warning => 4,
            Severity::Info => 6,
        };
        let line = format!("<{}>evenkeel[{}]: {text}", u16::from(self.facility.0) * 8 + level, std::process::id());
        if let Some(socket) = &self.socket
            && socket.send(line.as_bytes()).is_ok()
        {
            return Ok(());
        }
        // At first, and when the receiver was restarted.
        let socket = UnixDatagram::unbound()?;
        // A receiver that does not read costs a line, never a wait.
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        socket.send(line.as_bytes())?;
        self.socket = Some(socket);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn syslog_gets_facility_and_severity_and_survives_a_restart_of_its_receiver() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut syslog = Syslog { facility: Facility::named("local0").unwrap(), socket: None };
        for round in 0..2 {
            let receiver = UnixDatagram::bind(&path).unwrap();
            syslog.send_to(&path, Severity::Error, "web has no real server").unwrap();
            let mut got = [0; 200];
            let n = receiver.recv(&mut got).unwrap();
            let want = format!("<131>evenkeel[{}]: web has no real server", std::process::id());
            assert_eq!(std::str::from_utf8(&got[..n]).unwrap(), want, "round {round}");
            drop(receiver);
            fs::remove_file(&path).unwrap();
        }
        assert!(syslog.send_to(&path, Severity::Info, "x").is_err());
        assert_eq!(Facility::named("daemon"), Some(Facility(3)));
        assert_eq!(Facility::named("local9"), None);
    }

    #[test]
    fn the_log_file_and_the_monitor_file_get_one_line_each() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("evenkeel.log");
        let settings = Settings { log_file: Some(log.clone()), ..Settings::default() };
        Sinks::open(&settings).tell(&Event::ServiceDown { service: "web".into(), idle: 0 });
        let text = fs::read_to_string(&log).unwrap();
        assert!(
            text.starts_with('[') && text.contains("] web has no real server up") && text.ends_with('\n'),
            "{text}"
        );

        let file = dir.path().join("monitor");
        monitor(&file, Duration::ZERO, "192.0.2.2:80 [down] refused").unwrap();
        monitor(&file, Duration::ZERO, "192.0.2.2:80 [up] http 200").unwrap();
        let pid = std::process::id();
        let want = format!(
            "[1970-01-01T00:00:00.000Z] [{pid}] 192.0.2.2:80 [down] refused\n[1970-01-01T00:00:00.000Z] [{pid}] 192.0.2.2:80 [up] http 200\n"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), want);
    }
}
