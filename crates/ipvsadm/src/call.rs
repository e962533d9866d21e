//! What one call of ipvsadm asks for, and what is said when it cannot be asked for.

use crate::{parse::WRONG_MASK, usage::try_help};
use evenkeel_api::table::{Edit, EditError, EditFailure, Key};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `-h`: print [`crate::usage`].
    Help,
    /// `-v`: print [`crate::VERSION`].
    Version,
    /// A change of the table.
    Edit(Edit),
    /// A change of a service whose persistence mask has holes, which the packet path does not have: it fails, but first
    /// of all where [`Fault::mask_with_holes`] says.
    MaskWithHoles {
        /// The service.
        key: Key,
        /// `-A`, else `-E`.
        adds: bool,
    },
    /// `-L`: the table, or one service of it.
    List(Option<Key>, View),
    /// `-L -c`: the connections.
    Connections {
        /// `-n`
        numeric: bool,
        /// `--persistent-conn`: with what persistence engines know.
        engines: bool,
    },
    /// `-L --timeout`.
    Timeouts,
    /// `-L --daemon`: what the daemons of connection synchronisation do.
    Daemons,
    /// `-S`.
    Save {
        /// `-n`
        numeric: bool,
    },
    /// `-R`: calls from standard input, one a line.
    Restore {
        /// Ours: a bad line changes nothing.
        atomic: bool,
    },
    /// `--start-daemon`.
    StartDaemon,
    /// `--stop-daemon`.
    StopDaemon,
}

/// How a list looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// `-n`: addresses and ports as numbers.
    pub numeric: bool,
    /// `--exact`: numbers in full.
    pub exact: bool,
    /// `--nosort`: in the order of the daemon.
    pub unsorted: bool,
    /// What is told of each real server.
    pub columns: Columns,
}

/// What a list tells of each real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Method, weight, connections.
    #[default]
    Plain,
    /// The same and `--tun-info`.
    Tunnels,
    /// `--stats`
    Stats,
    /// `--rate`
    Rates,
    /// `--thresholds`
    Thresholds,
    /// `--persistent-conn`
    Persistent,
}

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Exit status.
    pub status: u8,
    /// What is written to standard error, without its last line feed.
    pub text: String,
    /// Whether a restore ends here; else it goes on with the next line.
    pub ends: bool,
}

impl Fault {
    /// A wrong value or combination.
    pub(crate) fn wrong(text: impl Into<String>) -> Fault {
        Fault { status: 2, text: text.into(), ends: true }
    }

    /// A word that is no option.
    pub(crate) fn bad_word(text: String) -> Fault {
        Fault { status: 255, text, ends: false }
    }

    /// Nothing that begins as a call of ipvsadm does.
    pub(crate) fn try_help(program: &str) -> Fault {
        Fault { status: 255, text: try_help(program), ends: true }
    }

    /// What is said about a mask with holes, where the service is in the table or is not. IPVS takes such a mask, but
    /// has its other complaints first.
    pub fn mask_with_holes(adds: bool, exists: bool) -> Fault {
        match (adds, exists) {
            (true, true) => Fault { status: 255, text: "Service already exists".to_owned(), ends: false },
            (false, false) => Fault { status: 255, text: "No such service".to_owned(), ends: false },
            (true, false) | (false, true) => Fault::wrong(WRONG_MASK),
        }
    }

    /// An edit that was not made.
    pub fn refused(edit: &Edit, error: &EditError) -> Fault {
        Fault { status: 255, text: failure(edit, error), ends: false }
    }
}

/// What is said about an edit that was not made.
pub fn failure(edit: &Edit, error: &EditError) -> String {
    let text = match error.failure {
        EditFailure::ServiceExists => "Service already exists",
        EditFailure::NoService => match edit {
            Edit::AddServer(..) | Edit::EditServer(..) | Edit::RemoveServer(..) => "Service not defined",
            Edit::AddService(..)
            | Edit::EditService(..)
            | Edit::RemoveService(_)
            | Edit::Clear {}
            | Edit::Zero(_)
            | Edit::Timeouts { .. } => "No such service",
        },
        EditFailure::ServerExists => "Destination already exists",
        EditFailure::NoServer => "No such destination",
        EditFailure::NoScheduler => "Scheduler or persistence engine not found",
        EditFailure::Thresholds => "Numerical result out of range",
        EditFailure::NotUnicast => "Invalid operation.  Possibly wrong module version, address not unicast, ...",
        EditFailure::Refused => error.message.as_str(),
    };
    text.to_owned()
}

/// Whether `ipvsadm-save` is asked for numbers; `None`: for its usage. Words without a dash were never looked at.
pub fn save_call(words: &[String]) -> Option<bool> {
    let options: Vec<&String> = words.iter().filter(|word| word.starts_with('-')).collect();
    options.iter().all(|word| word.as_str() == "-n").then_some(!options.is_empty())
}

/// What `ipvsadm-save` says about any other option.
pub fn wrong_save_call(program: &str) -> String {
    format!(
        "{program}: Script to save the IPVS table to stdout.\n   With the -n option, prints out the table in numeric format."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn ipvsadm_save_knows_one_option() {
        assert_eq!(save_call(&words("")), Some(false));
        assert_eq!(save_call(&words("-n x -n")), Some(true));
        assert_eq!(save_call(&words("x")), Some(false));
        for line in ["-x", "--", "-nx", "-n -h"] {
            assert_eq!(save_call(&words(line)), None, "{line}");
        }
    }

    #[test]
    fn a_missing_service_is_told_as_the_command_has_it() {
        let key = Key::Mark { mark: 7, ipv6: false };
        let error = EditError { index: 0, failure: EditFailure::NoService, message: "gone".to_owned() };
        assert_eq!(failure(&Edit::RemoveService(key), &error), "No such service");
        let server = "10.0.0.1:80".parse().expect("an address");
        assert_eq!(failure(&Edit::RemoveServer(key, server), &error), "Service not defined");
        let refused = EditError { failure: EditFailure::Refused, ..error };
        assert_eq!(failure(&Edit::RemoveService(key), &refused), "gone");
    }
}
