//! What an ha.cf says, directive by directive, before it is judged as a whole.

use evenkeel_model::heartbeat::{Child, Fence, Medium, NodeName, PingNode};
use evenkeel_source::{Span, Spanned};
use std::{collections::BTreeMap, time::Duration};

/// The directives of one ha.cf.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) nodes: Vec<Spanned<NodeName>>,
    /// Where `node` stands with a name that cannot be one.
    pub(crate) broken_nodes: usize,
    pub(crate) media: Vec<Spanned<Medium>>,
    /// Media that could not be read.
    pub(crate) broken_media: usize,
    pub(crate) pings: Vec<Spanned<PingNode>>,
    pub(crate) keepalive: Option<Spanned<Duration>>,
    pub(crate) deadtime: Option<Spanned<Duration>>,
    pub(crate) warntime: Option<Spanned<Duration>>,
    pub(crate) initdead: Option<Spanned<Duration>>,
    pub(crate) deadping: Option<Spanned<Duration>>,
    pub(crate) udpport: Option<Spanned<u32>>,
    pub(crate) baud: Option<Spanned<u32>>,
    pub(crate) auto_failback: Option<Spanned<String>>,
    /// `auto_failback` could not be read.
    pub(crate) broken_failback: bool,
    pub(crate) nice_failback: Option<Spanned<bool>>,
    pub(crate) children: Vec<Child>,
    /// Where ipfail is started.
    pub(crate) ipfail: Option<Span>,
    pub(crate) fences: Vec<Spanned<FenceLine>>,
    pub(crate) clients: Vec<Spanned<String>>,
    pub(crate) watchdog: Option<Spanned<String>>,
    pub(crate) logfile: Option<Spanned<String>>,
    pub(crate) logfacility: Option<Spanned<String>>,
    pub(crate) hopfudge: Option<Spanned<u32>>,
    pub(crate) rexmit_delay: Option<Spanned<u32>>,
    pub(crate) msgfmt: Option<Spanned<String>>,
    pub(crate) autojoin: Option<Spanned<String>>,
    pub(crate) cluster: Option<Spanned<String>>,
    pub(crate) crm: Option<Spanned<String>>,
    pub(crate) environment: Vec<(String, String)>,
    /// Directives that evenkeel has no use for and scripts may have, as they are written.
    pub(crate) unused: BTreeMap<String, String>,
    pub(crate) unused_time: Option<Spanned<Duration>>,
    pub(crate) unused_number: Option<Spanned<u32>>,
    pub(crate) unused_bool: Option<Spanned<bool>>,
    pub(crate) unused_text: Option<Spanned<String>>,
}

/// A fence device and the node that reaches it.
pub(crate) struct FenceLine {
    /// `None`: every node.
    pub(crate) from: Option<Spanned<NodeName>>,
    pub(crate) fence: Fence,
}
