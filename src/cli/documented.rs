//! Every command line in the documentation is one that is understood.

use std::{fs, path::Path};

use super::{program, subcommands};

/// The commands of a page: those in blocks that are for a shell, and those in code within a line.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(String, String)> = None;
    let mut variables = Vec::new();
    for line in page.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut block, fence) {
            (None, Some(language)) => block = Some((language.trim().to_owned(), String::new())),
            (Some((language, text)), Some(_)) => {
                if matches!(&**language, "sh" | "console" | "") {
                    found.extend(of_a_shell(text, &mut variables));
                } else if language == "yaml" {
                    found.extend(text.lines().filter_map(of_a_step));
                }
                block = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {
                let code = line.split('`').skip(1).step_by(2);
                let code = code.map(|code| code.replace("\\|", "|"));
                found.extend(code.filter(|code| code.contains("websample ")));
            }
        }
    }
    found
}

/// The lines of a block, put together where they go on, with the page's own variables filled in.
fn of_a_shell(block: &str, variables: &mut Vec<(String, String)>) -> Vec<String> {
    let mut lines = Vec::new();
    for line in block.replace("\\\n", "").lines() {
        let line = line.trim_start().trim_start_matches("$ ");
        let mut line = line.to_owned();
        for (name, value) in &*variables {
            line = line.replace(&format!("${name}"), value);
        }
        if let Some((name, value)) = line.split_once('=')
            && name.chars().all(|c| c.is_ascii_uppercase())
        {
            variables.push((name.to_owned(), value.trim_matches(['\'', '"']).to_owned()));
        }
        lines.push(line);
    }
    lines
}

/// What a job's step or a hook of pre-commit runs.
fn of_a_step(line: &str) -> Option<String> {
    let line = line.trim();
    let run = line.strip_prefix("- run: ").or_else(|| line.strip_prefix("entry: ")).unwrap_or(line);
    run.contains("websample ").then(|| run.to_owned())
}

/// The words of the program's own command in a line, if there is one: behind a pipe or a variable, up to
/// the next command or redirection.
fn own_words(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let start = words.iter().position(|word| word == "websample" || word == "websample:lab")?;
    // What comes before may start it, or feed it, and nothing else.
    let plain =
        |word: &String| word.contains('=') || ["npx", "nice", "&&", "|"].contains(&word.as_str());
    let starts =
        start == 0 || plain(&words[start - 1]) || ["docker", "uvx"].contains(&words[0].as_str());
    let ends = |word: &&String| !matches!(word.as_str(), "|" | ">" | "&&" | ";" | "&" | ")");
    let mut own: Vec<_> = words[start..].iter().take_while(ends).cloned().collect();
    "websample".clone_into(&mut own[0]);
    starts.then_some(own)
}

/// As a shell takes a line apart, as far as it is needed here.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '#') if !begun => break,
            (None, c) if c.is_whitespace() || "|>;&()".contains(c) => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
                match c {
                    '&' if words.last().is_some_and(|last| last == "&") => {
                        words.pop();
                        words.push("&&".to_owned());
                    }
                    c if !c.is_whitespace() => words.push(c.to_string()),
                    _ => {}
                }
            }
            (None, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

fn pages(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_command_in_the_documentation_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("packaging/README.md")];
    for directory in ["docs", "crates"] {
        pages(&root.join(directory), &mut found);
    }
    let mut understood = 0;
    let mut wrong = Vec::new();
    for page in found {
        let text = fs::read_to_string(&page).expect("text");
        for line in commands(&text) {
            let Some(words) = own_words(&line) else { continue };
            // `websample NAME` alone is the name of a command, and capitals stand for what is meant.
            let abstract_ = |word: &String| {
                word.contains('…')
                    || (word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase()))
            };
            let result = program(&subcommands()).try_get_matches_from(&words);
            match result {
                Ok(_) => understood += 1,
                Err(error) if !error.use_stderr() => understood += 1,
                Err(_) if words.len() <= 2 || words.iter().any(abstract_) => {}
                Err(error) => {
                    let page = page.strip_prefix(root).expect("below it").display().to_string();
                    wrong.push(format!("{page}: {line}\n{error}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(understood > 100, "only {understood} were found");
}

#[test]
fn lines_are_taken_apart_as_a_shell_does() {
    for (line, expected) in [
        ("websample check a.yaml # why", Some("websample|check|a.yaml")),
        ("helm template x | websample check - > y", Some("websample|check|-")),
        (
            "A=b websample rollout --mix '1/s new GET /, 2/s new GET /a'",
            Some("websample|rollout|--mix|1/s new GET /, 2/s new GET /a"),
        ),
        ("docker run --rm -v \"$PWD:/work\" websample:lab check x", Some("websample|check|x")),
        ("websample check deploy/ --fix x && git apply x", Some("websample|check|deploy/|--fix|x")),
        ("kubectl get pods", None),
        ("docker build -t websample:v1 .", None),
        ("cargo add websample", None),
    ] {
        assert_eq!(own_words(line).map(|words| words.join("|")).as_deref(), expected, "{line}");
    }
}
