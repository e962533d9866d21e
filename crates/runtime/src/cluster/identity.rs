//! Who this node is to the others, over restarts: the files that heartbeat keeps, in its own form, so that either can go on
//! where the other has ended.

use evenkeel_heartbeat::Identity;
use evenkeel_model::heartbeat::{Heartbeat, NodeName};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// The 16 bytes that name a host for ever.
const UUID: &str = "hb_uuid";
/// Greater at each start, in decimal.
const GENERATION: &str = "hb_generation";
/// The highest generation heard of each other node: `NAME GENERATION`, a line for each. Ours.
const HEARD: &str = "generations";
/// The longest such file that is read.
const LONGEST: u64 = 64 * 1024;
/// Digits and blanks of it, as heartbeat writes them.
const WIDTH: usize = 16;

/// What `directory` keeps, which is made where it is missing; the generation there is raised. `wall`: time since 1970.
pub(crate) fn identity(
    wanted: &Heartbeat,
    directory: &Path,
    version: &str,
    wall: Duration,
    seed: u64,
) -> Result<(Identity, Kept), String> {
    let failed = |e: io::Error| format!("cannot keep what names this node in {}: {e}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let uuid = match fs::read(directory.join(UUID)) {
        Ok(bytes) => <[u8; 16]>::try_from(bytes.as_slice())
            .map_err(|_| format!("{} has {} bytes instead of 16", directory.join(UUID).display(), bytes.len()))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let uuid = made(seed, wall);
            replace(directory, UUID, &uuid).map_err(failed)?;
            uuid
        }
        Err(e) => return Err(failed(e)),
    };
    let before = match fs::read_to_string(directory.join(GENERATION)) {
        Ok(text) => text.trim_matches(|c: char| c.is_whitespace() || c == '\0').parse::<u64>().unwrap_or(0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
        Err(e) => return Err(failed(e)),
    };
    // The clock is above what was counted, unless it was set back. A host that comes back with an old copy of this file (from
    // a backup, or a snapshot of a virtual machine) would say nothing but replays to the others.
    let generation = before.saturating_add(1).max(wall.as_secs());
    replace(directory, GENERATION, format!("{generation:>WIDTH$}\n").as_bytes()).map_err(failed)?;
    let (kept, version) = (Kept::read(wanted, directory), version.to_owned());
    let (configuration, heard) = (fingerprint(wanted), kept.generations.clone());
    Ok((Identity { uuid, generation, version, configuration, seed, heard }, kept))
}

/// What was heard of other nodes, over restarts of this one: what is of an earlier run of them is a replay.
#[derive(Debug)]
pub(crate) struct Kept {
    directory: PathBuf,
    nodes: Vec<NodeName>,
    generations: Vec<u64>,
}

impl Kept {
    /// What `directory` keeps. Nodes that it does not know, and lines that say nothing, count as never heard.
    fn read(wanted: &Heartbeat, directory: &Path) -> Kept {
        let nodes = wanted.nodes.clone();
        let mut generations = vec![0; nodes.len()];
        let mut text = String::new();
        // Without the file replays are only known from what is heard from now on, as heartbeat has it.
        if let Ok(file) = fs::File::open(directory.join(HEARD)) {
            let _ = file.take(LONGEST).read_to_string(&mut text);
        }
        for line in text.lines() {
            let known = line.split_once(' ').and_then(|(name, generation)| {
                let node = nodes.iter().position(|node| node.as_str() == name)?;
                Some((generations.get_mut(node)?, generation.parse().ok()?))
            });
            if let Some((kept, generation)) = known {
                *kept = generation;
            }
        }
        Kept { directory: directory.to_owned(), nodes, generations }
    }

    /// A node is heard in a later run.
    pub(crate) fn keep(&mut self, node: usize, generation: u64) -> Result<(), String> {
        match self.generations.get_mut(node) {
            Some(kept) if *kept < generation => *kept = generation,
            Some(_) | None => return Ok(()),
        }
        let lines = self.nodes.iter().zip(&self.generations).filter(|(_, generation)| **generation > 0);
        let text: String = lines.map(|(node, generation)| format!("{node} {generation}\n")).collect();
        let path = self.directory.join(HEARD);
        replace(&self.directory, HEARD, text.as_bytes())
            .map_err(|e| format!("cannot keep which run of other nodes was heard in {}: {e}", path.display()))
    }
}

/// A random one (RFC 9562 5.4).
fn made(seed: u64, wall: Duration) -> [u8; 16] {
    let mut rng = evenkeel_machine::Rng::new(seed ^ u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX));
    let mut bytes = [0; 16];
    let (left, right) = bytes.split_at_mut(8);
    left.copy_from_slice(&rng.bits().to_be_bytes());
    right.copy_from_slice(&rng.bits().to_be_bytes());
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    // A host that loses power now must not come back with an older generation: the others would take it for a replay.
    file.sync_all()?;
    fs::rename(&new, directory.join(name))?;
    fs::File::open(directory)?.sync_all()
}

/// A number that is equal on nodes whose files say the same where they have to (FNV-1a of it as text).
pub(super) fn fingerprint(wanted: &Heartbeat) -> u64 {
    let Heartbeat { nodes, timing, failback, ipfail, groups, pings, .. } = wanted;
    let mut text = format!("{timing:?} {failback:?} {ipfail}");
    for node in nodes {
        let _ = write!(text, " {node}");
    }
    for ping in pings {
        let _ = write!(text, " {} {:?}", ping.name, ping.addresses);
    }
    for group in groups {
        let _ = write!(text, "\n{} {:?}", group.key, group.prefer);
        for resource in &group.resources {
            let _ = write!(text, " {}", resource.name);
        }
    }
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::heartbeat::{Key, Keys, Method, NodeName, Timing};

    fn cluster(nodes: &[&str]) -> Heartbeat {
        let name = |text: &str| NodeName::new(text).expect("name");
        let timing = Timing::usual(Duration::from_secs(2), Duration::from_secs(30));
        let keys = Keys::one(Key { method: Method::Crc, secret: Vec::new() });
        Heartbeat::new(name(nodes[0]), nodes.iter().map(|node| name(node)).collect(), timing, keys)
    }

    #[test]
    fn a_node_keeps_its_uuid_and_raises_its_generation_at_each_start() {
        let directory = tempfile::tempdir().expect("directory");
        let begin = |at: u64| {
            let wall = Duration::from_secs(at);
            identity(&cluster(&["ha1", "ha2"]), directory.path(), "1.0", wall, at).expect("identity").0
        };
        let first = begin(1_800_000_000);
        assert_eq!(first.generation, 1_800_000_000);
        // The clock went back over a restart.
        let second = begin(1_700_000_000);
        assert_eq!((second.uuid, second.generation), (first.uuid, 1_800_000_001));
        let text = fs::read_to_string(directory.path().join(GENERATION)).expect("generation");
        assert_eq!(text, "      1800000001\n");
        assert_eq!((first.uuid[6] >> 4, first.uuid[8] >> 6), (4, 2), "a random one");
        // It was restored from an old copy, and the others have heard of later runs.
        fs::write(directory.path().join(GENERATION), "      1750000000\n").expect("an old copy");
        assert_eq!(begin(1_800_000_060).generation, 1_800_000_060);
    }

    #[test]
    fn nodes_with_the_same_files_have_the_same_fingerprint() {
        let here = cluster(&["ha1", "ha2"]);
        let mut there = here.clone();
        there.node = NodeName::new("ha2").expect("name");
        assert_eq!(fingerprint(&here), fingerprint(&there));
        there.timing.deadtime = Duration::from_secs(10);
        assert_ne!(fingerprint(&here), fingerprint(&there));
    }

    #[test]
    fn what_was_heard_of_other_nodes_is_known_after_a_restart() {
        let directory = tempfile::tempdir().expect("directory");
        let begin = |nodes: &[&str]| {
            identity(&cluster(nodes), directory.path(), "1.0", Duration::from_secs(1), 1).expect("identity")
        };
        let nodes = ["ha1", "ha2", "ha3"];
        let (before, mut kept) = begin(&nodes);
        assert_eq!(before.heard, [0, 0, 0]);
        for (node, generation) in [(1, 1_800_000_000), (2, 7), (1, 5), (9, 1)] {
            kept.keep(node, generation).expect("kept");
        }
        assert_eq!(begin(&nodes).0.heard, [0, 1_800_000_000, 7]);
        // Other nodes by then, and a file that something went through.
        let mut text = fs::read_to_string(directory.path().join(HEARD)).expect("file");
        text.push_str("ha4\nha1 x\n\0\n");
        fs::write(directory.path().join(HEARD), text).expect("file");
        assert_eq!(begin(&["ha1", "ha3"]).0.heard, [0, 7]);
    }

    #[test]
    fn a_file_that_is_no_uuid_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        fs::write(directory.path().join(UUID), b"short").expect("file");
        let refused = identity(&cluster(&["ha1"]), directory.path(), "1.0", Duration::ZERO, 1).expect_err("refused");
        assert!(refused.ends_with("has 5 bytes instead of 16"), "{refused}");
    }
}
