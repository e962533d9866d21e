//! `check --fix`: edits applied and the result read again, until nothing is left to mend.

use crate::{
    format::Format,
    host::Host,
    load::{Input, Loaded, load_texts},
};
use evenkeel_source::apply_fixes;
use std::path::PathBuf;

/// Rounds of reading and mending; each uncovers what the edits of the one before lay over.
const ROUNDS: usize = 8;

/// A text that was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedFile {
    /// Its path.
    pub path: PathBuf,
    /// The new text.
    pub text: String,
    /// Edits made.
    pub edits: usize,
}

/// Applies every certain fix of `loaded`, and those that show up after, to the texts in memory. Returns the files that
/// changed; the caller writes them.
pub fn fixes(loaded: &Loaded, format: Option<Format>, host: &Host<'_>) -> Vec<FixedFile> {
    let mut files: Vec<FixedFile> = Vec::new();
    for file in loaded.sources.files() {
        let fixed = apply_fixes(&loaded.sources, file, &loaded.diagnostics);
        files.push(FixedFile { path: loaded.sources.path(file).to_owned(), text: fixed.text, edits: fixed.applied });
    }
    for _ in 1..ROUNDS {
        let input = |file: &FixedFile| Input { path: file.path.clone(), bytes: file.text.clone().into_bytes() };
        let again = load_texts(files.iter().map(input).collect(), format, host);
        // A text that became nothing is no source any more; what it was given back as stands.
        if again.sources.files().count() != files.len() {
            break;
        }
        let mut changed = false;
        for (id, file) in again.sources.files().zip(&mut files) {
            let fixed = apply_fixes(&again.sources, id, &again.diagnostics);
            changed |= fixed.applied > 0;
            file.text = fixed.text;
            file.edits += fixed.applied;
        }
        if !changed {
            break;
        }
    }
    files.retain(|file| file.edits > 0);
    files
}
