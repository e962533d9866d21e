//! What a file said when it was read last, so that reading it again costs what has changed.
//!
//! A virtual service that stands by itself - its lines in one piece, empty lines around it - and that gave no cause for
//! a word means the same again wherever its text comes again, as long as all that stands outside such services is the
//! same. Whatever asked a name server is read anew, too.

use crate::draft::ServiceDraft;
use evenkeel_source::{FileId, Span};
use std::{collections::HashMap, ops::Range};

/// What one file said.
#[derive(Default)]
pub(crate) struct Memory {
    /// What stood outside of the services; `None`: what it means may have changed since.
    rest: Option<String>,
    /// Services by their text.
    services: HashMap<Box<str>, Remembered>,
    readings: u64,
}

/// A service, places counted from the start of its text.
struct Remembered {
    draft: ServiceDraft,
    /// The last reading that met it.
    met: u64,
}

/// Where a file's virtual services stand that stand by themselves.
#[derive(Default)]
pub(crate) struct Outline {
    pub(crate) services: Vec<Range<usize>>,
    rest: String,
}

/// What is known of a file before it is parsed.
pub(crate) struct Known {
    /// In the order of the file.
    pub(crate) places: Vec<Range<usize>>,
    pub(crate) services: Vec<ServiceDraft>,
}

impl Memory {
    /// The services that need not be read.
    pub(crate) fn recall(&mut self, outline: &Outline, text: &str, file: FileId) -> Known {
        let mut known = Known { places: Vec::new(), services: Vec::new() };
        if self.rest.as_ref() != Some(&outline.rest) {
            *self = Memory::default();
        }
        self.readings += 1;
        for place in &outline.services {
            if let Some(service) = text.get(place.clone()).and_then(|text| self.services.get_mut(text)) {
                service.met = self.readings;
                known.places.push(place.clone());
                known.services.push(moved(service.draft.clone(), |at| at + place.start, file));
            }
        }
        known
    }

    /// Remembers what was read behind [`Memory::recall`]: of `drafts` those that began at one of `clean`. No more
    /// services are remembered than the file has.
    pub(crate) fn learn(&mut self, outline: Outline, text: &str, drafts: &[ServiceDraft], clean: Option<&[usize]>) {
        let Some(clean) = clean else { return *self = Memory::default() };
        let met = self.readings;
        for draft in drafts.iter().filter(|draft| clean.binary_search(&draft.key.range().start).is_ok()) {
            let service = outline.service_at(draft.key.range().start);
            let Some(place) = service.and_then(|service| outline.services.get(service)) else { continue };
            let draft = moved(draft.clone(), |at| at.saturating_sub(place.start), draft.key.file);
            self.services.insert(text.get(place.clone()).unwrap_or("").into(), Remembered { draft, met });
        }
        if self.services.len() > outline.services.len() {
            self.services.retain(|_, service| service.met == met);
        }
        self.rest = Some(outline.rest);
    }
}

/// The same with other places.
fn moved(mut draft: ServiceDraft, to: impl Fn(usize) -> usize, file: FileId) -> ServiceDraft {
    let shift = |span: &mut Span| *span = Span::new(file, to(span.range().start), to(span.range().end));
    shift(&mut draft.key);
    draft.name.iter_mut().for_each(shift);
    draft.scheduler.iter_mut().for_each(shift);
    draft.real_servers.iter_mut().for_each(shift);
    draft
}

enum Reading {
    /// Outside of services.
    Outside,
    /// In one that began here.
    Inside(usize),
    /// Behind one; what follows may still belong to it.
    Behind(Range<usize>),
}

impl Outline {
    pub(crate) fn of(text: &str) -> Outline {
        let mut outline = Outline::default();
        let mut reading = Reading::Outside;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            reading = outline.line(text, reading, at, line);
            at += line.len();
        }
        match reading {
            Reading::Outside => {}
            Reading::Inside(from) => outline.service(text, from..at),
            Reading::Behind(service) => outline.service(text, service),
        }
        outline
    }

    /// Which of the services stands at byte `at`.
    pub(crate) fn service_at(&self, at: usize) -> Option<usize> {
        let service = self.services.partition_point(|place| place.end <= at);
        self.services.get(service).is_some_and(|place| place.contains(&at)).then_some(service)
    }

    fn line(&mut self, text: &str, reading: Reading, at: usize, line: &str) -> Reading {
        let kind = Kind::of(line);
        match (reading, kind) {
            (Reading::Outside, Kind::Head) => Reading::Inside(at),
            (Reading::Inside(from), Kind::Head) => {
                self.service(text, from..at);
                Reading::Inside(at)
            }
            (Reading::Behind(service), Kind::Head) => {
                self.service(text, service);
                Reading::Inside(at)
            }
            (Reading::Inside(from), Kind::Indented) => Reading::Inside(from),
            (Reading::Inside(from), Kind::Empty) => Reading::Behind(from..at),
            (Reading::Behind(service), Kind::Empty | Kind::Remark) => Reading::Behind(service),
            // Not by itself: what comes now is, or may be, part of it.
            (Reading::Inside(from), Kind::Remark | Kind::Other) => self.outside(text, from..at + line.len()),
            (Reading::Behind(service), Kind::Indented | Kind::Other) => {
                self.outside(text, service.start..at + line.len())
            }
            (Reading::Outside, Kind::Empty | Kind::Remark) => Reading::Outside,
            (Reading::Outside, Kind::Indented | Kind::Other) => self.outside(text, at..at + line.len()),
        }
    }

    fn outside(&mut self, text: &str, place: Range<usize>) -> Reading {
        self.rest.push_str(text.get(place).unwrap_or(""));
        Reading::Outside
    }

    fn service(&mut self, text: &str, place: Range<usize>) {
        // Odd blanks and line ends are told of once for the whole file.
        let plain = text.get(place.clone()).is_some_and(|text| text.is_ascii() && !text.contains('\r'));
        if plain {
            self.services.push(place);
        } else {
            self.outside(text, place);
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// Opens a virtual service.
    Head,
    /// Blanks before it.
    Indented,
    Empty,
    /// A comment in the first column.
    Remark,
    Other,
}

impl Kind {
    fn of(line: &str) -> Kind {
        let body = line.trim_start_matches([' ', '\t']);
        let is_head = |line: &str| {
            let behind = line.strip_prefix("virtual").map(|rest| rest.strip_prefix('6').unwrap_or(rest));
            behind.is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('='))
        };
        if body.is_empty() || body == "\n" {
            Kind::Empty
        } else if body.len() < line.len() {
            Kind::Indented
        } else if body.starts_with('#') && body.is_ascii() {
            Kind::Remark
        } else if is_head(body) {
            Kind::Head
        } else {
            Kind::Other
        }
    }
}
