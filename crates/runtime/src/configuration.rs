//! Reads what is to be run, again and again, without stopping the loop meanwhile.

use crate::watch::SourceFile;
use evenkeel_config::keepalived::{GlobalWord, vrrp::Vrrp};
use evenkeel_engine::Token;
use evenkeel_model::Cluster;
use std::{collections::VecDeque, path::PathBuf, sync::Arc};
use tokio::sync::mpsc;

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// What is to be done.
    pub cluster: Cluster,
    /// The files that were read, to be looked at for changes.
    pub files: Vec<SourceFile>,
    /// Warnings, one sentence each.
    pub warnings: Vec<String>,
    /// What a keepalived.conf says in its own words, for who shows it so.
    pub written: Option<Arc<Written>>,
}

/// What a keepalived.conf says in its own words.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// `global_defs`, word for word.
    pub globals: Vec<GlobalWord>,
    /// Everything about VRRP.
    pub vrrp: Vrrp,
}

/// Reads the files. May take its time: names are resolved. The error is the first mistake, and how many more.
pub type Loader = Arc<dyn Fn() -> Result<Configuration, String> + Send + Sync>;

/// Readings that wait for the one under way; more are refused.
const WAITING: usize = 64;

/// What a reading is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client asked for a reload.
    Asked(Token),
    /// A client asks what a reload would change.
    Plan(Token),
    /// SIGHUP.
    Signal,
    /// This file has changed.
    Changed(PathBuf),
}

/// A reading that has ended.
pub(crate) type Reading = (Purpose, Result<Configuration, String>);

/// One reading at a time.
pub(crate) struct Reader {
    loader: Loader,
    done: mpsc::Sender<Reading>,
    busy: bool,
    waiting: VecDeque<Purpose>,
}

impl Reader {
    pub(crate) fn new(loader: Loader) -> (Reader, mpsc::Receiver<Reading>) {
        let (done, readings) = mpsc::channel(1);
        (Reader { loader, done, busy: false, waiting: VecDeque::new() }, readings)
    }

    /// Begins a reading now or after the one under way. Hands the purpose back where too many wait.
    pub(crate) fn read(&mut self, purpose: Purpose) -> Result<(), Purpose> {
        if !self.busy {
            self.begin(purpose);
            return Ok(());
        }
        let nobody_waits = matches!(purpose, Purpose::Signal | Purpose::Changed(_));
        if nobody_waits && self.waiting.contains(&purpose) {
            return Ok(());
        }
        if self.waiting.len() >= WAITING {
            return Err(purpose);
        }
        self.waiting.push_back(purpose);
        Ok(())
    }

    /// The reading has been received: the next may begin.
    pub(crate) fn received(&mut self) {
        self.busy = false;
        if let Some(purpose) = self.waiting.pop_front() {
            self.begin(purpose);
        }
    }

    fn begin(&mut self, purpose: Purpose) {
        self.busy = true;
        let (loader, done) = (self.loader.clone(), self.done.clone());
        tokio::task::spawn_local(async move {
            let read = tokio::task::spawn_blocking(move || loader()).await;
            let result = read.unwrap_or_else(|_| Err("reading the files failed within itself".to_owned()));
            // Nobody listens any more when the daemon ends.
            let _ = done.send((purpose, result)).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::task::LocalSet;

    #[tokio::test]
    async fn one_reading_at_a_time_and_equal_ones_without_an_asker_are_one() {
        LocalSet::new()
            .run_until(async {
                let count = Arc::new(AtomicUsize::new(0));
                let counted = count.clone();
                let loader: Loader = Arc::new(move || {
                    counted.fetch_add(1, Ordering::SeqCst);
                    Ok(Configuration::default())
                });
                let (mut reader, mut readings) = Reader::new(loader);
                reader.read(Purpose::Signal).unwrap();
                for _ in 0..1000 {
                    reader.read(Purpose::Signal).unwrap();
                }
                for n in 1..WAITING {
                    reader.read(Purpose::Asked(Token(n as u64))).unwrap();
                }
                assert_eq!(reader.read(Purpose::Asked(Token(99))), Err(Purpose::Asked(Token(99))));
                for n in 0..=WAITING {
                    let (purpose, result) = readings.recv().await.unwrap();
                    assert!(result.is_ok());
                    let want = if n < 2 { Purpose::Signal } else { Purpose::Asked(Token(n as u64 - 1)) };
                    assert_eq!(purpose, want);
                    reader.received();
                }
                assert_eq!(count.load(Ordering::SeqCst), WAITING + 1);
            })
            .await;
    }

    #[tokio::test]
    async fn a_panic_while_reading_is_a_failed_reading() {
        LocalSet::new()
            .run_until(async {
                let (mut reader, mut readings) = Reader::new(Arc::new(|| panic!("a fault in a front end")));
                reader.read(Purpose::Signal).unwrap();
                assert!(readings.recv().await.unwrap().1.is_err());
            })
            .await;
    }
}
