//! The JSON of nft(8), schema version 1 (libnftables-json(5)).

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use super::{
    Action, Chain, ChainKey, Condition, End, Entry, Rule, Rules, RulesError, Subject, Values,
    condition::{cast, number, state},
};

/// Members of the named sets, by family, table and name.
type Sets<'a> = BTreeMap<ChainKey, &'a Value>;

pub(super) fn read(text: &str) -> Result<Rules, RulesError> {
    let root: Value = serde_json::from_str(text).map_err(|e| RulesError(format!("nft's JSON is broken: {e}")))?;
    let objects = root.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or_else(|| RulesError("nft's JSON has no list `nftables`".to_owned()))?;
    let mut rules = Rules::default();
    let mut sets = Sets::new();
    for (kind, object) in objects.iter().filter_map(|object| object.as_object()?.iter().next()) {
        match kind.as_str() {
            "chain" => drop(rules.chains.insert(key(object, "name"), chain(object))),
            "set" | "map" => drop(sets.insert(key(object, "name"), object.get("elem").unwrap_or(&Value::Null))),
            _ => {}
        }
    }
    for object in objects.iter().filter_map(|object| object.get("rule")) {
        let key = key(object, "chain");
        let fresh = rule(object, &key, &sets);
        rules.chains.entry(key).or_default().rules.extend(fresh);
    }
    Ok(rules)
}

pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn key(object: &Value, name: &str) -> ChainKey {
    (text(object, "family").to_owned(), text(object, "table").to_owned(), text(object, name).to_owned())
}

fn chain(object: &Value) -> Chain {
    let family = matches!(text(object, "family"), "ip" | "ip6" | "inet" | "netdev");
    let filters = family && text(object, "type") == "filter" && text(object, "dev") != "lo";
    let entry = match text(object, "hook") {
        "prerouting" | "ingress" => Some(Entry::Both),
        "input" => Some(Entry::Input),
        "forward" => Some(Entry::Forward),
        _ => None,
    };
    let drops_by_default = text(object, "policy") == "drop";
    Chain { entry: entry.filter(|_| filters), drops_by_default, devices: strings(object.get("dev")), rules: Vec::new() }
}

/// One rule; a verdict map makes one of each of its entries.
fn rule(object: &Value, key: &ChainKey, sets: &Sets<'_>) -> Vec<Rule> {
    let number = object.get("handle").and_then(Value::as_u64).unwrap_or(0);
    let parts = object.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut written: Vec<String> = parts.iter().map(write).collect();
    if let Some(comment) = object.get("comment").and_then(Value::as_str) {
        written.push(format!("comment {comment:?}"));
    }
    let text = written.join(" ");
    let mut conditions = Vec::new();
    let mut found = Vec::new();
    for (kind, value) in parts.iter().filter_map(|part| part.as_object()?.iter().next()) {
        if let Some(action) = action(kind, value) {
            found.push(Rule { number, text: text.clone(), conditions: conditions.clone(), action });
            continue;
        }
        match kind.as_str() {
            "match" => conditions.push(condition(value, key, sets)),
            "vmap" => found.extend(verdict_map(value, key, sets).into_iter().map(|(condition, action)| {
                let conditions = conditions.iter().cloned().chain([condition]).collect();
                Rule { number, text: text.clone(), conditions, action }
            })),
            "counter" | "log" | "mangle" | "notrack" | "set" | "flow" => {}
            // A limit, an extension of iptables, or something newer than this program.
            _ => conditions.push(Condition::new(Subject::Unknown)),
        }
    }
    found
}

fn action(kind: &str, value: &Value) -> Option<Action> {
    let target = || text(value, "target").to_owned();
    match kind {
        "drop" | "reject" => Some(Action::Drop),
        "queue" => Some(Action::Queue),
        "accept" => Some(Action::Accept),
        "return" => Some(Action::Return),
        "jump" => Some(Action::Jump(target())),
        "goto" => Some(Action::Goto(target())),
        "xt" if text(value, "type") == "target" => Some(match text(value, "name") {
            "REJECT" | "DROP" | "TARPIT" => Action::Drop,
            "NFQUEUE" | "QUEUE" => Action::Queue,
            _ => Action::Nothing,
        }),
        _ => None,
    }
}

fn verdict_map(value: &Value, key: &ChainKey, sets: &Sets<'_>) -> Vec<(Condition, Action)> {
    let data = value.get("data").unwrap_or(&Value::Null);
    let (entries, open) = match data.as_str().and_then(|name| name.strip_prefix('@')) {
        Some(name) => (sets.get(&(key.0.clone(), key.1.clone(), name.to_owned())).copied(), true),
        None => (data.get("set"), false),
    };
    let left = value.get("key").unwrap_or(&Value::Null);
    let mut found = Vec::new();
    for entry in entries.and_then(Value::as_array).into_iter().flatten() {
        let (Some(right), Some(verdict)) = (entry.get(0), entry.get(1).and_then(Value::as_object)) else { continue };
        let Some(action) = verdict.iter().next().and_then(|(kind, value)| action(kind, value)) else { continue };
        let subject = subject(left, right, key, sets);
        found.push((Condition::new(subject), action));
    }
    if open {
        // A named map may get other entries at any time.
        found.push((Condition::new(Subject::Unknown), Action::Nothing));
    }
    found
}

fn condition(value: &Value, key: &ChainKey, sets: &Sets<'_>) -> Condition {
    let (left, right) = (value.get("left").unwrap_or(&Value::Null), value.get("right").unwrap_or(&Value::Null));
    let operator = text(value, "op");
    let subject = subject(left, right, key, sets);
    match (operator, subject) {
        ("==" | "in" | "", subject) => Condition::new(subject),
        ("!=", subject) => Condition { subject, negated: true },
        ("<" | ">" | "<=" | ">=", Subject::Port(protocol, end, values)) => {
            Condition::new(Subject::Port(protocol, end, compared(operator, &values)))
        }
        (_, _) => Condition::new(Subject::Unknown),
    }
}

fn compared(operator: &str, values: &Values) -> Values {
    let Some(&(bound, _)) = values.ranges.first() else { return Values { open: true, ..Values::default() } };
    let range = match operator {
        "<" => (bound > 0).then(|| (0, bound - 1)),
        "<=" => Some((0, bound)),
        ">" => Some((bound + 1, 0xffff)),
        _ => Some((bound, 0xffff)),
    };
    Values { ranges: range.into_iter().filter(|(low, high)| low <= high).collect(), ..Values::default() }
}

/// What is compared, and with what.
fn subject(left: &Value, right: &Value, key: &ChainKey, sets: &Sets<'_>) -> Subject {
    let values = |read: &dyn Fn(&Value) -> Option<(u128, u128)>| read_values(right, key, sets, read);
    let none = || Values::default();
    if let Some(payload) = left.get("payload") {
        return match (text(payload, "protocol"), text(payload, "field")) {
            (family @ ("ip" | "ip6"), "daddr") => {
                Subject::Address(End::Destination, Values { ipv4: family == "ip", ..values(&address) })
            }
            (family @ ("ip" | "ip6"), "saddr") => {
                Subject::Address(End::Source, Values { ipv4: family == "ip", ..values(&address) })
            }
            ("ip", "protocol") | ("ip6", "nexthdr") => Subject::Protocol(values(&protocol)),
            ("ip", _) if key.0 != "ip" => Subject::Ipv4(true).or_unknown(),
            ("ip6", _) if key.0 != "ip6" => Subject::Ipv4(false).or_unknown(),
            ("ip" | "ip6", _) => Subject::Unknown,
            ("th", "dport") => Subject::Port(None, End::Destination, values(&port)),
            ("th", "sport") => Subject::Port(None, End::Source, values(&port)),
            (name, field) => match (protocol_number(name), field) {
                (Some(protocol @ (6 | 17)), "dport") => Subject::Port(Some(protocol), End::Destination, values(&port)),
                (Some(protocol @ (6 | 17)), "sport") => Subject::Port(Some(protocol), End::Source, values(&port)),
                // Another field of a header that a packet of the other protocol does not have.
                (Some(protocol), _) => Subject::Port(Some(protocol), End::Destination, Values { open: true, ..none() }),
                (None, _) => Subject::Unknown,
            },
        };
    }
    if let Some(tracked) = left.get("ct") {
        return match text(tracked, "key") {
            "state" => Subject::State(values(&|value| state(value.as_str()?))),
            "status" if right.as_str() == Some("dnat") => Subject::Astray,
            _ => Subject::Unknown,
        };
    }
    if let Some(fib) = left.get("fib") {
        return routed(fib, right, || values(&|value| cast(value.as_str()?)));
    }
    let Some(meta) = left.get("meta") else { return Subject::Unknown };
    match text(meta, "key") {
        "l4proto" => Subject::Protocol(values(&protocol)),
        "nfproto" | "protocol" => match right.as_str() {
            Some("ipv4" | "ip") => Subject::Ipv4(true),
            Some("ipv6" | "ip6") => Subject::Ipv4(false),
            _ => Subject::Unknown,
        },
        "iifname" | "iif" if right.as_str() == Some("lo") => Subject::FromLoopback,
        "iifname" | "iif" => {
            let written = right.get("set").unwrap_or(right);
            let names = strings(Some(written));
            // A named set may get others at any time.
            let known =
                names.len() == written.as_array().map_or(1, Vec::len) && !names.iter().any(|n| n.starts_with('@'));
            if known { Subject::Interface(names) } else { Subject::Unknown }
        }
        "pkttype" => Subject::Cast(values(&|value| cast(value.as_str()?))),
        _ => Subject::Unknown,
    }
}

/// What the routing table says of an address.
fn routed(fib: &Value, right: &Value, casts: impl FnOnce() -> Values) -> Subject {
    let of = |end: &str| strings(fib.get("flags")).iter().any(|flag| flag == end);
    let nowhere = right == &Value::Bool(false) || right.as_u64() == Some(0) || right.as_str() == Some("0");
    match text(fib, "result") {
        "type" if of("daddr") => Subject::Cast(casts()),
        "oif" | "oifname" if of("saddr") && nowhere => Subject::Astray,
        _ => Subject::Unknown,
    }
}

/// A text, or a list of them; what is no text is left out.
fn strings(value: Option<&Value>) -> Vec<String> {
    let single = value.and_then(Value::as_str).map(str::to_owned);
    let list = value.and_then(Value::as_array).into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned));
    single.into_iter().chain(list).collect()
}

impl Subject {
    /// A field of an IP header: the other family does not have it, of the own one nothing is known. Both are said by
    /// an open destination.
    fn or_unknown(self) -> Subject {
        match self {
            Subject::Ipv4(ipv4) => Subject::Address(End::Destination, Values { open: true, ipv4, ranges: Vec::new() }),
            other => other,
        }
    }
}

fn read_values(
    right: &Value,
    key: &ChainKey,
    sets: &Sets<'_>,
    read: &dyn Fn(&Value) -> Option<(u128, u128)>,
) -> Values {
    let named = right.as_str().and_then(|name| name.strip_prefix('@'));
    let (list, open) = match named {
        // What is in a named set counts; more may come at any time.
        Some(name) => (sets.get(&(key.0.clone(), key.1.clone(), name.to_owned())).copied(), true),
        None => (right.get("set"), false),
    };
    let single = std::slice::from_ref(right);
    let items = match list {
        Some(list) => list.as_array().map(Vec::as_slice).unwrap_or_default(),
        None if named.is_some() => &[],
        None => right.as_array().map_or(single, Vec::as_slice),
    };
    let mut values = Values { open, ..Values::default() };
    for item in items {
        let item = item.get("elem").and_then(|element| element.get("val")).unwrap_or(item);
        let range = item.get("range").and_then(Value::as_array);
        let found = match range.map(Vec::as_slice) {
            Some([low, high]) => read(low).zip(read(high)).map(|((low, _), (_, high))| (low, high)),
            Some(_) => None,
            None => read(item),
        };
        match found {
            Some(range) => values.ranges.push(range),
            None => values.open = true,
        }
    }
    values
}

fn address(value: &Value) -> Option<(u128, u128)> {
    if let Some(prefix) = value.get("prefix") {
        let address: IpAddr = text(prefix, "addr").parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = u32::try_from(prefix.get("len")?.as_u64()?).ok().filter(|length| *length <= bits)?;
        let host = 1u128.checked_shl(bits - length).map_or(u128::MAX, |n| n - 1);
        let first = number(address) & !host;
        return Some((first, first | host));
    }
    let number = number(value.as_str()?.parse().ok()?);
    Some((number, number))
}

fn port(value: &Value) -> Option<(u128, u128)> {
    let number = value.as_u64().filter(|n| *n <= 0xffff)?;
    Some((number.into(), number.into()))
}

fn protocol(value: &Value) -> Option<(u128, u128)> {
    let number = match value.as_u64() {
        Some(number) => u8::try_from(number).ok()?,
        None => protocol_number(value.as_str()?)?,
    };
    Some((number.into(), number.into()))
}

/// The number of an IP protocol by its name in rules.
pub(super) fn protocol_number(name: &str) -> Option<u8> {
    Some(match name {
        "icmp" => 1,
        "igmp" => 2,
        "ipencap" | "ipip" => 4,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6-icmp" | "icmpv6" => 58,
        "comp" | "ipcomp" => 108,
        "vrrp" => 112,
        "sctp" => 132,
        "udplite" => 136,
        other => return other.parse().ok(),
    })
}

/// An expression as a person would write it, nearly.
pub(super) fn write(part: &Value) -> String {
    let Some((kind, value)) = part.as_object().and_then(|object| object.iter().next()) else { return plain(part) };
    match kind.as_str() {
        "match" => {
            let operator = match text(value, "op") {
                "==" | "in" | "" => " ".to_owned(),
                other => format!(" {other} "),
            };
            let side = |name: &str| value.get(name).map(write).unwrap_or_default();
            format!("{}{operator}{}", side("left"), side("right"))
        }
        "payload" => format!("{} {}", text(value, "protocol"), text(value, "field")),
        "meta" if matches!(text(value, "key"), "iifname" | "iif" | "oifname" | "oif") => text(value, "key").to_owned(),
        "meta" | "ct" | "socket" => format!("{kind} {}", text(value, "key")),
        "prefix" => format!("{}/{}", text(value, "addr"), value.get("len").map(plain).unwrap_or_default()),
        "range" => list(value, "-"),
        "set" => format!("{{ {} }}", list(value, ", ")),
        "jump" | "goto" => format!("{kind} {}", text(value, "target")),
        "vmap" => {
            let side = |name: &str| value.get(name).map(write).unwrap_or_default();
            format!("{} vmap {}", side("key"), side("data"))
        }
        "xt" => text(value, "name").to_owned(),
        _ if value.is_null() || kind == "counter" => kind.clone(),
        _ => format!("{kind} {}", plain(value)),
    }
}

fn list(value: &Value, between: &str) -> String {
    let write_item = |item: &Value| match item.as_array() {
        Some(pair) => pair.iter().map(write).collect::<Vec<_>>().join(" : "),
        None => write(item),
    };
    value.as_array().map(|items| items.iter().map(write_item).collect::<Vec<_>>().join(between)).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) => list(value, ","),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} {}", write(value));
            fields.iter().map(field).collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
