//! An orderly end (HB-23): every group is stopped, then the others are told.

use super::{Holding, Moment, Stage};
use crate::{Refusal, Share, Why};
use std::time::Duration;

/// How long a node that has left stays to say it again.
const LINGER: Duration = Duration::from_secs(2);

impl Holding {
    pub(crate) fn leave(&mut self, at: Moment) {
        match self.stage {
            Stage::Leaving | Stage::Left(_) | Stage::Over => return,
            Stage::Waiting | Stage::Starting { .. } | Stage::Stable => {}
        }
        self.cancel(Refusal::Leaving);
        self.drop_moves(Refusal::Leaving);
        self.say_held(Share::None, false, Some("shutdown"));
        self.stage = Stage::Leaving;
        for group in 0..self.own.len() {
            self.release(group, Why::Leaving);
        }
        self.drop_strays();
        self.leave_on(at);
    }

    pub(crate) fn leave_on(&mut self, at: Moment) {
        match self.stage {
            Stage::Leaving if self.own.iter().all(|own| !own.runs()) => {
                self.say_gone();
                let linger =
                    if self.is_accompanied() { LINGER.min(self.plan.timing.keepalive * 2) } else { Duration::ZERO };
                self.stage = Stage::Left(at.now + linger);
                self.leave_on(at);
            }
            Stage::Left(until) if at.now >= until => self.stage = Stage::Over,
            Stage::Waiting | Stage::Starting { .. } | Stage::Stable | Stage::Leaving | Stage::Left(_) | Stage::Over => {
            }
        }
    }
}
