//! A whole lab: built, used and removed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::build::build;
use crate::client::Client;
use crate::director::Director;
use crate::error::{Context, Error};
use crate::node::Node;
use crate::real_server::WebServer;
use crate::record::{self, Record};
use crate::topology::{Plan, Topology, dr, inside_name, real_server_name};

/// What a lab is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name, 1 to 20 letters and digits.
    pub name: String,
    /// The evenkeel program.
    pub program: PathBuf,
    /// Its addresses.
    pub plan: Plan,
    /// The director has its virtual addresses on `lo` too.
    pub vip_on_lo: bool,
    /// What each real server answers.
    pub bodies: Vec<String>,
    /// What the director's own web server answers.
    pub fallback_body: String,
}

impl Options {
    /// The lab of `evenkeel lab dr`.
    pub fn new(name: &str, program: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            program,
            plan: Plan::lab(),
            vip_on_lo: false,
            bodies: vec![real_server_name(1), real_server_name(2)],
            fallback_body: "director".into(),
        }
    }
}

/// A running lab. Dropping it removes everything it made.
#[derive(Debug)]
pub struct Lab {
    /// The director; not started yet.
    pub director: Director,
    /// The web server of the director itself, which the fallback points to.
    pub fallback: WebServer,
    /// The real servers, prepared for direct routing and serving.
    pub real_servers: Vec<WebServer>,
    /// The hosts behind the director, serving, if there are any.
    pub inside: Vec<WebServer>,
    /// The client.
    pub client: Client,
    nodes: BTreeMap<String, Arc<Node>>,
    options: Options,
    directory: PathBuf,
    build_time: Duration,
    record: Option<Record>,
}

impl Lab {
    /// Builds a direct-routing lab: everything but the director runs afterwards.
    pub fn dr(options: Options) -> Result<Self, Error> {
        // Labs of other names that were killed need not wait for a start of their own.
        record::clean()?;
        let begun = Instant::now();
        let topology = dr(&options.plan, options.vip_on_lo);
        let record = Record::take(&options.name)?;
        let lab = Self::raise(options, &topology, &record);
        match lab {
            Ok(mut lab) => {
                lab.record = Some(record);
                lab.build_time = begun.elapsed();
                Ok(lab)
            }
            Err(error) => {
                // What failed is the news; what is left is removed by the next start should this fail too.
                let _ = record.end();
                Err(error)
            }
        }
    }

    fn raise(options: Options, topology: &Topology, record: &Record) -> Result<Self, Error> {
        let directory = record.directory();
        let built = build(topology, |node| record.namespace(node))?;
        let nodes: BTreeMap<_, _> = built.into_iter().map(|(name, node)| (name, Arc::new(node))).collect();
        let node =
            |name: &str| nodes.get(name).cloned().ok_or_else(|| Error::new(format!("the topology has no node {name}")));
        let web = |name: &str, body: &str, addresses: Vec<IpAddr>| {
            let control = directory.join(format!("{name}.sock"));
            Ok::<_, Error>(WebServer::new(node(name)?, options.program.clone(), control, body, addresses))
        };
        let director = Director::new(node("director")?, options.program.clone(), &directory);
        let fallback = web("director", &options.fallback_body, Vec::new())?;
        let mut real_servers = Vec::new();
        for (number, (nets, body)) in (1..).zip(options.plan.real_servers.iter().zip(&options.bodies)) {
            let addresses = nets.iter().map(|(address, _)| *address).collect();
            real_servers.push(web(&real_server_name(number), body, addresses)?);
        }
        let mut inside = Vec::new();
        for (number, nets) in (1..).zip(&options.plan.inside) {
            let name = inside_name(number);
            inside.push(web(&name, &name, nets.iter().map(|(address, _)| *address).collect())?);
        }
        let client = Client::new(node("client")?);
        let mut lab = Self {
            director,
            fallback,
            real_servers,
            inside,
            client,
            nodes,
            options,
            directory,
            build_time: Duration::ZERO,
            record: None,
        };
        lab.prepare_real_servers()?;
        for server in lab.real_servers.iter_mut().chain(&mut lab.inside).chain([&mut lab.fallback]) {
            server.start()?;
        }
        Ok(lab)
    }

    /// `evenkeel realserver up VIP...` on each, all at once.
    fn prepare_real_servers(&self) -> Result<(), Error> {
        let vips: Vec<String> = self.options.plan.vips.iter().map(IpAddr::to_string).collect();
        if vips.is_empty() {
            // They are somebody else's to prepare.
            return Ok(());
        }
        std::thread::scope(|scope| {
            let prepare = |server: &WebServer| {
                let mut command = Command::new(&self.options.program);
                command.args(["realserver", "up"]).args(&vips);
                command.arg("--runtime-dir").arg(self.runtime_dir_of(server));
                server.node().output(command).map(|_| ())
            };
            let threads: Vec<_> = self.real_servers.iter().map(|server| scope.spawn(move || prepare(server))).collect();
            let panicked = || Err(Error::new("a thread that prepared a real server panicked"));
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| panicked()))
        })
    }

    /// The runtime directory of `evenkeel realserver` on a real server.
    pub fn runtime_dir_of(&self, server: &WebServer) -> PathBuf {
        self.directory.join(server.name())
    }

    /// How long building took.
    pub fn build_time(&self) -> Duration {
        self.build_time
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.nodes.get(name)
    }

    /// The names of the nodes and of their namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes.values().map(|node| (node.name(), node.namespace()))
    }

    /// The lab's own directory, for configuration files and the like.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The first virtual address and port 80: where requests go.
    pub fn target(&self) -> Option<SocketAddr> {
        self.options.plan.vips.first().map(|vip| SocketAddr::new(*vip, 80))
    }

    /// What the lab was asked to be.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Writes a file into the lab's directory and gives its path.
    pub fn write(&self, name: &str, text: &str) -> Result<String, Error> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).context(format_args!("write {}", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Ends everything and removes it; says how many things were left to remove.
    pub fn end(mut self) -> Result<usize, Error> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<usize, Error> {
        let Some(record) = self.record.take() else { return Ok(0) };
        if self.director.is_running() {
            // A director that cannot end by itself is killed by what follows.
            let _ = self.director.terminate();
        }
        record.end()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            eprintln!("evenkeel lab: cannot {error}; `evenkeel lab clean` tries again");
        }
    }
}

/// The configuration of the lab's director: one service for each family, so that both are seen to work.
pub fn configuration(plan: &Plan) -> String {
    let mut text = String::from("# The director of `evenkeel lab dr`.\n");
    for vip in &plan.vips {
        let (name, fallback) = if vip.is_ipv4() { ("web", "127.0.0.1:80") } else { ("web6", "[::1]:80") };
        text.push_str(&format!(
            "\n[service.{name}]\nlisten   = \"{}\"\nforward  = \"dr\"\nschedule = \"rr\"\nreal_servers = [\n",
            SocketAddr::new(*vip, 80)
        ));
        for (number, nets) in (1..).zip(&plan.real_servers) {
            for (address, _) in nets.iter().filter(|(address, _)| address.is_ipv4() == vip.is_ipv4()) {
                let real = real_server_name(number);
                text.push_str(&format!("  {{ name = \"{real}\", addr = \"{address}\" }},\n"));
            }
        }
        text.push_str(&format!(
            "]\nfallback = \"{fallback}\"\non_fail  = \"remove\"\n\
             check    = {{ http = \"/\", expect = \"real\", every = \"500ms\", timeout = \"1s\" }}\n"
        ));
    }
    text
}
