//! A cluster that answers.

use std::{sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{
    args::Options,
    error::{ClusterProblem, KubernetesError, reason},
    persist::persist,
};

/// A cluster that is there answers sooner.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A cluster, and where on it.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
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
    /// Finds the cluster that the options and the environment mean, and asks for its version.
    ///
    /// # Errors
    /// No kubeconfig, or no answer.
    pub async fn connect(options: &Options) -> Result<Self, KubernetesError> {
        let (config, context) = configuration(options).await.map_err(|problem| {
            let cluster = options
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
        let client = Client::try_from(config)
            .map_err(|error| failed(ClusterProblem::NoConfig(reason(&error))))?;
        let version = persist(|| client.apiserver_version())
            .await
            .map_err(|error| failed(ClusterProblem::of(&error, "/version", "get")))?;
        Ok(Self {
            client,
            namespace: options.namespace.clone(),
            version: version.git_version,
            name,
        })
    }

    /// A problem with this cluster.
    pub(super) fn failed(&self, problem: ClusterProblem) -> KubernetesError {
        KubernetesError { cluster: Arc::clone(&self.name), problem }
    }
}

/// The configuration, and the context it came from.
async fn configuration(options: &Options) -> Result<(Config, Option<String>), ClusterProblem> {
    let no_config = |error: KubeconfigError| ClusterProblem::NoConfig(reason(&error));
    let (kubeconfig, named) = match &options.kubeconfig {
        Some(path) => (Kubeconfig::read_from(path).map(Some).map_err(no_config)?, true),
        None => (Kubeconfig::read().ok(), options.context.is_some()),
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
    let context = options.context.clone().or_else(|| kubeconfig.current_context.clone());
    let chosen = KubeConfigOptions { context: options.context.clone(), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(no_config)?;
    Ok((limited(config), context))
}

fn limited(mut config: Config) -> Config {
    config.connect_timeout = Some(CONNECT_LIMIT);
    config
}
