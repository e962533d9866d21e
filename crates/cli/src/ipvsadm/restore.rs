//! `-R` and ipvsadm-restore: many calls at once.

use super::{Session, SystemNames, carry_out, input};
use evenkeel_api::table::{Edit, EditError};
use evenkeel_ipvsadm::{Call, Fault, Rules, failure, parse};
use std::path::Path;

/// What a line asks for.
type Step = Result<Call, Fault>;

/// ipvsadm-restore: the table is cleared first, and lines that begin with `#` do not count. Its options never did;
/// `--atomic` is ours: a bad line leaves the old table as it was.
pub(super) fn ipvsadm_restore(words: &[String], runtime_dir: &Path) -> Result<(), Fault> {
    let names = SystemNames::default();
    let mut session = Session::open(runtime_dir)?;
    let text: String = input()?.split_inclusive('\n').map(without_comment).collect();
    if words.iter().any(|word| word == "--atomic") {
        let edits = [(0, Edit::Clear {})].into_iter().chain(only_edits("ipvsadm", &text, &names)?).collect();
        return all_or_nothing(edits, &mut session);
    }
    let cleared = session.edit(&[Edit::Clear {}], false)?;
    let restored = restore("ipvsadm", &text, false, &mut session, &names);
    match cleared {
        Some(error) => restored.and(Err(Fault::refused(&Edit::Clear {}, &error))),
        None => restored,
    }
}

fn without_comment(line: &str) -> &str {
    // The line stays, so that the numbers of those after it do.
    if line.starts_with('#') { "\n" } else { line }
}

/// `-R`. Goes on after a change that was refused, and ends at a line that is wrong; the status is that of the last line.
pub(super) fn restore(
    called: &str,
    text: &str,
    atomic: bool,
    session: &mut Session,
    names: &SystemNames,
) -> Result<(), Fault> {
    if atomic {
        return all_or_nothing(only_edits(called, text, names)?, session);
    }
    let mut steps = Vec::new();
    for (_, words) in Rules::new(text) {
        let call = match parse(called, &words, names) {
            // Within a restore there is no other one: it would read what this one reads.
            Ok(Call::Restore { .. }) => parse(called, &[], names),
            call => call,
        };
        let ends = match &call {
            Ok(Call::Help | Call::Version) => true,
            Ok(_) => false,
            Err(fault) => fault.ends,
        };
        steps.push(call);
        if ends {
            break;
        }
    }
    run(called, steps, session, names)
}

fn run(called: &str, steps: Vec<Step>, session: &mut Session, names: &SystemNames) -> Result<(), Fault> {
    let mut status = 0;
    let mut edits = Vec::new();
    for call in steps {
        match call {
            Ok(Call::Edit(edit)) => edits.push(edit),
            other => {
                each(&edits, session, &mut status)?;
                edits.clear();
                status = match other.and_then(|call| carry_out(called, call, session, names)) {
                    Ok(()) => 0,
                    Err(fault) if fault.ends => return Err(fault),
                    Err(fault) => say(&fault),
                };
            }
        }
    }
    each(&edits, session, &mut status)?;
    // All has been said.
    if status == 0 { Ok(()) } else { Err(Fault { status, text: String::new(), ends: true }) }
}

/// Says it, and gives the status it ends with where it is the last.
fn say(fault: &Fault) -> u8 {
    eprintln!("{}", fault.text);
    fault.status
}

/// Makes edits, going on after those that are refused.
fn each(edits: &[Edit], session: &mut Session, status: &mut u8) -> Result<(), Fault> {
    let mut rest = edits;
    // Where many are refused, whole batches of the rest are not sent again and again.
    let mut batch = edits.len();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(batch.min(rest.len()));
        match session.edit(now, false)? {
            None => {
                (*status, rest) = (0, later);
                batch = batch.saturating_mul(2);
            }
            Some(error) => {
                let at = (error.index as usize).min(now.len() - 1);
                *status = say(&refused(now.get(at), &error));
                rest = rest.get(at + 1..).unwrap_or_default();
                batch = 1;
            }
        }
    }
    Ok(())
}

fn refused(edit: Option<&Edit>, error: &EditError) -> Fault {
    edit.map_or_else(|| Fault::refused(&Edit::Clear {}, error), |edit| Fault::refused(edit, error))
}

/// The edits of rules that are to be made together, with their lines.
fn only_edits(called: &str, text: &str, names: &SystemNames) -> Result<Vec<(usize, Edit)>, Fault> {
    let at = |line: usize, fault: Fault| Fault { text: format!("line {line}: {}", fault.text), ..fault };
    let edit = |(line, words): (usize, Vec<String>)| match parse(called, &words, names) {
        Ok(Call::Edit(edit)) => Ok((line, edit)),
        Ok(Call::MaskWithHoles { adds, .. }) => Err(at(line, Fault::mask_with_holes(adds, !adds))),
        Ok(_) => {
            let text = "only changes can be made all or nothing".to_owned();
            Err(at(line, Fault { status: 2, text, ends: true }))
        }
        Err(fault) => Err(at(line, fault)),
    };
    Rules::new(text).map(edit).collect()
}

fn all_or_nothing(edits: Vec<(usize, Edit)>, session: &mut Session) -> Result<(), Fault> {
    let (lines, edits): (Vec<usize>, Vec<Edit>) = edits.into_iter().unzip();
    let Some(error) = session.edit(&edits, true)? else { return Ok(()) };
    let at = error.index as usize;
    let why = edits.get(at).map_or_else(|| error.message.clone(), |edit| failure(edit, &error));
    let text = match lines.get(at) {
        Some(line @ 1..) => format!("line {line}: {why}; nothing was changed"),
        Some(0) | None => format!("{why}; nothing was changed"),
    };
    Err(Fault { status: super::REFUSED, text, ends: true })
}
