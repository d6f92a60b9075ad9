//! `rehearsal plugin …`: what authors need before they start a server. Nothing else is to be installed.

mod bench;
mod conformance;
mod contract;
mod dev;
mod in_process;
mod new;
mod project;
mod push;
mod run;
mod scenarios;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use rehearsal_engine::{BuiltinTokenizer, Tokenizer};
use rehearsal_plugin_host::{
    Limits, LoadError, PluginHost, PluginInfo, PluginSource, PluginSpec, Plugins, Surroundings,
};
use serde_json::{Map, Value};

use crate::config::plugins;
use crate::progress;
use crate::said::{self, Said};
use project::Project;

/// Make, try, measure and judge plugins.
#[derive(Debug, Parser)]
#[command(name = "rehearsal plugin", disable_help_subcommand = true)]
enum Tool {
    /// Make a project that builds by itself: contract, SDK and an example to begin with
    New(new::New),
    /// Bring a project's contract and SDK to this server's
    Upgrade(new::Upgrade),
    /// Tell what is built in, and what is given
    List {
        /// Further plugins
        #[arg(value_name = "NAME=FILE")]
        given: Vec<String>,
    },
    /// Load and try components, as a start of the server would
    Check(Check),
    /// Answer one request with a plugin, and tell what that took of its limits
    Run(run::Run),
    /// Measure what a call costs, in a fresh instance and in one that served before
    Bench(bench::Bench),
    /// Judge plugins by what the contract demands of any, and by their scenarios
    Test(conformance::Test),
    /// Build, test and serve a project, and again whenever a file of it changes
    Dev(dev::Dev),
    /// Put a component into a registry, from which --plugin NAME=oci://… fetches it
    Push(push::Push),
    /// Print the contract, or write its files into a folder
    Wit {
        /// Where to
        folder: Option<PathBuf>,
    },
}

/// One plugin and its configuration, on the command line.
#[derive(Debug, clap::Args)]
struct Given {
    /// A component, or the name of a built-in plugin
    plugin: String,
    /// Its project, with plugin.yaml and scenarios/*.yaml; if it is not given, this folder, if that is where the component is built
    #[arg(long, value_name = "FOLDER")]
    project: Option<PathBuf>,
    #[command(flatten)]
    with: With,
}

/// How a plugin is to find itself.
#[derive(Debug, clap::Args)]
struct With {
    /// Its configuration, a JSON object; if it is not given, what its project's plugin.yaml has
    #[arg(long, value_name = "JSON", value_parser = object)]
    config: Option<Map<String, Value>>,
    /// Its limits, as in a configuration file, for example {"cpu": "500ms"}; if they are not given, what plugin.yaml has
    #[arg(long, value_name = "JSON", value_parser = limits)]
    limits: Option<Limits>,
    /// What it keeps between calls, as GET /rehearsal/plugins/{name}/state tells it; nothing if there is no such file
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
}

/// Runs the tool that `args` name; or what is wrong with them, or with what they name.
pub async fn run(args: &[String]) -> Result<Said, Vec<String>> {
    let tool = match said::parsed("rehearsal plugin", args) {
        Ok(tool) => tool,
        Err(said) => return said,
    };
    match tool {
        Tool::New(new) => new.run().map(Said::Text),
        Tool::Upgrade(upgrade) => upgrade.run().map(Said::Text),
        Tool::List { given } => list(&given).await.map(Said::Text),
        Tool::Check(check) => check.run().await.map(Said::Text),
        Tool::Run(run) => run.run().await,
        Tool::Bench(bench) => bench.run().await.map(Said::Text),
        Tool::Test(test) => test.run().await,
        Tool::Dev(dev) => dev.run().await,
        Tool::Push(push) => push.run().await.map(Said::Text),
        Tool::Wit { folder: None } => Ok(Said::Text(contract::text())),
        Tool::Wit { folder: Some(folder) } => contract::write(&folder).map(Said::Text),
    }
}

async fn list(given: &[String]) -> Result<String, Vec<String>> {
    let builtin_specs = rehearsal_builtin::BUILTINS.iter().map(|builtin| spec(builtin.name));
    let mut specs: Vec<PluginSpec> = builtin_specs.collect();
    for pair in given {
        let (name, path) = pair.split_once('=').ok_or_else(|| vec![format!("{pair:?} is not NAME=FILE")])?;
        specs.push(PluginSpec { name: name.to_owned(), ..spec(path) });
    }
    let host = load(specs).await.map_err(messages)?;
    Ok(table(host.statuses().map(|status| status.info)))
}

/// Arguments of `plugin check`.
#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    given: Given,
    /// Further plugins, with no configuration of their own
    plugins: Vec<String>,
}

impl Check {
    async fn run(&self) -> Result<String, Vec<String>> {
        let others = self.plugins.iter().map(|plugin| spec(plugin));
        let host = load(std::iter::once(self.given.spec()?).chain(others).collect()).await.map_err(messages)?;
        self.given.restore(&host)?;
        Ok(format!("{}\nEvery trial passed.\n", table(host.statuses().map(|status| status.info))))
    }
}

/// A built-in plugin by its name, or a file; named like it, as far as that can be a plugin's name.
fn spec(plugin: &str) -> PluginSpec {
    let (name, source) = match rehearsal_builtin::find(plugin) {
        Some(builtin) => (plugin.to_owned(), PluginSource::Embedded(builtin.component)),
        None => (name_of(plugin), PluginSource::file(plugin)),
    };
    PluginSpec { name, source, config: Map::new(), limits: Limits::default() }
}

fn name_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

impl Given {
    /// Fails if its project cannot be read.
    fn spec(&self) -> Result<PluginSpec, Vec<String>> {
        let project = self.project()?;
        let mut spec = self.with.on(spec(&self.plugin), project.as_ref());
        if let Some(name) = project.as_ref().and_then(Project::name) {
            name.clone_into(&mut spec.name);
        }
        Ok(spec)
    }

    /// The project that the plugin is of, if that is known.
    fn project(&self) -> Result<Option<Project>, Vec<String>> {
        let opened = |folder: &Path| Project::open(folder).map_err(|problem| vec![problem]);
        let (component, here) = (Path::new(&self.plugin), Path::new("."));
        match &self.project {
            Some(folder) => opened(folder).map(Some),
            // What lies elsewhere is not of this folder, whatever a file of that name says here.
            None if !project::is_below(component, here) => Ok(None),
            None => Ok(Some(opened(here)?).filter(|project| project.makes(component))),
        }
    }

    /// Lets the plugin, which is loaded, have what it is to find.
    fn restore(&self, plugins: &Plugins) -> Result<(), Vec<String>> {
        self.with.restore(plugins, &self.spec()?.name)
    }
}

impl With {
    /// The plugin as it is to find itself, in its project.
    fn on(&self, spec: PluginSpec, project: Option<&Project>) -> PluginSpec {
        let config = self.config.as_ref().or(project.and_then(Project::config)).cloned().unwrap_or_default();
        let limits = self.limits.as_ref().or(project.and_then(Project::limits)).cloned().unwrap_or_default();
        PluginSpec { config, limits, ..spec }
    }

    fn restore(&self, plugins: &Plugins, name: &str) -> Result<(), Vec<String>> {
        self.state.as_ref().map_or(Ok(()), |file| state::restore(file, plugins, name))
    }
}

/// Loads plugins for a tool; a component that was never compiled may take a while.
async fn load(specs: Vec<PluginSpec>) -> Result<Plugins, Vec<LoadError>> {
    let waiting = progress::spinner("compiling");
    let tokenizer: Arc<dyn Tokenizer> = Arc::new(BuiltinTokenizer::default());
    let host = PluginHost::load(specs, tokenizer, 1).await;
    waiting.finish_and_clear();
    host.map(|host| Arc::new(host).replica(&Surroundings::default()))
}

fn messages(errors: Vec<LoadError>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not a JSON object: {error}"))
}

fn limits(text: &str) -> Result<Limits, String> {
    plugins::limits(&Value::Object(object(text)?))
}

fn table(plugins: impl Iterator<Item = PluginInfo>) -> String {
    let row = |plugin: PluginInfo| {
        let exports = plugin.export_names().join(", ");
        let PluginInfo { name, version, summary, size, sha256, .. } = plugin;
        let size = format!("{} KiB", size.div_ceil(1024));
        format!("{name} {version} ({exports})\n  {summary}\n  {size}, sha256:{sha256}\n")
    };
    plugins.map(row).collect()
}
