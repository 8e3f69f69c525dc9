//! Words that two layers need: ids, regions, scopes, results, reasons, failures, ends of certificates.
//! Pure: no I/O, no clock, no framework.

pub mod certificate;
pub mod drift;
pub mod failure;
pub mod reason;
pub mod region;
pub mod scope;
pub mod signature_id;
pub mod text;
pub mod verification;
