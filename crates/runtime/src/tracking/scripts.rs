//! Tracked scripts: one task each, so that none ever runs twice at a time.

use super::{Outlet, Shared, Task};
use evenkeel_model::{Account, vrrp::Tracker};
use evenkeel_os::Ids;
use evenkeel_probe::Ended;
use evenkeel_vrrp::track::Sight;
use tokio::time::{Instant, sleep_until};

/// Runs the script of `tracker` again and again.
pub(super) fn start(tracker: &Tracker, shared: Shared, outlet: Outlet) -> Task {
    let tracker = tracker.clone();
    Task::start(async move {
        let Tracker::Script { script, account, rhythm, .. } = &tracker else { return };
        let target = tracker.target();
        let mut next = Instant::now();
        let mut ids = None;
        loop {
            sleep_until(next).await;
            let begun = Instant::now();
            if ids.is_none() {
                ids = Some(look_up(account.clone()).await);
            }
            let ended = match &ids {
                Some(Ok(ids)) => {
                    // The semaphore is never closed.
                    let _turn = shared.room.acquire().await;
                    shared.programs.run(script, *ids, rhythm.timeout).await
                }
                Some(Err(why)) => Ended::NotRun(why.clone()),
                None => return,
            };
            if !matches!(ids, Some(Ok(_))) {
                ids = None;
            }
            outlet.tell(&target, Sight::Ran(ended.is_good()), ended.to_string()).await;
            // What was missed is not made up for.
            next = (next + rhythm.interval).max(begun);
            if next <= Instant::now() {
                next = Instant::now().max(begun + rhythm.interval);
            }
        }
    })
}

/// Whom to run as; a name service may be slow.
async fn look_up(account: Option<Account>) -> Result<Ids, String> {
    let found = tokio::task::spawn_blocking(move || Ids::of_script(account.as_ref()));
    match found.await {
        Ok(Ok(ids)) => Ok(ids),
        Ok(Err(e)) => Err(e.to_string()),
        Err(e) => Err(e.to_string()),
    }
}
