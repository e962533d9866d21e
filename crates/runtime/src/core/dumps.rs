//! Signals ask for files about what runs.

use super::Core;
use crate::clock;
use evenkeel_api::Severity;
use evenkeel_engine::Tally;
use evenkeel_ha::{PROTOCOL, Report};
use evenkeel_keepalived::{Asked, Civil, Dump, Link, Programs, ScriptStanding, Socket, Standing, State};
use evenkeel_model::{Account, vrrp::Target};
use evenkeel_netlink::{LinkKind, Netlink};
use evenkeel_os::{Ids, LocalTime};
use evenkeel_vrrp::{Role, track};
use std::{collections::HashSet, net::IpAddr, time::Duration};

impl Core {
    /// A signal asks for files. Where elections are held they are written when the thread has told how those stand.
    pub(crate) fn dump(&mut self, asked: Asked) {
        let Some(dumps) = &mut self.dumps else { return };
        dumps.wait(asked);
        if !self.elections.ask(asked == Asked::StatsClear) {
            self.write_dumps(&[]);
        }
    }

    /// Writes what was asked for.
    pub(crate) fn write_dumps(&mut self, reports: &[Report]) {
        let Some(asked) = self.dumps.as_mut().map(crate::dumps::Dumps::take) else { return };
        let mut texts = Vec::new();
        for asked in asked {
            let about = asked == Asked::Data;
            texts.extend(self.with_dump(reports, about, |dump| match asked {
                Asked::Data => vec![
                    ("keepalived.data", "state_dump_file", dump.data()),
                    ("keepalived_parent.data", "", dump.parent()),
                    ("keepalived_check.data", "", dump.check()),
                ],
                Asked::Stats | Asked::StatsClear => vec![("keepalived.stats", "stats_dump_file", dump.stats())],
                Asked::Json => {
                    dump.json().into_iter().map(|text| ("keepalived.json", "json_dump_file", text)).collect()
                }
            }));
        }
        let Some(dumps) = &self.dumps else { return };
        let write = |(name, keyword, text): (&str, &str, String)| dumps.write(&dumps.path(name, keyword), &text).err();
        let refused: Vec<String> = texts.into_iter().flatten().filter_map(write).collect();
        for why in refused {
            self.say(Severity::Warning, &why);
        }
    }

    /// Shows `look` what there is; `whole`: with interfaces and real servers, which have to be asked for.
    fn with_dump<T>(&self, reports: &[Report], whole: bool, look: impl FnOnce(&Dump<'_>) -> T) -> Option<T> {
        let dumps = self.dumps.as_ref()?;
        let (now, wall) = (self.clock.now(), clock::wall());
        let standing = |report: &'_ Report| {
            let (instance, since, faults) = self.elections.known(&report.instance)?;
            let missing = u32::from(!report.link_works) + u32::from(report.source.is_none());
            Some(Standing {
                instance,
                state: state(report.role),
                priority: report.priority,
                source: report.source,
                holds: report.holds,
                faults: missing.max(u32::try_from(faults).unwrap_or(u32::MAX)),
                since: wall.saturating_sub(now - since),
                due: report.due_in.map(|due| wall + due),
                socket: report.socket.map(|socket| Socket { reads: socket.descriptor, writes: socket.descriptor }),
                statistics: report.statistics,
            })
        };
        let instances: Vec<Standing<'_>> = reports.iter().filter_map(standing).collect();
        let known = Tracked::of(self);
        let links = if whole { links() } else { Vec::new() };
        let alive: HashSet<_> = if whole { self.alive() } else { HashSet::new() };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Some(look(&Dump {
            host: &host,
            globals: &dumps.written.globals,
            written: &dumps.written.vrrp,
            instances: &instances,
            scripts: &known.scripts,
            files: &known.files,
            processes: &known.processes,
            links: &links,
            services: &dumps.services,
            notify: &dumps.notify,
            alive: &|service, server| alive.contains(&(service.key, server)),
            programs: &Accounts,
            local: &local,
            umask: dumps.umask(),
        }))
    }

    /// Real servers that take traffic.
    fn alive(&self) -> HashSet<(evenkeel_model::ServiceKey, std::net::SocketAddr)> {
        let table = self.engine.table(None, &Tally::default(), &self.rates);
        let services = table.into_iter().flat_map(|table| table.services);
        let serving = services.flat_map(|service| {
            let key = evenkeel_engine::model_key(&service.key);
            let servers = service.servers.into_iter().filter(|server| server.entry.weight > 0);
            servers.filter_map(move |server| Some((key.clone().ok()?, server.address)))
        });
        serving.collect()
    }
}

fn state(role: Role) -> State {
    match role {
        Role::Stopped => State::Init,
        Role::Backup => State::Backup,
        Role::Master | Role::Leaving => State::Master,
        Role::Fault => State::Fault,
    }
}

/// How what is tracked stands.
#[derive(Default)]
struct Tracked {
    scripts: Vec<ScriptStanding>,
    files: Vec<(String, i64)>,
    processes: Vec<(String, i64)>,
}

impl Tracked {
    fn of(core: &Core) -> Tracked {
        let mut all = Tracked::default();
        for (target, standing) in core.elections.tracked() {
            match (target, standing) {
                (Target::Script(name), standing) => all.scripts.push(core.script(name, standing)),
                (Target::File(name), track::Standing::Number(number)) => all.files.push((name.clone(), number)),
                (Target::Process(name), track::Standing::Up) => all.processes.push((name.clone(), 1)),
                (Target::File(_) | Target::Process(_) | Target::Interface(_) | Target::Bfd(_), _) => {}
            }
        }
        all
    }
}

impl Core {
    /// keepalived counts results in a row; here a script is as good or as bad as can be.
    fn script(&self, name: &str, standing: track::Standing) -> ScriptStanding {
        let scripts = self.dumps.iter().flat_map(|dumps| &dumps.written.vrrp.scripts);
        let written = scripts.into_iter().find(|script| script.name.value == name);
        let count = |number: Option<u32>| number.unwrap_or(1);
        let best = written.map_or(1, |script| {
            count(script.rise.map(|rise| rise.value)) + count(script.fall.map(|fall| fall.value)) - 1
        });
        ScriptStanding {
            name: name.to_owned(),
            result: if standing == track::Standing::Up { best } else { 0 },
            begins: standing == track::Standing::Unknown,
            running: false,
        }
    }
}

/// The interfaces of the host; none where they cannot be read.
fn links() -> Vec<Link> {
    let Ok(mut netlink) = Netlink::open() else { return Vec::new() };
    let (Ok(links), Ok(addresses)) = (netlink.links(), netlink.addresses()) else { return Vec::new() };
    let shown = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    let one = |link: evenkeel_netlink::Link| {
        let own = addresses.iter().filter(|address| address.ifindex == link.index);
        let own = own.filter(|address| address.protocol != Some(PROTOCOL)).map(|address| address.address);
        let loopback = link.kind == LinkKind::Loopback;
        Link {
            index: link.index,
            addresses: own.filter(shown).collect(),
            mac: link.mac.filter(|_| !loopback).map(|mac| mac.0),
            up: link.up,
            running: link.running,
            loopback,
            noarp: link.noarp && !loopback,
            mtu: link.mtu,
            name: link.name,
        }
    };
    let mut links: Vec<Link> = links.into_iter().map(one).collect();
    links.sort_by_key(|link| link.index);
    links
}

/// Users of this host.
struct Accounts;

impl Programs for Accounts {
    fn ids(&self, user: &[String]) -> (u32, u32) {
        let account = user.first().map(|name| Account { user: name.clone(), group: user.get(1).cloned() });
        let ids = Ids::of_script(account.as_ref()).unwrap_or_else(|_| Ids::own());
        (ids.uid, ids.gid)
    }
}

fn local(since_1970: Duration) -> Civil {
    let LocalTime { year, month, day, weekday, hour, minute, second } = LocalTime::of(since_1970.as_secs());
    Civil { year, month, day, weekday, hour, minute, second }
}
