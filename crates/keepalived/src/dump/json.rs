//! `keepalived.json`: one list on one line, `/` written as `\/`.

use super::{Dump, Standing, command, instance, stats::Counters};
use evenkeel_model::vrrp::{Authentication, Preempt};
use std::fmt::{Display, Write};

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Object {
        Object("{".to_owned())
    }

    /// A member whose value is JSON already.
    fn raw(&mut self, name: &str, value: impl Display) {
        let comma = if self.0.ends_with('{') { "" } else { "," };
        // A String takes whatever is written to it.
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, quoted(value));
    }

    fn list(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            self.raw(name, format_args!("[{}]", values.join(",")));
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '/' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn text(dump: &Dump<'_>) -> String {
    let one = |standing: &Standing<'_>| {
        let mut object = Object::new();
        object.raw("data", data(dump, standing));
        object.raw("stats", stats(&Counters::from(&standing.statistics)));
        object.end()
    };
    let all: Vec<String> = dump.instances.iter().map(one).collect();
    format!("[{}]", all.join(","))
}

fn data(dump: &Dump<'_>, standing: &Standing<'_>) -> String {
    let instance = standing.instance;
    let facts = instance::Facts::of(dump, standing);
    let mut o = Object::new();
    o.text("iname", &instance.name);
    o.raw("dont_track_primary", u8::from(facts.switch("dont_track_primary")));
    o.raw("skip_check_adv_addr", u8::from(facts.skips_address_check));
    o.raw("strict_mode", u8::from(facts.strict));
    o.text("vmac_ifname", facts.virtual_interface.as_deref().unwrap_or_default());
    o.text("ifp_ifname", facts.speaks_on());
    o.raw("master_priority", facts.master.map_or(0, |master| master.priority));
    o.raw("last_transition", format_args!("{}.{:06}", standing.since.as_secs(), standing.since.subsec_micros()));
    o.raw("garp_delay", instance.rounds.again_after.as_secs_f64());
    o.raw("garp_refresh", instance.rounds.refresh.as_secs());
    o.raw("garp_rep", instance.rounds.burst);
    o.raw("garp_refresh_rep", instance.rounds.refresh_burst);
    o.raw("garp_lower_prio_delay", instance.rounds.contested_again_after.as_secs());
    o.raw("garp_lower_prio_rep", instance.rounds.contested_burst);
    o.raw("lower_prio_no_advert", u8::from(!instance.answer_lower));
    o.raw("higher_prio_send_advert", u8::from(facts.higher_send_advert));
    o.raw("vrid", instance.vrid.get());
    o.raw("base_priority", instance.priority.get());
    o.raw("effective_priority", standing.priority);
    o.raw("vipset", standing.holds);
    o.raw("promote_secondaries", facts.switch("promote_secondaries"));
    o.raw("adver_int", instance.interval.get().as_secs_f64());
    o.raw("master_adver_int", facts.master_interval().as_secs_f64());
    o.raw("accept", u8::from(facts.accepts));
    o.raw("nopreempt", instance.preempt == Preempt::No);
    o.raw("preempt_delay", facts.preempt_delay().as_secs());
    o.raw("state", standing.state as u8);
    o.raw("wantstate", facts.wanted() as u8);
    o.raw("version", instance.version.number());
    o.raw("smtp_alert", facts.mails);
    o.raw("notify_deleted", facts.notifies_deleted());
    for (name, keyword) in [
        ("script_backup", "notify_backup"),
        ("script_master", "notify_master"),
        ("script_fault", "notify_fault"),
        ("script_stop", "notify_stop"),
        ("script_deleted", "notify_deleted"),
        ("script", "notify"),
        ("script_master_rx_lower_pri", "notify_master_rx_lower_pri"),
    ] {
        if let Some(notify) = facts.notify(keyword) {
            o.text(name, &command(&notify.command.value));
        }
    }
    o.list("vips", &facts.addresses());
    o.list("evips", &facts.excluded());
    o.list("vroutes", &facts.routes());
    o.list("vrules", &facts.rules());
    o.list("track_ifp", &facts.tracked(|tracks| &tracks.interfaces));
    o.list("track_script", &facts.tracked_commands(dump));
    let kind = match instance.authentication {
        Authentication::None => 0,
        Authentication::Password(_) => 1,
        Authentication::Header(_) => 2,
    };
    o.raw("auth_type", kind);
    if kind != 0 {
        o.text("auth_data", instance::MASK);
    }
    o.end()
}

fn stats(counters: &Counters) -> String {
    let mut o = Object::new();
    for (name, value) in [
        ("advert_rcvd", counters.received),
        ("advert_sent", counters.sent),
        ("become_master", counters.became_master),
        ("release_master", counters.released_master),
        ("packet_len_err", counters.length),
        ("advert_interval_err", counters.interval),
        ("ip_ttl_err", counters.hops),
        ("invalid_type_rcvd", counters.kind),
        ("addr_list_err", counters.addresses),
        ("invalid_authtype", counters.unknown_authentication),
        ("authtype_mismatch", counters.other_authentication),
        ("auth_failure", counters.authentication),
        ("pri_zero_rcvd", counters.farewells_received),
        ("pri_zero_sent", counters.farewells_sent),
    ] {
        o.raw(name, value);
    }
    o.end()
}
