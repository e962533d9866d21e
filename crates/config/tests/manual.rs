//! Every example of README.md and docs/manual loads without a word, and every link in the documents leads somewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{HOST, brief, keepalived, ldirectord};
use evenkeel_config::{Format, Host, Input, Loaded, load_texts};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A fenced block of a document.
struct Block {
    /// File and line, for failures.
    place: String,
    /// The word behind the opening fence.
    tag: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Markdown files of a directory below the root, sorted; `.` is the root itself.
fn documents(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths
}

fn blocks(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(tag), None) => {
                let place = format!("{}:{number}", path.display());
                open = Some(Block { place, tag: tag.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block is not closed", path.display());
    blocks
}

/// The first node of the clusters in the examples, with what their haresources name.
const NODE: Host<'static> = Host { full_name: "node1", file_mode: &mode, ..HOST };

fn mode(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/etc/init.d/nginx" => Some(0o100_755),
        "/etc/systemd/system/only-a-unit.service" => Some(0o100_644),
        _ => None,
    }
}

fn load(block: &Block) -> Option<(Format, Loaded)> {
    match block.tag.as_str() {
        "toml" => {
            let input = Input { path: "evenkeel.toml".into(), bytes: block.text.clone().into_bytes() };
            Some((Format::Native, load_texts(vec![input], Some(Format::Native), &NODE)))
        }
        "ldirectord" => Some((Format::Ldirectord, ldirectord(&block.text))),
        "keepalived" => Some((Format::Keepalived, keepalived(&block.text))),
        _ => None,
    }
}

#[test]
fn every_example_loads_without_a_word() {
    let mut loaded = [0, 0, 0];
    for path in documents(".").iter().chain(&documents("docs/manual")) {
        for block in blocks(path) {
            let Some((format, result)) = load(&block) else { continue };
            assert_eq!(brief(&result), Vec::<String>::new(), "{}", block.place);
            assert!(result.cluster.is_some(), "{}", block.place);
            let kind = [Format::Native, Format::Ldirectord, Format::Keepalived].iter().position(|f| *f == format);
            loaded[kind.unwrap()] += 1;
        }
    }
    let enough = loaded[0] >= 5 && loaded[1] >= 3 && loaded[2] >= 2;
    assert!(enough, "toml, ldirectord and keepalived examples found: {loaded:?}");
}

/// An ha.cf, and the files behind it that belong to it.
fn clusters(blocks: &[Block]) -> Vec<Vec<&Block>> {
    let mut clusters: Vec<Vec<&Block>> = Vec::new();
    for block in blocks {
        match (block.tag.as_str(), clusters.last_mut()) {
            ("ha.cf", _) => clusters.push(vec![block]),
            ("authkeys" | "haresources", Some(cluster)) => cluster.push(block),
            _ => {}
        }
    }
    clusters
}

#[test]
fn every_example_of_a_heartbeat_loads_without_a_word() {
    let mut loaded = 0;
    for path in documents("docs/manual") {
        let blocks = blocks(&path);
        for cluster in clusters(&blocks) {
            let input = |block: &&Block| Input {
                path: Path::new("/etc/ha.d").join(&block.tag),
                bytes: block.text.clone().into_bytes(),
            };
            let result = load_texts(cluster.iter().map(input).collect(), None, &NODE);
            assert_eq!(without_notes(&result), Vec::<String>::new(), "{}", cluster[0].place);
            assert!(result.cluster.is_some_and(|cluster| cluster.heartbeat.is_some()), "{}", cluster[0].place);
            loaded += 1;
        }
    }
    assert!(loaded >= 2, "only {loaded} found");
}

/// The messages, but for what a wrapper or a unit turns into.
fn without_notes(loaded: &Loaded) -> Vec<String> {
    brief(loaded).into_iter().filter(|line| !line.starts_with("note")).collect()
}

/// The targets of inline links, anchors cut off.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split('#').next().unwrap_or_default()).collect()
}

#[test]
fn every_link_leads_to_a_file() {
    let mut seen = 0;
    for directory in [".", "docs", "docs/adr", "docs/manual"] {
        for path in documents(directory) {
            let text = fs::read_to_string(&path).unwrap();
            let prose = text.split("```").step_by(2);
            for target in prose.flat_map(links).filter(|t| !t.is_empty() && !t.starts_with("https://")) {
                assert!(path.with_file_name(target).exists(), "{}: there is no {target}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 50, "only {seen} links were found");
}

#[test]
fn a_link_is_found_with_and_without_an_anchor() {
    assert_eq!(links("see [a](b.md#c), ![d](e.svg) and [f](https://g)"), ["b.md", "e.svg", "https://g"]);
}
