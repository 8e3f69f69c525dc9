//! Valkey or Redis, shared by replicas: encrypted values under names that reveal nothing. `lookup` keeps results there,
//! `upstream` tokens.
//!
//! Optional by design: slow, down, wrong, flushed or hostile, it costs a bounded delay and a metric.

mod client;
mod commands;
mod diagnose;
mod limited;
mod messages;
mod seal;
mod servers;

pub(crate) use client::{Client, Vaults};
pub(crate) use commands::{Commands, Replies, Reply, TURN};
pub(crate) use diagnose::diagnose;
pub(crate) use messages::Received;
pub(crate) use seal::{Unreadable, Vault};
pub(crate) use servers::Servers;
