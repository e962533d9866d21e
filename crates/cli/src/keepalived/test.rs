//! `--config-test`: what there is to say about the configuration, and the exit status that scripts know.

use super::failed;
use crate::{
    exit::Trouble,
    load::{counts, summary},
    terminal,
};
use evenkeel_config::{Format, Loaded};
use evenkeel_keepalived::Call;
use evenkeel_runtime::{files, host};
use evenkeel_source::{Colour, Diagnostic, Severity, render_all};
use rustix::fs::OFlags;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::ExitCode,
};

/// Something is wrong; the daemon may run all the same.
const WRONG: u8 = 5;
/// Scripts would run without script security.
const INSECURE: u8 = 6;

pub(super) fn test(call: &Call, log: Option<&Path>) -> Result<ExitCode, Trouble> {
    // Opened first, as there: who cannot write the log has tested nothing.
    let (mut out, colour): (Box<dyn Write>, Colour) = match log {
        Some(path) => {
            let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
            let file = OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(flags).open(path);
            let why = |e| failed(format!("Unable to open config-test log file {}: {e}", path.display()));
            (Box::new(file.map_err(why)?), Colour::No)
        }
        None => (Box::new(io::stderr()), terminal::stderr_colour()),
    };
    let paths = std::slice::from_ref(&call.file);
    let mut loaded = files::load(paths, Some(Format::Keepalived), call.config_id.as_deref());
    if let Some(cluster) = &loaded.cluster {
        loaded.diagnostics.extend(host::compare(cluster));
    }
    let (errors, warnings) = counts(&loaded);
    let absent = loaded.cluster.as_ref().map(host::absent_interfaces).unwrap_or_default();
    let mut text = render_all(&loaded.diagnostics, &loaded.sources, colour);
    text.extend(absent.iter().map(|name| format!("keepalived: there is no interface {name} now; it is waited for\n")));
    let status = status(&loaded, absent.is_empty());
    if status == INSECURE {
        text += "keepalived: scripts are configured and enable_script_security is not\n";
    }
    if errors + warnings > 0 {
        text += &format!("{}\n", summary(errors, warnings));
    }
    out.write_all(text.as_bytes()).map_err(|e| failed(format!("cannot write: {e}")))?;
    Ok(ExitCode::from(status))
}

/// What is wrong with the file itself, as keepalived would have it: advice about secrets and findings on the host are told
/// and do not count.
fn counts_there(diagnostic: &Diagnostic) -> bool {
    let of_file = diagnostic.severity == Severity::Warning && diagnostic.code.0.starts_with('E');
    diagnostic.severity == Severity::Error || of_file
}

/// 0, 5 or 6, as keepalived has them.
fn status(loaded: &Loaded, all_interfaces: bool) -> u8 {
    let right = all_interfaces && !loaded.diagnostics.iter().any(counts_there);
    let strict = loaded.globals.iter().any(|word| word.name == "enable_script_security");
    let cluster = loaded.cluster.as_ref();
    let notify = cluster.map(|cluster| &cluster.notify);
    let checks = cluster.into_iter().flat_map(|cluster| &cluster.services).flat_map(|service| &service.real_servers);
    let mut checks = checks.map(|server| &server.check.probe);
    // One that is not there does not run, and is told as such.
    let runs = !loaded.vrrp.scripts.is_empty()
        || checks.any(|probe| matches!(probe, evenkeel_model::Probe::Script(script) if script.program.exists()))
        || notify.is_some_and(|notify| notify.startup.is_some() || notify.shutdown.is_some());
    match (right, runs && !strict) {
        (true, true) => INSECURE,
        (true, false) => 0,
        (false, _) => WRONG,
    }
}
