//! `check` and `convert`: what the files hold, without a daemon.

use crate::{
    args::{CheckArgs, ConvertArgs, OutputArg},
    exit::{FAILED, Trouble},
    load::{counts, summary},
    print, terminal,
};
use evenkeel_config::{Loaded, Memory};
use evenkeel_runtime::{files, host};
use evenkeel_source::{apply_fixes, render_all, to_json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::ExitCode};

/// How often fixed files are read again: fixes that overlap others come up in the next reading.
const ROUNDS: usize = 8;

pub(crate) fn check(arguments: &CheckArgs) -> Result<ExitCode, Trouble> {
    let read = || files::load(&arguments.paths, arguments.format.map(Into::into), arguments.node.as_deref());
    let mut loaded = read();
    if arguments.fix {
        for _ in 0..ROUNDS {
            if fix(&loaded)? == 0 {
                break;
            }
            loaded = read();
        }
    }
    if let Some(cluster) = &loaded.cluster {
        let told = host::compare(cluster);
        loaded.diagnostics.extend(told);
    }
    let (errors, warnings) = counts(&loaded);
    match arguments.output {
        OutputArg::Text => {
            print(&render_all(&loaded.diagnostics, &loaded.sources, terminal::stdout_colour()))?;
            eprintln!("{}", summary(errors, warnings));
        }
        OutputArg::Json => drop(print(&format!("{}\n", to_json(&loaded.diagnostics, &loaded.sources)))?),
    }
    let failed = errors > 0 || (arguments.deny_warnings && warnings > 0);
    Ok(if failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// Mends the files, each replaced as a whole; says how many edits were made.
fn fix(loaded: &Loaded) -> Result<usize, Trouble> {
    let mut applied = 0;
    for file in loaded.sources.files() {
        let fixed = apply_fixes(&loaded.sources, file, &loaded.diagnostics);
        if fixed.applied > 0 {
            let path = loaded.sources.path(file);
            replace(path, &fixed.text).map_err(|e| Trouble::failed(format!("cannot write {}: {e}", path.display())))?;
            eprintln!("{}: {} mended", path.display(), summary_of_edits(fixed.applied));
            applied += fixed.applied;
        }
    }
    Ok(applied)
}

fn summary_of_edits(edits: usize) -> String {
    if edits == 1 { "1 place".to_owned() } else { format!("{edits} places") }
}

/// Replaces a file's content so that a crash leaves the old or the new one; a link stays a link.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mode = fs::metadata(&path)?.permissions().mode();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".evenkeel-new");
    let new = path.with_file_name(name);
    let written = fs::write(&new, text)
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(mode)))
        .and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        // Best effort: the error that matters is the first.
        let _ = fs::remove_file(&new);
    }
    written
}

pub(crate) fn convert(arguments: &ConvertArgs) -> Result<ExitCode, Trouble> {
    let mut memory = Memory::of_node(arguments.node.clone());
    let format = arguments.format.map(Into::into);
    let read = crate::load::configuration(&arguments.paths, format, FAILED, Some(&mut memory))?;
    print(&evenkeel_config::to_toml(&read.cluster))
}
