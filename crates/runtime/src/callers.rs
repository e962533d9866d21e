//! Who waits for an answer, and who waits for the end.

use evenkeel_api::{Refusal, RefusalCode, Reply};
use evenkeel_engine::Token;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// Callers whose answers may be open at the same time; there are fewer clients.
const CALLERS: usize = 65_536;

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
    /// Those who asked for the end: answered when it has come.
    stopping: Vec<u64>,
    /// Their answers.
    parting: Vec<(oneshot::Sender<Reply>, Reply)>,
}

impl Callers {
    /// A new caller; `None` when there are too many. `stops`: the answer is held back until the end has come.
    pub(crate) fn admit(&mut self, reply: oneshot::Sender<Reply>, stops: bool) -> Option<Token> {
        if self.waiting.len() >= CALLERS {
            self.waiting.retain(|_, reply| !reply.is_closed());
        }
        if self.waiting.len() >= CALLERS {
            return None;
        }
        self.next += 1;
        self.waiting.insert(self.next, reply);
        if stops {
            self.stopping.push(self.next);
        }
        Some(Token(self.next))
    }

    /// Answers one, if it still listens.
    pub(crate) fn answer(&mut self, token: Token, reply: Reply) {
        // Gone when the caller has hung up.
        let Some(caller) = self.waiting.remove(&token.0) else { return };
        if self.stopping.contains(&token.0) {
            self.parting.push((caller, reply));
        } else {
            let _ = caller.send(reply);
        }
    }

    /// Answers those who asked for the end: it has come, or `trouble` kept it from being complete.
    pub(crate) fn part(&mut self, trouble: Option<&str>) {
        for (caller, reply) in self.parting.drain(..) {
            let reply = match trouble {
                None => reply,
                Some(why) => Reply::Refused(Refusal::new(RefusalCode::Failed, why)),
            };
            let _ = caller.send(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done() -> Reply {
        Reply::Done { message: "stopped".into() }
    }

    #[test]
    fn who_asked_for_the_end_is_answered_when_it_has_come() {
        let mut callers = Callers::default();
        let (reply, mut answer) = oneshot::channel();
        let token = callers.admit(reply, true).unwrap();
        callers.answer(token, done());
        assert!(answer.try_recv().is_err());
        callers.part(None);
        assert_eq!(answer.try_recv(), Ok(done()));
    }

    #[test]
    fn an_end_that_was_not_clean_is_not_claimed() {
        let mut callers = Callers::default();
        let (reply, mut answer) = oneshot::channel();
        let token = callers.admit(reply, true).unwrap();
        callers.answer(token, done());
        callers.part(Some("a pin stays"));
        assert!(matches!(answer.try_recv(), Ok(Reply::Refused(refusal)) if refusal.message == "a pin stays"));
    }

    #[test]
    fn callers_who_have_hung_up_make_room() {
        let mut callers = Callers::default();
        for _ in 0..CALLERS {
            let (reply, _) = oneshot::channel();
            callers.admit(reply, false).unwrap();
        }
        let (reply, mut answer) = oneshot::channel();
        let token = callers.admit(reply, false).unwrap();
        assert!(callers.waiting.len() <= 2);
        callers.answer(token, done());
        assert_eq!(answer.try_recv(), Ok(done()));
    }
}
