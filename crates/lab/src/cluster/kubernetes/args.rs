//! The options of `--target kubernetes`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use websample_load::target::{Target, TargetError};

use super::connect::Location;
use crate::disruption::Disruption;

/// Where pods may take long to come up: an image has to be pulled.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// What only a real cluster is told.
#[derive(Debug, Clone, Default, Args)]
pub struct KubernetesArgs {
    /// The namespace; made if it is missing, and then removed at the end [default: websample; with
    /// --deployment the context's]
    #[arg(short, long, value_name = "NAME", help_heading = "With --target kubernetes")]
    pub namespace: Option<String>,

    /// The kubeconfig's context [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = "With --target kubernetes")]
    pub context: Option<String>,

    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's own account]
    #[arg(long, value_name = "FILE", help_heading = "With --target kubernetes")]
    pub kubeconfig: Option<PathBuf>,

    /// The image to begin with; the load is sent by one of it, too [default: websample:v1]
    #[arg(long, value_name = "IMAGE", help_heading = "With --target kubernetes")]
    pub image_v1: Option<String>,

    /// The image to roll out [default: websample:v2]
    #[arg(long, value_name = "IMAGE", help_heading = "With --target kubernetes")]
    pub image_v2: Option<String>,

    /// Send the load from here, to this URL; {mode} is filled in [default: from a Job in the
    /// cluster, to the Service]
    #[arg(long, value_name = "URL", help_heading = "With --target kubernetes")]
    pub url: Option<String>,

    /// How long pods may take to become available, an image's pull included [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration,
          help_heading = "With --target kubernetes")]
    pub ready_within: Option<Duration>,

    /// Run the modes at the same time also where the nodes have no room for all of them [default: one
    /// after the other then]
    #[arg(long, help_heading = "With --target kubernetes")]
    pub side_by_side: bool,

    /// Leave everything in the cluster at the end
    #[arg(long, help_heading = "With --target kubernetes")]
    pub keep: bool,

    /// A Deployment that exists
    #[command(flatten)]
    pub existing: DeploymentArgs,
}

/// What is done to a Deployment that exists.
#[derive(Debug, Clone, Default, Args)]
#[allow(clippy::struct_excessive_bools)] // Flags, each of its own.
pub struct DeploymentArgs {
    /// Roll this Deployment out, which exists, instead of this project's server; 10 requests/s of GET /
    /// unless --rate or --mix say otherwise
    #[arg(long, value_name = "NAME", help_heading = "With --deployment")]
    pub deployment: Option<String>,

    /// Set this image
    #[arg(
        long,
        value_name = "IMAGE",
        requires = "deployment",
        conflicts_with = "restart",
        help_heading = "With --deployment"
    )]
    pub image: Option<String>,

    /// In this container [default: the one that the Service leads to]
    #[arg(long, value_name = "NAME", requires = "image", help_heading = "With --deployment")]
    pub container: Option<String>,

    /// Restart its pods, as `kubectl rollout restart` does
    #[arg(long, requires = "deployment", help_heading = "With --deployment")]
    pub restart: bool,

    /// The Service that requests are sent to [default: one that selects the pods]
    #[arg(long, value_name = "NAME", requires = "deployment", help_heading = "With --deployment")]
    pub service: Option<String>,

    /// The image of the Job that sends them, which has this program [default: websample:v1]
    #[arg(long, value_name = "IMAGE", requires = "deployment", help_heading = "With --deployment")]
    pub load_image: Option<String>,

    /// Do not ask before it is changed
    #[arg(long, requires = "deployment", help_heading = "With --deployment")]
    pub yes: bool,

    /// Only print what would be changed and sent
    #[arg(long, requires = "deployment", help_heading = "With --deployment")]
    pub dry_run: bool,

    /// Change it back at the end, also after Ctrl-C
    #[arg(long, requires = "deployment", help_heading = "With --deployment")]
    pub undo: bool,

    /// Write what ends what was lost, or was seen of what the check says of the manifest: a strategic
    /// merge patch of it
    #[arg(long, value_name = "FILE", requires = "deployment", help_heading = "With --deployment")]
    pub fix: Option<PathBuf>,
}

/// The images of the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Of the first version.
    pub v1: String,
    /// Of the new version.
    pub v2: String,
}

/// What a rollout on a cluster is told, complete.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster and the namespace.
    pub location: Location,
    /// The images.
    pub images: Images,
    /// Where the load goes from here; `None` for a Job in the cluster. `{mode}` is not filled in.
    pub url: Option<String>,
    /// How long pods may take to become available.
    pub ready_within: Duration,
    /// Whether the modes run at the same time, whatever room there is.
    pub side_by_side: bool,
    /// Whether everything stays.
    pub keep: bool,
    /// What happens to the pods.
    pub events: Vec<Disruption>,
}

impl KubernetesArgs {
    /// The first of these options that was given, by its name.
    pub fn first_given(&self) -> Option<&'static str> {
        let given = [
            ("--namespace", self.namespace.is_some()),
            ("--context", self.context.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--image-v1", self.image_v1.is_some()),
            ("--image-v2", self.image_v2.is_some()),
            ("--url", self.url.is_some()),
            ("--ready-within", self.ready_within.is_some()),
            ("--side-by-side", self.side_by_side),
            ("--keep", self.keep),
            ("--deployment", self.existing.deployment.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// The options with their defaults.
    ///
    /// # Errors
    /// The name of the option that cannot be, and why.
    pub fn options(&self) -> Result<Options, (&'static str, String)> {
        let namespace = self.namespace.clone().unwrap_or_else(|| "websample".to_owned());
        if !is_label(&namespace) {
            return Err(("--namespace", no_namespace(&namespace)));
        }
        let images = Images {
            v1: self.image_v1.clone().unwrap_or_else(|| "websample:v1".to_owned()),
            v2: self.image_v2.clone().unwrap_or_else(|| "websample:v2".to_owned()),
        };
        for (option, image) in [("--image-v1", &images.v1), ("--image-v2", &images.v2)] {
            if image.is_empty() || image.contains(char::is_whitespace) {
                return Err((option, format!("'{image}' is no name of an image")));
            }
        }
        if images.v1 == images.v2 {
            let problem = format!(
                "{} is the image to begin with, too: nothing would be rolled out",
                images.v2
            );
            return Err(("--image-v2", problem));
        }
        if let Some(url) = &self.url {
            let target = Target::plain(&url.replace("{mode}", "drain"));
            match target.map_err(|error: TargetError| error.to_string()) {
                Ok(Target { path, .. }) if path != "/" => {
                    let problem = format!("every stream has a path of its own: leave `{path}` out");
                    return Err(("--url", problem));
                }
                Ok(_) => {}
                Err(problem) => return Err(("--url", problem)),
            }
        }
        Ok(Options {
            location: Location {
                kubeconfig: self.kubeconfig.clone(),
                context: self.context.clone(),
                namespace: Some(namespace),
            },
            images,
            url: self.url.clone(),
            ready_within: self.ready_within.unwrap_or(READY_WITHIN),
            side_by_side: self.side_by_side,
            keep: self.keep,
            events: Vec::new(),
        })
    }
}

/// What to say of a text that is no name of a namespace.
pub(crate) fn no_namespace(text: &str) -> String {
    format!(
        "'{text}' is no name of a namespace: use lower-case letters, digits and '-', 63 at most"
    )
}

/// Whether a text is a DNS label, as names of namespaces and Services have to be.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_names_the_option() {
        let args = KubernetesArgs::default();
        assert!(args.options().is_ok() && args.first_given().is_none());
        let some = |text: &str| Some(text.to_owned());
        for (args, option) in [
            (KubernetesArgs { namespace: some("Web_Sample"), ..args.clone() }, "--namespace"),
            (KubernetesArgs { image_v1: some(""), ..args.clone() }, "--image-v1"),
            (KubernetesArgs { image_v2: some("websample:v1"), ..args.clone() }, "--image-v2"),
            (KubernetesArgs { url: some("https://example.org"), ..args.clone() }, "--url"),
            (KubernetesArgs { url: some("http://example.org/path"), ..args }, "--url"),
        ] {
            assert_eq!(args.first_given(), Some(option));
            assert_eq!(args.options().map(|_| ()).map_err(|(name, _)| name), Err(option));
        }
    }
}
