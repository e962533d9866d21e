//! A node at work: its namespace, and one thread that lives in it and starts everything the node runs.
//!
//! Processes are started by that thread because a new process is in the namespace of the thread that made it, and
//! because "dies with its parent" means the thread, not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use evenkeel_os::{Namespace, child::die_with_parent};

use crate::error::{Context, Error};

type Work = Box<dyn FnOnce() + Send>;

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: String,
    namespace: String,
    work: Option<mpsc::SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// A node in the existing namespace `namespace`.
    pub(crate) fn new(name: &str, namespace: &str) -> Result<Self, Error> {
        let inside = Namespace::open(namespace)?;
        let (work, waiting) = mpsc::sync_channel::<Work>(64);
        let (entered, outcome) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(namespace.to_owned())
            .spawn(move || {
                let entry = inside.enter();
                drop(inside);
                let failed = entry.is_err();
                let _ = entered.send(entry);
                if !failed {
                    waiting.iter().for_each(|work| work());
                }
            })
            .context("start a thread for a node")?;
        outcome.recv().map_err(|_| Error::new("the thread of a node ended at once"))??;
        Ok(Self { name: name.to_owned(), namespace: namespace.to_owned(), work: Some(work), thread: Some(thread) })
    }

    /// Its name inside the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Does `work` in the node and waits for it. Threads that it starts stay in the node.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let ended = || Error::new(format!("the thread of {} has ended", self.name));
        let (sender, outcome) = mpsc::sync_channel(1);
        let work = move || {
            // A panic is the caller's, who gets it as an error; the thread has to live on for the node's processes.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
        };
        self.work.as_ref().ok_or_else(ended)?.send(Box::new(work)).map_err(|_| ended())?;
        let panicked = |_| Error::new(format!("something in {} panicked", self.name));
        outcome.recv().map_err(|_| ended())?.map_err(panicked)
    }

    /// Starts a process in the node; it does not outlive the node.
    pub fn spawn(&self, mut command: Command) -> Result<Child, Error> {
        let shown = command.get_program().to_string_lossy().into_owned();
        // A killed lab takes its processes with it.
        die_with_parent(&mut command);
        let spawned = self.run(move || command.spawn())?;
        spawned.context(format_args!("start {shown} in {}", self.name))
    }

    /// Runs a command to its end and gives its standard output; fails with its standard error when it fails.
    pub fn output(&self, mut command: Command) -> Result<String, Error> {
        let shown = format!("{} in {}", command.get_program().to_string_lossy(), self.name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn(command)?;
        let done = child.wait_with_output().context(&shown)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if done.status.success() {
            return Ok(text(&done.stdout));
        }
        Err(Error::because(format_args!("{shown} ended with {}", done.status), text(&done.stderr)))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_node_is_an_error_and_the_node_lives_on() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root, for network namespaces");
            return;
        }
        let record = crate::record::Record::take(&format!("n{}", std::process::id())).unwrap();
        let namespace = record.namespace("node");
        Namespace::create(&namespace).unwrap();
        let node = Node::new("node", &namespace).unwrap();
        let failed = node.run::<()>(|| panic!("on purpose"));
        let mut command = Command::new("sh");
        command.args(["-c", "echo went wrong >&2; exit 3"]);
        let error = node.output(command).unwrap_err().to_string();
        drop(node);
        record.end().unwrap();
        assert_eq!(failed.unwrap_err().to_string(), "something in node panicked");
        assert!(error.contains("exit status: 3") && error.contains("went wrong"), "{error}");
    }
}
