//! Meter: how much has gone by, how fast, and how late. Time is passed in.

use std::time::{Duration, Instant};

use crate::event::Event;

/// Counts groups, frames and bytes of one track.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) groups: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// Groups that were left out.
    pub(crate) skipped: u64,
    /// Of the newest frame. `None`: its publisher does not say when it was made.
    pub(crate) delay: Option<Duration>,
    began: Instant,
    /// When the rate was last asked for, and the bytes by then.
    since: (Instant, u64),
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { groups: 0, frames: 0, bytes: 0, skipped: 0, delay: None, began: now, since: (now, 0) }
    }

    pub(crate) fn frame(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes as u64;
    }

    /// All of it as an event.
    pub(crate) fn end(&self) -> Event<'static> {
        let Self { groups, frames, bytes, skipped, .. } = *self;
        Event::End { groups, frames, bytes, skipped }
    }

    /// Bits per second since the last call.
    fn rate(&mut self, now: Instant) -> f64 {
        let (then, bytes) = std::mem::replace(&mut self.since, (now, self.bytes));
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 { (self.bytes - bytes) as f64 * 8.0 / seconds } else { 0.0 }
    }

    /// Makes the next line tell the rate from the beginning on.
    pub(crate) fn look_back(&mut self) {
        self.since = (self.began, 0);
    }

    /// All of it in one line; the rate is that since the last line.
    pub(crate) fn line(&mut self, now: Instant) -> String {
        let (groups, frames) = (count(self.groups, "group"), count(self.frames, "frame"));
        let (size, rate) = (amount(self.bytes as f64, "B"), amount(self.rate(now), "bit/s"));
        let mut line = format!("{groups}, {frames}, {size}, {rate}");
        if let Some(delay) = self.delay {
            line += &format!(", delay {} ms", delay.as_millis());
        }
        if self.skipped > 0 {
            line += &format!(", {} skipped", count(self.skipped, "group"));
        }
        line
    }
}

/// So many of them.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Three digits, and the unit with what stands before it.
fn amount(value: f64, unit: &str) -> String {
    let mut value = value;
    for prefix in ["", "k", "M", "G"] {
        if value < 999.5 {
            let digits = if prefix.is_empty() || value >= 99.95 { 0 } else { 1 };
            return format!("{value:.digits$} {prefix}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} T{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_all_of_it() {
        let began = Instant::now();
        let mut meter = Meter::new(began);
        meter.groups = 1;
        (0..3).for_each(|_| meter.frame(50_000));
        assert_eq!(meter.line(began + Duration::from_secs(2)), "1 group, 3 frames, 150 kB, 600 kbit/s");

        meter.frame(1_250_000);
        (meter.delay, meter.skipped) = (Some(Duration::from_micros(12_900)), 4);
        let line = meter.line(began + Duration::from_secs(3));
        assert_eq!(line, "1 group, 4 frames, 1.4 MB, 10.0 Mbit/s, delay 12 ms, 4 groups skipped");

        meter.look_back();
        let line = meter.line(began + Duration::from_secs(10));
        assert!(line.contains("1.1 Mbit/s"), "{line}");
    }

    #[test]
    fn amounts_have_three_digits() {
        for (value, text) in [(0.0, "0 B"), (999.0, "999 B"), (1000.0, "1.0 kB"), (99_949.0, "99.9 kB"), (123_456.0, "123 kB")] {
            assert_eq!(amount(value, "B"), text);
        }
        assert_eq!(amount(2e15, "B"), "2000.0 TB");
    }
}
