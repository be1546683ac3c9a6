//! Report: what a middle-box has done so far, and whether that is what was asked of it.

use std::{fmt, time::Duration};

use crate::{
    judge::{Cause, Verdict},
    profile::Profile,
};

/// What is done to packets, and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lost, by itself.
    Loss,
    /// Lost, with its neighbours.
    Burst,
    /// Lost, in a blackhole.
    Blackhole,
    /// Waited for a line with a rate.
    Queue,
    /// Lost, because it would have waited too long for the line.
    Overflow,
    /// Came later than at once.
    Delay,
    /// Was overtaken by a later one.
    Reorder,
    /// Came twice.
    Duplicate,
    /// Came with a bit flipped.
    Corrupt,
    /// Lost, because the middle-box itself or the system under it had no room.
    Refuse,
}

impl Action {
    pub const ALL: [Self; 10] = [
        Self::Loss,
        Self::Burst,
        Self::Blackhole,
        Self::Queue,
        Self::Overflow,
        Self::Delay,
        Self::Reorder,
        Self::Duplicate,
        Self::Corrupt,
        Self::Refuse,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Loss => "lost",
            Self::Burst => "lost in bursts",
            Self::Blackhole => "lost in blackholes",
            Self::Queue => "queued",
            Self::Overflow => "lost to a full queue",
            Self::Delay => "delayed",
            Self::Reorder => "overtaken",
            Self::Duplicate => "doubled",
            Self::Corrupt => "corrupted",
            Self::Refuse => "refused",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What was done in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that came in.
    pub packets: u64,
    /// Their payloads, in bytes.
    pub bytes: u64,
    /// Packets that went out, second copies included.
    pub passed: u64,
    actions: [u64; Action::ALL.len()],
}

impl Counts {
    /// How many packets this was done to.
    pub fn of(&self, action: Action) -> u64 {
        self.actions[action as usize]
    }

    pub(crate) fn add(&mut self, action: Action) {
        self.actions[action as usize] += 1;
    }

    /// Notes what becomes of a packet that came in at `now`.
    pub(crate) fn judged(&mut self, verdict: &Verdict, now: Duration, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
        match verdict {
            Verdict::Lost(Cause::Loss) => self.add(Action::Loss),
            Verdict::Lost(Cause::Burst) => self.add(Action::Burst),
            Verdict::Lost(Cause::Blackhole) => self.add(Action::Blackhole),
            Verdict::Lost(Cause::Overflow) => self.add(Action::Overflow),
            Verdict::Passed(passage) => {
                let done = [
                    (Action::Queue, passage.is_queued),
                    (Action::Delay, passage.due > now),
                    (Action::Duplicate, passage.is_twice),
                    (Action::Corrupt, passage.flipped.is_some()),
                ];
                done.into_iter().filter(|(_, is_done)| *is_done).for_each(|(action, _)| self.add(action));
            }
        }
    }
}

/// What a middle-box has done so far.
#[derive(Clone, Debug)]
pub struct Report {
    /// Repeats the run's decisions.
    pub seed: u64,
    /// From clients to the relay.
    pub up: Counts,
    /// From the relay to clients.
    pub down: Counts,
    /// Clients that came, by address and port.
    pub flows: u64,
    /// How often a client's port towards the relay was changed.
    pub rebinds: u64,
    pub elapsed: Duration,
    pub(crate) asked: Vec<Asked>,
}

/// Something that has to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// In one of the directions at least.
    Done(Action),
    Rebound,
}

/// Why a run proves nothing: what was asked for has not happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("asked for and never happened: {} (seed {seed})", never.join(", "))]
pub struct Idle {
    pub never: Vec<String>,
    seed: u64,
}

impl Report {
    pub(crate) fn new(seed: u64, profiles: [&Profile; 2], rebinds: bool) -> Self {
        let mut asked: Vec<_> = Action::ALL
            .into_iter()
            .filter(|action| profiles.iter().any(|profile| asks(profile, *action)))
            .map(Asked::Done)
            .collect();
        asked.extend(rebinds.then_some(Asked::Rebound));
        Self { seed, up: Counts::default(), down: Counts::default(), flows: 0, rebinds: 0, elapsed: Duration::ZERO, asked }
    }

    /// How many packets, both ways, this was done to.
    pub fn of(&self, action: Action) -> u64 {
        self.up.of(action) + self.down.of(action)
    }

    /// Whether all that was asked for has happened.
    ///
    /// # Errors
    /// When something has not: then a test has passed on a better network than it claims.
    pub fn acted(&self) -> Result<(), Idle> {
        let never = self.asked.iter().filter_map(|asked| match asked {
            Asked::Done(action) => (self.of(*action) == 0).then(|| action.to_string()),
            Asked::Rebound => (self.rebinds == 0).then(|| "ports changed".to_owned()),
        });
        let never: Vec<_> = never.collect();
        if never.is_empty() { Ok(()) } else { Err(Idle { never, seed: self.seed }) }
    }

    /// What was done so far, on one line.
    pub fn line(&self) -> String {
        let Self { up, down, flows, rebinds, elapsed, .. } = self;
        let lost = |counts: &Counts| {
            [Action::Loss, Action::Burst, Action::Blackhole, Action::Overflow, Action::Refuse]
                .map(|cause| counts.of(cause))
                .iter()
                .sum::<u64>()
        };
        format!(
            "{:.0} s: {flows} clients, {} up ({} lost), {} down ({} lost), {rebinds} ports changed",
            elapsed.as_secs_f64(),
            up.packets,
            lost(up),
            down.packets,
            lost(down),
        )
    }
}

/// Whether a profile wants this to happen. A full queue and a refusal are nobody's wish.
fn asks(profile: &Profile, action: Action) -> bool {
    let has = |share: crate::Share| share.get() > 0.0;
    match action {
        Action::Loss => has(profile.loss),
        Action::Burst => profile.burst.is_some_and(|burst| has(burst.share)),
        Action::Blackhole => !profile.blackholes.is_empty(),
        Action::Queue => profile.rate.is_some(),
        Action::Delay => !(profile.delay + profile.jitter).is_zero(),
        Action::Reorder => profile.reorder.is_some_and(|reorder| has(reorder.share)),
        Action::Duplicate => has(profile.duplicate),
        Action::Corrupt => has(profile.corrupt),
        Action::Overflow | Action::Refuse => false,
    }
}

impl fmt::Display for Report {
    /// A table: what was done to how many packets, and to which part of those that came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { up, down, .. } = self;
        writeln!(f, "{:<22}{:>18}{:>18}", "packets", "client to relay", "relay to client")?;
        for (name, up, down) in
            [("came", up.packets, down.packets), ("bytes", up.bytes, down.bytes), ("passed", up.passed, down.passed)]
        {
            writeln!(f, "{name:<22}{up:>18}{down:>18}")?;
        }
        for action in Action::ALL.into_iter().filter(|action| self.of(*action) > 0) {
            let cell = |counts: &Counts| {
                let part = counts.of(action) as f64 * 100.0 / counts.packets.max(1) as f64;
                format!("{} {part:5.1}%", counts.of(action))
            };
            writeln!(f, "{action:<22}{:>18}{:>18}", cell(up), cell(down))?;
        }
        let elapsed = self.elapsed.as_secs_f64();
        write!(f, "{} clients, {} ports changed, {elapsed:.1} s, seed {}", self.flows, self.rebinds, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_what_was_asked_for_has_not_acted() {
        let profile: Profile =
            "loss=2%,burst=1%,delay=1ms,reorder=1%,duplicate=1%,corrupt=1%,rate=1M,blackhole=1s+1s".parse().unwrap();
        let mut report = Report::new(7, [&profile, &Profile::default()], true);
        let all = "lost, lost in bursts, lost in blackholes, queued, delayed, overtaken, doubled, corrupted, ports changed";
        assert_eq!(report.acted().unwrap_err().to_string(), format!("asked for and never happened: {all} (seed 7)"));

        for asked in report.asked.clone() {
            assert!(report.acted().is_err());
            match asked {
                Asked::Done(action) => report.up.add(action),
                Asked::Rebound => report.rebinds += 1,
            }
        }
        assert_eq!(report.acted(), Ok(()));
        assert_eq!(Report::new(7, [&Profile::default(), &Profile::default()], false).acted(), Ok(()));
    }
}
