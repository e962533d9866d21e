//! Instances of their own for the files that `execute=` names: started with this one, and made to follow its reloads and
//! its end. They are told so by the program's own command line, as an init script would.

use crate::commands::{Commands, Order};
use std::{collections::BTreeSet, path::PathBuf};

/// The other instances.
#[derive(Debug)]
pub(crate) struct Instances {
    /// This program.
    program: PathBuf,
    started: BTreeSet<String>,
}

impl Instances {
    pub(crate) fn new(program: PathBuf) -> Instances {
        Instances { program, started: BTreeSet::new() }
    }

    /// Starts those that are new, stops those that are gone, and lets the others reload. Gives back what was refused.
    pub(crate) fn follow(&mut self, files: &[String], commands: &Commands) -> Vec<String> {
        let wanted: BTreeSet<String> = files.iter().cloned().collect();
        let mut orders = Vec::new();
        for gone in self.started.difference(&wanted) {
            orders.push(self.order(gone, "stop"));
        }
        for file in &wanted {
            let word = if self.started.contains(file) { "reload" } else { "start" };
            orders.push(self.order(file, word));
        }
        self.started = wanted;
        orders
            .into_iter()
            .filter_map(|order| {
                let what = order.to_string();
                commands.run(order).err().map(|why| format!("cannot run {what}: {why}"))
            })
            .collect()
    }

    /// Stops all.
    pub(crate) fn stop(&mut self, commands: &Commands) -> Vec<String> {
        self.follow(&[], commands)
    }

    fn order(&self, file: &str, word: &str) -> Order {
        let arguments = vec!["ldirectord".to_owned(), file.to_owned(), word.to_owned()];
        Order::new(format!("instance {file}"), self.program.clone(), arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};
    use tokio::task::LocalSet;

    #[tokio::test]
    async fn they_start_follow_reloads_and_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (program, log) = (dir.path().join("program"), dir.path().join("log"));
        fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        LocalSet::new()
            .run_until(async {
                let (commands, done) = Commands::start(|failed| panic!("{failed:?}"));
                let mut instances = Instances::new(program);
                assert!(instances.follow(&["b.cf".into()], &commands).is_empty());
                assert!(instances.follow(&["b.cf".into()], &commands).is_empty());
                assert!(instances.stop(&commands).is_empty());
                drop(commands);
                done.await.unwrap();
            })
            .await;
        let said = fs::read_to_string(log).unwrap();
        assert_eq!(said, "ldirectord b.cf start\nldirectord b.cf reload\nldirectord b.cf stop\n");
    }
}
