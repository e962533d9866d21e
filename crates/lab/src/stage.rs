//! Any topology, for tests that bring their own players.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::build;
use crate::error::Error;
use crate::node::Node;
use crate::record::{self, Record};
use crate::topology::Topology;

/// The nodes of a topology and a directory for them; all of it is removed when it is dropped, or by the next lab where
/// its owner was killed.
#[derive(Debug)]
pub struct Stage {
    nodes: BTreeMap<String, Arc<Node>>,
    directory: PathBuf,
    record: Option<Record>,
}

impl Stage {
    /// Builds `topology` under a name that no other lab has.
    pub fn raise(name: &str, topology: &Topology) -> Result<Stage, Error> {
        record::clean()?;
        let record = Record::take(name)?;
        let directory = record.directory();
        match build(topology, |node| record.namespace(node)) {
            Ok(nodes) => {
                let nodes = nodes.into_iter().map(|(name, node)| (name, Arc::new(node))).collect();
                Ok(Stage { nodes, directory, record: Some(record) })
            }
            Err(error) => {
                let _ = record.end();
                Err(error)
            }
        }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Result<&Arc<Node>, Error> {
        self.nodes.get(name).ok_or_else(|| Error::new(format!("the topology has no node {name}")))
    }

    /// Removes it all; says why where that fails.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.record.take().map_or(Ok(()), |record| record.end().map(drop))
    }

    /// A directory that goes with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.record.take().map(Record::end) {
            eprintln!("evenkeel lab: cannot {error}; `evenkeel lab clean` tries again");
        }
    }
}
