//! Rows of section c.
