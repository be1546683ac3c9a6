//! moq: publish and watch tracks from the command line; what curl is for HTTP.
//!
//! One room a command, and rooms for what several share: [`connect`] the options of the way to a relay, [`peer`] the session
//! there and, after it, the next, [`spelling`] frames on standard input and output, [`ordered`] a subscription in order. Everything goes through the
//! model's own doors; nothing here knows the wire.

mod announced;
mod clock;
mod completion;
mod connect;
mod dial;
mod event;
mod failure;
mod fetch;
mod grouping;
mod import;
mod input;
mod link;
mod meter;
mod on_air;
mod ordered;
mod output;
mod peer;
mod progress;
mod publish;
mod signal;
mod spelling;
mod subscribe;
mod target;
mod token;
mod wall;

use std::{io, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

use crate::signal::Signals;

/// What the transports get to tell the relay that a session is over, however it ended. Otherwise the relay finds out by itself,
/// seconds later.
const GOODBYE: Duration = Duration::from_millis(20);

const EXAMPLES: &str = "\
Examples, with the relay that dev/up starts:
  echo hello | moq publish --wait http://localhost:4443 room/alice chat
  moq subscribe http://localhost:4443 room/alice chat
  moq announced --once http://localhost:4443
  moq clock publish http://localhost:4443 clock
  ffmpeg -re -i film.mp4 -c copy -f flv - | moq import http://localhost:4443 demo/film.hang

URLs: https:// is WebTransport, and WebSocket where UDP does not pass; moqt:// raw QUIC; wss:// and ws:// WebSocket;
http:// as https://, to a development relay whose certificate it asks for. The path of the URL is where PATH begins.

Exit status: 0 done, 1 it failed, 2 the command line makes no sense, 3 the relay refused, 4 nothing there.";

/// Publish and watch live media over QUIC from the command line.
#[derive(Parser)]
#[command(name = "moq", version, after_help = EXAMPLES, max_term_width = 110)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Publish(publish::Options),
    Import(import::Options),
    Subscribe(subscribe::Options),
    Announced(announced::Options),
    Fetch(fetch::Options),
    Clock(clock::Options),
    Completion(completion::Completion),
    Man(completion::Man),
}

fn main() -> ExitCode {
    match run(Options::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::tell(&error),
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let ended = block_on(async {
        let signals = Signals::listen().context("listening for signals")?;
        let result = match command {
            Command::Publish(options) => options.run(signals).await,
            Command::Import(options) => options.run(signals).await,
            Command::Subscribe(options) => options.run(signals).await,
            Command::Announced(options) => options.run(signals).await,
            Command::Fetch(options) => options.run(signals).await,
            Command::Clock(options) => options.run(signals).await,
            Command::Completion(options) => options.run(),
            Command::Man(options) => options.run(),
        };
        tokio::time::sleep(GOODBYE).await;
        result
    });
    ended.context("starting a runtime")?
}

/// Runs a command on this thread, where its sessions stay. Once it has ended nothing is waited for: the system may take half a
/// minute over a name that nobody looks up any more.
fn block_on<T>(command: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = LocalSet::new().block_on(&runtime, command);
    runtime.shutdown_background();
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use tokio::{sync::oneshot, task::spawn_blocking};

    use super::*;

    #[test]
    fn a_name_that_the_system_looks_up_for_ever_holds_up_no_end() {
        let (let_go, looked_up) = mpsc::sync_channel::<()>(1);
        let (told, ended) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let (begin, begun) = oneshot::channel();
            let look_up = move || {
                let _ = begin.send(());
                let _ = looked_up.recv();
            };
            let command = async {
                drop(spawn_blocking(look_up));
                begun.await.unwrap();
            };
            block_on(command).unwrap();
            told.send(()).unwrap();
        });
        ended.recv_timeout(Duration::from_secs(20)).expect("an end");
        drop(let_go);
    }
}
