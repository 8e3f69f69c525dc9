//! Rows of section b.
