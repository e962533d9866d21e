//! What becomes of a directive of an old file.

/// What evenkeel makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As the old program does it.
    Supported,
    /// Some of its values, or in some places; the text says which.
    Partly(&'static str),
    /// Read and without effect; the text says why.
    Ignored(&'static str),
    /// An error; the text says why or what to write instead.
    Refused(&'static str),
}

impl Status {
    /// As docs/compat has it.
    pub(crate) fn words(self) -> String {
        match self {
            Status::Supported => "supported".to_owned(),
            Status::Partly(what) => format!("partly: {what}"),
            Status::Ignored(why) => format!("ignored: {why}"),
            Status::Refused(why) => format!("refused: {why}"),
        }
    }
}
