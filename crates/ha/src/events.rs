//! What the loop waits for.

use evenkeel_machine::Instant;
use rustix::{
    event::epoll,
    io::Errno,
    time::{
        ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
        timerfd_settime,
    },
};
use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

/// Descriptors reported by one wait.
const BATCH: usize = 64;
/// Of the timer itself.
const TIMER: u64 = u64::MAX;

/// An epoll set with one timer. Time is CLOCK_BOOTTIME: it counts on while the host sleeps, so that a node that was
/// suspended knows that it was.
pub(crate) struct Events {
    set: OwnedFd,
    timer: OwnedFd,
    armed: Option<Instant>,
    start: Duration,
}

impl Events {
    pub(crate) fn open() -> Result<Events, String> {
        let opened = || -> Result<Events, Errno> {
            let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            epoll::add(&set, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
            Ok(Events { set, timer, armed: None, start: boottime() })
        };
        opened().map_err(|e| format!("make a timer: {e}"))
    }

    /// One whose instants count from the start of the host, as [`boottime`] does.
    pub(crate) fn since_boot() -> Result<Events, String> {
        Ok(Events { start: Duration::ZERO, ..Events::open()? })
    }

    /// The present instant.
    pub(crate) fn now(&self) -> Instant {
        Instant::at(boottime().saturating_sub(self.start))
    }

    /// When `startup` is over from now on and `boot` from the start of the host; `None` where both are.
    pub(crate) fn not_before(&self, startup: Duration, boot: Duration) -> Option<Instant> {
        let wait = startup.max(boot.saturating_sub(boottime()));
        (!wait.is_zero()).then(|| self.now() + wait)
    }

    /// Waits for `descriptor` too, which is called `key`.
    pub(crate) fn add(&self, descriptor: impl AsFd, key: u64) -> Result<(), String> {
        let data = epoll::EventData::new_u64(key);
        epoll::add(&self.set, descriptor, data, epoll::EventFlags::IN).map_err(|e| format!("wait for a socket: {e}"))
    }

    /// Waits for `descriptor` no more.
    pub(crate) fn remove(&self, descriptor: impl AsFd) -> Result<(), String> {
        epoll::delete(&self.set, descriptor).map_err(|e| format!("wait for a socket: {e}"))
    }

    /// Waits until something is readable or `deadline` has come; puts the keys of what is readable into `keys`.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>, keys: &mut Vec<u64>) -> Result<(), String> {
        if deadline != self.armed {
            self.arm(deadline).map_err(|e| format!("set a timer: {e}"))?;
            self.armed = deadline;
        }
        keys.clear();
        let mut ready = [const { MaybeUninit::uninit() }; BATCH];
        match epoll::wait(&self.set, &mut ready, None) {
            Ok((ready, _)) => keys.extend(ready.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(e) => return Err(format!("wait for events: {e}")),
        }
        if let Some(at) = keys.iter().position(|key| *key == TIMER) {
            keys.swap_remove(at);
            // The count of expirations says nothing that the clock does not.
            let _ = rustix::io::read(&self.timer, &mut [0; 8]);
            self.armed = None;
        }
        Ok(())
    }

    fn arm(&self, deadline: Option<Instant>) -> Result<(), Errno> {
        // An absolute time of zero would disarm the timer.
        let at = deadline.map_or(Duration::ZERO, |at| (self.start + at.since_start()).max(Duration::from_nanos(1)));
        let value =
            Timespec { tv_sec: i64::try_from(at.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(at.subsec_nanos()) };
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let wanted = Itimerspec { it_interval: zero, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &wanted).map(|_| ())
    }
}

/// CLOCK_BOOTTIME.
pub(crate) fn boottime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
