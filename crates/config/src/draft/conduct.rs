//! What holds for all elections of a node.

use crate::{codes, host::shown};
use evenkeel_model::vrrp::Pause;
use evenkeel_source::{Diagnostic, Spanned};
use std::{collections::HashMap, time::Duration};

/// How elections are held, whichever instances there are.
#[derive(Default)]
pub(crate) struct Conduct {
    /// Until backups begin to count; the longest of all files.
    pub(crate) startup_delay: Duration,
    /// The same from the start of the host.
    pub(crate) boot_delay: Duration,
    /// How slowly addresses are announced.
    pub(crate) pauses: Vec<Spanned<Pause>>,
    /// No reports of IGMP about groups of the link.
    pub(crate) quiet_igmp: bool,
}

impl Conduct {
    /// Adds what another file says.
    pub(crate) fn merge(&mut self, other: Conduct) {
        self.startup_delay = self.startup_delay.max(other.startup_delay);
        self.boot_delay = self.boot_delay.max(other.boot_delay);
        self.pauses.extend(other.pauses);
        self.quiet_igmp |= other.quiet_igmp;
    }

    /// Leaves an interface to the first pause that names it, and reports the others.
    pub(crate) fn settle_pauses(&mut self, out: &mut Vec<Diagnostic>) {
        let mut named = HashMap::new();
        for pause in &mut self.pauses {
            let span = pause.span;
            let all = std::mem::take(&mut pause.value.interfaces);
            let was_general = all.is_empty();
            pause.value.interfaces = all
                .into_iter()
                .filter(|interface| match named.get(interface) {
                    None => {
                        named.insert(interface.clone(), span);
                        true
                    }
                    Some(first) => {
                        let message = format!("announcements on {} are paced already", shown(interface));
                        let d = Diagnostic::warning(codes::VRRP_TIMING, span, message).label(*first, "by this");
                        out.push(d.note("the first one counts, as with keepalived"));
                        false
                    }
                })
                .collect();
            // One whose interfaces are all taken is not one for all the others.
            if !was_general && pause.value.interfaces.is_empty() {
                (pause.value.arp, pause.value.neighbour) = (Duration::ZERO, Duration::ZERO);
            }
        }
        self.pauses.retain(|pause| !(pause.value.arp.is_zero() && pause.value.neighbour.is_zero()));
        self.settle_general(out);
    }

    /// One pause holds for all other interfaces.
    fn settle_general(&mut self, out: &mut Vec<Diagnostic>) {
        let mut general: Option<Spanned<Pause>> = None;
        self.pauses.retain(|pause| match &general {
            _ if !pause.value.interfaces.is_empty() => true,
            None => {
                general = Some(pause.clone());
                true
            }
            Some(first) if first.value == pause.value => false,
            Some(first) => {
                let message = "announcements on all interfaces are paced twice";
                let d = Diagnostic::error(codes::SETTING_TWICE, pause.span, message);
                out.push(d.label(first.span, "first set here"));
                false
            }
        });
    }
}
