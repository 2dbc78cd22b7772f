//! `--fix FILE`: what ends what was seen, as a patch that `kubectl` and kustomize take.

use std::{fmt::Write as _, io, path::Path};

use websample_manifest::yaml;

use super::{Advice, text::title};

/// Writes the patches into a file, if there are any; says what was done.
///
/// # Errors
/// Names the file that cannot be written.
pub(crate) fn write(advice: Option<&Advice>, file: &Path) -> io::Result<String> {
    let shown = file.display();
    let Some(advice) = advice.filter(|advice| !advice.patches.is_empty()) else {
        return Ok(format!(
            "--fix: {shown} was not written: nothing was seen that a change of the manifest would end"
        ));
    };
    let mut text = String::new();
    for (index, patch) in advice.patches.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        let metadata = &patch["metadata"];
        let part = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let kind = patch["kind"].as_str().unwrap_or_default().to_lowercase();
        let namespace = part("namespace");
        let _ = writeln!(
            text,
            "# {}: a strategic merge patch, for `patches` of a kustomization, or for\n\
             # kubectl patch {kind} {}{}{} --patch-file FILE",
            title(patch),
            part("name"),
            if namespace.is_empty() { "" } else { " -n " },
            namespace,
        );
        text.push_str(&yaml(patch));
    }
    std::fs::write(file, text).map_err(|error| {
        io::Error::new(error.kind(), format!("--fix: cannot write {shown}: {error}"))
    })?;
    let objects: Vec<_> = advice.patches.iter().map(title).collect();
    Ok(format!("--fix: the change of {} is in {shown}", objects.join(" and of ")))
}
