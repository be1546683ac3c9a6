//! A page of documentation as the commands in it.
//!
//! Commands stand in fenced blocks, whose first line tells what is done with them:
//!
//! | first line | |
//! |---|---|
//! | `sh` | a script, run to its end |
//! | `sh until: TEXT` | a script that goes on; it is stopped once it has written TEXT |
//! | `sh run-by: FILE` | a script that another test reads from the page and runs, this one |
//! | `sh no-test: REASON` | not run, for that reason |
//! | `text` after one of those | all that the script writes |
//! | `console` | commands after `$ `, each with what it writes |
//!
//! Other blocks hold no commands: `json`, `toml`, `html`, `js`, and a `text` by itself.

/// What is done with a block of commands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Runs to its end, and writes this if something is said about that.
    Run { script: String, output: Option<String> },
    /// Goes on until it is stopped, which is done once it has written `text`.
    Until { script: String, text: String },
    /// One command, and all it writes, whether it succeeds or not.
    Shown { command: String, output: String },
    /// Run by another test.
    Elsewhere { test: String },
    /// Not run.
    Excepted { reason: String },
}

/// The commands of a page in their order, or what is wrong with how they are written.
pub(crate) fn steps(page: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut is_after_blank = true;
    let mut is_answer = false;
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let Some(info) = line.trim_start().strip_prefix("```") else {
            if is_after_blank && line.starts_with("    ") && !line.trim().is_empty() {
                return Err(format!("line {number}: a block without fences; write ```sh before it, and ``` after it"));
            }
            is_after_blank = line.is_empty();
            is_answer &= is_after_blank;
            continue;
        };
        let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
        let text = body.iter().map(|line| format!("{line}\n")).collect::<String>();
        let (kind, rest) = info.split_once(' ').unwrap_or((info, ""));
        let was_answer = std::mem::take(&mut is_answer);
        match (kind, rest.split_once(": ").filter(|(_, said)| !said.is_empty())) {
            ("sh", None) if rest.is_empty() => {
                steps.push(Step::Run { script: text, output: None });
                is_answer = true;
            }
            ("sh", Some(("until", until))) => steps.push(Step::Until { script: text, text: until.to_owned() }),
            ("sh", Some(("run-by", test))) => steps.push(Step::Elsewhere { test: test.to_owned() }),
            ("sh", Some(("no-test", reason))) => steps.push(Step::Excepted { reason: reason.to_owned() }),
            ("console", None) if rest.is_empty() => steps.extend(shown(&body)),
            ("text", None) if rest.is_empty() => {
                if let (true, Some(Step::Run { output, .. })) = (was_answer, steps.last_mut()) {
                    *output = Some(text);
                }
            }
            ("json" | "toml" | "html" | "js", None) if rest.is_empty() => {}
            _ => return Err(format!("line {number}: nobody knows what to do with a block of {info:?}")),
        }
    }
    Ok(steps)
}

fn shown(lines: &[&str]) -> Vec<Step> {
    let text = lines.join("\n") + "\n";
    let commands = text.strip_prefix("$ ").into_iter().flat_map(|text| text.split("\n$ "));
    commands
        .map(|shown| {
            let (command, output) = shown.split_once('\n').unwrap_or((shown, ""));
            let end = if output.is_empty() || output.ends_with('\n') { "" } else { "\n" };
            Step::Shown { command: command.to_owned(), output: format!("{output}{end}") }
        })
        .collect()
}

#[test]
fn commands_are_found_where_they_stand() {
    let page = "Try it:\n\n```sh\necho a\n```\n\n```text\na\n```\n\n\
                ```sh until: listening\nserve\n```\n```sh no-test: asks for a camera\nfilm\n```\n\
                ```sh run-by: film.test\nfilm\n```\n```text\nnot an answer\n```\n\
                ```console\n$ one\n1\n$ two\n$ three\n3\n```\n- a list\n    that goes on\n";
    assert_eq!(
        steps(page).unwrap(),
        [
            Step::Run { script: "echo a\n".into(), output: Some("a\n".into()) },
            Step::Until { script: "serve\n".into(), text: "listening".into() },
            Step::Excepted { reason: "asks for a camera".into() },
            Step::Elsewhere { test: "film.test".into() },
            Step::Shown { command: "one".into(), output: "1\n".into() },
            Step::Shown { command: "two".into(), output: String::new() },
            Step::Shown { command: "three".into(), output: "3\n".into() },
        ]
    );
}

#[test]
fn no_command_can_hide() {
    for page in ["    echo a\n", "Text\n\n    echo a\n", "```\necho a\n```\n", "```bash\necho a\n```\n"] {
        assert!(steps(page).is_err(), "{page}");
    }
    for info in ["sh no-test", "sh no-test:", "sh no-test: ", "sh run-by: ", "sh until: ", "sh -x", "console no-test: x"] {
        assert!(steps(&format!("```{info}\necho a\n```\n")).is_err(), "{info}");
    }
}
