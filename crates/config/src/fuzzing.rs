//! What must hold for every text, however broken. The cargo-fuzz targets and a bounded test of mutated files run the
//! same functions.

use crate::{
    fixing::fixes,
    format::Format,
    host::Host,
    load::{Input, load_texts},
    native::to_toml,
};
use evenkeel_source::{Colour, Severity, render_all, to_json};

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

/// No panic; a cluster or an error; places inside the text; what is written reads the same; fixing ends and changes no
/// meaning.
fn holds(bytes: &[u8], format: Format, path: &str) {
    let read = |bytes: &[u8], format| {
        load_texts(vec![Input { path: path.into(), bytes: bytes.to_vec() }], Some(format), &Host::NONE)
    };
    let loaded = read(bytes, format);
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
        let again = read(toml.as_bytes(), Format::Native);
        // A file of nothing but comments writes nothing, and an empty file is an error.
        if !toml.is_empty() {
            assert!(
                again.cluster.as_ref() == Some(cluster),
                "the TOML reads otherwise:\n{toml}\n{:#?}",
                again.diagnostics
            );
        }
    }
    if let Some(fixed) = fixes(&loaded, Some(format), &Host::NONE).first() {
        let again = read(fixed.text.as_bytes(), format);
        if loaded.cluster.is_some() {
            assert!(
                again.cluster == loaded.cluster,
                "fixing changed the meaning:\n{}\n{:#?}",
                fixed.text,
                again.diagnostics
            );
        }
    }
}
