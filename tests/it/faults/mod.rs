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
mod f_clients;
mod g_process;
