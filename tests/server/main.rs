//! The server over real sockets: what a sender sees, what the store holds, what is counted.

mod bounds;
mod drain;
mod framed;
mod harness;
mod plain;
