//! Source files, spans, diagnostics and their rendering.
//!
//! A front end puts each file's text into [`Sources`], remembers a [`Span`] for every value it reads and reports what
//! it does not like as [`Diagnostic`]s. [`render`] prints them as rustc does, [`to_json`] for programs, and
//! [`apply_fixes`] carries out the edits they propose. Nothing here reads a file or writes one.

mod diagnostic;
mod fix;
mod json;
mod render;
mod text;

pub use diagnostic::{Code, Diagnostic, Edit, Fix, Label, Severity};
pub use fix::{Fixed, apply_fixes};
pub use json::to_json;
pub use render::{Colour, MOST_RENDERED, render, render_all};
pub use text::{FileId, LineColumn, Sources, Span, Spanned};
