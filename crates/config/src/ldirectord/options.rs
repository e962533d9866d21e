//! The values of one section, global or virtual, as they were written.

use evenkeel_source::{Span, Spanned};

/// A number as written: seconds, a count or a port.
pub(crate) type Number = Option<Spanned<u32>>;
/// A yes or no as written.
pub(crate) type YesNo = Option<Spanned<bool>>;
/// A text as written, without its quotes.
pub(crate) type Text = Option<Spanned<String>>;

/// Every directive that has a value. Which of them may stand where is for the table to say.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) checktimeout: Number,
    pub(crate) negotiatetimeout: Number,
    pub(crate) checkinterval: Number,
    pub(crate) checkcount: Number,
    pub(crate) failurecount: Number,
    pub(crate) emailalertfreq: Number,
    pub(crate) checkport: Number,
    pub(crate) persistent: Number,
    pub(crate) autoreload: YesNo,
    pub(crate) supervised: YesNo,
    pub(crate) fork: YesNo,
    pub(crate) quiescent: YesNo,
    pub(crate) readdquiescent: YesNo,
    pub(crate) cleanstop: YesNo,
    pub(crate) ops: YesNo,
    pub(crate) callback: Text,
    pub(crate) fallback: Text,
    pub(crate) fallback6: Text,
    pub(crate) fallbackcommand: Text,
    pub(crate) logfile: Text,
    pub(crate) emailalert: Text,
    pub(crate) emailalertfrom: Text,
    pub(crate) emailalertstatus: Text,
    pub(crate) smtp: Text,
    pub(crate) maintenancedir: Text,
    pub(crate) checktype: Text,
    pub(crate) service: Text,
    pub(crate) checkcommand: Text,
    pub(crate) request: Text,
    pub(crate) receive: Text,
    pub(crate) httpmethod: Text,
    pub(crate) virtualhost: Text,
    pub(crate) login: Text,
    pub(crate) passwd: Text,
    pub(crate) database: Text,
    pub(crate) secret: Text,
    pub(crate) load: Text,
    pub(crate) scheduler: Text,
    pub(crate) netmask: Text,
    pub(crate) schedflags: Text,
    pub(crate) protocol: Text,
    pub(crate) monitorfile: Text,
    pub(crate) servicename: Text,
    pub(crate) comment: Text,
    pub(crate) refused: Text,
}

/// A file as its grammar has it, before any meaning.
#[derive(Default)]
pub(crate) struct Syntax<'a> {
    pub(crate) globals: Options,
    /// `execute=`, in order.
    pub(crate) execute: Vec<Spanned<String>>,
    pub(crate) sections: Vec<Section<'a>>,
}

/// A virtual service as written.
pub(crate) struct Section<'a> {
    /// `virtual6`.
    pub(crate) six: bool,
    /// The word `virtual` or `virtual6`.
    pub(crate) word: Span,
    /// Behind the `=`.
    pub(crate) head: Spanned<String>,
    /// Large and mostly empty, and sections are moved about.
    pub(crate) options: Box<Options>,
    pub(crate) real_servers: Vec<RealLine<'a>>,
    /// A line of it could not be read; that is reported already.
    pub(crate) broken: bool,
}

/// A `real=` line as written.
pub(crate) struct RealLine<'a> {
    /// `real6`.
    pub(crate) six: bool,
    /// The word `real` or `real6`.
    pub(crate) word: Span,
    /// Address, host name or range, with its port.
    pub(crate) target: Spanned<&'a str>,
    pub(crate) method: Spanned<&'a str>,
    pub(crate) weight: Option<Spanned<u32>>,
    pub(crate) request: Text,
    pub(crate) receive: Text,
    pub(crate) thresholds: evenkeel_model::Thresholds,
}
