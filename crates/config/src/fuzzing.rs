//! What must hold for every text, however broken. The cargo-fuzz targets and a bounded test of mutated files run the
//! same functions.

use crate::{
    fixing::fixes,
    format::Format,
    host::Host,
    load::{Input, Loaded, load_texts},
    native::to_toml,
};
use evenkeel_source::{Colour, Severity, render_all, to_json};
use std::path::PathBuf;

/// Reads `bytes` as an ldirectord.cf and checks what must hold of any.
///
/// # Panics
///
/// When something does not hold.
pub fn ldirectord(bytes: &[u8]) {
    holds(bytes, Format::Ldirectord, "fuzz.cf");
}

/// Reads `bytes` as a keepalived.conf and checks what must hold of any.
///
/// # Panics
///
/// When something does not hold.
pub fn keepalived(bytes: &[u8]) {
    holds(bytes, Format::Keepalived, "fuzz.conf");
}

/// Reads `bytes` as a native file and checks what must hold of any.
///
/// # Panics
///
/// When something does not hold.
pub fn native(bytes: &[u8]) {
    holds(bytes, Format::Native, "fuzz.toml");
}

/// Reads `bytes` as the files of a heartbeat: an ha.cf, and behind lines such as `=== authkeys` the others.
///
/// # Panics
///
/// When something does not hold.
pub fn heartbeat(bytes: &[u8]) {
    let names = ["ha.cf", "authkeys", "haresources", "ldirectord.cf"];
    let mut parts: Vec<(&str, Vec<u8>)> = vec![("ha.cf", Vec::new())];
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let named = line.strip_prefix(b"=== ").and_then(|rest| {
            let known = |name: &&&str| rest.trim_ascii_end() == name.as_bytes();
            names.iter().find(known).filter(|name| !parts.iter().any(|(part, _)| part == *name))
        });
        match (named, parts.last_mut()) {
            (Some(name), _) => parts.push((name, Vec::new())),
            (None, Some((_, text))) => text.extend(line),
            (None, None) => {}
        }
    }
    let path = |name: &str| PathBuf::from("/etc/ha.d").join(name);
    let inputs = parts.into_iter().map(|(name, bytes)| Input { path: path(name), bytes }).collect();
    files_hold(inputs, None);
}

/// The host that the files are read on.
const HOST: Host<'static> = Host { node: "ha1", full_name: "ha1", ..Host::NONE };

fn holds(bytes: &[u8], format: Format, path: &str) {
    files_hold(vec![Input { path: path.into(), bytes: bytes.to_vec() }], Some(format));
}

/// No panic; a cluster or an error; places inside the texts; what is written reads the same; fixing ends and changes no
/// meaning.
fn files_hold(inputs: Vec<Input>, format: Option<Format>) {
    let again = |inputs: &[Input]| {
        let copy = |input: &Input| Input { path: input.path.clone(), bytes: input.bytes.clone() };
        load_texts(inputs.iter().map(copy).collect(), format, &HOST)
    };
    let loaded = again(&inputs);
    assert_eq!(loaded.cluster.is_some(), loaded.count(Severity::Error) == 0, "a cluster or an error");
    for d in &loaded.diagnostics {
        let edits = d.fix.iter().flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
        let spans = d.primary.iter().chain(&d.labels).map(|label| label.span).chain(edits);
        for span in spans {
            let text = loaded.sources.text(span.file);
            assert!(text.get(span.range()).is_some(), "{span:?} of {:?} is no place in the text", d.message);
        }
        assert!(!d.message.contains('\n') && crate::explain(d.code.0).is_some(), "{:?}", d.message);
    }
    let shown = &loaded.diagnostics[..loaded.diagnostics.len().min(20)];
    assert!(render_all(shown, &loaded.sources, Colour::No).len() + to_json(shown, &loaded.sources).len() >= 2);
    if let Some(cluster) = &loaded.cluster {
        let toml = to_toml(cluster);
        let input = Input { path: "fuzz.toml".into(), bytes: toml.as_bytes().to_vec() };
        let written = load_texts(vec![input], Some(Format::Native), &HOST);
        // A file of nothing but comments writes nothing, and an empty file is an error.
        if !toml.is_empty() {
            assert!(
                written.cluster.as_ref() == Some(cluster),
                "the TOML reads otherwise:\n{toml}\n{:#?}",
                written.diagnostics
            );
        }
    }
    fixing_holds(inputs, &loaded, format, again);
}

fn fixing_holds(mut inputs: Vec<Input>, loaded: &Loaded, format: Option<Format>, again: impl Fn(&[Input]) -> Loaded) {
    let fixed = fixes(loaded, format, &HOST);
    for file in &fixed {
        assert!(!file.path.ends_with("authkeys"), "its text is not the true one");
        if let Some(input) = inputs.iter_mut().find(|input| input.path == file.path) {
            input.bytes = file.text.clone().into_bytes();
        }
    }
    if loaded.cluster.is_some() && !fixed.is_empty() {
        let mended = again(&inputs);
        let texts: Vec<&str> = fixed.iter().map(|file| file.text.as_str()).collect();
        assert!(mended.cluster == loaded.cluster, "fixing changed the meaning:\n{texts:#?}\n{:#?}", mended.diagnostics);
    }
}
