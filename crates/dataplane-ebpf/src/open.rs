//! Opens the data plane: on maps of its own, or on those an earlier daemon left.

use crate::{
    clock::Clock,
    detach::clear,
    error::{Error, root_cause},
    kernel,
    mapped::PUBLISH,
    maps::{ADDED, HEADER, Maps, NAMES, Sizes},
    plane::EbpfDataplane,
    room::{self, Weights},
    settings,
    state::State,
};
use aya::{
    EbpfLoader,
    maps::{MapData, MapInfo},
};
use evenkeel_abi::{
    Header, LAYOUT,
    hash::Secret,
    state::{STATES, TIMEOUT_SECONDS},
};
use evenkeel_dataplane::Table;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::fence,
};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../object/evenkeel.o");

/// How the data plane is to be opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// A directory on a bpffs that outlives the daemon; `None`: nothing survives this process.
    pub pins: Option<PathBuf>,
    /// Connections that must find room at the same time, in each family. Memory: 64 bytes a connection for IPv4 and 128
    /// for IPv6, taken at once and for good.
    pub connections: u32,
    /// Services to leave room for.
    pub services: u32,
    /// Real servers to leave room for, over all services.
    pub real_servers: u32,
    /// Cells of schedulers' lists and tables to leave room for.
    pub cells: u32,
    /// Timeouts by state in seconds, where they are not to be the usual ones. Adopted tables keep theirs.
    pub timeouts: [u32; STATES],
}

impl Options {
    /// Connections unless told otherwise.
    pub const CONNECTIONS: u32 = 1 << 20;
    /// Most connections.
    pub const MOST_CONNECTIONS: u32 = 1 << 24;

    /// Room for `table` and as much again.
    pub fn for_table(table: &Table, pins: Option<PathBuf>, connections: u32) -> Options {
        let services = table.services.len();
        let real_servers = table.services.values().map(|s| s.real_servers.len()).sum::<usize>();
        let cells = table.services.values().map(|service| {
            let mut weights = Weights::new();
            service.real_servers.values().for_each(|s| room::reweigh(&mut weights, None, Some(s.weight.get())));
            // A service that can never be makes no room; it is refused when it comes.
            room::cells_for(service.options.scheduler, &weights).map_or(0, |cells| cells as usize)
        });
        let twice = |n: usize| u32::try_from(2 * n).unwrap_or(u32::MAX);
        let cells = twice(cells.sum::<usize>());
        let timeouts = TIMEOUT_SECONDS;
        Options { pins, connections, services: twice(services), real_servers: twice(real_servers), cells, timeouts }
    }

    fn sizes(&self) -> Result<Sizes, Error> {
        let connections = self.connections.clamp(64, Options::MOST_CONNECTIONS);
        let power = |wanted: u32, least: u32| wanted.max(least).checked_next_power_of_two().unwrap_or(1 << 31);
        let cpus = kernel::possible_cpus().map_err(|cause| Error::Io { what: "cannot count the CPUs", cause })?;
        Ok(Sizes {
            services: power(self.services, 256),
            dests: power(self.real_servers, 1024).min(evenkeel_abi::flow::DEST_LIMIT),
            cells: power(self.cells, 1 << 18).min(evenkeel_abi::CELL_LIMIT),
            // Twice as many slots as connections: with two buckets of four to choose from, all but a few in 100 000 find room
            // when the table is at its capacity.
            buckets: connections.next_power_of_two() / 2,
            cpus,
        })
    }
}

/// What [`EbpfDataplane::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: the tables are new and empty.
    Fresh,
    /// The tables, connections and counters of an earlier daemon; they were never out of service.
    Adopted,
}

impl EbpfDataplane {
    /// Loads the program and makes its maps, or takes over the pinned ones. Where new ones cannot be made nothing is left.
    pub fn open(options: &Options) -> Result<(EbpfDataplane, Opened), Error> {
        let pins = match &options.pins {
            Some(parent) => Some(prepare(parent)?),
            None => None,
        };
        let adopted = match &pins {
            Some(pins) => adoptable(pins)?,
            None => None,
        };
        if let Some(header) = adopted {
            return Ok((EbpfDataplane::adopted(pins, header)?, Opened::Adopted));
        }
        let made = EbpfDataplane::fresh(options, pins.clone());
        if made.is_err()
            && let Some(pins) = pins
        {
            // What made the start fail is the error to tell.
            let _ = clear(&pins);
            let _ = fs::remove_dir(&pins);
        }
        made.map(|plane| (plane, Opened::Fresh))
    }

    fn adopted(pins: Option<PathBuf>, header: Header) -> Result<EbpfDataplane, Error> {
        let sizes = sizes_of(&header);
        let mut plane = EbpfDataplane::load_on(pins, sizes, header.secret)?;
        plane.state = State::adopt(&plane.maps, sizes)
            .map_err(|cause| Error::Io { what: "cannot read the lists of sources", cause })?;
        plane.mend(header.applying != 0);
        plane.adopt_links()?;
        Ok(plane)
    }

    fn fresh(options: &Options, pins: Option<PathBuf>) -> Result<EbpfDataplane, Error> {
        let (sizes, secret) = (options.sizes()?, fresh_secret()?);
        let plane = EbpfDataplane::load_on(pins, sizes, secret)?;
        let header = Header {
            layout: 0,
            cpus: sizes.cpus,
            dests: sizes.dests,
            services: sizes.services,
            cells: sizes.cells,
            connections: options.connections,
            secret,
            buckets: u64::from(sizes.buckets),
            applying: 0,
            room: 0,
        };
        plane.maps.header.set(0, header);
        plane.maps.settings.set(0, settings::fresh(&options.timeouts)?);
        fence(PUBLISH);
        // The layout's version comes last: without it the next start takes nothing over.
        plane.maps.header.set(0, Header { layout: LAYOUT, ..header });
        Ok(plane)
    }

    fn load_on(pins: Option<PathBuf>, sizes: Sizes, secret: Secret) -> Result<EbpfDataplane, Error> {
        let object = Object { sizes, secret, pins: pins.as_deref() };
        let mut loaded = object.load()?;
        let maps = Maps::take(&mut loaded, sizes)?;
        let clock = Clock::load(&mut loaded)?;
        let mut plane = EbpfDataplane::new(loaded, maps, clock, sizes, pins);
        plane.read_links()?;
        Ok(plane)
    }
}

fn sizes_of(header: &Header) -> Sizes {
    Sizes {
        services: header.services,
        dests: header.dests,
        cells: header.cells,
        buckets: u32::try_from(header.buckets).unwrap_or(0),
        cpus: header.cpus,
    }
}

fn fresh_secret() -> Result<Secret, Error> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|cause| Error::Io { what: "cannot get random numbers", cause: cause.into() })?;
    let word = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
    Ok(Secret { first: word(0), second: word(8) })
}

/// The directory of this layout's pins. A directory of another layout that still has something in it is refused.
fn prepare(parent: &Path) -> Result<PathBuf, Error> {
    let io = |cause| Error::Io { what: "cannot make the pin directory", cause };
    fs::create_dir_all(parent).map_err(io)?;
    for entry in fs::read_dir(parent).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let layout =
            path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix('v')).and_then(|n| n.parse().ok());
        if let Some(found) = layout
            && found != LAYOUT
            && fs::read_dir(&path).map_err(io)?.next().is_some()
        {
            return Err(Error::Layout { directory: path, found });
        }
    }
    let pins = parent.join(format!("v{LAYOUT}"));
    fs::create_dir_all(&pins).map_err(io)?;
    Ok(pins)
}

/// The header of maps that can be taken over. What an earlier start left half made is removed.
fn adoptable(pins: &Path) -> Result<Option<Header>, Error> {
    let path = pins.join(HEADER);
    if !path.exists() {
        clear(pins)?;
        return Ok(None);
    }
    let wrong = |why: String| Error::Pin { path: path.clone(), why };
    let data = MapData::from_pin(&path).map_err(|e| wrong(root_cause(&e)))?;
    let size = data.info().map_err(|e| wrong(root_cause(&e)))?.value_size();
    if size as usize != size_of::<Header>() {
        return Err(wrong(format!("its element has {size} bytes, not {}", size_of::<Header>())));
    }
    use std::os::fd::AsFd;
    let mapped = crate::mapped::Mapped::<Header>::new(data.fd().as_fd(), 1).map_err(|e| wrong(e.to_string()))?;
    let header = mapped.get(0);
    if header.layout != LAYOUT {
        clear(pins)?;
        return Ok(None);
    }
    let sizes = sizes_of(&header);
    if NAMES.iter().any(|name| !ADDED.contains(name) && !pins.join(name).exists()) {
        // A removal has died half way.
        clear(pins)?;
        return Ok(None);
    }
    for name in NAMES {
        if let Some(wanted) = sizes.of(name) {
            let path = pins.join(name);
            let wrong = |why: String| Error::Pin { path: path.clone(), why };
            let info = MapInfo::from_pin(&path).map_err(|e| wrong(root_cause(&e)))?;
            if info.max_entries() != wanted {
                return Err(wrong(format!("it has {} elements, not {wanted}", info.max_entries())));
            }
        }
    }
    Ok(Some(header))
}

/// The object file and what is to be changed in it.
struct Object<'a> {
    sizes: Sizes,
    secret: Secret,
    pins: Option<&'a Path>,
}

impl Object<'_> {
    fn load(&self) -> Result<aya::Ebpf, Error> {
        let (mask, dests) = (self.sizes.buckets - 1, self.sizes.dests);
        let mut loader = EbpfLoader::new();
        loader
            .override_global("SECRET_FIRST", &self.secret.first, true)
            .override_global("SECRET_SECOND", &self.secret.second, true)
            .override_global("FLOW_MASK", &mask, true)
            .override_global("DEST_COUNT", &dests, true);
        for name in NAMES {
            if let Some(elements) = self.sizes.of(name) {
                loader.map_max_entries(name, elements);
            }
            if let Some(pins) = self.pins {
                loader.map_pin_path(name, pins.join(name));
            }
        }
        load_object(loader)
    }
}

/// Loads the object, the built-in one or another that was asked for.
pub(crate) fn load_object(mut loader: EbpfLoader<'_>) -> Result<aya::Ebpf, Error> {
    let loaded = match std::env::var_os("EVENKEEL_EBPF_OBJECT") {
        Some(path) => loader.load_file(path),
        None => loader.load(OBJECT),
    };
    loaded.map_err(|e| {
        let cause = root_cause(&e);
        if cause.contains("Operation not permitted") { Error::Permission } else { Error::Load(cause) }
    })
}
