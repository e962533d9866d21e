//! The maps, opened.

use crate::{error::Error, error::root_cause, mapped::Mapped};
use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, Map, MapData, RingBuf},
};
use evenkeel_abi::{
    Counters, Dest, DestInfo, Drops, Filter, Header, Load, Service, ServiceInfo, ServiceKey, Settings,
    flow::{Bucket, Slot4, Slot6},
    fragment::{Fragment, Trace},
};
use std::os::fd::AsFd;

/// Name of the map that says how large the others are.
pub(crate) const HEADER: &str = "HEADER";

/// Names of all maps, and so of their pins.
pub(crate) const NAMES: [&str; 21] = [
    HEADER,
    "SETTINGS",
    "FILTER",
    "SERVICE_IDS",
    "SERVICES",
    "SERVICE_INFOS",
    "CELLS",
    "DESTS",
    "DEST_INFOS",
    "LOADS",
    "COUNTERS",
    "DROPS",
    "FLOWS4",
    "FLOWS6",
    "ACL",
    "LOCALITY",
    "FRAGMENTS",
    "SCRATCH",
    "EARLY",
    "MARKS",
    LINKS,
];

/// Of these, those that an earlier program of the same layout had not: who adopts its tables makes them.
pub(crate) const ADDED: [&str; 1] = [LINKS];

const LINKS: &str = "LINKS";

/// Elements of each array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) services: u32,
    pub(crate) dests: u32,
    pub(crate) cells: u32,
    pub(crate) buckets: u32,
    pub(crate) cpus: u32,
}

impl Sizes {
    /// Elements of the map of this name.
    pub(crate) fn of(&self, name: &str) -> Option<u32> {
        Some(match name {
            "SERVICE_IDS" | "SERVICES" | "SERVICE_INFOS" => self.services,
            "CELLS" => self.cells,
            "DESTS" | "DEST_INFOS" | "LOADS" => self.dests,
            "COUNTERS" => self.dests.saturating_mul(self.cpus),
            "DROPS" => self.cpus,
            "FLOWS4" | "FLOWS6" => self.buckets,
            _ => return None,
        })
    }
}

/// The maps as memory, and those that are none as maps.
pub(crate) struct Maps {
    pub(crate) header: Mapped<Header>,
    pub(crate) settings: Mapped<Settings>,
    pub(crate) filter: Mapped<Filter>,
    pub(crate) service_ids: HashMap<MapData, [u8; 20], u32>,
    pub(crate) services: Mapped<Service>,
    pub(crate) service_infos: Mapped<ServiceInfo>,
    pub(crate) cells: Mapped<u64>,
    pub(crate) dests: Mapped<Dest>,
    pub(crate) dest_infos: Mapped<DestInfo>,
    pub(crate) loads: Mapped<Load>,
    pub(crate) counters: Mapped<Counters>,
    pub(crate) drops: Mapped<Drops>,
    pub(crate) flows4: Mapped<Bucket<Slot4>>,
    pub(crate) flows6: Mapped<Bucket<Slot6>>,
    pub(crate) acl: LpmTrie<MapData, [u32; 5], u32>,
    /// Keys and values as words, see `abi::mark`.
    pub(crate) marks: LpmTrie<MapData, [u32; 5], [u32; 2]>,
    /// Keys and values as words, see `abi::link`.
    pub(crate) links: HashMap<MapData, [u32; 2], [u32; 2]>,
    /// Notes of first fragments.
    pub(crate) fragments: HashMap<MapData, [u8; size_of::<Fragment>()], [u8; size_of::<Trace>()]>,
    /// Fragments that came before them.
    pub(crate) early: RingBuf<MapData>,
}

impl Maps {
    /// Takes the maps out of a loaded object.
    pub(crate) fn take(object: &mut Ebpf, sizes: Sizes) -> Result<Maps, Error> {
        // Arrays stay in the object: programs that are loaded later refer to their descriptors.
        fn array<T: Copy>(object: &Ebpf, name: &'static str, length: u32) -> Result<Mapped<T>, Error> {
            let Some(Map::Array(data)) = object.map(name) else {
                return Err(Error::Load(format!("the object has no array {name}")));
            };
            // A pinned one may be anything.
            let wrong = |e: aya::maps::MapError| Error::Load(root_cause(&e));
            let (have, want) = (data.info().map_err(wrong)?.value_size() as usize, size_of::<T>());
            if have != want {
                return Err(Error::Load(format!("elements of {name} have {have} bytes, not {want}")));
            }
            Mapped::new(data.fd().as_fd(), length).map_err(|cause| Error::Io { what: "cannot map a table", cause })
        }
        fn take(object: &mut Ebpf, name: &'static str) -> Result<Map, Error> {
            object.take_map(name).ok_or_else(|| Error::Load(format!("the object has no map {name}")))
        }
        let wrong = |e: aya::maps::MapError| Error::Load(root_cause(&e));
        Ok(Maps {
            header: array(object, HEADER, 1)?,
            settings: array(object, "SETTINGS", 1)?,
            filter: array(object, "FILTER", 1)?,
            service_ids: HashMap::try_from(take(object, "SERVICE_IDS")?).map_err(wrong)?,
            services: array(object, "SERVICES", sizes.services)?,
            service_infos: array(object, "SERVICE_INFOS", sizes.services)?,
            cells: array(object, "CELLS", sizes.cells)?,
            dests: array(object, "DESTS", sizes.dests)?,
            dest_infos: array(object, "DEST_INFOS", sizes.dests)?,
            loads: array(object, "LOADS", sizes.dests)?,
            counters: array(object, "COUNTERS", sizes.dests.saturating_mul(sizes.cpus))?,
            drops: array(object, "DROPS", sizes.cpus)?,
            flows4: array(object, "FLOWS4", sizes.buckets)?,
            flows6: array(object, "FLOWS6", sizes.buckets)?,
            acl: LpmTrie::try_from(take(object, "ACL")?).map_err(wrong)?,
            marks: LpmTrie::try_from(take(object, "MARKS")?).map_err(wrong)?,
            links: HashMap::try_from(take(object, LINKS)?).map_err(wrong)?,
            fragments: HashMap::try_from(take(object, "FRAGMENTS")?).map_err(wrong)?,
            early: RingBuf::try_from(take(object, "EARLY")?).map_err(wrong)?,
        })
    }
}

/// A service key as the map has it.
pub(crate) fn key_bytes(key: &ServiceKey) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&key.address);
    bytes[16..18].copy_from_slice(&key.port.to_ne_bytes());
    bytes[18] = key.protocol;
    bytes[19] = key.family;
    bytes
}
