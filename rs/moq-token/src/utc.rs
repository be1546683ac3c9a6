//! A time of day, for people.

use std::{fmt, time::SystemTime};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A time that reads as RFC 3339 writes it, in whole seconds: `2027-01-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from(self.0).replace_nanosecond(0).ok().and_then(|time| time.format(&Rfc3339).ok());
        // RFC 3339 ends with the year 9999, and so do claims.
        f.write_str(text.as_deref().unwrap_or("a time nobody can write"))
    }
}
