//! What only all BFD sessions together can tell.

use super::ServiceDraft;
use crate::{codes, host::shown};
use evenkeel_model::{
    Probe,
    bfd::{MOST_SESSIONS, Session},
};
use evenkeel_source::{Diagnostic, Span};
use std::{collections::HashMap, net::IpAddr};

/// A BFD session and where its parts were written.
pub(crate) struct BfdDraft {
    pub(crate) session: Session,
    pub(crate) name: Span,
    pub(crate) neighbour: Span,
    /// Something of it could not be read, which is reported already.
    pub(crate) broken: bool,
}

/// Reports names and neighbours that two sessions have, neighbours that cannot be reached, and too many of them.
pub(super) fn report(sessions: &[BfdDraft], out: &mut Vec<Diagnostic>) {
    let mut names: HashMap<&str, Span> = HashMap::new();
    let mut neighbours: HashMap<(IpAddr, Option<IpAddr>, bool), Span> = HashMap::new();
    for BfdDraft { session, name, neighbour, .. } in sessions {
        if let Some(first) = names.insert(&session.name, *name) {
            let message = format!("two BFD sessions are named `{}`", shown(&session.name));
            let d = Diagnostic::error(codes::VRRP_NAME, *name, message).label(first, "the other one");
            out.push(d.note("keepalived leaves the second one out"));
            continue;
        }
        let ends = (session.neighbour, session.source, session.reach.multihop);
        if let Some(first) = neighbours.insert(ends, *neighbour) {
            let message = format!("two BFD sessions have the neighbour {}", session.neighbour);
            let d = Diagnostic::error(codes::BFD, *neighbour, message).label(first, "the other one");
            out.push(d.note("what it sends could be for either").help("track one session in all places"));
        }
        let local = matches!(session.neighbour, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if local && session.interface.is_none() {
            let message = format!("{} is on every link: say on which the neighbour is", session.neighbour);
            let d = Diagnostic::error(codes::BFD, *neighbour, message);
            out.push(d.help("write interface = \"eth0\" in the native file; keepalived.conf has no word for it"));
        }
        let nobody = |ip: IpAddr| ip.is_unspecified() || ip.is_multicast();
        if nobody(session.neighbour) || session.source.is_some_and(nobody) {
            out.push(Diagnostic::error(codes::BFD, *neighbour, "this address is nobody's"));
        } else if session.source.is_some_and(|source| source.is_ipv4() != session.neighbour.is_ipv4()) {
            let message = "the source and the neighbour are of different families";
            out.push(Diagnostic::error(codes::BFD, *neighbour, message));
        }
    }
    if let Some(first) = sessions.get(MOST_SESSIONS) {
        let message = format!("{} BFD sessions; a node has {MOST_SESSIONS} at most", sessions.len());
        out.push(Diagnostic::error(codes::BFD, first.name, message));
    }
}

/// Reports checks that go by a session that there is not.
pub(super) fn report_checks(service: &ServiceDraft, sessions: &[BfdDraft], out: &mut Vec<Diagnostic>) {
    for (real, span) in service.service.real_servers.iter().zip(&service.real_servers) {
        for check in real.check.parts() {
            let Probe::Bfd { name } = &check.probe else { continue };
            if !sessions.iter().any(|draft| draft.session.name == *name) {
                let message = format!("the check goes by the BFD session `{}`, which there is not", shown(name));
                out.push(Diagnostic::error(codes::BFD, *span, message));
            }
        }
    }
}
