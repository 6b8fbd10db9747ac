//! What goes over the wire, as pure encoding and decoding: no sockets, no clocks.
//!
//! The first byte of a connection decides between the two protocols. `docs/protocol.md` describes both for senders.

pub mod framed;
pub mod plain;

use serde::{Deserialize, Serialize};

/// What a connection speaks, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Control lines of JSON, raw bytes for data.
    Framed,
    /// A name, then the bytes.
    Plain,
    /// A TLS handshake record (RFC 8446 section 5.1), which this server does not take.
    Tls,
}

impl Protocol {
    /// Decides by the first byte.
    pub const fn of(first: u8) -> Self {
        match first {
            b'{' => Self::Framed,
            0x16 => Self::Tls,
            _ => Self::Plain,
        }
    }
}
