//! Renewals of leases, on a thread of their own. The kernel changes addresses under one lock for all network namespaces,
//! which others may hold for hundreds of milliseconds; an advertisement must not wait for it. Only a change of mastership
//! does.

use evenkeel_netlink::{Address, Error, Netlink};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

/// Renewals that may wait; what does not fit is done by whoever asks.
const MOST: usize = 4096;
/// Refusals that may wait to be told.
const REFUSALS: usize = 16;

/// The addresses of an instance while it holds them.
#[derive(Debug)]
pub(crate) struct Held {
    /// Each with the lifetime of its lease.
    pub(crate) addresses: Vec<Address>,
    still: AtomicBool,
}

impl Held {
    pub(crate) fn new(addresses: Vec<Address>) -> Arc<Held> {
        Arc::new(Held { addresses, still: AtomicBool::new(true) })
    }

    /// They are not renewed any more. A renewal that is under way is over once [`Renewals::pause`] has returned.
    pub(crate) fn let_go(&self) {
        self.still.store(false, Ordering::SeqCst);
    }
}

/// Nothing is left half done by a thread that ends.
fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(crate) struct Renewals {
    queue: mpsc::SyncSender<Arc<Held>>,
    refused: mpsc::Receiver<Error>,
    working: Arc<Mutex<()>>,
}

impl Renewals {
    /// Begins in the caller's network namespace.
    pub(crate) fn start() -> Result<Renewals, String> {
        let mut netlink = Netlink::open().map_err(|e| e.to_string())?;
        let (queue, renewals) = mpsc::sync_channel::<Arc<Held>>(MOST);
        let (refusals, refused) = mpsc::sync_channel(REFUSALS);
        let working = Arc::new(Mutex::new(()));
        let at_work = Arc::clone(&working);
        let work = move || {
            // Refused where the elections' thread is: it has told so.
            let _ = evenkeel_os::be_realtime();
            while let Ok(held) = renewals.recv() {
                let _working = lock(&at_work);
                if !held.still.load(Ordering::SeqCst) {
                    continue;
                }
                for address in &held.addresses {
                    if let Err(e) = netlink.hold_address(address) {
                        // The next renewal tells it again.
                        let _ = refusals.try_send(e);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("ha-renew".into()).spawn(work);
        thread.map_err(|e| format!("start the thread for leases: {e}"))?;
        Ok(Renewals { queue, refused, working })
    }

    /// Renews `held` soon; says whether there was room.
    pub(crate) fn renew(&self, held: &Arc<Held>) -> bool {
        self.queue.try_send(Arc::clone(held)).is_ok()
    }

    /// Waits until what was let go is not being renewed.
    pub(crate) fn pause(&self) {
        drop(lock(&self.working));
    }

    /// What could not be renewed since the last time.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = Error> {
        self.refused.try_iter()
    }
}
