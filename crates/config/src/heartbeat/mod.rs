//! ha.cf, authkeys and haresources of heartbeat 3.0.6: [`table`] names every directive of ha.cf, [`ha`] reads it,
//! [`authkeys`] and [`haresources`] the other two, [`lower`] and [`groups`] make a cluster of what they say together.

pub(crate) mod agent;
pub(crate) mod authkeys;
mod groups;
mod ha;
mod haresources;
pub(crate) mod here;
pub(crate) mod lower;
pub(crate) mod media;
pub(crate) mod node;
mod options;
pub(crate) mod other;
mod table;
mod value;
mod words;

use crate::{
    codes,
    draft::{Draft, GroupDraft, ServiceDraft},
    host::Resolver,
    load::MOST_DIAGNOSTICS,
};
use evenkeel_model::heartbeat::{Keys, NodeName};
use evenkeel_source::{Diagnostic, FileId, Severity, Sources, Span};
use haresources::GroupLine;
use std::path::{Path, PathBuf};
pub use table::heartbeat_markdown;

/// Which of heartbeat's files a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    HaCf,
    Authkeys,
    Haresources,
}

impl Kind {
    /// The name the file has in its directory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::HaCf => "ha.cf",
            Kind::Authkeys => "authkeys",
            Kind::Haresources => "haresources",
        }
    }

    /// By its name, else by what it says.
    pub(crate) fn of(path: &Path, text: &str) -> Kind {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
        let kinds = [Kind::HaCf, Kind::Authkeys, Kind::Haresources];
        if let Some(kind) = kinds.into_iter().find(|kind| name.starts_with(kind.name())) {
            return kind;
        }
        let is_blank = crate::ldirectord::blank::is_blank;
        let mut words = text.lines().filter_map(|line| line.split(is_blank).find(|word| !word.is_empty()));
        match words.find(|word| !word.starts_with('#')) {
            Some("auth") => Kind::Authkeys,
            Some(word) if word.parse::<u8>().is_ok() => Kind::Authkeys,
            Some(_) if text.lines().any(|line| table::find(line.split(is_blank).next().unwrap_or("")).is_some()) => {
                Kind::HaCf
            }
            Some(_) => Kind::Haresources,
            None => Kind::HaCf,
        }
    }
}

/// The files of heartbeat among those that are read.
#[derive(Default)]
pub(crate) struct Files {
    ha: Option<FileId>,
    resources: Option<FileId>,
    keys: Option<(FileId, Option<Keys>)>,
    /// Which of them are there and cannot be read, which is told.
    broken: [bool; 3],
    /// Where what has no place is said: the first file there is.
    first: Option<FileId>,
}

/// What the files name and must be read besides.
pub(crate) struct Named {
    lines: Vec<GroupLine>,
    nodes: Vec<NodeName>,
    scripts: Vec<PathBuf>,
    directory: PathBuf,
    /// There is a haresources.
    resources: bool,
    place: Span,
}

impl Files {
    /// Takes one of the files. A second of its kind is an error.
    /// `secrets` is the true text of an authkeys: in the sources the keys are stars.
    pub(crate) fn take(&mut self, kind: Kind, file: FileId, secrets: &str, latin_1: bool, out: &mut Vec<Diagnostic>) {
        self.first.get_or_insert(file);
        let before = match kind {
            Kind::HaCf => self.ha.replace(file),
            Kind::Haresources => self.resources.replace(file),
            Kind::Authkeys => {
                let keys = authkeys::read(secrets, latin_1, file, out);
                self.keys.replace((file, keys)).map(|(before, _)| before)
            }
        };
        if let Some(before) = before {
            let d = Diagnostic::error(codes::SETTING_TWICE, Span::new(file, 0, 0), format!("a second {}", kind.name()));
            out.push(
                d.label(Span::new(before, 0, 0), "the first").help("give one directory, or one file of each kind"),
            );
        }
    }

    /// One of them cannot be read, which is told.
    pub(crate) fn lost(&mut self, kind: Option<Kind>) {
        if let Some(broken) = kind.and_then(|kind| self.broken.get_mut(kind as usize)) {
            *broken = true;
        }
    }

    fn is_lost(&self, kind: Kind) -> bool {
        self.broken.get(kind as usize).copied().unwrap_or(false)
    }

    /// Files that ha.cf needs beside it and that nobody gave.
    pub(crate) fn missing(&self, sources: &Sources) -> Vec<(Kind, PathBuf)> {
        let Some(ha) = self.ha else { return Vec::new() };
        let beside = |kind: Kind| (kind, sources.path(ha).with_file_name(kind.name()));
        let keys = (self.keys.is_none() && !self.is_lost(Kind::Authkeys)).then(|| beside(Kind::Authkeys));
        let resources =
            (self.resources.is_none() && !self.is_lost(Kind::Haresources)).then(|| beside(Kind::Haresources));
        keys.into_iter().chain(resources).collect()
    }

    /// Reads what was taken into a draft; what it names is returned. `None`: there is no ha.cf.
    pub(crate) fn read(
        self,
        sources: &Sources,
        resolver: &Resolver<'_>,
        draft: &mut Draft,
        out: &mut Vec<Diagnostic>,
    ) -> Option<Named> {
        let host = resolver.ask();
        if let Some((file, _)) = self.keys {
            authkeys::report_mode(sources.path(file), file, host, out);
        }
        let Some(ha) = self.ha else {
            if let Some(first) = self.first.filter(|_| !self.broken.contains(&true)) {
                let d = Diagnostic::error(codes::NO_HA_CF, Span::new(first, 0, 0), "there is no ha.cf");
                out.push(
                    d.note("it names the nodes and how they hear each other")
                        .help("give its directory, or name it as well"),
                );
            }
            return None;
        };
        let whole = Span::new(ha, 0, 0);
        let directory = sources.path(ha).parent().unwrap_or(Path::new("")).to_owned();
        let options = ha::read(sources, ha, resolver, out);
        if self.keys.is_none() && !self.is_lost(Kind::Authkeys) {
            let path = directory.join("authkeys");
            let d = Diagnostic::error(codes::KEYS, whole, format!("there is no {}", path.display()));
            let d = d.note("heartbeat refuses to start: messages are signed, and it says with what");
            out.push(d.help(format!(
                "(echo auth 1; echo 1 sha1 $(openssl rand -hex 32)) > {0}; chmod 600 {0}; then copy it to the other node",
                path.display()
            )));
        }
        let no_groups = self.resources.is_none() && !self.is_lost(Kind::Haresources);
        let keys = self.keys.and_then(|(_, keys)| keys);
        let cluster = lower::lower(options, keys, &directory, whole, host, out);
        let nodes: Vec<NodeName> = cluster.nodes.iter().map(|node| node.value.clone()).collect();
        draft.heartbeat.add_cluster(cluster, out);
        let lines = match self.resources {
            Some(file) if out.len() <= MOST_DIAGNOSTICS => haresources::read(sources, file, &nodes, out),
            _ => Vec::new(),
        };
        Some(Named {
            lines,
            nodes,
            scripts: lower::resource_dirs(&directory, host),
            directory,
            resources: !no_groups,
            place: whole,
        })
    }
}

impl Named {
    /// Makes groups of the lines; returns the files of services they name.
    pub(crate) fn groups(
        &self,
        resolver: &Resolver<'_>,
        draft: &mut Draft,
        out: &mut Vec<Diagnostic>,
    ) -> Vec<(PathBuf, Span)> {
        let places = agent::Places { host: resolver.ask(), scripts: &self.scripts, directory: &self.directory };
        let mut files = Vec::new();
        for line in &self.lines {
            let group: GroupDraft = groups::group(line, &places, &mut files, out);
            draft.heartbeat.groups.push(group);
        }
        files
    }

    /// Without a haresources the addresses of services are one group. Called when all services are read.
    pub(crate) fn without_haresources(
        &self,
        services: &[ServiceDraft],
        out: &mut Vec<Diagnostic>,
    ) -> Option<GroupDraft> {
        if self.resources {
            return None;
        }
        let path = self.directory.join("haresources");
        let group = self.nodes.first().and_then(|node| groups::of_services(services, node));
        let Some(group) = group else {
            let d = Diagnostic::error(codes::RESOURCE, self.place, format!("there is no {}", path.display()));
            let d = d.note("heartbeat refuses to start: it says which node has which resources");
            out.push(d.help("write a line with a node and what it prefers to have: node1 192.0.2.100/24/eth0 nginx"));
            return None;
        };
        let addresses: Vec<&str> = group.group.resources.iter().map(|one| one.name.as_str()).collect();
        let shown: Vec<&str> = addresses.iter().copied().take(3).collect();
        let more = if addresses.len() > shown.len() { ", …" } else { "" };
        let node = self.nodes.first().map_or("", NodeName::as_str);
        let message =
            format!("there is no {}: the addresses of the services are one group that prefers {node}", path.display());
        let d = Diagnostic::new(Severity::Note, codes::OWN_GROUP, self.place, message);
        let d = d.note("heartbeat would refuse to start without the file, even an empty one");
        out.push(d.help(format!(
            "to say so yourself, write into it: {node} {}{}",
            shown.join(" "),
            if more.is_empty() { "" } else { " …" }
        )));
        Some(group)
    }
}
