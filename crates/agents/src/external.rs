//! External plugins of cluster-glue, spoken to without `stonith`: `PLUGIN getconfignames|gethosts|reset NODE`, parameters
//! in the environment, success as exit status 0.

use crate::{
    child::{How, run},
    fencing::{command, late, listed},
    places::Places,
};
use evenkeel_model::heartbeat::NodeName;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where cluster-glue has the programs its plugins call.
const GLUE: &str = "/usr/share/cluster-glue";

/// A plugin with its parameters.
pub(crate) struct Plugin<'a> {
    program: PathBuf,
    parameters: Vec<(String, String)>,
    within: Duration,
    places: &'a Places,
}

impl Plugin<'_> {
    /// With what a file or a `stonith_host` line gives: one value after the other, or `name=value` each.
    pub(crate) async fn prepare<'a>(
        program: PathBuf,
        parameters: &[String],
        file: Option<&Path>,
        within: Duration,
        places: &'a Places,
    ) -> Result<Plugin<'a>, String> {
        let mut plugin = Plugin { program, parameters: Vec::new(), within, places };
        let values = match file {
            Some(file) => values(file)?,
            None => parameters.to_vec(),
        };
        let named: Option<Vec<(String, String)>> = values.iter().map(|value| pair(value)).collect();
        plugin.parameters = match named {
            Some(named) => named,
            None => plugin.name(values).await?,
        };
        Ok(plugin)
    }

    /// Gives `values` the names that the plugin lists; the last one takes the rest.
    async fn name(&self, mut values: Vec<String>) -> Result<Vec<(String, String)>, String> {
        let text = self.call(&["getconfignames"]).await?;
        let names: Vec<&str> = text.split_whitespace().collect();
        if names.len() < values.len() && !names.is_empty() {
            let rest = values.split_off(names.len() - 1).join(" ");
            values.push(rest);
        }
        if names.len() != values.len() {
            return Err(format!("it takes {} ({} values), not {}", names.join(" "), names.len(), values.len()));
        }
        Ok(names.into_iter().map(str::to_owned).zip(values).collect())
    }

    /// Resets `node`; with `ask` only after it has listed it.
    pub(crate) async fn reset(&self, node: &NodeName, ask: bool) -> Result<(), String> {
        if ask {
            let hosts = self.call(&["gethosts"]).await.map_err(|why| format!("it does not list its nodes: {why}"))?;
            listed(&hosts, node)?;
        }
        self.call(&["reset", node.as_str()]).await.map(drop)
    }

    async fn call(&self, words: &[&str]) -> Result<String, String> {
        let arguments = words.iter().map(|word| (*word).to_owned()).collect();
        let mut call = command(self.program.clone(), arguments, String::new(), self.places);
        call.path = format!("{}:{GLUE}", call.path);
        call.environment.extend(self.parameters.iter().cloned());
        let ended = run(&call, self.within).await;
        match ended.how {
            How::Status(0) => Ok(ended.stdout),
            _ => Err(late(&ended, self.within).unwrap_or_else(|| ended.reason(ended.last_line()))),
        }
    }
}

/// The values of a parameter file: those of its first line that is no comment.
fn values(file: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().ok_or_else(|| format!("{} holds no parameters", file.display()))?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// `name=value`
pub(crate) fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    fits.then(|| (name.to_owned(), value.to_owned()))
}
