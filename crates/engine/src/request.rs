//! What clients ask for.

use crate::{
    Effect, Sample, Token,
    balance::{Balance, IdleDrain, Phase, ending},
    book::{Ending, Until},
    program::After,
    reload::ask,
    select::Target,
    service::Asked,
    watches::Slot,
};
use evenkeel_api::{Event, Refusal, RefusalCode, Reply, Request, Role};
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::{Protocol, ServiceKey, Weight};
use std::{net::SocketAddr, time::Duration};

/// Requests that wait for numbers at the most.
pub(crate) const WAITING: usize = 1024;

/// How often a drain that waits for its last connection is looked at.
const IDLE_EVERY: Duration = Duration::from_secs(1);

/// Answered later, or refused now.
type Outcome = Result<(), Refusal>;

impl Balance {
    pub(crate) fn request(
        &mut self,
        now: Instant,
        token: Token,
        role: Role,
        request: Request,
        out: &mut Outbox<Effect>,
    ) {
        let outcome = if role < request.needs() {
            let (name, needs) = (request.name(), request.needs());
            let message = format!("{name} needs the role {needs}, this caller has {role}");
            let hint = "run it as root, or as the user or group the daemon was given for that role";
            Err(Refusal::new(RefusalCode::NotAllowed, message).hint(hint))
        } else if self.phase != Phase::Running {
            Err(ending())
        } else {
            self.carry_out(now, token, request, out)
        };
        if let Err(refusal) = outcome {
            out.push(Effect::Reply { token, reply: Reply::Refused(refusal) });
        }
    }

    fn carry_out(&mut self, now: Instant, token: Token, request: Request, out: &mut Outbox<Effect>) -> Outcome {
        match request {
            Request::Status { service } => self.ask_status(token, service, out),
            Request::Stop {} => {
                self.stop(now, out);
                let reply = Reply::Done { message: "stopped".into() };
                self.program.hold(After::All, Effect::Reply { token, reply });
                Ok(())
            }
            Request::Drain { server, for_s, until_idle, deadline_s, keep, force } => {
                let until_idle = until_idle || deadline_s.is_some();
                let order = DrainOrder { for_s, until_idle, deadline_s, keep, force };
                self.drain(now, token, &server, order, out)
            }
            Request::Undrain { server } => self.undrain(now, token, &server, out),
            Request::Weight { server, weight, force } => self.reweigh(now, token, &server, weight, force, out),
            Request::Disable { target, force } => self.set_disabled(now, token, &target, true, force, out),
            Request::Enable { target } => self.set_disabled(now, token, &target, false, true, out),
            Request::Watch { .. }
            | Request::Reload {}
            | Request::Plan {}
            | Request::Table { .. }
            | Request::Edit { .. }
            | Request::Connections { .. }
            | Request::Count { .. }
            | Request::Standby { .. }
            | Request::Takeover { .. }
            | Request::Confirm { .. }
            | Request::Flush { .. } => {
                Err(Refusal::new(RefusalCode::BadRequest, format!("{} is not for the engine", request.name())))
            }
        }
    }

    fn ask_status(&mut self, token: Token, service: Option<String>, out: &mut Outbox<Effect>) -> Outcome {
        let service = service.map(|text| self.find_service(&text)).transpose()?;
        if self.sampling.statuses.len() >= WAITING {
            return Err(Refusal::new(RefusalCode::Busy, "too many requests wait for the data plane's counters"));
        }
        self.sampling.statuses.push((token, service));
        self.sample(out);
        Ok(())
    }

    fn sample(&mut self, out: &mut Outbox<Effect>) {
        if !self.sampling.open {
            self.sampling.open = true;
            out.push(Effect::Sample);
        }
    }

    /// The numbers are there: answers all that waited for them.
    pub(crate) fn sampled(&mut self, now: Instant, sample: &Sample, out: &mut Outbox<Effect>) {
        self.sampling.open = false;
        for (token, service) in std::mem::take(&mut self.sampling.statuses) {
            let status = Box::new(self.report(now, sample, service));
            out.push(Effect::Reply { token, reply: Reply::Status(status) });
        }
        for drain in std::mem::take(&mut self.sampling.drains) {
            self.look_at_drain(now, sample, drain, out);
        }
        let waits = !self.sampling.drains.is_empty() && self.phase == Phase::Running;
        let deadline = self.sampling.drains.iter().filter_map(|drain| drain.deadline).min();
        let again_at = deadline.map_or(now + IDLE_EVERY, |at| at.min(now + IDLE_EVERY));
        self.sampling.again_at = waits.then_some(again_at);
    }

    pub(crate) fn sample_again(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        if self.sampling.again_at.is_some_and(|at| at <= now) {
            self.sampling.again_at = None;
            self.sample(out);
        }
    }

    fn look_at_drain(&mut self, now: Instant, sample: &Sample, drain: IdleDrain, out: &mut Outbox<Effect>) {
        let IdleDrain { token, service: key, address, since, before, keep, deadline } = drain;
        let server = self.services.get(&key).and_then(|service| Some((service, service.server(&address)?)));
        let Some((service, server)) = server.filter(|(_, server)| server.asked.drained) else {
            let refusal = Refusal::new(RefusalCode::Failed, "the drain was ended before the last connection was gone");
            tell(token, Reply::Refused(refusal), out);
            return;
        };
        let counters = sample.services.get(&key).and_then(|service| service.real_servers.get(&address));
        // Closing TCP connections need their real server no more; every UDP one counts as inactive.
        let left = counters.map_or(0, |counters| match key.protocol() {
            Some(Protocol::Tcp | Protocol::Sctp) => counters.active,
            Some(Protocol::Udp) | None => counters.active.saturating_add(counters.inactive),
        });
        let late = deadline.is_some_and(|at| at <= now);
        if left > keep && !late {
            self.sampling.drains.push(drain);
        } else if deadline.is_some() {
            out.push(Effect::Flush { service: key, real_server: address });
            self.sampling.flushing.push((drain, left > keep));
        } else {
            let after_s = (before + (now - since)).as_secs();
            let (service, server) = (service.name.clone(), server.name.to_string());
            let event = Event::DrainedIdle { service, server, after_s, left: left.into() };
            tell(token, Reply::Done { message: event.to_string() }, out);
            out.push(Effect::Event(event));
        }
    }

    /// The connections that drains had left are ended, or could not be.
    pub(crate) fn flushed(
        &mut self,
        now: Instant,
        place: (ServiceKey, SocketAddr),
        outcome: Result<u64, String>,
        out: &mut Outbox<Effect>,
    ) {
        let flushing = std::mem::take(&mut self.sampling.flushing);
        let (mine, others) = flushing.into_iter().partition(|(drain, _)| (drain.service, drain.address) == place);
        self.sampling.flushing = others;
        if self.book.has_ended(place.0, place.1) {
            out.push(Effect::Persist(self.book.store(now)));
        }
        for (IdleDrain { token, service: key, address, since, before, .. }, late) in mine {
            let (service, server) = self.names(key, address);
            let reply = match &outcome {
                Ok(ended) => {
                    let after_s = (before + (now - since)).as_secs();
                    let event = Event::DrainEnded { service, server, after_s, ended: *ended, late };
                    let message = event.to_string();
                    out.push(Effect::Event(event));
                    Reply::Done { message }
                }
                Err(why) => {
                    let message = format!("the connections of {service}/{server} could not be ended: {why}");
                    Reply::Refused(Refusal::new(RefusalCode::Failed, message).hint("it drains still"))
                }
            };
            tell(token, reply, out);
        }
    }

    /// Drains whose last connections were to be ended go on; nobody waits for an answer any more.
    pub(crate) fn resume_drains(&mut self, now: Instant) {
        let resumed = self.book.endings().take(WAITING).map(|(service, address, ending)| {
            let Ending { at, keep, since, before } = ending;
            IdleDrain { token: None, service, address, since, before, keep, deadline: Some(at) }
        });
        self.sampling.drains.extend(resumed);
        if !self.sampling.drains.is_empty() {
            self.sampling.again_at = Some(now + IDLE_EVERY);
        }
    }

    fn drain(
        &mut self,
        now: Instant,
        token: Token,
        text: &str,
        order: DrainOrder,
        out: &mut Outbox<Effect>,
    ) -> Outcome {
        let (key, address, asked) = self.find_asked(text)?;
        let over_at = order.for_s.map(|s| now + Duration::from_secs(s));
        let deadline = order.deadline_s.map(|s| now + Duration::from_secs(s));
        let end = |at| Ending { at, keep: order.keep, since: now, before: Duration::ZERO };
        let until = Until { over_at, end: deadline.map(end) };
        if order.until_idle && self.sampling.drains.len() >= WAITING {
            return Err(Refusal::new(RefusalCode::Busy, "too many drains wait for their last connection"));
        }
        let mut wanted = Asked { drained: true, ..asked };
        // The data plane shows the next daemon a weight of 0; no file would tell it another.
        let server = self.services.get(&key).and_then(|service| service.server(&address));
        if let Some(server) = server.filter(|server| server.watch == Slot::NONE) {
            wanted.weight = Some(server.full_weight());
        }
        self.guard(key, address, wanted, order.force)?;
        self.book.forget_end(key, address);
        self.change(now, key, address, wanted, until, out)?;
        let (service, server) = self.names(key, address);
        let event = Event::Drained { service, server, for_s: order.for_s };
        if order.until_idle {
            let (token, before) = (Some(token), Duration::ZERO);
            let drain = IdleDrain { token, service: key, address, since: now, before, keep: order.keep, deadline };
            self.sampling.drains.push(drain);
            self.sampling.again_at = self.sampling.again_at.or(Some(now + IDLE_EVERY));
            self.program.hold(After::Service(key), Effect::Event(event));
        } else {
            self.answer(token, key, event);
        }
        Ok(())
    }

    fn undrain(&mut self, now: Instant, token: Token, text: &str, out: &mut Outbox<Effect>) -> Outcome {
        let (key, address, asked) = self.find_asked(text)?;
        if !asked.drained {
            return Err(Refusal::new(RefusalCode::Failed, format!("{text} is not drained")));
        }
        self.change(now, key, address, Asked { drained: false, ..asked }, Until::default(), out)?;
        let (service, server) = self.names(key, address);
        let event = Event::Undrained { service, server, expired: false };
        self.answer(token, key, event);
        Ok(())
    }

    fn reweigh(
        &mut self,
        now: Instant,
        token: Token,
        text: &str,
        weight: Option<u32>,
        force: bool,
        out: &mut Outbox<Effect>,
    ) -> Outcome {
        let (key, address, asked) = self.find_asked(text)?;
        let above = || Refusal::new(RefusalCode::BadRequest, format!("weight is above {}", Weight::MAX));
        let weight = weight.map(|number| Weight::new(number).ok_or_else(above)).transpose()?;
        let Some(server) = self.services.get(&key).and_then(|service| service.server(&address)) else { return Ok(()) };
        let (from, configured) = (server.full_weight().get(), server.weight);
        // The file's own weight is asked for: nothing has to be kept over what the file says.
        let asked_weight = weight.filter(|weight| *weight != configured);
        let wanted = Asked { weight: asked_weight, ..asked };
        self.guard(key, address, wanted, force)?;
        self.change(now, key, address, wanted, Until::default(), out)?;
        let to = weight.unwrap_or(configured).get();
        let as_configured = asked_weight.is_none();
        let (service, server) = self.names(key, address);
        let event = Event::WeightSet { service, server, from, to, as_configured };
        self.answer(token, key, event);
        Ok(())
    }

    fn set_disabled(
        &mut self,
        now: Instant,
        token: Token,
        text: &str,
        disabled: bool,
        force: bool,
        out: &mut Outbox<Effect>,
    ) -> Outcome {
        match self.find_target(text)? {
            Target::Server(key, address) => {
                self.guard_client(disabled, key, Some(address))?;
                let asked = self.book.asked(key, Some(address));
                let wanted = Asked { disabled, ..asked };
                self.guard(key, address, wanted, force)?;
                self.change(now, key, address, wanted, Until::default(), out)?;
                let (service, server) = self.names(key, address);
                let server = Some(server);
                let event =
                    if disabled { Event::Disabled { service, server } } else { Event::Enabled { service, server } };
                self.answer(token, key, event);
            }
            Target::Service(key) => {
                self.guard_client(disabled, key, None)?;
                self.guard_service(key, disabled && !force)?;
                if !self.book.write(key, None, Asked { disabled, ..Asked::default() }, Until::default()) {
                    return Err(book_full());
                }
                out.push(Effect::Persist(self.book.store(now)));
                let Some(service) = self.services.get_mut(&key) else { return Ok(()) };
                service.disabled = disabled;
                let (service, server) = (service.name.clone(), None);
                let event =
                    if disabled { Event::Disabled { service, server } } else { Event::Enabled { service, server } };
                self.reconsider(now, key);
                self.answer(token, key, event);
            }
        }
        Ok(())
    }

    /// Refuses what would leave a service, that has some, without a real server to take connections.
    fn guard(&mut self, key: ServiceKey, address: SocketAddr, wanted: Asked, force: bool) -> Outcome {
        let Some(service) = self.services.get_mut(&key).filter(|_| !force) else { return Ok(()) };
        let before = self.book.asked(key, Some(address));
        let served = service.is_served(&self.watches);
        ask(service, address, wanted);
        let still = service.is_served(&self.watches);
        ask(service, address, before);
        if !served || still {
            return Ok(());
        }
        let then = match &service.fallback {
            Some(fallback) => format!("the fallback {} would answer", fallback.address),
            None => "nothing would answer".to_owned(),
        };
        let message = format!("{} would have no real server left: {then}", service.name);
        Err(Refusal::new(RefusalCode::WouldBreak, message).hint("--force does it all the same"))
    }

    /// Refuses to disable what a client made: out of the table nobody would remember it after a restart.
    fn guard_client(&self, guarded: bool, key: ServiceKey, address: Option<SocketAddr>) -> Outcome {
        let Some(service) = self.services.get(&key).filter(|_| guarded) else { return Ok(()) };
        let by_edit = match address {
            Some(address) => service.server(&address).is_some_and(|server| server.watch == Slot::NONE),
            None => service.is_by_edit(),
        };
        if !by_edit {
            return Ok(());
        }
        let message = "no file names it: a client added it to the table";
        Err(Refusal::new(RefusalCode::Failed, message).hint("drain it, or remove it as it was added"))
    }

    /// Refuses to take out a whole service that somebody answers for.
    fn guard_service(&self, key: ServiceKey, guarded: bool) -> Outcome {
        let Some(service) = self.services.get(&key).filter(|service| guarded && !service.disabled) else {
            return Ok(());
        };
        if service.fallback.is_none() && !service.is_served(&self.watches) {
            return Ok(());
        }
        let neither = if service.fallback.is_some() { ", nor would the fallback" } else { "" };
        let message = format!("{} would be out of the table: no real server of it would answer{neither}", service.name);
        Err(Refusal::new(RefusalCode::WouldBreak, message).hint("--force does it all the same"))
    }

    /// Writes what is asked for into the book and brings the service up to date.
    fn change(
        &mut self,
        now: Instant,
        key: ServiceKey,
        address: SocketAddr,
        wanted: Asked,
        until: Until,
        out: &mut Outbox<Effect>,
    ) -> Outcome {
        if !self.book.write(key, Some(address), wanted, until) {
            return Err(book_full());
        }
        out.push(Effect::Persist(self.book.store(now)));
        if let Some(service) = self.services.get_mut(&key) {
            ask(service, address, wanted);
        }
        self.reconsider(now, key);
        Ok(())
    }

    /// Tells the event, and answers with it, once it is true.
    fn answer(&mut self, token: Token, key: ServiceKey, event: Event) {
        let reply = Reply::Done { message: event.to_string() };
        self.program.hold(After::Service(key), Effect::Reply { token, reply });
        self.program.hold(After::Service(key), Effect::Event(event));
    }

    /// Drains whose time is over.
    pub(crate) fn expire_drains(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        let over = self.book.expire(now);
        if over.is_empty() {
            return;
        }
        for (key, address) in over {
            let asked = self.book.asked(key, Some(address));
            let Some(service) = self.services.get_mut(&key) else { continue };
            ask(service, address, asked);
            if service.server(&address).is_some() {
                let (service, server) = self.names(key, address);
                let event = Event::Undrained { service, server, expired: true };
                self.reconsider(now, key);
                self.program.hold(After::Service(key), Effect::Event(event));
            }
        }
        out.push(Effect::Persist(self.book.store(now)));
    }

    fn names(&self, key: ServiceKey, address: SocketAddr) -> (String, String) {
        let service = self.services.get(&key);
        let server = service.and_then(|service| service.server(&address));
        let name = service.map_or_else(|| key.to_string(), |service| service.name.clone());
        (name, server.map_or_else(|| address.to_string(), |server| server.name.to_string()))
    }

    fn find_asked(&self, text: &str) -> Result<(ServiceKey, SocketAddr, Asked), Refusal> {
        let (key, address) = self.find_server(text)?;
        Ok((key, address, self.book.asked(key, Some(address))))
    }
}

/// Answers, where somebody waits.
fn tell(token: Option<Token>, reply: Reply, out: &mut Outbox<Effect>) {
    if let Some(token) = token {
        out.push(Effect::Reply { token, reply });
    }
}

struct DrainOrder {
    for_s: Option<u64>,
    until_idle: bool,
    deadline_s: Option<u64>,
    keep: u32,
    force: bool,
}

fn book_full() -> Refusal {
    Refusal::new(RefusalCode::Busy, format!("there are {} overrides already", crate::book::ENTRIES))
}
