//! Carrying out the edits that diagnostics propose.

use crate::{Diagnostic, Edit, FileId, Sources};
use std::collections::BTreeMap;

/// A text after fixing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The new text.
    pub text: String,
    /// Edits carried out.
    pub applied: usize,
    /// Edits left out since they overlap others; reading the new text again proposes them anew.
    pub skipped: usize,
}

/// Applies every certain fix that touches `file`: those of one fix together or not at all unless they are separable, the first
/// diagnostic winning where two overlap.
pub fn apply_fixes(sources: &Sources, file: FileId, diagnostics: &[Diagnostic]) -> Fixed {
    let text = sources.text(file);
    let mut taken = Taken::default();
    let mut skipped = 0;
    for fix in diagnostics.iter().filter_map(|d| d.fix.as_ref()).filter(|fix| fix.certain) {
        let edits: Vec<&Edit> = fix.edits.iter().filter(|edit| edit.span.file == file).collect();
        let fits = |taken: &Taken<'_>, edit: &Edit| text.get(edit.span.range()).is_some() && taken.is_free(edit);
        if fix.separable {
            for edit in edits {
                if fits(&taken, edit) { taken.take(edit) } else { skipped += 1 }
            }
        } else if edits.iter().all(|edit| fits(&taken, edit)) {
            edits.into_iter().for_each(|edit| taken.take(edit));
        } else {
            skipped += edits.len();
        }
    }
    let mut fixed = String::with_capacity(text.len());
    let mut at = 0;
    for edit in taken.0.values() {
        fixed.push_str(text.get(at..edit.span.start as usize).unwrap_or(""));
        fixed.push_str(&edit.replacement);
        at = edit.span.end as usize;
    }
    fixed.push_str(text.get(at..).unwrap_or(""));
    Fixed { text: fixed, applied: taken.0.len(), skipped }
}

/// Edits chosen so far, by their start.
#[derive(Default)]
struct Taken<'a>(BTreeMap<u32, &'a Edit>);

impl<'a> Taken<'a> {
    /// Two edits that start at the same byte overlap, even when both insert: their order would be chance.
    fn is_free(&self, edit: &Edit) -> bool {
        let before = self.0.range(..=edit.span.start).next_back();
        let after = self.0.range(edit.span.start..).next();
        before.is_none_or(|(start, b)| b.span.end <= edit.span.start && *start != edit.span.start)
            && after.is_none_or(|(start, _)| *start >= edit.span.end && *start != edit.span.start)
    }

    fn take(&mut self, edit: &'a Edit) {
        self.0.insert(edit.span.start, edit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Span};

    fn replacing(span: Span, by: &str) -> Diagnostic {
        Diagnostic::warning(Code("E0000"), span, "m").replace("do it", span, by)
    }

    #[test]
    fn edits_apply_and_overlapping_ones_wait_for_the_next_round() {
        let mut sources = Sources::new();
        let file = sources.add("f", "abcdef".to_owned());
        let at = |start, end| Span::new(file, start, end);
        let diagnostics = [replacing(at(4, 6), "EF"), replacing(at(0, 2), "AB-"), replacing(at(1, 3), "no")];
        let fixed = apply_fixes(&sources, file, &diagnostics);
        assert_eq!(fixed, Fixed { text: "AB-cdEF".to_owned(), applied: 2, skipped: 1 });
    }

    #[test]
    fn a_guess_is_not_applied() {
        let mut sources = Sources::new();
        let file = sources.add("f", "abc".to_owned());
        let guess =
            Diagnostic::error(Code("E0000"), Span::new(file, 0, 1), "m").suggest("try", Span::new(file, 0, 1), "x");
        assert_eq!(apply_fixes(&sources, file, &[guess]), Fixed { text: "abc".to_owned(), applied: 0, skipped: 0 });
    }

    #[test]
    fn a_fix_of_two_edits_is_carried_out_whole_or_not_at_all() {
        let mut sources = Sources::new();
        let file = sources.add("f", "abcdef".to_owned());
        let at = |start, end| Span::new(file, start, end);
        let pair = vec![
            Edit { span: at(0, 0), replacement: ">".to_owned() },
            Edit { span: at(4, 6), replacement: String::new() },
        ];
        let both = Diagnostic::warning(Code("E0000"), at(0, 6), "m").edits("do it", pair);
        let fixed = apply_fixes(&sources, file, &[replacing(at(5, 6), "F"), both.clone()]);
        assert_eq!((fixed.text.as_str(), fixed.skipped), ("abcdeF", 2));
        assert_eq!(apply_fixes(&sources, file, &[both]).text, ">abcd");
    }
}
