//! What the program tells about itself.

use std::fs;

use crate::{program::Program, relay::file};

const COMMANDS: [&str; 5] = ["publish", "subscribe", "announced", "fetch", "clock"];

#[test]
fn every_command_has_help_with_what_it_is_for() {
    let all = Program::run(&["--help"]).well().text();
    for command in COMMANDS {
        assert!(all.contains(command), "{all}");
        let help = Program::run(&[command, "--help"]).well().text();
        assert!(help.contains("Usage: moq") && !help.contains("moq-cli"), "{help}");
    }
    assert!(all.contains("Exit status: 0 done"), "{all}");
}

#[test]
fn shells_complete_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Program::run(&["completion", shell]).well().text();
        assert!(COMMANDS.iter().all(|command| script.contains(command)), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let page = Program::run(&["man"]).well().text();
    assert!(page.contains(".TH moq 1"), "{page}");

    let dir = file("").with_extension("pages");
    Program::run(&["man", "--dir", dir.to_str().unwrap()]).well();
    for command in COMMANDS {
        let page = fs::read_to_string(dir.join(format!("moq-{command}.1"))).unwrap();
        assert!(page.contains("NAME"), "{command}");
    }
}
