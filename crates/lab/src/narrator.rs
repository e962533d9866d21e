//! How a script says what happens: one line an event.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::error::Error;

/// Says what happens, to people or to programs.
#[derive(Clone, Copy)]
pub(crate) struct Narrator {
    json: bool,
    begun: Instant,
}

impl Narrator {
    /// One that begins to count now.
    pub(crate) fn new(json: bool) -> Narrator {
        Narrator { json, begun: Instant::now() }
    }

    /// The last word on a script, with the step that failed, if one did.
    pub(crate) fn conclude(self, outcome: Result<(), (&'static str, Error)>) -> Result<(), Error> {
        match &outcome {
            Ok(()) => self.tell("done", "every step went as it should", json!({})),
            Err((step, error)) => self.line(step, &error.to_string(), false, json!({})),
        }
        outcome.map_err(|(step, _)| Error::new(format!("go on after the failed step `{step}`")))
    }

    /// One event that went well; `facts` are numbers for programs.
    pub(crate) fn tell(&self, step: &str, event: &str, facts: Value) {
        self.line(step, event, true, facts);
    }

    fn line(&self, step: &str, event: &str, ok: bool, facts: Value) {
        let milliseconds = millis(self.begun.elapsed());
        let mut out = std::io::stdout().lock();
        let written = if self.json {
            let mut object = Map::new();
            object.insert("t_ms".into(), milliseconds.into());
            object.insert("step".into(), step.into());
            object.insert("event".into(), event.into());
            object.insert("ok".into(), ok.into());
            object.extend(facts.as_object().cloned().unwrap_or_default());
            writeln!(out, "{}", Value::Object(object))
        } else {
            let seconds = Duration::from_millis(milliseconds).as_secs_f64();
            writeln!(out, "{seconds:8.3} s  {step:<10}  {}{event}", if ok { "" } else { "FAILED: " })
        };
        // Whoever reads the tour may stop reading; the lab is removed all the same.
        drop(written.and_then(|()| out.flush()));
    }
}

/// Whole milliseconds, for programs.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A duration for people.
pub(crate) fn text(duration: Duration) -> String {
    match duration.as_millis() {
        0..10 => format!("{:.1} ms", duration.as_secs_f64() * 1000.0),
        10..10_000 => format!("{} ms", duration.as_millis()),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_to_read() {
        assert_eq!(text(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(text(Duration::from_millis(345)), "345 ms");
        assert_eq!(text(Duration::from_millis(12_345)), "12.3 s");
    }
}
