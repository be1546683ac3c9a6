//! moq announced: which broadcasts are on air.

use std::time::Duration;

use clap::Args;
use moq_lite::model::origin::{Announced, Change};
use moq_proto::Path;
use tokio::time::timeout;

use crate::{
    connect::Connect,
    event::Event,
    output::{Gone, Output},
    peer::{Peer, Role},
    signal::Signals,
};

/// List the broadcasts that are on air, and go on with what changes.
///
/// `+` stands before a path that is on air from now on, `-` before one that is no more.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    connect: Connect,
    /// List only what lies below this path, itself below that of the URL.
    #[arg(default_value = "")]
    prefix: Path,
    /// List what is on air now, and end.
    #[arg(long)]
    once: bool,
    /// Write an object a line instead.
    #[arg(long)]
    json: bool,
}

/// Why the list ends.
enum Why {
    /// It was as much as was asked for, or the end was.
    Enough,
    /// More has changed at once than the feed remembers.
    Missed,
    /// The session did.
    Over(anyhow::Error),
}

impl Options {
    pub(crate) async fn run(self, signals: Signals) -> anyhow::Result<()> {
        let connect = Peer::connect(&self.connect, Role::Watch(&self.prefix), Duration::ZERO);
        let Some(connected) = signals.unless_ended(connect).await else { return Ok(()) };
        let mut peer = connected?;

        let mut feed = peer.view().announced(&self.prefix, true);
        let output = Output::start();
        // Whoever read the list and has gone, has had enough.
        let why = self.list(&mut peer, &mut feed, &output, &signals).await.unwrap_or(Why::Enough);
        output.finish().await?;
        match why {
            Why::Enough => {
                peer.leave().await;
                Ok(())
            }
            Why::Missed => anyhow::bail!("more broadcasts came and went at once than can be followed"),
            Why::Over(error) => Err(error),
        }
    }

    async fn list(&self, peer: &mut Peer, feed: &mut Announced, output: &Output, signals: &Signals) -> Result<Why, Gone> {
        if self.json {
            output.write(Event::Connected { url: &peer.place, version: peer.version }.line()).await?;
        }
        loop {
            let quiet = peer.quiet();
            let change = async { if self.once { timeout(quiet, feed.next()).await } else { Ok(feed.next().await) } };
            let change = tokio::select! {
                biased;
                () = signals.end() => return Ok(Why::Enough),
                change = output.then(change) => change?,
                error = peer.over() => return Ok(Why::Over(error)),
            };
            match change {
                Ok(Some(change)) => self.tell(change, output).await?,
                Ok(None) => return Ok(Why::Missed),
                Err(_) => return Ok(Why::Enough),
            }
        }
    }

    async fn tell(&self, change: Change, output: &Output) -> Result<(), Gone> {
        // What was announced fits into a path.
        let whole = |below: &Path| self.prefix.join(below).unwrap_or_default();
        let (path, event): (_, fn(&'_ str, usize) -> Event<'_>) = match &change {
            Change::Start { path, .. } => (whole(path), |path, hops| Event::Announced { path, hops }),
            Change::Update { path, .. } => (whole(path), |path, hops| Event::Updated { path, hops }),
            Change::End { path } => (whole(path), |path, _| Event::Unannounced { path }),
        };
        let hops = match &change {
            Change::Start { route, .. } | Change::Update { route, .. } => route.hops.len(),
            Change::End { .. } => 0,
        };
        match &change {
            _ if self.json => output.write(event(path.as_str(), hops).line()).await,
            Change::Start { .. } => output.write(format!("+ {path}\n")).await,
            Change::End { .. } => output.write(format!("- {path}\n")).await,
            // That it is reached another way changes nothing for whoever watches it.
            Change::Update { .. } => Ok(()),
        }
    }
}
