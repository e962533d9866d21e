//! What a front end has to say about a text.

use crate::Span;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing to do.
    Note,
    /// Read as meant, or without effect.
    Warning,
    /// The file cannot be used.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A stable code such as `E0102`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What; may be empty.
    pub text: String,
}

/// One change of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty for an insertion.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// Edits that make a diagnostic go away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What they do, as an instruction.
    pub message: String,
    /// The edits; they do not overlap.
    pub edits: Vec<Edit>,
    /// Whether each edit makes sense without the others.
    pub separable: bool,
    /// Whether the text means the same afterwards. Otherwise it is a guess for a person to judge: shown, never applied.
    pub certain: bool,
}

/// One thing to say about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its stable code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One line: what is wrong, in the operator's words.
    pub message: String,
    /// Where, with a label; `None` for a file that could not be read.
    pub primary: Option<Label>,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// What is known besides: what the old program would have done, what was measured.
    pub notes: Vec<String>,
    /// What to do about it.
    pub helps: Vec<String>,
    /// How to do it by machine.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic at `span`.
    pub fn new(severity: Severity, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            primary: Some(Label { span, text: String::new() }),
            ..Diagnostic::without_place(severity, code, message)
        }
    }

    /// A diagnostic about no place in a text.
    pub fn without_place(severity: Severity, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity,
            message: message.into(),
            primary: None,
            labels: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
            fix: None,
        }
    }

    /// An error at `span`.
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, span, message)
    }

    /// A warning at `span`.
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, span, message)
    }

    /// A note at `span`.
    pub fn note_at(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Note, code, span, message)
    }

    /// Says `text` at the primary place.
    #[must_use]
    pub fn labelled(mut self, text: impl Into<String>) -> Diagnostic {
        if let Some(primary) = &mut self.primary {
            primary.text = text.into();
        }
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds what is known besides.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.helps.push(text.into());
        self
    }

    /// Proposes to replace `span` by `replacement`.
    #[must_use]
    pub fn replace(self, message: impl Into<String>, span: Span, replacement: impl Into<String>) -> Diagnostic {
        self.edits(message, vec![Edit { span, replacement: replacement.into() }])
    }

    /// Proposes several edits that belong together.
    #[must_use]
    pub fn edits(mut self, message: impl Into<String>, edits: Vec<Edit>) -> Diagnostic {
        self.fix = Some(Fix { message: message.into(), edits, separable: false, certain: true });
        self
    }

    /// Shows what replacing `span` by `replacement` would look like, as a guess.
    #[must_use]
    pub fn suggest(self, message: impl Into<String>, span: Span, replacement: impl Into<String>) -> Diagnostic {
        let mut d = self.replace(message, span, replacement);
        if let Some(fix) = &mut d.fix {
            fix.certain = false;
        }
        d
    }

    /// The start of the primary span, for sorting.
    pub fn place(&self) -> Option<Span> {
        self.primary.as_ref().map(|label| label.span)
    }
}
