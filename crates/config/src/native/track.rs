//! `[track.NAME]`, `[link.NAME]` and `[sync_group.NAME]`, and `track` of instances and groups.

use super::{
    notify::account,
    reader::{Keys, Table, Value, integer_of, quoted, string_of},
    units::duration_text,
    write::{line, list},
};
use crate::{codes, draft::Draft, host::shown};
use evenkeel_model::{
    Script,
    vrrp::{
        Elections, File, Initial, LinkDelays, ParameterMatch, Process, Quorum, ScriptRhythm, SyncGroup, Target, Track,
        Tracker,
    },
};
use evenkeel_source::{Diagnostic, Spanned};
use std::{collections::HashMap, time::Duration};
use toml::de::DeValue;

const TRACKER: Keys = Keys {
    of: "something tracked",
    known: &[
        "script",
        "shell",
        "user",
        "interval",
        "timeout",
        "rise",
        "fall",
        "begins_down",
        "file",
        "initial",
        "overwrite",
        "process",
        "parameters",
        "match",
        "whole_command",
        "least",
        "most",
        "fork_delay",
        "terminate_delay",
        "weight",
        "reverse",
    ],
    later: &[],
    instead: &[
        ("every", "write `interval`"),
        ("init_fail", "write begins_down = true"),
        ("quorum", "write `least`"),
        ("quorum_max", "write `most`"),
        ("interface", "interfaces need no entry: write track = [{ interface = \"eth1\" }]"),
    ],
};

/// Keys that only one kind has.
const OF_SCRIPTS: [&str; 7] = ["shell", "user", "interval", "timeout", "rise", "fall", "begins_down"];
const OF_FILES: [&str; 2] = ["initial", "overwrite"];
const OF_PROCESSES: [&str; 7] =
    ["parameters", "match", "whole_command", "least", "most", "fork_delay", "terminate_delay"];

const TRACK: Keys = Keys {
    of: "a track",
    known: &["name", "interface", "bfd", "weight", "reverse"],
    later: &[],
    instead: &[("script", "write name = \"...\", of a [track.NAME]"), ("dev", "write `interface`")],
};

const LINK: Keys = Keys { of: "an interface", known: &["down_delay", "up_delay"], later: &[], instead: &[] };
const GROUP: Keys = Keys { of: "a sync group", known: &["track"], later: &[], instead: &[] };

/// How parameters are compared.
#[derive(Clone, Copy)]
enum Comparison {
    Exact,
    Leading,
    Initial,
}

const COMPARISONS: [(&str, Comparison); 3] =
    [("exact", Comparison::Exact), ("leading", Comparison::Leading), ("initial", Comparison::Initial)];

/// The longest of its names, so that weights never add up to what no number holds.
const MOST_WEIGHT: i64 = 254;
const SHORTEST: Duration = Duration::from_micros(1);

/// What tracks can name, with the weight that counts where they say none.
#[derive(Default)]
pub(super) struct Known(HashMap<String, (Target, i32, bool)>);

/// Reads what can be tracked.
pub(super) fn trackers(root: &Table<'_>, draft: &mut Draft, out: &mut Vec<Diagnostic>) -> Known {
    let mut known = Known::default();
    if let Some(links) = root.table("link", out) {
        for (name, table) in links.tables(out) {
            table.only(&LINK, out);
            let mut time = |key| table.duration(key, Duration::ZERO, out).map_or(Duration::ZERO, |time| time.value);
            let delays = LinkDelays { down: time("down_delay"), up: time("up_delay") };
            draft.trackers.push(Tracker::Interface { name: name.value.to_owned(), delays });
        }
    }
    let Some(trackers) = root.table("track", out) else { return known };
    for (name, table) in trackers.tables(out) {
        if out.len() > crate::load::MOST_DIAGNOSTICS {
            break;
        }
        table.only(&TRACKER, out);
        let Some(tracker) = tracker(name, &table, out) else { continue };
        let usual = if matches!(tracker, Tracker::File(_)) { 1 } else { 0 };
        let weight = weight(&table, out).unwrap_or(usual);
        let reverse = table.boolean("reverse", out).is_some_and(|yes| yes.value);
        known.0.insert(name.value.to_owned(), (tracker.target(), weight, reverse));
        draft.trackers.push(tracker);
    }
    known
}

/// Reads sync groups.
pub(super) fn groups(root: &Table<'_>, known: &Known, draft: &mut Draft, out: &mut Vec<Diagnostic>) {
    let Some(groups) = root.table("sync_group", out) else { return };
    for (name, table) in groups.tables(out) {
        table.only(&GROUP, out);
        let tracks = tracks(&table, known, out);
        draft.groups.push(SyncGroup { name: name.value.to_owned(), tracks });
    }
}

fn tracker(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Tracker> {
    let kinds: Vec<&str> = ["script", "file", "process"].into_iter().filter(|kind| table.has(kind)).collect();
    let [kind] = kinds[..] else {
        let message = format!("`{}` is a script, a file or a process", shown(name.value));
        let d = Diagnostic::error(codes::MISSING_KEY, table.span, message);
        out.push(
            d.help("write one of script = [\"/usr/bin/pgrep\", \"nginx\"], file = \"/run/load\", process = \"nginx\""),
        );
        return None;
    };
    for (of, keys) in [("script", &OF_SCRIPTS[..]), ("file", &OF_FILES), ("process", &OF_PROCESSES)] {
        for key in keys.iter().filter(|key| of != kind && table.has(key)) {
            let span = table.key_span(key).unwrap_or(table.span);
            let message = format!("`{key}` is a key of a {of}, and this is a {kind}");
            out.push(Diagnostic::error(codes::CONFLICTING_KEYS, span, message));
        }
    }
    match kind {
        "script" => script(name, table, out),
        "file" => file(name, table, out).map(Tracker::File),
        _ => process(name, table, out).map(Tracker::Process),
    }
}

fn script(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Tracker> {
    let words = table.strings("script", out)?;
    let mut texts = words.value.into_iter().map(|word| word.value.to_owned());
    let Some(program) = texts.next().filter(|program| !program.is_empty()) else {
        out.push(Diagnostic::error(codes::MISSING_KEY, words.span, "the script has no name"));
        return None;
    };
    let yes = |key, out: &mut Vec<Diagnostic>| table.boolean(key, out).is_some_and(|yes| yes.value);
    let script = Script {
        program: program.into(),
        arguments: texts.collect(),
        environment: Vec::new(),
        shell: yes("shell", out),
        account: None,
        weighs: false,
    };
    let interval = table.duration("interval", SHORTEST, out).map_or(Duration::from_secs(1), |time| time.value);
    let rhythm = ScriptRhythm {
        interval,
        timeout: table.duration("timeout", SHORTEST, out).map_or(interval, |time| time.value),
        rise: table.integer("rise", 1..=u32::MAX, out).map_or(1, |number| number.value),
        fall: table.integer("fall", 1..=u32::MAX, out).map_or(1, |number| number.value),
        initially: if yes("begins_down", out) { Initial::Down } else { Initial::Unknown },
    };
    let account = table.string("user", out).and_then(|text| account(text, out));
    Some(Tracker::Script { name: name.value.to_owned(), script, account, rhythm })
}

fn file(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<File> {
    let path = table.string("file", out).filter(|text| super::not_empty("file", text, out))?;
    let initial = match table.get("initial") {
        None => None,
        Some(value) => {
            let number = integer_of(value, out)?;
            let fitting = i32::try_from(number).ok();
            if fitting.is_none() {
                out.push(Diagnostic::error(codes::VALUE, value.span, "the number has no 32 bits"));
            }
            fitting
        }
    };
    let overwrite = table.boolean("overwrite", out);
    if let (None, Some(overwrite)) = (initial, overwrite) {
        let d = Diagnostic::error(codes::MISSING_KEY, overwrite.span, "overwritten with what?");
        out.push(d.help("write initial = 0"));
    }
    let overwrite = overwrite.is_some_and(|yes| yes.value);
    Some(File { name: name.value.to_owned(), path: path.value.into(), initial, overwrite })
}

fn process(name: Spanned<&str>, table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<Process> {
    let program = table.string("process", out).filter(|text| super::not_empty("process", text, out))?;
    let texts = table.strings("parameters", out);
    let comparison = table.word("match", &COMPARISONS, out);
    if let (None, Some(comparison)) = (&texts, comparison) {
        let d = Diagnostic::error(codes::MISSING_KEY, comparison.span, "there are no parameters to compare");
        out.push(d.help("write parameters = [] where there must be none"));
    }
    let parameters = texts.map(|texts| {
        let texts = texts.value.into_iter().map(|text| text.value.to_owned()).collect();
        match comparison.map_or(Comparison::Exact, |word| word.value) {
            Comparison::Exact => ParameterMatch::Exact(texts),
            Comparison::Leading => ParameterMatch::Leading(texts),
            Comparison::Initial => ParameterMatch::Initial(texts),
        }
    });
    let most = table.integer("most", 0..=u32::MAX, out);
    let usual = if most.is_some_and(|most| most.value == 0) { 0 } else { 1 };
    let least = table.integer("least", 0..=u32::MAX, out).map_or(usual, |number| number.value);
    if let Some(most) = most.filter(|most| most.value < least) {
        let message = format!("at most {} of at least {least} processes can never be", most.value);
        out.push(Diagnostic::error(codes::VALUE, most.span, message));
    }
    let mut time = |key| table.duration(key, Duration::ZERO, out).map_or(Duration::ZERO, |time| time.value);
    let (fork_delay, terminate_delay) = (time("fork_delay"), time("terminate_delay"));
    let whole_command = table.boolean("whole_command", out).map_or(parameters.is_some(), |yes| yes.value);
    if !whole_command && parameters.is_some() {
        let span = table.key_span("whole_command").unwrap_or(table.span);
        let message = "parameters stand in the command line, which is not looked at";
        out.push(Diagnostic::error(codes::CONFLICTING_KEYS, span, message).help("leave `whole_command` out"));
    }
    Some(Process {
        name: name.value.to_owned(),
        program: program.value.to_owned(),
        whole_command,
        parameters,
        quorum: Quorum { least, most: most.map(|number| number.value) },
        fork_delay,
        terminate_delay,
    })
}

fn weight(table: &Table<'_>, out: &mut Vec<Diagnostic>) -> Option<i32> {
    let value = table.get("weight")?;
    let number = integer_of(value, out)?;
    let weight = i32::try_from(number).ok().filter(|_| (-MOST_WEIGHT..=MOST_WEIGHT).contains(&number));
    if weight.is_none() {
        let message = format!("weight is {number}; it goes from -{MOST_WEIGHT} to {MOST_WEIGHT}");
        out.push(Diagnostic::error(codes::VALUE, value.span, message));
    }
    weight
}

/// `track` of an instance or a group: names, or tables with a weight.
pub(super) fn tracks(table: &Table<'_>, known: &Known, out: &mut Vec<Diagnostic>) -> Vec<Track> {
    let Some(value) = table.get("track") else { return Vec::new() };
    let items = match value.value {
        DeValue::String(_) | DeValue::Table(_) => vec![value],
        _ => table.items(value, out).unwrap_or_default(),
    };
    let mut tracks: Vec<Spanned<Track>> = Vec::new();
    for item in items {
        let Some(track) = track(table, item, known, out) else { continue };
        if let Some(first) = tracks.iter().find(|first| first.value.target == track.target) {
            let message = format!("{} is tracked twice", track.target);
            out.push(Diagnostic::error(codes::CONFLICTING_KEYS, item.span, message).label(first.span, "first here"));
            continue;
        }
        tracks.push(Spanned::new(track, item.span));
    }
    tracks.into_iter().map(|track| track.value).collect()
}

fn track(table: &Table<'_>, item: Value<'_>, known: &Known, out: &mut Vec<Diagnostic>) -> Option<Track> {
    let find = |name: Spanned<&str>, out: &mut Vec<Diagnostic>| {
        let found = known.0.get(name.value).cloned();
        if found.is_none() {
            let message = format!("there is no [track.{}] in this file", shown(name.value));
            let d = Diagnostic::error(codes::VRRP_NAME, name.span, message);
            out.push(d.help("interfaces are tracked by { interface = \"eth1\" }, BFD sessions by { bfd = \"NAME\" }"));
        }
        found
    };
    let Some(inner) = table.inner(item) else {
        let (target, weight, reverse) = find(string_of(item, out)?, out)?;
        return Some(Track { target, weight, reverse });
    };
    inner.only(&TRACK, out);
    let kinds: Vec<&str> = ["name", "interface", "bfd"].into_iter().filter(|kind| inner.has(kind)).collect();
    let [kind] = kinds[..] else {
        let d = Diagnostic::error(codes::MISSING_KEY, item.span, "one thing is tracked at a time");
        out.push(d.help("write one of name, interface and bfd"));
        return None;
    };
    let text = inner.string(kind, out).filter(|text| super::not_empty(kind, text, out))?;
    let (target, usual, reverse) = match kind {
        "interface" => (Target::Interface(text.value.to_owned()), 0, false),
        "bfd" => (Target::Bfd(text.value.to_owned()), 0, false),
        _ => find(text, out)?,
    };
    let weight = if inner.has("weight") { weight(&inner, out)? } else { usual };
    let reverse = inner.boolean("reverse", out).map_or(reverse, |yes| yes.value);
    Some(Track { target, weight, reverse })
}

/// `track`, with every weight.
pub(super) fn track_list(tracks: &[Track]) -> String {
    let one = |track: &Track| {
        let (key, name) = match &track.target {
            Target::Interface(name) => ("interface", name),
            Target::Bfd(name) => ("bfd", name),
            Target::Script(name) | Target::File(name) | Target::Process(name) => ("name", name),
        };
        let reverse = if track.reverse { ", reverse = true" } else { "" };
        format!("{{ {key} = {}, weight = {}{reverse} }}", quoted(name), track.weight)
    };
    format!("[{}]", tracks.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// Writes what instances and groups track so that it is read as the same.
pub(super) fn write(elections: &Elections, text: &mut String) {
    for group in &elections.groups {
        text.push_str(&format!("[sync_group.{}]\n", quoted(&group.name)));
        line(text, "track", &track_list(&group.tracks));
        text.push('\n');
    }
    let time = |time: Duration| quoted(&duration_text(time));
    for tracker in &elections.trackers {
        match tracker {
            Tracker::Interface { name, delays } => {
                text.push_str(&format!("[link.{}]\n", quoted(name)));
                line(text, "down_delay", &time(delays.down));
                line(text, "up_delay", &time(delays.up));
            }
            Tracker::Script { name, script, account, rhythm } => {
                text.push_str(&format!("[track.{}]\n", quoted(name)));
                let program = script.program.to_string_lossy().into_owned();
                line(text, "script", &list(std::iter::once(&program).chain(&script.arguments)));
                if script.shell {
                    line(text, "shell", "true");
                }
                if let Some(account) = account {
                    line(text, "user", &quoted(&account.to_string()));
                }
                line(text, "interval", &time(rhythm.interval));
                line(text, "timeout", &time(rhythm.timeout));
                line(text, "rise", &rhythm.rise.to_string());
                line(text, "fall", &rhythm.fall.to_string());
                if rhythm.initially == Initial::Down {
                    line(text, "begins_down", "true");
                }
            }
            Tracker::File(file) => {
                text.push_str(&format!("[track.{}]\n", quoted(&file.name)));
                line(text, "file", &quoted(&file.path.to_string_lossy()));
                if let Some(initial) = file.initial {
                    line(text, "initial", &initial.to_string());
                }
                if file.overwrite {
                    line(text, "overwrite", "true");
                }
            }
            Tracker::Process(process) => write_process(process, text),
        }
        text.push('\n');
    }
}

fn write_process(process: &Process, text: &mut String) {
    text.push_str(&format!("[track.{}]\n", quoted(&process.name)));
    line(text, "process", &quoted(&process.program));
    if let Some(parameters) = &process.parameters {
        let (words, comparison) = match parameters {
            ParameterMatch::Exact(words) => (words, "exact"),
            ParameterMatch::Leading(words) => (words, "leading"),
            ParameterMatch::Initial(words) => (words, "initial"),
        };
        line(text, "parameters", &list(words));
        line(text, "match", &quoted(comparison));
    }
    if process.whole_command {
        line(text, "whole_command", "true");
    }
    line(text, "least", &process.quorum.least.to_string());
    if let Some(most) = process.quorum.most {
        line(text, "most", &most.to_string());
    }
    for (key, delay) in [("fork_delay", process.fork_delay), ("terminate_delay", process.terminate_delay)] {
        if !delay.is_zero() {
            line(text, key, &quoted(&duration_text(delay)));
        }
    }
}
