//! Several replicas, and the Valkey or Redis that they share.

mod leader;
mod processes;
mod servers;
mod sharing;
mod tokens;
mod values;
