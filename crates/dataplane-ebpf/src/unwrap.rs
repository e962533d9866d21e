//! The real server's side of tunnels (docs/packet-path.md, PP-48): our own programs instead of a tunnel device.
//!
//! Nothing runs: the programs are held by their pins (tcx) or their interface (clsact), and what they need to know is in a
//! pinned map.

use crate::{
    Error,
    error::root_cause,
    filter, kernel,
    open::load_object,
    run::{Outcome, Runner},
};
use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, Map, MapData, PerCpuArray},
    programs::{
        LinkOrder, Program, SchedClassifier, TcAttachType,
        links::FdLink,
        tc::{self, NlOptions, TcAttachOptions, TcHandle},
    },
};
use evenkeel_abi::unwrap as abi;
use evenkeel_netlink::Netlink;
use std::{
    fs, io,
    net::IpAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

const VIPS: &str = "UNWRAP_VIPS";
const COUNTS: &str = "UNWRAP_COUNTS";
/// Priority and handle of our filters where there is no tcx; not those of a director's door.
const PRIORITY: u16 = 78;
const HANDLE: u16 = 1;

/// What holds for a virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest TCP segment that this host asks of clients; 0: whatever it likes.
    pub mss: u16,
    /// UDP port at which GUE packets come.
    pub gue_port: u16,
}

/// How much was unwrapped since the first device was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// IP in IP.
    pub ipip: u64,
    /// GRE.
    pub gre: u64,
    /// GUE.
    pub gue: u64,
    /// SYNs whose MSS was cut.
    pub clamped: u64,
}

/// Where a packet meets a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On its way in, at the tc hook.
    In,
    /// The same at XDP.
    InXdp,
    /// On its way out.
    Out,
}

impl Side {
    fn program(self) -> &'static str {
        match self {
            Side::In => Hook::Ingress.program(),
            Side::InXdp => "evenkeel_unwrap_xdp",
            Side::Out => Hook::Egress.program(),
        }
    }
}

/// One of the two hooks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    Ingress,
    Egress,
}

impl Hook {
    const BOTH: [Hook; 2] = [Hook::Ingress, Hook::Egress];

    fn program(self) -> &'static str {
        match self {
            Hook::Ingress => "evenkeel_unwrap_tc",
            Hook::Egress => "evenkeel_clamp_tc",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Hook::Ingress => "ingress",
            Hook::Egress => "egress",
        }
    }

    fn kind(self) -> TcAttachType {
        match self {
            Hook::Ingress => TcAttachType::Ingress,
            Hook::Egress => TcAttachType::Egress,
        }
    }

    /// Pin of the tcx link, or of the program as a note that there is a filter.
    fn pin(self, pins: &Path, way: &str, index: u32) -> PathBuf {
        pins.join(format!("{way}_{}_{index}", self.name()))
    }
}

/// The programs of a real server, held by the pins of one directory.
pub struct Unwrap {
    object: Ebpf,
    vips: HashMap<MapData, [u8; KEY], [u8; VALUE]>,
    pins: PathBuf,
}

const KEY: usize = size_of::<abi::Address>();
const VALUE: usize = size_of::<abi::Vip>();

fn key(vip: IpAddr) -> [u8; KEY] {
    let mut key = [0; KEY];
    let family: u32 = match vip {
        IpAddr::V4(v4) => {
            key[..4].copy_from_slice(&v4.octets());
            4
        }
        IpAddr::V6(v6) => {
            key[..16].copy_from_slice(&v6.octets());
            6
        }
    };
    key[16..].copy_from_slice(&family.to_ne_bytes());
    key
}

fn address(key: &[u8; KEY]) -> IpAddr {
    let (octets, family) = key.split_at(16);
    let octets: [u8; 16] = std::array::from_fn(|i| octets[i]);
    match family.first() {
        Some(6) => IpAddr::from(octets),
        Some(_) | None => IpAddr::from([octets[0], octets[1], octets[2], octets[3]]),
    }
}

fn value(limits: Limits) -> [u8; VALUE] {
    let ([a, b], [c, d]) = (limits.mss.to_ne_bytes(), limits.gue_port.to_be_bytes());
    [a, b, c, d]
}

impl Unwrap {
    /// Loads the programs on the maps pinned in `pins`, which are made where there are none.
    pub fn open(pins: &Path) -> Result<Unwrap, Error> {
        fs::create_dir_all(pins).map_err(|cause| Error::Io { what: "cannot make the pin directory", cause })?;
        let mut loader = EbpfLoader::new();
        for name in [VIPS, COUNTS] {
            loader.map_pin_path(name, pins.join(name));
        }
        let mut object = load_object(loader)?;
        let vips = object.take_map(VIPS).ok_or_else(|| Error::Load(format!("the object has no map {VIPS}")))?;
        let vips = HashMap::try_from(vips).map_err(|e| Error::Load(root_cause(&e)))?;
        Ok(Unwrap { object, vips, pins: pins.to_owned() })
    }

    /// Has packets for `vip` unwrapped.
    pub fn add(&mut self, vip: IpAddr, limits: Limits) -> Result<(), Error> {
        self.vips.insert(key(vip), value(limits), 0).map_err(|e| Error::Load(root_cause(&e)))
    }

    /// One packet through one of the programs, by program test run.
    pub fn run(&mut self, side: Side, frame: &[u8]) -> Result<Outcome, Error> {
        let cannot = |why| Error::Io { what: "the kernel does not run the frame", cause: why };
        let program = self.object.program_mut(side.program()).ok_or_else(|| Error::Load("no program".to_owned()))?;
        let fd = match program {
            Program::SchedClassifier(program) => {
                if program.fd().is_err() {
                    program.load().map_err(|e| Error::Load(root_cause(&e)))?;
                }
                program.fd()
            }
            Program::Xdp(program) => {
                if program.fd().is_err() {
                    program.load().map_err(|e| Error::Load(root_cause(&e)))?;
                }
                program.fd()
            }
            _ => return Err(Error::Load("no program of a door".to_owned())),
        };
        let program = fd.map_err(|e| Error::Load(root_cause(&e)))?.as_fd().try_clone_to_owned().map_err(cannot)?;
        Runner::new(program).run(frame, 1).map_err(cannot)
    }

    /// Attaches to a device, which may be attached already.
    pub fn attach(&mut self, device: &str) -> Result<(), Error> {
        let index = kernel::interface_index(device).ok_or_else(|| Error::NoInterface(device.to_owned()))?;
        for hook in Hook::BOTH {
            if is_attached(&self.pins, hook, index)? {
                continue;
            }
            if let Err(refused) = self.attach_tcx(device, index, hook) {
                self.attach_filter(device, index, hook).map_err(|why| {
                    let why = format!("{why} (and tcx: {refused})");
                    Error::Attach { interface: device.to_owned(), mode: "clsact", why }
                })?;
            }
        }
        Ok(())
    }

    fn program(&mut self, hook: Hook) -> Result<&mut SchedClassifier, String> {
        let program = self.object.program_mut(hook.program()).and_then(|p| p.try_into().ok());
        let program: &mut SchedClassifier = program.ok_or_else(|| format!("no program {}", hook.program()))?;
        if program.fd().is_err() {
            program.load().map_err(|e| root_cause(&e))?;
        }
        Ok(program)
    }

    fn attach_tcx(&mut self, device: &str, index: u32, hook: Hook) -> Result<(), String> {
        let pin = hook.pin(&self.pins, "tcx", index);
        // What is left of a link that somebody has severed.
        let _ = fs::remove_file(&pin);
        let program = self.program(hook)?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = program.attach_with_options(device, hook.kind(), options).map_err(|e| root_cause(&e))?;
        let link = program.take_link(id).map_err(|e| root_cause(&e))?;
        let link: FdLink = link.try_into().map_err(|e: aya::programs::links::LinkError| root_cause(&e))?;
        link.pin(pin).map(|_| ()).map_err(|e| root_cause(&e))
    }

    fn attach_filter(&mut self, device: &str, index: u32, hook: Hook) -> Result<(), String> {
        if let Err(error) = tc::qdisc_add_clsact(device) {
            let cause = root_cause(&error);
            if !cause.contains("File exists") {
                return Err(cause);
            }
        } else {
            let note = self.pins.join(format!("qdisc_{index}"));
            let _ = fs::remove_file(&note);
            self.program(hook)?.pin(&note).map_err(|e| root_cause(&e))?;
        }
        let pin = hook.pin(&self.pins, "clsact", index);
        let _ = fs::remove_file(&pin);
        let program = self.program(hook)?;
        program.pin(&pin).map_err(|e| root_cause(&e))?;
        let options = NlOptions { priority: PRIORITY, handle: TcHandle::new(0, HANDLE), classid: None };
        let id = program
            .attach_with_options(device, hook.kind(), TcAttachOptions::Netlink(options))
            .map_err(|e| root_cause(&e))?;
        // Dropping a filter's link would remove the filter.
        std::mem::forget(program.take_link(id).map_err(|e| root_cause(&e))?);
        Ok(())
    }
}

/// Whether a hook of a device leads into our program.
fn is_attached(pins: &Path, hook: Hook, index: u32) -> Result<bool, Error> {
    let tcx = hook.pin(pins, "tcx", index);
    if tcx.exists() {
        return Ok(kernel::link_info(&tcx).is_ok_and(|(_, on)| on == index));
    }
    if !hook.pin(pins, "clsact", index).exists() {
        return Ok(false);
    }
    match hook {
        Hook::Ingress => {
            let found =
                Netlink::open().and_then(|mut netlink| netlink.ingress_program(index, PRIORITY, u32::from(HANDLE)));
            found.map(|program| program.is_some()).map_err(|e| Error::Io {
                what: "cannot read the interface's filters",
                cause: io::Error::other(e.to_string()),
            })
        }
        // The filter shares the fate of its qdisc.
        Hook::Egress => Ok(true),
    }
}

/// What is unwrapped here: for which virtual addresses, at which devices, and how much it was. `None`: nothing.
pub fn status(pins: &Path) -> Result<Option<Status>, Error> {
    if !pins.join(VIPS).exists() {
        return Ok(None);
    }
    let open = |name: &str| {
        let path = pins.join(name);
        MapData::from_pin(&path).map_err(|e| Error::Pin { path, why: root_cause(&e) })
    };
    let wrong = |e: aya::maps::MapError| Error::Load(root_cause(&e));
    let vips: HashMap<MapData, [u8; KEY], [u8; VALUE]> = HashMap::try_from(Map::HashMap(open(VIPS)?)).map_err(wrong)?;
    let counts: PerCpuArray<MapData, u64> = PerCpuArray::try_from(Map::PerCpuArray(open(COUNTS)?)).map_err(wrong)?;
    let mut status = Status::default();
    for entry in vips.iter() {
        let (key, [a, b, c, d]) = entry.map_err(wrong)?;
        let limits = Limits { mss: u16::from_ne_bytes([a, b]), gue_port: u16::from_be_bytes([c, d]) };
        status.vips.push((address(&key), limits));
    }
    status.vips.sort_by_key(|(vip, _)| *vip);
    let sum = |kind: u32| counts.get(&kind, 0).map(|of_cpus| of_cpus.iter().sum()).map_err(wrong);
    status.counts =
        Counts { ipip: sum(abi::IPIP)?, gre: sum(abi::GRE)?, gue: sum(abi::GUE)?, clamped: sum(abi::CLAMPED)? };
    for (way, hook, index) in attachments(pins)? {
        if hook == Hook::Ingress {
            let open = is_attached(pins, Hook::Ingress, index)? && is_attached(pins, Hook::Egress, index)?;
            let name = kernel::interface_name(index);
            status.devices.push(Device { name: name.clone(), way, attached: open && name.is_some() });
        }
    }
    Ok(Some(status))
}

/// See [`status`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Virtual addresses, sorted.
    pub vips: Vec<(IpAddr, Limits)>,
    /// Devices that were attached.
    pub devices: Vec<Device>,
    /// What was done.
    pub counts: Counts,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name; absent when it is gone.
    pub name: Option<String>,
    /// `tcx` or `clsact`.
    pub way: &'static str,
    /// Both programs are still there.
    pub attached: bool,
}

fn attachments(pins: &Path) -> Result<Vec<(&'static str, Hook, u32)>, Error> {
    let mut found = Vec::new();
    let read = |cause| Error::Io { what: "cannot read the pin directory", cause };
    for entry in fs::read_dir(pins).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        let mut words = name.to_str().unwrap_or("").split('_');
        let way = match words.next() {
            Some("tcx") => "tcx",
            Some("clsact") => "clsact",
            Some(_) | None => continue,
        };
        let hook = match words.next() {
            Some("ingress") => Hook::Ingress,
            Some("egress") => Hook::Egress,
            Some(_) | None => continue,
        };
        if let Some(index) = words.next().and_then(|word| word.parse().ok()) {
            found.push((way, hook, index));
        }
    }
    found.sort_by_key(|(_, _, index)| *index);
    Ok(found)
}

/// Has packets for `vip` unwrapped no more. With the last one everything else goes.
pub fn forget(pins: &Path, vip: IpAddr) -> Result<(), Error> {
    let path = pins.join(VIPS);
    if !path.exists() {
        return Ok(());
    }
    let wrong = |e: aya::maps::MapError| Error::Load(root_cause(&e));
    let data = MapData::from_pin(&path).map_err(|e| Error::Pin { path, why: root_cause(&e) })?;
    let mut vips: HashMap<MapData, [u8; KEY], [u8; VALUE]> = HashMap::try_from(Map::HashMap(data)).map_err(wrong)?;
    // One that is not there is forgotten already.
    let _ = vips.remove(&key(vip));
    let none_left = vips.keys().next().is_none();
    if none_left { remove(pins) } else { Ok(()) }
}

/// Detaches from every device and removes the pins.
pub fn remove(pins: &Path) -> Result<(), Error> {
    if !pins.exists() {
        return Ok(());
    }
    for (way, hook, index) in attachments(pins)? {
        let pin = hook.pin(pins, way, index);
        if way == "tcx" {
            // A link whose device is gone is severed already.
            let _ = kernel::detach_link(&pin);
        } else if let Some(device) = kernel::interface_name(index) {
            let handle = TcHandle::new(0, HANDLE);
            // Dropping the link removes the filter; one that is gone needs no removal.
            let _ = aya::programs::tc::SchedClassifierLink::attached(&device, hook.kind(), PRIORITY, handle, None)
                .map(drop);
        }
        remove_file(&pin)?;
        let note = pins.join(format!("qdisc_{index}"));
        if hook == Hook::Egress && note.exists() {
            filter::remove_unused_qdisc(index)?;
            remove_file(&note)?;
        }
    }
    for name in [VIPS, COUNTS] {
        if pins.join(name).exists() {
            remove_file(&pins.join(name))?;
        }
    }
    fs::remove_dir(pins).map_err(|cause| Error::Io { what: "cannot remove the pin directory", cause })
}

fn remove_file(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(|cause| Error::Io { what: "cannot remove a pin", cause })
}
