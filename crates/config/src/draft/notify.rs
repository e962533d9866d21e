//! Who is told of changes, as one or more files say it.

use super::{ServiceDraft, VrrpDraft};
use crate::codes;
use evenkeel_model::{
    Notify,
    notify::{Fifo, MailRoute, RoleNotify},
};
use evenkeel_source::{Diagnostic, Spanned};

/// Everybody, and where what may be said once only was written.
#[derive(Default)]
pub(crate) struct NotifyDraft {
    /// Without the two below, and without services and instances.
    pub(crate) rest: Notify,
    pub(crate) mail: Option<Spanned<MailRoute>>,
    pub(crate) fifos: Vec<Spanned<Fifo>>,
}

impl NotifyDraft {
    /// Adds what another file says.
    pub(crate) fn merge(&mut self, other: NotifyDraft, out: &mut Vec<Diagnostic>) {
        super::setting(&mut self.mail, other.mail, "mail of single changes", out);
        for fifo in other.fifos {
            match self.fifos.iter().find(|first| first.value.about == fifo.value.about) {
                Some(first) if first.value != fifo.value => out.push(
                    Diagnostic::error(codes::SETTING_TWICE, fifo.span, "a FIFO for the same is set twice, differently")
                        .label(first.span, "first set here"),
                ),
                Some(_) => {}
                None => self.fifos.push(fifo),
            }
        }
        let (into, other) = (&mut self.rest, other.rest);
        into.groups.extend(other.groups);
        into.strict |= other.strict;
        into.states_on_reload |= other.states_on_reload;
        into.startup = into.startup.take().or(other.startup);
        into.shutdown = into.shutdown.take().or(other.shutdown);
    }

    /// Everybody, those of `services` and `elections` among them.
    pub(crate) fn resolve(self, services: &[ServiceDraft], elections: &[VrrpDraft]) -> Notify {
        let services = services.iter().filter(|draft| !draft.told.is_silent());
        let instances = elections.iter().filter(|draft| draft.told != RoleNotify::default());
        Notify {
            services: services.map(|draft| (draft.service.key, draft.told.clone())).collect(),
            instances: instances.map(|draft| (draft.instance.name.clone(), draft.told.clone())).collect(),
            mail: self.mail.map(|mail| mail.value),
            fifos: self.fifos.into_iter().map(|fifo| fifo.value).collect(),
            ..self.rest
        }
    }
}
