//! The one message each side sends about itself. Spec: moq-lite-05, "SETUP".

use crate::{HopId, VarInt};

/// SETUP: who the sender is and what it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    pub probe: ProbeLevel,
    /// Path and query of the request, from clients whose transport has no URL. Never sent over WebTransport or WebSocket.
    pub path: Option<String>,
    /// What the sender restricts itself to. `None`: nothing.
    pub role: Option<Role>,
    /// What subscribing from the sender costs; from moq-lite-06 on. `None`: 1. JavaScript peers read 53 bits.
    pub cost: Option<VarInt>,
    /// The sender's identity. JavaScript peers read 53 bits.
    pub hop: HopId,
}

/// Which reports on the connection the sender can give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeLevel {
    #[default]
    None,
    /// What it measures anyway.
    Report,
    /// It also sends more than needed, to find out what more would fit.
    Increase,
}

/// The only direction in which a peer wants media to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Only publishes.
    Publisher,
    /// Only subscribes.
    Subscriber,
}
