//! Several replicas, and the Valkey or Redis that they share.

mod sharing;
mod values;
