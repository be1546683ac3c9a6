//! The Probe conversation: what a sender measures of the path, for whoever adapts to it.
//!
//! Spec: moq-lite-05, "PROBE"; moq-lite-03 reports the bitrate alone.

use std::time::{Duration, Instant};

use moq_proto::{
    VarInt,
    lite::{self, message::Probe},
};

use super::super::{
    clock::now,
    error::Failure,
    shared::Shared,
    stream::{Receiver, Sender},
};
use crate::transport::{Connection, ConnectionStats};

/// How often the connection is asked, and so the least time between reports.
const INTERVAL: Duration = Duration::from_millis(100);

/// The longest time without a report, as long as something is known.
const REPORT_MAX: Duration = Duration::from_secs(10);

/// Change of the bitrate or the round trip, in parts of 1000, that is worth a report at once.
const CHANGE_MILLIS: u64 = 250;

/// Reports to the peer what our side of the connection measures, until the peer has heard enough.
pub(in super::super) async fn answer<C: Connection>(
    shared: &Shared<C>,
    sender: &mut Sender<C::SendStream>,
    receiver: &mut Receiver<C::RecvStream>,
) -> Result<(), Failure> {
    let Some(layout) = &shared.dialect.probe else { return Err(Failure::UnknownStream(lite::stream::PROBE.get())) };
    let mut reporter = Reporter::default();
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            // A target that the peer would like is nothing we can aim at.
            target = receiver.message(layout) => match target? {
                Some(_) => {}
                None => return Ok(()),
            },
            stopped = sender.stopped() => return Err(stopped.into()),
            _ = interval.tick() => {
                if let Some(report) = reporter.report(shared.connection.stats(), now()) {
                    sender.send(layout.to_wire(&report)).await?;
                }
            }
        }
    }
}

/// Decides what is worth a report.
#[derive(Default)]
struct Reporter {
    last: Option<(Probe, Instant)>,
}

impl Reporter {
    fn report(&mut self, stats: ConnectionStats, now: Instant) -> Option<Probe> {
        // A measured zero is not the same as an unknown value, which is what zero says on the wire.
        let known = |value: u64| VarInt::saturating(value.max(1));
        let measured = Probe {
            bitrate: stats.send_bitrate.map_or(VarInt::ZERO, known),
            rtt: stats.rtt.map_or(VarInt::ZERO, |rtt| known(rtt.as_millis() as u64)),
        };
        if measured == Probe::default() {
            return None;
        }
        if let Some((last, at)) = self.last {
            let age = now.saturating_duration_since(at);
            // The longer ago the last report is, the smaller a change counts.
            let left = REPORT_MAX.saturating_sub(age).as_millis() as u64;
            let threshold = CHANGE_MILLIS * left / REPORT_MAX.as_millis() as u64;
            let bitrate = moved(last.bitrate, measured.bitrate) > threshold;
            let rtt = moved(last.rtt, measured.rtt) > CHANGE_MILLIS;
            if age < REPORT_MAX && !bitrate && !rtt {
                return None;
            }
        }
        self.last = Some((measured, now));
        Some(measured)
    }
}

/// How far a value moved, in parts of 1000 of what it was.
fn moved(from: VarInt, to: VarInt) -> u64 {
    let (from, to) = (from.get(), to.get());
    from.abs_diff(to).saturating_mul(1000) / from.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(bitrate: u64, rtt: u64) -> ConnectionStats {
        ConnectionStats { send_bitrate: Some(bitrate), rtt: Some(Duration::from_millis(rtt)), ..ConnectionStats::default() }
    }

    #[test]
    fn it_reports_at_once_then_what_changed_much_then_what_changed_at_all() {
        let (mut reporter, start) = (Reporter::default(), Instant::now());
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert_eq!(reporter.report(ConnectionStats::default(), at(0.0)), None, "nothing known");

        let first = reporter.report(measured(1_000_000, 20), at(0.1)).unwrap();
        assert_eq!((first.bitrate.get(), first.rtt.get()), (1_000_000, 20));
        assert_eq!(reporter.report(measured(1_200_000, 22), at(0.2)), None);
        assert!(reporter.report(measured(1_300_000, 22), at(0.3)).is_some(), "bitrate moved by a quarter");
        assert!(reporter.report(measured(1_300_000, 30), at(0.4)).is_some(), "round trip moved by a quarter");
        assert_eq!(reporter.report(measured(1_350_000, 30), at(1.0)), None);
        assert!(reporter.report(measured(1_350_000, 30), at(9.5)).is_some(), "a small change, long ago");
        assert_eq!(reporter.report(measured(1_350_000, 30), at(19.4)), None);
        assert!(reporter.report(measured(1_350_000, 30), at(19.6)).is_some(), "every ten seconds");
    }

    #[test]
    fn a_measured_zero_is_not_unknown() {
        let report = Reporter::default().report(measured(0, 0), Instant::now()).unwrap();
        assert_eq!((report.bitrate.get(), report.rtt.get()), (1, 1));
    }
}
