//! Routers in one place, without a wire: told things by hand, in virtual time.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test that cannot go on has failed")]

use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::vrrp::{Preempt, Priority, Rounds};
use evenkeel_vrrp::{Heard, Input, Output, Place, Role, Router, Settings};
use std::{net::IpAddr, time::Duration};

/// Keepalived's defaults.
pub(crate) fn settings(priority: u8) -> Settings {
    Settings {
        priority: Priority::new(priority).unwrap(),
        interval: Duration::from_secs(1),
        down_adverts: 3,
        preempt: Preempt::After(Duration::ZERO),
        answer_lower: true,
        rounds: Rounds::default(),
    }
}

/// All routers of a node.
pub(crate) struct Bed {
    pub(crate) router: Router,
    pub(crate) now: Instant,
    pub(crate) out: Outbox<(Place, Output)>,
}

impl Bed {
    /// A group of two and one router beside it, all begun.
    pub(crate) fn new() -> Bed {
        let mut router = Router::new();
        router.add(settings(100));
        router.add(settings(120));
        router.add(settings(100));
        let mut bed = Bed { router, now: Instant::START, out: Outbox::new() };
        bed.group(&[&[0, 1]]);
        for place in 0..3 {
            bed.tell(place, Input::Address(Some(own())));
            bed.tell(place, Input::Start { since_renewal: None });
        }
        bed
    }

    /// Tells one of them something.
    pub(crate) fn tell(&mut self, place: Place, input: Input) {
        self.router.handle(self.now, (place, input), &mut self.out);
    }

    /// Sets the sync groups.
    pub(crate) fn group(&mut self, groups: &[&[Place]]) {
        self.router.group(self.now, groups.iter().map(|places| places.to_vec()).collect(), &mut self.out);
    }

    /// Somebody else advertises.
    pub(crate) fn hear(&mut self, place: Place, priority: u8) {
        let interval = Duration::from_secs(1);
        self.tell(
            place,
            Input::Heard(Heard { source: IpAddr::from([10, 0, 0, 9]), priority, interval, other_addresses: false }),
        );
    }

    /// Lets time pass; everything due is done.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.router.deadline().filter(|due| *due <= end) {
            self.now = due;
            self.router.handle_timeout(due, &mut self.out);
        }
        self.now = end;
    }

    /// Of the first three.
    pub(crate) fn roles(&self) -> [Role; 3] {
        [0, 1, 2].map(|place| self.role(place))
    }

    /// Of one.
    pub(crate) fn role(&self, place: Place) -> Role {
        self.router.instance(place).unwrap().role()
    }

    /// What one of them has said since the last time.
    pub(crate) fn said(&mut self, place: Place) -> Vec<Output> {
        self.out.drain().filter(|(at, _)| *at == place).map(|(_, output)| output).collect()
    }
}

/// What all of them send from.
pub(crate) fn own() -> IpAddr {
    IpAddr::from([10, 0, 0, 2])
}
