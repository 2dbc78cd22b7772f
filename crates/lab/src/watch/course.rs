//! How far a rollout is: a function of what was seen, without effects.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::cluster::kubernetes::{Served, Workload};

/// A rollout that was seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rollout {
    /// When it began; zero where it had begun before anybody looked.
    pub(super) began: Duration,
    /// When it was over; `None` where nobody saw that.
    pub(super) ended: Option<Duration>,
    /// The images before and after it; the first is not known where it had begun already.
    pub(super) images: (Option<String>, String),
}

/// Something about the rollout as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    /// One begins.
    Begins {
        /// Whether it had begun before anybody looked.
        already: bool,
        /// What changes.
        change: String,
    },
    /// Its template was changed once more before it was over.
    Changes(String),
    /// It is over, after so long.
    Ends(Duration),
}

impl Turn {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Ends(_))
    }

    /// What it is called, and what that does not say.
    pub(super) fn words(self) -> (&'static str, Option<String>) {
        match self {
            Self::Begins { already: false, change } => ("rollout_began", Some(change)),
            Self::Begins { already: true, change } => {
                ("rollout_began", Some(format!("before this watch; {change}")))
            }
            Self::Changes(change) => ("rollout_changed", Some(change)),
            Self::Ends(took) => {
                ("rollout_over", Some(format!("after {:.1} s", took.as_secs_f64())))
            }
        }
    }
}

/// The rollouts that were seen.
#[derive(Debug, Default)]
pub(super) struct Course {
    follow: bool,
    template: Option<String>,
    image: String,
    /// The revisions of the pods when all was settled last: at the beginning, or after a rollout.
    settled: BTreeSet<Arc<str>>,
    /// The template that they are of.
    settled_template: Option<String>,
    pub(super) rollouts: Vec<Rollout>,
}

/// A look at the workload and its pods.
pub(super) struct Look<'a> {
    pub(super) workload: &'a Workload,
    pub(super) served: &'a Served,
    /// Whether all is as the workload wants it.
    pub(super) settled: bool,
    /// The revisions of the pods that there are.
    pub(super) revisions: BTreeSet<Arc<str>>,
}

impl Course {
    pub(super) fn new(follow: bool) -> Self {
        Self { follow, ..Self::default() }
    }

    /// Whether none is under way, and one is waited for.
    pub(super) fn waits(&self) -> bool {
        !self.under_way() && (self.follow || self.rollouts.is_empty())
    }

    fn under_way(&self) -> bool {
        self.rollouts.last().is_some_and(|rollout| rollout.ended.is_none())
    }

    /// What a look means.
    pub(super) fn step(&mut self, at: Duration, look: &Look<'_>) -> Vec<Turn> {
        let Look { workload, served, settled, revisions } = look;
        let template = workload.template();
        let image = template.and_then(|template| template.spec.as_ref());
        let image = image.map_or_else(String::new, |spec| served.image(spec).to_owned());
        let text = template.map(text);
        let before = self.template.replace(text.clone().unwrap_or_default());
        let was = std::mem::replace(&mut self.image, image.clone());
        let changed = before.is_some() && before != text;
        if before.is_none() && *settled {
            // Not later: the pods' watch may be ahead of the workload's, too.
            self.settled.clone_from(revisions);
            self.settled_template.clone_from(&self.template);
        }
        let mut turns = Vec::new();
        let change = if was == image || was.is_empty() {
            format!("image {image}")
        } else {
            format!("image {was} to {image}")
        };
        match (self.under_way(), changed, before.is_none()) {
            (true, true, _) => {
                if let Some(rollout) = self.rollouts.last_mut() {
                    rollout.images.1 = image;
                }
                turns.push(Turn::Changes(change));
            }
            (false, true, _) => {
                let images = (Some(was), image);
                self.rollouts.push(Rollout { began: at, ended: None, images });
                turns.push(Turn::Begins { already: false, change });
            }
            (false, false, true) if !*settled => {
                let began = Duration::ZERO;
                self.rollouts.push(Rollout { began, ended: None, images: (None, image) });
                turns.push(Turn::Begins { already: true, change });
            }
            _ => {}
        }
        if *settled
            && self.replaced(workload, revisions)
            && let Some(rollout) = self.rollouts.last_mut()
            && rollout.ended.is_none()
        {
            rollout.ended = Some(at);
            self.settled.clone_from(revisions);
            self.settled_template.clone_from(&self.template);
            turns.push(Turn::Ends(at.saturating_sub(rollout.began)));
        }
        turns
    }

    /// Whether the pods that are seen are the new ones: the workload says that it is done by a watch of
    /// its own, which may be ahead of that of the pods.
    fn replaced(&self, workload: &Workload, revisions: &BTreeSet<Arc<str>>) -> bool {
        if workload.keeps_old() {
            return true;
        }
        // Somebody changed it back: then those that are left are right.
        let back = self.template == self.settled_template;
        let old = !back && !revisions.is_disjoint(&self.settled);
        revisions.len() <= 1 && !old
    }
}

/// A template as text that differs where it does.
fn text(template: &PodTemplateSpec) -> String {
    // Typed objects have string keys only.
    serde_json::to_string(template).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(image: &str) -> Workload {
        let object = json!({"metadata": {"name": "web"}, "spec": {
            "selector": {}, "template": {"spec": {"containers": [{"name": "a", "image": image}]}},
        }});
        Workload::Deployment(Box::new(serde_json::from_value(object).expect("a Deployment")))
    }

    /// What each look meant: the image, whether all is settled, and the revisions of the pods.
    fn turns(course: &mut Course, looks: &[(&str, bool, &[&str])]) -> Vec<String> {
        let served = Served { container: None, port_name: None, port: 80 };
        let mut all = Vec::new();
        for (at, (image, settled, revisions)) in looks.iter().enumerate() {
            let at = Duration::from_secs(at as u64);
            let look = Look {
                workload: &workload(image),
                served: &served,
                settled: *settled,
                revisions: revisions.iter().map(|&revision| revision.into()).collect(),
            };
            for turn in course.step(at, &look) {
                let (what, detail) = turn.words();
                all.push(format!("{} {what} {}", at.as_secs(), detail.unwrap_or_default()));
            }
        }
        all
    }

    #[test]
    fn a_rollout_begins_with_its_template_and_ends_when_all_is_settled() {
        let mut course = Course::new(false);
        assert_eq!(
            turns(
                &mut course,
                &[
                    ("v1", true, &["a"]),
                    ("v1", false, &["a"]),
                    ("v2", false, &["a"]),
                    ("v2", false, &["a", "b"]),
                    ("v2", true, &["b"]),
                ]
            ),
            ["2 rollout_began image v1 to v2", "4 rollout_over after 2.0 s"],
            "a pod that crashes is no rollout"
        );
        assert!(!course.waits());
    }

    #[test]
    fn one_that_had_begun_is_told_at_once() {
        let mut course = Course::new(true);
        assert_eq!(
            turns(
                &mut course,
                &[
                    ("v2", false, &["a", "b"]),
                    ("v2", true, &["b"]),
                    ("v2", true, &["b"]),
                    ("v3", false, &["b"]),
                ]
            ),
            [
                "0 rollout_began before this watch; image v2",
                "1 rollout_over after 1.0 s",
                "3 rollout_began image v2 to v3",
            ]
        );
        assert_eq!(course.rollouts.len(), 2);
        assert!(!course.waits());
    }

    #[test]
    fn a_second_change_is_the_same_rollout() {
        let mut course = Course::new(false);
        assert_eq!(
            turns(
                &mut course,
                &[
                    ("v1", true, &["a"]),
                    ("v2", false, &["a"]),
                    ("v1", false, &["a", "b"]),
                    ("v1", true, &["a"]),
                ]
            ),
            [
                "1 rollout_began image v1 to v2",
                "2 rollout_changed image v2 to v1",
                "3 rollout_over after 2.0 s",
            ]
        );
    }

    #[test]
    fn a_status_that_is_ahead_of_the_pods_does_not_end_it() {
        let mut course = Course::new(false);
        assert_eq!(
            turns(
                &mut course,
                &[
                    ("v1", true, &["a"]),
                    ("v2", true, &["a"]),
                    ("v2", true, &["a", "b"]),
                    ("v2", true, &["b"]),
                ]
            ),
            ["1 rollout_began image v1 to v2", "3 rollout_over after 2.0 s"]
        );
    }
}
