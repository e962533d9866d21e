//! Programs of the operator: notify scripts, fallback commands and the reload callback.
//!
//! They run without a shell, in a process group of their own that is killed at the deadline, and never two at a time for
//! the same subject: a `stop` must not overtake its `start`.

use evenkeel_os::Ids;
use std::{collections::BTreeSet, collections::VecDeque, fmt, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    process::Command,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// Programs at the same time.
const RUNNING: usize = 16;
/// Programs that wait; more are refused and said so.
const WAITING: usize = 4096;
/// What one program may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Programs of one subject run one after the other.
    pub subject: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Whom it runs as; `None`: as the daemon.
    pub ids: Option<Ids>,
    /// What it may take.
    pub deadline: Duration,
    /// It goes on when the daemon ends before it.
    pub outlives: bool,
}

impl Order {
    /// A program of the daemon's own user that has the usual time.
    pub(crate) fn new(subject: String, program: PathBuf, arguments: Vec<String>) -> Order {
        Order { subject, program, arguments, ids: None, deadline: DEADLINE, outlives: false }
    }

    /// The program, in a process group of its own, without input and output.
    pub(crate) fn command(&self) -> Command {
        let mut command = std::process::Command::new(&self.program);
        if let Some(ids) = self.ids {
            ids.take_on(&mut command);
        }
        // What a service manager says to the daemon is not for its children.
        for private in ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"] {
            command.env_remove(private);
        }
        let mut command = Command::from(command);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0).kill_on_drop(!self.outlives);
        command
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// A program that failed: with its arguments, and how.
pub(crate) type Failed = (String, String);

/// Takes orders; the task behind it ends when this is dropped and all programs have ended.
#[derive(Clone, Debug)]
pub(crate) struct Commands(mpsc::Sender<Order>);

impl Commands {
    /// Starts the task. `report` is told of every program that failed.
    pub(crate) fn start(report: impl Fn(Failed) + 'static) -> (Commands, tokio::task::JoinHandle<()>) {
        let (sender, orders) = mpsc::channel(WAITING);
        (Commands(sender), tokio::task::spawn_local(work(orders, report)))
    }

    /// Asks for a program to be run; the error is a sentence.
    pub(crate) fn run(&self, order: Order) -> Result<(), String> {
        self.0.try_send(order).map_err(|_| format!("{WAITING} programs wait already"))
    }
}

async fn work(mut orders: mpsc::Receiver<Order>, report: impl Fn(Failed)) {
    let mut waiting: VecDeque<Order> = VecDeque::new();
    let mut busy: BTreeSet<String> = BTreeSet::new();
    let mut running: JoinSet<(Order, Result<(), String>)> = JoinSet::new();
    let mut open = true;
    while open || !waiting.is_empty() || !running.is_empty() {
        while running.len() < RUNNING
            && let Some(at) = waiting.iter().position(|o| !busy.contains(&o.subject))
            && let Some(order) = waiting.remove(at)
        {
            busy.insert(order.subject.clone());
            running.spawn_local(async move {
                let result = run(&order).await;
                (order, result)
            });
        }
        tokio::select! {
            order = orders.recv(), if open && waiting.len() < WAITING => match order {
                Some(order) => waiting.push_back(order),
                None => open = false,
            },
            Some(done) = running.join_next(), if !running.is_empty() => match done {
                Ok((order, result)) => {
                    busy.remove(&order.subject);
                    if let Err(why) = result {
                        report((order.to_string(), why));
                    }
                }
                Err(e) => report(("a program".to_owned(), format!("its task ended early: {e}"))),
            },
        }
    }
}

/// Runs it to its end; the error is a sentence fragment.
pub(crate) async fn run(order: &Order) -> Result<(), String> {
    let at = Instant::now() + order.deadline;
    let mut child = order.command().spawn().map_err(|e| format!("cannot be run: {e}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    match timeout_at(at, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(status.to_string()),
        Ok(Err(e)) => Err(format!("cannot be waited for: {e}")),
        Err(_) => {
            if let Some(group) = group {
                // Gone in the meantime is as good.
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = child.wait().await;
            Err(format!("did not end within {} s and was killed", order.deadline.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, fs, rc::Rc};
    use tokio::task::LocalSet;

    fn shell(subject: &str, script: &str) -> Order {
        Order::new(subject.into(), "/bin/sh".into(), vec!["-c".into(), script.into()])
    }

    async fn complaints(orders: Vec<Order>) -> Vec<Failed> {
        let said = Rc::new(RefCell::new(Vec::new()));
        let (sender, receiver) = mpsc::channel(WAITING);
        for order in orders {
            sender.send(order).await.unwrap();
        }
        drop(sender);
        let sink = said.clone();
        LocalSet::new().run_until(work(receiver, move |why| sink.borrow_mut().push(why))).await;
        Rc::try_unwrap(said).unwrap().into_inner()
    }

    #[tokio::test]
    async fn a_stop_never_overtakes_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("order");
        let orders = (0..20).map(|n| shell("web", &format!("echo {n} >> {}", file.display()))).collect();
        assert!(complaints(orders).await.is_empty());
        let want: String = (0..20).map(|n| format!("{n}\n")).collect();
        assert_eq!(fs::read_to_string(file).unwrap(), want);
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_killed_with_its_children_and_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let order = shell("web", &format!("sleep 1000 & echo $! > {}; wait", pid.display()));
        let said = complaints(vec![Order { deadline: Duration::from_millis(500), ..order }]).await;
        assert_eq!(said.len(), 1);
        assert!(said[0].1.starts_with("did not end within 0 s and was killed"), "{said:?}");
        let child: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let child = rustix::process::Pid::from_raw(child).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero())).unwrap_or_default();
        // Killed; the kernel may not have got round to it, and whoever adopts orphans here may still have to reap it.
        let gone = || state().is_empty() || state().contains(") Z ") || state().contains(") X ");
        let end = Instant::now() + Duration::from_secs(20);
        while !gone() {
            assert!(Instant::now() < end, "{}", state());
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_missing_program_and_a_bad_exit_are_reported() {
        let missing = Order::new("a".into(), "/nonexistent/x".into(), vec![]);
        let said = complaints(vec![missing, shell("b", "exit 3")]).await;
        assert_eq!(said.len(), 2);
        assert!(said.iter().any(|(c, why)| c == "/nonexistent/x" && why.starts_with("cannot be run: ")), "{said:?}");
        assert!(said.contains(&("/bin/sh -c exit 3".into(), "exit status: 3".into())), "{said:?}");
    }
}
