//! What the host does to the daemon: its firewall, its routes and neighbours, its interfaces; and the daily round.

use super::Core;
use crate::{
    doors::Look,
    elections::Told,
    firewall::{self, Concerns, Listener},
    marks::{self, Learned},
};
use evenkeel_api::{Event, HaStatus, Severity};
use evenkeel_engine::Input;
use evenkeel_ha::News;
use evenkeel_model::Cluster;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Seconds between two audits of the data plane's table.
const AUDIT: u64 = 60;
/// Seconds between two steps of the rates' estimator.
const ESTIMATE: u64 = 2;
/// Seconds between two looks whether every attachment is in place.
const RETRY: u64 = 10;
/// How often fragments are looked for that came before their first one, while there are some; a flood of them costs no
/// more.
const WHILE_FRAGMENTS_WAIT: Duration = Duration::from_millis(10);
const AFTER_TROUBLE: Duration = Duration::from_secs(10);
/// Seconds after which this node may replace a working master although not every real server has been checked.
const READY: u64 = 10;
/// Seconds between two complaints about a full table.
const COMPLAINT: u64 = 10;

impl Core {
    /// Looks which rules of the host's firewall the services' traffic goes past, and which keep out what other nodes say;
    /// told by [`Core::firewall_seen`].
    pub(crate) fn look_at_firewall(&mut self, cluster: &Cluster) {
        self.warnings.restart = self.only_a_restart_changes(cluster);
        self.concerns = Arc::new(Concerns::of(cluster));
        firewall::look_aside(Arc::clone(&self.concerns), self.firewall.clone());
    }

    /// Looks again while somebody has heard nothing.
    fn listen(&mut self) {
        if self.concerns.listeners().next().is_none() {
            return;
        }
        let instances = self.elections.status(self.clock.now());
        if self.concerns.listeners().any(|one| !self.has_heard(one, &instances)) {
            firewall::look_aside(Arc::clone(&self.concerns), self.firewall.clone());
        }
    }

    /// Whether another node was ever heard.
    pub(crate) fn has_heard(&self, listener: &Listener, instances: &[HaStatus]) -> bool {
        match listener {
            Listener::Medium(medium) => self.cluster.has_heard(medium),
            Listener::Instance(name) => {
                let counters = instances.iter().find(|one| one.name == *name).and_then(|one| one.counters.as_ref());
                counters.is_some_and(|counters| counters.received > 0 || !counters.wrong.is_empty())
            }
        }
    }

    /// The firewall has been looked at.
    pub(crate) fn firewall_seen(&mut self, found: firewall::Found) {
        let firewall::Found { bypassed, deaf, unseen } = found;
        let before = std::mem::replace(&mut self.warnings.deaf, deaf.clone());
        for fresh in deaf.iter().filter(|deaf| deaf.surely && !before.contains(deaf)) {
            self.say(Severity::Warning, &fresh.to_string());
        }
        let sentences = bypassed.iter().map(ToString::to_string);
        let now: Vec<String> = sentences.chain(unseen.iter().cloned()).collect();
        let before = std::mem::replace(&mut self.warnings.firewall, now);
        // A reload repeats no warning.
        for event in bypassed.into_iter().filter(|event| !before.contains(&event.to_string())) {
            self.tell(Input::Tell(event));
        }
        for text in unseen.iter().filter(|text| !before.contains(text)) {
            self.say(Severity::Warning, text);
        }
    }

    /// Looks what the host's rules give marks to, if a service depends on it; told by [`Core::marks_learned`].
    pub(crate) fn look_at_marks(&mut self) {
        if self.engine.asks_the_host() {
            marks::look_aside(self.marks.clone());
        }
    }

    /// The thread that holds elections has news.
    pub(crate) fn hear_election(&mut self, news: News) {
        if let News::Bfd { session, standing } = &news {
            return self.hear_session(session, *standing);
        }
        if let News::Report(reports) = news {
            return self.write_dumps(&reports);
        }
        let errands = self.notify_election(&news);
        match self.elections.take(news, self.clock.now()) {
            Some(Told::Event(event)) => self.publish(event),
            Some(Told::Line(severity, text)) => self.say(severity, &text),
            None => {}
        }
        self.run_errands(errands);
        self.carry_out();
    }

    /// The host's rules have been read.
    pub(crate) fn marks_learned(&mut self, learned: Learned) {
        if self.learned.as_ref() == Some(&learned) {
            return;
        }
        let before = std::mem::replace(&mut self.warnings.marks, learned.unfollowed.clone());
        for text in learned.unfollowed.iter().filter(|text| !before.contains(text)) {
            self.say(Severity::Warning, text);
        }
        let is_new = self.follows.mark(learned.destinations());
        let marks = learned.marks.clone();
        self.learned = Some(learned);
        self.tell(Input::Marks(marks));
        if is_new {
            let settings = self.settings.clone();
            self.doors.want(&settings, &self.follows);
            self.settle(Look::Anew);
        }
    }

    fn only_a_restart_changes(&self, cluster: &Cluster) -> Option<String> {
        let have = self.path.capabilities().connections;
        let size = cluster.settings.connections.filter(|want| *want != have && !self.connections_overridden);
        size.map(|want| format!("the connection table keeps its size of {have} until a restart; the files say {want}"))
    }

    /// Tells the data plane how the real servers are reached, as far as that is new.
    pub(crate) fn resolve(&mut self) {
        if let Some(ways) = self.network.ways_out()
            && let Err(e) = self.path.links(&ways)
        {
            self.say(Severity::Error, &format!("cannot tell the data plane by which interfaces it can send: {e}"));
        }
        for hop in self.network.settle() {
            if let Err(e) = self.path.next_hop(hop.real_server, hop.next) {
                self.say(
                    Severity::Error,
                    &format!("cannot tell the data plane how {} is reached: {e}", hop.real_server),
                );
            }
            // The way to a client of FTP is no news to anybody.
            let events = if self.follows.names(hop.real_server) { hop.events } else { Vec::new() };
            for event in events {
                self.tell(Input::Tell(event));
            }
        }
    }

    /// Attaches to the interfaces the services' traffic arrives on.
    pub(crate) fn settle(&mut self, look: Look) {
        self.host = match self.network.interfaces(self.doors.vips()) {
            Ok(host) => host,
            Err(why) => return self.say(Severity::Error, &why),
        };
        self.answers_changed();
        let doubted: Vec<String> = self.doors.doubts().collect();
        let events = self.doors.settle(self.path.as_mut(), &self.host, look);
        let doubts: Vec<String> = self.doors.doubts().filter(|doubt| !doubted.contains(doubt)).collect();
        for doubt in doubts {
            self.say(Severity::Warning, &doubt);
        }
        for event in events {
            match event {
                // At the start it is no change.
                Event::AttachmentChanged { interface, mode: Some(mode), .. } if !self.serving => {
                    self.say(Severity::Info, &format!("packets on {interface} are taken by {mode}"));
                }
                // Said with the start, or with why there is none.
                Event::AttachmentChanged { mode: None, .. } if !self.serving => {}
                event => self.tell(Input::Tell(event)),
            }
        }
    }

    /// The host's network has changed.
    pub(crate) fn network_news(&mut self) {
        let interfaces = self.network_read();
        self.hold();
        if interfaces || self.answers_changed() {
            self.settle(Look::Mend);
        }
    }

    /// Tells the engine which addresses this host has, where a service goes by that and they have changed.
    pub(crate) fn hold(&mut self) {
        if !self.engine.goes_by_addresses() {
            return;
        }
        let own = self.network.own_addresses();
        if self.held.as_ref() != Some(&own) {
            self.held = Some(own.clone());
            self.tell(Input::Held(own));
        }
    }

    /// Takes the news of next hops; says whether there are news of interfaces.
    pub(crate) fn network_read(&mut self) -> bool {
        let interfaces = self.network.read();
        self.resolve();
        interfaces
    }

    /// Once a second: old connections go, a full table is told, attachments that failed or were taken away are made again.
    pub(crate) fn beat(&mut self) {
        self.beats += 1;
        self.hold();
        if self.elections.await_readiness() && (self.engine.is_checked() || self.beats >= READY) {
            self.elections.ready();
            self.cluster.ready();
        }
        self.elections.say_again();
        self.cluster.refresh();
        if self.elections.turned() | self.cluster.turned() {
            self.network.hold(self.elections.present().chain(self.cluster.present()).collect());
        }
        for (address, mac) in self.network.rivals() {
            let now = self.clock.now();
            let text = self.elections.rival(address, mac, now).or_else(|| self.cluster.rival(address, mac, now));
            if let Some(text) = text {
                self.say(Severity::Warning, &text);
            }
        }
        if let Err(e) = self.path.sweep() {
            self.say(Severity::Error, &format!("old connections could not be removed: {e}"));
        }
        self.tell_of_full_table();
        self.tend_relay();
        if std::mem::take(&mut self.untidy) {
            // Aside, as it takes its time: what files are read with is more than what they say.
            tokio::task::spawn_blocking(evenkeel_os::trim_heap);
        }
        if self.beats.is_multiple_of(ESTIMATE)
            && let Err(e) = self.estimate()
        {
            self.say(Severity::Error, &format!("the counters could not be read: {e}"));
        }
        if self.beats.is_multiple_of(RETRY) {
            self.settle(Look::Mend);
            self.look_at_marks();
        }
        if self.beats.is_multiple_of(AUDIT) {
            self.listen();
            match self.observe() {
                Ok(table) => self.tell(Input::Observed(table)),
                Err(e) => self.say(Severity::Error, &format!("the data plane's table could not be read: {e}")),
            }
        }
    }

    /// Sends on what came before the first fragment of its packet. When it is to be called again; `None`: when the next one
    /// comes.
    pub(crate) fn settle_fragments(&mut self) -> Option<Instant> {
        let pause = match self.path.settle_fragments() {
            Ok(true) => WHILE_FRAGMENTS_WAIT,
            Ok(false) => return None,
            Err(e) => {
                self.say(Severity::Error, &format!("fragments could not be sent on: {e}"));
                AFTER_TROUBLE
            }
        };
        Some(Instant::now() + pause)
    }

    fn tell_of_full_table(&mut self) {
        let mut full = 0;
        let read = self.path.drops(&mut |reason, count| {
            if reason == "table_full" {
                full = count;
            }
        });
        if read.is_err() || full <= self.dropped_full || self.beats < self.full_told + COMPLAINT {
            return;
        }
        let capacity = u64::from(self.path.capabilities().connections);
        let event = Event::TableFull { dropped: full - self.dropped_full, capacity };
        (self.dropped_full, self.full_told) = (full, self.beats);
        self.tell(Input::Tell(event));
    }
}
