//! What is run for an action on a resource.

use crate::{
    child::Call,
    judge::Manner,
    places::{Places, is_program, listed},
};
use evenkeel_model::heartbeat::{Agent, Resource};
use evenkeel_resource::{Action, Order};
use std::path::{Path, PathBuf};

/// The program of `order` and how its end is to be understood; else that there is none, as a sentence fragment.
pub(crate) fn of(order: &Order, places: &Places) -> Result<(Call, Manner), String> {
    let resource = &*order.resource;
    match &resource.agent {
        Agent::Script { name, arguments } => {
            let program = script(name, places)?;
            let manner = if is_of_init(&program) { Manner::Init } else { Manner::Heartbeat };
            let arguments = arguments.iter().cloned().chain([word(order.action).to_owned()]).collect();
            Ok((call(program, arguments, environment(order, places), order.action, places), manner))
        }
        Agent::Ocf { provider, name, parameters } => {
            let program = places.ocf.join("resource.d").join(provider).join(name);
            if !is_program(&program) {
                return Err(format!("there is no resource agent {}", program.display()));
            }
            let mut environment = environment(order, places);
            environment.extend(ocf(order, provider, name));
            environment.extend(parameters.iter().map(|(name, value)| (format!("OCF_RESKEY_{name}"), value.clone())));
            let arguments = vec![if order.action.only_asks() { "monitor" } else { word(order.action) }.to_owned()];
            Ok((call(program, arguments, environment, order.action, places), Manner::Ocf))
        }
        Agent::Systemd { unit } => {
            let verb = if order.action.only_asks() { "is-active" } else { word(order.action) };
            let arguments = vec![verb.to_owned(), unit.clone()];
            let program = places.program("systemctl")?;
            Ok((call(program, arguments, environment(order, places), order.action, places), Manner::Systemd))
        }
        Agent::Ip(_) | Agent::Services { .. } => Err(format!("`{}` is no program", resource.name)),
    }
}

fn call(
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    action: Action,
    places: &Places,
) -> Call {
    let leaves = action == Action::Start;
    Call { program, arguments, environment, path: places.path(), input: String::new(), ids: None, leaves }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Status | Action::Monitor => "status",
    }
}

/// Facts A3: `/etc/ha.d/resource.d` first, then `/etc/init.d`; an executable file.
fn script(name: &str, places: &Places) -> Result<PathBuf, String> {
    let given = Path::new(name);
    if given.is_absolute() {
        let found = is_program(given).then(|| given.to_owned());
        return found.ok_or_else(|| format!("there is no script {name}"));
    }
    let mut candidates = places.scripts.iter().map(|directory| directory.join(name));
    let found = candidates.find(|path| is_program(path));
    found.ok_or_else(|| format!("there is no script `{name}` in {}", listed(&places.scripts)))
}

/// Whether a script keeps to the exit statuses of the LSB.
fn is_of_init(program: &Path) -> bool {
    program.parent().and_then(Path::file_name).is_some_and(|directory| directory == "init.d")
}

fn environment(order: &Order, places: &Places) -> Vec<(String, String)> {
    let mut environment = places.environment.clone();
    environment.push(("OCF_ROOT".to_owned(), places.ocf.display().to_string()));
    if order.action.only_asks() {
        // What is read in the answer are English words.
        environment.push(("LC_ALL".to_owned(), "C".to_owned()));
    }
    environment
}

/// What an OCF agent finds in its environment besides its parameters: the OCF resource agent API 1.1, and what agents
/// take from Pacemaker: the deadline, and an interval of 0 for the question before a start.
fn ocf(order: &Order, provider: &str, name: &str) -> Vec<(String, String)> {
    let milliseconds = |time: std::time::Duration| time.as_millis().to_string();
    let every = order.resource.monitor.filter(|_| order.action == Action::Monitor).map(|monitor| monitor.every);
    let pairs = [
        ("OCF_RA_VERSION_MAJOR", "1".to_owned()),
        ("OCF_RA_VERSION_MINOR", "1".to_owned()),
        ("OCF_RESOURCE_INSTANCE", instance(&order.resource)),
        ("OCF_RESOURCE_TYPE", name.to_owned()),
        ("OCF_RESOURCE_PROVIDER", provider.to_owned()),
        ("OCF_RESKEY_CRM_meta_timeout", milliseconds(order.within)),
        ("OCF_RESKEY_CRM_meta_interval", milliseconds(every.unwrap_or_default())),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Agents make file names of it.
fn instance(resource: &Resource) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    resource.name.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}
