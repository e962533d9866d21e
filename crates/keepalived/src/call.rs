//! One call of keepalived: its options, as getopt_long reads them.

#[cfg(test)]
mod tests;

use crate::signal::signal_number;
use std::path::PathBuf;

/// What a daemon, or a test of its configuration, is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `-f`; the usual place where none is given.
    pub file: PathBuf,
    /// Not `-C`.
    pub vrrp: bool,
    /// Not `-P`.
    pub services: bool,
    /// Not `-B`.
    pub bfd: bool,
    /// `-n`
    pub foreground: bool,
    /// `-l`
    pub log_to_console: bool,
    /// `-g FILE`
    pub log_file: Option<PathBuf>,
    /// `-S`: name of the facility.
    pub log_facility: String,
    /// Not `-G`.
    pub syslog: bool,
    /// `-t`, and the file that messages go to.
    pub test: Option<Option<PathBuf>>,
    /// `-I`: services stay when the daemon ends.
    pub keep_services: bool,
    /// `-p`
    pub pid: Option<PathBuf>,
    /// `-r`
    pub vrrp_pid: Option<PathBuf>,
    /// `-c`
    pub checkers_pid: Option<PathBuf>,
    /// `-b`
    pub bfd_pid: Option<PathBuf>,
    /// `-i`
    pub config_id: Option<String>,
    /// `-u`
    pub umask: Option<u32>,
    /// What was given and changes nothing: the option, and why.
    pub idle: Vec<(&'static str, &'static str)>,
    /// Things to say that keep nothing from going on, each a line as keepalived has it.
    pub remarks: Vec<String>,
}

/// Where the configuration is.
const FILE: &str = "/etc/keepalived/keepalived.conf";

impl Default for Call {
    fn default() -> Call {
        Call {
            file: PathBuf::from(FILE),
            vrrp: true,
            services: true,
            bfd: true,
            foreground: false,
            log_to_console: false,
            log_file: None,
            log_facility: "daemon".to_owned(),
            syslog: true,
            test: None,
            keep_services: false,
            pid: None,
            vrrp_pid: None,
            checkers_pid: None,
            bfd_pid: None,
            config_id: None,
            umask: None,
            idle: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// What came of the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// `-h`
    Help,
    /// `-v`
    Version,
    /// `--signum`: the number.
    Signal(i32),
    /// Serve, or test the configuration.
    Call(Box<Call>),
    /// Lines for standard error; the status is 1.
    Wrong(Vec<String>),
}

/// What an option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    File,
    OnlyVrrp,
    OnlyServices,
    NoBfd,
    Console,
    Facility,
    LogFile,
    NoSyslog,
    Umask,
    KeepServices,
    Foreground,
    Pid,
    VrrpPid,
    CheckersPid,
    BfdPid,
    ConfigId,
    Signal,
    Test,
    Version,
    Help,
    /// It is so anyhow: all parts run in one process, every line is written at once and says what there is to say.
    Nothing,
    /// It changes nothing, for this reason.
    Idle(&'static str),
    /// It is not done, for this reason.
    Refused(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    No,
    Must,
    May,
}

/// An option: its long name, its letter, whether a value follows, and what it means.
struct Opt(&'static str, Option<char>, Value, Word);

const SNMP: &str = "there is no SNMP agent; `evenkeel status --json` and the dump files have the numbers";
const CORE: &str = "the service manager or `ulimit -c` says whether there are core dumps";
const GENHASH: &str = "digests of pages are not checked; name a status code or a pattern instead";
const KEPT: &str = "addresses that no daemon holds answer for a node that may have failed; leave it out: a backup takes \
                    them before they go";
const NAMESPACE: &str = "run it in the namespace: ip netns exec NAME keepalived ...";

const OPTIONS: [Opt; 33] = [
    Opt("use-file", Some('f'), Value::Must, Word::File),
    Opt("vrrp", Some('P'), Value::No, Word::OnlyVrrp),
    Opt("check", Some('C'), Value::No, Word::OnlyServices),
    Opt("no_bfd", Some('B'), Value::No, Word::NoBfd),
    Opt("all", None, Value::No, Word::Nothing),
    Opt("log-console", Some('l'), Value::No, Word::Console),
    Opt("log-detail", Some('D'), Value::No, Word::Nothing),
    Opt("log-facility", Some('S'), Value::Must, Word::Facility),
    Opt("log-file", Some('g'), Value::May, Word::LogFile),
    Opt("flush-log-file", None, Value::No, Word::Nothing),
    Opt("no-syslog", Some('G'), Value::No, Word::NoSyslog),
    Opt("umask", Some('u'), Value::Must, Word::Umask),
    Opt("release-vips", Some('X'), Value::No, Word::Idle("addresses always go with mastership")),
    Opt("dont-release-vrrp", Some('V'), Value::No, Word::Refused(KEPT)),
    Opt("dont-release-ipvs", Some('I'), Value::No, Word::KeepServices),
    Opt("dont-respawn", Some('R'), Value::No, Word::Nothing),
    Opt("dont-fork", Some('n'), Value::No, Word::Foreground),
    Opt("dump-conf", Some('d'), Value::No, Word::Idle("SIGUSR1 writes what runs, and `evenkeel check` what is wrong")),
    Opt("pid", Some('p'), Value::Must, Word::Pid),
    Opt("vrrp_pid", Some('r'), Value::Must, Word::VrrpPid),
    Opt("genhash", Some('T'), Value::No, Word::Refused(GENHASH)),
    Opt("checkers_pid", Some('c'), Value::Must, Word::CheckersPid),
    Opt("address-monitoring", Some('a'), Value::No, Word::Idle("`ip monitor address` shows them")),
    Opt("bfd_pid", Some('b'), Value::Must, Word::BfdPid),
    Opt("snmp", Some('x'), Value::No, Word::Idle(SNMP)),
    Opt("snmp-agent-socket", Some('A'), Value::Must, Word::Idle(SNMP)),
    Opt("core-dump", Some('m'), Value::No, Word::Idle(CORE)),
    Opt("core-dump-pattern", Some('M'), Value::May, Word::Idle(CORE)),
    Opt("namespace", Some('s'), Value::Must, Word::Refused(NAMESPACE)),
    Opt("all-config", Some('e'), Value::No, Word::Idle("a file that is included and missing is always told")),
    Opt("config-id", Some('i'), Value::Must, Word::ConfigId),
    Opt("signum", None, Value::Must, Word::Signal),
    Opt("config-test", Some('t'), Value::May, Word::Test),
];

const LAST: [Opt; 2] =
    [Opt("version", Some('v'), Value::No, Word::Version), Opt("help", Some('h'), Value::No, Word::Help)];

fn options() -> impl Iterator<Item = &'static Opt> {
    OPTIONS.iter().chain(&LAST)
}

/// Reads the words after the program's name.
pub fn parse(words: &[String]) -> Parsed {
    let mut call = Call::default();
    let (mut wrong, mut rest) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let found = match word.as_str() {
            "--" => {
                rest.extend(words.by_ref().cloned());
                break;
            }
            long if long.starts_with("--") => long_option(long, &mut words).map(|one| vec![one]),
            short if short.len() > 1 && short.starts_with('-') => short_options(short, &mut words),
            other => {
                rest.push(other.to_owned());
                continue;
            }
        };
        match found {
            Err(why) => wrong.push(why),
            Ok(found) => {
                for (option, value) in found {
                    if let Some(parsed) = take(&mut call, option, value, &mut wrong) {
                        return parsed;
                    }
                }
            }
        }
    }
    if !rest.is_empty() {
        call.remarks.push(format!("Unexpected argument(s): {}", rest.join(" ")));
    }
    if wrong.is_empty() { Parsed::Call(Box::new(call)) } else { Parsed::Wrong(wrong) }
}

type Found = (&'static Opt, Option<String>);

/// `--name`, `--name=value` or `--name value`; a name may be cut where that leaves no doubt.
fn long_option<'a>(word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<Found, String> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
    let name = name.trim_start_matches('-');
    let begins: Vec<&Opt> = options().filter(|option| option.0.starts_with(name)).collect();
    let exact = begins.iter().find(|option| option.0 == name).copied();
    let option = match (exact, begins.as_slice()) {
        (Some(option), _) => option,
        (None, [option]) => *option,
        (None, _) => return Err(format!("Unknown option {word}")),
    };
    let value = match (option.2, value) {
        (Value::No, Some(_)) => return Err(format!("Unknown option {word}")),
        (Value::No, None) | (Value::May, None) => None,
        (Value::May | Value::Must, Some(value)) => Some(value),
        (Value::Must, None) => rest.next().cloned(),
    };
    match (option.2, &value) {
        (Value::Must, Some(value)) if value.is_empty() => missing(option),
        (Value::Must, None) => missing(option),
        _ => Ok((option, value)),
    }
}

fn missing(option: &Opt) -> Result<Found, String> {
    Err(format!("Missing parameter for option --{}", option.0))
}

/// `-nlD`, `-f FILE` or `-fFILE`.
fn short_options<'a>(word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<Vec<Found>, String> {
    let mut found = Vec::new();
    let mut letters = word.chars().skip(1);
    while let Some(letter) = letters.next() {
        let Some(option) = options().find(|option| option.1 == Some(letter)) else {
            return Err(format!("Unknown option -{letter}"));
        };
        if option.2 == Value::No {
            found.push((option, None));
            continue;
        }
        let joined: String = letters.by_ref().collect();
        // keepalived takes the sign of `-t=FILE` for a part of the name.
        let joined = if option.2 == Value::May { joined.trim_start_matches('=') } else { &joined };
        let value = match (joined.is_empty(), option.2) {
            (false, _) => Some(joined.to_owned()),
            (true, Value::Must) => match rest.next() {
                Some(value) => Some(value.clone()),
                None => return Err(format!("Missing parameter for option -{letter}")),
            },
            (true, Value::May | Value::No) => None,
        };
        found.push((option, value));
    }
    Ok(found)
}

/// Does one option; gives what ends the reading.
fn take(call: &mut Call, option: &'static Opt, value: Option<String>, wrong: &mut Vec<String>) -> Option<Parsed> {
    let path = || value.clone().map(PathBuf::from);
    match option.3 {
        Word::File => call.file = path().unwrap_or_default(),
        Word::OnlyVrrp => call.services = false,
        Word::OnlyServices => call.vrrp = false,
        Word::NoBfd => call.bfd = false,
        Word::Console => call.log_to_console = true,
        Word::Facility => match value.as_deref().and_then(facility) {
            Some(name) => call.log_facility = name,
            None => call.remarks.push(format!("Invalid log facility '{}'", value.unwrap_or_default())),
        },
        Word::LogFile => match path() {
            Some(path) => call.log_file = Some(path),
            None => wrong.push("-g needs the name of a file".to_owned()),
        },
        Word::NoSyslog => call.syslog = false,
        Word::Umask => match value.as_deref().and_then(umask) {
            Some(mask) => call.umask = Some(mask),
            None => call.remarks.push(format!("Invalid --umask option {}", value.unwrap_or_default())),
        },
        Word::KeepServices => call.keep_services = true,
        Word::Foreground => call.foreground = true,
        Word::Pid => call.pid = path(),
        Word::VrrpPid => call.vrrp_pid = path(),
        Word::CheckersPid => call.checkers_pid = path(),
        Word::BfdPid => call.bfd_pid = path(),
        Word::ConfigId => call.config_id = value,
        Word::Signal => {
            let name = value.unwrap_or_default();
            return Some(match signal_number(&name) {
                Some(number) => Parsed::Signal(number),
                None => Parsed::Wrong(vec![format!("Unknown sigfunc {name}")]),
            });
        }
        Word::Test => call.test = Some(path()),
        Word::Version => return Some(Parsed::Version),
        Word::Help => return Some(Parsed::Help),
        Word::Nothing => {}
        Word::Idle(why) => call.idle.push((option.0, why)),
        Word::Refused(why) => wrong.push(format!("--{} is not supported: {why}", option.0)),
    }
    None
}

/// `0` to `7`, `local0` to `local7`, `user` and `daemon`.
fn facility(word: &str) -> Option<String> {
    let number = word.strip_prefix("local").unwrap_or(word);
    match (number.parse::<u8>(), word) {
        (Ok(number @ 0..=7), _) => Some(format!("local{number}")),
        (_, "user" | "daemon") => Some(word.to_owned()),
        _ => None,
    }
}

/// As C reads numbers: octal behind a 0, hexadecimal behind 0x.
fn umask(word: &str) -> Option<u32> {
    let (digits, radix) = match (word.strip_prefix("0x"), word.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        (None, _) => (word, 10),
    };
    u32::from_str_radix(digits, radix).ok().filter(|mask| *mask <= 0o777)
}

/// What `-v` writes to standard error. Programs look for the number behind `Keepalived v`, and for `--enable-json`.
pub fn version(evenkeel: &str, system: &str) -> String {
    format!(
        "\
Keepalived v2.2.7 (evenkeel {evenkeel})

This is evenkeel, which reads the files of keepalived 2.2.7 and behaves as it does.

Running on {system}

configure options: --enable-json --enable-bfd --enable-regex

Config options:  LVS REGEX VRRP VRRP_AUTH VRRP_VMAC JSON BFD
"
    )
}

/// What `-h` writes to standard error.
pub fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program} [OPTION...]
  -f, --use-file=FILE          Use the specified configuration file
                                default '{FILE}'
  -P, --vrrp                   Only run VRRP
  -C, --check                  Only run virtual servers and health checkers
  -B, --no_bfd                 Don't run BFD
  -l, --log-console            Log messages to local console
  -S, --log-facility=([0-7]|local[0-7]|user|daemon)
                               Set syslog facility (daemon)
  -g, --log-file=FILE          Log to a file too
  -G, --no-syslog              Don't log via syslog
  -u, --umask=MASK             umask for dump files (in numeric form)
  -I, --dont-release-ipvs      Don't remove virtual servers on daemon stop
  -n, --dont-fork              Don't fork the daemon process
  -p, --pid=FILE               Pid file; -r, -c and -b name those of VRRP, checkers and BFD, which all hold the
                                number of the one process there is
  -i, --config-id id           Skip any configuration lines beginning '@' that don't match id
                                or any lines beginning @^ that do match
                                The config-id defaults to the node name if option not used
      --signum=SIGFUNC         Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
  -t, --config-test[=LOG_FILE] Check the configuration, output to stderr by default
  -v, --version                Display the version number
  -h, --help                   Display this help message

Taken, without an effect here: --all -D -X -R -d -a -x -A -m -M -e --flush-log-file
Not supported: -V -T -s (each says why)
"
    )
}
