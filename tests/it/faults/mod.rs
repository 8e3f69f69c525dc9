//! The fault matrix: what goes wrong, and what must happen. A row is shown by tests that are named after it, here, or by
//! promises elsewhere. Every file says which rows it tests, with the sizes its tests use.

mod rows;
mod table;
mod trial;

mod callers_tokens;
mod clients;
mod connections;
mod fairness;
mod files;
mod limits;
mod logs;
mod lookup;
mod names_and_tls;
mod panics;
mod process;
mod promised;
mod regions;
mod remote;
mod requests;
mod signals;
mod tokens;
mod upstream;

/// Every row, in order.
fn rows() -> Vec<rows::Row> {
    let mut rows: Vec<rows::Row> = [
        callers_tokens::rows(),
        clients::rows(),
        connections::rows(),
        fairness::rows(),
        files::rows(),
        limits::rows(),
        logs::rows(),
        lookup::rows(),
        names_and_tls::rows(),
        panics::rows(),
        process::rows(),
        promised::rows(),
        regions::rows(),
        remote::rows(),
        requests::rows(),
        signals::rows(),
        tokens::rows(),
        upstream::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    rows.sort_by_key(|row| row.number);
    rows
}
