//! A cluster that answers.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{
    error::{ClusterProblem, KubernetesError, reason},
    persist::persist,
};

/// A cluster that is there answers sooner.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where a cluster is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// The kubeconfig, if not the usual one.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, if not its current one.
    pub context: Option<String>,
    /// The namespace, if not the context's.
    pub namespace: Option<String>,
}

/// A cluster, and where on it.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    /// The namespace that everything happens in.
    pub namespace: String,
    /// What errors call it.
    pub name: Arc<str>,
    /// The version of its API server, such as `v1.36.1`.
    pub version: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Finds the cluster that the location and the environment mean, and asks for its version.
    ///
    /// # Errors
    /// No kubeconfig, or no answer.
    pub async fn connect(location: &Location) -> Result<Self, KubernetesError> {
        let (config, context) = configuration(location).await.map_err(|problem| {
            let cluster = location
                .context
                .as_deref()
                .map_or_else(|| "no cluster".to_owned(), |context| format!("context {context}"));
            KubernetesError { cluster: cluster.into(), problem }
        })?;
        let name: Arc<str> = match context {
            Some(context) => format!("cluster {context} ({})", config.cluster_url).into(),
            None => format!("cluster {}", config.cluster_url).into(),
        };
        let failed = |problem| KubernetesError { cluster: Arc::clone(&name), problem };
        let namespace = location.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)
            .map_err(|error| failed(ClusterProblem::NoConfig(reason(&error))))?;
        let version = persist(|| client.apiserver_version())
            .await
            .map_err(|error| failed(ClusterProblem::of(&error, "/version", "get")))?;
        Ok(Self { client, namespace, version: version.git_version, name })
    }

    /// A problem with this cluster.
    pub(crate) fn failed(&self, problem: ClusterProblem) -> KubernetesError {
        KubernetesError { cluster: Arc::clone(&self.name), problem }
    }
}

/// The configuration, and the context it came from.
async fn configuration(location: &Location) -> Result<(Config, Option<String>), ClusterProblem> {
    let no_config = |error: KubeconfigError| ClusterProblem::NoConfig(reason(&error));
    let (kubeconfig, named) = match &location.kubeconfig {
        Some(path) => (Kubeconfig::read_from(path).map(Some).map_err(no_config)?, true),
        None => (Kubeconfig::read().ok(), location.context.is_some()),
    };
    let Some(kubeconfig) = kubeconfig else {
        // Explicitly asked for, only a kubeconfig will do; else this may be a pod.
        let error = Kubeconfig::read().err();
        return match Config::incluster() {
            Ok(config) if !named => Ok((limited(config), None)),
            _ => Err(ClusterProblem::NoConfig(
                error.map_or_else(|| "no kubeconfig".to_owned(), |error| reason(&error)),
            )),
        };
    };
    let context = location.context.clone().or_else(|| kubeconfig.current_context.clone());
    let chosen = KubeConfigOptions { context: location.context.clone(), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(no_config)?;
    Ok((limited(config), context))
}

fn limited(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_LIMIT);
    config
}
