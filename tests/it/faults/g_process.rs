//! Rows of section g.
