//! The fault matrix: a test per row, named after it, and the same invariants after each.

mod rows;
mod table;
mod trial;

mod a_answers;
mod a_bytes;
mod a_words;
mod b_names_and_tls;
mod b_regions;
mod b_slow_or_gone;
mod c_keys;
mod c_tokens;
mod d_lookup;
mod d_panics;
mod f_bytes;
mod f_callers;
mod f_clients;
mod g_limits;
mod g_process;
mod g_signals;
mod j_connections;
mod j_logs;
mod j_tokens;
mod k_files;
