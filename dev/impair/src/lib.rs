//! A bad network between clients and a relay, for tests and for trying things out: a middle-box for UDP.
//!
//! It listens where clients connect and passes their packets on to the relay, each client through a socket of its own as a NAT
//! does, and loses, delays, repeats or damages some of them on the way. What happens to a packet is decided by a pure state
//! machine, [`Judge`], from a seed, the packet's number and the time; [`Middlebox`] does the input and output around it. Every
//! action is counted, and [`Report::acted`] fails when something that was asked for has not happened, so that no test passes on
//! a network that was fine.
//!
//! It knows nothing of QUIC. The marks of explicit congestion notification do not pass.

mod chance;
mod flow;
mod judge;
mod line;
mod middlebox;
mod profile;
mod report;
mod spelling;

pub use self::{
    judge::{Cause, Judge, Passage, Verdict},
    middlebox::{Middlebox, Settings},
    profile::{Burst, Profile, Rate, Reorder, Share, Window},
    report::{Action, Counts, Idle, Report},
    spelling::SpellingError,
};
