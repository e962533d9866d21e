//! Reading the files again: for a client, a signal, or because they have changed.

use super::{Core, fits};
use crate::{
    answered::answered,
    commands,
    configuration::{Configuration, Purpose},
    control::Call,
    doors::Look,
    follows::Follows,
    network::localise,
    service_manager,
    sinks::Sinks,
    tracking::drop_untrusted,
    watch::{Seen, SourceFile, Watched},
};
use evenkeel_api::{Refusal, RefusalCode, Reply, Request, Severity};
use evenkeel_engine::{Held, Input, Token};
use evenkeel_model::{Cluster, Timeouts};
use sd_notify::NotifyState;
use std::path::Path;

impl Core {
    /// A client asks.
    pub(crate) fn call(&mut self, call: Call) {
        let (request, role, reply) = match call {
            Call::Request { request, role, reply } => (request, role, reply),
            Call::Parts(parts) => return self.connections(parts),
            Call::Ended { filter, ended, reply } => {
                let message = self.ended(&filter, ended);
                // Gone when the client has hung up.
                let _ = reply.send(message);
                return;
            }
        };
        let Some(token) = self.callers.admit(reply, matches!(request, Request::Stop {})) else { return };
        match request {
            Request::Reload {} => self.read(Purpose::Asked(token)),
            Request::Plan {} => self.read(Purpose::Plan(token)),
            Request::Edit { edits, atomic, .. } => self.edit(token, edits, atomic),
            Request::Table { service } => {
                let reply = self.table(service.as_ref());
                self.callers.answer(token, reply);
            }
            Request::Standby { .. } | Request::Takeover { .. } | Request::Confirm { .. } => {
                self.ask_cluster(token, &request);
            }
            Request::Stop {} if role >= request.needs() => self.stop = Some(Input::Request { token, role, request }),
            Request::Status { .. }
            | Request::Watch { .. }
            | Request::Stop {}
            | Request::Drain { .. }
            | Request::Undrain { .. }
            | Request::Weight { .. }
            | Request::Disable { .. }
            | Request::Enable { .. }
            | Request::Connections { .. }
            | Request::Count { .. }
            | Request::Flush { .. } => self.tell(Input::Request { token, role, request }),
        }
    }

    /// Reads the files for someone.
    pub(crate) fn read(&mut self, purpose: Purpose) {
        if let Err(Purpose::Asked(token) | Purpose::Plan(token)) = self.reader.read(purpose) {
            let busy = Refusal::new(RefusalCode::Busy, "too many others have asked for the files to be read");
            self.callers.answer(token, Reply::Refused(busy));
        }
    }

    /// The files have been read.
    pub(crate) fn read_is_done(&mut self, purpose: Purpose, result: Result<Configuration, String>) {
        self.reader.received();
        self.untidy = true;
        if purpose == Purpose::Signal {
            // Whether it was taken or not: the daemon is as ready as before.
            service_manager::tell(&[NotifyState::Ready]);
        }
        let capabilities = self.path.capabilities();
        let result = result.and_then(|read| fits(&capabilities, &read.cluster).map(|()| read));
        let result = result.and_then(|read| match self.cluster.refusal(read.cluster.heartbeat.as_ref()) {
            Some(why) => Err(why),
            None => Ok(read),
        });
        match (purpose, result) {
            (Purpose::Plan(token), Ok(mut read)) => {
                localise(&mut read.cluster, &self.network.own_addresses());
                let held =
                    Box::new(Held { vrrp: self.elections.held().clone(), heartbeat: self.cluster.held().cloned() });
                self.tell(Input::Plan { cluster: Box::new(read.cluster), held, token });
            }
            (Purpose::Plan(token), Err(why)) => {
                let refusal = Refusal::new(RefusalCode::BadConfig, why);
                self.callers.answer(token, Reply::Refused(refusal));
            }
            (Purpose::Asked(token), Ok(read)) => self.reload(read, Some(token)),
            (Purpose::Signal, Ok(read)) => self.reload(read, None),
            (Purpose::Changed(file), Ok(read)) => {
                self.reload(read, None);
                self.call_back(&file);
            }
            (Purpose::Asked(token), Err(why)) => self.tell(Input::ReloadFailed { why, token: Some(token) }),
            (Purpose::Signal | Purpose::Changed(_), Err(why)) => self.tell(Input::ReloadFailed { why, token: None }),
        }
    }

    fn reload(&mut self, read: Configuration, token: Option<Token>) {
        let Configuration { mut cluster, files, warnings, written } = read;
        localise(&mut cluster, &self.network.own_addresses());
        if let Some(dumps) = &mut self.dumps {
            dumps.configure(written, &cluster);
        }
        self.take_settings(&cluster, files);
        let caution = self.cluster.caution(cluster.heartbeat.as_ref());
        for warning in warnings.iter().chain(&caution) {
            self.say(Severity::Warning, warning);
        }
        self.follow(&cluster);
        self.strictness.set(cluster.notify.strict);
        let errands = self.notifier.configure(&cluster);
        self.run_errands(errands);
        self.follow_instances(&cluster.settings.execute);
        let mut vrrp = std::mem::take(&mut cluster.vrrp);
        vrrp.answered = answered(&cluster);
        let heartbeat = cluster.heartbeat.take();
        for told in drop_untrusted(&mut vrrp, cluster.notify.strict) {
            self.say(Severity::Warning, &told);
        }
        self.tell(Input::Reload { cluster: Box::new(cluster), token });
        // After the services, so that an address that comes finds what it is for.
        if let Err(why) = self.elections.hold(&vrrp, self.clock.now()) {
            self.say(Severity::Error, &why);
        }
        if let Err(why) = self.join_cluster(heartbeat) {
            self.say(Severity::Error, &why);
        }
        self.tend_relay();
        self.look_at_marks();
    }

    /// Makes the node-wide settings true: where to log, what to look at, where to attach.
    pub(crate) fn take_settings(&mut self, cluster: &Cluster, files: Vec<SourceFile>) {
        self.sinks = Sinks::open(&cluster.settings);
        let maintenance = cluster.settings.maintenance_dir.clone();
        let sources = if cluster.settings.autoreload { files } else { Vec::new() };
        self.watched.send_replace(Watched { sources, maintenance });
        if cluster.settings.timeouts != Timeouts::default()
            && let Err(e) = self.path.set_timeouts(&cluster.settings.timeouts)
        {
            self.say(Severity::Error, &format!("connections do not last as long as the files say: {e}"));
        }
        self.settings = cluster.settings.clone();
    }

    fn follow(&mut self, cluster: &Cluster) {
        self.look_at_firewall(cluster);
        self.follows = Follows::of(cluster, self.engine.made_by_clients());
        if let Some(learned) = &self.learned {
            self.follows.mark(learned.destinations());
        }
        self.network.follow(&self.follows);
        self.resolve();
        self.doors.want(&cluster.settings, &self.follows);
        self.forward();
        self.settle(Look::Anew);
    }

    /// Starts, reloads and stops the instances of `execute=`.
    pub(crate) fn follow_instances(&mut self, files: &[String]) {
        for why in self.instances.follow(files, &self.commands) {
            self.say(Severity::Error, &why);
        }
    }

    fn call_back(&mut self, file: &Path) {
        if let Some(program) = self.settings.callback.clone() {
            let arguments = vec![file.display().to_string()];
            self.order(commands::Order::new("callback".to_owned(), program, arguments));
            self.carry_out();
        }
    }

    /// A file was seen to have changed.
    pub(crate) fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::SourceChanged(path) => self.read(Purpose::Changed(path)),
            Seen::SourceUnreadable(path, why) => {
                let why = format!("{} cannot be read any more: {why}", path.display());
                self.tell(Input::ReloadFailed { why, token: None });
            }
            Seen::Maintenance(names) => self.tell(Input::Maintenance(names)),
        }
    }
}
