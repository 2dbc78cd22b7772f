//! The files that are checked: those that are named, and those of folders.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use websample::input;
use websample_manifest::{Problem, STANDARD_INPUT, Source, Unusable, kustomization};

/// Reads them all, each once, or tells of every one that cannot be read.
pub(super) fn sources(names: &[&str]) -> Result<Vec<Source>, Unusable> {
    let mut reader = Reader::default();
    for name in names {
        if *name == STANDARD_INPUT {
            reader.input();
        } else {
            reader.path(Path::new(name));
        }
    }
    if reader.problems.is_empty() {
        Ok(reader.sources)
    } else {
        Err(Unusable { problems: reader.problems })
    }
}

#[derive(Default)]
struct Reader {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    /// What has been read, by where it is.
    seen: HashSet<PathBuf>,
    has_input: bool,
}

impl Reader {
    fn input(&mut self) {
        if self.has_input {
            let text = "it was given twice, and can be read only once";
            self.problem(STANDARD_INPUT, text.to_owned(), "give it once");
            return;
        }
        self.has_input = true;
        let read = input::read_from(io::stdin().lock());
        self.take(STANDARD_INPUT, read);
    }

    fn path(&mut self, path: &Path) {
        // What does not exist is told when it is read.
        if let Ok(real) = path.canonicalize()
            && !self.seen.insert(real)
        {
            return;
        }
        if path.is_dir() {
            self.folder(path);
        } else {
            self.take(&path.display().to_string(), input::read(path, None));
        }
    }

    /// A folder is what its kustomization names, or everything below it that may be a manifest.
    fn folder(&mut self, folder: &Path) {
        let before = self.sources.len() + self.problems.len();
        let names = kustomization::NAMES.iter().map(|name| folder.join(name));
        if let Some(file) = names.into_iter().find(|file| file.is_file()) {
            self.path(&file);
            let name = file.display().to_string();
            // It may have been read before, as a file of its own.
            let read = self.sources.iter().find(|source| source.name == name);
            let text = read.map_or("", |source| source.text.as_str());
            for resource in kustomization::resources(text) {
                if !kustomization::is_remote(&resource) {
                    self.path(&folder.join(resource));
                }
            }
            return;
        }
        self.below(folder);
        if before == self.sources.len() + self.problems.len() {
            let text = "there is no .yaml, .yml or .json file in this folder";
            self.problem(&folder.display().to_string(), text.to_owned(), "name another");
        }
    }

    fn below(&mut self, folder: &Path) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(&folder.display().to_string(), &error),
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        // The same order on every machine.
        paths.sort();
        for path in paths {
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            let extension = path.extension().and_then(|extension| extension.to_str());
            // A link to a folder may lead anywhere, such as back.
            let is_folder = path.is_dir() && !path.is_symlink();
            if !hidden && is_folder {
                let is_kustomized =
                    kustomization::NAMES.iter().any(|name| path.join(name).is_file());
                if is_kustomized { self.path(&path) } else { self.below(&path) }
            } else if !hidden && matches!(extension, Some("yaml" | "yml" | "json")) {
                self.path(&path);
            }
        }
    }

    fn take(&mut self, name: &str, read: io::Result<Vec<u8>>) {
        match read.map(String::from_utf8) {
            Err(error) => self.unreadable(name, &error),
            Ok(Err(_)) => self.problem(name, "it is not UTF-8".to_owned(), "convert it"),
            Ok(Ok(text)) => self.sources.push(Source { name: name.to_owned(), text }),
        }
    }

    fn unreadable(&mut self, name: &str, error: &io::Error) {
        let remedy = "name a file that exists and that you may read, or - for standard input";
        self.problem(name, format!("it cannot be read: {error}"), remedy);
    }

    fn problem(&mut self, file: &str, problem: String, remedy: &str) {
        let (file, remedy) = (file.to_owned(), remedy.to_owned());
        self.problems.push(Problem { file, document: None, line: None, problem, remedy });
    }
}
