//! What is tracked, as keepalived 2.2.7 understands it: `track_*` of instances and groups into the tracks that count,
//! and what they name into trackers.

use super::{Vrrp, VrrpInstance, VrrpProcess, VrrpScript, VrrpSyncGroup, VrrpTrack, VrrpTrackFile, VrrpTracks};
use crate::{codes, draft::VrrpDraft, host::shown};
use evenkeel_model::{
    Account, Script,
    vrrp::{
        File, Initial, Instance, LinkDelays, ParameterMatch, Process, Quorum, ScriptRhythm, SyncGroup, Target, Track,
        Tracker,
    },
};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// Bytes of a process's name that the kernel keeps.
const LONGEST_NAME: usize = 15;
/// The priority of an owner.
const OWNER: u8 = 255;
/// `weight` of a file where nothing is said.
const FILE_WEIGHT: i32 = 1;
/// What it can be.
const WEIGHTS: std::ops::RangeInclusive<i32> = -254..=254;

/// What is tracked, ready for the model.
#[derive(Default)]
pub(crate) struct Tracking {
    pub(crate) trackers: Vec<Tracker>,
    pub(crate) groups: Vec<SyncGroup>,
}

/// A track and where it is written.
type Written = Spanned<Track>;

/// Gives each of `drafts`, which come from `vrrp`, its tracks, and returns what they name.
pub(crate) fn lower(vrrp: &Vrrp, drafts: &mut [VrrpDraft], out: &mut Vec<Diagnostic>) -> Tracking {
    let instances: &mut [&mut Instance] = &mut drafts.iter_mut().map(|draft| &mut draft.instance).collect::<Vec<_>>();
    let sources: HashMap<&str, &VrrpInstance> =
        vrrp.instances.iter().map(|instance| (instance.name.value.as_str(), instance)).collect();
    let mut shared: HashMap<&str, Vec<Written>> = HashMap::new();
    for group in &vrrp.sync_groups {
        shared.insert(&group.name.value, of_group(vrrp, group, &sources, out));
    }
    for instance in &mut *instances {
        let Some(from) = sources.get(instance.name.as_str()) else { continue };
        let group = vrrp.sync_groups.iter().find(|group| Some(&group.name.value) == instance.group.as_ref());
        instance.needs_interface = !from.switches.contains(&"dont_track_primary");
        let own = of_instance(vrrp, from, group, &instance.interface, out);
        let group = group.and_then(|group| shared.get(group.name.value.as_str()));
        instance.tracks = join(own, group.map_or(&[], Vec::as_slice), instance, out);
    }
    let mut tracking = Tracking { trackers: trackers(vrrp), groups: groups(&shared, instances) };
    // What has no name or program is told, and nobody looks at it.
    let there: HashSet<Target> = tracking.trackers.iter().map(Tracker::target).collect();
    let is_there = |track: &Track| match &track.target {
        Target::Interface(_) | Target::Bfd(_) => true,
        target => there.contains(target),
    };
    instances.iter_mut().for_each(|instance| instance.tracks.retain(is_there));
    tracking.groups.iter_mut().for_each(|group| group.tracks.retain(is_there));
    let names = unique(&mut tracking.trackers);
    let all = instances.iter_mut().flat_map(|instance| &mut instance.tracks);
    for track in all.chain(tracking.groups.iter_mut().flat_map(|group| &mut group.tracks)) {
        if let Some(target) = names.get(&track.target) {
            track.target = target.clone();
        }
    }
    tracking
}

/// Group tracks that no member names itself; those that one does were joined with its own.
fn groups(shared: &HashMap<&str, Vec<Written>>, instances: &mut [&mut Instance]) -> Vec<SyncGroup> {
    let mut groups = Vec::new();
    let mut names: Vec<&str> = shared.keys().copied().collect();
    names.sort_unstable();
    for name in names {
        let Some(tracks) = shared.get(name) else { continue };
        let mut members: Vec<&mut &mut Instance> =
            instances.iter_mut().filter(|instance| instance.group.as_deref() == Some(name)).collect();
        let named = |members: &[&mut &mut Instance], target: &Target| {
            members.iter().any(|one| one.tracks.iter().any(|track| track.target == *target))
        };
        let mut common = Vec::new();
        for track in tracks.iter().map(|track| &track.value) {
            if !named(&members, &track.target) {
                common.push(track.clone());
                continue;
            }
            for member in &mut members {
                if member.tracks.iter().all(|own| own.target != track.target) {
                    member.tracks.push(track.clone());
                }
            }
        }
        if !common.is_empty() && !members.is_empty() {
            groups.push(SyncGroup { name: name.to_owned(), tracks: common });
        }
    }
    groups
}

/// The tracks that are written, with the weights of what they name. What does not exist is told by the judge.
fn written(vrrp: &Vrrp, tracks: &VrrpTracks, who: &Spanned<String>, out: &mut Vec<Diagnostic>) -> Vec<Written> {
    let mut found: Vec<Written> = Vec::new();
    let mut add = |track: &VrrpTrack, target: Target, weight: i32, reverse: bool| {
        if let Some(first) = found.iter().find(|first| first.value.target == target) {
            let message = format!("`{}` tracks {target} twice", shown(&who.value));
            let d = Diagnostic::warning(codes::VRRP_NAME, track.name.span, message).label(first.span, "the first time");
            out.push(d.note("keepalived ignores the second time"));
            return;
        }
        let (weight, reverse) = (track.weight.unwrap_or(weight), track.reverse.unwrap_or(reverse));
        found.push(Spanned::new(Track { target, weight, reverse }, track.name.span));
    };
    let of = |weight: Option<Spanned<i32>>, usual: i32| weight.map_or(usual, |weight| weight.value);
    for track in &tracks.interfaces {
        add(track, Target::Interface(track.name.value.clone()), 0, false);
    }
    for track in &tracks.scripts {
        if let Some(script) = vrrp.scripts.iter().find(|it| it.name.value == track.name.value && it.command.is_some()) {
            add(track, Target::Script(track.name.value.clone()), of(script.weight, 0), script.reverse);
        }
    }
    for track in &tracks.files {
        if let Some(file) = vrrp.files.iter().find(|it| it.name.value == track.name.value && it.file.is_some()) {
            let fitting = file.weight.filter(|weight| WEIGHTS.contains(&weight.value));
            add(track, Target::File(track.name.value.clone()), of(fitting, FILE_WEIGHT), file.reverse);
        }
    }
    for track in &tracks.processes {
        let process = vrrp.processes.iter().find(|it| it.name.value == track.name.value && it.process.is_some());
        if let Some(process) = process {
            add(track, Target::Process(track.name.value.clone()), of(process.weight, 0), process.reverse);
        }
    }
    for track in &tracks.bfd {
        if let Some(bfd) = vrrp.bfd.iter().find(|it| it.name.value == track.name.value && it.neighbour.is_some()) {
            add(track, Target::Bfd(track.name.value.clone()), of(bfd.weight, 0), bfd.reverse);
        }
    }
    found
}

fn is_owner(instance: &VrrpInstance) -> bool {
    instance.priority.is_some_and(|priority| priority.value == OWNER)
}

/// What an instance tracks itself, without its own interface.
fn of_instance(
    vrrp: &Vrrp,
    from: &VrrpInstance,
    group: Option<&VrrpSyncGroup>,
    interface: &str,
    out: &mut Vec<Diagnostic>,
) -> Vec<Written> {
    let weighs = group.is_none_or(|group| !group.switches.is_empty());
    let mut tracks = written(vrrp, &from.track, &from.name, out);
    tracks.retain_mut(|track| {
        let own = matches!(&track.value.target, Target::Interface(name) if name == interface);
        if own {
            let message = format!("`{}` tracks its own interface anyway", shown(&from.name.value));
            let d = Diagnostic::warning(codes::VRRP_NAME, track.span, message);
            out.push(d.note("keepalived ignores it"));
            return false;
        }
        (weighs && !is_owner(from)) || without_weight(track, group.filter(|_| !weighs), out)
    });
    tracks
}

/// What is left of a weighted track of an owner, or in a group whose priorities stay; `false`: nothing.
fn without_weight(track: &mut Written, group: Option<&VrrpSyncGroup>, out: &mut Vec<Diagnostic>) -> bool {
    if track.value.weight == 0 {
        return true;
    }
    let (stays, fate) = match &track.value.target {
        // keepalived says that it ignores these weights, and then counts them.
        Target::Interface(_) | Target::Process(_) if group.is_some() => return true,
        Target::Interface(_) => (false, "keepalived does not track it then"),
        Target::Process(_) => return true,
        Target::File(_) if track.value.weight == FILE_WEIGHT => {
            track.value.weight = 0;
            (true, "keepalived takes every number but 0 for a fault then")
        }
        Target::File(_) | Target::Script(_) | Target::Bfd(_) => (false, "keepalived does not track it then"),
    };
    let target = &track.value.target;
    let d = match group {
        Some(group) => {
            let name = shown(&group.name.value);
            let message = format!("the weight of {target} does not count in sync group `{name}`");
            Diagnostic::warning(codes::SYNC_GROUP, track.span, message)
                .help("write `sync_group_tracking_weight` into the group, or `weight 0` behind what is tracked")
        }
        None => {
            let message = format!("the weight of {target} does not count for priority 255");
            Diagnostic::warning(codes::VRRP_STATE, track.span, message)
                .help("only a fault can take the addresses from their owner: write `weight 0`")
        }
    };
    out.push(d.note(fate));
    stays
}

/// What every member of a group tracks.
fn of_group(
    vrrp: &Vrrp,
    group: &VrrpSyncGroup,
    instances: &HashMap<&str, &VrrpInstance>,
    out: &mut Vec<Diagnostic>,
) -> Vec<Written> {
    let member = |name: &Spanned<String>| instances.get(name.value.as_str()).copied();
    let owner = group.members.iter().filter_map(member).find(|instance| is_owner(instance));
    let mut tracks = written(vrrp, &group.track, &group.name, out);
    if let Some(owner) = owner {
        for track in tracks.iter_mut().filter(|track| track.value.weight != 0) {
            track.value.weight = 0;
            let message = format!("the weight of {} does not count for priority 255", track.value.target);
            let d = Diagnostic::warning(codes::SYNC_GROUP, track.span, message);
            let owner = owner.priority.map_or(owner.name.span, |priority| priority.span);
            out.push(d.label(owner, "of this member").note("keepalived takes it as weight 0: a fault"));
        }
    }
    tracks
}

/// Joins what an instance tracks with what its group does: of both the group's weight counts, unless the instance has
/// none. What it puts addresses on must be up.
fn join(own: Vec<Written>, shared: &[Written], instance: &Instance, out: &mut Vec<Diagnostic>) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    for Spanned { value: mut track, span } in own {
        if let Some(other) = shared.iter().find(|other| other.value.target == track.target) {
            let message = format!("`{}` and its sync group both track {}", shown(&instance.name), track.target);
            let d = Diagnostic::warning(codes::SYNC_GROUP, span, message).label(other.span, "the group");
            out.push(d.note("keepalived takes the group's weight, unless the instance has weight 0"));
            if track.weight != 0 {
                track.weight = other.value.weight;
                if !matches!(track.target, Target::Process(_)) {
                    track.reverse = other.value.reverse;
                }
            }
        }
        tracks.push(track);
    }
    let needed: HashSet<&String> = instance.needed_interfaces().collect();
    for track in &mut tracks {
        // An interface that has addresses of the instance must be up, whatever else is said of it.
        if matches!(&track.target, Target::Interface(name) if needed.contains(name)) {
            track.weight = 0;
        }
    }
    tracks
}

/// Scripts, files and processes share their names here; keepalived lets a file be named as a script is. Gives who was
/// renamed.
fn unique(trackers: &mut [Tracker]) -> HashMap<Target, Target> {
    let mut renamed = HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    for tracker in trackers {
        let before = tracker.target();
        let (name, kind) = match tracker {
            Tracker::Interface { .. } => continue,
            Tracker::Script { name, .. } => (name, "script"),
            Tracker::File(File { name, .. }) => (name, "file"),
            Tracker::Process(Process { name, .. }) => (name, "process"),
        };
        while !taken.insert(name.clone()) {
            name.push('.');
            name.push_str(kind);
        }
        let after = tracker.target();
        if before != after {
            renamed.insert(before, after);
        }
    }
    renamed
}

fn trackers(vrrp: &Vrrp) -> Vec<Tracker> {
    let default = vrrp.defaults.script_user.as_ref().and_then(|words| account(&words.value));
    let delays = vrrp.delays.iter().map(|delay| Tracker::Interface {
        name: delay.name.value.clone(),
        delays: LinkDelays { down: delay.down, up: delay.up },
    });
    let scripts = vrrp.scripts.iter().filter_map(|one| script(one, default.as_ref()));
    let files = vrrp.files.iter().filter_map(file);
    let processes = vrrp.processes.iter().filter_map(process);
    let mut trackers: Vec<Tracker> = Vec::new();
    for tracker in delays.chain(scripts).chain(files).chain(processes) {
        // Of two of one name, which is told elsewhere, the first counts.
        if trackers.iter().all(|known| known.target() != tracker.target()) {
            trackers.push(tracker);
        }
    }
    trackers
}

fn account(words: &[String]) -> Option<Account> {
    let (user, rest) = words.split_first().filter(|(user, _)| !user.is_empty())?;
    Some(Account::of(user, rest.first().map(String::as_str)))
}

fn script(from: &VrrpScript, default: Option<&Account>) -> Option<Tracker> {
    let command = from.command.as_ref()?;
    let (program, arguments) = command.value.split_first().filter(|(program, _)| !program.is_empty())?;
    let script = Script {
        program: program.into(),
        arguments: arguments.to_vec(),
        environment: Vec::new(),
        shell: false,
        account: None,
        weighs: false,
    };
    let interval = from.interval.map_or(Duration::from_secs(1), |interval| interval.value);
    let rhythm = ScriptRhythm {
        interval,
        timeout: from.timeout.map_or(interval, |timeout| timeout.value),
        rise: from.rise.map_or(1, |rise| rise.value),
        fall: from.fall.map_or(1, |fall| fall.value),
        initially: if from.fails_at_first { Initial::Down } else { Initial::Unknown },
    };
    let own = from.user.as_ref().and_then(|words| account(&words.value));
    Some(Tracker::Script { name: from.name.value.clone(), script, account: own.or_else(|| default.cloned()), rhythm })
}

fn file(from: &VrrpTrackFile) -> Option<Tracker> {
    let words = from.begin.as_ref().map(|begin| &begin.value);
    let number = |words: &Vec<String>| words.iter().find_map(|word| word.parse().ok()).unwrap_or(0);
    Some(Tracker::File(File {
        name: from.name.value.clone(),
        path: from.file.as_ref().filter(|file| !file.value.is_empty())?.value.clone().into(),
        initial: words.map(number),
        overwrite: words.is_some_and(|words| words.iter().any(|word| word == "overwrite")),
    }))
}

fn process(from: &VrrpProcess) -> Option<Tracker> {
    let words = from.process.as_ref()?;
    let (program, parameters) = words.value.split_first().filter(|(program, _)| !program.is_empty())?;
    let compared = from.compares_parameters || !parameters.is_empty();
    let parameters = parameters.to_vec();
    let parameters = compared.then(|| match from.parameters.as_ref().map(|word| word.value.as_str()) {
        Some("partial") => ParameterMatch::Leading(parameters),
        Some("initial") => ParameterMatch::Initial(parameters),
        _ => ParameterMatch::Exact(parameters),
    });
    Some(Tracker::Process(Process {
        name: from.name.value.clone(),
        program: program.clone(),
        whole_command: from.whole_path || compared,
        parameters,
        quorum: quorum(from),
        fork_delay: from.start_delay.map_or(Duration::ZERO, |delay| delay.value),
        terminate_delay: from.end_delay.map_or(Duration::ZERO, |delay| delay.value),
    }))
}

/// `quorum_max 0` asks that there be none, which only goes without a quorum.
fn quorum(from: &VrrpProcess) -> Quorum {
    let least = from.quorum.map(|least| u32::from(least.value)).filter(|least| *least > 0);
    match from.most.map(|most| u32::from(most.value)) {
        Some(0) if least.is_none_or(|least| least == 1) => Quorum { least: 0, most: Some(0) },
        Some(most) if most >= least.unwrap_or(1) => Quorum { least: least.unwrap_or(1), most: Some(most) },
        Some(_) | None => Quorum { least: least.unwrap_or(1), most: None },
    }
}

/// Reports what cannot be as it is written.
pub(super) fn judge(vrrp: &Vrrp, out: &mut Vec<Diagnostic>) {
    for process in &vrrp.processes {
        let name = process.process.as_ref().and_then(|words| Some((words.value.first()?, words.span)));
        let by_name = !process.whole_path && !process.compares_parameters;
        let alone = process.process.as_ref().is_some_and(|words| words.value.len() == 1);
        if let Some((program, span)) = name.filter(|_| by_name && alone) {
            long_name(program, span, out);
        }
        let known = |word: &Spanned<String>| matches!(word.value.as_str(), "initial" | "partial");
        if let Some(word) = process.parameters.as_ref().filter(|word| !known(word)) {
            let message = format!("param_match cannot be `{}`", shown(&word.value));
            let d = Diagnostic::warning(codes::VALUE, word.span, message).note("keepalived compares all parameters");
            out.push(d.help("write `initial`, `partial`, or nothing where they are to be the same"));
        }
        let least = process.quorum.map_or(1, |least| least.value);
        if let Some(most) = process.most.filter(|most| most.value < least && (most.value > 0 || least > 1)) {
            let message = format!("quorum_max {} is less than the quorum of {least}", most.value);
            let d = Diagnostic::warning(codes::OUT_OF_RANGE, most.span, message);
            out.push(d.note("keepalived ignores it: any number above the quorum is good"));
        }
    }
    for file in vrrp.files.iter().filter(|file| file.file.is_none()) {
        let message = format!("track_file `{}` has no file", shown(&file.name.value));
        out.push(Diagnostic::warning(codes::NO_VALUE, file.name.span, message).note("keepalived leaves it out"));
    }
    for (file, weight) in vrrp.files.iter().filter_map(|file| Some((file, file.weight?))) {
        if !WEIGHTS.contains(&weight.value) {
            let message =
                format!("weight {} of track_file `{}` is outside -254..254", weight.value, shown(&file.name.value));
            let d = Diagnostic::warning(codes::OUT_OF_RANGE, weight.span, message);
            out.push(d.note("keepalived takes weight 1"));
        }
    }
    for process in vrrp.processes.iter().filter(|process| process.process.is_none()) {
        let message = format!("vrrp_track_process `{}` has no process", shown(&process.name.value));
        out.push(Diagnostic::warning(codes::NO_VALUE, process.name.span, message).note("keepalived leaves it out"));
    }
}

fn long_name(program: &str, span: Span, out: &mut Vec<Diagnostic>) {
    let what = if program.len() > LONGEST_NAME {
        format!("the kernel keeps {LONGEST_NAME} bytes of a process's name, and `{}` is longer", shown(program))
    } else if program.contains('/') {
        format!("`{}` is a path, and the kernel's name of a process has none", shown(program))
    } else {
        return;
    };
    let d = Diagnostic::warning(codes::VALUE, span, what).note("keepalived never finds such a process");
    out.push(d.help("write `full_command` to compare the command line, or the name that `ps -e` shows"));
}
