//! Files in, one cluster out.

use crate::{
    codes,
    draft::{Draft, merge, resolve},
    format::Format,
    heartbeat,
    host::{Host, Resolver, shown},
    keepalived::{self, GlobalWord, vrrp::Vrrp},
    ldirectord, native,
};
use evenkeel_model::Cluster;
use evenkeel_source::{Code, Diagnostic, FileId, Severity, Sources, Span};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Bytes of the largest file that is read.
pub const LARGEST_FILE: usize = 64 << 20;

/// Files of one directory that are read.
const MOST_FILES: usize = 1000;

/// Diagnostics that are reported.
pub(crate) const MOST_DIAGNOSTICS: usize = 10_000;

/// What came of reading files.
#[derive(Debug)]
pub struct Loaded {
    /// The texts that were read.
    pub sources: Sources,
    /// Everything there is to say, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// The cluster; `None` when there was an error.
    pub cluster: Option<Cluster>,
    /// What keepalived.conf files say about VRRP, in their own words.
    pub vrrp: Vrrp,
    /// What keepalived.conf files say in `global_defs`, word for word.
    pub globals: Vec<GlobalWord>,
}

impl Loaded {
    /// How many diagnostics are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == severity).count()
    }
}

/// One file's bytes.
pub struct Input {
    /// Its path, for messages and for telling its format.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads files and directories. `format` overrides what names and contents say.
pub fn load(paths: &[PathBuf], format: Option<Format>, host: &Host<'_>) -> Loaded {
    let mut found = Found::default();
    let mut out = Vec::new();
    for path in paths {
        collect(path, format, &mut found, &mut out);
    }
    load_inputs(found, format, host, None, out)
}

/// What files said when they were read last. Reading them again with it comes to the same as without, and sooner.
#[derive(Default)]
pub struct Memory {
    files: HashMap<PathBuf, ldirectord::Memory>,
    node: Option<String>,
}

impl Memory {
    /// Nothing yet; files are read as those of this node, whatever the host calls itself.
    pub fn of_node(node: Option<String>) -> Memory {
        Memory { node, ..Memory::default() }
    }

    fn of(&mut self, path: &Path) -> &mut ldirectord::Memory {
        // Files that come and go under new names are not worth remembering.
        if self.files.len() > MOST_FILES {
            self.files.clear();
        }
        self.files.entry(path.to_owned()).or_default()
    }
}

/// As [`load`], for files that are read again and again.
pub fn load_again(paths: &[PathBuf], format: Option<Format>, host: &Host<'_>, memory: &mut Memory) -> Loaded {
    let mut found = Found::default();
    let mut out = Vec::new();
    for path in paths {
        collect(path, format, &mut found, &mut out);
    }
    let node = memory.node.clone();
    let host = host.called(node.as_deref());
    load_inputs(found, format, &host, Some(memory), out)
}

/// As [`load_texts`], for texts that were read before in part.
pub fn load_texts_again(inputs: Vec<Input>, format: Option<Format>, host: &Host<'_>, memory: &mut Memory) -> Loaded {
    load_inputs(Found { inputs, ..Found::default() }, format, host, Some(memory), Vec::new())
}

/// Reads texts that are in memory already; the pure part of [`load`].
pub fn load_texts(inputs: Vec<Input>, format: Option<Format>, host: &Host<'_>) -> Loaded {
    load_inputs(Found { inputs, ..Found::default() }, format, host, None, Vec::new())
}

/// What paths stand for.
#[derive(Default)]
struct Found {
    inputs: Vec<Input>,
    /// Files of services beside an ha.cf, whatever the format of the others is said to be.
    services: Vec<Input>,
    /// Files of services beside an ha.cf that are read only when they are named.
    aside: Vec<PathBuf>,
}

fn load_inputs(
    found: Found,
    format: Option<Format>,
    host: &Host<'_>,
    memory: Option<&mut Memory>,
    out: Vec<Diagnostic>,
) -> Loaded {
    let resolver = Resolver::new(host);
    let files = heartbeat::Files::default();
    let mut reading =
        Reading { sources: Sources::new(), draft: Draft::default(), resolver: &resolver, memory, files, out };
    for input in found.inputs {
        reading.read(input, format);
    }
    for input in found.services {
        reading.read(input, Some(Format::Ldirectord));
    }
    reading.heartbeat(&found.aside);
    let Reading { sources, mut draft, mut out, .. } = reading;
    let nothing = draft.services.is_empty()
        && draft.heartbeat.is_empty()
        && draft.broken_services == 0
        && draft.elections.is_empty()
        && draft.fixed.is_empty()
        && draft.bfd.is_empty();
    let (vrrp, globals) = (std::mem::take(&mut draft.vrrp), std::mem::take(&mut draft.globals));
    let cluster = resolve(draft, &mut out);
    if nothing && !has_error(&out) {
        let d = Diagnostic::without_place(Severity::Warning, codes::EMPTY, "no virtual service is configured");
        out.push(d);
    }
    out.sort_by_cached_key(|d| (d.place().map(|span| (span.file, span.start)), d.code, d.message.clone()));
    // What is written once for all services is judged with each of them.
    out.dedup();
    if out.len() > MOST_DIAGNOSTICS {
        out.truncate(MOST_DIAGNOSTICS);
        out.push(Diagnostic::without_place(Severity::Error, codes::TOO_MANY, "too many problems to report them all"));
    }
    let cluster = Some(cluster).filter(|_| !has_error(&out));
    Loaded { sources, diagnostics: out, cluster, vrrp, globals }
}

fn has_error(out: &[Diagnostic]) -> bool {
    out.iter().any(|d| d.severity == Severity::Error)
}

/// Texts on their way into a draft.
struct Reading<'r, 'm> {
    sources: Sources,
    draft: Draft,
    resolver: &'r Resolver<'r>,
    memory: Option<&'m mut Memory>,
    files: heartbeat::Files,
    out: Vec<Diagnostic>,
}

impl Reading<'_, '_> {
    fn read(&mut self, input: Input, format: Option<Format>) {
        if let Some(one) = self.read_one(input, format) {
            merge(&mut self.draft, one, &mut self.out);
        }
    }

    /// The draft of one file. Those of heartbeat are nothing alone: they are put aside until all are there.
    fn read_one(&mut self, input: Input, format: Option<Format>) -> Option<Draft> {
        let Reading { sources, resolver, out, .. } = self;
        let Input { path, bytes } = input;
        if bytes.len() > LARGEST_FILE {
            out.push(about(&path, codes::TOO_LARGE, format!("is larger than {} MiB", LARGEST_FILE >> 20)));
            return None;
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) => {
                let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
                // A byte above ASCII takes two in UTF-8.
                let wide = bytes.iter().take(at).filter(|byte| !byte.is_ascii()).count();
                Err((at + wide, latin_1(bytes)))
            }
        };
        let readable = match &text {
            Ok(text) | Err((_, text)) => text,
        };
        let told = format.or_else(|| Format::of_name(&path)).or_else(|| Format::of_text(readable));
        let kind = (told == Some(Format::Heartbeat)).then(|| heartbeat::Kind::of(&path, readable));
        // A haresources may say nothing.
        let may_be_empty = kind == Some(heartbeat::Kind::Haresources);
        if !may_be_empty && readable.chars().all(|c| c.is_whitespace() || c == '\u{feff}') {
            out.push(about(&path, codes::EMPTY_FILE, "is empty".to_owned()));
            self.files.lost(kind);
            return None;
        }
        let Some(told) = told else {
            let d = about(&path, codes::UNKNOWN_FORMAT, "is in no format that can be recognised".to_owned());
            out.push(d.help("say which with --format native|ldirectord|keepalived|heartbeat"));
            return None;
        };
        if told == Format::Ipvsadm {
            let message = format!("is in the {told} format, which is not read in this release");
            out.push(about(&path, codes::FOREIGN_FORMAT, message));
            return None;
        }
        let (text, not_utf8) = match text {
            Ok(text) => (text, None),
            Err((at, text)) => (text, Some(at)),
        };
        let nul = text.find('\0');
        // Nobody is shown a secret: what diagnostics point into is a copy without.
        let (secrets, text) = match kind {
            Some(heartbeat::Kind::Authkeys) => {
                let masked = heartbeat::authkeys::masked(&text);
                (text, masked)
            }
            _ => (String::new(), text),
        };
        let file = sources.add(path, text);
        if let Some(at) = not_utf8 {
            report_encoding(file, at, told, out);
            if told == Format::Native {
                return None;
            }
        }
        if let Some(at) = nul {
            let message = "the file holds a NUL byte and is no text";
            out.push(Diagnostic::error(codes::NUL, Span::new(file, at, at + 1), message));
            self.files.lost(kind);
            return None;
        }
        match told {
            Format::Ldirectord => Some(match self.memory.as_deref_mut() {
                Some(memory) => ldirectord::read_again(sources, file, resolver, memory.of(sources.path(file)), out),
                None => ldirectord::read(sources, file, resolver, out),
            }),
            Format::Native => Some(native::read(sources, file, resolver, out)),
            Format::Keepalived => Some(keepalived::read(sources, file, resolver, out)),
            Format::Heartbeat => {
                self.files.take(kind?, file, &secrets, not_utf8.is_some(), out);
                None
            }
            Format::Ipvsadm => None,
        }
    }

    /// What heartbeat's files mean together, with those they name.
    fn heartbeat(&mut self, aside: &[PathBuf]) {
        for (kind, path) in self.files.missing(&self.sources) {
            match (self.resolver.ask().read_file)(&path) {
                Ok(bytes) => self.read(Input { path, bytes }, Some(Format::Heartbeat)),
                // That there is none is told when it is missed.
                Err(why) if (self.resolver.ask().file_mode)(&path).is_some() => {
                    self.out.push(about(&path, codes::UNREADABLE, format!("cannot be read: {why}")));
                    self.files.lost(Some(kind));
                }
                Err(_) => {}
            }
        }
        let files = std::mem::take(&mut self.files);
        let Some(named) = files.read(&self.sources, self.resolver, &mut self.draft, &mut self.out) else { return };
        for (path, place) in named.groups(self.resolver, &mut self.draft, &mut self.out) {
            if self.sources.files().any(|file| self.sources.path(file) == path) {
                continue;
            }
            match (self.resolver.ask().read_file)(&path) {
                Ok(bytes) => self.read(Input { path, bytes }, Some(Format::Ldirectord)),
                Err(why) => {
                    let message = format!("{} cannot be read: {why}", shown(&path.to_string_lossy()));
                    let d = Diagnostic::error(codes::UNREADABLE, place, message);
                    self.out.push(d.note("heartbeat starts ldirectord with it, which fails, and gives the group up"));
                }
            }
        }
        if let Some(group) = named.without_haresources(&self.draft.services, &mut self.out) {
            self.draft.heartbeat.groups.push(group);
        }
        for path in aside {
            if !self.sources.files().any(|file| self.sources.path(file) == path) {
                let name = shown(&path.to_string_lossy());
                let message = format!("{name} is not read: haresources does not name it");
                let d = Diagnostic::without_place(Severity::Note, codes::NOT_NAMED, message);
                self.out.push(d.help(format!("give it as well, or write `ldirectord::{}`", file_name(path))));
            }
        }
    }
}

fn file_name(path: &Path) -> String {
    shown(&path.file_name().unwrap_or_default().to_string_lossy())
}

/// Every byte a character, as an old editor saw it.
pub(crate) fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn report_encoding(file: FileId, at: usize, format: Format, out: &mut Vec<Diagnostic>) {
    let span = Span::new(file, at, at);
    out.push(if format == Format::Native {
        Diagnostic::error(codes::ENCODING, span, "the file is not UTF-8, as TOML must be")
    } else {
        Diagnostic::warning(codes::ENCODING, span, "the file is not UTF-8 and is read as Latin-1")
            .help("save it as UTF-8")
    });
}

fn about(path: &Path, code: Code, what: String) -> Diagnostic {
    let path = crate::host::shown(&path.to_string_lossy());
    Diagnostic::without_place(Severity::Error, code, format!("{path} {what}"))
}

/// The files a path stands for.
fn collect(path: &Path, format: Option<Format>, found: &mut Found, out: &mut Vec<Diagnostic>) {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => collect_directory(path, format, found, out),
        Ok(_) => {
            read_file(path, &mut found.inputs, out);
            if path.file_name().is_some_and(|name| name == "evenkeel.toml") {
                collect_drop_ins(&path.with_file_name("evenkeel.d"), &mut found.inputs, out);
            }
        }
        Err(error) => out.push(unreadable(path, &error)),
    }
}

/// A directory's files of known names, in the order of their names; others are none of our business. Beside an ha.cf
/// the files of services are those that haresources names; without one, ldirectord's usual one.
fn collect_directory(path: &Path, format: Option<Format>, found: &mut Found, out: &mut Vec<Diagnostic>) {
    let before = (found.inputs.len(), out.len());
    let mut entries = entries(path, out);
    entries.retain(|entry| fs::metadata(entry).is_ok_and(|meta| !meta.is_dir()));
    let has = |name: &str| entries.iter().any(|entry| entry.file_name().is_some_and(|known| known == name));
    let of_heartbeat = has("ha.cf") && matches!(format, None | Some(Format::Heartbeat));
    let (named, usual) = (has("haresources"), has("ldirectord.cf"));
    for entry in entries {
        let Some(told) = Format::of_name(&entry) else { continue };
        if told == Format::Ldirectord && of_heartbeat {
            let is_usual = entry.file_name().is_some_and(|name| name == "ldirectord.cf");
            if named || (usual && !is_usual) {
                found.aside.push(entry);
            } else {
                read_file(&entry, &mut found.services, out);
            }
        } else if format.is_none() || format == Some(told) {
            read_file(&entry, &mut found.inputs, out);
        }
    }
    collect_drop_ins(&path.join("evenkeel.d"), &mut found.inputs, out);
    if (found.inputs.len(), out.len()) == before {
        out.push(about(path, codes::NO_FILES, "holds no configuration file".to_owned()));
    }
}

fn collect_drop_ins(directory: &Path, inputs: &mut Vec<Input>, out: &mut Vec<Diagnostic>) {
    if !directory.is_dir() {
        return;
    }
    for entry in entries(directory, out) {
        if entry.extension().is_some_and(|e| e == "toml") {
            read_file(&entry, inputs, out);
        }
    }
}

/// The entries of a directory, sorted, hidden ones left out.
fn entries(directory: &Path, out: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut paths: Vec<PathBuf> = match listed {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => {
            out.push(unreadable(directory, &error));
            return Vec::new();
        }
    };
    paths.retain(|p| p.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")));
    paths.sort();
    if paths.len() > MOST_FILES {
        out.push(about(directory, codes::TOO_LARGE, format!("holds more than {MOST_FILES} files")));
        paths.truncate(MOST_FILES);
    }
    paths
}

fn read_file(path: &Path, inputs: &mut Vec<Input>, out: &mut Vec<Diagnostic>) {
    // Opening a FIFO would wait for a writer, and a device may have no end.
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            let what = file_kind(&meta.file_type());
            out.push(about(path, codes::NOT_A_FILE, format!("is {what}, not a file")));
        }
        Ok(meta) if meta.len() > LARGEST_FILE as u64 => {
            out.push(about(path, codes::TOO_LARGE, format!("is larger than {} MiB", LARGEST_FILE >> 20)));
        }
        Ok(_) => match fs::read(path) {
            Ok(bytes) => inputs.push(Input { path: path.to_owned(), bytes }),
            Err(error) => out.push(unreadable(path, &error)),
        },
        Err(error) => out.push(unreadable(path, &error)),
    }
}

#[cfg(unix)]
fn file_kind(kind: &fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_dir() {
        "a directory"
    } else {
        "a device"
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    about(path, codes::UNREADABLE, why)
}
