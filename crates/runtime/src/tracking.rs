//! What VRRP instances track, outside of the thread that holds their elections: scripts are run, files watched and
//! processes counted here; the thread is told, and what is broken is known in plain words.

mod files;
mod number;
mod processes;
mod scripts;
mod trust;
mod words;

use evenkeel_ha::{Command, Teller};
use evenkeel_model::vrrp::{Elections, File, Process, Target, Tracker};
use evenkeel_probe::Programs;
use evenkeel_vrrp::track::{Sight, Standing};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle};

pub(crate) use trust::drop_untrusted;
pub(crate) use words::Fault;

/// Scripts that run at a time.
const AT_A_TIME: usize = 256;
/// Before the thread is told again what it had no room for.
const AGAIN: Duration = Duration::from_millis(10);

/// What is known of one target.
#[derive(Clone, Debug)]
struct Known {
    standing: Standing,
    since: evenkeel_machine::Instant,
}

/// Texts about targets: why a script fails, how many processes there are.
type Details = Rc<RefCell<HashMap<Target, String>>>;

/// All that looks at targets, and what is known of them.
#[derive(Default)]
pub(crate) struct Tracking {
    known: HashMap<Target, Known>,
    details: Details,
    /// Scripts, each with what it was made for.
    scripts: Vec<(Tracker, Task)>,
    files: Option<(Vec<File>, Task)>,
    processes: Option<(Vec<Process>, Task)>,
    shared: Option<Shared>,
}

/// What scripts share.
#[derive(Clone)]
struct Shared {
    programs: Programs,
    room: Rc<Semaphore>,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Task {
    fn start(work: impl Future<Output = ()> + 'static) -> Task {
        Task(tokio::task::spawn_local(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where what was seen goes.
#[derive(Clone)]
struct Outlet {
    teller: Teller<Command>,
    details: Details,
}

impl Outlet {
    /// Tells what was seen of `target`; waits while the thread has no room.
    async fn tell(&self, target: &Target, sight: Sight, detail: String) {
        self.details.borrow_mut().insert(target.clone(), detail);
        while !self.teller.tell(Command::Seen(target.clone(), sight)) {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Tracking {
    /// Looks at what `wanted` tracks from now on; what has not changed goes on as it was.
    pub(crate) fn follow(&mut self, wanted: &Elections, teller: &Teller<Command>) {
        // The daemon begins: files that are to be there are made anew.
        let anew = self.shared.is_none();
        let followed = followed(wanted);
        let outlet = Outlet { teller: teller.clone(), details: Rc::clone(&self.details) };
        let shared = self
            .shared
            .get_or_insert_with(|| Shared { programs: Programs::default(), room: Rc::new(Semaphore::new(AT_A_TIME)) });
        let (mut files, mut processes, mut scripts) = (Vec::new(), Vec::new(), Vec::new());
        let mut before = std::mem::take(&mut self.scripts);
        for tracker in wanted.trackers.iter().filter(|tracker| followed.contains(&tracker.target())) {
            match tracker {
                Tracker::Interface { .. } => {}
                Tracker::File(file) => files.push(file.clone()),
                Tracker::Process(process) => processes.push(process.clone()),
                Tracker::Script { .. } => {
                    let same = before.iter().position(|(known, _)| known == tracker);
                    scripts.push(match same {
                        Some(at) => before.swap_remove(at),
                        None => (tracker.clone(), scripts::start(tracker, shared.clone(), outlet.clone())),
                    });
                }
            }
        }
        self.scripts = scripts;
        self.known.retain(|target, _| followed.contains(target));
        self.details.borrow_mut().retain(|target, _| followed.contains(target));
        if self.files.as_ref().map_or(&[][..], |(known, _)| known) != files {
            self.files = files::start(&files, outlet.clone(), anew).map(|task| (files, task));
        }
        if self.processes.as_ref().map_or(&[][..], |(known, _)| known) != processes {
            self.processes = processes::start(&processes, outlet).map(|task| (processes, task));
        }
    }

    /// Takes note of a change that counts.
    pub(crate) fn changed(&mut self, target: Target, standing: Standing, now: evenkeel_machine::Instant) {
        self.known.insert(target, Known { standing, since: now });
    }

    /// Ends everything.
    pub(crate) fn stop(&mut self) {
        *self = Tracking::default();
    }
}

/// Targets that some instance follows.
fn followed(wanted: &Elections) -> HashSet<Target> {
    let used: HashSet<&str> = wanted.instances.iter().filter_map(|instance| instance.group.as_deref()).collect();
    let groups = wanted.groups.iter().filter(|group| used.contains(group.name.as_str()));
    let own = wanted.instances.iter().flat_map(|instance| &instance.tracks);
    own.chain(groups.flat_map(|group| &group.tracks)).map(|track| track.target.clone()).collect()
}
