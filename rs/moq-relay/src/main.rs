//! moq-relay: a relay for live media.

mod auth;
mod config;
mod options;

use clap::Parser;

fn main() {
    let line = options::CommandLine::parse();
    match line.options() {
        Ok(options) => match config::Config::try_from(options) {
            Ok(c) => println!("{c:#?}"),
            Err(e) => println!("{e}"),
        },
        Err(e) => println!("{e}"),
    }
}
