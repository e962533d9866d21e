//! What follows when a BFD session comes up or goes down.

use super::Core;
use evenkeel_bfd::Standing;
use evenkeel_engine::Input;

impl Core {
    /// A session stands otherwise.
    pub(crate) fn hear_session(&mut self, name: &str, standing: Standing) {
        let change = self.elections.bfd.take(name, standing, self.clock.now());
        if let Some(event) = change.event {
            self.publish(event);
        }
        if let Some(check) = change.check {
            let (up, why) = (check.is_ok(), check.err().unwrap_or_default());
            self.tell(Input::Session { name: name.to_owned(), up, why });
        }
    }
}
