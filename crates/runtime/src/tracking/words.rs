//! What of what an instance tracks is wrong, in plain words.

use super::Tracking;
use evenkeel_machine::Instant;
use evenkeel_model::vrrp::{Elections, Instance, Target, Track};
use evenkeel_vrrp::track::{Effect, Standing, followed};

/// Something that keeps an instance from being master, or lowers its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whether it may not be master for it.
    pub unfit: bool,
    /// What is wrong, without when.
    pub what: String,
    /// Why, where more is known.
    pub why: String,
    /// Since when.
    pub since: Instant,
}

impl std::fmt::Display for Fault {
    /// `script chk_nginx fails: exit status 1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, ": {}", self.why) }
    }
}

impl Tracking {
    /// What is wrong for `instance`, what keeps it from being master first.
    pub(crate) fn faults(&self, wanted: &Elections, instance: &Instance) -> Vec<Fault> {
        let group = instance.group.as_ref().and_then(|name| wanted.groups.iter().find(|group| group.name == *name));
        let tracks = followed(instance, group);
        let mut faults: Vec<Fault> = tracks.iter().filter_map(|track| self.fault(track)).collect();
        faults.sort_by_key(|fault| !fault.unfit);
        faults
    }

    /// Everything that is tracked, and how it stands.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Target, Standing)> {
        self.known.iter().map(|(target, known)| (target, known.standing))
    }

    fn fault(&self, track: &Track) -> Option<Fault> {
        let known = self.known.get(&track.target)?;
        let unfit = match Effect::of(track, known.standing) {
            Effect::Unfit => true,
            Effect::Adds(by) if by < 0 => false,
            // What would add and does not is as much of a loss.
            Effect::Adds(0) if track.weight > 0 && known.standing == Standing::Down && !track.reverse => false,
            Effect::Adds(_) | Effect::Waits => return None,
        };
        let detail = self.details.borrow().get(&track.target).cloned().unwrap_or_default();
        let (what, why) = words(&track.target, known.standing, detail);
        Some(Fault { unfit, what, why, since: known.since })
    }
}

fn words(target: &Target, standing: Standing, detail: String) -> (String, String) {
    let what = match (target, standing) {
        (Target::Script(_), Standing::Down) => format!("{target} fails"),
        (Target::Script(_), Standing::Up) => format!("{target} succeeds"),
        (Target::File(_), Standing::Number(number)) => format!("{target} holds {number}"),
        (Target::Process(_), Standing::Down) => format!("{target} is not as wanted"),
        (Target::Process(_), Standing::Up) => format!("{target} is there"),
        (_, Standing::Down) => format!("{target} is down"),
        (_, Standing::Up) => format!("{target} is up"),
        (_, Standing::Number(_) | Standing::Unknown) => format!("{target} was not looked at yet"),
    };
    let why = match target {
        Target::File(_) => String::new(),
        Target::Interface(_) | Target::Script(_) | Target::Process(_) | Target::Bfd(_) => detail,
    };
    (what, why)
}
