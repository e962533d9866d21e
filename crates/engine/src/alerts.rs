//! Mails about state changes, gathered so that a flapping real server fills no mailbox.
//!
//! The first change is told at once. What follows within the pause goes into one mail at its end, and the pause doubles
//! while it keeps coming; a quiet pause starts over. `emailalertfreq` repeats what stays down.

use crate::{Effect, Mail};
use evenkeel_api::Event;
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::Alerts;
use std::{collections::BTreeMap, time::Duration};

/// The pause after a mail.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Lines in one mail; those beyond are counted.
pub(crate) const LINES: usize = 200;

/// What a mail may be about, in the words of `emailalertstatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Starting,
    Running,
    Stopping,
    Reloading,
}

impl Topic {
    fn word(self) -> &'static str {
        match self {
            Topic::Starting => "starting",
            Topic::Running => "running",
            Topic::Stopping => "stopping",
            Topic::Reloading => "reloading",
        }
    }

    /// Whether `alerts` asks for it.
    pub(crate) fn is_wanted(self, alerts: &Alerts) -> bool {
        alerts.status.iter().any(|word| word == self.word() || word == "all")
    }
}

#[derive(Debug)]
struct Group {
    alerts: Alerts,
    /// Of the first line.
    headline: String,
    lines: Vec<String>,
    more: usize,
    pause: Duration,
    /// End of the pause; none while nothing was told lately.
    paused_until: Option<Instant>,
    repeat_at: Option<Instant>,
}

/// All that tells one [`Alerts`] from another.
type Key = (Vec<String>, Option<String>, Option<String>, Duration, Vec<String>);

/// All groups of recipients.
#[derive(Debug)]
pub(crate) struct Mailer {
    /// Name of this node.
    node: String,
    groups: BTreeMap<Key, Group>,
}

impl Mailer {
    pub(crate) fn new(node: String) -> Mailer {
        Mailer { node, groups: BTreeMap::new() }
    }

    /// Tells `news` to the recipients of `alerts`, now or at the end of their pause.
    pub(crate) fn tell(&mut self, now: Instant, alerts: &Alerts, topic: Topic, news: News, out: &mut Outbox<Effect>) {
        if alerts.to.is_empty() || !topic.is_wanted(alerts) {
            return;
        }
        let node = self.node.clone();
        let group = self.group(alerts);
        if group.lines.is_empty() {
            group.headline = news.headline;
        }
        if group.lines.len() < LINES {
            group.lines.push(news.line);
        } else {
            group.more += 1;
        }
        if group.paused_until.is_none() {
            group.send(&node, now, out);
        }
    }

    /// A real server of these `alerts` went down: it is told again while it stays so.
    pub(crate) fn remind(&mut self, now: Instant, alerts: &Alerts) {
        if alerts.repeat > Duration::ZERO && Topic::Running.is_wanted(alerts) && !alerts.to.is_empty() {
            let group = self.group(alerts);
            group.repeat_at = group.repeat_at.or(Some(now + alerts.repeat));
        }
    }

    fn group(&mut self, alerts: &Alerts) -> &mut Group {
        let Alerts { to, from, smtp, repeat, status } = alerts.clone();
        self.groups.entry((to, from, smtp, repeat, status)).or_insert_with(|| Group {
            alerts: alerts.clone(),
            headline: String::new(),
            lines: Vec::new(),
            more: 0,
            pause: PAUSE,
            paused_until: None,
            repeat_at: None,
        })
    }

    /// When a pause ends or a reminder is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.groups.values().flat_map(|group| [group.paused_until, group.repeat_at]).flatten().min()
    }

    /// Sends what has become due. `down` lists the real servers of some alerts that are down, one line each.
    pub(crate) fn due(&mut self, now: Instant, down: impl Fn(&Alerts) -> Vec<String>, out: &mut Outbox<Effect>) {
        for group in self.groups.values_mut() {
            if group.repeat_at.is_some_and(|at| at <= now) {
                let lines = down(&group.alerts);
                group.repeat_at = (!lines.is_empty()).then(|| now + group.alerts.repeat);
                group.repeat(&self.node, lines, out);
            }
            if group.paused_until.is_some_and(|at| at <= now) {
                group.paused_until = None;
                if group.lines.is_empty() {
                    group.pause = PAUSE;
                } else {
                    group.pause = (group.pause * 2).min(LONGEST_PAUSE);
                    group.send(&self.node, now, out);
                }
            }
        }
        self.groups.retain(|_, group| group.paused_until.is_some() || group.repeat_at.is_some());
    }

    /// Sends all that waits; the daemon ends.
    pub(crate) fn flush(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        for group in self.groups.values_mut() {
            if !group.lines.is_empty() {
                group.send(&self.node, now, out);
            }
        }
    }
}

impl Group {
    fn send(&mut self, node: &str, now: Instant, out: &mut Outbox<Effect>) {
        let mut lines = std::mem::take(&mut self.lines);
        let headline = std::mem::take(&mut self.headline);
        let others = (lines.len() + self.more).saturating_sub(1);
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
            self.more = 0;
        }
        self.paused_until = Some(now + self.pause);
        out.push(Effect::Mail(self.mail(subject(node, &headline, others), lines)));
    }

    fn repeat(&self, node: &str, mut lines: Vec<String>, out: &mut Outbox<Effect>) {
        let Some(first) = lines.first() else { return };
        let count = lines.len();
        let subject = subject(node, first_clause(first), count - 1);
        lines.truncate(LINES);
        if count > LINES {
            lines.push(format!("and {} more", count - LINES));
        }
        out.push(Effect::Mail(self.mail(subject, lines)));
    }

    fn mail(&self, subject: String, lines: Vec<String>) -> Mail {
        let Alerts { to, from, smtp, repeat: _, status: _ } = self.alerts.clone();
        Mail { to, from, smtp, subject, body: lines.join("\n") + "\n" }
    }
}

/// One line of a mail, and the few words its subject says of it.
#[derive(Clone, Debug)]
pub(crate) struct News {
    headline: String,
    line: String,
}

impl News {
    /// Of the daemon itself.
    pub(crate) fn of_daemon(what: &str) -> News {
        News { headline: what.to_owned(), line: format!("evenkeel {what}") }
    }

    pub(crate) fn of_event(event: &Event) -> News {
        let line = event.to_string();
        News { headline: headline(event).unwrap_or_else(|| first_sentence(&line).to_owned()), line }
    }
}

/// The changes mails are mostly about, shorter than their sentences begin.
fn headline(event: &Event) -> Option<String> {
    if let Event::ServerDown { service, server, .. } = event {
        return Some(format!("real server {server} of {service} is down"));
    }
    if let Event::ServerUp { service, server, .. } = event {
        return Some(format!("real server {server} of {service} is up"));
    }
    None
}

fn first_sentence(line: &str) -> &str {
    line.split(".  ").next().unwrap_or(line).trim_end_matches('.')
}

/// Of a reminder: all before the reason.
fn first_clause(line: &str) -> &str {
    line.match_indices(": ").nth(1).and_then(|(at, _)| line.get(..at)).unwrap_or(line)
}

/// Short enough for a list of mails.
fn subject(node: &str, headline: &str, others: usize) -> String {
    let headline: String = headline.chars().take(120).collect();
    match others {
        0 => format!("evenkeel on {node}: {headline}"),
        _ => format!("evenkeel on {node}: {headline} (+{others} more)"),
    }
}
