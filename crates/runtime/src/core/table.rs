//! The table and the connections for clients: what only reads is answered here, edits are the engine's.

use super::{Core, count};
use crate::control::{Part, Parts, Task};
use crate::doors::Look;
use evenkeel_api::{
    Event, Refusal, RefusalCode, Reply, Severity,
    table::{ConnectionEntry, ConnectionFilter, Edit, Key},
};
use evenkeel_dataplane as dataplane;
use evenkeel_engine::{EditOrder, Followed, Input, Operation, Tally, Token, model_key};
use evenkeel_model::ServiceKey;
use std::{collections::BTreeSet, io};

impl Core {
    /// A client edits the table.
    pub(crate) fn edit(&mut self, token: Token, edits: Vec<Edit>, atomic: bool) {
        let address = |edit: &Edit| match edit {
            Edit::AddServer(_, address, _) | Edit::EditServer(_, address, _) => Some(address.ip()),
            Edit::AddService(..)
            | Edit::EditService(..)
            | Edit::RemoveService(_)
            | Edit::Clear {}
            | Edit::RemoveServer(..)
            | Edit::Zero(_)
            | Edit::Timeouts { .. } => None,
        };
        let own = self.network.own_of(&edits.iter().filter_map(address).collect::<BTreeSet<_>>());
        self.tell(Input::Edit(EditOrder { token, edits, atomic, own }));
        if self.learned.is_none() {
            self.look_at_marks();
        }
    }

    /// The table, or one service of it.
    pub(crate) fn table(&mut self, only: Option<&Key>) -> Reply {
        let key = match only.map(model_key).transpose() {
            Ok(key) => key,
            Err(why) => return Reply::Refused(Refusal::new(RefusalCode::Unknown, why)),
        };
        let mut tally = Tally { connections: self.path.capabilities().connections.into(), ..Tally::default() };
        let read = count(self.path.as_mut(), key.as_ref(), &mut tally.services)
            .and_then(|()| self.path.timeouts().map(|timeouts| tally.timeouts = timeouts));
        if let Err(e) = read {
            let why = format!("the data plane's counters could not be read: {e}");
            return Reply::Refused(Refusal::new(RefusalCode::Failed, why));
        }
        match self.engine.table(key.as_ref(), &tally, &self.rates) {
            Some(table) => Reply::Table(Box::new(table)),
            None => Reply::Refused(Refusal::new(RefusalCode::Unknown, "there is no such service")),
        }
    }

    /// A part of the connections. The client asks for the next when it has read this one.
    pub(crate) fn connections(&mut self, parts: Parts) {
        let Parts { filter, from, task, reply } = parts;
        let part = plane_filter(&filter).and_then(|filter| {
            let part = match task {
                Task::End => {
                    if from == 0 {
                        self.cut_relayed(&filter);
                    }
                    self.path.flush_part(&filter, from).map(|(count, next)| Part { count, next, ..Part::default() })
                }
                Task::List | Task::Count => self.part(&filter, from, task == Task::List),
            };
            part.map_err(|e| Refusal::new(RefusalCode::Failed, format!("the connections cannot be reached: {e}")))
        });
        // Gone when the client has hung up.
        let _ = reply.send(part);
    }

    fn part(&mut self, filter: &dataplane::ConnectionFilter, from: u64, listed: bool) -> io::Result<Part> {
        let mut part = Part::default();
        let engine = &self.engine;
        // Most connections in a row are of the same service.
        let mut last: Option<(ServiceKey, String)> = None;
        part.next = self.path.connections(filter, from, &mut |connection| {
            part.count += 1;
            if listed {
                let name = match &last {
                    Some((key, name)) if *key == connection.service => name.clone(),
                    Some(_) | None => engine.service_name(&connection.service),
                };
                last = Some((connection.service, name.clone()));
                part.entries.push(entry(&connection, name));
            }
            true
        })?;
        Ok(part)
    }

    /// Connections were ended for a client: the sentence that tells it.
    pub(crate) fn ended(&mut self, filter: &ConnectionFilter, ended: u64) -> String {
        let event = Event::Flushed { which: self.which(filter), ended };
        let message = event.to_string();
        self.tell(Input::Tell(event));
        message
    }

    /// `of web to 192.0.2.2:80 from 198.51.100.7`.
    fn which(&self, filter: &ConnectionFilter) -> String {
        let place = |address: std::net::SocketAddr| match address.port() {
            0 => address.ip().to_string(),
            _ => address.to_string(),
        };
        let service = filter.service.and_then(|key| model_key(&key).ok()).map(|key| self.engine.service_name(&key));
        let mut words = vec![format!("of {}", service.as_deref().unwrap_or("all services"))];
        words.extend(filter.real_server.map(|server| format!("to {}", place(server))));
        words.extend(filter.client.map(|client| format!("from {}", place(client))));
        words.join(" ")
    }

    pub(crate) fn operate(&mut self, operation: &Operation) -> io::Result<()> {
        match operation {
            Operation::Zero(service) => {
                self.path.zero(service.as_ref())?;
                self.rates.zero(service.as_ref());
                Ok(())
            }
            Operation::Timeouts(timeouts) => self.path.set_timeouts(timeouts),
        }
    }

    /// Every two seconds.
    pub(crate) fn estimate(&mut self) -> io::Result<()> {
        let rates = &mut self.rates;
        rates.begin();
        let counted = self.path.counters(&mut |key, server, counters| rates.count(key, server, &counters));
        if counted.is_ok() {
            rates.end();
        }
        counted
    }

    /// What clients made or removed: ways are followed, doors opened, before it is in force.
    pub(crate) fn follow_edits(&mut self, more: &[Followed], less: &[Followed]) {
        let gone = self.follows.less(less);
        let new = self.follows.more(more);
        for ip in &gone.servers {
            self.network.forget(*ip);
        }
        for destination in &gone.destinations {
            self.doors.remove(destination);
        }
        self.network.virtual_addresses(&gone.destinations, false);
        for ip in &new.servers {
            self.network.want(*ip);
        }
        self.network.virtual_addresses(&new.destinations, true);
        let mut open = true;
        for destination in &new.destinations {
            open &= self.doors.add(*destination, &self.host);
        }
        self.resolve();
        let translated = !(new.translated.is_empty() && gone.translated.is_empty());
        if translated {
            self.forward();
            open &= !self.answers_changed();
        }
        if !open {
            self.settle(Look::New);
        }
    }

    /// Has the kernel forward where answers of real servers need it, and know the gateways they may leave by.
    pub(crate) fn forward(&mut self) {
        // A table in memory has no answers.
        if self.path.kind() != "ebpf" {
            return;
        }
        let (ipv4, ipv6) =
            (self.follows.translated().any(|ip| ip.is_ipv4()), self.follows.translated().any(|ip| ip.is_ipv6()));
        self.network.keep_gateways([ipv4, ipv6]);
        for text in self.forwarding.want(ipv4, ipv6) {
            self.say(Severity::Warning, &text);
        }
    }

    /// Looks by which interfaces the answers of translated real servers come in; whether others than before.
    pub(crate) fn answers_changed(&mut self) -> bool {
        let answers = self.network.ways_to(self.follows.translated());
        self.doors.answer_by(answers)
    }
}

fn plane_filter(filter: &ConnectionFilter) -> Result<dataplane::ConnectionFilter, Refusal> {
    let ConnectionFilter { service, real_server, client } = *filter;
    let service = service.as_ref().map(model_key).transpose();
    let service = service.map_err(|why| Refusal::new(RefusalCode::BadRequest, why))?;
    Ok(dataplane::ConnectionFilter { service, real_server, client })
}

fn entry(connection: &dataplane::Connection, service: String) -> ConnectionEntry {
    ConnectionEntry {
        protocol: connection.protocol,
        client: connection.client,
        virtual_address: connection.virtual_address,
        real_server: connection.real_server,
        translated_client: connection.translated_client,
        state: connection.state.to_owned(),
        expires_s: connection.expires_s,
        template: connection.is_template,
        engine: None,
        service,
    }
}
