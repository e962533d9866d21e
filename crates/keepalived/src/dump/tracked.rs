//! What is tracked: scripts, files, processes and BFD sessions.

use super::{Dump, command};
use evenkeel_config::keepalived::vrrp::{Vrrp, VrrpScript, VrrpTrack, VrrpTracks};
use std::{
    fmt::{self, Formatter},
    time::Duration,
};

/// How a tracked script stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptStanding {
    /// Its name.
    pub name: String,
    /// Results in a row: `rise - 1 + fall` when it is as good as can be, below `rise` when it counts as bad.
    pub result: u32,
    /// It has not ended once.
    pub begins: bool,
    /// It runs now.
    pub running: bool,
}

/// The weight of a track: its own, else that of what is tracked.
pub(super) fn effect(track: &VrrpTrack, usual: (i32, bool)) -> (i32, bool) {
    (track.weight.unwrap_or(usual.0), track.reverse.unwrap_or(usual.1))
}

pub(super) fn script(written: &Vrrp, name: &str) -> (i32, bool) {
    let script = written.scripts.iter().find(|script| script.name.value == name);
    script.map_or((0, false), |script| (script.weight.map_or(0, |weight| weight.value), script.reverse))
}

pub(super) fn file(written: &Vrrp, name: &str) -> (i32, bool) {
    let file = written.files.iter().find(|file| file.name.value == name);
    file.map_or((1, false), |file| (file.weight.map_or(1, |weight| weight.value), file.reverse))
}

pub(super) fn process(written: &Vrrp, name: &str) -> (i32, bool) {
    let process = written.processes.iter().find(|process| process.name.value == name);
    process.map_or((0, false), |process| (process.weight.map_or(0, |weight| weight.value), process.reverse))
}

pub(super) fn bfd(written: &Vrrp, name: &str) -> (i32, bool) {
    let session = written.bfd.iter().find(|session| session.name.value == name);
    session.map_or((0, false), |session| (session.weight.map_or(0, |weight| weight.value), session.reverse))
}

pub(super) fn write(f: &mut Formatter<'_>, dump: &Dump<'_>) -> fmt::Result {
    let written = dump.written;
    if !written.scripts.is_empty() {
        writeln!(f, "------< VRRP Scripts >------")?;
    }
    written.scripts.iter().try_for_each(|script| write_script(f, dump, script))?;
    if !written.files.is_empty() {
        writeln!(f, "------< VRRP Track files >------")?;
    }
    for file in &written.files {
        let name = &file.name.value;
        let path = file.file.as_ref().map_or("", |path| &path.value);
        writeln!(f, " Track file = {name}\n   File = {path}\n   Status = {}", known(dump.files, name))?;
        weight(f, self::file(written, name))?;
        trackers(f, written, name, &|tracks| &tracks.files, self::file(written, name))?;
    }
    if !written.processes.is_empty() {
        writeln!(f, "------< VRRP Track processes >------")?;
    }
    for process in &written.processes {
        let name = &process.name.value;
        let command = process.process.as_ref().map_or(&[][..], |words| &words.value);
        let (program, parameters) = command.split_first().map_or(("", &[][..]), |(p, rest)| (p.as_str(), rest));
        writeln!(f, " VRRP Track process = {name}\n   Process = {program}")?;
        if !parameters.is_empty() {
            writeln!(f, "   Parameters = {}", parameters.join(" "))?;
        }
        match process.parameters.as_ref().map(|how| how.value.as_str()) {
            Some(how) => writeln!(f, "   Param match = {how}")?,
            None if parameters.is_empty() => {}
            None => writeln!(f, "   Param match")?,
        }
        writeln!(f, "   Min processes = {}", process.quorum.map_or(1, |quorum| quorum.value))?;
        if let Some(most) = process.most {
            writeln!(f, "   Max processes = {}", most.value)?;
        }
        let least = process.quorum.map_or(1, |quorum| i64::from(quorum.value));
        let most = process.most.map_or(i64::MAX, |most| i64::from(most.value));
        let (count, quorum) = (known(dump.processes, name), least..=most);
        writeln!(f, "   Current processes = {count}\n   Have quorum = {}", quorum.contains(&count))?;
        weight(f, self::process(written, name))?;
        let seconds =
            |delay: Option<_>| delay.map_or(0.0, |delay: evenkeel_source::Spanned<Duration>| delay.value.as_secs_f64());
        writeln!(f, "   Terminate delay = {:.6}s", seconds(process.end_delay))?;
        writeln!(f, "   Fork delay = {:.6}s", seconds(process.start_delay))?;
        writeln!(f, "   Fork delay timer not running\n   Terminate delay timer not running")?;
        writeln!(f, "   Full command = {}", process.whole_path || !parameters.is_empty())?;
        trackers(f, written, name, &|tracks| &tracks.processes, self::process(written, name))?;
    }
    Ok(())
}

/// What is known by this name; 0 before it was looked at.
fn known(all: &[(String, i64)], name: &str) -> i64 {
    all.iter().find(|(known, _)| known == name).map_or(0, |(_, number)| *number)
}

fn weight(f: &mut Formatter<'_>, (weight, reverse): (i32, bool)) -> fmt::Result {
    writeln!(f, "   Weight = {weight}{}", if reverse { " reverse" } else { "" })
}

fn write_script(f: &mut Formatter<'_>, dump: &Dump<'_>, script: &VrrpScript) -> fmt::Result {
    let name = &script.name.value;
    let (rise, fall) = (script.rise.map_or(1, |rise| rise.value), script.fall.map_or(1, |fall| fall.value));
    let standing = dump.scripts.iter().find(|standing| standing.name == *name);
    let result = standing.map_or(0, |standing| standing.result);
    let seconds = |time: Option<evenkeel_source::Spanned<Duration>>, usual| time.map_or(usual, |t| t.value.as_secs());
    let program = script.command.as_ref().map_or(&[][..], |words| &words.value);
    writeln!(f, " VRRP Script = {name}\n   Command = {}", command(program))?;
    writeln!(f, "   Interval = {} sec", seconds(script.interval, 1))?;
    writeln!(f, "   Timeout = {} sec", seconds(script.timeout, 0))?;
    weight(f, self::script(dump.written, name))?;
    writeln!(f, "   Rise = {rise}\n   Fall = {fall}\n   Result = {result}\n   Insecure = no")?;
    let begins = match standing {
        Some(standing) if !standing.begins => "unknown",
        Some(_) | None => "INIT",
    };
    writeln!(f, "   Init state = {begins}")?;
    writeln!(f, "   Status = {}", if result >= rise { "GOOD" } else { "BAD" })?;
    let (user, group) = dump.ids(script.user.as_ref().map_or(&[], |user| &user.value));
    writeln!(f, "   Script uid:gid = {user}:{group}\n   VRRP instances :")?;
    trackers(f, dump.written, name, &|tracks| &tracks.scripts, self::script(dump.written, name))?;
    let running = standing.is_some_and(|standing| standing.running);
    writeln!(f, "   State = {}", if running { "running" } else { "idle" })
}

/// Instances that track something, themselves or with their group.
fn trackers(
    f: &mut Formatter<'_>,
    written: &Vrrp,
    name: &str,
    list: &dyn Fn(&VrrpTracks) -> &Vec<VrrpTrack>,
    usual: (i32, bool),
) -> fmt::Result {
    let of = |tracks: &VrrpTracks| list(tracks).iter().find(|track| track.name.value == name).cloned();
    let own = written.instances.iter().filter_map(|instance| Some((&instance.name.value, of(&instance.track)?)));
    let groups = written.sync_groups.iter().filter_map(|group| Some((group, of(&group.track)?)));
    let with_group =
        groups.flat_map(|(group, track)| group.members.iter().map(move |member| (&member.value, track.clone())));
    let mut seen: Vec<&String> = Vec::new();
    for (instance, track) in own.chain(with_group) {
        if seen.is_empty() {
            writeln!(f, "   Tracking instances :")?;
        }
        if !seen.contains(&instance) {
            let (weight, reverse) = effect(&track, usual);
            let reverse = if reverse { " reverse" } else { "" };
            writeln!(f, "     {instance}, weight {weight}{reverse}")?;
            seen.push(instance);
        }
    }
    Ok(())
}
