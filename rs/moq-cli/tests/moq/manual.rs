//! The manual's own examples, read from it and run.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use crate::{
    program::PATIENCE,
    relay::{Over, Relay},
};

/// A script of the manual, and what it says it writes.
struct Example {
    script: String,
    output: Option<String>,
}

/// The blocks of shell in a text, each with the block of text after it.
fn examples(manual: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut blocks = manual.split("```");
    blocks.next();
    while let (Some(block), Some(_)) = (blocks.next(), blocks.next()) {
        match block.split_once('\n').unwrap() {
            ("sh", script) => examples.push(Example { script: script.to_owned(), output: None }),
            ("text", output) => examples.last_mut().unwrap().output = Some(output.to_owned()),
            (kind, _) => panic!("a block of {kind:?}"),
        }
    }
    examples
}

#[test]
fn every_example_of_the_manual_works() {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/moq.md")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_moq")).parent().unwrap().to_owned();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();
    let examples = examples(&manual);
    assert_eq!(examples.len(), manual.matches("```sh").count());

    let relay = Relay::start();
    for Example { script, output } in examples {
        let script = script.replace("http://localhost:4443", relay.url(Over::WebSocket, "").as_str());
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &script]).env("PATH", &path).env_remove("MOQ_JWT").stdin(Stdio::null());
        let (tell, told) = mpsc::sync_channel(1);
        thread::spawn(move || tell.send(shell.output().unwrap()));
        let ended = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it does not end:\n{script}"));

        assert!(ended.status.success() && ended.stderr.is_empty(), "{script}{}", String::from_utf8_lossy(&ended.stderr));
        if let Some(output) = output {
            assert_eq!(String::from_utf8_lossy(&ended.stdout), output, "{script}");
        }
    }
}
